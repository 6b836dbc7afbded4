//! Names (user, room, entity, client) come from strangers: none may break the wire, the log or a terminal.

mod support;

use serde_json::json;
use support::*;

/// CR, LF, NUL, other control characters and format characters (Unicode Cc and Cf), each inside a name.
const BAD: [&str; 16] = [
    "a\nb",
    "a\rb",
    "a\r\nevent: forged\ndata: x\n\nb",
    "a\0b",
    "\t",
    "a\u{1b}[2Jb",
    "a\u{7f}b",
    "a\u{85}b",
    "a\u{ad}b",
    "a\u{200b}b",
    "a\u{200d}b",
    "a\u{202e}b",
    "a\u{2066}b",
    "\u{feff}a",
    "a\u{e0001}b",
    "a\u{61c}b",
];

/// Names at the very limit, and names that look odd and are none the less names.
fn good() -> Vec<String> {
    let odd = [
        "a b",
        "a/b",
        "..",
        "*",
        "a:b,c",
        "\"quoted\"",
        "<b>",
        "日本語",
        "👍🏽",
        "%0A",
        "null",
        "a\u{a0}b",
        "data: x",
    ];
    odd.iter()
        .map(ToString::to_string)
        .chain(["x".repeat(128), "é".repeat(64), "👍".repeat(32)])
        .collect()
}

/// One byte too long, in one and in more bytes a character.
fn long() -> [String; 3] {
    ["x".repeat(129), format!("x{}", "é".repeat(64)), "y".repeat(5000)]
}

fn bad() -> impl Iterator<Item = String> {
    BAD.iter().map(ToString::to_string).chain(long())
}

/// Every byte escaped.
fn escaped(name: &str) -> String {
    name.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[test]
fn bad_names_in_a_query_are_400() {
    let server = Server::start();
    let mut peer = server.connect();
    for name in bad() {
        let name = escaped(&name);
        for target in [
            format!("/chat/stream?room={name}"),
            format!("/realtime/stream?entityType={name}"),
            format!("/realtime/stream?entityType=t&entityId={name}"),
            format!("/notifications/stream?client={name}"),
            format!("/notifications/stream?userId={name}"),
        ] {
            // 5000 escaped bytes are a target over 8 KiB, which is refused as such.
            if target.len() < 8000 {
                peer.exchange(&get(&target).bearer(DEMO)).assert_problem(400);
            }
        }
    }
    assert_eq!(server.connections(), 0);
}

#[test]
fn bad_names_in_a_body_are_400() {
    let server = Server::start();
    let mut peer = server.connect();
    for name in bad() {
        for (path, body) in [
            ("/notifications/send", json!({ "message": "M", "userId": name })),
            ("/notifications/send", json!({ "message": "M", "userIds": ["ann", name] })),
            (
                "/realtime/update",
                json!({ "entityType": name, "entityId": "1", "action": "updated" }),
            ),
            (
                "/realtime/update",
                json!({ "entityType": "t", "entityId": name, "action": "updated" }),
            ),
            ("/chat/send", json!({ "roomId": name, "message": "M" })),
            ("/chat/typing", json!({ "roomId": name })),
        ] {
            peer.exchange(&post(path, body.to_string()).bearer(DEMO)).assert_problem(400);
        }
    }
}

#[test]
fn a_number_of_129_digits_is_no_name() {
    let server = Server::start();
    let with = |digits: usize| format!(r#"{{"message":"M","userId":{}}}"#, "1".repeat(digits));
    server.post("/notifications/send", DEMO, with(129)).assert_problem(400);
    server.post("/notifications/send", DEMO, with(128)).assert_status(200);
}

#[test]
fn names_at_the_limit_and_odd_ones_reach_their_stream() {
    let server = Server::start();
    for (n, name) in good().into_iter().enumerate() {
        let listener = user(&format!("user{n}"));
        let mut room = server.stream(&format!("/chat/stream?room={}", escaped(&name)), &listener);
        let id = server.publish("/chat/send", DEMO, json!({ "roomId": name, "message": "M" }));
        assert_eq!(room.assert_next(&id).text("roomId"), name);

        let target = format!("/realtime/stream?entityType={0}&entityId={0}", escaped(&name));
        let mut entity = server.stream(&target, &listener);
        let body = json!({ "entityType": name, "entityId": name, "action": "updated" });
        let id = server.publish("/realtime/update", DEMO, body);
        assert_eq!(entity.assert_next(&id).text("entityId"), name);

        let target = format!("/notifications/stream?userId={0}&client={0}", escaped(&name));
        let mut user = server.stream(&target, DEMO);
        user.connected.assert_connected(Some(&name), "none", 30_000);
        let id = server.notify(&name, "M");
        assert_eq!(user.assert_next(&id).text("userId"), name);
    }
}

#[test]
fn texts_are_not_names() {
    let server = Server::start();
    let mut stream = server.stream("/notifications/stream", &user("ann"));
    for text in bad() {
        let id = server.publish(
            "/notifications/send",
            DEMO,
            json!({ "message": text, "title": text, "userId": "ann" }),
        );
        assert_eq!(stream.assert_next(&id).text("message"), text);
    }
}

#[test]
fn a_token_cannot_bring_a_bad_name() {
    let server = Server::start();
    let mut stream = server.stream("/chat/stream", DEMO);
    // A longer token is a head over 16 KiB, which is refused as such.
    for name in bad().filter(|name| name.len() < 1000) {
        let status =
            server.post("/chat/send", &user(&name), r#"{"roomId":"r","message":"M"}"#).status();
        assert!(matches!(status, 400 | 401), "{status} for {name:?}");
    }
    let id = server.publish("/chat/send", &user("ann"), r#"{"roomId":"r","message":"M"}"#);
    stream.assert_next(&id);
}
