//! A backend that webhooks are posted to, and that does with them what it is told to.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Setup, eventually, rill};

/// What its webhooks are signed with.
pub(crate) const SIGNED_WITH: &str = "whsec_Zk3vR8mQ1xW7tYb5nLp0sDg2hJc4uEa6oKiVwXqTzMs=";

/// What the receiver does with a request.
#[derive(Clone)]
pub(crate) enum Reply {
    /// Answers with this status line and these fields.
    Answer(String),
    /// Says nothing until the sender has gone.
    Hang,
    /// Hangs up.
    Close,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Post {
    pub(crate) at: Instant,
    pub(crate) line: String,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Post {
    #[track_caller]
    pub(crate) fn field(&self, name: &str) -> &str {
        let mut values = self.fields.iter().filter(|(known, _)| known == name);
        let (_, value) = values.next().unwrap_or_else(|| panic!("no {name} in {self:?}"));
        assert!(values.next().is_none(), "{name} twice in {self:?}");
        value
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }

    /// The ids of its events.
    pub(crate) fn ids(&self) -> Vec<String> {
        let json = self.json();
        let events = json["events"].as_array().expect("a list").iter();
        events.map(|event| event["id"].as_str().expect("an id").to_owned()).collect()
    }

    /// `+user` and `-user`.
    pub(crate) fn events(&self) -> Vec<String> {
        let json = self.json();
        let event = |event: &Value| {
            let user = event["userId"].as_str().expect("a user");
            match event["type"].as_str() {
                Some("user.online") => format!("+{user}"),
                Some("user.offline") => format!("-{user}"),
                other => panic!("{other:?}"),
            }
        };
        json["events"].as_array().expect("a list").iter().map(event).collect()
    }
}

#[derive(Default)]
struct Seen {
    all: Vec<Post>,
    taken: Vec<Post>,
    /// What becomes of the next ones.
    script: Vec<Reply>,
    /// What becomes of all of them meanwhile.
    always: Option<Reply>,
}

/// A backend in the test.
#[derive(Clone)]
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
}

impl Receiver {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let address = listener.local_addr().expect("an address");
        let receiver = Self { address, seen: Arc::default() };
        let acceptor = receiver.clone();
        thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                let receiver = acceptor.clone();
                thread::spawn(move || receiver.serve(socket));
            }
        });
        receiver
    }

    fn serve(&self, socket: TcpStream) {
        let mut reader = BufReader::new(socket.try_clone().expect("a second handle"));
        while let Some(post) = read(&mut reader) {
            let reply = {
                let mut seen = self.seen.lock().expect("no panic");
                seen.all.push(post.clone());
                let next = (!seen.script.is_empty()).then(|| seen.script.remove(0));
                let reply = next.or_else(|| seen.always.clone());
                if reply.is_none() {
                    seen.taken.push(post);
                }
                reply
            };
            let answer = match reply {
                None => "204 No Content\r\n".to_owned(),
                Some(Reply::Answer(answer)) => format!("{answer}Content-Length: 0\r\n"),
                Some(Reply::Hang) => {
                    let _ = reader.read(&mut [0]);
                    return;
                }
                Some(Reply::Close) => return,
            };
            let mut socket = &socket;
            if socket.write_all(format!("HTTP/1.1 {answer}\r\n").as_bytes()).is_err() {
                return;
            }
        }
    }

    pub(crate) fn script(&self, replies: impl Into<Vec<Reply>>) {
        self.seen.lock().expect("no panic").script = replies.into();
    }

    pub(crate) fn always(&self, reply: Option<Reply>) {
        self.seen.lock().expect("no panic").always = reply;
    }

    pub(crate) fn all(&self) -> Vec<Post> {
        self.seen.lock().expect("no panic").all.clone()
    }

    pub(crate) fn taken(&self) -> Vec<Post> {
        self.seen.lock().expect("no panic").taken.clone()
    }

    /// All events that it has taken, in their order.
    pub(crate) fn events(&self) -> Vec<String> {
        self.taken().iter().flat_map(Post::events).collect()
    }

    #[track_caller]
    pub(crate) fn wait_for(&self, events: &[&str], within: Duration) {
        eventually(within, &format!("{events:?}"), || self.events().len() >= events.len());
        assert_eq!(self.events(), events);
    }

    /// A server that tells it.
    pub(crate) fn setup(&self) -> Setup {
        rill()
            .env("RILL_WEBHOOKS_URL", &format!("http://{}/hook?key=K", self.address))
            .env("RILL_WEBHOOKS_SECRET", SIGNED_WITH)
            .env("RILL_WEBHOOKS_TIMEOUT", "500ms")
    }

    /// Node's own HMAC says so of every request that came.
    #[track_caller]
    pub(crate) fn assert_signed(&self) {
        const CHECK: &str = r"
            const { createHmac } = require('node:crypto');
            const { secret, posts } = JSON.parse(require('node:fs').readFileSync(0, 'utf8'));
            const key = Buffer.from(secret.slice('whsec_'.length), 'base64');
            const wrong = posts.filter(({ id, timestamp, signature, body }) => {
                const mac = createHmac('sha256', key).update(`${id}.${timestamp}.${body}`);
                return signature !== `v1,${mac.digest('base64')}`;
            });
            console.log(`${posts.length} posts, ${wrong.length} wrong`);";
        let post = |post: &Post| {
            json!({
                "id": post.field("webhook-id"),
                "timestamp": post.field("webhook-timestamp"),
                "signature": post.field("webhook-signature"),
                "body": post.body,
            })
        };
        let posts: Vec<Value> = self.all().iter().map(post).collect();
        assert!(!posts.is_empty());
        let mut node = Command::new("node");
        node.args(["-e", CHECK]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut node = node.spawn().expect("node runs");
        let input = json!({ "secret": SIGNED_WITH, "posts": posts }).to_string();
        node.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("it is read");
        let output = node.wait_with_output().expect("its output");
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(said.trim(), format!("{} posts, 0 wrong", posts.len()), "{output:?}");
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Post> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let field = |line: &String| {
        let (name, value) = line.split_once(": ").expect("a field");
        (name.to_ascii_lowercase(), value.to_owned())
    };
    let fields: Vec<_> = lines[1..].iter().map(field).collect();
    let length = fields.iter().find(|(name, _)| name == "content-length").expect("a length");
    let mut body = vec![0; length.1.parse().expect("a number")];
    reader.read_exact(&mut body).ok()?;
    let body = String::from_utf8(body).expect("text");
    Some(Post { at: Instant::now(), line: lines.remove(0), fields, body })
}
