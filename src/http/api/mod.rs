//! The families of endpoints: each file turns its parameters into topics, and its JSON into an event
//! that cannot be wrong.

mod audience;
pub mod chat;
pub mod credentials;
pub mod guide;
pub mod manager;
pub mod membership;
pub mod notifications;
pub mod realtime;
pub mod service;
pub mod system;

use crate::event::{Event, Name};
use crate::http::problem::Problem;
use crate::identity::Identity;
use crate::json::{Json, Object};

/// An event that may be published.
pub struct Draft {
    /// The event.
    pub event: Event,
    /// It is only for those who are there now.
    pub ephemeral: bool,
}

impl Draft {
    fn kept(event: Event) -> Draft {
        Draft { event, ephemeral: false }
    }

    fn ephemeral(event: Event) -> Draft {
        Draft { event, ephemeral: true }
    }
}

/// Refuses who may not send to others.
fn must_publish(caller: &Identity) -> Result<(), Problem> {
    match caller.roles.may_publish() {
        true => Ok(()),
        false => Err(Problem::forbidden("Only publishers and admins may send this to others.")),
    }
}

/// Refuses what lacks fields of these names.
fn all_there(missing: Vec<&str>) -> Result<(), Problem> {
    match missing.is_empty() {
        true => Ok(()),
        false => Err(Problem::field(&missing.join(", "), "required")),
    }
}

/// The members of a body, read by type.
pub struct Fields<'a>(pub &'a Object<'a>);

impl Fields<'_> {
    /// Refuses a body without these, naming all that are missing.
    fn require(&self, names: &[&str]) -> Result<(), Problem> {
        all_there(self.missing(names).collect())
    }

    /// The same with one more, which may be any value, `null` too.
    fn require_with(&self, names: &[&str], any: &str) -> Result<(), Problem> {
        let any = Some(any).filter(|name| self.0.get(name).is_none());
        all_there(self.missing(names).chain(any).collect())
    }

    fn missing<'n>(&self, names: &[&'n str]) -> impl Iterator<Item = &'n str> {
        names.iter().copied().filter(|name| self.0.given(name).is_none())
    }

    /// A text that is not empty, if there is one.
    fn optional_text(&self, name: &str) -> Result<Option<String>, Problem> {
        let Some(value) = self.0.given(name) else { return Ok(None) };
        let text: Option<String> = serde_json::from_str(value.get()).ok();
        match text.filter(|text| !text.is_empty()) {
            Some(text) => Ok(Some(text)),
            None => Err(Problem::field(name, "must be a string that is not empty")),
        }
    }

    /// A text that is not empty.
    fn text(&self, name: &str) -> Result<String, Problem> {
        self.optional_text(name)?.ok_or_else(|| Problem::field(name, "required"))
    }

    /// A name, or a whole number that is taken as one.
    fn name(&self, name: &str) -> Result<Name, Problem> {
        self.optional_name(name)?.ok_or_else(|| Problem::field(name, "required"))
    }

    /// The same, if there is one.
    fn optional_name(&self, name: &str) -> Result<Option<Name>, Problem> {
        self.0.given(name).map(|value| read_name(name, value.get())).transpose()
    }

    /// One of a few words, if there is any.
    fn choice(
        &self,
        name: &str,
        choices: &[&'static str],
    ) -> Result<Option<&'static str>, Problem> {
        let Some(text) = self.optional_text(name)? else { return Ok(None) };
        match choices.iter().find(|choice| **choice == text) {
            Some(choice) => Ok(Some(choice)),
            None => Err(Problem::field(name, &format!("must be one of {}", choices.join(", ")))),
        }
    }

    /// One of a few values by its word, if there is any.
    fn one_of<T: Copy>(
        &self,
        name: &str,
        values: &[T],
        word: fn(T) -> &'static str,
    ) -> Result<Option<T>, Problem> {
        let words: Vec<&'static str> = values.iter().map(|value| word(*value)).collect();
        let chosen = self.choice(name, &words)?;
        Ok(values.iter().copied().find(|value| Some(word(*value)) == chosen))
    }

    /// The name of an event; those that streams themselves send are not for publishers.
    fn event_name(&self, name: &str) -> Result<Name, Problem> {
        let event = self.name(name)?;
        match event.is_reserved() {
            true => Err(Problem::bad_request(format!("{name}: is a name of the server's own"))),
            false => Ok(event),
        }
    }

    /// Whether a member is there and not `null`.
    fn given(&self, name: &str) -> bool {
        self.0.given(name).is_some()
    }

    /// `true` or `false`, if there is one.
    fn truth(&self, name: &str) -> Result<Option<bool>, Problem> {
        match self.0.given(name).map(|value| value.get()) {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(_) => Err(Problem::field(name, "must be true or false")),
        }
    }

    /// A whole number that is not negative, if there is one.
    fn count(&self, name: &str) -> Result<Option<u64>, Problem> {
        let Some(value) = self.0.given(name) else { return Ok(None) };
        let count = whole_number(value.get()).and_then(|digits| digits.parse().ok());
        let wrong = || Problem::field(name, "must be a whole number that is not negative");
        count.map(Some).ok_or_else(wrong)
    }

    /// A list of names, each once, which may be empty.
    fn names(&self, name: &str) -> Result<Vec<Name>, Problem> {
        let value = self.0.given(name).ok_or_else(|| Problem::field(name, "required"))?;
        read_names(name, value.get())
    }

    /// A list of names that is not empty, if there is one.
    fn optional_names(&self, name: &str) -> Result<Option<Vec<Name>>, Problem> {
        if !self.given(name) {
            return Ok(None);
        }
        let names = self.names(name)?;
        match names.is_empty() {
            true => Err(Problem::field(name, "must not be empty")),
            false => Ok(Some(names)),
        }
    }

    /// Any value, as it was written; `null` when there is none.
    fn json(&self, name: &str) -> Result<Json, Problem> {
        Ok(self.0.json(name)?)
    }

    /// Whom an event is for, when the body says it.
    fn target(&self) -> Result<Option<Target>, Problem> {
        let mut targets = Vec::new();
        if self.truth("broadcast")? == Some(true) {
            targets.push(Target::Everyone);
        }
        if self.0.given("userId").is_some() {
            targets.push(Target::Users(vec![self.name("userId")?]));
        }
        targets.extend(self.optional_names("userIds")?.map(Target::Users));
        match targets.len() {
            0 | 1 => Ok(targets.pop()),
            _ => Err(Problem::field("broadcast, userId, userIds", "only one of them may be given")),
        }
    }
}

