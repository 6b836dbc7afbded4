//! nginx takes what is shipped, and every change of it.

use super::kit::*;
use crate::endpoint::Endpoint;
use crate::failure::Failure;
use crate::nginx::{Change, Nginx, Profile};

const PROFILES: [Profile; 2] = [Profile::Http, Profile::Stream];

fn start(profile: Profile, change: Option<&Change>, upstream: &str) -> Result<Nginx, Failure> {
    let upstream: Endpoint = upstream.parse().unwrap();
    Nginx::start(profile, change, &upstream, &stop())
}

#[test]
fn nginx_takes_the_profiles_with_both_kinds_of_sockets() {
    for profile in PROFILES {
        for upstream in ["unix:/nowhere/rill.sock", "http://127.0.0.1:1"] {
            start(profile, None, upstream).unwrap();
        }
    }
}

#[test]
fn nginx_takes_every_change() {
    for profile in PROFILES {
        for change in profile.changes() {
            let nginx = start(profile, Some(change), "unix:/nowhere/rill.sock");
            assert!(nginx.is_ok(), "{}: {}", change.name, nginx.err().unwrap());
        }
    }
}

#[test]
fn what_nginx_does_not_take_is_quoted() {
    let odd =
        Change { name: "", from: "worker_processes auto;", to: "worker_processes of_course;" };
    for profile in PROFILES {
        let failure = start(profile, Some(&odd), "unix:/nowhere/rill.sock").err().unwrap();
        assert!(failure.to_string().contains("\"worker_processes\" directive"), "{failure}");
    }
}

#[test]
fn the_stream_profile_ends_tls_when_it_is_told_to() {
    let tls = shipped_change(Profile::Stream, "TLS");
    let front = Front::with(Profile::Stream, Some(tls));
    let url = front.url("/system/status").replace("http://", "https://");
    let output = run(front.curl(&["-w", "%{http_version}"]).arg(url));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.starts_with('{') && said.ends_with("1.1"), "{said}");
}
