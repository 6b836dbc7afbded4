//! The program as its user meets it: what it prints, how it ends, and what it says when the server
//! dies, refuses, stalls or answers garbage.

mod kit;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use kit::{fails, loadtest, rill, run};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use serde_json::Value;

/// One of the servers that the program has in it.
struct Server {
    process: Child,
    url: String,
}

impl Server {
    fn start(kind: &str) -> Server {
        let mut command = loadtest(kind);
        command.args(["--listen", "127.0.0.1:0"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("listening on ").unwrap().to_owned();
        Server { process, url }
    }

    /// The flags that attach to it.
    fn flags(&self, dialect: &str) -> String {
        format!("--url {} --dialect {dialect} --pid {}", self.url, self.process.id())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A listener that gives every connection to `answer`.
fn listen(answer: impl Fn(TcpStream) + Clone + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for socket in listener.incoming().map_while(Result::ok) {
            let answer = answer.clone();
            thread::spawn(move || answer(socket));
        }
    });
    url
}

#[test]
fn any_server_can_be_driven() {
    let server = Server::start("axum-server");
    let arguments = "flood --streams 20 --rate 100 --seconds 0.5 --loop-seconds 0 --json";
    let (status, out, _) = run(&format!("{arguments} {}", server.flags("axum")));
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (status.code(), &report["deliveries"], &report["lost"]),
        (Some(0), &1000.into(), &0.into())
    );
    assert!(report["server_cores"].as_f64().unwrap() > 0.0, "{report}");
}

#[test]
fn a_dialect_can_come_from_a_file() {
    let server = Server::start("axum-server");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("mine.toml");
    let dialect = "[stream]\npath = '/stream?user={user}'\nlive = 'connected'\n[publish]\npath = '/publish'\n\
                   headers = ['Content-Type: application/json']\nanswer = 'status'\n\
                   broadcast = '{\"message\":\"{message}\"}'\n";
    fs::write(&file, dialect).unwrap();
    let flags = server.flags(file.to_str().unwrap());
    let arguments = "flood --streams 5 --rate 50 --seconds 0.3 --loop-seconds 0";
    let (status, out, error) = run(&format!("{arguments} {flags}"));
    assert_eq!(status.code(), Some(0), "{out}{error}");
    fails(&format!("unicast --streams 5 --seconds 0.3 {flags}"), "no events for one user");
    fs::write(&file, dialect.replace("live", "life")).unwrap();
    fails(&format!("idle --streams 1 {flags}"), "unknown field `life`");
}

#[test]
fn a_page_shows_the_run_and_no_secrets() {
    let server = Server::start("axum-server");
    let directory = tempfile::tempdir().unwrap();
    let page = directory.path().join("page");
    let arguments =
        "flood --streams 10 --rate 100 --seconds 1 --loop-seconds 0 --header X-Key:hush";
    let flags = server.flags("axum");
    let (status, _, error) = run(&format!("{arguments} {flags} --report {}", page.display()));
    assert_eq!(status.code(), Some(0), "{error}");
    let html = fs::read_to_string(page.join("report.html")).unwrap();
    assert!(html.contains("deliveries per second") && html.contains("<svg"), "{html}");
    assert!(html.contains("--header ...") && !html.contains("hush"));
    for chart in ["latency", "deliveries", "memory", "cpu", "streams", "descriptors"] {
        assert!(page.join(format!("{chart}.svg")).is_file(), "{chart}");
    }
}

/// Starts it in a process group of its own, and waits until it measures.
fn begin(command: &mut Command) -> Child {
    let command = command.process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn().unwrap();
    let errors = BufReader::new(process.stderr.take().unwrap());
    errors.lines().map_while(Result::ok).find(|line| line.contains("are open")).unwrap();
    // A little is measured by then.
    thread::sleep(Duration::from_millis(400));
    process
}

/// Whether this process was told to ignore the signal.
fn is_ignored(signal: Signal) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    let mask = u64::from_str_radix(mask.trim(), 16).unwrap();
    mask & (1 << (signal as u32 - 1)) != 0
}

fn pid(process: &Child) -> Pid {
    Pid::from_raw(process.id() as i32)
}

const LONG_FLOOD: &str = "flood --streams 10 --rate 100 --seconds 600 --loop-seconds 0 --json";

/// An interrupted flood has a report without losses.
fn ends_interrupted(process: Child) {
    let output = process.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["cut_short"], &report["lost"]), (&"interrupted".into(), &0.into()));
    assert_eq!(report["streams_ended_by_server"], 0, "{report}");
    assert!(report["deliveries"].as_u64().unwrap() >= 100, "{report}");
}