/// Whom an event is for.
#[derive(Debug, PartialEq, Eq)]
pub enum Target {
    /// All who listen.
    Everyone,
    /// These users, each once.
    Users(Vec<Name>),
}

fn read_names(field: &str, json: &str) -> Result<Vec<Name>, Problem> {
    let wrong = || Problem::field(field, "must be a list of ids");
    let values: Vec<&serde_json::value::RawValue> =
        serde_json::from_str(json).map_err(|_| wrong())?;
    let mut seen = std::collections::HashSet::with_capacity(values.len());
    let mut names = Vec::with_capacity(values.len());
    for value in values {
        let name = read_name(field, value.get())?;
        if seen.insert(name.clone()) {
            names.push(name);
        }
    }
    Ok(names)
}

fn read_name(field: &str, json: &str) -> Result<Name, Problem> {
    let wrong = || Problem::field(field, "must be a string or a whole number, and not empty");
    let text = match whole_number(json) {
        Some(digits) => digits.to_owned(),
        None => serde_json::from_str::<String>(json).map_err(|_| wrong())?,
    };
    if text.is_empty() {
        return Err(wrong());
    }
    Name::new(&text).map_err(|error| Problem::name(field, error))
}

/// The digits of a JSON number that is whole. Some languages write every number with a fraction.
fn whole_number(json: &str) -> Option<&str> {
    let (whole, fraction) = json.split_once('.').unwrap_or((json, ""));
    let digits = whole.strip_prefix('-').unwrap_or(whole);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    (is_number && fraction.bytes().all(|byte| byte == b'0')).then_some(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(body: &str) -> Result<Option<Target>, u16> {
        let object = Object::parse(body.as_bytes()).expect("an object");
        Fields(&object).target().map_err(|problem| problem.status.as_u16())
    }

    fn users(names: &[&str]) -> Result<Option<Target>, u16> {
        let name = |text: &&str| Name::new(text).expect("a name");
        Ok(Some(Target::Users(names.iter().map(name).collect())))
    }

    #[test]
    fn a_target_is_one_of_several_forms() {
        assert_eq!(target("{}"), Ok(None));
        assert_eq!(target(r#"{"broadcast":false,"userId":null}"#), Ok(None));
        assert_eq!(target(r#"{"broadcast":true}"#), Ok(Some(Target::Everyone)));
        assert_eq!(target(r#"{"userId":7,"broadcast":false}"#), users(&["7"]));
        assert_eq!(
            target(r#"{"userIds":["a",12345678901234567890,"a"]}"#),
            users(&["a", "12345678901234567890"])
        );
        assert_eq!(target(r#"{"userIds":[7.00,7,-0.0]}"#), users(&["7", "-0"]));
    }

    #[test]
    fn a_whole_number_may_have_a_fraction_of_zeros() {
        let count = |json: &str| {
            let body = format!(r#"{{"n":{json}}}"#);
            let object = Object::parse(body.as_bytes()).expect("an object");
            Fields(&object).count("n").map_err(|problem| problem.status.as_u16())
        };
        assert_eq!(count("5000.0"), Ok(Some(5000)));
        assert_eq!(count("18446744073709551615"), Ok(Some(u64::MAX)));
        for none in ["0.5", "-1", "-1.0", "18446744073709551616", "5.01", "\"5\"", "true"] {
            assert_eq!(count(none), Err(422), "{none}");
        }
    }

    #[test]
    fn what_is_no_target() {
        for body in [
            r#"{"broadcast":true,"userId":"a"}"#,
            r#"{"broadcast":1}"#,
            r#"{"userIds":[]}"#,
            r#"{"userIds":"a"}"#,
            r#"{"userId":1.5}"#,
            r#"{"userId":""}"#,
            r#"{"userId":{}}"#,
        ] {
            assert_eq!(target(body), Err(422), "{body}");
        }
        assert_eq!(target(r#"{"userId":"a\nb"}"#), Err(400));
    }
}
