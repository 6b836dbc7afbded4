//! Real Chromium, and a web site that it visits.

use std::collections::HashMap;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

/// Chromium takes seconds to start where others work too.
pub(super) const BROWSER_PATIENCE: Duration = Duration::from_secs(60);

/// Not every browser keeps the cookies of one site from the pages of another, so this one does not.
const EVERY_COOKIE: &str =
    r#"{"profile":{"cookie_controls_mode":0,"block_third_party_cookies":false}}"#;

const HTML: &str = "text/html; charset=utf-8";

/// Nothing leaves this machine.
const HOSTS: &str =
    "MAP *.example 127.0.0.1,MAP localhost 127.0.0.1,MAP * ~NOTFOUND,EXCLUDE 127.0.0.1";

/// What every page can do: tell its site what it found, one thing after the other.
const REPORT: &str = "
const report = (value) => fetch('/report', { method: 'POST', body: JSON.stringify(value) });
const attempt = (work) => work().then(report, (error) => report({ error: String(error) }));
let told = Promise.resolve();
const tell = (value) => { told = told.then(() => report(value)); };
";

/// For code that talks to the console: what it says there is told.
const CONSOLE: &str = "
console.log = console.error = (...values) => tell(values);
";

/// A site of pages that run a script each. It has every name that ends in `.example`, and its address.
pub(crate) struct Site {
    address: SocketAddr,
    pages: Arc<Mutex<HashMap<String, Page>>>,
    reports: Receiver<Value>,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Site {
    pub(crate) fn open() -> Self {
        Self::with(None)
    }

    /// One that has what is not its own from a server, which so has the same origin as its pages.
    pub(crate) fn in_front_of(server: SocketAddr) -> Self {
        Self::with(Some(server))
    }

    fn with(behind: Option<SocketAddr>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let (pages, heads) =
            (Arc::<Mutex<HashMap<_, _>>>::default(), Arc::<Mutex<Vec<_>>>::default());
        let (reporter, reports) = channel();
        let served =
            Served { pages: Arc::clone(&pages), heads: Arc::clone(&heads), reporter, behind };
        thread::spawn(move || {
            for peer in listener.incoming().map_while(Result::ok) {
                let served = served.clone();
                // A browser opens connections that it may never use.
                thread::spawn(move || served.answer(&peer));
            }
        });
        Self { address, pages, reports, heads }
    }

    /// Its origin under the name `host`.
    pub(crate) fn origin(&self, host: &str) -> String {
        format!("http://{host}:{}", self.address.port())
    }

    /// Puts a page at a path.
    pub(crate) fn page(&self, path: &str, script: &str) {
        let html = format!("<!doctype html><body><script type=module>{REPORT}{script}</script>");
        self.put(path, HTML, html);
    }

    /// Puts a page at a path that runs code as it stands; it tells each line that goes to the console.
    pub(crate) fn sample(&self, path: &str, code: &str) {
        self.page(path, &format!("{CONSOLE}{code}"));
    }

    /// Puts the bytes of an event stream at a path.
    pub(crate) fn recording(&self, path: &str, bytes: &[u8]) {
        self.put(path, "text/event-stream", bytes);
    }

    fn put(&self, path: &str, media_type: &'static str, body: impl Into<Vec<u8>>) {
        let page = Page { media_type, body: body.into() };
        self.pages.lock().expect("the pages").insert(path.into(), page);
    }

    /// Goes to a page.
    pub(crate) fn visit(&self, host: &str, path: &str) -> Browser {
        Browser::start(&format!("{}{path}", self.origin(host)))
    }

    /// The next thing that a page tells.
    #[track_caller]
    pub(crate) fn report(&self) -> Value {
        let report = self.reports.recv_timeout(BROWSER_PATIENCE);
        report.unwrap_or_else(|_| panic!("no report; asked for: {:#?}", self.heads()))
    }

    /// The heads of all requests so far.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().expect("the heads").clone()
    }
}

#[derive(Clone)]
struct Page {
    media_type: &'static str,
    body: Vec<u8>,
}

/// What each connection of a site sees of it.
#[derive(Clone)]
struct Served {
    pages: Arc<Mutex<HashMap<String, Page>>>,
    heads: Arc<Mutex<Vec<String>>>,
    reporter: Sender<Value>,
    behind: Option<SocketAddr>,
}

