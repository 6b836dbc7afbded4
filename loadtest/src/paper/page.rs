//! The page: one file without scripts or references, except to the charts beside it.

use std::fmt::Write;

use super::charts::Chart;
use crate::facts::Facts;
use crate::report::Report;
use crate::table::Table;

/// The whole page.
pub(super) fn page(report: &Report, facts: &Facts, charts: &[Chart]) -> String {
    let title = escaped(report.scenario());
    let (class, verdict) =
        if report.sound() { ("sound", "Sound: nothing lost") } else { ("faulty", "Not sound") };
    let style = include_str!("page.css");
    let date = facts.time();
    let (command, machine) = (escaped(&facts.command), escaped(&facts.machine.to_string()));
    let (figures, charts) = (figures(report), drawings(charts));
    let tables: String = report.tables().iter().map(table).collect();
    format!(
        r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}, {date}</title>
<style>
{style}</style>
</head>
<body>
<header>
<h1>{title} <span class="{class}">{verdict}</span></h1>
<dl>
<dt>Date</dt><dd>{date}</dd>
<dt>Command</dt><dd><code>{command}</code></dd>
<dt>Machine</dt><dd>{machine}</dd>
</dl>
</header>
<main>
<section class="figures">
<h2>Figures</h2>
<div class="columns">
<table>
{figures}</table>
</div>
{tables}</section>
<section class="charts">
{charts}</section>
</main>
</body>
</html>
"#
    )
}

fn figures(report: &Report) -> String {
    let mut rows = String::new();
    for (name, value, unit) in report.figures() {
        let (name, value) = (escaped(&name.replace('_', " ")), escaped(&grouped(&value)));
        let unit = escaped(unit);
        // A string has room for everything.
        let _ =
            writeln!(rows, "<tr><th scope=\"row\">{name}</th><td>{value}</td><td>{unit}</td></tr>");
    }
    rows
}

fn table(table: &Table) -> String {
    let (heads, rows) = table.shown();
    let row = |cells: &[String], tag: &str| {
        let cells = cells.iter().map(|cell| format!("<{tag}>{}</{tag}>", escaped(cell)));
        format!("<tr>{}</tr>\n", cells.collect::<String>())
    };
    let rows: String = rows.iter().map(|cells| row(cells, "td")).collect();
    format!(
        "<h3>{}</h3>\n<div class=\"columns\"><table>\n{}{rows}</table></div>\n",
        escaped(table.title()),
        row(&heads, "th"),
    )
}

fn drawings(charts: &[Chart]) -> String {
    let mut figures = String::new();
    for Chart { file, svg } in charts {
        let _ = writeln!(
            figures,
            "<figure>\n{svg}<figcaption><a href=\"{file}\">{file}</a></figcaption>\n</figure>"
        );
    }
    figures
}

/// Long whole numbers get a narrow space before each three digits.
fn grouped(value: &str) -> String {
    let mut text = String::new();
    for word in value.split_inclusive(' ') {
        let digits = word.trim_end();
        let long = digits.len() > 4 && digits.bytes().all(|byte| byte.is_ascii_digit());
        for (at, c) in word.chars().enumerate() {
            if long && at > 0 && at < digits.len() && (digits.len() - at).is_multiple_of(3) {
                text.push('\u{202f}');
            }
            text.push(c);
        }
    }
    text
}

/// Text that cannot become markup.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_numbers_are_grouped() {
        for (plain, expected) in [
            ("1234", "1234"),
            ("12345", "12\u{202f}345"),
            ("1234567 98765", "1\u{202f}234\u{202f}567 98\u{202f}765"),
            ("1234.5", "1234.5"),
            ("not measured", "not measured"),
        ] {
            assert_eq!(grouped(plain), expected);
        }
    }
}
