//! JSON from outside, checked once and kept as text.
//!
//! A publisher's data travels as the bytes that it wrote, without the white space between tokens:
//! numbers are never parsed, so they are never rounded.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use thiserror::Error;

/// How deep arrays and objects may be nested; what is deeper is refused, so that no client's
/// recursive parser is brought down by an event.
const MAX_DEPTH: usize = 128;

/// Why a body is not the JSON that the product takes.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum JsonError {
    /// Not UTF-8, as RFC 8259 section 8.1 demands.
    #[error("the body is not UTF-8")]
    Encoding,
    /// Not JSON, or not an object; the text says where.
    #[error("the body is not a JSON object: {0}")]
    Syntax(String),
    /// A member of the outermost object is there twice, and readers differ in which one they take.
    /// Its name is not repeated: whoever made it up may have put a secret there.
    #[error("a member of the object is there twice")]
    Repeated,
    /// An escaped half of a surrogate pair, which no UTF-8 text can carry on.
    #[error("the body has a \\u escape that is half of a surrogate pair")]
    LoneSurrogate,
    /// A program's value that JSON has no form for, as a map whose keys are no text.
    #[error("the data cannot be written as JSON: {0}")]
    Unwritable(String),
    /// Nested beyond what is kept.
    #[error("the data is nested more than {MAX_DEPTH} deep")]
    TooDeep,
}

/// A whole JSON value as compact text: valid, without white space between tokens, and so without a
/// line break.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Json(Box<str>);

impl Json {
    /// Writes a program's value. It may hold JSON of others as a [`RawValue`], so it is judged as if
    /// it came from outside.
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Result<Json, JsonError> {
        let raw = serde_json::value::to_raw_value(value)
            .map_err(|error| JsonError::Unwritable(error.to_string()))?;
        match has_lone_surrogate(raw.get()) {
            true => Err(JsonError::LoneSurrogate),
            false => Json::compact(&raw),
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn compact(raw: &RawValue) -> Result<Json, JsonError> {
        let mut compact = String::with_capacity(raw.get().len());
        let mut depth = 0_usize;
        let mut rest = raw.get();
        while let Some(first) = rest.bytes().next() {
            let token = match first {
                b' ' | b'\t' | b'\n' | b'\r' => {
                    rest = &rest[1..];
                    continue;
                }
                b'"' => string_length(rest),
                b'[' | b'{' => {
                    depth += 1;
                    1
                }
                b']' | b'}' => {
                    depth = depth.saturating_sub(1);
                    1
                }
                _ => 1,
            };
            if depth > MAX_DEPTH {
                return Err(JsonError::TooDeep);
            }
            compact.push_str(&rest[..token]);
            rest = &rest[token..];
        }
        Ok(Json(compact.into()))
    }
}

/// The length of the string literal that the text begins with, quotes included.
fn string_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = 1;
    while at < bytes.len() && bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(bytes.len())
}

/// The members of a JSON object, in the order they were written, their values unread.
#[derive(Debug)]
pub struct Object<'a> {
    members: Vec<(Cow<'a, str>, &'a RawValue)>,
}

impl<'a> Object<'a> {
    /// Reads a body.
    pub fn parse(body: &'a [u8]) -> Result<Object<'a>, JsonError> {
        let text = std::str::from_utf8(body).map_err(|_| JsonError::Encoding)?;
        if has_lone_surrogate(text) {
            return Err(JsonError::LoneSurrogate);
        }
        let Members(members) =
            serde_json::from_str(text).map_err(|error| JsonError::Syntax(reason(&error)))?;
        let mut seen = HashSet::with_capacity(members.len());
        if members.iter().any(|(name, _)| !seen.insert(name.as_ref())) {
            return Err(JsonError::Repeated);
        }
        Ok(Object { members })
    }

    /// The value of a member. An explicit `null` counts as there; [`Object::given`] leaves it out.
    pub fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.members.iter().find(|(member, _)| member == name).map(|(_, value)| *value)
    }

    /// The value of a member that is there and not `null`.
    pub fn given(&self, name: &str) -> Option<&'a RawValue> {
        self.get(name).filter(|value| value.get() != "null")
    }

    /// The value of a member as compact text; `null` when it is absent.
    pub fn json(&self, name: &str) -> Result<Json, JsonError> {
        self.get(name).map_or_else(|| Ok(Json("null".into())), Json::compact)
    }
}

/// What is wrong with a text. Of a value that is no object serde_json would repeat the characters.
fn reason(error: &serde_json::Error) -> String {
    match error.is_data() {
        true => "it is another value".to_owned(),
        false => error.to_string(),
    }
}

/// Pairs of an object, duplicates and all.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(name) = map.next_key_seed(MemberName)? {
            members.push((name, map.next_value()?));
        }
        Ok(Members(members))
    }
}

