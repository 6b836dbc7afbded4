//! The example of a program that embeds Rill, run as a program.

mod support;

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::json;
use support::*;

/// The shop of `examples/embedded.rs` on a free port. It dies with the test.
struct Shop {
    process: Child,
    address: SocketAddr,
}

impl Shop {
    #[track_caller]
    fn open() -> Shop {
        let mut process = Command::new(example("embedded"))
            .arg("127.0.0.1:0")
            .stdout(Stdio::piped())
            .spawn()
            .expect("the example runs");
        let mut line = String::new();
        let out = process.stdout.take().expect("its output");
        BufReader::new(out).read_line(&mut line).expect("a line");
        let address = line.trim().strip_prefix("listening on http://").expect("an address");
        Shop { address: address.parse().expect("an address"), process }
    }

    #[track_caller]
    fn send(&self, request: &Request) -> Response {
        Peer::tcp(self.address).exchange(request)
    }

    #[track_caller]
    fn close(&mut self) {
        let kill = format!("kill -INT {}", self.process.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().expect("a shell").success());
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        // Both fail only for a process that is gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Where cargo puts an example: next to the folder of the tests. `cargo test` builds it; with
/// `--test` alone somebody has to.
#[track_caller]
fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a path");
    let profile = test.ancestors().nth(2).expect("the folder of the profile");
    let example = profile.join("examples").join(name);
    assert!(example.exists(), "not there, cargo build --examples makes it: {}", example.display());
    example
}

#[test]
fn a_shop_tells_every_page_of_its_orders() {
    let mut shop = Shop::open();
    let request = get("/api/notifications/stream").bearer(&user("ann"));
    let mut page = Stream::open(Peer::tcp(shop.address), &request);
    assert_eq!(page.next().text("message"), "Connected to notification stream");

    let order = shop.send(&post("/orders", json!({ "item": "tea" }).to_string()));
    assert_eq!(order.assert_status(201).text(), "{\"id\":1,\"item\":\"tea\"}\n");
    let notification = page.next();
    let data = r#"{"type":"notification","notificationType":"success","title":"New Order","message":"Order #1 has been created","duration":5000}"#;
    notification.assert(Some(notification.id()), "notification", data);
    let update = page.next();
    let data =
        r#"{"type":"update","entity":"order","action":"created","payload":{"id":1,"item":"tea"}}"#;
    update.assert(Some(update.id()), "update", data);
    assert!(notification.cursor() < update.cursor());

    shop.close();
    page.next().assert_disconnected("shutdown");
    page.assert_ended();
    assert_eq!(shop.process.wait().expect("its end").code(), Some(0));
}

#[test]
fn its_own_pages_are_its_own() {
    let shop = Shop::open();
    let hello = shop.send(&get("/hello"));
    assert_eq!(hello.assert_status(200).text(), "{\"hello\":\"world\"}\n");
    assert_eq!(hello.head.value("access-control-allow-origin"), None);
    for request in [get("/nothing"), request("DELETE", "/hello"), get("/orders")] {
        let nothing = shop.send(&request);
        assert_eq!(nothing.assert_status(404).text(), "{\"error\":\"no such page\"}\n");
    }
    shop.send(&post("/orders", "{}")).assert_status(400);
    shop.send(&post("/orders", " ".repeat(20_000))).assert_status(400);
    // And Rill's are Rill's.
    shop.send(&get("/notifications/stream")).assert_problem(401);
    shop.send(&get("/api/updates")).assert_problem(405);
    shop.send(&get("/readyz")).assert_status(200);
}