#[test]
fn an_interrupt_prints_the_summary_so_far() {
    // Under nohup our children ignore what we ignore.
    let hangup = Some(Signal::SIGHUP).filter(|signal| !is_ignored(*signal));
    for signal in [Signal::SIGINT, Signal::SIGTERM].into_iter().chain(hangup) {
        let server = Server::start("send-loop");
        let flags = server.flags("send-loop");
        let process = begin(&mut loadtest(&format!("{LONG_FLOOD} {flags}")));
        kill(pid(&process), signal).unwrap();
        ends_interrupted(process);
    }
}

#[test]
fn every_scenario_tells_what_it_has_when_it_is_interrupted() {
    for scenario in [
        "fanout --streams 10 --broadcasts 1000000",
        "storm --streams 10 --before 600",
        "unicast --streams 10 --rate 50 --seconds 600",
        "churn --streams 10 --rate 50 --seconds 600",
        "slow --streams 10 --rate 50 --seconds 600",
        "mixed --streams 10 --seconds 600",
        "soak --streams 10 --seconds 600",
        "publish --publishers 2 --seconds 600",
        "siege --jwt hs256 --streams 10 --seconds 600",
        "idle --streams 10 --seconds 600",
        "conversation --members 20 --connections 10 --seconds 600",
        "presence --connections 10 --before 600",
    ] {
        let mut command = loadtest(&format!("{scenario} --json"));
        let process = begin(command.arg("--server").arg(rill()));
        kill(pid(&process), Signal::SIGINT).unwrap();
        let output = process.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130), "{scenario}");
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let told = (&report["cut_short"], &report["lost"]);
        assert_eq!(told, (&"interrupted".into(), &0.into()), "{scenario} {report}");
    }
}

#[test]
fn an_interrupt_at_the_terminal_is_not_for_the_server() {
    let mut command = loadtest(LONG_FLOOD);
    let process = begin(command.arg("--server").arg(rill()));
    killpg(pid(&process), Signal::SIGINT).unwrap();
    ends_interrupted(process);
}

#[test]
fn nohup_outlives_the_terminal() {
    let server = Server::start("send-loop");
    let arguments = "flood --streams 10 --rate 100 --seconds 1 --loop-seconds 0";
    let mut command = Command::new("nohup");
    command.arg(env!("CARGO_BIN_EXE_loadtest")).args(arguments.split_whitespace());
    let process = begin(command.args(server.flags("send-loop").split_whitespace()));
    kill(pid(&process), Signal::SIGHUP).unwrap();
    assert_eq!(process.wait_with_output().unwrap().status.code(), Some(0));
}

#[test]
fn a_second_interrupt_ends_everything_at_once() {
    let (stalled, stalls) = channel();
    let url = listen(move |socket| open_streams_only(socket, || stalled.send(()).unwrap()));
    let directory = tempfile::tempdir().unwrap();
    let (script, number) = (directory.path().join("server"), directory.path().join("pid"));
    let text = format!(
        "#!/bin/sh\necho $$ > {}\necho listening on {url}\nexec sleep 600\n",
        number.display()
    );
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
    let mut command = loadtest("fanout --streams 2 --quiet --server");
    let command = command.arg(&script).stdout(Stdio::null()).stderr(Stdio::null());
    let mut process = command.spawn().unwrap();
    stalls.recv_timeout(Duration::from_secs(30)).expect("a publish");

    let interrupted = Instant::now();
    // Of two that are the same, one may get lost in the other.
    kill(pid(&process), Signal::SIGINT).unwrap();
    kill(pid(&process), Signal::SIGTERM).unwrap();
    assert_eq!(process.wait().unwrap().code(), Some(130));
    assert!(interrupted.elapsed() < Duration::from_secs(3), "{:?}", interrupted.elapsed());
    let server = fs::read_to_string(number).unwrap();
    let line = format!("/proc/{}/cmdline", server.trim());
    while fs::read(&line).is_ok_and(|line| !line.is_empty()) {
        assert!(interrupted.elapsed() < Duration::from_secs(30), "the server is left");
        thread::yield_now();
    }
}

/// Says `connected` to each stream, and only tells `stalled` of a publish.
fn open_streams_only(mut socket: TcpStream, stalled: impl Fn()) {
    let mut buffer = [0; 4096];
    let length = socket.read(&mut buffer).unwrap_or(0);
    if buffer[..length].starts_with(b"POST") {
        stalled();
    } else if length > 0 {
        let connected = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n\
                         event: connected\ndata: {}\n\n";
        socket.write_all(connected.as_bytes()).unwrap();
    }
    hold(socket);
}

