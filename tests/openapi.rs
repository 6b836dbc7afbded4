//! `/openapi.json` is a valid description, of the paths that there are, and the server does what it says: a
//! property-based tester (schemathesis) asks it whatever the description allows and forbids.
//!
//! The tester takes the first event of each stream and goes; what else streams send is published here and judged by the
//! schemas of the description. `RILL_SEED` asks for other requests than the usual ones.

mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use support::tokens::{admin_jwt, jwt, with_tokens};
use support::*;

const ROUTER: &str = include_str!("../src/http/router/resource.rs");

/// A program of the Python environment that `tests/run` makes.
fn tool(name: &str) -> Command {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("a target directory");
    let program = target.join("openapi-tools/bin").join(name);
    assert!(program.exists(), "{} is missing: tests/run installs it", program.display());
    let mut command = Command::new(program);
    // It leaves notes for whoever looks into a failure.
    command.current_dir(env!("CARGO_TARGET_TMPDIR"));
    command.env("NO_PROXY", "*").env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// What a tool is given.
fn given(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/openapi").join(name)
}

#[track_caller]
fn assert_succeeds(mut command: Command) -> Output {
    let output = command.output().expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, error) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{command:?}\n{out}\n{error}");
    output
}

fn description(server: &Server) -> Value {
    server.send(&get("/openapi.json")).assert_status(200).json()
}

/// The description as a file.
fn described(server: &Server) -> PathBuf {
    let file = server.setup().path("openapi.json");
    std::fs::write(&file, description(server).to_string()).expect("a file");
    file
}

/// A path of the description with a name in each hole.
fn filled(template: &str) -> String {
    let step = |step: &str| if step.starts_with('{') { "x".into() } else { step.to_owned() };
    template.split('/').map(step).collect::<Vec<_>>().join("/")
}

