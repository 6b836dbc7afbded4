//! What there is at each path, and for which methods.

use hyper::{Method, StatusCode};

use super::{
    Action, Credentials, Endpoint, Manage, Membership, Page, Presence, Publish, Session, Stream,
};
use crate::event::{Name, NameError};
use crate::http::problem::Problem;
use crate::members::Group;
use crate::reactor::ConnectionId;

/// What there is at a path, by method.
#[derive(Default)]
pub(super) struct Resource {
    pub(super) get: Option<Endpoint>,
    pub(super) post: Option<Endpoint>,
    pub(super) put: Option<Endpoint>,
    pub(super) delete: Option<Endpoint>,
}

impl Resource {
    fn get(endpoint: Endpoint) -> Resource {
        Resource { get: Some(endpoint), ..Resource::default() }
    }

    fn post(endpoint: Endpoint) -> Resource {
        Resource { post: Some(endpoint), ..Resource::default() }
    }

    fn page(page: Page) -> Resource {
        Resource::get(Endpoint::Page(page))
    }

    fn session() -> Resource {
        let [get, post, delete] = [Session::Show, Session::SignIn, Session::SignOut]
            .map(|session| Some(Endpoint::Session(session)));
        Resource { get, post, delete, ..Resource::default() }
    }

    fn stream(stream: Stream) -> Resource {
        Resource::get(Endpoint::Stream(stream))
    }

    fn publish(publish: Publish) -> Resource {
        Resource::post(Endpoint::Publish(publish))
    }

    /// What is shown, and can be ended.
    fn managed(shown: Manage, ended: Manage) -> Resource {
        let delete = Some(Endpoint::Manage(ended));
        Resource { delete, ..Resource::get(Endpoint::Manage(shown)) }
    }

    fn presence(presence: Presence) -> Resource {
        Resource::get(Endpoint::Presence(presence))
    }

    /// The members of a group, or one of them.
    fn members(group: Group, user: Option<Name>) -> Resource {
        let to = |action| {
            let (group, user) = (group.clone(), user.clone());
            Some(Endpoint::Membership(Membership { group, user, action }))
        };
        let (get, put, delete) = (to(Action::Read), to(Action::Put), to(Action::Delete));
        Resource { get, put, delete, ..Resource::default() }
    }

    /// What is at a path that is already plain.
    pub(super) fn at(path: &str) -> Result<Option<Resource>, NameError> {
        // Not an empty name behind it.
        if path.len() > 1 && path.ends_with('/') {
            return Ok(None);
        }
        let steps: Vec<&str> = path.split('/').skip(1).collect();
        Ok(Some(match steps[..] {
            ["notifications", "stream"] => Resource::stream(Stream::Notifications),
            ["notifications", "send"] => Resource::publish(Publish::Notification),
            ["realtime", "stream"] => Resource::stream(Stream::Realtime),
            ["realtime", "update"] => Resource::publish(Publish::RealtimeUpdate),
            ["chat", "stream"] => Resource::stream(Stream::Chat),
            ["chat", "send"] => Resource::publish(Publish::ChatMessage),
            ["chat", "typing"] => Resource::publish(Publish::ChatTyping),
            ["system", "status"] => Resource::get(Endpoint::SystemStatus),
            ["system", "status", "stream"] => Resource::stream(Stream::SystemStatus),
            ["system", "maintenance"] => Resource::publish(Publish::Maintenance),
            ["api", "notifications", "stream"] => Resource::stream(Stream::Guide),
            ["api", "notifications"] => Resource::publish(Publish::GuideNotification),
            ["api", "updates"] => Resource::publish(Publish::GuideUpdate),
            ["api", "events"] => Resource::publish(Publish::Event),
            ["sse", "connect"] => Resource::stream(Stream::Service),
            ["sse", "users", user, "events"] => {
                Resource::publish(Publish::ToUser(Name::new(user)?))
            }
            ["sse", "conversations", id, "events"] => {
                Resource::publish(Publish::ToConversation(Name::new(id)?))
            }
            ["sse", "conversations", id, "members"] => {
                Resource::members(Group::Conversation(Name::new(id)?), None)
            }
            ["sse", "conversations", id, "members", user] => {
                let user = Name::new(user)?;
                Resource::members(Group::Conversation(Name::new(id)?), Some(user))
            }
            ["chat", "rooms", id, "members"] => {
                Resource::members(Group::Room(Name::new(id)?), None)
            }
            ["chat", "rooms", id, "members", user] => {
                let user = Name::new(user)?;
                Resource::members(Group::Room(Name::new(id)?), Some(user))
            }
            ["api", "sse"] => {
                let post = Resource::publish(Publish::Event).post;
                Resource { post, ..Resource::stream(Stream::Manager) }
            }
            ["api", "sse", "stats"] => Resource::get(Endpoint::Manage(Manage::Stats)),
            ["api", "sse", "disconnect-all"] => {
                Resource::post(Endpoint::Manage(Manage::DisconnectAll))
            }
            ["api", "sse", "connections"] => {
                Resource::get(Endpoint::Manage(Manage::Connections(None)))
            }
            ["api", "sse", "connections", id] => {
                let id = ConnectionId::parse(id);
                Resource::managed(Manage::Connection(id), Manage::DisconnectOne(id))
            }
            ["api", "sse", "users", user] => {
                let user = Name::new(user)?;
                let shown = Manage::Connections(Some(user.clone()));
                Resource::managed(shown, Manage::DisconnectUser(user))
            }
            ["presence", user] => Resource::presence(Presence::User(Name::new(user)?)),
            ["presence", "rooms", room] => Resource::presence(Presence::Room(Name::new(room)?)),
            ["presence", "conversations", id] => {
                Resource::presence(Presence::Conversation(Name::new(id)?))
            }
            ["tickets"] => Resource::post(Endpoint::Credentials(Credentials::Ticket)),
            ["auth", "renew"] => Resource::post(Endpoint::Credentials(Credentials::Renew)),
            ["auth", "revoke"] => Resource::post(Endpoint::Credentials(Credentials::Revoke)),
            [""] => Resource::page(Page::Home),
            ["sse-client"] => Resource::page(Page::SseClient),
            ["session"] => Resource::session(),
            ["healthz"] => Resource::get(Endpoint::Health),
            ["readyz"] => Resource::get(Endpoint::Ready),
            ["metrics"] => Resource::get(Endpoint::Metrics),
            ["openapi.json"] => Resource::get(Endpoint::Description),
            _ => return Ok(None),
        }))
    }

    /// The methods, as `Allow` lists them.
    pub(super) fn allow(&self) -> String {
        let methods = [
            ("GET, HEAD", &self.get),
            ("POST", &self.post),
            ("PUT", &self.put),
            ("DELETE", &self.delete),
        ];
        let taken = methods.iter().filter(|(_, endpoint)| endpoint.is_some());
        let names: Vec<&str> = taken.map(|(name, _)| *name).chain(["OPTIONS"]).collect();
        names.join(", ")
    }

    /// The refusal of a method that is not taken here.
    pub(super) fn refuse(&self, method: &Method) -> Problem {
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
