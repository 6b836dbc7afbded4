//! What stands behind the path: percent-escapes and the query.

use std::ops::RangeInclusive;

use crate::event::Name;

use super::problem::Problem;

/// The most names in a list like `?channels=a,b`.
const MOST_NAMES: usize = 64;

/// Undoes percent-escapes once; `None` for a bad escape or what is no UTF-8.
pub fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => hex(rest.next()?)? << 4 | hex(rest.next()?)?,
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

fn hex(digit: u8) -> Option<u8> {
    // A hexadecimal digit is below 16.
    char::from(digit).to_digit(16).map(|value| value as u8)
}

/// The parameters of a request, in the order they came.
#[derive(Debug)]
pub struct Query {
    parameters: Vec<(String, String)>,
}

impl Query {
    /// Reads a form-urlencoded query (URL Standard section 5.1), strictly.
    pub fn parse(query: Option<&str>) -> Result<Query, Problem> {
        let bad = || Problem::bad_request("The query has a bad escape or is not UTF-8.");
        let plain = |text: &str| unescape(&text.replace('+', " ")).ok_or_else(bad);
        let pairs = query.unwrap_or("").split('&').filter(|pair| !pair.is_empty());
        let parameters = pairs
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                Ok((plain(name)?, plain(value)?))
            })
            .collect::<Result<_, Problem>>()?;
        Ok(Query { parameters })
    }

    /// All values of a parameter.
    pub fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        let named = move |(parameter, _): &&(String, String)| parameter == name;
        self.parameters.iter().filter(named).map(|(_, value)| value.as_str())
    }

    /// A parameter that may be given once.
    pub fn one(&self, name: &str) -> Result<Option<&str>, Problem> {
        let mut values = self.all(name);
        match (values.next(), values.next()) {
            (_, Some(_)) => Err(Problem::bad_request(format!("{name}: is given more than once"))),
            (value, None) => Ok(value),
        }
    }

    /// A parameter that is `true` or `false`.
    pub fn truth(&self, name: &str) -> Result<Option<bool>, Problem> {
        match self.one(name)? {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(_) => Err(Problem::bad_request(format!("{name}: must be true or false"))),
        }
    }

    /// A parameter that is a whole number of this range, in digits alone.
    pub fn number(
        &self,
        name: &str,
        range: RangeInclusive<usize>,
    ) -> Result<Option<usize>, Problem> {
        let Some(text) = self.one(name)? else { return Ok(None) };
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = digits.then(|| text.parse().ok()).flatten();
        let number = number.filter(|number| range.contains(number));
        let (least, most) = (range.start(), range.end());
        let bad = || Problem::bad_request(format!("{name}: must be from {least} to {most}"));
        number.map(Some).ok_or_else(bad)
    }

    /// A parameter that is a name.
    pub fn name(&self, name: &str) -> Result<Option<Name>, Problem> {
        let value = self.one(name)?;
        value.map(|text| Name::new(text).map_err(|error| Problem::name(name, error))).transpose()
    }

    /// A parameter that is a list of names, separated by commas. Empty and repeated ones are dropped.
    pub fn names(&self, name: &str) -> Result<Vec<Name>, Problem> {
        let mut names = Vec::new();
        for text in self.one(name)?.unwrap_or("").split(',').filter(|text| !text.is_empty()) {
            let entry = Name::new(text).map_err(|error| Problem::name(name, error))?;
            if !names.contains(&entry) {
                names.push(entry);
            }
            if names.len() > MOST_NAMES {
                let detail = format!("{name}: has more than {MOST_NAMES} names");
                return Err(Problem::bad_request(detail));
            }
        }
        Ok(names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_form_urlencoded() {
        let query = Query::parse(Some("a=1&b=x+y%2Bz&&c&a=2&d=%C3%A4")).expect("a query");
        assert_eq!(query.one("b").ok(), Some(Some("x y+z")));
        assert_eq!(query.one("c").ok(), Some(Some("")));
        assert_eq!(query.one("d").ok(), Some(Some("ä")));
        assert_eq!(query.one("e").ok(), Some(None));
        assert!(query.one("a").is_err());
        assert_eq!(query.all("a").collect::<Vec<_>>(), ["1", "2"]);
    }

    #[test]
    fn bad_escapes_are_refused() {
        for bad in ["a=%", "a=%4", "a=%zz", "a=%+1", "a=%ff", "%c3=1"] {
            assert!(Query::parse(Some(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_list_drops_empty_and_repeated_names() {
        let names = |text: &str| Query::parse(Some(text)).and_then(|query| query.names("c"));
        assert_eq!(names("c=,b,a,,b").map(|names| names.len()).ok(), Some(2));
        let many = |n: usize| (0..n).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
        assert!(names(&format!("c={}", many(64))).is_ok());
        assert!(names(&format!("c={}", many(65))).is_err());
        assert!(names("c=a,%00").is_err());
    }
}
