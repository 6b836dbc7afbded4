//! What a client sends comes back in no other place than where the server puts it: no header and no line of an event
//! that the server did not write.

mod support;

use serde_json::{Value, json};
use support::tokens::{ISSUER, in_seconds};
use support::*;

const PATH: &str = "/notifications/stream";
const SEND: &str = "/notifications/send";

/// Every field that the server has in its answers.
const OWN_FIELDS: [&str; 22] = [
    "access-control-allow-credentials",
    "access-control-allow-headers",
    "access-control-allow-methods",
    "access-control-allow-origin",
    "access-control-expose-headers",
    "access-control-max-age",
    "allow",
    "cache-control",
    "connection",
    "content-length",
    "content-type",
    "date",
    "ratelimit",
    "ratelimit-policy",
    "retry-after",
    "transfer-encoding",
    "vary",
    "www-authenticate",
    "x-accel-buffering",
    "x-content-type-options",
    "keep-alive",
    "expect",
];

/// The head has fields of the server alone, each of them whole.
#[track_caller]
fn assert_own(head: &Head) {
    for (name, value) in &head.fields {
        assert!(OWN_FIELDS.contains(&name.as_str()), "{name} in {head:?}");
        assert!(!value.to_lowercase().contains("forged"), "{name} in {head:?}");
    }
}

/// An answer of the server's own making, and nothing behind it.
#[track_caller]
fn refused(server: &Server, bytes: impl AsRef<[u8]>) -> u16 {
    let mut peer = server.connect();
    peer.send(bytes);
    let response = peer.response(false);
    assert_own(&response.head);
    assert!(response.status() >= 400, "{response:?}");
    if response.head.value("content-type") == Some("application/problem+json") {
        let detail = response.detail();
        assert!(
            !detail.contains(char::is_control) && response.text().lines().count() == 1,
            "{response:?}"
        );
    }
    peer.finish();
    peer.assert_ended();
    response.status()
}

/// Ways to begin a line of one's own, once percent-decoding is through.
const BREAKS: [&str; 9] = [
    "%0d%0aX-Forged:%201",
    "%0aforged",
    "%0dforged",
    "%0d%0a%0d%0aforged",
    "%00forged",
    "%7fforged",
    "%c2%85forged",
    "%e2%80%8bforged",
    "%1bforged",
];

#[test]
fn no_name_in_a_query_has_a_line_break() {
    let server = Server::start();
    for at in [
        "/notifications/stream?userId=",
        "/notifications/stream?client=",
        "/chat/stream?room=",
        "/realtime/stream?entityType=",
        "/realtime/stream?entityType=t&entityId=",
        "/api/notifications/stream?channels=a,",
    ] {
        for forged in BREAKS {
            let target = format!("{at}a{forged}");
            assert_eq!(refused(&server, get(&target).bearer(DEMO).bytes()), 400, "{target}");
        }
    }
}

#[test]
fn no_token_in_a_query_breaks_the_challenge() {
    let server = Server::start();
    for forged in BREAKS.into_iter().chain(["%22,%20error=%22forged"]) {
        for parameter in ["token", "ticket"] {
            let target = format!("{PATH}?{parameter}=a{forged}");
            assert_eq!(refused(&server, get(&target).bytes()), 401, "{target}");
        }
    }
}

#[test]
fn no_path_has_a_line_break() {
    let server = Server::start();
    for forged in BREAKS {
        let status =
            refused(&server, get(&format!("/notifications/stream{forged}")).bearer(DEMO).bytes());
        assert!(matches!(status, 400 | 404), "{status} for {forged}");
    }
    for target in ["/a\r\nX-Forged: 1", "/a\nX-Forged: 1", "/a b", "/a\0", "/a\tb"] {
        let mut peer = server.connect();
        peer.send(get(target).bytes());
        assert_own(&peer.response(false).head);
    }
}