#[test]
fn the_time_limit_ends_a_run_in_the_same_way() {
    let server = Server::start("send-loop");
    let arguments = "flood --streams 10 --rate 100 --seconds 600 --loop-seconds 0 --time-limit 3";
    let (status, out, _) = run(&format!("{arguments} {}", server.flags("send-loop")));
    assert_eq!(status.code(), Some(2));
    assert!(out.contains("cut_short") && out.contains("--time-limit"), "{out}");
}

#[test]
fn a_server_that_dies_is_told_of() {
    let server = Server::start("axum-server");
    let arguments = "flood --streams 10 --rate 100 --seconds 60 --loop-seconds 0 --patience 0.2";
    let mut command = loadtest(&format!("{arguments} {}", server.flags("axum")));
    let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut errors = BufReader::new(process.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("are open") {
        line.clear();
        assert!(errors.read_line(&mut line).unwrap() > 0);
    }
    drop(server);
    let mut rest = String::new();
    errors.read_to_string(&mut rest).unwrap();
    assert_eq!(process.wait().unwrap().code(), Some(2));
    assert!(rest.lines().last().unwrap().starts_with("loadtest: "), "{rest}");
}

#[test]
fn a_server_of_ours_that_cannot_start_is_quoted() {
    let (status, _, error) = run("density --streams 5 --server /bin/false");
    assert_eq!(status.code(), Some(2));
    assert!(error.contains("the server did not start"), "{error}");
    fails("density --server /none", "there is no server at /none");
}

#[test]
fn a_server_that_is_not_one_is_told_of() {
    const FLAGS: &str = "idle --streams 3 --open-limit 0.5 --url";
    fails(&format!("{FLAGS} http://127.0.0.1:1"), "refused");
    let stalls = listen(|socket| thread::park_timeout(Duration::from_secs(60).min(hold(socket))));
    fails(&format!("{FLAGS} {stalls}"), "only 0 of 3 streams opened");
    let garbage = listen(|mut socket| drop(socket.write_all(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")));
    fails(&format!("{FLAGS} {garbage}"), "not an HTTP/1 answer");
    let page = listen(|mut socket| {
        let _ = socket.read(&mut [0; 4096]);
        let _ = socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<p>hi");
    });
    fails(&format!("{FLAGS} {page}"), "not text/event-stream");
    let refuses = listen(|mut socket| {
        let _ = socket.read(&mut [0; 4096]);
        let _ = socket.write_all(b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n");
    });
    fails(&format!("{FLAGS} {refuses}"), "status 401");
}

/// Reads what comes and answers nothing, until the peer is gone.
fn hold(mut socket: TcpStream) -> Duration {
    let _ = socket.read_to_end(&mut Vec::new());
    Duration::ZERO
}

#[test]
fn wrong_arguments_are_explained() {
    for (arguments, hint) in [
        ("flood --rate 0", "not above 0"),
        ("flood --rate 2e9", "up to 1000000000"),
        ("flood --streams many", "not a whole number"),
        ("flood --header nonsense", "not 'Name: value'"),
        ("idle --url http://10.0.0.1:80", "not a loopback address"),
        ("nothing", "unrecognized subcommand"),
    ] {
        let (status, _, error) = run(arguments);
        assert!(status.code() == Some(2) && error.contains(hint), "{arguments}: {error}");
    }
    fails("idle --pid 1", "--pid needs --url");
    fails("idle --url https://127.0.0.1:1", "needs --ca");
    fails("idle --jwt hs256 --jwt-key /none", "belongs to --jwt with --url");
    fails("idle --jwt hs256 --url http://127.0.0.1:1", "belongs to --jwt with --url");
    fails("siege", "needs --jwt");
    fails("conversation --members 2 --connections 3", "not more than --members");
    fails("compare --document /none", "reading the document");
}

#[test]
fn losses_are_no_success() {
    // Nothing is kept for a stream that is away.
    let server = Server::start("axum-server");
    let arguments =
        "storm --streams 20 --rate 200 --broadcast-share 1 --before 0.2 --after 0.2 --patience 0.3";
    let (status, out, _) = run(&format!("{arguments} {}", server.flags("axum")));
    assert_eq!(status.code(), Some(1), "{out}");
    assert!(out.contains("NOT SOUND"), "{out}");
}
