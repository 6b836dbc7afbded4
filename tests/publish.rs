//! The five POSTs of the reference: what the publisher is answered and what the streams get, byte for byte.

mod support;

use std::cell::RefCell;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::json;
use support::*;

const NOTIFY: &str = "/notifications/send";
const UPDATE: &str = "/realtime/update";
const CHAT: &str = "/chat/send";
const TYPING: &str = "/chat/typing";
const MAINTENANCE: &str = "/system/maintenance";

#[test]
fn a_notification_with_everything() {
    let server = Server::start();
    let mut stream = server.stream("/notifications/stream", &user("ann"));
    let body = r#"{"title":"T","message":"M","type":"warning","event":"system-notification","userId":"ann"}"#;
    let (id, subscribers) = server.post(NOTIFY, &publisher(), body).published();
    assert_eq!(subscribers, 1);
    let data = r#"{"id":"$id","title":"T","message":"M","type":"warning","timestamp":"$now","userId":"ann"}"#;
    stream.next().assert(Some(&id), "system-notification", data);
}

#[test]
fn a_notification_goes_to_its_sender_by_default() {
    let server = Server::start();
    let mut stream = server.stream("/notifications/stream", &user("ann"));
    let data = r#"{"id":"$id","title":null,"message":"M","type":"info","timestamp":"$now","userId":"ann"}"#;
    for body in [
        r#"{"message":"M"}"#,
        r#"{"message":"M","title":null,"type":null,"event":null,"userId":null,"userIds":null,"broadcast":null}"#,
        r#"{"message":"M","broadcast":false}"#,
        r#"{"message":"M","userId":"ann"}"#,
    ] {
        let id = server.publish(NOTIFY, &user("ann"), body);
        stream.next().assert(Some(&id), "notification", data);
    }
}