/// CR, LF and NUL end a field or the request; they are never a part of a value.
#[test]
fn no_field_carries_what_would_break_a_line() {
    let server = rill().env("RILL_CORS_ORIGINS", "https://app.example").start();
    for name in [
        "Origin",
        "Cookie",
        "Host",
        "X-Auth-Token",
        "Authorization",
        "Last-Event-ID",
        "Accept",
        "Sec-Fetch-Site",
        "X-Forwarded-For",
    ] {
        for value in [
            "https://app.example\rX-Forged: 1",
            "https://app.example\0X-Forged: 1",
            "a\x0bX-Forged: 1",
            "\r",
        ] {
            let request = get(PATH).without("Host").field("Host", "rill");
            let request = if name == "Host" { request.without("Host") } else { request };
            assert_eq!(
                refused(&server, request.field(name, value).bytes()),
                400,
                "{name}: {value:?}"
            );
        }
        // A line of its own is a field of its own, which nobody answers.
        let request = get(PATH);
        let request = if name == "Host" { request.without("Host") } else { request };
        let two = request.field(name, "https://app.example\r\nX-Forged: 1\r\nX-Forged: 2");
        refused(&server, two.bytes());
        // Folded lines are no more (RFC 9112 section 5.2).
        let folded = get(PATH).field("X", "a").field(name, "https://app.example\r\n X-Forged: 1");
        assert_eq!(refused(&server, folded.bytes()), 400, "{name}");
    }
}

#[test]
fn an_origin_is_given_back_only_as_it_is_listed() {
    let server = rill().env("RILL_CORS_ORIGINS", "https://app.example").start();
    for origin in [
        "https://app.example%0d%0aX-Forged: 1",
        "https://app.example\tforged",
        "https://app.example; forged",
        "forged\u{fc}",
    ] {
        for request in [get("/healthz"), get(PATH).bearer(DEMO), request("OPTIONS", PATH)] {
            let head = server.send(&request.field("Origin", origin)).head;
            assert_own(&head);
            assert_eq!(head.value("access-control-allow-origin"), None, "{origin}");
        }
    }
    let asked = request("OPTIONS", PATH).field("Origin", "https://app.example");
    let asked = asked.field("Access-Control-Request-Headers", "X-Forged");
    let asked = asked.field("Access-Control-Request-Method", "FORGED");
    assert_own(&server.send(&asked).assert_status(204).head);
}

/// The one text of a client's that a stream gives back unkept: it stands in a string of JSON.
#[test]
fn a_cursor_that_is_none_comes_back_as_a_string() {
    let server = Server::start();
    for (sent, text) in [
        ("a%0aevent:%20forged%0a%0a", "a\nevent: forged\n\n"),
        ("a%0d%0adata:%20forged", "a\r\ndata: forged"),
        ("a%0did:%201", "a\rid: 1"),
        ("%00%1b%7f", "\0\u{1b}\u{7f}"),
        ("%22%7d,%22forged%22:%22", "\"},\"forged\":\""),
        ("%5cu000aforged", "\\u000aforged"),
        ("%e2%80%a8forged%c2%85", "\u{2028}forged\u{85}"),
        ("%3c/script%3e", "</script>"),
    ] {
        let stream = server.open(&get(&format!("{PATH}?lastEventId={sent}")).bearer(DEMO));
        assert_requested(stream, text);
    }
    for (sent, text) in [
        (&b"\"},\"forged\":\""[..], "\"},\"forged\":\""),
        (b"a\\nforged", "a\\nforged"),
        (b"a\tforged", "a\tforged"),
        (b"a\xff\xfe", "a\u{fffd}\u{fffd}"),
    ] {
        assert_requested(server.open(&get(PATH).bearer(DEMO).cursor(sent)), text);
    }
}

#[track_caller]
fn assert_requested(mut stream: Stream, text: &str) {
    assert_own(&stream.head);
    let gap = stream.next();
    let at = gap.cursor();
    // Whatever the string looks like, it is one line, and it says what was sent.
    assert_eq!(gap.raw.lines().count(), 4, "{gap:?}");
    let data =
        json!({ "reason": "invalid_cursor", "requested": text, "resumedFrom": at.to_string() });
    assert_eq!(gap.json(), data);
}

