//! The way of a request through proxies, as their headers tell it.
//!
//! Read from the right, because there stands what the nearest proxy wrote: nothing that a client
//! puts further left, an open quotation mark for instance, changes how that is read.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hyper::HeaderMap;
use hyper::header::{FORWARDED, HeaderName, HeaderValue};

use super::ClientAddress;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The hops before our peer, the nearest first; `None` for what cannot be read.
pub(super) fn nearest_first(
    told: ClientAddress,
    headers: &HeaderMap,
) -> impl Iterator<Item = Option<IpAddr>> {
    let (name, read): (_, fn(&str) -> Option<IpAddr>) = match told {
        ClientAddress::XForwardedFor => (Some(X_FORWARDED_FOR), address),
        ClientAddress::Forwarded => (Some(FORWARDED), for_of),
        ClientAddress::ProxyProtocol => (None, |_| None),
    };
    let lines = name.into_iter().flat_map(|name| headers.get_all(name).iter().rev());
    lines.flat_map(|line| from_right(line, b',')).map(move |element| read(element?.trim_ascii()))
}

/// The elements of a line, the last first; `None` for one that is no text.
fn from_right(line: &HeaderValue, separator: u8) -> impl Iterator<Item = Option<&str>> {
    parts(line.as_bytes(), separator).map(|part| str::from_utf8(part).ok())
}

/// What stands between separators that are not quoted, the last first.
fn parts(text: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let mut quoted = false;
        let cut = (0..text.len()).rev().find(|&at| {
            quoted ^= text[at] == b'"' && !is_escaped(&text[..at]);
            text[at] == separator && !quoted
        });
        rest = cut.map(|at| &text[..at]);
        Some(&text[cut.map_or(0, |at| at + 1)..])
    })
}

/// Whether what comes after this is escaped (RFC 9110 section 5.6.4).
fn is_escaped(before: &[u8]) -> bool {
    before.iter().rev().take_while(|&&byte| byte == b'\\').count() % 2 == 1
}

/// The node of an element of `Forwarded` (RFC 7239 section 4), which has one `for`.
fn for_of(element: &str) -> Option<IpAddr> {
    let mut nodes = parts(element.as_bytes(), b';').filter_map(|pair| {
        let (name, value) = str::from_utf8(pair).ok()?.trim_ascii().split_once('=')?;
        name.eq_ignore_ascii_case("for").then_some(value)
    });
    match (nodes.next(), nodes.next()) {
        (Some(node), None) => address(&unquoted(node)?),
        _ => None,
    }
}

/// A token, or what a quoted string says; `None` when its quotation marks do not match.
fn unquoted(value: &str) -> Option<String> {
    let Some(open) = value.strip_prefix('"') else { return Some(value.into()) };
    let mut said = String::new();
    let mut characters = open.chars();
    loop {
        match characters.next()? {
            '"' => return characters.next().is_none().then_some(said),
            '\\' => said.push(characters.next()?),
            other => said.push(other),
        }
    }
}

/// An address, with a port or without; one of IPv6 may stand in brackets (RFC 7239 section 6).
fn address(node: &str) -> Option<IpAddr> {
    if let Ok(address) = node.parse::<IpAddr>() {
        return Some(address.to_canonical());
    }
    let (address, port): (IpAddr, _) = match node.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']')?;
            (address.parse::<Ipv6Addr>().ok()?.into(), port)
        }
        None => {
            let (address, port) = node.split_at(node.find(':')?);
            (address.parse::<Ipv4Addr>().ok()?.into(), port)
        }
    };
    (port.is_empty() || port.strip_prefix(':').is_some_and(is_port)).then(|| address.to_canonical())
}

