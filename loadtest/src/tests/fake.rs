//! A tiny SSE server: a thread a connection, a log in memory, cursors, and faults on demand.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// What the server does wrong, to the event with this number (counted from 0) on every stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    Nothing,
    /// Leaves it out.
    Loses(usize),
    /// Sends it twice.
    Repeats(usize),
    /// Sends it after the next one.
    Swaps(usize),
    /// Says `gap` in its place.
    Gaps(usize),
    /// Sends what is for one user to all.
    Blabs,
    /// Refuses streams with this status.
    Refuses(u16),
    /// Ends the stream instead.
    Ends(usize),
    /// Closes the connection instead, in the middle of a chunk.
    Cuts(usize),
    /// Sends it without its id.
    Unnamed(usize),
    /// Refuses every publish with this status.
    RefusesPublishes(u16),
}

struct Kept {
    id: String,
    user: Option<String>,
    data: String,
}

/// What one stream has got.
#[derive(Default)]
struct Written {
    events: usize,
    held_back: String,
}

struct Hub {
    wrong: Wrong,
    log: Mutex<Vec<Kept>>,
    more: Condvar,
}

/// Starts it; it lives as long as the tests do.
pub(crate) fn start(wrong: Wrong) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let hub = Arc::new(Hub { wrong, log: Mutex::default(), more: Condvar::new() });
    thread::spawn(move || {
        for socket in listener.incoming().map_while(Result::ok) {
            let hub = hub.clone();
            // A peer that leaves ends its thread.
            thread::spawn(move || drop(hub.serve(socket)));
        }
    });
    address
}

struct Request {
    line: String,
    user: String,
    last_id: String,
    body: String,
}

fn read_request(reader: &mut BufReader<TcpStream>) -> std::io::Result<Request> {
    let mut request = Request {
        line: String::new(),
        user: String::new(),
        last_id: String::new(),
        body: String::new(),
    };
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        match line.trim_end().split_once(": ") {
            None if line == "\r\n" => break,
            None => request.line = line,
            Some(("Authorization", value)) => {
                request.user = user(value.trim_start_matches("Bearer "))
            }
            Some(("Last-Event-ID", value)) => request.last_id = value.into(),
            Some(("Content-Length", value)) => length = value.parse().unwrap(),
            Some(_) => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    request.body = String::from_utf8(body).unwrap();
    Ok(request)
}

fn user(token: &str) -> String {
    let text = String::from_utf8(STANDARD.decode(token).unwrap()).unwrap();
    text.split(':').next().unwrap().to_owned()
}

/// The start of a chunk that does not go on.
const CUT: &str = "ff\r\nid: ";

fn chunk(text: &str) -> String {
    format!("{:X}\r\n{text}\r\n", text.len())
}

impl Hub {
    fn serve(&self, socket: TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(socket.try_clone()?);
        loop {
            let request = read_request(&mut reader)?;
            if request.line.starts_with("GET /notifications/stream") {
                return self.stream(socket, &request);
            }
            let (status, body) = self.publish(&request);
            let length = body.len();
            let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n\r\n{body}");
            (&socket).write_all(answer.as_bytes())?;
        }
    }

    fn publish(&self, request: &Request) -> (u16, String) {
        if let Wrong::RefusesPublishes(status) = self.wrong {
            return (status, "no".into());
        }
        assert!(
            request.line.starts_with("POST /notifications/send ") && request.user == "admin",
            "{}",
            request.line
        );
        let body: serde_json::Value = serde_json::from_str(&request.body).unwrap();
        let mut log = self.log.lock().unwrap();
        let id = format!("{}-{}.fake", 1000 + log.len() / 7, log.len());
        let user = body["userId"].as_str().map(str::to_owned);
        assert!(user.is_some() || body["broadcast"] == true);
        log.push(Kept {
            id: id.clone(),
            user,
            data: serde_json::json!({"id": id, "message": body["message"]}).to_string(),
        });
        self.more.notify_all();
        (200, format!(r#"{{"success":true,"id":"{id}","subscribers":1}}"#))
    }

    fn stream(&self, mut socket: TcpStream, request: &Request) -> std::io::Result<()> {
        if let Wrong::Refuses(status) = self.wrong {
            return write!(socket, "HTTP/1.1 {status} No\r\ncontent-length: 0\r\n\r\n");
        }
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
        let mut at = self.position_after(&request.last_id);
        let id = self.id_before(at);
        let hello = format!(
            "retry: 2000\nid: {id}\nevent: connected\ndata: {{\"userId\":\"{}\"}}\n\n",
            request.user
        );
        socket.write_all((head.to_owned() + &chunk(&hello)).as_bytes())?;
        let mut written = Written::default();
        loop {
            let (text, next) = self.after(at, &request.user, &mut written);
            socket.write_all(text.as_bytes())?;
            if text.ends_with("0\r\n\r\n") || text.ends_with(CUT) {
                return Ok(());
            }
            at = next;
        }
    }

    fn position_after(&self, last_id: &str) -> usize {
        let log = self.log.lock().unwrap();
        match last_id {
            "" => log.len(),
            "999-0.fake" => 0,
            id => log.iter().position(|kept| kept.id == id).unwrap() + 1,
        }
    }

    fn id_before(&self, at: usize) -> String {
        let log = self.log.lock().unwrap();
        at.checked_sub(1).map_or("999-0.fake".into(), |at| log[at].id.clone())
    }

    /// What is written next: events, or a heartbeat when there were none for a while.
    fn after(&self, at: usize, user: &str, written: &mut Written) -> (String, usize) {
        let log = self.log.lock().unwrap();
        let (log, _) = self
            .more
            .wait_timeout_while(log, Duration::from_millis(200), |log| log.len() == at)
            .unwrap();
        let mut text = String::new();
        for kept in &log[at..] {
            if kept.user.as_ref().is_none_or(|wanted| wanted == user || self.wrong == Wrong::Blabs)
            {
                text += &self.write(kept, written);
                written.events += 1;
            }
        }
        if log.len() == at {
            let id = at.checked_sub(1).map_or("999-0.fake", |at| &log[at].id);
            text = chunk(&format!("id: {id}\nevent: heartbeat\ndata: {{}}\n\n"));
        }
        (text, log.len())
    }

    fn write(&self, kept: &Kept, written: &mut Written) -> String {
        let Kept { id, data, .. } = kept;
        let event = chunk(&format!("id: {id}\nevent: notification\ndata: {data}\n\n"));
        let number = written.events;
        match self.wrong {
            Wrong::Loses(wrong) if wrong == number => String::new(),
            Wrong::Repeats(wrong) if wrong == number => event.repeat(2),
            Wrong::Gaps(wrong) if wrong == number => {
                chunk(&format!("id: {id}\nevent: gap\ndata: {{}}\n\n"))
            }
            Wrong::Ends(wrong) if wrong == number => "0\r\n\r\n".into(),
            Wrong::Cuts(wrong) if wrong == number => CUT.into(),
            Wrong::Unnamed(wrong) if wrong == number => {
                chunk(&format!("event: notification\ndata: {data}\n\n"))
            }
            Wrong::Swaps(wrong) if wrong == number => {
                written.held_back = event;
                String::new()
            }
            _ => event + &std::mem::take(&mut written.held_back),
        }
    }
}