const LINES: [&str; 8] = [
    "a\nevent: forged",
    "a\r\ndata: forged",
    "a\rid: 1",
    "a\n\nevent: forged\n\n",
    "a\0",
    "a\u{85}b",
    "a\u{1b}[31m",
    "\n",
];

#[test]
fn no_name_in_a_body_has_a_line_break() {
    let server = Server::start();
    for forged in LINES {
        for (path, body) in [
            ("/api/events", json!({ "event": forged, "data": 1, "broadcast": true })),
            ("/api/events", json!({ "event": "e", "data": 1, "userId": forged })),
            ("/api/events", json!({ "event": "e", "data": 1, "channels": [forged] })),
            (SEND, json!({ "message": "M", "userId": forged })),
            (SEND, json!({ "message": "M", "userIds": ["ann", forged] })),
            (
                "/realtime/update",
                json!({ "entityType": forged, "entityId": "1", "action": "updated" }),
            ),
            (
                "/realtime/update",
                json!({ "entityType": "t", "entityId": forged, "action": "updated" }),
            ),
            ("/chat/send", json!({ "roomId": forged, "message": "M" })),
            ("/chat/typing", json!({ "roomId": forged })),
        ] {
            let request = post(path, body.to_string()).bearer(DEMO);
            assert_eq!(refused(&server, request.bytes()), 400, "{body}");
        }
        // Values out of an enumeration.
        for (path, body) in [
            (SEND, json!({ "message": "M", "type": forged })),
            (SEND, json!({ "message": "M", "event": forged })),
            ("/realtime/update", json!({ "entityType": "t", "entityId": "1", "action": forged })),
        ] {
            let request = post(path, body.to_string()).bearer(DEMO);
            assert_eq!(refused(&server, request.bytes()), 422, "{body}");
        }
        let key = json!({ forged: 1, "message": 1 });
        let request = post(SEND, key.to_string()).bearer(DEMO);
        assert_eq!(refused(&server, request.bytes()), 422, "{key}");
    }
}

/// The stream's reader takes whole frames with one line of data each, and nothing else.
#[test]
fn text_with_lines_stays_in_its_line() {
    let server = Server::start();
    let mut streams = [PATH, "/chat/stream", "/realtime/stream", "/api/notifications/stream"]
        .map(|path| server.stream(path, DEMO));
    streams[3].next_named("notification");
    for forged in LINES {
        for (stream, path, body, member) in [
            (0, SEND, json!({ "message": forged, "title": forged, "broadcast": true }), "message"),
            (1, "/chat/send", json!({ "roomId": "r", "message": forged }), "message"),
            (2, "/system/maintenance", json!({ "message": forged }), "message"),
            (
                2,
                "/realtime/update",
                json!({ "entityType": "t", "entityId": "1", "action": "updated", "data": { forged: forged } }),
                "data",
            ),
            (
                3,
                "/api/events",
                json!({ "event": "e", "data": { "message": forged }, "broadcast": true }),
                "message",
            ),
        ] {
            let id = server.publish(path, DEMO, &body);
            let event = streams[stream].assert_next(&id);
            let said = &event.json()[member];
            let expected: Value =
                if member == "data" { json!({ forged: forged }) } else { forged.into() };
            assert_eq!(*said, expected, "{event:?}");
        }
    }
}

/// Claims are as strange as their issuer lets them be.
#[test]
fn no_claim_breaks_a_line() {
    let server = rill().without_dev().start();
    let token = |sub: &str, name: &str| {
        ISSUER.token(&json!({ "sub": sub, "name": name, "exp": in_seconds(60) }))
    };
    let mut room = server.stream("/chat/stream?room=r", &token("listener", "Listener"));
    for forged in LINES {
        for token in [token(forged, "name"), token("ann", forged)] {
            assert_eq!(refused(&server, get(PATH).bearer(&token).bytes()), 401, "{forged:?}");
        }
    }
    for name in ["\"},\"forged\":\"", "a\\nforged", "a\u{2028}forged", "</script>"] {
        let message = post("/chat/send", r#"{"roomId":"r","message":"M"}"#);
        let (id, _) = server.send(&message.bearer(&token("ann", name))).published();
        assert_eq!(room.assert_next(&id).text("username"), name);
    }
}
