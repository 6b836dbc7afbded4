//! What an embedding program says reaches the streams byte for byte as what its endpoint takes.

mod support;

use std::future::Future;
use std::net::SocketAddr;

use rill::config::Config;
use rill::cursor::Cursor;
use rill::event::Name;
use rill::http::Front;
use rill::http::listen::Address;
use rill::hub::{Hub, Refused, SendError};
use rill::json::JsonError;
use rill::members::{Change, Group};
use rill::node::Node;
use rill::notification::{Kind, Notification};
use rill::update::Action;
use serde_json::{Value, json};
use support::*;
use tokio::runtime::Runtime;

/// A program that embeds Rill and has no routes of its own.
struct Program {
    runtime: Runtime,
    node: Node,
    address: SocketAddr,
    _front: Front,
}

impl Program {
    fn start() -> Program {
        let settings = [("dev", "true"), ("listen", "127.0.0.1:0"), ("log.store", "memory")];
        let config = Config::of(settings).expect("settings");
        let runtime = Runtime::new().expect("a runtime");
        let (node, address, front) = runtime.block_on(async {
            let node = Node::start(&config).expect("a node");
            let listeners = node.listeners().expect("listeners");
            let Address::Tcp(address) = *listeners[0].address() else { panic!("no port") };
            let front = node.server().listen(listeners).expect("a front");
            (node, address, front)
        });
        Program { runtime, node, address, _front: front }
    }

    fn hub(&self) -> &Hub {
        self.node.hub()
    }

    #[track_caller]
    fn sent(&self, sending: impl Future<Output = Result<Cursor, SendError>>) -> String {
        self.runtime.block_on(sending).expect("it is sent").to_string()
    }

    #[track_caller]
    fn posted(&self, path: &str, body: Value) -> String {
        let request = post(path, body.to_string()).bearer(&publisher());
        Peer::tcp(self.address).exchange(&request).accepted().0
    }

    #[track_caller]
    fn stream(&self, user: &str) -> Stream {
        self.stream_at("/api/sse", user)
    }

    #[track_caller]
    fn stream_at(&self, path: &str, user: &str) -> Stream {
        let request = get(path).bearer(&support::user(user));
        Stream::open(Peer::tcp(self.address), &request)
    }
}

fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

/// The same event was sent twice, first by a function and then to its endpoint.
#[track_caller]
fn assert_alike(stream: &mut Stream, sent: &str, posted: &str) {
    let (ours, theirs) = (stream.assert_next(sent), stream.assert_next(posted));
    assert_eq!(ours.raw.replace(sent, "$id"), theirs.raw.replace(posted, "$id"));
}

/// What needs to be escaped, and a number that no float can hold.
fn data() -> Value {
    json!({ "text": "a \"b\"\n\u{2028}é", "number": 12345678901234567890_u64, "list": [null, 1.5] })
}

#[test]
fn to_a_user() {
    let program = Program::start();
    let (mut ann, mut bob) = (program.stream("ann"), program.stream("bob"));
    let sent = program.hub().send_event_to_user(&name("ann"), &name("message:new"), &data());
    let sent = program.sent(sent);
    let body = json!({ "event": "message:new", "data": data(), "userId": "ann" });
    assert_alike(&mut ann, &sent, &program.posted("/api/events", body));
    // It was not for bob.
    let last = program.sent(program.hub().broadcast_message(&name("last"), &()));
    bob.assert_next(&last).assert(Some(&last), "last", "null");
}

#[test]
fn to_a_conversation() {
    let program = Program::start();
    let join = Change::Replace(vec![name("ann")]);
    let joined = program.node.hub().change_members(Group::Conversation(name("conv/1")), join);
    program.runtime.block_on(joined).expect("it is changed");
    let mut streams = ["ann", "bob"].map(|user| program.stream_at("/sse/connect", user));
    let sent = program.hub().broadcast_to_conversation(&name("conv/1"), &name("m:new"), &data());
    let sent = program.sent(sent);
    let body = json!({ "event": "m:new", "data": data(), "conversationId": "conv/1" });
    assert_alike(&mut streams[0], &sent, &program.posted("/api/events", body));
    // It was not for bob.
    let last = program.sent(program.hub().broadcast_message(&name("last"), &()));
    streams[1].assert_next(&last);
}

