//! The curl lines of the documents, and those that `--dev` prints, as they stand.

mod support;

use std::process::{Command, Output};

use support::*;

/// Runs lines as a shell runs what is pasted into it. A stream is watched for two seconds.
fn shell(server: &Server, lines: &str) -> Output {
    let home = server.setup().path("");
    std::fs::write(
        home.join(".curlrc"),
        "silent\nshow-error\nfail-with-body\nno-buffer\nmax-time = 2\n",
    )
    .expect("a file");
    let mut command = Command::new("sh");
    command
        .args(["-c", lines])
        .env("CURL_HOME", home)
        .env("NO_PROXY", "*")
        .output()
        .expect("a shell")
}

/// The same with the words of the reference replaced as its reader replaces them; what curl printed.
#[track_caller]
fn reference(server: &Server, lines: &str) -> String {
    let here = server.address().to_string();
    let output = shell(server, &lines.replace("localhost:3000", &here).replace("YOUR_TOKEN", DEMO));
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

#[track_caller]
fn assert_published(answer: &str) -> String {
    let json: serde_json::Value = serde_json::from_str(answer).expect("JSON");
    assert_eq!(json["success"], true, "{answer}");
    json["id"].as_str().expect("an id").to_owned()
}

#[test]
fn send_notification() {
    let server = Server::start();
    let mut stream = server.open(&get(&format!("/notifications/stream?token={DEMO}")));
    let answer = reference(
        &server,
        r#"curl -X POST http://localhost:3000/notifications/send \
  -H "Authorization: Bearer YOUR_TOKEN" \
  -H "Content-Type: application/json" \
  -d '{
    "title": "Test Notification",
    "message": "Hello World!",
    "type": "info"
  }'"#,
    );
    let id = assert_published(&answer);
    let data = r#"{"id":"$id","title":"Test Notification","message":"Hello World!","type":"info","timestamp":"$now","userId":"test123"}"#;
    stream.next().assert(Some(&id), "notification", data);
}

#[test]
fn send_realtime_update() {
    let server = Server::start();
    let mut stream = server.open(&get(&format!("/realtime/stream?token={DEMO}")));
    let answer = reference(
        &server,
        r#"curl -X POST http://localhost:3000/realtime/update \
  -H "Authorization: Bearer YOUR_TOKEN" \
  -H "Content-Type: application/json" \
  -d '{
    "entityType": "user",
    "entityId": "user123",
    "action": "updated",
    "data": {"status": "online"}
  }'"#,
    );
    let id = assert_published(&answer);
    let data = r#"{"entityType":"user","entityId":"user123","action":"updated","data":{"status":"online"},"timestamp":"$now"}"#;
    stream.next().assert(Some(&id), "update", data);
}

#[test]
fn send_chat_message() {
    let server = Server::start();
    let mut stream = server.open(&get(&format!("/chat/stream?token={DEMO}&room=general")));
    let answer = reference(
        &server,
        r#"curl -X POST http://localhost:3000/chat/send \
  -H "Authorization: Bearer YOUR_TOKEN" \
  -H "Content-Type: application/json" \
  -d '{
    "roomId": "general",
    "message": "Hello everyone!"
  }'"#,
    );
    let id = assert_published(&answer);
    let data = r#"{"id":"$id","roomId":"general","userId":"test123","username":"testuser","message":"Hello everyone!","timestamp":"$now"}"#;
    stream.next().assert(Some(&id), "message", data);
}

#[test]
fn get_system_status() {
    let server = Server::start();
    let answer = reference(&server, "curl http://localhost:3000/system/status");
    let status: serde_json::Value = serde_json::from_str(&answer).expect("JSON");
    assert_eq!(status["status"], "healthy");
}

/// What curl printed of a stream until its time was up.
#[track_caller]
fn watch(server: &Server, line: &str) -> String {
    let here = server.address().to_string();
    let line = line.replace("localhost:3000", &here).replace("your_token", DEMO);
    let output = shell(server, &line);
    assert_eq!(output.status.code(), Some(28), "curl's time was up: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// The guide's two.
#[test]
fn test_a_connection() {
    let server = Server::start();
    for line in [
        r#"curl -N -H "Accept: text/event-stream" "http://localhost:3000/api/notifications/stream?token=your_token""#,
        r#"curl -N -H "Accept: text/event-stream" -H "Authorization: Bearer your_token" "http://localhost:3000/api/notifications/stream""#,
    ] {
        let said = watch(&server, line);
        let (first, rest) = said.split_once("\n\n").expect("a block");
        assert!(first.contains("\nevent: connected\ndata: {\"connectionId\":"), "{said}");
        let welcome = r#"{"type":"notification","notificationType":"info","message":"Connected to notification stream"}"#;
        assert_eq!(rest, format!("event: notification\ndata: {welcome}\n\n"));
    }
}

/// The manager's requests, which need no credential under `--dev`.
#[test]
fn manage() {
    let server = Server::start();
    let mut stream = server.open(&get("/api/sse?userId=123"));
    let answer = reference(
        &server,
        r#"curl -X POST http://localhost:3000/api/sse -H "Content-Type: application/json" -d '
{
  "event": "notification",
  "data": { "message": "Hello!" },
  "broadcast": true
}'"#,
    );
    let id = assert_published(&answer);
    stream.next().assert(Some(&id), "notification", r#"{"message":"Hello!"}"#);
    let stats = reference(&server, "curl http://localhost:3000/api/sse/stats");
    let expected = r#"{"success":true,"connections":1,"users":1,"anonymous":0,"byUser":{"123":1}}"#;
    assert_eq!(stats, expected);
    let answer = reference(&server, "curl -X POST http://localhost:3000/api/sse/disconnect-all");
    assert_eq!(answer, r#"{"success":true,"disconnected":1}"#);
    stream.next().assert_disconnected("server_disconnect");
    stream.assert_ended();
}

#[test]
fn curl_reads_the_refusal_of_what_is_too_much() {
    let server = Server::start();
    let url = format!("http://{}/notifications/send?token={DEMO}", server.address());
    let curl = format!("curl -H 'Content-Type: application/json' --data-binary @- {url}");
    for how in ["", " -H 'Transfer-Encoding: chunked'", " -H 'Expect:'"] {
        let output = shell(&server, &format!("head -c 5000000 /dev/zero | {curl}{how}"));
        let problem: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        assert_eq!(problem["status"], 413, "{how}: {output:?}");
    }
}

#[test]
fn curl_listens() {
    let server = Server::start();
    let here = server.address();
    let output =
        shell(&server, &format!("curl -N 'http://{here}/notifications/stream?token={DEMO}'"));
    assert_eq!(output.status.code(), Some(28), "curl's time was up: {output:?}");
    let said = String::from_utf8(output.stdout).expect("text");
    assert!(said.starts_with("retry: ") && said.contains("\nevent: connected\n"), "{said}");
}

#[test]
fn the_lines_that_dev_prints_work() {
    let server = Server::start();
    let said = || server.stdout() + &server.log();
    let lines = |said: &str| {
        said.lines()
            .map(str::trim)
            .filter(|line| line.starts_with("curl "))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    eventually(PATIENCE, "three curl lines", || lines(&said()).len() >= 3);
    assert!(said().contains(&server.address().to_string()));
    for line in lines(&said()) {
        let output = shell(&server, &line);
        assert!(matches!(output.status.code(), Some(0 | 28)), "{line}: {output:?}");
        assert!(!output.stdout.is_empty(), "{line}: {output:?}");
    }
}
