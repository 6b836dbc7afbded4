//! Two pages chat, each in a Chromium of its own: one is reloaded, the server is stopped and later killed under both,
//! and all the while everything that is said reaches both, once and in one order.

mod support;

use std::collections::HashMap;

use serde_json::{Value, json};
use support::*;

/// A page of one user, who talks in a conversation and in a room without a pause. What it knows outlasts a reload: how
/// much it has said in each place, what it has heard there, and the id to go on from. What it says again, because no
/// answer came, has the key of the first time.
const PAGE: &str = "
const server = '$server', token = '$token', me = '$me';
const places = [
  { name: 'conversation', stream: '/sse/connect?', event: 'message:new',
    send: '/sse/conversations/c/events', body: (text) => ({ event: 'message:new', data: { text } }), text: (data) => data.text },
  { name: 'room', stream: '/chat/stream?room=r&', event: 'message',
    send: '/chat/send', body: (text) => ({ roomId: 'r', message: text }), text: (data) => data.message },
];
const kept = (place, key, none) => sessionStorage.getItem(place.name + key) ?? none;
const keep = (place, key, value) => sessionStorage.setItem(place.name + key, value);
const pause = () => new Promise((resolve) => setTimeout(resolve, 100));
let talking = true, leaving = false;

async function say(place, text) {
  for (;; await pause()) {
    try {
      const headers = { 'Content-Type': 'application/json', 'X-Auth-Token': token, 'Idempotency-Key': text };
      const answer = await fetch(server + place.send, { method: 'POST', headers, body: JSON.stringify(place.body(text)) });
      if (answer.ok) return;
      if (answer.status !== 503) tell({ refused: answer.status });
    } catch { /* Nobody is there. */ }
  }
}

async function talk(place) {
  for (; talking; await pause()) {
    const count = Number(kept(place, 'said', 0));
    await say(place, `${me} ${count}`);
    keep(place, 'said', count + 1);
  }
  await say(place, `${me} end`);
}

function listen(place) {
  const from = kept(place, 'id', '');
  const source = new EventSource(`${server}${place.stream}token=${token}&lastEventId=${from}`);
  const heard = kept(place, 'heard', '').split('\\n').filter((text) => text);
  const on = (name, act) => source.addEventListener(name, (event) => {
    if (event.lastEventId) keep(place, 'id', event.lastEventId);
    act?.(JSON.parse(event.data));
  });
  on('connected', (data) => tell({ me, place: place.name, resume: data.resume }));
  on('gap', (data) => tell({ gap: data.reason }));
  on('heartbeat');
  on('start', () => { sessionStorage.setItem('started', true); places.forEach(talk); });
  on('reload', () => { leaving = true; location.reload(); });
  on('stop', () => { talking = false; });
  on(place.event, (data) => {
    heard.push(place.text(data));
    keep(place, 'heard', heard.join('\\n'));
    const ends = heard.filter((text) => text.endsWith(' end')).length;
    if (ends === 2) tell({ me, place: place.name, heard });
  });
  // Who has given up never comes back. A page that is left gives up too.
  source.onerror = () => { if (source.readyState === EventSource.CLOSED && !leaving) tell({ gaveUp: place.name }); };
}

places.forEach(listen);
if (sessionStorage.getItem('started')) places.forEach(talk);
";

const USERS: [&str; 2] = ["ann", "bob"];
const PLACES: [&str; 2] = ["conversation", "room"];

/// Waits until each stream of these users has opened (again) as it should.
#[track_caller]
fn assert_open(site: &Site, users: &[&str], resume: &str) {
    let mut missing: Vec<Value> = users
        .iter()
        .flat_map(|me| PLACES.map(|place| json!({ "me": me, "place": place, "resume": resume })))
        .collect();
    while !missing.is_empty() {
        let report = site.report();
        let index = missing.iter().position(|one| *one == report);
        missing.remove(index.unwrap_or_else(|| panic!("{report}, but missing are {missing:?}")));
    }
}

fn send(server: &Server, user: &str, event: &str) {
    let body = json!({ "event": event, "data": null });
    server.publish(&format!("/sse/users/{user}/events"), &publisher(), body);
}

/// Everything that each user said in a place, in his order; the last of it is the end.
#[track_caller]
fn assert_whole(heard: &[String]) {
    for user in USERS {
        let of_user: Vec<&str> =
            heard.iter().filter_map(|text| text.strip_prefix(user)?.strip_prefix(' ')).collect();
        let (end, counted) = of_user.split_last().expect("an end");
        assert_eq!(*end, "end");
        let expected: Vec<String> = (0..counted.len()).map(|count| count.to_string()).collect();
        assert_eq!(counted, expected, "what {user} said");
        assert!(counted.len() > 10, "{user} said too little: {counted:?}");
    }
}

#[test]
fn nothing_is_lost_and_nothing_comes_twice() {
    // An orderly end tells clients to stay away for as long.
    let server = rill().env("RILL_DRAIN_TIMEOUT", "1s").start();
    let list = put("/sse/conversations/c/members", r#"{"members":["ann","bob"]}"#);
    server.send(&list.bearer(&publisher())).assert_status(200);
    let site = Site::open();
    for me in USERS {
        let page = PAGE.replace("$server", &format!("http://{}", server.address()));
        let page = page.replace("$token", &user(me)).replace("$me", me);
        site.page(&format!("/{me}"), &page);
    }
    let _browsers = USERS.map(|me| site.visit("chat.example", &format!("/{me}")));
    assert_open(&site, &USERS, "none");
    for me in USERS {
        send(&server, me, "start");
    }

    send(&server, "bob", "reload");
    assert_open(&site, &["bob"], "full");
    let address = server.address().to_string();
    let server = server.stop().listen(&address).start();
    assert_open(&site, &USERS, "full");
    send(&server, "ann", "reload");
    assert_open(&site, &["ann"], "full");
    let server = server.crash().start();
    assert_open(&site, &USERS, "full");

    for me in USERS {
        send(&server, me, "stop");
    }
    let mut heard: HashMap<String, Vec<Vec<String>>> = HashMap::new();
    for _ in 0..4 {
        let report = site.report();
        let texts = serde_json::from_value(report["heard"].clone());
        let place = report["place"].as_str().unwrap_or_else(|| panic!("{report}")).to_owned();
        heard.entry(place).or_default().push(texts.unwrap_or_else(|_| panic!("{report}")));
    }
    for place in PLACES {
        let [one, other] = &heard[place][..] else { panic!("{place}: {heard:?}") };
        assert_eq!(one, other, "what the two heard in the {place}");
        assert_whole(one);
    }
}
