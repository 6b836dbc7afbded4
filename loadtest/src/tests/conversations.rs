//! The scenarios about members of conversations, with the real server: sound as it is, and not where
//! somebody else changes the lists, or the users are away for too long.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::{parse, rill};
use crate::child::Child;
use crate::conversations::{Conversations, EVERYBODY};
use crate::failure::Failure;
use crate::scenario;
use crate::subject::{Kind, Subject};

/// Runs a scenario against a server of its own.
fn run(line: &str) -> Value {
    let (command, run) = parse(&format!("{line} --threads 2 --server {}", rill().display()));
    let report = scenario::run(&command, &run).unwrap();
    serde_json::from_str(&report.json()).unwrap()
}

const CONVERSATION: &str =
    "conversation --members 40 --connections 20 --seconds 0.5 --lists 2 --changes 5";

#[test]
fn a_conversation_is_sound() {
    for options in ["--rate 100", "--rate 0 --jwt hs256"] {
        let report = run(&format!("{CONVERSATION} {options}"));
        assert_eq!((&report["sound"], &report["joined_and_left"]), (&true.into(), &5.into()));
        let published = report["published"].as_u64().unwrap();
        assert!(published >= 50 || options.contains("jwt") && published > 0, "{report}");
        assert_eq!(report["deliveries"], (published + 10) * 20, "{report}");
        for figure in ["rss_of_list", "first_list_put", "user_put_p99", "to_last_receiver_p99"] {
            assert!(report[figure].is_number(), "{figure} {report}");
        }
    }
}

/// A conversation whose list somebody else changes all the time.
fn meddled(meddle: impl Fn(&mut Conversations) -> Result<(), Failure> + Sync) -> Value {
    let data = tempfile::tempdir().unwrap();
    let mut server = Command::new(rill());
    server.args(["serve", "--dev", "--listen", "127.0.0.1:0", "--data-dir"]).arg(data.path());
    let server = Child::start(&mut server).unwrap();
    let (_, run) = parse("idle");
    let endpoint = server.listener(&run.stop, |_| true).unwrap();
    let line = format!("{CONVERSATION} --rate 100 --patience 0.5 --url {endpoint}");
    let target = Subject::attach(Kind::RillService, endpoint, 1, &run).unwrap().target;
    let over = AtomicBool::new(false);
    let report = thread::scope(|scope| {
        let meddler = scope.spawn(|| {
            let mut conversations = Conversations::connect(&target)?;
            while !over.load(Ordering::Relaxed) {
                meddle(&mut conversations)?;
                thread::sleep(Duration::from_millis(5));
            }
            Ok::<_, Failure>(())
        });
        let (command, run) = parse(&line);
        let report = scenario::run(&command, &run);
        over.store(true, Ordering::Relaxed);
        meddler.join().unwrap().unwrap();
        report.unwrap()
    });
    serde_json::from_str(&report.json()).unwrap()
}

#[test]
fn a_member_who_misses_events_is_found() {
    let report = meddled(|conversations| conversations.remove(EVERYBODY, 3));
    assert!(report["sound"] == false && report["lost"].as_u64().unwrap() > 0, "{report}");
}

#[test]
fn a_guest_who_hears_more_than_his_is_found() {
    let report = meddled(|conversations| conversations.add(EVERYBODY, 20));
    assert_eq!((&report["sound"], &report["lost"]), (&false.into(), &0.into()), "{report}");
    assert!(report["heard_after_leaving"].as_u64().unwrap() > 0, "{report}");
}

#[test]
fn who_is_back_in_time_has_not_left_and_who_leaves_has() {
    let report = run("presence --connections 30 --group 4 --leave 0.2 --before 0.2");
    assert_eq!(report["sound"], true, "{report}");
    for (figure, count) in [
        ("conversations", 8),
        ("online_at_first_connect", 30),
        ("online_after_return", 0),
        ("offline_after_return", 0),
        ("offline_after_leaving", 6),
    ] {
        assert_eq!(report[figure], count, "{figure} {report}");
    }
    assert!(report["deliveries"].as_u64().unwrap() > 100, "{report}");
}

#[test]
fn who_is_away_for_too_long_has_left() {
    let report = run("presence --connections 10 --away 5.5 --leave 0 --before 0 --cut close");
    assert_eq!((&report["sound"], &report["lost"]), (&false.into(), &0.into()), "{report}");
    let told = (&report["offline_after_return"], &report["online_after_return"]);
    assert_eq!(told, (&10.into(), &10.into()), "{report}");
}
