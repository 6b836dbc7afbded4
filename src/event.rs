//! What is published: untrusted bytes become values that cannot break the wire.

use std::borrow::Borrow;
use std::fmt::{self, Write};
use std::time::SystemTime;

use compact_str::CompactString;
use thiserror::Error;
use unicode_general_category::{GeneralCategory, get_general_category};

use crate::json::Json;
use crate::topic::Topic;

/// The name of a user, room, channel, conversation, entity, client or event: 1 to 128 bytes of UTF-8
/// without control or format characters, so it fits on a line and looks like what it is. Short ones
/// are kept inline: ten thousand users are then no ten thousand small allocations between the
/// buffers of their requests.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(CompactString);

/// Why a text is not a [`Name`].
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum NameError {
    /// No byte at all.
    #[error("must not be empty")]
    Empty,
    /// More bytes than are kept.
    #[error("must be at most {} bytes long", Name::MAX_BYTES)]
    TooLong,
    /// A character that is not shown, or moves others about.
    #[error("must not contain control or format characters")]
    Unprintable,
}

impl Name {
    /// Who manages a server that is for development.
    pub const MANAGER: Name = Name(CompactString::const_new("manager"));
    /// The longest name, in bytes.
    pub const MAX_BYTES: usize = 128;

    /// Checks a text.
    pub fn new(text: &str) -> Result<Name, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > Self::MAX_BYTES {
            return Err(NameError::TooLong);
        }
        if text.chars().any(unprintable) {
            return Err(NameError::Unprintable);
        }
        Ok(Name(text.into()))
    }

    /// Whether streams send events of this name themselves, or an EventSource fires them.
    pub fn is_reserved(&self) -> bool {
        const RESERVED: [&str; 6] =
            ["open", "error", "connected", "disconnected", "heartbeat", "gap"];
        RESERVED.contains(&self.as_str())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

pub(crate) fn unprintable(character: char) -> bool {
    !matches!(character, ' '..='~')
        && matches!(
            get_general_category(character),
            GeneralCategory::Control | GeneralCategory::Format
        )
}

/// A name is looked up by its text.
impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// What a topic takes besides its text: its places in the tables and in the frame, in bytes.
const TOPIC_WEIGHT: usize = 64;

/// One event as it was published, before the log gave it a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Whom it concerns: every stream that listens to one of these.
    pub topics: Vec<Topic>,
    /// The `event:` line.
    pub name: Name,
    /// The `data:` line.
    pub payload: Payload,
}

impl Event {
    /// About what it takes in memory while it is kept, in bytes.
    pub fn weight(&self) -> usize {
        let topics = self.topics.iter().map(|topic| topic.as_str().len() + TOPIC_WEIGHT);
        self.payload.json.len() + topics.sum::<usize>()
    }

    /// The chat room that it is of.
    pub fn room(&self) -> Option<&str> {
        Topic::room_in(&self.topics)
    }

    /// An event with one of the product's own names.
    pub fn new(topics: Vec<Topic>, name: &'static str, payload: Payload) -> Event {
        Event { topics, name: Name(name.into()), payload }
    }
}

/// The data of an event: compact JSON, in which the event's own cursor may have a place that is
/// filled only when the log has minted it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    json: Box<str>,
    /// Where in `json` the cursor goes, as a JSON string.
    id_at: Option<u32>,
}

impl Payload {
    /// Begins an object; members come in the order they are added.
    pub fn object() -> ObjectWriter {
        // Most payloads fit, so that they never move.
        let mut json = String::with_capacity(256);
        json.push('{');
        ObjectWriter { json, id_at: None }
    }

    /// A value as it was given.
    pub fn of(json: &Json) -> Payload {
        Payload { json: json.as_str().into(), id_at: None }
    }

    /// The stored form: the text without the cursor, and where that goes.
    pub fn parts(&self) -> (&str, Option<u32>) {
        (&self.json, self.id_at)
    }

    /// The inverse of [`Payload::parts`]; `None` when the place is not in the text.
    pub fn from_parts(json: &str, id_at: Option<u32>) -> Option<Payload> {
        let within = |at: u32| json.is_char_boundary(at as usize);
        id_at.is_none_or(within).then(|| Payload { json: json.into(), id_at })
    }

    /// Writes the data with the event's cursor in its place.
    pub fn render(&self, out: &mut Vec<u8>, cursor: &str) {
        let (before, after) = self.json.split_at(self.id_at.unwrap_or(0) as usize);
        out.extend_from_slice(before.as_bytes());
        if self.id_at.is_some() {
            out.push(b'"');
            out.extend_from_slice(cursor.as_bytes());
            out.push(b'"');
        }
        out.extend_from_slice(after.as_bytes());
    }
}

/// Writes a payload's object, member by member.
pub struct ObjectWriter {
    json: String,
    id_at: Option<u32>,
}

impl ObjectWriter {
    fn name(&mut self, name: &'static str) {
        if self.json.len() > 1 {
            self.json.push(',');
        }
        self.json.push('"');
        self.json.push_str(name);
        self.json.push_str("\":");
    }

    /// A place for the event's own cursor.
    #[must_use]
    pub fn id(mut self) -> Self {
        self.name("id");
        self.id_at = Some(self.json.len() as u32);
        self
    }

