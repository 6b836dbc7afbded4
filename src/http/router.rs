//! Which endpoint a request is for.

use hyper::{Method, StatusCode};

use super::problem::Problem;
use super::query::unescape;

/// The endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A stream of events.
    Stream(Stream),
    /// A way to publish.
    Publish(Publish),
    /// What becomes of credentials.
    Credentials(Credentials),
    /// `GET /system/status`.
    SystemStatus,
    /// `GET /healthz`.
    Health,
    /// `GET /readyz`.
    Ready,
    /// `GET /metrics`.
    Metrics,
}

/// The streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Notifications to a user and to all.
    Notifications,
    /// Updates of entities.
    Realtime,
    /// Chat rooms.
    Chat,
    /// How the server is.
    SystemStatus,
    /// The guide's: to a user, to all, and on channels.
    Guide,
}

impl Stream {
    /// All of them.
    pub const ALL: [Stream; 5] = [
        Stream::Notifications,
        Stream::Realtime,
        Stream::Chat,
        Stream::SystemStatus,
        Stream::Guide,
    ];

    /// Its path, however the request had escaped it.
    pub fn path(self) -> &'static str {
        match self {
            Stream::Notifications => "/notifications/stream",
            Stream::Realtime => "/realtime/stream",
            Stream::Chat => "/chat/stream",
            Stream::SystemStatus => "/system/status/stream",
            Stream::Guide => "/api/notifications/stream",
        }
    }
}

/// The ways to publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Publish {
    /// To one user, several or all.
    Notification,
    /// What happened to an entity.
    RealtimeUpdate,
    /// To a room.
    ChatMessage,
    /// That somebody writes in a room.
    ChatTyping,
    /// What operators announce.
    Maintenance,
    /// The guide's, to a user, several, all, or on channels.
    GuideNotification,
    /// The guide's news of an entity, likewise.
    GuideUpdate,
    /// Any event, likewise.
    Event,
}

impl Publish {
    const ALL: [Publish; 8] = [
        Publish::Notification,
        Publish::RealtimeUpdate,
        Publish::ChatMessage,
        Publish::ChatTyping,
        Publish::Maintenance,
        Publish::GuideNotification,
        Publish::GuideUpdate,
        Publish::Event,
    ];

    /// Its path, however the request had escaped it.
    pub fn path(self) -> &'static str {
        match self {
            Publish::Notification => "/notifications/send",
            Publish::RealtimeUpdate => "/realtime/update",
            Publish::ChatMessage => "/chat/send",
            Publish::ChatTyping => "/chat/typing",
            Publish::Maintenance => "/system/maintenance",
            Publish::GuideNotification => "/api/notifications",
            Publish::GuideUpdate => "/api/updates",
            Publish::Event => "/api/events",
        }
    }
}

/// What can be done with credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// Traded for a ticket.
    Ticket,
    /// Put under a stream in place of an older one.
    Renew,
    /// Withdrawn.
    Revoke,
}

impl Credentials {
    const ALL: [Credentials; 3] = [Credentials::Ticket, Credentials::Renew, Credentials::Revoke];

    fn path(self) -> &'static str {
        match self {
            Credentials::Ticket => "/tickets",
            Credentials::Renew => "/auth/renew",
            Credentials::Revoke => "/auth/revoke",
        }
    }
}

/// What a request wants of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// GET of a resource, POST to a way to publish.
    Act,
    /// The head of what GET would answer.
    Head,
    /// What there is (OPTIONS), also a browser's preflight.
    Options,
}

impl Endpoint {
    /// The endpoint of a path that is already plain.
    fn at(path: &str) -> Option<Endpoint> {
        match path {
            "/system/status" => return Some(Endpoint::SystemStatus),
            "/healthz" => return Some(Endpoint::Health),
            "/readyz" => return Some(Endpoint::Ready),
            "/metrics" => return Some(Endpoint::Metrics),
            _ => {}
        }
        let stream = Stream::ALL.into_iter().find(|stream| stream.path() == path);
        let publish = Publish::ALL.into_iter().find(|publish| publish.path() == path);
        let credentials = Credentials::ALL.into_iter().find(|known| known.path() == path);
        let posts = publish.map(Endpoint::Publish).or(credentials.map(Endpoint::Credentials));
        stream.map(Endpoint::Stream).or(posts)
    }