#[test]
fn anyone_may_read_it() {
    let server = with_tokens().start();
    let response = server.send(&get("/openapi.json"));
    response.assert_status(200).head.assert_value("content-type", "application/json");
    response.head.assert_value("access-control-allow-origin", "*");
    let description = response.json();
    assert_eq!(description["openapi"], "3.1.1");
    assert_eq!(description["info"]["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(server.send(&request("HEAD", "/openapi.json")).assert_status(200).text(), "");
}

#[test]
fn its_methods_are_those_that_each_path_takes() {
    let server = Server::start();
    let description = description(&server);
    for (path, item) in description["paths"].as_object().expect("paths") {
        let takes = |method: &str| item.get(method).is_some();
        let methods = ["get", "put", "post", "delete"].map(|method| match method {
            "get" => takes(method).then_some("GET, HEAD".to_owned()),
            _ => takes(method).then(|| method.to_uppercase()),
        });
        let methods = methods.into_iter().flatten().chain(["OPTIONS".into()]);
        let methods: BTreeSet<String> =
            methods.flat_map(|m| m.split(", ").map(String::from).collect::<Vec<_>>()).collect();
        let response = server.send(&request("OPTIONS", &filled(path)));
        let allow = response.assert_status(204).head.value("allow").expect("Allow");
        let allowed: BTreeSet<String> = allow.split(", ").map(String::from).collect();
        assert_eq!(allowed, methods, "{path}");
    }
}

/// The arms of the router's one match are its list of paths.
#[test]
fn every_route_is_described() {
    let server = Server::start();
    let description = description(&server);
    let described: BTreeSet<String> =
        description["paths"].as_object().expect("paths").keys().map(|path| filled(path)).collect();
    let arms = ROUTER.lines().filter_map(|line| line.trim().strip_prefix('[')?.split_once("] =>"));
    let step = |step: &str| match step.trim().strip_prefix('"') {
        Some(fixed) => fixed.trim_end_matches('"').to_owned(),
        None => "x".into(),
    };
    let routed: BTreeSet<String> = arms
        .map(|(steps, _)| format!("/{}", steps.split(',').map(step).collect::<Vec<_>>().join("/")))
        .collect();
    assert_eq!(routed, described);
}

#[test]
fn it_is_valid_and_so_are_its_examples() {
    let server = Server::start();
    let file = described(&server);
    let mut validator = tool("openapi-spec-validator");
    validator.args(["--schema", "3.1"]).arg(&file);
    assert_succeeds(validator);
    let mut judge = tool("python");
    judge.args([&given("judge.py"), &file]);
    assert_succeeds(judge);
}

/// The tester opens streams faster than a server notices that it left them.
fn many_streams() -> Setup {
    rill().flags(&["--max-connections", "10000", "--max-connections-per-user", "10000"])
}

/// Asks the server for everything in the description, and for much that is not in it.
#[track_caller]
fn test_by_properties(server: &Server, token: &str, more: &[&str]) {
    let seed = std::env::var("RILL_SEED").unwrap_or_else(|_| "6".into());
    let mut tester = tool("schemathesis");
    tester.env("HOOKS", given("hooks.py")).arg("--config-file").arg(given("schemathesis.toml"));
    tester.args(["run", "--no-color", "--continue-on-failure"]);
    // What a page of our own says, so that it may sign in.
    tester.args(["--header", "Sec-Fetch-Site: same-origin"]);
    tester.args(["--seed", &seed, "--header", &format!("Authorization: Bearer {token}")]);
    tester.args(more).arg(format!("http://{}/openapi.json", server.address()));
    let output = assert_succeeds(tester);
    println!("{}", String::from_utf8_lossy(&output.stdout));
}

/// The names that it makes up are ASCII: a schema counts characters, and names are bounded in bytes.
#[test]
fn the_server_does_what_it_says() {
    let server = many_streams().without_dev().start();
    let thorough = ["--max-examples", "15", "--generation-codec", "ascii"];
    test_by_properties(&server, &admin_jwt(), &thorough);
}

/// Any characters, nothing is kept, and the manager needs no credential.
#[test]
fn the_server_does_what_it_says_under_dev() {
    let server = many_streams().flags(&["--log", "memory"]).start();
    let unchecked = "positive_data_acceptance,ignored_auth";
    let any = ["--phases", "fuzzing", "--max-examples", "15", "--exclude-checks", unchecked];
    test_by_properties(&server, DEMO, &any);
}

/// Who may do less is refused in the described way.
#[test]
fn an_ordinary_user_is_refused_as_it_says() {
    let server = many_streams().without_dev().start();
    test_by_properties(&server, &jwt("ann"), &["--phases", "examples"]);
}

/// What came on a stream, as its schema reads it.
fn came(target: &str, event: &Event) -> Value {
    let members = [
        ("retry", event.retry.map(Value::from)),
        ("id", event.id.as_deref().map(Value::from)),
        ("event", event.event.as_deref().map(Value::from)),
        ("data", event.data.as_ref().map(|_| event.json())),
    ];
    let members = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    json!({ "path": target.split('?').next(), "event": Value::Object(members.collect()) })
}

#[test]
fn streams_send_what_it_says() {
    let server = with_tokens().flags(&["--heartbeat", "1s"]).start();
    let file = described(&server);
    let admin = admin_jwt();
    let mut streams = [
        "/notifications/stream?lastEventId=nonsense",
        "/realtime/stream",
        "/chat/stream?room=general",
        "/system/status/stream",
        "/api/notifications/stream?channels=news",
        "/sse/connect",
        "/api/sse",
    ]
    .map(|target| (target, server.stream(target, &admin)));
    let _other = server.stream("/chat/stream?room=general", &jwt("ann"));
    for (path, body) in [
        ("/notifications/send", json!({ "message": "M", "broadcast": true })),
        ("/realtime/update", json!({ "entityType": "t", "entityId": 1, "action": "created" })),
        ("/chat/send", json!({ "roomId": "general", "message": "M" })),
        ("/system/maintenance", json!({ "message": "M" })),
        ("/api/notifications", json!({ "message": "M", "channels": ["news"] })),
        (
            "/api/updates",
            json!({ "entity": "e", "action": "deleted", "payload": 1, "broadcast": true }),
        ),
        ("/api/events", json!({ "event": "e", "data": [null], "broadcast": true })),
    ] {
        server.publish(path, &admin, body);
    }
    server.post("/chat/typing", &admin, json!({ "roomId": "general" })).assert_status(200);
    let mut sent = Vec::new();
    for (target, stream) in &mut streams {
        sent.push(came(target, &stream.connected));
        let mut name = String::new();
        while name != "heartbeat" {
            let event = stream.next_of_all();
            sent.push(came(target, &event));
            name = event.name().into();
        }
    }
    server.send(&request("POST", "/api/sse/disconnect-all").bearer(&admin)).assert_status(200);
    for (target, stream) in &mut streams {
        while let Some(event) = stream.poll() {
            sent.push(came(target, &event));
        }
    }
    let names: BTreeSet<&str> =
        sent.iter().filter_map(|came| came["event"]["event"].as_str()).collect();
    let expected = "connected create disconnected e gap heartbeat maintenance message notification status typing \
                    update user-joined";
    assert_eq!(names, expected.split(' ').collect());
    let events = server.setup().path("events.json");
    std::fs::write(&events, json!(sent).to_string()).expect("a file");
    let mut judge = tool("python");
    judge.args([&given("judge.py"), &file, &events]);
    assert_succeeds(judge);
}
