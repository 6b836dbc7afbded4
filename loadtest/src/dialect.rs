//! How a server wants to be asked: its paths, headers, tokens and bodies. Read from a TOML file;
//! those of the servers that `compare` knows are built in.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer};

use crate::endpoint::Endpoint;
use crate::failure::{Failure, While};
use crate::template::{Filling, Template};

/// The dialects that have a name.
const BUILT_IN: &[(&str, DialectSource)] = &[
    ("rill", DialectSource::RILL),
    ("send-loop", DialectSource::SEND_LOOP),
    ("nchan", DialectSource::NCHAN),
    ("axum", DialectSource::AXUM),
];

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
    File(#[serde(deserialize_with = "lines")] Vec<String>),
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
        let fill = |template: &Template| {
            let mut text = Vec::new();
            template.fill(&mut text, &Filling { user: name, ..Filling::default() });
            text
        };
        match self {
            Token::None => String::new(),
            Token::Text(template) => String::from_utf8_lossy(&fill(template)).into_owned(),
            Token::Base64(template) => STANDARD.encode(fill(template)),
            Token::File(tokens) => tokens[user % tokens.len()].clone(),
        }
    }
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
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Dialect, Failure> {
        Dialect::parse(text, Path::new("test"))
    }

    /// The least that a dialect must say, with something more about streams.
    fn with(more: &str) -> String {
        format!(
            "[stream]\npath='/s'\nlive='head'\n{more}\n\
             [publish]\npath='/p'\nbroadcast='{{message}}'\nanswer='status'\n"
        )
    }

    #[test]
    fn built_in_dialects_are_sound() {
        for (name, _) in BUILT_IN {
            let Ok(source) = name.parse::<DialectSource>();
            Dialect::load(&source).unwrap();
        }
        let Ok(file) = "else.toml".parse::<DialectSource>();
        assert!(Dialect::load(&file).unwrap_err().to_string().contains("No such file"));
    }

    #[test]
    fn tokens_are_made_or_read() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("tokens");
        std::fs::write(&file, "one\n\n two \n").unwrap();
        let of = |token: &str| parse(&with(token)).unwrap().stream.token.of(3, "u3");
        assert_eq!(of("token.text='t-{user}'"), "t-u3");
        assert_eq!(of("token.base64='{user}'"), "dTM=");
        assert_eq!(of(&format!("token.file='{}'", file.display())), "two");
        assert_eq!(of(""), "");
    }

    #[test]
    fn events_mean_what_the_dialect_says() {
        let meaning = |more: &str, kind: &str| parse(&with(more)).unwrap().meaning(kind.as_bytes());
        for (kind, expected) in [
            ("heartbeat", Meaning::Heartbeat),
            ("gap", Meaning::Gap),
            ("disconnected", Meaning::Farewell),
            ("error", Meaning::Farewell),
            ("status", Meaning::Message),
            ("", Meaning::Message),
        ] {
            assert_eq!(meaning("", kind), expected, "{kind}");
        }
        let more = "heartbeat='beat'\ngap='hole'\nfarewells=['bye', 'end']\nignore=['status']";
        for (kind, expected) in [
            ("beat", Meaning::Heartbeat),
            ("hole", Meaning::Gap),
            ("end", Meaning::Farewell),
            ("status", Meaning::Nothing),
            ("heartbeat", Meaning::Message),
            ("gap", Meaning::Message),
            ("error", Meaning::Message),
        ] {
            assert_eq!(meaning(more, kind), expected, "{kind}");
        }
    }

    #[test]
    fn publishers_may_go_somewhere_else() {
        assert_eq!(parse(&with("")).unwrap().publishers(), None);
        let elsewhere = parse(&(with("") + "url='unix:/run/x.sock'")).unwrap();
        assert_eq!(elsewhere.publishers(), Some(Endpoint::Unix("/run/x.sock".into())));
    }

    #[test]
    fn mistakes_are_named() {
        for (text, hint) in [
            (String::new(), "missing field"),
            (with("token.file='/none'"), "/none"),
            (with("body='x'"), "unknown field `body`"),
            (with("token.other='x'"), "unknown variant `other`"),
            (with("ignore='x'"), "expected a sequence"),
            (with("") + "url='http://10.0.0.1:1'", "not a loopback address"),
        ] {
            let failure = parse(&text).unwrap_err().to_string();
            assert!(failure.contains("test") && failure.contains(hint), "{failure}");
        }
    }
}
