//! A full disk: 507, nothing half-written, streams go on, and publishing does too once there is space.

mod support;

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use support::*;

const SIZE: &str = "24m";
const ROOM: u64 = 1024 * 1024;

/// A small file system in a mount namespace of its own, seen through `/proc`; it goes with the process that holds it.
struct SmallDisk {
    holder: Child,
    root: PathBuf,
}

impl SmallDisk {
    /// None where mounting is impossible.
    fn mount(at: PathBuf) -> Option<Self> {
        fs::create_dir(&at).expect("a place to mount at");
        let script =
            format!("mount -t tmpfs -o size={SIZE} rill \"$0\" && echo mounted && exec cat");
        let mut holder = Command::new("unshare")
            .args(["--mount", "--map-root-user", "sh", "-c", &script])
            .arg(&at)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .ok()?;
        let mut line = String::new();
        BufReader::new(holder.stdout.as_mut()?).read_line(&mut line).ok()?;
        let inside = at.strip_prefix("/").expect("an absolute path");
        let disk = Self {
            root: PathBuf::from(format!("/proc/{}/root", holder.id())).join(inside),
            holder,
        };
        (line == "mounted\n").then_some(disk)
    }

    fn filler(&self) -> PathBuf {
        self.root.join("filler")
    }

    /// Takes all that is left but for a little room.
    fn fill(&self) {
        let mut filler = File::create(self.filler()).expect("a file");
        while filler.write_all(&[0; 64 * 1024]).is_ok() {}
        let full = filler.metadata().expect("its length").len();
        filler.set_len(full - ROOM).expect("some room");
    }

    fn free(&self) {
        fs::remove_file(self.filler()).expect("the filler goes");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Both fail only for a process that is gone already.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

fn message(n: usize) -> String {
    format!("{n} {}", "x".repeat(4000))
}

fn publish(server: &Server, n: usize) -> Response {
    let body = serde_json::json!({ "userId": "ann", "message": message(n) });
    server.post("/notifications/send", DEMO, body)
}

/// How the server ends before what it kept is looked at.
type End = fn(Server) -> Setup;

#[test]
fn a_full_disk_stops_publishing_and_nothing_else() {
    fill_and_free("fsync", Server::crash);
}

#[test]
fn what_was_answered_before_the_disk_had_it_outlasts_a_full_disk() {
    fill_and_free("interval", Server::stop);
}

fn fill_and_free(durability: &str, end: End) {
    let setup = rill().env("RILL_LOG_DURABILITY", durability);
    let Some(disk) = SmallDisk::mount(setup.path("small")) else {
        eprintln!("skipped: no tmpfs can be mounted here");
        return;
    };
    let server = setup.data_dir(&disk.root.join("data")).start();
    let start = server.notify("ann", "the start");
    let mut stream = server.resume(&user("ann"), &start);
    let mut chat = server.stream("/chat/stream?room=r", &user("bob"));
    let mut acknowledged: Vec<_> = (0..10).map(|n| publish(&server, n).published().0).collect();

    disk.fill();
    // A log that is opened again after a refusal may have found a little room.
    for _ in 0..3 {
        let refused = loop {
            let response = publish(&server, acknowledged.len());
            if response.status() != 200 {
                break response;
            }
            acknowledged.push(response.published().0);
            assert!(acknowledged.len() < 10_000, "the disk does not fill");
        };
        refused.assert_problem(507);
    }

    for id in &acknowledged {
        stream.assert_next(id);
    }
    server.send(&get("/healthz")).assert_status(200);
    assert_eq!(server.connections(), 2);
    server.post("/chat/typing", &user("ann"), r#"{"roomId":"r"}"#).assert_status(200);
    assert_eq!(chat.next().name(), "typing");
    let mut replayed = server.resume(&user("ann"), &start);
    for id in &acknowledged {
        replayed.assert_next(id);
    }

    disk.free();
    eventually(PATIENCE, "publishing with space", || {
        let response = publish(&server, acknowledged.len());
        let published = response.status() == 200;
        if published {
            acknowledged.push(response.published().0);
        } else {
            assert!(matches!(response.status(), 503 | 507), "{response:?}");
        }
        published
    });
    stream.assert_next(acknowledged.last().expect("one at least"));

    let server = end(server).start();
    let mut kept = server.resume(&user("ann"), &start);
    for (n, id) in acknowledged.iter().enumerate() {
        assert_eq!(kept.assert_next(id).text("message"), message(n));
    }
    publish(&server, 0).published();
}
