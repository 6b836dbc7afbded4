//! A backend is told who comes online and goes offline: in order, signed, at least once.

mod support;

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use support::receiver::{Post, Receiver, Reply, SIGNED_WITH};
use support::*;

const STREAM: &str = "/notifications/stream";
const GRACE: Duration = Duration::from_secs(5);

/// The receiver of the README, under node.
struct Sample {
    node: Child,
    address: SocketAddr,
    said: PathBuf,
}

impl Sample {
    fn start(directory: &Path) -> Self {
        let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md"));
        let readme = readme.expect("a README");
        let (_, rest) = readme.split_once("A receiver in Node").expect("the sample");
        let (_, rest) = rest.split_once("```js\n").expect("its code");
        let (code, _) = rest.split_once("```").expect("its end");
        let (module, said) = (directory.join("receiver.mjs"), directory.join("said"));
        fs::write(&module, code).expect("a file");
        // A port that was free a moment ago.
        let address = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
        let address = address.expect("an address");
        let mut node = Command::new("node");
        node.arg(module).env("SECRET", SIGNED_WITH).env("PORT", address.port().to_string());
        node.stdout(File::create(&said).expect("a file"));
        let sample = Self { node: node.spawn().expect("node runs"), address, said };
        eventually(PATIENCE, "it listens", || TcpStream::connect(address).is_ok());
        sample
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.said).expect("its output")
    }
}

impl Drop for Sample {
    fn drop(&mut self) {
        // Both fail only for a process that is gone already.
        let _ = self.node.kill();
        let _ = self.node.wait();
    }
}

/// The value of a metric, 0 while it is not there.
fn metric(server: &Server, name: &str) -> u64 {
    let metrics = server.send(&get("/metrics")).text().into_owned();
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map_or(0, |value| value.parse().expect("a number"))
}

fn come(server: &Server, id: &str) -> Stream {
    server.stream(STREAM, &user(id))
}

