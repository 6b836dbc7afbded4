//! Streams when nginx is reloaded or started anew.

use super::kit::*;
use crate::nginx::Profile;

const PROFILES: [Profile; 2] = [Profile::Http, Profile::Stream];

#[test]
fn a_reload_ends_the_old_streams_after_a_while_and_takes_new_ones_at_once() {
    for profile in PROFILES {
        let front = Front::start(profile);
        let mut old = front.listen();
        let workers = front.nginx.workers();
        front.nginx.reload(&stop()).unwrap();
        let mut new = front.listen();
        front.publish("<both>");
        // An old stream goes on until it is ended.
        old.wait_for("<both>");
        new.wait_for("<both>");
        old.wait_for_the_end();
        front.publish("<new>");
        new.wait_for("<new>");
        let now = front.nginx.workers();
        assert!(!now.is_empty() && !now.iter().any(|pid| workers.contains(pid)));
    }
}

#[test]
fn a_restart_ends_all_streams_and_keeps_the_address() {
    for profile in PROFILES {
        let mut front = Front::start(profile);
        let (old, address, master) = (front.listen(), front.address(), front.nginx.pid());
        front.nginx.restart(&stop()).unwrap();
        old.wait_for_the_end();
        assert_eq!(front.address(), address);
        assert_ne!(front.nginx.pid(), master);
        let mut new = front.listen();
        front.publish("<new>");
        new.wait_for("<new>");
    }
}

#[test]
fn nothing_of_nginx_is_left_behind() {
    let front = Front::start(Profile::Http);
    let listener = front.listen();
    let processes = [front.nginx.workers(), vec![front.nginx.pid()]].concat();
    let directory = front.nginx.error_log();
    drop(front);
    listener.wait_for_the_end();
    for pid in processes {
        let end = std::time::Instant::now() + PATIENCE;
        while std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty()) {
            assert!(std::time::Instant::now() < end, "process {pid} is left");
        }
    }
    assert!(!directory.parent().unwrap().exists());
}