    /// The methods, as `Allow` lists them.
    pub fn allow(self) -> &'static str {
        match self {
            Endpoint::Publish(_) | Endpoint::Credentials(_) => "POST, OPTIONS",
            Endpoint::Stream(_)
            | Endpoint::SystemStatus
            | Endpoint::Health
            | Endpoint::Ready
            | Endpoint::Metrics => "GET, HEAD, OPTIONS",
        }
    }

    fn verb(self, method: &Method) -> Result<Verb, Problem> {
        match (self, method) {
            (_, &Method::OPTIONS) => Ok(Verb::Options),
            (Endpoint::Publish(_) | Endpoint::Credentials(_), &Method::POST) => Ok(Verb::Act),
            (Endpoint::Publish(_) | Endpoint::Credentials(_), _) => Err(self.refuse(method)),
            (_, &Method::GET) => Ok(Verb::Act),
            (_, &Method::HEAD) => Ok(Verb::Head),
            (_, _) => Err(self.refuse(method)),
        }
    }

    fn refuse(self, method: &Method) -> Problem {
        const DEFINED: [Method; 9] = [
            Method::GET,
            Method::HEAD,
            Method::POST,
            Method::PUT,
            Method::DELETE,
            Method::CONNECT,
            Method::OPTIONS,
            Method::TRACE,
            Method::PATCH,
        ];
        match DEFINED.contains(method) {
            true => Problem::method_not_allowed(self.allow()),
            false => Problem::new(StatusCode::NOT_IMPLEMENTED, "This method is not known."),
        }
    }
}

/// Finds the endpoint of a request, by its path and then its method.
pub fn route(method: &Method, path: &str) -> Result<(Endpoint, Verb), Problem> {
    let path = plain(path).ok_or_else(|| Problem::bad_request("The path is malformed."))?;
    let unknown = || Problem::new(StatusCode::NOT_FOUND, "There is nothing at this path.");
    let endpoint = Endpoint::at(&path).ok_or_else(unknown)?;
    Ok((endpoint, endpoint.verb(method)?))
}

/// A path after one percent-decoding; `None` for what different readers would decode or resolve
/// differently.
fn plain(path: &str) -> Option<String> {
    let ambiguous = ["%2f", "%5c", "%00", "%25"];
    let lower = path.to_ascii_lowercase();
    if ambiguous.iter().any(|escape| lower.contains(escape)) {
        return None;
    }
    let path = unescape(path)?;
    let dots = path.split('/').any(|segment| matches!(segment, "." | ".."));
    (path.starts_with('/') && !dots).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(method: &str, path: &str) -> u16 {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        route(&method, path).map_or_else(|problem| problem.status.as_u16(), |_| 200)
    }

    #[test]
    fn paths_are_compared_after_one_decoding() {
        assert_eq!(status("GET", "/%6Eotifications/stream"), 200);
        assert_eq!(status("GET", "/notifications/stream/"), 404);
        assert_eq!(status("GET", "/Notifications/stream"), 404);
        for bad in [
            "/a%2Fb",
            "/%5c",
            "/%00",
            "/%25",
            "/a/../healthz",
            "/./a",
            "/%2e%2E/a",
            "/%",
            "/%zz",
            "*",
        ] {
            assert_eq!(status("GET", bad), 400, "{bad}");
        }
    }

    #[test]
    fn methods() {
        assert_eq!(status("POST", "/chat/send"), 200);
        assert_eq!(status("GET", "/chat/send"), 405);
        assert_eq!(status("DELETE", "/chat/stream"), 405);
        assert_eq!(status("HEAD", "/chat/stream"), 200);
        assert_eq!(status("BREW", "/chat/stream"), 501);
        assert_eq!(status("BREW", "/coffee"), 404);
    }
}