#[test]
fn several_and_all_are_nobody_in_particular() {
    let server = Server::start();
    let mut ann = server.stream("/notifications/stream", &user("ann"));
    let mut bob = server.stream("/notifications/stream", &user("bob"));
    let mut eve = server.stream("/notifications/stream", &user("eve"));
    let data =
        r#"{"id":"$id","title":null,"message":"M","type":"info","timestamp":"$now","userId":null}"#;
    let (both, listeners) = server
        .post(NOTIFY, &publisher(), r#"{"message":"M","userIds":["ann","bob","nobody"]}"#)
        .published();
    assert_eq!(listeners, 2);
    let (all, listeners) =
        server.post(NOTIFY, &publisher(), r#"{"message":"M","broadcast":true}"#).published();
    assert_eq!(listeners, 3);
    for stream in [&mut ann, &mut bob] {
        stream.next().assert(Some(&both), "notification", data);
    }
    for stream in [&mut ann, &mut bob, &mut eve] {
        stream.next().assert(Some(&all), "notification", data);
    }
}

#[test]
fn subscribers_are_the_streams_of_now() {
    let server = Server::start();
    let count = || server.post(NOTIFY, DEMO, r#"{"message":"M","userId":"ann"}"#).published().1;
    assert_eq!(count(), 0);
    let first = server.stream("/notifications/stream", &user("ann"));
    let _second = server.stream("/notifications/stream", &user("ann"));
    let _another = server.stream("/notifications/stream", &user("bob"));
    let _elsewhere = server.stream("/chat/stream", &user("ann"));
    assert_eq!(count(), 2);
    drop(first);
    eventually(ONE_SECOND, "one subscriber", || count() == 1);
}

#[test]
fn the_events_of_a_notification() {
    let server = Server::start();
    let mut stream = server.stream("/notifications/stream", &user("ann"));
    for event in ["notification", "system-notification", "error-notification"] {
        for kind in ["info", "success", "warning", "error"] {
            server.publish(
                NOTIFY,
                &user("ann"),
                json!({ "message": "M", "event": event, "type": kind }),
            );
            let got = stream.next();
            assert_eq!((got.name(), got.text("type").as_str()), (event, kind));
        }
    }
}

#[test]
fn the_actions_of_an_update() {
    let server = Server::start();
    let mut stream =
        server.stream("/realtime/stream?entityType=user&entityId=user123", &user("ann"));
    for (action, event) in [
        ("updated", "update"),
        ("created", "create"),
        ("deleted", "delete"),
        ("status-changed", "status-change"),
        ("update", "update"),
        ("create", "create"),
        ("delete", "delete"),
        ("status-change", "status-change"),
    ] {
        let body = format!(
            r#"{{"entityType": "user", "entityId": "user123", "action": "{action}", "data": {{"status": "online"}}}}"#
        );
        let (id, subscribers) = server.post(UPDATE, &publisher(), body).published();
        assert_eq!(subscribers, 1);
        let data = r#"{"entityType":"user","entityId":"user123","action":"$action","data":{"status":"online"},"timestamp":"$now"}"#;
        stream.next().assert(Some(&id), event, &data.replace("$action", action));
    }
}

#[test]
fn an_update_without_data_has_null() {
    let server = Server::start();
    let mut stream = server.stream("/realtime/stream", &user("ann"));
    let data =
        r#"{"entityType":"user","entityId":"1","action":"created","data":null,"timestamp":"$now"}"#;
    for body in [
        r#"{"entityType":"user","entityId":"1","action":"created"}"#,
        r#"{"entityType":"user","entityId":"1","action":"created","data":null}"#,
    ] {
        let id = server.publish(UPDATE, &publisher(), body);
        stream.next().assert(Some(&id), "create", data);
    }
}

#[test]
fn a_chat_message_names_its_sender_from_the_credential() {
    let server = Server::start();
    let mut stream = server.stream("/chat/stream?room=general", &user("bob"));
    let body = r#"{"roomId":"general","message":"Hello everyone!","userId":"eve","username":"Eve","id":"1"}"#;
    let (id, subscribers) = server.post(CHAT, &user("ann"), body).published();
    assert_eq!(subscribers, 1);
    let data = r#"{"id":"$id","roomId":"general","userId":"ann","username":"ann-name","message":"Hello everyone!","timestamp":"$now"}"#;
    stream.next().assert(Some(&id), "message", data);
}

#[test]
fn typing_is_told_and_not_kept() {
    let server = Server::start();
    let mut stream = server.stream("/chat/stream?room=general", &user("bob"));
    let before = server.publish(CHAT, &user("ann"), r#"{"roomId":"general","message":"before"}"#);
    let response = server.post(TYPING, &user("ann"), r#"{"roomId":"general"}"#);
    assert_eq!(response.assert_status(200).text(), r#"{"success":true,"id":null,"subscribers":1}"#);
    let after = server.publish(CHAT, &user("ann"), r#"{"roomId":"general","message":"after"}"#);
    stream.assert_next(&before);
    let data = r#"{"roomId":"general","userId":"ann","username":"ann-name","timestamp":"$now"}"#;
    stream.next().assert(None, "typing", data);
    stream.assert_next(&after);
    let mut again =
        server.open(&get("/chat/stream?room=general").bearer(&user("bob")).cursor(&before));
    again.assert_next(&after);
}

#[test]
fn maintenance_with_and_without_times() {
    let server = Server::start();
    let mut stream = server.open(&get("/system/status/stream"));
    let body =
        r#"{"message":"M","startsAt":"2031-01-02T03:04:05Z","endsAt":"2031-01-02T04:04:05Z"}"#;
    let (id, subscribers) = server.post(MAINTENANCE, DEMO, body).published();
    assert_eq!(subscribers, 1);
    let data = r#"{"id":"$id","message":"M","startsAt":"2031-01-02T03:04:05Z","endsAt":"2031-01-02T04:04:05Z","timestamp":"$now"}"#;
    stream.next().assert(Some(&id), "maintenance", data);
    let id = server.publish(MAINTENANCE, DEMO, r#"{"message":"M"}"#);
    let data = r#"{"id":"$id","message":"M","startsAt":null,"endsAt":null,"timestamp":"$now"}"#;
    stream.next().assert(Some(&id), "maintenance", data);
}

#[test]
fn a_target_is_one_of_its_kinds() {
    let server = Server::start();
    for target in [
        r#""broadcast":true,"userId":"ann""#,
        r#""broadcast":true,"userIds":["ann"]"#,
        r#""userId":"ann","userIds":["ann"]"#,
        r#""broadcast":"yes""#,
        r#""broadcast":1"#,
        r#""userId":["ann"]"#,
        r#""userId":true"#,
        r#""userIds":"ann""#,
        r#""userIds":[null]"#,
        r#""userIds":[{}]"#,
    ] {
        server.post(NOTIFY, DEMO, format!(r#"{{"message":"M",{target}}}"#)).assert_problem(422);
    }
    server.publish(NOTIFY, DEMO, r#"{"message":"M","broadcast":false,"userId":"ann"}"#);
}

#[test]
fn fields_that_are_missing_empty_or_of_another_type_are_422_and_named() {
    let server = Server::start();
    for (path, body, field) in [
        (NOTIFY, json!({ "title": "T" }), "message"),
        (NOTIFY, json!({ "message": null }), "message"),
        (NOTIFY, json!({ "message": "" }), "message"),
        (NOTIFY, json!({ "message": 5 }), "message"),
        (NOTIFY, json!({ "message": ["M"] }), "message"),
        (NOTIFY, json!({ "message": "M", "title": 5 }), "title"),
        (NOTIFY, json!({ "message": "M", "type": "fatal" }), "type"),
        (NOTIFY, json!({ "message": "M", "type": "Info" }), "type"),
        (NOTIFY, json!({ "message": "M", "type": 1 }), "type"),
        (NOTIFY, json!({ "message": "M", "event": "message" }), "event"),
        (NOTIFY, json!({ "message": "M", "event": "connected" }), "event"),
        (NOTIFY, json!({ "message": "M", "event": "a\nb" }), "event"),
        (UPDATE, json!({ "entityId": "1", "action": "updated" }), "entityType"),
        (UPDATE, json!({ "entityType": "user", "action": "updated" }), "entityId"),
        (UPDATE, json!({ "entityType": "user", "entityId": "1" }), "action"),
        (UPDATE, json!({ "entityType": "", "entityId": "1", "action": "updated" }), "entityType"),
        (UPDATE, json!({ "entityType": "user", "entityId": "", "action": "updated" }), "entityId"),
        (UPDATE, json!({ "entityType": "user", "entityId": {}, "action": "updated" }), "entityId"),
        (UPDATE, json!({ "entityType": "user", "entityId": "1", "action": "patched" }), "action"),
        (UPDATE, json!({ "entityType": "user", "entityId": "1", "action": "" }), "action"),
        (CHAT, json!({ "message": "M" }), "roomId"),
        (CHAT, json!({ "roomId": "general" }), "message"),
        (CHAT, json!({ "roomId": "", "message": "M" }), "roomId"),
        (CHAT, json!({ "roomId": "general", "message": "" }), "message"),
        (CHAT, json!({ "roomId": false, "message": "M" }), "roomId"),
        (TYPING, json!({}), "roomId"),
        (TYPING, json!({ "roomId": "" }), "roomId"),
        (MAINTENANCE, json!({}), "message"),
        (MAINTENANCE, json!({ "message": "" }), "message"),
    ] {
        let response = server.post(path, DEMO, &body);
        let detail = response.assert_problem(422).detail();
        assert!(detail.contains(field), "{path} {body}: {detail}");
    }
}

#[test]
fn every_field_at_fault_is_named() {
    let server = Server::start();
    let detail = server.post(UPDATE, DEMO, "{}").assert_problem(422).detail();
    for field in ["entityType", "entityId", "action"] {
        assert!(detail.contains(field), "{detail}");
    }
}

#[test]
fn who_may_send_what() {
    let server = Server::start();
    let to_self = json!({ "message": "M", "userId": "ann" });
    let to_bob = json!({ "message": "M", "userId": "bob" });
    let to_both = json!({ "message": "M", "userIds": ["ann", "bob"] });
    let to_all = json!({ "message": "M", "broadcast": true });
    let update = json!({ "entityType": "user", "entityId": "1", "action": "updated" });
    let say = json!({ "roomId": "general", "message": "M" });
    let typing = json!({ "roomId": "general" });
    let maintenance = json!({ "message": "M" });
    for (path, body, allowed) in [
        (NOTIFY, &to_self, ["user", "publisher", "admin"].as_slice()),
        (CHAT, &say, &["user", "publisher", "admin"]),
        (TYPING, &typing, &["user", "publisher", "admin"]),
        (NOTIFY, &to_bob, &["publisher", "admin"]),
        (NOTIFY, &to_both, &["publisher", "admin"]),
        (NOTIFY, &to_all, &["publisher", "admin"]),
        (UPDATE, &update, &["publisher", "admin"]),
        (MAINTENANCE, &maintenance, &["admin"]),
    ] {
        for roles in ["user", "publisher", "admin", "user,publisher", "user,admin"] {
            let response = server.post(path, &token("ann", roles), body);
            if roles.split(',').any(|role| allowed.contains(&role)) {
                response.assert_status(200);
            } else {
                response.assert_problem(403);
            }
        }
    }
}

#[test]
fn numeric_ids_are_taken_and_given_as_strings() {
    let server = Server::start();
    let mut forty_two = server.stream("/notifications/stream", &user("42"));
    let id = server.publish(NOTIFY, DEMO, r#"{"message":"M","userId":42}"#);
    let data =
        r#"{"id":"$id","title":null,"message":"M","type":"info","timestamp":"$now","userId":"42"}"#;
    forty_two.next().assert(Some(&id), "notification", data);
    let id = server.publish(NOTIFY, DEMO, r#"{"message":"M","userIds":["ann",42]}"#);
    forty_two.assert_next(&id);

    let mut realtime = server.stream("/realtime/stream?entityType=order", DEMO);
    let body = r#"{"entityType":"order","entityId":12345678901234567890123,"action":"updated"}"#;
    let id = server.publish(UPDATE, DEMO, body);
    let data = r#"{"entityType":"order","entityId":"12345678901234567890123","action":"updated","data":null,"timestamp":"$now"}"#;
    realtime.next().assert(Some(&id), "update", data);

    let mut chat = server.stream("/chat/stream?room=7", DEMO);
    server.publish(CHAT, &user("ann"), r#"{"roomId":7,"message":"M"}"#);
    assert_eq!(chat.next().text("roomId"), "7");
}

#[test]
fn data_is_kept_byte_for_byte_but_for_white_space() {
    let server = Server::start();
    let mut stream = server.stream("/realtime/stream", DEMO);
    for (sent, kept) in [
        ("12345678901234567890.12345678901234567890", "12345678901234567890.12345678901234567890"),
        ("1E+400", "1E+400"),
        ("-0.0", "-0.0"),
        ("true", "true"),
        ("\"\"", "\"\""),
        (" [ ] ", "[]"),
        ("{\r\n\t}", "{}"),
        ("[1 , 2\n,\t3 ]", "[1,2,3]"),
        (r#"{ "b" : 1 , "a" : [ 2 ] }"#, r#"{"b":1,"a":[2]}"#),
        (r#"{"twice":1,"twice":2}"#, r#"{"twice":1,"twice":2}"#),
        (r#""a \" b : c , \\" "#, r#""a \" b : c , \\""#),
        (r#""\u00e9\/é\ud83d\ude00\n""#, r#""\u00e9\/é\ud83d\ude00\n""#),
        ("\"\u{2028} \u{7f} \u{feff}\"", "\"\u{2028} \u{7f} \u{feff}\""),
    ] {
        let body =
            format!(r#" {{"entityType":"t","entityId":"1","action":"updated","data":{sent}}} "#);
        let id = server.publish(UPDATE, DEMO, body);
        let data = r#"{"entityType":"t","entityId":"1","action":"updated","data":$data,"timestamp":"$now"}"#;
        stream.next().assert(Some(&id), "update", &data.replace("$data", kept));
    }
}

#[test]
fn members_that_are_not_listed_are_ignored() {
    let server = Server::start();
    let mut stream = server.stream("/notifications/stream", &user("ann"));
    let body = r#"{"message":"M","colour":"red","id":"1","timestamp":"never","retry":[{"":null}]}"#;
    let id = server.publish(NOTIFY, &user("ann"), body);
    let data = r#"{"id":"$id","title":null,"message":"M","type":"info","timestamp":"$now","userId":"ann"}"#;
    stream.next().assert(Some(&id), "notification", data);
}

#[test]
fn ids_only_grow() {
    let server = Server::start();
    let ids: Vec<_> =
        (0..50).map(|n| Cursor::parse(&server.notify("ann", &n.to_string()))).collect();
    assert!(
        ids.is_sorted_by(|a, b| (a.ms, a.seq) < (b.ms, b.seq) && a.epoch == b.epoch),
        "{ids:?}"
    );
}

#[test]
fn everyone_sees_one_order() {
    let server = Server::start();
    let mut streams: Vec<_> = (0..4)
        .map(|n| server.stream("/notifications/stream", &user(&format!("user{n}"))))
        .collect();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut peer = server.connect();
                for _ in 0..50 {
                    peer.exchange(
                        &post(NOTIFY, r#"{"message":"M","broadcast":true}"#).bearer(DEMO),
                    )
                    .published();
                }
            });
        }
    });
    let orders = streams
        .iter_mut()
        .map(|stream| (0..200).map(|_| stream.next().cursor()).collect::<Vec<_>>());
    let orders: Vec<_> = orders.collect();
    assert!(orders[0].is_sorted_by(|a, b| (a.ms, a.seq) < (b.ms, b.seq)), "{:?}", orders[0]);
    assert!(orders.iter().all(|order| *order == orders[0]));
}

#[test]
fn a_publish_received_whole_is_carried_out_once_though_its_sender_is_gone() {
    let server = Server::start();
    let mut stream = server.stream("/notifications/stream", &user("ann"));
    for n in 0..20 {
        let mut peer = server.connect();
        peer.send(
            post(NOTIFY, json!({ "message": n.to_string() }).to_string())
                .bearer(&user("ann"))
                .bytes(),
        );
        if n % 2 == 0 {
            drop(peer);
        } else {
            peer.finish();
        }
        assert_eq!(stream.next().text("message"), n.to_string());
    }
}

/// Whatever a text holds, it comes out as it went in and breaks no frame: the reader refuses any other wire.
#[test]
fn any_text_arrives() {
    let server = Server::start();
    let notifications = RefCell::new(server.stream("/notifications/stream", &user("ann")));
    let updates = RefCell::new(server.stream("/realtime/stream", &user("ann")));
    let config =
        ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() };
    let run = TestRunner::new(config).run(
        &("\\PC+|.+", "(?s).+", any::<Vec<char>>()),
        |(title, message, data)| {
            let id =
                server.publish(NOTIFY, &user("ann"), json!({ "message": message, "title": title }));
            let event = notifications.borrow_mut().assert_next(&id);
            prop_assert_eq!((event.text("title"), event.text("message")), (title, message));

            let text: String = data.into_iter().collect();
            let data = json!({ &text: [&text] });
            let body =
                json!({ "entityType": "t", "entityId": "1", "action": "updated", "data": data });
            let id = server.publish(UPDATE, DEMO, body);
            prop_assert_eq!(&updates.borrow_mut().assert_next(&id).json()["data"], &data);
            Ok(())
        },
    );
    run.unwrap_or_else(|error| panic!("{error}"));
}