#[test]
fn a_backend_is_told_and_knows_by_whom() {
    let receiver = Receiver::start();
    let server = receiver.setup().start();
    let _stranger = server.open(&get("/api/sse"));
    let (first, second) = (come(&server, "ann"), come(&server, "ann"));
    receiver.wait_for(&["+ann"], ONE_SECOND);
    let post = receiver.all().remove(0);
    assert_eq!(post.line, "POST /hook?key=K HTTP/1.1");
    assert_eq!(post.field("content-type"), "application/json");
    assert!(post.field("webhook-id").starts_with("msg_"), "{post:?}");
    let json = post.json();
    let (time, id) = (json["timestamp"].as_str(), json["events"][0]["id"].as_str());
    let (time, id) = (time.expect("a time"), id.expect("an id"));
    assert_timestamp(time);
    let expected = format!(
        r#"{{"type":"presence","timestamp":"{time}","events":[{{"id":"{id}","type":"user.online","userId":"ann","timestamp":"{time}"}}]}}"#
    );
    assert_eq!(post.body, expected);
    drop(first);
    let closed = Instant::now();
    drop(second);
    receiver.wait_for(&["+ann", "-ann"], GRACE + ONE_SECOND);
    let elapsed = receiver.all()[1].at - closed;
    assert!((GRACE * 9 / 10..GRACE + ONE_SECOND).contains(&elapsed), "{elapsed:?}");
    let _again = come(&server, "ann");
    receiver.wait_for(&["+ann", "-ann", "+ann"], ONE_SECOND);
    receiver.assert_signed();
    eventually(ONE_SECOND, "all are counted", || {
        metric(&server, r#"rill_webhook_events_total{outcome="delivered"}"#) == 3
            && metric(&server, "rill_webhook_events_waiting") == 0
    });
}

#[test]
fn what_is_not_taken_is_sent_again_as_the_same_message() {
    let receiver = Receiver::start();
    let error = Reply::Answer("500 Internal Server Error\r\n".into());
    receiver.script([error, Reply::Hang, Reply::Close]);
    let server = receiver.setup().start();
    let _ann = come(&server, "ann");
    eventually(ONE_SECOND, "a first attempt", || !receiver.all().is_empty());
    // Nothing overtakes it.
    let _bob = come(&server, "bob");
    receiver.wait_for(&["+ann", "+bob"], PATIENCE * 2);
    let posts = receiver.all();
    assert_eq!(posts.len(), 5);
    for repeat in &posts[1..4] {
        assert_eq!(repeat.field("webhook-id"), posts[0].field("webhook-id"));
        assert_eq!(repeat.body, posts[0].body);
    }
    assert_ne!(posts[4].field("webhook-id"), posts[0].field("webhook-id"));
    let time = |post: &Post| post.field("webhook-timestamp").parse::<u64>().expect("seconds");
    assert!(time(&posts[3]) > time(&posts[0]), "the time is that of the attempt");
    receiver.assert_signed();
    eventually(ONE_SECOND, "what is counted", || {
        metric(&server, "rill_webhook_attempts_failed_total") == 3
    });
}

#[test]
fn a_redirect_is_not_followed_and_a_receiver_may_ask_for_time() {
    let receiver = Receiver::start();
    let elsewhere = format!("http://{}/elsewhere", receiver.address);
    receiver.script([
        Reply::Answer(format!("307 Temporary Redirect\r\nLocation: {elsewhere}\r\n")),
        Reply::Answer("429 Too Many Requests\r\nRetry-After: 4\r\n".into()),
        Reply::Answer("410 Gone\r\n".into()),
    ]);
    let server = receiver.setup().start();
    let _ann = come(&server, "ann");
    receiver.wait_for(&["+ann"], PATIENCE * 2);
    let posts = receiver.all();
    assert_eq!(posts.len(), 4);
    assert!(posts.iter().all(|post| post.line.starts_with("POST /hook")), "{posts:?}");
    let asked = posts[2].at - posts[1].at;
    assert!(asked >= Duration::from_secs(4), "{asked:?}");
}

#[test]
fn hundreds_who_come_back_at_once_come_in_batches_and_nobody_goes() {
    const USERS: usize = 300;
    let receiver = Receiver::start();
    let setup = receiver.setup().env("RILL_WEBHOOKS_BATCH", "40");
    let server = setup.env("RILL_WEBHOOKS_BATCH_DELAY", "1s").start();
    let all_come = || (0..USERS).map(|n| come(&server, &format!("u{n}"))).collect::<Vec<_>>();
    let streams = all_come();
    eventually(PATIENCE, "everyone", || receiver.events().len() >= USERS);
    assert_eq!(server.connections(), USERS as u64);
    drop(streams);
    server.wait_for_connections(0, FIVE_SECONDS);
    let streams = all_come();
    thread::sleep(GRACE + ONE_SECOND);
    let _last = come(&server, "last");
    eventually(PATIENCE, "the last", || receiver.events().contains(&"+last".to_owned()));
    let events = receiver.events();
    let expected: Vec<String> =
        (0..USERS).map(|n| format!("+u{n}")).chain(["+last".to_owned()]).collect();
    assert_eq!(events, expected);
    let sizes: Vec<usize> = receiver.taken().iter().map(|post| post.events().len()).collect();
    assert!(sizes.iter().all(|size| *size <= 40), "{sizes:?}");
    assert!(sizes.iter().filter(|size| **size == 40).count() >= USERS / 40 - 2, "{sizes:?}");
    drop(streams);
}

#[test]
fn a_reload_is_no_news_and_each_users_events_are_in_order() {
    let receiver = Receiver::start();
    let server = receiver.setup().start();
    let mut ann = come(&server, "ann");
    drop(come(&server, "bob"));
    for _ in 0..5 {
        drop(ann);
        thread::sleep(Duration::from_millis(100));
        ann = come(&server, "ann");
    }
    receiver.wait_for(&["+ann", "+bob", "-bob"], GRACE + ONE_SECOND);
    // Back and forth while nobody takes it, and not a step is left out.
    receiver.always(Some(Reply::Close));
    for _ in 0..2 {
        drop(come(&server, "bob"));
        thread::sleep(GRACE + ONE_SECOND / 2);
    }
    receiver.always(None);
    let all = ["+ann", "+bob", "-bob", "+bob", "-bob", "+bob", "-bob"];
    receiver.wait_for(&all, PATIENCE * 2);
}

#[test]
fn what_waits_outlasts_a_crash_and_whoever_does_not_return_is_offline() {
    let receiver = Receiver::start();
    receiver.always(Some(Reply::Close));
    let setup = receiver.setup().env("RILL_DRAIN_TIMEOUT", "100ms");
    let server = setup.start();
    let _streams = ["ann", "bob"].map(|id| come(&server, id));
    eventually(PATIENCE, "both wait", || metric(&server, "rill_webhook_events_waiting") == 2);
    let tried = receiver.all().len();
    eventually(PATIENCE, "they are tried", || receiver.all().len() > tried);
    let setup = server.crash();
    receiver.always(None);
    let server = setup.start();
    receiver.wait_for(&["+ann", "+bob"], PATIENCE);
    let restarted = Instant::now();
    let presence = |id: &str| {
        let answer = server.send(&get(&format!("/presence/{id}")).bearer(&publisher())).json();
        (answer["online"].as_bool(), answer["connections"].as_u64())
    };
    assert_eq!(presence("bob"), (Some(true), Some(0)));
    let _ann = come(&server, "ann");
    let _cid = come(&server, "cid");
    receiver.wait_for(&["+ann", "+bob", "+cid"], ONE_SECOND);
    // 30 s after the time of the drain.
    receiver.wait_for(&["+ann", "+bob", "+cid", "-bob"], Duration::from_secs(33));
    assert!(restarted.elapsed() > Duration::from_secs(25), "{:?}", restarted.elapsed());
    assert_eq!(presence("bob"), (Some(false), Some(0)));
    assert_eq!(presence("ann"), (Some(true), Some(1)));
    let ids: Vec<String> = receiver.taken().iter().flat_map(Post::ids).collect();
    let mut sorted = ids.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!(sorted.len(), ids.len(), "every event has an id of its own");
    receiver.assert_signed();
}

#[test]
fn a_message_that_a_crash_interrupted_is_the_same_after_it() {
    let receiver = Receiver::start();
    receiver.always(Some(Reply::Hang));
    let server = receiver.setup().env("RILL_WEBHOOKS_TIMEOUT", "60s").start();
    let _ann = come(&server, "ann");
    eventually(PATIENCE, "it is sent", || receiver.all().len() == 1);
    let setup = server.crash();
    receiver.always(None);
    let _server = setup.start();
    receiver.wait_for(&["+ann"], PATIENCE);
    let posts = receiver.all();
    assert_eq!(posts[1].field("webhook-id"), posts[0].field("webhook-id"));
    assert_eq!(posts[1].body, posts[0].body);
}

#[test]
fn a_restart_sends_nobody_offline_and_nobody_online_again() {
    let receiver = Receiver::start();
    let server = receiver.setup().start();
    let streams = ["ann", "bob", "cid"].map(|id| come(&server, id));
    receiver.wait_for(&["+ann", "+bob", "+cid"], ONE_SECOND);
    let server = server.stop().start();
    drop(streams);
    let _streams = ["ann", "bob", "cid"].map(|id| come(&server, id));
    thread::sleep(GRACE + ONE_SECOND);
    let _dan = come(&server, "dan");
    receiver.wait_for(&["+ann", "+bob", "+cid", "+dan"], ONE_SECOND);
}

#[test]
fn what_nobody_takes_for_too_long_is_given_up() {
    let receiver = Receiver::start();
    receiver.always(Some(Reply::Close));
    let server = receiver.setup().env("RILL_WEBHOOKS_RETRY_FOR", "1s").start();
    let _ann = come(&server, "ann");
    eventually(PATIENCE, "it is given up", || {
        metric(&server, r#"rill_webhook_events_total{outcome="given_up"}"#) == 1
    });
    assert!(server.log().contains("giving up webhook events"), "{}", server.log());
    receiver.always(None);
    let _bob = come(&server, "bob");
    receiver.wait_for(&["+bob"], ONE_SECOND);
}

#[test]
fn the_server_ends_in_time_while_its_receiver_hangs() {
    let receiver = Receiver::start();
    receiver.always(Some(Reply::Hang));
    let server = receiver.setup().env("RILL_WEBHOOKS_TIMEOUT", "60s").start();
    let ann = come(&server, "ann");
    eventually(PATIENCE, "it is sent", || receiver.all().len() == 1);
    drop(ann);
    let asked = Instant::now();
    server.stop();
    assert!(asked.elapsed() < PATIENCE, "{:?}", asked.elapsed());
}

#[test]
fn neither_the_secret_nor_a_key_in_the_url_is_told_to_anyone() {
    const KEY: &str = "canary731Zq7xWv";
    let receiver = Receiver::start();
    receiver.script([Reply::Close, Reply::Answer("500 No\r\n".into())]);
    let url = format!("http://{}/hook?key={KEY}", receiver.address);
    let setup = receiver.setup().env("RILL_WEBHOOKS_URL", &url);
    let server = setup.flags(&["--log-level", "trace"]).start();
    let _ann = come(&server, "ann");
    receiver.wait_for(&["+ann"], PATIENCE);
    let checked = server.setup().run(&["check-config", "--dev"]);
    assert!(checked.status.success(), "{checked:?}");
    let checked = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(checked.contains("# url is set\n# secret is set\n"), "{checked}");
    let metrics = server.send(&get("/metrics")).text().into_owned();
    assert!(server.log().contains("a webhook was not taken"), "{}", server.log());
    for said in [server.log(), server.stdout(), checked, metrics] {
        assert!(!said.contains(KEY) && !said.contains(&SIGNED_WITH[6..]), "{said}");
    }
}

#[test]
fn a_secret_that_is_none_is_refused_and_not_shown() {
    let receiver = Receiver::start();
    let padded = format!("whsec_{}", "A".repeat(40));
    for secret in ["too-short-canary", "whsec_Y2FuYXJ5", &SIGNED_WITH[6..], &padded] {
        let output = receiver.setup().env("RILL_WEBHOOKS_SECRET", secret).output();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("webhooks.secret: the secret ") && !said.contains(secret), "{said}");
    }
    let unsigned = receiver.setup().env("RILL_WEBHOOKS_SECRET", "").output();
    assert_eq!(unsigned.status.code(), Some(1), "{unsigned:?}");
}

#[test]
fn the_readme_tells_how_to_receive() {
    let setup = rill();
    let directory = tempfile::tempdir().expect("a directory");
    let sample = Sample::start(directory.path());
    let url = format!("http://{}/", sample.address);
    let setup = setup.env("RILL_WEBHOOKS_URL", &url).env("RILL_WEBHOOKS_SECRET", SIGNED_WITH);
    let server = setup.start();
    drop(come(&server, "ann"));
    let told = "user.online ann\nuser.offline ann\n";
    eventually(GRACE + ONE_SECOND, "it is told", || sample.said() == told);

    let forged = post("/", r#"{"events":[{"type":"user.online","userId":"eve"}]}"#);
    let forged = forged.field("webhook-id", "msg_1").field("webhook-timestamp", "1");
    for signature in ["v1,", "", &format!("v1,{}=", "A".repeat(43))] {
        let forged = forged.clone().field("webhook-signature", signature);
        assert_eq!(connect_from(1, sample.address).exchange(&forged).status(), 401);
    }
    assert_eq!(sample.said(), told);
}