/// A port, or a name in its place.
fn is_port(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    !text.is_empty() && text.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().expect("an address"))
    }

    fn hops(line: &str) -> Vec<Option<IpAddr>> {
        let mut headers = HeaderMap::new();
        headers.insert(FORWARDED, HeaderValue::from_bytes(line.as_bytes()).expect("a value"));
        nearest_first(ClientAddress::Forwarded, &headers).collect()
    }

    #[test]
    fn an_address_may_have_a_port() {
        for (node, expected) in [
            ("1.2.3.4", "1.2.3.4"),
            ("1.2.3.4:56", "1.2.3.4"),
            ("1.2.3.4:_port", "1.2.3.4"),
            ("::1", "::1"),
            ("[::1]", "::1"),
            ("[::1]:56", "::1"),
            ("::ffff:1.2.3.4", "1.2.3.4"),
            ("[::ffff:1.2.3.4]:56", "1.2.3.4"),
        ] {
            assert_eq!(address(node), ip(expected), "{node}");
        }
        for node in [
            "",
            "1.2.3",
            "1.2.3.4:",
            "1.2.3.4:5:6",
            "01.2.3.4",
            "1.2.3.4 ",
            "0x1020304",
            "[1.2.3.4]",
            "[::1",
            "[::1]56",
            "[::1]:",
            "[::1%lo]",
            "unknown",
            "_hidden",
            "localhost",
            "unix:",
            "1.2.3.4\"",
            ":56",
        ] {
            assert_eq!(address(node), None, "{node}");
        }
    }

    #[test]
    fn an_element_names_one_node() {
        for (line, expected) in [
            ("for=1.2.3.4", "1.2.3.4"),
            ("FOR=1.2.3.4", "1.2.3.4"),
            ("for=\"1.2.3.4:56\"", "1.2.3.4"),
            ("for=\"[::1]:56\"", "::1"),
            ("for=\"\\1.2.3.4\"", "1.2.3.4"),
            ("by=5.6.7.8; for=1.2.3.4;proto=https", "1.2.3.4"),
            ("host=\"x;for=5.6.7.8\";for=1.2.3.4", "1.2.3.4"),
            ("for=1.2.3.4;host=\"x\\\";for=5.6.7.8;y=\\\"\"", "1.2.3.4"),
            ("for=1.2.3.4;host=\"x\\\\\"", "1.2.3.4"),
        ] {
            assert_eq!(hops(line), [ip(expected)], "{line}");
        }
        for line in [
            "",
            "1.2.3.4",
            "for",
            "for=",
            "for=unknown",
            "for=_hidden",
            "by=1.2.3.4",
            "xfor=1.2.3.4",
            "for=1.2.3.4;for=5.6.7.8",
            "for=\"1.2.3.4",
            "for=1.2.3.4\"",
            "for=\"1.2.3.4\"x",
            "for=\"1.2.3.4\\\"",
        ] {
            assert_eq!(hops(line), [None], "{line}");
        }
    }

    #[test]
    fn elements_end_at_commas_that_are_not_quoted() {
        let line = "for=1.1.1.1,for=2.2.2.2;host=\"a,b\\\",c\" ,\tfor=\"[::3]\"";
        assert_eq!(hops(line), [ip("::3"), ip("2.2.2.2"), ip("1.1.1.1")]);
    }

    #[test]
    fn what_a_client_left_open_does_not_hide_what_the_proxy_wrote() {
        for made_up in ["for=\"6.6.6.6", "for=\"6.6.6.6\\", "\"", "host=\"a\\\"", ",\\,\",\""] {
            assert_eq!(hops(&format!("{made_up}, for=1.1.1.1"))[0], ip("1.1.1.1"), "{made_up}");
        }
    }

    #[test]
    fn both_headers_are_read_alike_when_quotation_marks_are_missing() {
        let mut headers = HeaderMap::new();
        headers.append(X_FORWARDED_FOR, HeaderValue::from_static("\"6.6.6.6, 1.1.1.1"));
        let hops: Vec<_> = nearest_first(ClientAddress::XForwardedFor, &headers).collect();
        assert_eq!(hops, [ip("1.1.1.1"), None]);
    }
}
