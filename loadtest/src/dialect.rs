//! How a server wants to be asked: its paths, headers, tokens and bodies. Read from a TOML file;
//! those of the servers that `compare` knows are built in.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer};

use crate::endpoint::Endpoint;
use crate::failure::{Failure, While};
use crate::signer::Signer;
use crate::template::{Filling, Template};

/// The dialects that have a name.
const BUILT_IN: &[(&str, DialectSource)] = &[
    ("rill", DialectSource::RILL),
    ("rill-service", DialectSource::RILL_SERVICE),
    ("send-loop", DialectSource::SEND_LOOP),
    ("nchan", DialectSource::NCHAN),
    ("axum", DialectSource::AXUM),
];

/// The name of all publishers.
pub(crate) const PUBLISHER: &str = "publisher";

/// What `--dialect` says: a name or a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DialectSource {
    /// The text of one that is built in.
    BuiltIn(&'static str),
    /// Anything else is a path.
    File(PathBuf),
}

impl FromStr for DialectSource {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<DialectSource, Self::Err> {
        let built_in = BUILT_IN.iter().find(|(name, _)| *name == text);
        Ok(built_in.map_or_else(|| DialectSource::File(text.into()), |(_, source)| source.clone()))
    }
}

impl DialectSource {
    /// Rill's.
    pub(crate) const RILL: DialectSource =
        DialectSource::BuiltIn(include_str!("../dialects/rill.toml"));
    /// Rill's, for the members of conversations.
    pub(crate) const RILL_SERVICE: DialectSource =
        DialectSource::BuiltIn(include_str!("../dialects/rill-service.toml"));
    /// The send loop's.
    pub(crate) const SEND_LOOP: DialectSource =
        DialectSource::BuiltIn(include_str!("../dialects/send-loop.toml"));
    /// nchan's.
    pub(crate) const NCHAN: DialectSource =
        DialectSource::BuiltIn(include_str!("../dialects/nchan.toml"));
    /// The axum server's.
    pub(crate) const AXUM: DialectSource =
        DialectSource::BuiltIn(include_str!("../dialects/axum.toml"));
}

/// A server's way to be asked.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Dialect {
    /// How a stream is opened.
    pub(crate) stream: StreamForm,
    /// How an event is published.
    pub(crate) publish: PublishForm,
}

/// How a stream is opened.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StreamForm {
    #[serde(deserialize_with = "template")]
    pub(crate) path: Template,
    #[serde(default)]
    pub(crate) token: Token,
    /// What a token says that is signed here, in place of that one.
    #[serde(default, deserialize_with = "maybe_template")]
    claims: Option<Template>,
    #[serde(default, deserialize_with = "templates")]
    pub(crate) headers: Vec<Template>,
    /// The header that names the last event id.
    #[serde(default, deserialize_with = "maybe_template")]
    pub(crate) resume: Option<Template>,
    live: String,
    #[serde(default = "heartbeat")]
    heartbeat: String,
    /// The event that admits a loss.
    #[serde(default = "gap")]
    gap: String,
    /// Events with which the server ends a stream.
    #[serde(default = "farewells")]
    farewells: Vec<String>,
    /// Events of the server's own that are no messages.
    #[serde(default)]
    ignore: Vec<String>,
}

fn heartbeat() -> String {
    "heartbeat".to_owned()
}

fn gap() -> String {
    "gap".to_owned()
}

fn farewells() -> Vec<String> {
    ["disconnected", "error"].map(str::to_owned).to_vec()
}

/// How an event is published.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PublishForm {
    /// Where to publish, if it is not where streams are.
    #[serde(default, deserialize_with = "maybe_endpoint")]
    url: Option<Endpoint>,
    #[serde(deserialize_with = "template")]
    pub(crate) path: Template,
    /// The path for one user's event, if it is another one.
    #[serde(default, deserialize_with = "maybe_template")]
    pub(crate) user_path: Option<Template>,
    #[serde(default)]
    pub(crate) token: Token,
    /// What a token says that is signed here, in place of that one.
    #[serde(default, deserialize_with = "maybe_template")]
    claims: Option<Template>,
    #[serde(default, deserialize_with = "templates")]
    pub(crate) headers: Vec<Template>,
    #[serde(deserialize_with = "template")]
    pub(crate) broadcast: Template,
    /// The body of one user's event; a server may know no users.
    #[serde(default, deserialize_with = "maybe_template")]
    pub(crate) user: Option<Template>,
    /// What an accepted publish is answered with.
    pub(crate) answer: AnswerForm,
}

/// What an accepted publish is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum AnswerForm {
    /// `{"success":true,"id":...}`.
    Receipt,
    /// Any 2xx.
    Status,
}

/// How a stream says that it is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Live<'a> {
    /// With the answer's head.
    Head,
    /// With its first comment.
    Comment,
    /// With this event.
    Event(&'a [u8]),
}

