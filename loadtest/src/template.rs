//! Texts with holes, as dialects have them: `/stream?user={user}`.

use std::fmt::Write as _;
use std::str::FromStr;

/// What a hole stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hole {
    User,
    Token,
    Id,
    Message,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Hole(Hole),
}

/// A text with holes, read once and filled for every request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Template(Vec<Part>);

/// What fills the holes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Filling<'a> {
    pub(crate) user: &'a str,
    pub(crate) token: &'a str,
    pub(crate) id: &'a [u8],
    pub(crate) message: &'a str,
}

impl FromStr for Template {
    type Err = std::convert::Infallible;

    /// Braces around any other word are text: a body is often JSON.
    fn from_str(text: &str) -> Result<Template, Self::Err> {
        let (mut parts, mut plain, mut rest) = (Vec::new(), String::new(), text);
        while let Some((before, behind)) = rest.split_once('{') {
            plain += before;
            let hole = behind.split_once('}').and_then(|(name, after)| Some((hole(name)?, after)));
            match hole {
                Some((hole, after)) => {
                    parts.push(Part::Text(std::mem::take(&mut plain)));
                    parts.push(Part::Hole(hole));
                    rest = after;
                }
                None => {
                    plain.push('{');
                    rest = behind;
                }
            }
        }
        parts.push(Part::Text(plain + rest));
        Ok(Template(parts))
    }
}

fn hole(name: &str) -> Option<Hole> {
    Some(match name {
        "user" => Hole::User,
        "token" => Hole::Token,
        "id" => Hole::Id,
        "message" => Hole::Message,
        _ => return None,
    })
}

impl Template {
    /// Appends the text, as it is for a header or a body.
    pub(crate) fn fill(&self, out: &mut Vec<u8>, filling: &Filling<'_>) {
        for part in &self.0 {
            out.extend_from_slice(part.bytes(filling));
        }
    }

    /// Appends the text for a request target: what fills a hole is percent-encoded.
    pub(crate) fn fill_target(&self, out: &mut Vec<u8>, filling: &Filling<'_>) {
        for part in &self.0 {
            match part {
                Part::Text(text) => out.extend_from_slice(text.as_bytes()),
                Part::Hole(_) => out.extend_from_slice(encode(part.bytes(filling)).as_bytes()),
            }
        }
    }
}

impl Part {
    fn bytes<'a>(&'a self, filling: &Filling<'a>) -> &'a [u8] {
        match self {
            Part::Text(text) => text.as_bytes(),
            Part::Hole(Hole::User) => filling.user.as_bytes(),
            Part::Hole(Hole::Token) => filling.token.as_bytes(),
            Part::Hole(Hole::Id) => filling.id,
            Part::Hole(Hole::Message) => filling.message.as_bytes(),
        }
    }
}

/// Leaves only the unreserved characters of RFC 3986, 2.3.
fn encode(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, &byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(byte.into());
        } else {
            // Writing to a String cannot fail.
            let _ = write!(text, "%{byte:02X}");
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_are_filled_and_json_is_left_alone() {
        let template: Template = r#"{"to":"{user}","m":"{message}"} {x} {"#.parse().unwrap();
        let filling = Filling { user: "u1", message: "~b0.0.1~", ..Filling::default() };
        let mut out = Vec::new();
        template.fill(&mut out, &filling);
        assert_eq!(out, br#"{"to":"u1","m":"~b0.0.1~"} {x} {"#);
    }

    #[test]
    fn targets_are_encoded() {
        let template: Template = "/s?a=b&token={token}&id={id}".parse().unwrap();
        let filling = Filling { token: "a+/=~", id: b"1:2", ..Filling::default() };
        let mut out = Vec::new();
        template.fill_target(&mut out, &filling);
        assert_eq!(out, b"/s?a=b&token=a%2B%2F%3D~&id=1%3A2");
    }
}
