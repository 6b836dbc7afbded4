//! Where a client is, when a proxy stands between.
//!
//! What a proxy says of its client is believed of trusted proxies alone, and in one way alone: a
//! proxy that writes one header passes on what clients write into the others.

mod hops;
pub mod protocol;

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use hyper::HeaderMap;
use ipnet::IpNet;
use thiserror::Error;

/// The most hops that are followed back. Nobody has as many proxies of his own in a row.
const MOST_HOPS: usize = 32;

/// The proxies that stand before this server.
#[derive(Clone, Debug)]
pub struct Proxies {
    trusted: Vec<Proxy>,
    told: ClientAddress,
}

impl Proxies {
    /// Proxies that are believed, and how they tell where their clients are.
    pub fn new(trusted: Vec<Proxy>, told: ClientAddress) -> Proxies {
        Proxies { trusted, told }
    }

    /// Whether a peer is one of them; `None` is a peer on a unix socket.
    pub fn trusts(&self, peer: Option<IpAddr>) -> bool {
        self.trusted.iter().any(|proxy| proxy.is(peer))
    }

    /// Whether the connection of a peer begins with a PROXY protocol header.
    pub fn introduces(&self, peer: Option<IpAddr>) -> bool {
        self.told == ClientAddress::ProxyProtocol && self.trusts(peer)
    }

    /// Where the client of a request is. From our end of the chain on, each trusted proxy is
    /// believed what it says of the hop before it; what lies beyond the first other hop, or beyond
    /// what cannot be read, anybody may have made up.
    pub fn client(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> Option<IpAddr> {
        let mut hops = hops::nearest_first(self.told, headers).take(MOST_HOPS);
        let mut client = peer.map(|address| address.to_canonical());
        while self.trusts(client) {
            match hops.next() {
                Some(Some(hop)) => client = Some(hop),
                Some(None) | None => break,
            }
        }
        client
    }
}

/// Connections whose word on their clients counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proxy {
    /// From these addresses.
    Network(IpNet),
    /// On unix sockets.
    Unix,
}

/// Why a text is no [`Proxy`].
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("is no proxy; write it like 10.0.0.7, 10.0.0.0/8, fd00::/8 or unix")]
pub struct NotAProxy;

impl Proxy {
    fn is(&self, peer: Option<IpAddr>) -> bool {
        match (self, peer) {
            (Proxy::Network(network), Some(address)) => network.contains(&address.to_canonical()),
            (Proxy::Unix, None) => true,
            _ => false,
        }
    }
}

impl FromStr for Proxy {
    type Err = NotAProxy;

    fn from_str(text: &str) -> Result<Proxy, NotAProxy> {
        if text == "unix" {
            return Ok(Proxy::Unix);
        }
        let address = text.parse::<IpAddr>().map(|address| IpNet::from(address.to_canonical()));
        address
            .or_else(|_| text.parse())
            .map(|network: IpNet| Proxy::Network(network.trunc()))
            .map_err(|_| NotAProxy)
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Proxy::Network(network) if network.prefix_len() == network.max_prefix_len() => {
                network.addr().fmt(f)
            }
            Proxy::Network(network) => network.fmt(f),
            Proxy::Unix => f.write_str("unix"),
        }
    }
}

