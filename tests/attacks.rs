//! Each attack that `docs/attacks.md` lists has a test, and each test that it names is there.

use std::fs;
use std::path::Path;

fn read(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The attacks, each with its tests: file and name.
fn table(document: &str) -> Vec<(&str, Vec<(&str, &str)>)> {
    let rows = document.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    let cells = rows.filter_map(|row| Some((row.split_once(" | ")?.0, row.rsplit_once(" | ")?.1)));
    // Above them stands what the columns are.
    cells.skip(1).map(|(attack, tests)| (attack, named(tests))).collect()
}

/// Of a cell like: `a.rs`: `one`, `another`; `b.rs`: `one`.
fn named(cell: &str) -> Vec<(&str, &str)> {
    let (mut file, mut tests) = ("", Vec::new());
    for code in cell.split('`').skip(1).step_by(2) {
        match code.ends_with(".rs") {
            true => file = code,
            false => tests.push((file, code)),
        }
    }
    tests
}

/// Whether a source has a test of this name that is run.
fn has_test(source: &str, name: &str) -> bool {
    let head = format!("fn {name}(");
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let is_head = |line: &&str| line.trim_start_matches("async ").starts_with(&head);
    let Some(at) = lines.iter().position(is_head) else { return false };
    let is_above = |line: &&&str| line.starts_with("#[") || line.starts_with("//");
    let above: Vec<&str> = lines[..at].iter().rev().take_while(is_above).copied().collect();
    let is = |attribute: &str| above.iter().any(|line| line.starts_with(attribute));
    (is("#[test]") || is("#[tokio::test")) && !is("#[ignore")
}

#[test]
fn every_attack_has_its_tests() {
    let document = read("docs/attacks.md");
    let table = table(&document);
    assert!(table.len() >= 26, "{} attacks", table.len());
    for (attack, tests) in &table {
        assert!(!tests.is_empty(), "{attack}: no test");
        for (file, name) in tests {
            assert!(has_test(&read(file), name), "{attack}: {file} has no test {name}");
        }
    }
}

#[test]
fn what_is_no_test_is_found_out() {
    let source =
        "#[test]\nfn one() {}\n\n/// Two.\nfn two() {}\n\n#[ignore]\n#[test]\nfn three() {}";
    assert!(has_test(source, "one"));
    for other in ["two", "three", "on", "four"] {
        assert!(!has_test(source, other), "{other}");
    }
}
