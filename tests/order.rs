//! Two faults in one request: framing, path, method, identity, media type, size, syntax, fields, rights, limits, and the
//! first one is told.

mod support;

use support::*;

#[test]
fn the_first_fault_is_told() {
    let server = rill().flags(&["--max-connections", "6"]).start();
    let _streams: Vec<_> =
        (0..5).map(|_| server.stream("/notifications/stream", &user("ann"))).collect();
    let _sixth = server.stream("/notifications/stream", &user("bob"));
    let send = |body: &str| post("/notifications/send", body);
    let maintain = |body: &str| post("/system/maintenance", body).bearer(&user("ann"));
    let oversized =
        |request: Request| request.without("Content-Length").field("Content-Length", "5000000");
    for (status, why, request) in [
        (
            400,
            "framing before path",
            post("/nowhere", "").field("Transfer-Encoding", "chunked").body("0\r\n\r\n"),
        ),
        (404, "path before method", request("DELETE", "/nowhere")),
        (404, "path before identity", get("/nowhere")),
        (405, "method before identity", request("DELETE", "/notifications/stream")),
        (405, "method before its body", get("/chat/send").field("Content-Length", "2").body("{}")),
        (401, "identity before media type", send("<xml/>").without("Content-Type")),
        (401, "identity before size", oversized(send(""))),
        (401, "identity before limits", get("/notifications/stream")),
        (415, "media type before size", oversized(maintain("")).without("Content-Type")),
        (415, "media type before syntax", maintain("{").without("Content-Type")),
        (413, "size before syntax and rights", oversized(maintain(""))),
        (400, "syntax before fields", maintain(r#"{"message":"","message":""}"#)),
        (400, "syntax before rights", maintain("{")),
        (422, "fields before rights", maintain("{}")),
        (422, "fields before rights", send(r#"{"userId":"bob"}"#).bearer(&user("ann"))),
        (
            400,
            "names before rights",
            send(r#"{"message":"M","userId":"a\nb"}"#).bearer(&user("ann")),
        ),
        (400, "fields before rights", get("/chat/stream?userId=bob&room=%01").bearer(&user("ann"))),
        (403, "rights before limits", get("/notifications/stream?userId=bob").bearer(&user("ann"))),
    ] {
        let told = server.send(&request).status();
        assert_eq!(told, status, "{why}");
    }
}

#[test]
fn a_refusal_may_be_read_by_any_page() {
    let server = Server::start();
    let refusals = [
        get("/notifications/stream"),
        get("/nowhere"),
        request("PUT", "/chat/send"),
        post("/chat/send", "{").bearer(DEMO),
    ];
    for request in refusals {
        let response = server.send(&request);
        response.assert_problem(response.status());
        response.head.assert_value("access-control-allow-origin", "*");
    }
}