/// Borrows the name where it holds no escape.
struct MemberName;

impl<'de> DeserializeSeed<'de> for MemberName {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for MemberName {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member name")
    }

    fn visit_borrowed_str<E: serde::de::Error>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(name.to_owned()))
    }

    fn visit_bytes<E: serde::de::Error>(self, _: &[u8]) -> Result<Self::Value, E> {
        Err(E::custom("a member name is not text"))
    }
}

/// Whether an escaped surrogate stands alone. `serde_json` does not look into values that it only
/// passes on, and a client's `JSON.parse` would make text of it that cannot be encoded again.
fn has_lone_surrogate(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(found) = bytes[at..].iter().position(|byte| *byte == b'\\') {
        at += found;
        match escaped_unit(&bytes[at..]) {
            Some(0xD800..=0xDBFF) => match escaped_unit(&bytes[at + 6..]) {
                Some(0xDC00..=0xDFFF) => at += 12,
                _ => return true,
            },
            Some(0xDC00..=0xDFFF) => return true,
            Some(_) => at += 6,
            None => at = (at + 2).min(bytes.len()),
        }
    }
    false
}

/// The UTF-16 unit of the `\uXXXX` that the bytes begin with.
fn escaped_unit(bytes: &[u8]) -> Option<u16> {
    let digits = bytes.strip_prefix(b"\\u")?.get(..4)?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn compact(body: &str) -> Result<String, JsonError> {
        let body = format!("{{\"data\":{body}}}");
        Object::parse(body.as_bytes())?.json("data").map(|json| json.as_str().to_owned())
    }

    #[test]
    fn only_white_space_between_tokens_goes() {
        let body = "{ \"a b\" : [ 1.10e+400 ,\r\n\t-0.0, \"\\\\\" , \"x \\\" y\", 12345678901234567890 ] }";
        let expected = "{\"a b\":[1.10e+400,-0.0,\"\\\\\",\"x \\\" y\",12345678901234567890]}";
        assert_eq!(compact(body), Ok(expected.to_owned()));
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert_eq!(compact(&nested(128)), Ok(nested(128)));
        assert_eq!(compact(&nested(129)), Err(JsonError::TooDeep));
        assert_eq!(compact(&nested(100_000)), Err(JsonError::TooDeep));
    }

    #[test]
    fn half_of_a_surrogate_pair_is_refused_and_a_whole_one_kept() {
        assert_eq!(compact(r#""\ud83d\ude00""#), Ok(r#""\ud83d\ude00""#.to_owned()));
        assert_eq!(compact(r#""\\ud83d""#), Ok(r#""\\ud83d""#.to_owned()));
        for lone in [r#""\ud83d""#, r#""\ude00""#, r#""\ud83d\u0041""#, r#""\uD83D x""#] {
            assert_eq!(compact(lone), Err(JsonError::LoneSurrogate), "{lone}");
        }
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for body in ["", "[]", "1", "null", "{", "{}x", "{\"a\":}", "\u{feff}{}", "{\"a\":\"\n\"}"]
        {
            assert!(matches!(Object::parse(body.as_bytes()), Err(JsonError::Syntax(_))), "{body}");
        }
        assert_eq!(Object::parse(b"{\"a\":\"\xff\"}").err(), Some(JsonError::Encoding));
        assert_eq!(Object::parse(b"{\"a\":1,\"\\u0061\":2}").err(), Some(JsonError::Repeated));
    }

    #[test]
    fn a_programs_value_is_judged_as_if_it_came_from_outside() {
        let of = |raw: &str| {
            let raw: Box<RawValue> = serde_json::from_str(raw).expect("JSON");
            Json::of(&[raw]).map(|json| json.as_str().to_owned())
        };
        assert_eq!(of("{ \"a\":\n1.10 }"), Ok("[{\"a\":1.10}]".to_owned()));
        assert_eq!(of(r#""\ud83d""#), Err(JsonError::LoneSurrogate));
        assert_eq!(of(&("[".repeat(127) + &"]".repeat(127))).map(|text| text.len()), Ok(256));
        assert_eq!(of(&("[".repeat(128) + &"]".repeat(128))), Err(JsonError::TooDeep));
        let no_text = std::collections::HashMap::from([((1, 2), 3)]);
        assert!(matches!(Json::of(&no_text), Err(JsonError::Unwritable(_))));
    }

    proptest! {
        #[test]
        fn compacting_keeps_the_meaning(text in "\\PC*", number in any::<i64>()) {
            let value = serde_json::json!({ "text": text, "list": [number, [text], {}] });
            let spaced = serde_json::to_string_pretty(&value).expect("serializable");
            prop_assert_eq!(compact(&spaced), Ok(value.to_string()));
        }

        #[test]
        fn no_bytes_bring_it_down(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Object::parse(&body);
        }
    }
}
