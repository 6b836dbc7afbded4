//! nginx is reloaded or started anew while events are published: streams come back as a browser's
//! would, and nothing is lost.

use crate::scenario;
use crate::tests::parse;
use crate::tests::rill;

/// Runs the scenario, and returns how many streams came back.
fn disturbed(profile: &str, fault: &str) -> u64 {
    let server = rill();
    let line = format!(
        "restart --profile {profile} --fault {fault} --streams 40 --times 2 --seconds 1.5 --rate 100 \
         --server {}",
        server.display()
    );
    let (command, run) = parse(&line);
    let report = scenario::run(&command, &run).unwrap();
    let text = report.json();
    assert!(report.sound(), "{text}");
    let figures: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert!(figures["published"].as_u64().unwrap() > 300, "{text}");
    figures["streams_that_came_back"].as_u64().unwrap()
}

#[test]
fn a_restart_loses_nothing() {
    for profile in ["http", "stream"] {
        // Twice 40; one that is away while nginx is restarted again has come back only once.
        assert!(disturbed(profile, "restart") >= 40, "{profile}: all of them");
    }
}

#[test]
fn a_reload_loses_nothing() {
    for profile in ["http", "stream"] {
        assert!(disturbed(profile, "reload") >= 40, "{profile}: the old workers ended theirs");
    }
}