impl Served {
    fn answer(&self, peer: &TcpStream) -> Option<()> {
        let mut reader = BufReader::new(peer);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).ok()? == 0 {
                return None;
            }
        }
        let mut line = head.split(' ');
        let (method, path) = (line.next()?, line.next()?);
        if (method, path) == ("POST", "/report") {
            let mut fields = head.lines().filter_map(|line| line.split_once(": "));
            let (_, length) =
                fields.find(|(name, _)| name.eq_ignore_ascii_case("content-length"))?;
            let mut body = vec![0; length.parse().ok()?];
            reader.read_exact(&mut body).ok()?;
            self.reporter.send(serde_json::from_slice(&body).ok()?).ok()?;
        }
        let own = self.pages.lock().ok()?.get(path).cloned();
        self.heads.lock().ok()?.push(head.clone());
        if let (None, Some(server)) = (&own, self.behind.filter(|_| path != "/report")) {
            return forward(&head, reader, server);
        }
        let Page { media_type, body } = own.unwrap_or(Page { media_type: HTML, body: Vec::new() });
        let mut peer = peer;
        let fields = "Cache-Control: no-store\r\nConnection: close";
        write!(peer, "HTTP/1.1 200 OK\r\nContent-Type: {media_type}\r\n{fields}\r\n").ok()?;
        write!(peer, "Content-Length: {}\r\n\r\n", body.len()).ok()?;
        peer.write_all(&body).ok()
    }
}

/// Takes a request to a server, and what comes either way until one of the two ends.
fn forward(head: &str, mut reader: BufReader<&TcpStream>, server: SocketAddr) -> Option<()> {
    let mut peer = *reader.get_ref();
    let server = TcpStream::connect(server).ok()?;
    // The browser's next request may be for a page.
    let head = head.replace("Connection: keep-alive", "Connection: close");
    (&server).write_all(head.as_bytes()).ok()?;
    thread::scope(|scope| {
        scope.spawn(|| {
            // Whoever hangs up, and however, ends both.
            let _ = io::copy(&mut reader, &mut &server);
            let _ = server.shutdown(Shutdown::Both);
        });
        let _ = io::copy(&mut &server, &mut peer);
        peer.shutdown(Shutdown::Both).ok()
    })
}

/// Where a Chromium keeps its things; gone with it.
pub(super) struct Profile(TempDir);

impl Profile {
    pub(super) fn new() -> Self {
        let profile = TempDir::with_prefix("chromium-").expect("a directory");
        let default = profile.path().join("Default");
        fs::create_dir(&default).expect("a directory");
        fs::write(default.join("Preferences"), EVERY_COOKIE).expect("a file");
        Self(profile)
    }
}

impl Drop for Profile {
    fn drop(&mut self) {
        let gone = |_: &u32| fs::remove_dir_all(self.0.path()).is_ok();
        let _ = (0..100).inspect(|_| thread::sleep(Duration::from_millis(10))).find(gone);
    }
}

/// The command that starts one, without the page.
pub(super) fn chromium(profile: &Profile) -> Vec<String> {
    let fixed =
        ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"];
    let quiet = ["--no-first-run", "--disable-background-networking", "--disable-component-update"];
    let more = ["--disable-sync", "--no-proxy-server", "--mute-audio"];
    let names = format!("--host-resolver-rules={HOSTS}");
    let directory = format!("--user-data-dir={}", profile.0.path().display());
    let all = fixed.iter().chain(&quiet).chain(&more).map(ToString::to_string);
    all.chain([names, directory]).collect()
}

/// Ends one with all of its processes: those that live on would write into the profile while it goes.
pub(super) fn kill(chromium: &mut Child) {
    let kill = format!("kill -KILL -{}", chromium.id());
    // They fail only for processes that are gone already.
    let _ = Command::new("sh").args(["-c", &kill]).status();
    let _ = chromium.kill();
    let _ = chromium.wait();
}

/// A Chromium with a profile of its own. It ends with the test.
pub(crate) struct Browser {
    chromium: Child,
    /// Dropped after it has ended.
    _profile: Profile,
}

impl Browser {
    fn start(url: &str) -> Self {
        let profile = Profile::new();
        let command = chromium(&profile);
        let chromium = Command::new(&command[0])
            .args(&command[1..])
            .arg(url)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromium, which tests/run installs");
        Self { chromium, _profile: profile }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        kill(&mut self.chromium);
    }
}
