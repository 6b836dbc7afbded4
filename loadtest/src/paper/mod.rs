//! A run on paper: a page with its figures and charts, and each chart as a file of its own.
//!
//! ```text
//! timeline, samples ─▶ charts ─▶ plot ─▶ latency.svg, deliveries.svg, ...
//! report, facts ─▶ page ─▶ report.html
//! ```

mod charts;
mod page;
mod plot;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::facts::Facts;
use crate::report::Report;
use crate::samples::Sample;
use crate::timeline::Timeline;

/// Writes the page and its charts into `directory`, which is made if it is not there. Returns the
/// page's path.
pub(crate) fn write(
    directory: &Path,
    report: &Report,
    facts: &Facts,
    samples: &[Sample],
    timeline: Option<&Timeline>,
) -> io::Result<PathBuf> {
    fs::create_dir_all(directory)?;
    let charts = charts::draw(samples, timeline)?;
    for chart in &charts {
        fs::write(directory.join(chart.file), &chart.svg)?;
    }
    let page = directory.join("report.html");
    fs::write(&page, page::page(report, facts, &charts))?;
    Ok(page)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::gauge::Usage;
    use crate::machine::Machine;

    /// A minute, with a second of silence in it.
    fn run() -> (Vec<Sample>, Timeline) {
        let mut timeline = Timeline::new(0);
        for k in (0..60_000).filter(|k| !(30_000..31_000).contains(k)) {
            timeline.record(k * 1_000_000, 100_000 + k % 977 * 20_000);
        }
        let sample = |number: u32| {
            let at = f64::from(number) / 4.0;
            let cpu = at / 2.0;
            let server = Usage { rss: 50 << 20, cpu, descriptors: Some(1_020) };
            Sample {
                at,
                live: 1_000,
                deliveries: u64::from(number) * 250,
                server: Some(server),
                proxy: None,
            }
        };
        ((0..240).map(sample).collect(), timeline)
    }

    fn report() -> Report {
        let mut report = Report::new("flood");
        report.figure("rss_max", 52_428_800, "bytes");
        report.figure("server", "<script>alert(1)</script>", "");
        report.measured("kernel_memory", None::<u64>, "bytes");
        report.require(false);
        report
    }

    fn facts() -> Facts {
        Facts {
            began: SystemTime::UNIX_EPOCH,
            command: "loadtest flood --header 'a<b & \"c\"'".into(),
            machine: Machine::this(),
        }
    }

    #[test]
    fn a_page_and_its_charts_are_written() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("deep/down");
        let (samples, timeline) = run();
        let page = write(&target, &report(), &facts(), &samples, Some(&timeline)).unwrap();
        let html = fs::read_to_string(&page).unwrap();
        let mut files: Vec<String> = fs::read_dir(&target)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        let charts = ["cpu", "deliveries", "descriptors", "latency"];
        assert_eq!(files[..4], charts.map(|name| format!("{name}.svg")));
        assert_eq!(files[4..], ["memory.svg", "report.html", "streams.svg"]);
        for file in files.iter().filter(|file| file.ends_with(".svg")) {
            let svg = fs::read_to_string(target.join(file)).unwrap();
            assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"), "{file}");
            assert!(html.contains(&svg), "{file} is in the page as it is");
        }
    }

    #[test]
    fn the_page_tells_the_facts_and_runs_no_foreign_text() {
        let directory = tempfile::tempdir().unwrap();
        let page = write(directory.path(), &report(), &facts(), &[], None).unwrap();
        let html = fs::read_to_string(page).unwrap();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing to draw");
        for told in [
            "1970-01-01 00:00:00 UTC",
            "loadtest flood --header &#39;a&lt;b &amp; &quot;c&quot;&#39;",
            "&lt;script&gt;alert(1)",
            "not measured",
            "Not sound",
        ] {
            assert!(html.contains(told), "{told}");
        }
        assert!(!html.contains("<script"));
    }
}
