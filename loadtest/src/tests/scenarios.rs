//! Whole scenarios: sound where the server is, and not where it is not.

use serde_json::Value;

use super::fake::{self, Wrong};
use super::parse;
use crate::failure::Failure;
use crate::scenario;

/// Runs a scenario against the fake server.
fn run(wrong: Wrong, line: &str) -> Result<Value, Failure> {
    let url = fake::start(wrong);
    let (command, run) = parse(&format!("{line} --url http://{url} --threads 2 --patience 0.5"));
    let report = scenario::run(&command, &run)?;
    Ok(serde_json::from_str(&report.json()).unwrap())
}

const FLOOD: &str = "flood --streams 5 --rate 200 --seconds 0.3 --publishers 3 --loop-seconds 0";
const STORM: &str =
    "storm --streams 20 --rate 300 --broadcast-share 0.2 --publishers 3 --before 0.2 --after 0.2";

#[test]
fn density_opens_streams() {
    let report = run(Wrong::Nothing, "density --streams 20 --pace 500 --settle 0").unwrap();
    assert_eq!((&report["sound"], &report["rss_per_stream"]), (&Value::Bool(true), &Value::Null));
    let per_second = report["openings_per_second"].as_f64().unwrap();
    assert!((1.0..=1_200.0).contains(&per_second), "two threads with 500 each: {report}");
}

#[test]
fn idle_counts_heartbeats() {
    let report = run(Wrong::Nothing, "idle --streams 3 --seconds 0.5 --settle 0.1").unwrap();
    assert!(
        report["sound"] == true && report["heartbeats_in_window"].as_u64().unwrap() >= 3,
        "{report}"
    );
}

#[test]
fn publish_counts_answers() {
    let report =
        run(Wrong::Nothing, "publish --publishers 4 --seconds 0.3 --warm-up 0.1 --streams 2")
            .unwrap();
    assert!(
        report["sound"] == true && report["publishes_per_second"].as_f64().unwrap() > 100.0,
        "{report}"
    );
}

#[test]
fn flood_is_sound() {
    let report = run(Wrong::Nothing, FLOOD).unwrap();
    assert!(
        report["sound"] == true && report["published"] == 60 && report["deliveries"] == 300,
        "{report}"
    );
}

#[test]
fn storm_is_sound_over_several_cuts() {
    for cut in ["--cut reset", "--cut close --cuts 3"] {
        let report = run(Wrong::Nothing, &format!("{STORM} {cut}")).unwrap();
        assert!(report["sound"] == true && report["published"].as_u64().unwrap() > 100, "{report}");
    }
}

#[test]
fn weather_of_all_kinds_is_sound() {
    for (line, figure, least) in [
        ("unicast --streams 10 --rate 300 --seconds 0.3 --publishers 3", "deliveries", 90),
        ("churn --streams 20 --churn 60 --rate 100 --seconds 1", "left_and_came_back", 10),
        ("slow --streams 10 --slow-share 0.3 --rate 100 --seconds 1", "deliveries", 900),
        (
            "mixed --streams 15 --rate 200 --seconds 2 --cut-every 0.7 --flood-every 0.9 --churn 10",
            "cuts_of_all",
            1,
        ),
        (
            "soak --streams 10 --rate 200 --seconds 1.2 --cut-every 0 --flood-every 0.5",
            "published",
            500,
        ),
    ] {
        let report = run(Wrong::Nothing, line).unwrap();
        assert_eq!(
            (&report["sound"], &report["lost"]),
            (&true.into(), &0.into()),
            "{line} {report}"
        );
        assert!(report[figure].as_u64().unwrap() >= least, "{line} {report}");
    }
}

#[test]
fn a_stream_that_misses_something_while_it_is_away_is_found() {
    let churn = "churn --streams 20 --churn 60 --rate 100 --broadcast-share 1 --seconds 1";
    let report = run(Wrong::Loses(3), churn).unwrap();
    assert!(report["sound"] == false && report["lost"].as_u64().unwrap() > 0, "{report}");
}

#[test]
fn the_highest_rate_is_searched() {
    let line = "flood --streams 3 --rate 20 --seconds 0.2 --highest 50 --time-limit 20";
    let report = run(Wrong::Nothing, line).unwrap();
    assert!(report["sound"] == true && report["rates_tried"].as_u64().unwrap() > 1, "{report}");
    assert!(report["to_last_receiver_p99"].as_f64().unwrap() <= 50_000.0, "{report}");
}

#[test]
fn faults_are_found() {
    for (wrong, figure) in [
        (Wrong::Loses(3), "lost"),
        (Wrong::Swaps(3), "disordered"),
        (Wrong::Ends(3), "streams_ended_by_server"),
        (Wrong::Cuts(3), "streams_ended_by_server"),
        (Wrong::Unnamed(3), "disordered"),
        (Wrong::Repeats(3), "repeated"),
        (Wrong::Repeats(3), "disordered"),
        (Wrong::Gaps(3), "gaps"),
    ] {
        let report = run(wrong, FLOOD).unwrap();
        assert!(
            report["sound"] == false && report[figure].as_u64().unwrap() > 0,
            "{wrong:?} {report}"
        );
    }
    let report = run(Wrong::Blabs, STORM).unwrap();
    assert!(report["sound"] == false && report["foreign"].as_u64().unwrap() > 0, "{report}");
}

#[test]
fn refusals_end_the_run() {
    let failure = run(Wrong::Refuses(403), "density --streams 3").unwrap_err();
    assert!(failure.to_string().ends_with("status 403"), "{failure}");
    let failure = run(Wrong::Refuses(503), "density --streams 3 --open-limit 0.5").unwrap_err();
    assert!(failure.to_string().ends_with("refused with 503"), "{failure}");
}

#[test]
fn refused_publishes_are_not_sound() {
    let report = run(Wrong::RefusesPublishes(507), FLOOD).unwrap();
    assert!(report["sound"] == false && report["publishes_refused"] == 60, "{report}");
}

#[test]
fn a_server_that_is_not_there_is_said_so() {
    let (command, run) = parse("idle --url http://127.0.0.1:1 --open-limit 0.3");
    let failure = scenario::run(&command, &run).unwrap_err();
    assert!(failure.to_string().contains("refused"), "{failure}");
}