    /// A text; `null` when there is none.
    #[must_use]
    pub fn text(mut self, name: &'static str, value: Option<&str>) -> Self {
        self.name(name);
        match value {
            Some(text) => push_quoted(&mut self.json, text),
            None => self.json.push_str("null"),
        }
        self
    }

    /// A whole number.
    #[must_use]
    pub fn number(mut self, name: &'static str, value: u64) -> Self {
        self.name(name);
        let _ = write!(self.json, "{value}");
        self
    }

    /// A truth value.
    #[must_use]
    pub fn truth(mut self, name: &'static str, value: bool) -> Self {
        self.name(name);
        let _ = write!(self.json, "{value}");
        self
    }

    /// A list of texts.
    #[must_use]
    pub fn texts<'a>(mut self, name: &'static str, texts: impl Iterator<Item = &'a str>) -> Self {
        self.name(name);
        self.json.push('[');
        for (number, text) in texts.enumerate() {
            self.json.push_str(if number == 0 { "" } else { "," });
            push_quoted(&mut self.json, text);
        }
        self.json.push(']');
        self
    }

    /// An object of numbers by name.
    #[must_use]
    pub fn counts<'a>(
        mut self,
        name: &'static str,
        counts: impl Iterator<Item = (&'a str, u64)>,
    ) -> Self {
        self.name(name);
        self.json.push('{');
        for (number, (name, count)) in counts.enumerate() {
            self.json.push_str(if number == 0 { "" } else { "," });
            push_quoted(&mut self.json, name);
            let _ = write!(self.json, ":{count}");
        }
        self.json.push('}');
        self
    }

    /// A list of objects.
    #[must_use]
    pub fn list(mut self, name: &'static str, objects: impl Iterator<Item = Payload>) -> Self {
        self.name(name);
        self.json.push('[');
        for (number, object) in objects.enumerate() {
            self.json.push_str(if number == 0 { "" } else { "," });
            self.json.push_str(&object.json);
        }
        self.json.push(']');
        self
    }

    /// A value as it was given.
    #[must_use]
    pub fn json(mut self, name: &'static str, value: &Json) -> Self {
        self.name(name);
        self.json.push_str(value.as_str());
        self
    }

    /// When it was written.
    #[must_use]
    pub fn timestamp(self, time: SystemTime) -> Self {
        self.time("timestamp", time)
    }

    /// A time: RFC 3339, UTC, milliseconds.
    #[must_use]
    pub fn time(self, name: &'static str, time: SystemTime) -> Self {
        self.text(name, Some(&humantime::format_rfc3339_millis(time).to_string()))
    }

    /// The same; `null` when there is none.
    #[must_use]
    pub fn optional_time(self, name: &'static str, time: Option<SystemTime>) -> Self {
        match time {
            Some(time) => self.time(name, time),
            None => self.text(name, None),
        }
    }

    /// Ends the object.
    pub fn finish(mut self) -> Payload {
        self.json.push('}');
        Payload { json: self.json.into(), id_at: self.id_at }
    }
}

/// Most texts have nothing to escape, and are copied as they are.
fn push_quoted(json: &mut String, text: &str) {
    if text.bytes().any(|byte| byte < b' ' || matches!(byte, b'"' | b'\\')) {
        json.push_str(&serde_json::Value::from(text).to_string());
    } else {
        json.push('"');
        json.push_str(text);
        json.push('"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_is_quoted_as_json_wants_it() {
        for c in (0..=0x7f).map(char::from).chain(['é', '\u{2028}', '😀']) {
            let text = format!("a{c}b");
            let mut json = String::new();
            push_quoted(&mut json, &text);
            assert_eq!(json, serde_json::Value::from(text).to_string());
        }
    }

    #[test]
    fn names_are_bounded_and_printable() {
        assert!(Name::new(&"x".repeat(128)).is_ok());
        assert_eq!(Name::new(&"x".repeat(129)), Err(NameError::TooLong));
        assert_eq!(Name::new(&"é".repeat(65)), Err(NameError::TooLong));
        assert_eq!(Name::new(""), Err(NameError::Empty));
        assert!(Name::new("Ωmega / 7 日本").is_ok());
        for bad in [
            "a\r",
            "a\nb",
            "\0",
            "\u{7f}",
            "\u{85}",
            "\u{200b}",
            "\u{202e}",
            "\u{feff}",
            "\u{e0001}",
        ] {
            assert_eq!(Name::new(bad), Err(NameError::Unprintable), "{bad:?}");
        }
    }

    #[test]
    fn the_cursor_gets_its_place_when_the_event_has_one() {
        let payload = Payload::object().id().text("title", None).text("message", Some("a \"b\"\n"));
        let mut out = Vec::new();
        payload.number("n", 7).finish().render(&mut out, "5-0.0000000a");
        let expected = r#"{"id":"5-0.0000000a","title":null,"message":"a \"b\"\n","n":7}"#;
        assert_eq!(String::from_utf8(out).expect("text"), expected);
    }

    #[test]
    fn a_payload_without_a_place_for_it_is_left_as_it_is() {
        let mut out = Vec::new();
        Payload::object().finish().render(&mut out, "5-0.0000000a");
        assert_eq!(out, b"{}");
    }

    #[test]
    fn a_stored_place_outside_the_text_is_no_payload() {
        assert_eq!(Payload::from_parts("{}", Some(3)), None);
        assert_eq!(Payload::from_parts("\"é\"", Some(2)), None);
        assert!(Payload::from_parts("{}", Some(1)).is_some());
    }
}
