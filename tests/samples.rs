//! The JavaScript samples of the reference API, as they stand, under node with a small EventSource. Its curl lines are in
//! `curl.rs`; the examples of the other documents in `guide_samples.rs`, `service_samples.rs` and `manager_samples.rs`.

mod support;

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::json;
use support::*;

/// EventSource as far as the samples go: relative addresses, named events, `onopen`, `onerror` and coming back with the
/// last id. Objects are printed as JSON, so that a test can read them.
const EVENT_SOURCE: &str = r#"
const log = console.log;
console.log = (...values) => log(...values.map((value) => typeof value === 'string' ? value : JSON.stringify(value)));
class EventSource extends EventTarget {
  constructor(url) { super(); this.url = new URL(url, process.env.BASE); this.abort = new AbortController(); this.run(); }
  close() { this.abort.abort(); }
  async run() {
    try {
      const response = await fetch(this.url, { headers: { Accept: 'text/event-stream' }, signal: this.abort.signal });
      if (response.status !== 200) throw new Error(`status ${response.status}`);
      log('open');
      this.onopen?.();
      let text = '';
      for await (const block of response.body.pipeThrough(new TextDecoderStream())) {
        text += block;
        for (let end; (end = text.indexOf('\n\n')) >= 0; text = text.slice(end + 2)) this.take(text.slice(0, end));
      }
      throw new Error('the stream ended');
    } catch (error) {
      if (!this.abort.signal.aborted) { log('error'); this.onerror?.(error); }
    }
  }
  take(block) {
    const fields = Object.fromEntries(block.split('\n').map((line) => line.split(/: (.*)/s)));
    this.dispatchEvent(new MessageEvent(fields.event, { data: fields.data, lastEventId: fields.id }));
  }
}
"#;

/// A sample that runs; its output goes to a file.
struct Sample {
    node: Child,
    output: PathBuf,
}

impl Sample {
    /// None where there is no node.
    fn run(server: &Server, sample: &str) -> Option<Self> {
        let script = EVENT_SOURCE.to_owned() + &sample.replace("YOUR_TOKEN", DEMO);
        let output = server.setup().path("sample");
        let node = Command::new("node")
            .args(["--input-type=commonjs", "--eval", &script])
            .env("BASE", format!("http://{}", server.address()))
            .stdin(Stdio::null())
            .stdout(File::create(&output).expect("a file"))
            .spawn();
        if node.is_err() {
            eprintln!("skipped: there is no node here");
        }
        let sample = Self { node: node.ok()?, output };
        sample.wait_for("open\n");
        Some(sample)
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.output).unwrap_or_default()
    }

    #[track_caller]
    fn wait_for(&self, text: &str) {
        eventually(PATIENCE, text, || self.said().contains(text));
    }
}

impl Drop for Sample {
    fn drop(&mut self) {
        // Both fail only for a process that is gone already.
        let _ = self.node.kill();
        let _ = self.node.wait();
    }
}

#[test]
fn notifications() {
    let server = Server::start();
    let sample = Sample::run(
        &server,
        r"
const eventSource = new EventSource('/notifications/stream?token=YOUR_TOKEN');

eventSource.addEventListener('notification', (event) => {
  const data = JSON.parse(event.data);
  console.log('Notification:', data);
  // { id, title, message, type, timestamp, userId }
});
",
    );
    let Some(sample) = sample else { return };
    let id = server.notify("test123", "Hello World!");
    sample
        .wait_for(&format!(r#"Notification: {{"id":"{id}","title":null,"message":"Hello World!""#));
}

#[test]
fn updates() {
    let server = Server::start();
    let sample = Sample::run(
        &server,
        r"
const eventSource = new EventSource('/realtime/stream?token=YOUR_TOKEN');

eventSource.addEventListener('update', (event) => {
  const data = JSON.parse(event.data);
  console.log('Update:', data);
  // { entityType, entityId, action, data, timestamp }
});
",
    );
    let Some(sample) = sample else { return };
    let body = json!({ "entityType": "user", "entityId": "user123", "action": "updated", "data": { "status": "online" } });
    server.publish("/realtime/update", DEMO, body);
    sample.wait_for(
        r#"Update: {"entityType":"user","entityId":"user123","action":"updated","data":{"status":"online"},"timestamp":"#,
    );
}

#[test]
fn chat() {
    let server = Server::start();
    let sample = Sample::run(
        &server,
        r"
const eventSource = new EventSource('/chat/stream?token=YOUR_TOKEN&room=general');

eventSource.addEventListener('message', (event) => {
  const data = JSON.parse(event.data);
  console.log('Chat:', data);
  // { id, roomId, userId, username, message, timestamp }
});
",
    );
    let Some(sample) = sample else { return };
    let id = server.publish(
        "/chat/send",
        DEMO,
        json!({ "roomId": "general", "message": "Hello everyone!" }),
    );
    sample.wait_for(&format!(
        r#"Chat: {{"id":"{id}","roomId":"general","userId":"test123","username":"testuser""#
    ));
}

#[test]
fn status() {
    let server = Server::start();
    let sample = Sample::run(
        &server,
        r"
const eventSource = new EventSource('/system/status/stream');

eventSource.addEventListener('status', (event) => {
  const data = JSON.parse(event.data);
  console.log('System:', data);
  // { status, uptime, connections, memory, cpu, timestamp }
});
",
    );
    let Some(sample) = sample else { return };
    sample.wait_for(r#"System: {"status":"healthy","uptime":"#);
}

#[test]
fn reconnection() {
    let server = Server::start();
    let sample = Sample::run(
        &server,
        r"
let reconnectDelay = 1000;
const maxDelay = 30000;

function connectSSE() {
  const eventSource = new EventSource('/notifications/stream?token=YOUR_TOKEN');
  
  eventSource.onopen = () => {
    reconnectDelay = 1000; // Reset delay on successful connection
  };
  
  eventSource.onerror = () => {
    eventSource.close();
    setTimeout(connectSSE, reconnectDelay);
    reconnectDelay = Math.min(reconnectDelay * 2, maxDelay);
  };
}
connectSSE();
",
    );
    let Some(sample) = sample else { return };
    let address = server.address().to_string();
    let _again = server.crash().listen(&address).start();
    eventually(PATIENCE, "it comes back", || {
        let said = sample.said();
        said.contains("error\n") && said.ends_with("open\n")
    });
}
