//! A program that lets its node go, as `?` does on the way out, can start another one.

mod support;

use std::convert::Infallible;
use std::net::{SocketAddr, TcpStream};

use hyper::service::service_fn;
use hyper::{Request, Response, body::Incoming};
use rill::config::Config;
use rill::http::listen::Address;
use rill::http::{Front, Mount};
use rill::node::Node;
use support::*;
use tempfile::TempDir;
use tokio::runtime::Runtime;

async fn page(_: Request<Incoming>) -> Result<Response<String>, Infallible> {
    Ok(Response::new("the program's".into()))
}

fn open(data: &TempDir) -> (Node, Front, SocketAddr) {
    let data_dir = data.path().to_str().expect("a path");
    let config = [("dev", "true"), ("listen", "127.0.0.1:0"), ("data_dir", data_dir)];
    let node = Node::start(&Config::of(config).expect("a config")).expect("a node");
    let listeners = node.listeners().expect("a listener");
    let Address::Tcp(address) = *listeners[0].address() else { panic!("it is TCP") };
    let front = node.server().listen_beside(listeners, Mount::new(service_fn(page)));
    (node, front.expect("a front"), address)
}

#[test]
fn nothing_of_a_dropped_node_stays() {
    let runtime = Runtime::new().expect("a runtime");
    let _inside = runtime.enter();
    let data = TempDir::new().expect("a directory");
    for _ in 0..2 {
        let (node, front, address) = open(&data);
        let mut kept = Peer::tcp(address);
        kept.exchange(&get("/page")).assert_status(200);
        drop(front);
        kept.assert_ended();
        assert!(TcpStream::connect(address).is_err(), "nobody listens");
        drop(node);
    }
}
