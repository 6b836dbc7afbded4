//! How connections end: patience, leaving, draining and the last close.

use super::*;

/// The ending of a connection that sends these bytes, what it heard, and after how many seconds.
async fn patience(bytes: &str) -> (Ending, String, u64) {
    let start = Instant::now();
    let mut peer = connect();
    peer.send(bytes).await;
    let heard = peer.hear_all().await;
    (peer.ending().await, heard, start.elapsed().as_secs())
}

#[tokio::test(start_paused = true)]
async fn waiting_has_its_limits() {
    assert_eq!(patience("").await, (Ending::HeadTimeout, String::new(), 10));
    assert_eq!(patience("\r\n").await, (Ending::HeadTimeout, String::new(), 10));
    assert_eq!(patience("GET /").await, (Ending::HeadTimeout, String::new(), 10));
    assert_eq!(patience(GET).await, (Ending::Idle, ok("/a:b\"\""), 75));
    let blank = format!("{GET}\r\n");
    assert_eq!(patience(&blank).await, (Ending::Idle, ok("/a:b\"\""), 75));
    let begun = format!("{GET}GET");
    assert_eq!(patience(&begun).await, (Ending::HeadTimeout, ok("/a:b\"\""), 10));
}

#[tokio::test(start_paused = true)]
async fn a_head_may_not_drip() {
    let mut peer = connect();
    peer.send(GET).await;
    peer.hear().await;
    sleep(Duration::from_secs(60)).await;
    let start = Instant::now();
    for byte in ["G", "E", "T", " ", "/"] {
        peer.send(byte).await;
        sleep(Duration::from_millis(1900)).await;
    }
    assert_eq!(peer.hear_all().await, "");
    assert_eq!(start.elapsed().as_secs(), 10);
    assert_eq!(peer.ending().await, Ending::HeadTimeout);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_nothing_is_given_up() {
    let mut peer = connect_through(1024);
    let start = Instant::now();
    peer.send("GET /big HTTP/1.1\r\nHost: h\r\n\r\n").await;
    sleep(Duration::from_secs(20)).await;
    peer.hear().await;
    sleep(Duration::from_secs(29)).await;
    peer.hear().await;
    assert!(matches!(peer.driver.await, Ok(Outcome::Ended(Ending::Stalled))));
    assert_eq!(start.elapsed().as_secs(), 79);
}

#[tokio::test(start_paused = true)]
async fn a_client_of_a_get_that_leaves_drops_its_future() {
    let mut peer = connect();
    peer.send("GET /slow HTTP/1.1\r\nHost: h\r\n\r\n").await;
    sleep(Duration::from_secs(1)).await;
    peer.socket.shutdown().await.unwrap();
    assert_eq!(peer.traces.recv().await.as_deref(), Some("GET dropped"));
    assert_eq!(peer.hear_all().await, "");
    assert_eq!(peer.ending().await, Ending::Peer);
}

#[tokio::test(start_paused = true)]
async fn a_change_that_came_whole_is_carried_out() {
    let chunked = "POST /slow HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    let sized = "POST /slow HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nxyz";
    let second = format!("{GET}{sized}");
    let bodiless = "POST /slow HTTP/1.1\r\nHost: h\r\n\r\n";
    for request in [chunked, sized, &second, bodiless] {
        let mut peer = connect();
        peer.send(request).await;
        peer.socket.shutdown().await.unwrap();
        assert!(peer.hear_all().await.ends_with("slow"));
        while let Some(trace) = peer.traces.recv().await {
            assert!(trace.ends_with("done"), "{trace}");
        }
    }
    let mut peer = connect();
    peer.send(&POST[..POST.len() - 1]).await;
    peer.socket.shutdown().await.unwrap();
    assert_eq!(peer.hear_all().await, closing("400 Bad Request", "cut off"));
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_what_is_idle_and_finishes_what_has_begun() {
    let peer = connect();
    peer.drain.send(true).unwrap();
    assert_eq!(peer.ending().await, Ending::Drained);

    let mut peer = connect();
    peer.send(GET).await;
    peer.hear().await;
    peer.drain.send(true).unwrap();
    assert_eq!(peer.hear().await, "");
    assert_eq!(peer.ending().await, Ending::Drained);

    let mut peer = connect();
    peer.send("GET /slow HTTP/1.1\r\nHost: h\r\n\r\n").await;
    sleep(Duration::from_secs(1)).await;
    peer.drain.send(true).unwrap();
    assert_eq!(peer.hear_all().await, closing("200 OK", "slow"));

    let mut peer = connect();
    peer.send(&GET[..9]).await;
    sleep(Duration::from_secs(1)).await;
    peer.drain.send(true).unwrap();
    peer.send(&GET[9..]).await;
    assert_eq!(peer.hear_all().await, closing("200 OK", "/a:b\"\""));
}

#[tokio::test]
async fn a_client_that_still_sends_can_read_its_answer() {
    let early = "POST /early HTTP/1.1\r\nHost: h\r\nContent-Length: 50000000\r\n\r\n";
    let refused = format!("{early}Content-Length: 1\r\n\r\n").replacen("\r\n\r\n", "\r\n", 1);
    for (head, answer) in [
        (early, closing("413 Payload Too Large", "too much")),
        (&refused, "HTTP/1.1 400 Bad Request\r\n\r\nThere is more than one Content-Length.".into()),
    ] {
        let (mut client, driver) = connect_tcp().await;
        let (mut from, mut to) = client.split();
        let send = async {
            to.write_all(head.as_bytes()).await.unwrap();
            // The driver reads 1 MiB of this; the rest waits in vain.
            let body = vec![b'x'; 50_000_000];
            let sent = timeout(Duration::from_millis(200), to.write_all(&body)).await;
            sent.unwrap_or(Ok(())).expect("no RST");
        };
        let mut bytes = Vec::new();
        let (heard, ()) = tokio::join!(from.read_to_end(&mut bytes), send);
        heard.expect("no RST");
        assert_eq!(undated(&bytes), answer);
        drop(driver);
    }
}
