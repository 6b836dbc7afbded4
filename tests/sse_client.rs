//! The pages in real Chromium, used as people use them.

mod support;

use serde_json::{Value, json};
use support::*;

/// A server that an orderly end does not keep clients away from for long.
fn server() -> Server {
    rill().env("RILL_DRAIN_TIMEOUT", "1s").start()
}

#[test]
fn one_signs_in_publishes_and_sees_it() {
    let server = server();
    let mut tab = Tab::signed_in(&server, "ann", "user");
    tab.connect("/notifications/stream");
    tab.send("/notifications/send", json!({ "message": "for me" }));
    let (id, data) = tab.row("notification");
    assert!(tab.text("#published").starts_with(&format!("200 {{\"success\":true,\"id\":\"{id}\"")));
    assert!(data.contains(r#""message":"for me""#), "{data}");
    // What is wrong is said, too.
    tab.send("/notifications/send", json!({ "message": "for all", "broadcast": true }));
    assert!(tab.text("#published").starts_with("403 "), "{}", tab.text("#published"));
    tab.send("/notifications/send", "{");
    assert!(tab.text("#published").starts_with("Not sent: "));
    tab.send("//elsewhere.example/", "{}");
    assert_eq!(tab.text("#published"), "The path must be one of this server.");
    // The browser itself notes each answer that is a refusal.
    let complaints = tab.complaints();
    assert!(complaints.iter().all(|one| one.contains("status of 403")), "{complaints:#?}");

    tab.go(&server.url("/"));
    tab.wait_for_text("#user", "ann");
    tab.click("#leave");
    tab.wait_for_text("#by-name", "Sign in by name");
    server.wait_for_connections(0, FIVE_SECONDS);
    assert_eq!(tab.complaints(), [""; 0]);
}

#[test]
fn a_cookie_that_is_of_no_use_any_more_is_taken_away() {
    let server = server();
    let mut tab = Tab::signed_in(&server, "ann", "user");
    server.post("/auth/revoke", DEMO, json!({ "sub": "ann" })).assert_status(200);
    tab.go(&server.url("/"));
    tab.wait_for_text("#by-name", "Sign in by name");
    tab.wait_for_text("#health", "The server is healthy");
    tab.go(&server.url("/sse-client"));
    tab.wait_for_text("#session", "Not signed in");
    let complaints = tab.complaints();
    assert!(complaints.iter().all(|one| one.contains("status of 401")), "{complaints:#?}");
    assert_eq!(complaints.len(), 1, "{complaints:#?}");
}

#[test]
fn hostile_events_stay_text() {
    let server = server();
    let mut tab = Tab::signed_in(&server, "ann", "admin");
    tab.connect("/api/sse");
    let script = "<script>document.title='taken'</script>";
    let image = "<img src=x onerror=\"document.title='taken'\">";
    for event in [script, image, "constructor", "__proto__"] {
        let body =
            json!({ "event": event, "data": { "html": [script, image] }, "broadcast": true });
        server.publish("/api/sse", DEMO, body);
        let (_, data) = tab.row(event);
        let data: Value = serde_json::from_str(&data).expect("the data");
        assert_eq!(data["html"], json!([script, image]));
        tab.click("#rows button");
        assert_eq!(tab.text("#detail-event"), event);
        assert!(tab.text("#detail-data").contains("<script>"));
    }
    let inside = "document.querySelectorAll('main script, main img, main iframe').length";
    assert_eq!(tab.value(inside), 0);
    assert_eq!(tab.value("document.title"), "Rill: stream client");
    // Should the page itself ever slip, its policy holds.
    tab.value(&format!("document.querySelector('#kept').innerHTML = {}", json!(image)));
    let refused =
        |tab: &mut Tab| tab.complaints().iter().any(|one| one.contains("Content Security Policy"));
    eventually(PATIENCE, "the policy's complaint", || refused(&mut tab));
    assert_eq!(tab.value("document.title"), "Rill: stream client");
}

#[test]
fn text_is_not_turned_around() {
    let server = server();
    let mut tab = Tab::signed_in(&server, "ann", "user");
    tab.connect("/api/sse");
    let body = json!({ "event": "n", "data": "x\u{202e}gnp.exe \u{1f469}\u{200d}\u{1f680}", "broadcast": true });
    server.publish("/api/sse", DEMO, body);
    assert_eq!(tab.row("n").1, r#""x\u202egnp.exe 👩‍🚀""#);
    tab.click("#rows button");
    assert_eq!(tab.text("#detail-data"), r#""x\u202egnp.exe 👩‍🚀""#);
}

#[test]
fn numbers_are_shown_as_they_were_sent() {
    let server = server();
    let mut tab = Tab::signed_in(&server, "ann", "user");
    tab.connect("/api/sse");
    let body = r#"{"event":"n","data":{"a":12345678901234567890,"b":[1.10,[],{}],"c":"x: [1, 2]"},"broadcast":true}"#;
    server.publish("/api/sse", DEMO, body);
    tab.row("n");
    tab.click("#rows button");
    let expected = "{\n  \"a\": 12345678901234567890,\n  \"b\": [\n    1.10,\n    [],\n    {}\n  ],\n  \"c\": \"x: [1, 2]\"\n}";
    assert_eq!(tab.value("document.querySelector('#detail-data').textContent"), expected);
}

#[test]
fn it_resumes_from_an_id_and_shows_gaps() {
    let server = server();
    let mut tab = Tab::signed_in(&server, "ann", "user");
    let first = server.notify("ann", "first");
    let second = server.notify("ann", "second");
    tab.fill("#resume", &first);
    tab.connect("/notifications/stream");
    assert_eq!(tab.row("notification").0, second);
    assert!(tab.row("connected").1.contains(r#""resume":"full""#));
    // The other way: from a row.
    tab.click("#clear");
    server.notify("ann", "third");
    tab.row("notification");
    tab.click("#rows button");
    tab.click("#resume-here");
    let fourth = server.notify("ann", "fourth");
    tab.wait("document.querySelector('#rows').rows.length === 2");
    tab.click("#clear");
    tab.connect("/notifications/stream");
    assert_eq!(tab.row("notification").0, fourth);
    assert_eq!(tab.count_of("notification"), 1);

    tab.fill("#resume", "no\u{2028}cursor");
    tab.click("#connect button");
    assert!(tab.row("gap").1.contains("invalid_cursor"));
    tab.count("gaps", 1);
    assert_eq!(tab.complaints(), [""; 0]);
}

#[test]
fn a_restart_is_seen_and_nothing_is_lost() {
    let mut server = server();
    let address = server.address().to_string();
    let mut tab = Tab::signed_in(&server, "ann", "user");
    tab.connect("/notifications/stream");
    let mut sent = vec![server.notify("ann", "before")];
    for round in 1..3 {
        let setup = if round == 1 { server.stop() } else { server.crash() };
        server = if round == 1 { setup.listen(&address).start() } else { setup.start() };
        sent.push(server.notify("ann", "while it was away"));
        tab.count("reconnects", round);
        sent.push(server.notify("ann", "live"));
    }
    tab.wait("[...document.querySelectorAll('#rows .e')].filter((cell) => cell.textContent === 'notification').length >= 5");
    let seen = tab.rows().into_iter().filter(|[event, _, _]| event == "notification");
    let mut seen: Vec<String> = seen.map(|[_, id, _]| id).collect();
    seen.reverse();
    assert_eq!(seen, sent);
    assert!(tab.row("(reconnecting)").1.contains("again in"));
    assert!(tab.row("disconnected").1.contains("shutdown"));
    tab.count("gaps", 0);
    assert_eq!(tab.text("#state"), "Connected as ann again");
}

#[test]
fn two_chat_one_reloads_the_server_restarts_and_nothing_is_lost() {
    let mut server = server();
    let mut tabs = ["ann", "bob"].map(|name| {
        let mut tab = Tab::signed_in(&server, name, "user");
        tab.connect("/chat/stream");
        tab
    });
    let say = |tab: &mut Tab, text: &str| {
        tab.send("/chat/send", json!({ "roomId": "r", "message": text }));
        assert!(tab.text("#published").starts_with("200 "), "{}", tab.text("#published"));
    };
    let [ann, bob] = &mut tabs;
    say(ann, "one");
    bob.row("message");
    say(bob, "two");
    // What is said while he reloads comes once he is back, and nothing twice.
    bob.go("about:blank");
    say(ann, "three");
    bob.go(&server.url("/sse-client"));
    bob.connect("/chat/stream");
    bob.row("message");
    assert_eq!(bob.messages(), ["three"]);
    let address = server.address().to_string();
    server = server.crash().listen(&address).start();
    for tab in [&mut *ann, &mut *bob] {
        tab.count("reconnects", 1);
    }
    say(bob, "four");
    say(ann, "five");
    bob.wait_for_text("#rows", "five");
    ann.wait_for_text("#rows", "five");
    assert_eq!(bob.messages(), ["three", "four", "five"]);
    assert_eq!(ann.messages(), ["one", "two", "three", "four", "five"]);
    server.wait_for_connections(2, FIVE_SECONDS);
}

#[test]
fn everyone_is_disconnected_after_a_question() {
    let server = server();
    let mut tab = Tab::signed_in(&server, "root", "admin");
    tab.connect("/notifications/stream");
    tab.click("#everyone button");
    tab.wait("document.querySelector('#sure').open");
    tab.click("#sure [value=no]");
    assert_eq!(server.connections(), 1);
    assert_eq!(tab.value("document.querySelector('#disconnected').textContent"), "");
    tab.click("#stop");
    tab.click("#everyone button");
    tab.wait_for_text("#sure-text", "kept away for a minute");
    tab.click("#sure [value=yes]");
    assert!(tab.row("disconnected").1.contains("server_disconnect"));
    tab.wait_for_text("#state", "The server asks to stay away (204).");
    assert_eq!(
        tab.value("document.querySelector('#disconnected').textContent"),
        r#"200 {"success":true,"disconnected":1}"#
    );
    assert_eq!(tab.complaints(), [""; 0]);
}

#[test]
fn a_token_of_ones_own_or_none() {
    let server = server();
    let mut tab = Tab::signed_in(&server, "ann", "user");
    tab.click("[value=token]");
    tab.fill("#token", &user("bob"));
    tab.connect("/notifications/stream");
    assert_eq!(tab.text("#state"), "Connected as bob");
    tab.send("/notifications/send", json!({ "message": "M" }));
    assert!(tab.row("notification").1.contains(r#""userId":"bob""#));
    tab.click("[value=none]");
    tab.fill("#stream", "/api/sse");
    tab.click("#connect button");
    tab.wait_for_text("#state", "Connected without a user");
    assert_eq!(tab.complaints(), [""; 0]);
    tab.fill("#stream", "/notifications/stream");
    tab.click("#connect button");
    tab.wait_for_text("#state", "The server answered 401");
    tab.click("[value=token]");
    tab.fill("#token", "\u{20ac}");
    tab.click("#connect button");
    tab.wait_for_text("#state", "The token has characters that no token has.");
    assert!(!server.log().contains(&user("bob")));
}

#[test]
fn a_flood_is_filtered_paused_and_bounded() {
    let server = server();
    let mut tab = Tab::signed_in(&server, "ann", "user");
    tab.connect("/api/sse");
    let mut peer = server.connect();
    let body = |event: &str, n: usize| json!({ "event": event, "data": { "n": n }, "broadcast": true, "ephemeral": true });
    let publish = |peer: &mut Peer, event: &str, n| {
        peer.exchange(&post("/api/sse", body(event, n).to_string()).bearer(DEMO))
            .assert_status(200);
    };
    for n in 0..2500 {
        publish(&mut peer, "flood", n);
    }
    tab.count("events", 2501);
    tab.wait("document.querySelector('#rows .d').textContent === '{\"n\":2499}'");
    assert_eq!(
        tab.value("[document.querySelector('#rows').rows.length, kept.length]"),
        json!([300, 2000])
    );
    tab.fill("#text", "\"n\":1234}");
    assert_eq!(tab.rows().len(), 1);
    tab.fill("#text", "");
    tab.click("#pause");
    publish(&mut peer, "after", 1);
    tab.wait_for_text("#pause", "Go on (1 new)");
    assert_eq!(tab.count_of("after"), 0);
    tab.click("#pause");
    tab.row("after");
    tab.fill("#type", "after");
    assert_eq!(tab.rows().len(), 1);
    tab.click("#clear");
    assert_eq!(tab.text("#none"), "Nothing to show yet.");
    assert_eq!(tab.complaints(), [""; 0]);
}

#[test]
fn each_stream_and_each_template_works() {
    let server = server();
    let mut tab = Tab::signed_in(&server, "ann", "admin");
    let options = |tab: &mut Tab, of: &str| -> Vec<String> {
        let values = format!("[...document.querySelector('{of}').options].map((one) => one.value)");
        serde_json::from_value(tab.value(&values)).expect("texts")
    };
    for (field, text) in
        [("entityType", "order"), ("entityId", "1"), ("room", "lobby"), ("channels", "news,a b")]
    {
        tab.fill(&format!("#{field}"), text);
    }
    let streams = options(&mut tab, "#stream");
    assert_eq!(streams.len(), 7);
    for stream in streams {
        tab.connect(&stream);
        tab.click("#disconnect");
        tab.wait_for_text("#state", "Not connected");
    }
    for path in options(&mut tab, "#template") {
        tab.fill("#template", &path);
        let body = tab.value("document.querySelector('#body').value");
        tab.send(&path, body.as_str().expect("a body"));
        assert!(tab.text("#published").starts_with("200 "), "{path}: {}", tab.text("#published"));
    }
    assert_eq!(tab.complaints(), [""; 0]);
}

#[test]
fn heartbeats_can_be_left_out() {
    let server = rill().flags(&["--heartbeat", "1s"]).start();
    let mut tab = Tab::signed_in(&server, "ann", "user");
    tab.connect("/api/sse");
    tab.row("heartbeat");
    tab.value("document.querySelector('[data-but]').selected = true");
    tab.value("document.querySelector('#type').dispatchEvent(new Event('change'))");
    server.publish("/api/sse", DEMO, json!({ "event": "e", "data": 1, "broadcast": true }));
    tab.row("e");
    assert_eq!(tab.count_of("heartbeat"), 0);
    assert_eq!(tab.count_of("connected"), 1);
}

/// No end of it is seen: the network swallows everything.
#[test]
fn a_stream_that_has_fallen_silent_is_opened_anew() {
    let server = rill().flags(&["--heartbeat", "1s"]).start();
    let mut tab = Tab::signed_in(&server, "ann", "user");
    tab.connect("/notifications/stream");
    server.signal("STOP");
    let (_, why) = tab.row("(reconnecting)");
    server.signal("CONT");
    assert!(why.starts_with("nothing has come for too long; again in"), "{why}");
    let id = server.notify("ann", "M");
    tab.count("reconnects", 1);
    assert_eq!(tab.row("notification").0, id);
}

#[test]
fn the_keyboard_is_enough() {
    let server = server();
    let mut tab = Tab::open(&server.url("/"));
    tab.wait_for_text("#by-name", "Sign in by name");
    tab.tab_to("#name");
    tab.write("ann");
    tab.press("Enter");
    tab.wait("document.activeElement.id === 'leave'");
    tab.tab_to("a.button");
    tab.press("Enter");
    tab.wait_for_text("#session", "Signed in as ann");
    tab.tab_to("#connect button");
    tab.press("Enter");
    tab.wait_for_text("#state", "Connected as ann");
    tab.tab_to("#publish button");
    tab.press("Enter");
    tab.row("notification");
    tab.tab_to("#rows button");
    tab.press("ArrowDown");
    tab.press("ArrowUp");
    tab.press("ArrowDown");
    tab.press("Enter");
    tab.wait_for_text("#detail-event", "connected");
    assert_eq!(tab.value("document.querySelectorAll('#rows button[tabindex=\"0\"]').length"), 1);
    assert_eq!(tab.complaints(), [""; 0]);
}

/// Every field has a name that is said, and nothing is wider than a phone.
#[test]
fn fields_have_labels_and_a_phone_has_room() {
    let server = server();
    let long = "x".repeat(128);
    let mut tab = Tab::signed_in(&server, &long, "user");
    tab.connect("/api/sse");
    server.publish(
        "/api/sse",
        DEMO,
        json!({ "event": long, "data": long.repeat(9), "broadcast": true }),
    );
    tab.row(&long);
    tab.click("#rows button");
    for path in ["/sse-client", "/"] {
        if path == "/" {
            tab.go(&server.url(path));
        }
        tab.phone();
        let nameless = "[...document.querySelectorAll('input, select, textarea')].filter((field) => !field.labels.length).length";
        assert_eq!(tab.value(nameless), 0);
        let marks =
            "['main', 'header', 'h1'].map((mark) => document.querySelectorAll(mark).length)";
        assert_eq!(tab.value(marks), json!([1, 1, 1]));
        assert_eq!(tab.value("document.documentElement.scrollWidth"), 390, "{path}");
    }
}