/// How a trusted proxy tells where its client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ClientAddress {
    /// In `X-Forwarded-For`.
    XForwardedFor,
    /// In `Forwarded` (RFC 7239).
    Forwarded,
    /// In a PROXY protocol header, with which each of its connections begins.
    ProxyProtocol,
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::{HeaderName, HeaderValue};

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().expect("an address"))
    }

    fn proxies(told: ClientAddress) -> Proxies {
        let trusted = ["127.0.0.1", "10.0.0.0/8", "fd00::/8", "unix"];
        Proxies::new(trusted.iter().map(|text| text.parse().expect("a proxy")).collect(), told)
    }

    fn headers(name: &'static str, lines: &[&str]) -> HeaderMap {
        let line = |text: &&str| {
            let value = HeaderValue::from_bytes(text.as_bytes()).expect("a value");
            (HeaderName::from_static(name), value)
        };
        lines.iter().map(line).collect()
    }

    /// The client of a trusted peer with these lines of `X-Forwarded-For`.
    fn client(lines: &[&str]) -> Option<IpAddr> {
        let headers = headers("x-forwarded-for", lines);
        proxies(ClientAddress::XForwardedFor).client(ip("10.0.0.1"), &headers)
    }

    #[test]
    fn who_is_trusted() {
        let proxies = proxies(ClientAddress::XForwardedFor);
        for peer in ["127.0.0.1", "10.255.0.1", "::ffff:10.0.0.1", "fd00::1"] {
            assert!(proxies.trusts(ip(peer)), "{peer}");
        }
        for peer in ["127.0.0.2", "11.0.0.1", "::ffff:11.0.0.1", "fe80::1", "::1", "::10.0.0.1"] {
            assert!(!proxies.trusts(ip(peer)), "{peer}");
        }
        assert!(proxies.trusts(None));
        let mapped = "::ffff:10.0.0.7".parse().expect("a proxy");
        let alone = Proxies::new(vec![mapped], ClientAddress::Forwarded);
        assert!(alone.trusts(ip("10.0.0.7")) && !alone.trusts(None));
    }

    #[test]
    fn nobody_else_is_believed() {
        let headers = headers("x-forwarded-for", &["1.1.1.1"]);
        let proxies = proxies(ClientAddress::XForwardedFor);
        assert_eq!(proxies.client(ip("9.9.9.9"), &headers), ip("9.9.9.9"));
        assert_eq!(proxies.client(ip("::ffff:9.9.9.9"), &headers), ip("9.9.9.9"));
        assert_eq!(proxies.client(None, &headers), ip("1.1.1.1"));
        let none = Proxies::new(Vec::new(), ClientAddress::XForwardedFor);
        assert_eq!(none.client(ip("127.0.0.1"), &headers), ip("127.0.0.1"));
        assert_eq!(none.client(None, &headers), None);
    }

    #[test]
    fn only_the_chosen_header_is_read() {
        let both: HeaderMap = headers("x-forwarded-for", &["1.1.1.1"])
            .into_iter()
            .chain(headers("forwarded", &["for=2.2.2.2"]))
            .chain(headers("x-real-ip", &["3.3.3.3"]))
            .map(|(name, value)| (name.expect("a name"), value))
            .collect();
        for (told, expected) in [
            (ClientAddress::XForwardedFor, "1.1.1.1"),
            (ClientAddress::Forwarded, "2.2.2.2"),
            (ClientAddress::ProxyProtocol, "10.0.0.1"),
        ] {
            assert_eq!(proxies(told).client(ip("10.0.0.1"), &both), ip(expected), "{told:?}");
        }
    }

    #[test]
    fn the_first_hop_that_is_no_proxy_is_the_client() {
        for (lines, expected) in [
            (vec!["1.1.1.1"], "1.1.1.1"),
            // What the client made up comes before what the proxies wrote.
            (vec!["6.6.6.6, 1.1.1.1"], "1.1.1.1"),
            (vec!["6.6.6.6", "1.1.1.1"], "1.1.1.1"),
            (vec!["10.0.0.9, 127.0.0.1, 1.1.1.1"], "1.1.1.1"),
            (vec!["6.6.6.6, 1.1.1.1, 10.0.0.2", "fd00::2"], "1.1.1.1"),
            (vec!["6.6.6.6,1.1.1.1,\t::ffff:10.0.0.2 "], "1.1.1.1"),
            (vec!["::ffff:1.1.1.1"], "1.1.1.1"),
            (vec!["2001:db8::1, 10.0.0.2"], "2001:db8::1"),
            // All are proxies: the outermost.
            (vec!["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ] {
            assert_eq!(client(&lines), ip(expected), "{lines:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_ends_the_way_back() {
        for (lines, expected) in [
            (vec![], "10.0.0.1"),
            (vec![""], "10.0.0.1"),
            (vec!["unknown"], "10.0.0.1"),
            (vec!["1.1.1.1, _hidden"], "10.0.0.1"),
            (vec!["1.1.1.1,"], "10.0.0.1"),
            (vec!["1.1.1.1, unknown, 10.0.0.2"], "10.0.0.2"),
            (vec!["1.1.1.1, 10.0.0.2 10.0.0.3, 10.0.0.4"], "10.0.0.4"),
            (vec!["1.1.1.1", "\u{fc}", "10.0.0.2"], "10.0.0.2"),
        ] {
            assert_eq!(client(&lines), ip(expected), "{lines:?}");
        }
    }

    #[test]
    fn a_chain_without_end_is_not_followed() {
        let chain = "10.0.0.2,".repeat(MOST_HOPS) + "10.0.0.2";
        assert_eq!(client(&["1.1.1.1", &chain]), ip("10.0.0.2"));
    }

    #[test]
    fn the_elements_of_forwarded_are_hops() {
        let headers = headers(
            "forwarded",
            &[
                "for=6.6.6.6, for=\"[2001:db8::1]:4711\";proto=https",
                "For=10.0.0.2;host=\"a,for=7.7.7.7\";by=10.0.0.1",
            ],
        );
        let client = proxies(ClientAddress::Forwarded).client(None, &headers);
        assert_eq!(client, ip("2001:db8::1"));
    }

    #[test]
    fn an_introduction_is_for_proxies_of_that_kind() {
        let proxy_protocol = proxies(ClientAddress::ProxyProtocol);
        assert!(proxy_protocol.introduces(None) && proxy_protocol.introduces(ip("10.0.0.1")));
        assert!(!proxy_protocol.introduces(ip("9.9.9.9")));
        assert!(!proxies(ClientAddress::Forwarded).introduces(None));
    }

    #[test]
    fn a_proxy_is_shown_as_it_is_written() {
        for (text, shown) in [
            ("10.0.0.7", "10.0.0.7"),
            ("10.1.2.3/8", "10.0.0.0/8"),
            ("::ffff:10.0.0.7", "10.0.0.7"),
            ("fd00::/8", "fd00::/8"),
            ("unix", "unix"),
        ] {
            assert_eq!(text.parse::<Proxy>().map(|proxy| proxy.to_string()).as_deref(), Ok(shown));
        }
        for text in ["", "localhost", "10.0.0.0/33", "10.0.0", "10.0.0.7:80", "UNIX", "*"] {
            assert_eq!(text.parse::<Proxy>(), Err(NotAProxy), "{text}");
        }
    }
}