#[test]
fn to_everyone() {
    let program = Program::start();
    let mut streams = [program.stream("ann"), program.stream("bob")];
    let sent = program.sent(program.hub().broadcast_message(&name("system-update"), &data()));
    let body = json!({ "event": "system-update", "data": data(), "broadcast": true });
    let posted = program.posted("/api/sse", body);
    streams.iter_mut().for_each(|stream| assert_alike(stream, &sent, &posted));
}

#[test]
fn to_some_users() {
    let program = Program::start();
    let mut streams = [program.stream("ann"), program.stream("bob")];
    let users = [name("ann"), name("bob"), name("ann")];
    let sent = program.sent(program.hub().send_to_users(&name("notification"), &data(), &users));
    let body = json!({ "event": "notification", "data": data(), "userIds": ["ann", "bob"] });
    let posted = program.posted("/api/sse", body);
    streams.iter_mut().for_each(|stream| assert_alike(stream, &sent, &posted));
}

#[test]
fn a_notification_to_a_user() {
    let program = Program::start();
    let mut ann = program.stream("ann");
    let (title, message) = ("Welcome!", "Welcome to our platform");
    let sent = program.hub().send_notification(&name("ann"), title, message, Kind::Success);
    let sent = program.sent(sent);
    let body = json!({ "title": title, "message": message, "notificationType": "success",
                       "userId": "ann" });
    assert_alike(&mut ann, &sent, &program.posted("/api/notifications", body));
}

#[test]
fn a_notification_to_everyone_or_one() {
    let program = Program::start();
    let (mut ann, mut bob) = (program.stream("ann"), program.stream("bob"));
    for kind in Kind::ALL {
        let notification = Notification::new(kind, "M");
        let sent = program.sent(program.hub().broadcast_notification(&notification, None));
        let body = json!({ "message": "M", "notificationType": kind.as_str(), "broadcast": true });
        let posted = program.posted("/api/notifications", body);
        assert_alike(&mut ann, &sent, &posted);
        assert_alike(&mut bob, &sent, &posted);
    }
    let notification = Notification::new(Kind::Info, "M").titled("T");
    let notification = Notification { duration: std::time::Duration::ZERO, ..notification };
    let bobs = name("bob");
    let sent = program.sent(program.hub().broadcast_notification(&notification, Some(&bobs)));
    let body = json!({ "message": "M", "title": "T", "duration": 0, "userId": "bob" });
    assert_alike(&mut bob, &sent, &program.posted("/api/notifications", body));
    let last = program.sent(program.hub().broadcast_message(&name("last"), &()));
    ann.assert_next(&last);
}

#[test]
fn an_update() {
    let program = Program::start();
    let mut ann = program.stream("ann");
    for action in Action::ALL {
        let sent = program.hub().broadcast_update(&name("order"), action, &data());
        let sent = program.sent(sent);
        let body = json!({ "entity": "order", "action": action.as_str(), "payload": data(),
                           "broadcast": true });
        assert_alike(&mut ann, &sent, &program.posted("/api/updates", body));
    }
}

#[test]
fn an_event_is_on_its_way_whether_or_not_anyone_waits() {
    let program = Program::start();
    let mut ann = program.stream("ann");
    drop(program.hub().broadcast_message(&name("first"), &1));
    assert_eq!(ann.next().name(), "first");
}

#[test]
fn what_is_not_sent() {
    let program = Program::start();
    let mut ann = program.stream("ann");
    let refused = |sending: Result<Cursor, SendError>| sending.expect_err("a refusal");
    let run = |event: &str, data: &Value| {
        refused(program.runtime.block_on(program.hub().broadcast_message(&name(event), data)))
    };
    assert_eq!(run("connected", &json!(1)), SendError::Reserved(name("connected")));
    let deep = (0..129).fold(json!(1), |inner, _| json!([inner]));
    assert_eq!(run("deep", &deep), SendError::Data(JsonError::TooDeep));
    let nobody = program.hub().send_to_users(&name("e"), &1, &[]);
    assert_eq!(refused(program.runtime.block_on(nobody)), SendError::Nobody);
    let last = program.sent(program.hub().broadcast_message(&name("last"), &1));
    ann.assert_next(&last);
    drop(ann);

    let until = std::time::Instant::now() + PATIENCE;
    program.runtime.block_on(program.hub().drain(until));
    assert_eq!(run("late", &json!(1)), SendError::Refused(Refused::Draining));
}
