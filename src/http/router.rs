//! Which endpoint a request is for.

mod resource;

use hyper::{Method, StatusCode};

use super::problem::Problem;
use super::query::unescape;
use crate::event::Name;
use crate::members::Group;
use crate::reactor::ConnectionId;
use resource::Resource;

/// The endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A stream of events.
    Stream(Stream),
    /// A way to publish.
    Publish(Publish),
    /// What becomes of credentials.
    Credentials(Credentials),
    /// Who belongs where.
    Membership(Membership),
    /// What the manager does.
    Manage(Manage),
    /// A page for people.
    Page(Page),
    /// Who is signed in on the pages.
    Session(Session),
    /// Who is there.
    Presence(Presence),
    /// `GET /system/status`.
    SystemStatus,
    /// `GET /healthz`.
    Health,
    /// `GET /readyz`.
    Ready,
    /// `GET /metrics`.
    Metrics,
    /// `GET /openapi.json`.
    Description,
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
    /// The service's: to a user, to all, and in his conversations.
    Service,
    /// The manager's: to all, and to a user if there is one.
    Manager,
}

impl Stream {
    /// All of them.
    pub const ALL: [Stream; 7] = [
        Stream::Notifications,
        Stream::Realtime,
        Stream::Chat,
        Stream::SystemStatus,
        Stream::Guide,
        Stream::Service,
        Stream::Manager,
    ];

    /// Its path, however the request had escaped it.
    pub fn path(self) -> &'static str {
        match self {
            Stream::Notifications => "/notifications/stream",
            Stream::Realtime => "/realtime/stream",
            Stream::Chat => "/chat/stream",
            Stream::SystemStatus => "/system/status/stream",
            Stream::Guide => "/api/notifications/stream",
            Stream::Service => "/sse/connect",
            Stream::Manager => "/api/sse",
        }
    }

    /// Its place among [`Stream::ALL`].
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The inverse of [`Stream::number`].
    pub fn of_number(number: u8) -> Option<Stream> {
        Stream::ALL.get(usize::from(number)).copied()
    }

    /// Whether it is for somebody who has said who he is.
    pub fn needs_credential(self) -> bool {
        !matches!(self, Stream::SystemStatus | Stream::Manager)
    }
}

/// The ways to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// The guide's, to whomever.
    GuideNotification,
    /// The guide's news of an entity, to whomever.
    GuideUpdate,
    /// Any event, to whomever.
    Event,
    /// Any event, to a user.
    ToUser(Name),
    /// Any event, to a conversation or to an audience that comes with it.
    ToConversation(Name),
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

/// What becomes of the members of a room or conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// Of what.
    pub group: Group,
    /// Of one alone; `None` for the list.
    pub user: Option<Name>,
    /// What is wanted.
    pub action: Action,
}

/// What is done with members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Asked for.
    Read,
    /// Put on the list.
    Put,
    /// Taken off it.
    Delete,
}

/// What the manager does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Manage {
    /// Counts streams.
    Stats,
    /// Lists them; at the path of a user his alone.
    Connections(Option<Name>),
    /// Shows one; `None` for what is none.
    Connection(Option<ConnectionId>),
    /// Ends all of them.
    DisconnectAll,
    /// Ends those of a user.
    DisconnectUser(Name),
    /// Ends one; `None` for what is none.
    DisconnectOne(Option<ConnectionId>),
}

/// The pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// What this server is, and signing in.
    Home,
    /// Watches streams, and publishes.
    SseClient,
}

/// What can be done with the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Session {
    /// Shown.
    Show,
    /// Begun, with a credential.
    SignIn,
    /// Ended.
    SignOut,
}

/// Whose presence is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presence {
    /// A user's.
    User(Name),
    /// Everyone's in a room.
    Room(Name),
    /// That of the members of a conversation.
    Conversation(Name),
}

/// Where a request goes.
#[derive(Debug, PartialEq, Eq)]
pub enum Route {
    /// To an endpoint.
    To {
        /// Which one.
        endpoint: Endpoint,
        /// Only the head is wanted of what GET would answer.
        head: bool,
        /// Its path, however the request had escaped it.
        path: String,
    },
    /// To what there is (OPTIONS), also a browser's preflight: the methods, as `Allow` lists them.
    Options(String),
}

/// Finds the endpoint of a request, by its path and then its method.
pub fn route(method: &Method, path: &str) -> Result<Route, Problem> {
    let path = plain(path).ok_or_else(|| Problem::bad_request("The path is malformed."))?;
    let resource = Resource::at(&path).map_err(|error| Problem::name("The path", error))?;
    let resource = resource
        .ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "There is nothing at this path."))?;
    let head = *method == Method::HEAD;
    let endpoint = match *method {
        Method::OPTIONS => return Ok(Route::Options(resource.allow())),
        Method::GET | Method::HEAD => resource.get.clone(),
        Method::POST => resource.post.clone(),
        Method::PUT => resource.put.clone(),
        Method::DELETE => resource.delete.clone(),
        _ => None,
    };
    let endpoint = endpoint.ok_or_else(|| resource.refuse(method))?;
    Ok(Route::To { endpoint, head, path })
}

/// The plain form of a path at which there is something, or would be with a better name in it.
pub(super) fn known(path: &str) -> Option<String> {
    plain(path).filter(|path| !matches!(Resource::at(path), Ok(None)))
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
        for path in ["/notifications/stream/", "/presence/", "/sse/conversations/c/members/"] {
            assert_eq!(status("GET", path), 404, "{path}");
        }
        assert_eq!(status("GET", "/presence/rooms/%20"), 200);
        assert_eq!(status("GET", "/sse/conversations//members"), 400);
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
    fn every_stream_is_at_its_path() {
        for stream in Stream::ALL {
            assert_eq!(Stream::of_number(stream.number()), Some(stream));
            let found = route(&Method::GET, stream.path()).expect("an endpoint");
            let endpoint = Endpoint::Stream(stream);
            assert_eq!(found, Route::To { endpoint, head: false, path: stream.path().into() });
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
