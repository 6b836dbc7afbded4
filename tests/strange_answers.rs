//! The stream client and answers that no Rill gives: those of a proxy in front, or of a broken one.

mod support;

use support::*;

/// Makes whatever a stream answers up in the page, and counts how often it is asked.
fn answered(server: &Server, answer: &str) -> Tab {
    let mut tab = Tab::open(&server.url("/sse-client"));
    tab.wait_for_text("#session", "Not signed in");
    tab.value(&format!(
        "window.asked = 0; window.fetch = async () => {{ asked += 1; {answer} }}; 0"
    ));
    tab.click("#connect button");
    tab
}

/// A body that begins with `connected` and goes on with `more`, which gives text for ever.
fn stream_of(more: &str) -> String {
    format!(
        r#"const text = new TextEncoder(), connected = 'event: connected\ndata: {{}}\n\n';
        const begun = {{ start: (to) => to.enqueue(text.encode(connected)) }};
        const body = new ReadableStream({{ ...begun, pull: (to) => to.enqueue(text.encode({more})) }});
        return new Response(body, {{ headers: {{ 'Content-Type': 'text/event-stream' }} }});"#
    )
}

#[test]
fn no_retry_after_makes_it_hammer_the_server() {
    let server = rill().start();
    for after in ["-5", "0.001", "Infinity", "4294967.3", "Tomorrow"] {
        let refusal =
            format!("new Response('', {{ status: 503, headers: {{ 'Retry-After': '{after}' }} }})");
        let mut tab = answered(&server, &format!("return {refusal};"));
        tab.wait("document.querySelector('#state').dataset.is === 'waiting'");
        let asked = tab.value("new Promise((go) => setTimeout(() => go(asked), 550))");
        // Ten a second at most.
        assert!(asked.as_u64().is_some_and(|asked| asked <= 7), "{after}: {asked}");
    }
}

#[test]
fn the_page_lives_on_in_a_flood() {
    let server = rill().start();
    let mut tab = answered(&server, &stream_of("'data: 1\\n\\n'.repeat(1000)"));
    tab.wait("counts.events > 20000");
    let waits = "async () => { let most = 0; for (let n = 0; n < 20; n += 1) { const begun = performance.now(); await new Promise((go) => setTimeout(go)); most = Math.max(most, performance.now() - begun); } return most; }";
    let longest = tab.value(&format!("({waits})()"));
    assert!(longest.as_f64().is_some_and(|wait| wait < 1000.0), "{longest} ms");
    tab.click("#disconnect");
    tab.wait("document.querySelector('#state').dataset.is === 'idle'");
}

#[test]
fn an_event_without_an_end_is_given_up() {
    let server = rill().start();
    for more in ["'data: ' + 'x'.repeat(60000) + '\\n'", "'x'.repeat(60000)"] {
        let mut tab = answered(&server, &stream_of(more));
        let (_, why) = tab.row("(reconnecting)");
        assert!(why.starts_with("an event of the stream is too long; again in"), "{why}");
    }
}