/// What an event without a stamp is, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// The stream is open.
    Live,
    /// A sign of life.
    Heartbeat,
    /// A loss is admitted.
    Gap,
    /// The server ends the stream.
    Farewell,
    /// Nothing that matters here.
    Nothing,
    /// Something that was published.
    Message,
}

/// Where tokens come from.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Token {
    /// There are none.
    #[default]
    None,
    /// This text.
    Text(#[serde(deserialize_with = "template")] Template),
    /// The base64 of this text.
    Base64(#[serde(deserialize_with = "template")] Template),
    /// A file's lines: the first is user 0's, and so on, from the start again where they end.
    #[serde(rename = "file")]
    Listed(#[serde(deserialize_with = "lines")] Vec<String>),
}

impl Dialect {
    /// Reads it.
    pub(crate) fn load(source: &DialectSource) -> Result<Dialect, Failure> {
        match source {
            DialectSource::BuiltIn(text) => Dialect::parse(text, Path::new("built in")),
            DialectSource::File(path) => {
                let text = std::fs::read_to_string(path).while_("reading the dialect's file")?;
                Dialect::parse(&text, path)
            }
        }
    }

    fn parse(text: &str, path: &Path) -> Result<Dialect, Failure> {
        let wrong = |message| Failure::Dialect { path: path.to_owned(), message };
        toml::from_str(text).map_err(|error| wrong(error.message().to_owned()))
    }

    /// The same with tokens for so many users, and for publishers, that are signed now.
    pub(crate) fn signed(mut self, signer: &Signer, users: usize) -> Result<Dialect, Failure> {
        let (Some(streams), Some(publishers)) = (&self.stream.claims, &self.publish.claims) else {
            return Err(Failure::Usage("this server's dialect has no claims for --jwt"));
        };
        let sign = |claims: &Template, name: &str| signer.sign(&filled(claims, name));
        let tokens = (0..users.max(1)).map(|user| sign(streams, &user_name(user)));
        self.stream.token = Token::Listed(tokens.collect::<Result<_, _>>()?);
        self.publish.token = Token::Listed(vec![sign(publishers, PUBLISHER)?]);
        Ok(self)
    }

    /// The same with this token for all publishers.
    pub(crate) fn published_with(mut self, token: String) -> Dialect {
        self.publish.token = Token::Listed(vec![token]);
        self
    }

    /// How a stream says that it is open.
    #[inline]
    pub(crate) fn live(&self) -> Live<'_> {
        match self.stream.live.as_str() {
            "head" => Live::Head,
            "comment" => Live::Comment,
            event => Live::Event(event.as_bytes()),
        }
    }

    /// What an event of this name is, if it carries no stamp.
    pub(crate) fn meaning(&self, kind: &[u8]) -> Meaning {
        let form = &self.stream;
        let among = |names: &[String]| names.iter().any(|name| name.as_bytes() == kind);
        if self.live() == Live::Event(kind) {
            Meaning::Live
        } else if form.heartbeat.as_bytes() == kind {
            Meaning::Heartbeat
        } else if form.gap.as_bytes() == kind {
            Meaning::Gap
        } else if among(&form.farewells) {
            Meaning::Farewell
        } else if among(&form.ignore) {
            Meaning::Nothing
        } else {
            Meaning::Message
        }
    }

    /// Where to publish, if it is not where streams are.
    pub(crate) fn publishers(&self) -> Option<Endpoint> {
        self.publish.url.clone()
    }
}

impl Token {
    /// User number `user`'s.
    pub(crate) fn of(&self, user: usize, name: &str) -> String {
        match self {
            Token::None => String::new(),
            Token::Text(template) => String::from_utf8_lossy(&filled(template, name)).into_owned(),
            Token::Base64(template) => STANDARD.encode(filled(template, name)),
            Token::Listed(tokens) => tokens[user % tokens.len()].clone(),
        }
    }
}

/// The text for somebody of this name.
fn filled(template: &Template, name: &str) -> Vec<u8> {
    let mut text = Vec::new();
    template.fill(&mut text, &Filling { user: name, ..Filling::default() });
    text
}

/// A user's name.
pub(crate) fn user_name(user: usize) -> String {
    format!("u{user}")
}

fn template<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Template, D::Error> {
    let Ok(template) = String::deserialize(deserializer)?.parse();
    Ok(template)
}

fn maybe_template<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Template>, D::Error> {
    template(deserializer).map(Some)
}

fn maybe_endpoint<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Endpoint>, D::Error> {
    String::deserialize(deserializer)?.parse().map(Some).map_err(serde::de::Error::custom)
}

fn templates<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Template>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    Ok(texts
        .iter()
        .map(|text| {
            let Ok(template) = text.parse();
            template
        })
        .collect())
}

fn lines<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let path = String::deserialize(deserializer)?;
    let text = std::fs::read_to_string(&path)
        .map_err(|error| serde::de::Error::custom(format!("{path}: {error}")))?;
    let tokens: Vec<String> =
        text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    if tokens.is_empty() {
        return Err(serde::de::Error::custom(format!("{path}: no token in it")));
    }
    Ok(tokens)
}

#[cfg(test)]
mod tests;
