//! What log lines show of a request's target.
//!
//! Whatever is not known to be harmless is left out: a token may stand in a parameter of any name
//! that a client makes up, in place of a name, or in the path. So a parameter is shown only if it
//! has a name of ours, just as it was sent, and a value or a step of the path only if it is short
//! and plain. That leaves no room for a JWT, for an escape that would hide a name or for anything
//! that could break a line, and there is nothing to decode that could be decoded differently.

use std::fmt::{self, Write};

use hyper::Uri;

/// In place of what is left out.
const REDACTED: &str = "[redacted]";
/// Parameters whose values say what a request was about.
const SHOWN: [&str; 7] =
    ["room", "channels", "entityType", "entityId", "client", "userId", "lastEventId"];
/// Parameters whose presence alone says something.
const NAMED: [&str; 2] = ["token", "ticket"];
/// The longest text that is shown, in bytes; a JWT is longer.
const LONGEST_PART: usize = 64;
/// The longest line, in bytes.
const LONGEST: usize = 256;
/// What ends a line that would be longer.
const CUT: &str = "...";

/// A request's target, fit to be written down.
#[derive(Clone, Copy)]
pub struct Redacted<'a>(&'a Uri);

impl<'a> Redacted<'a> {
    /// Of this target. Only its path and query are shown.
    pub fn new(target: &'a Uri) -> Redacted<'a> {
        Redacted(target)
    }

    fn write(self, line: &mut Line<'_, '_>) -> fmt::Result {
        for (n, step) in self.0.path().split('/').enumerate() {
            line.write_str(if n == 0 { "" } else { "/" })?;
            line.write_str(harmless(step))?;
        }
        let Some(query) = self.0.query() else { return Ok(()) };
        for (n, parameter) in query.split('&').enumerate() {
            line.write_str(if n == 0 { "?" } else { "&" })?;
            match parameter.split_once('=') {
                Some((name, value)) if SHOWN.contains(&name) => {
                    write!(line, "{name}={}", harmless(value))?;
                }
                Some((name, _)) if NAMED.contains(&name) => write!(line, "{name}={REDACTED}")?,
                _ if parameter.is_empty() => {}
                _ => line.write_str(REDACTED)?,
            }
        }
        Ok(())
    }
}

/// The text, if it may be shown.
fn harmless(text: &str) -> &str {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~,".contains(&byte);
    match text.len() <= LONGEST_PART && text.bytes().all(plain) {
        true => text,
        false => REDACTED,
    }
}

impl fmt::Display for Redacted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = Line { output: f, room: LONGEST - CUT.len() };
        match self.write(&mut line) {
            Err(fmt::Error) if line.room == 0 => f.write_str(CUT),
            result => result,
        }
    }
}

impl fmt::Debug for Redacted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A line that is full after so many bytes.
struct Line<'a, 'b> {
    output: &'a mut fmt::Formatter<'b>,
    room: usize,
}

impl Write for Line<'_, '_> {
    /// All that is written is ASCII and may be cut anywhere.
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let taken = text.len().min(self.room);
        self.output.write_str(text.get(..taken).ok_or(fmt::Error)?)?;
        self.room -= taken;
        if taken == text.len() { Ok(()) } else { Err(fmt::Error) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(target: &str) -> String {
        let uri: Uri = target.parse().expect("a target");
        assert_eq!(format!("{:?}", Redacted::new(&uri)), Redacted::new(&uri).to_string());
        Redacted::new(&uri).to_string()
    }

    #[test]
    fn what_is_ours_and_plain_is_shown() {
        for target in [
            "/",
            "/chat/stream",
            "/chat/stream?room=general",
            "/api/notifications/stream?channels=a,b&client=tab-1",
            "/realtime/stream?entityType=order&entityId=12",
            "/chat/stream?lastEventId=1700000000000-1.k3x&room=",
        ] {
            assert_eq!(shown(target), target);
        }
        assert_eq!(shown("http://ann:secret@hub.example/a?room=b"), "/a?room=b");
    }

    #[test]
    fn nothing_else_is() {
        let jwt = format!("eyJhbGciOiJIUzI1NiJ9.{}.{}", "p".repeat(30), "s".repeat(43));
        for (target, expected) in [
            ("/a?token=CANARY", "/a?token=[redacted]"),
            ("/a?ticket=CANARY&room=b", "/a?ticket=[redacted]&room=b"),
            ("/a?room=b&token=CANARY=&token=", "/a?room=b&token=[redacted]&token=[redacted]"),
            ("/a?%74oken=CANARY", "/a?[redacted]"),
            ("/a?tok%65n=CANARY", "/a?[redacted]"),
            ("/a?Token=CANARY", "/a?[redacted]"),
            ("/a?access_token=CANARY", "/a?[redacted]"),
            ("/a?CANARY", "/a?[redacted]"),
            ("/a?token", "/a?[redacted]"),
            ("/a?=CANARY", "/a?[redacted]"),
            ("/a?room=b;token=CANARY", "/a?room=[redacted]"),
            ("/a?room=b?token=CANARY", "/a?room=[redacted]"),
            ("/a?room=b%26token%3DCANARY", "/a?room=[redacted]"),
            ("/a?room=%&token=%zzCANARY", "/a?room=[redacted]&token=[redacted]"),
            ("/a?room=%0d%0aCANARY", "/a?room=[redacted]"),
            ("/a?userId=CANARY@app.example", "/a?userId=[redacted]"),
            ("/a?room=\u{fc}CANARY", "/a?room=[redacted]"),
            ("/a?&&", "/a?&&"),
            ("/a?", "/a?"),
            ("/token=CANARY/b", "/[redacted]/b"),
            ("/a;token=CANARY", "/[redacted]"),
            ("/a%0aCANARY", "/[redacted]"),
        ] {
            assert_eq!(shown(target), expected, "{target}");
        }
        assert_eq!(shown(&format!("/{jwt}?room={jwt}&{jwt}=x")).matches("redacted").count(), 3);
        assert!(!shown(&format!("/{jwt}?room={jwt}&{jwt}=x")).contains("eyJ"));
    }

    #[test]
    fn a_line_is_short() {
        let long = shown(&format!("/{}", "a/".repeat(2000)));
        assert_eq!(long.len(), LONGEST);
        assert!(long.ends_with("/a/..."));
        let fits = format!("/{}", "a/".repeat((LONGEST - CUT.len()) / 2));
        assert_eq!(fits.len(), LONGEST - CUT.len());
        assert_eq!(shown(&fits), fits);
        assert!(shown(&format!("/a?{}", "token=b&".repeat(500))).len() <= LONGEST);
    }

    #[test]
    fn the_asterisk_is_a_target_too() {
        assert_eq!(shown("*"), "[redacted]");
    }
}
