//! The two ways through nginx that are shipped, and how they come into a directory of our own.

use std::net::SocketAddr;
use std::path::Path;

use clap::ValueEnum;

use super::certificate::Certificate;
use super::change::{self, Change};
use crate::endpoint::Endpoint;
use crate::failure::Failure;

/// A file of `deploy/nginx`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Profile {
    /// TLS and HTTP/2 to clients.
    Http,
    /// Bytes, whatever they mean.
    Stream,
}

/// What a configuration is written for, in place of a machine in production.
pub(super) struct Site<'a> {
    /// Where its files are.
    pub(super) directory: &'a Path,
    /// Where clients come to.
    pub(super) address: SocketAddr,
    /// Where `http` sends away those who come without TLS.
    pub(super) redirect: SocketAddr,
    /// The server behind it.
    pub(super) upstream: &'a Endpoint,
    /// Who it says it is.
    pub(super) certificate: &'a Certificate,
}

impl Profile {
    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Profile::Http => "http",
            Profile::Stream => "stream",
        }
    }

    /// The file as it is shipped.
    fn shipped(self) -> &'static str {
        match self {
            Profile::Http => include_str!("../../../deploy/nginx/http.conf"),
            Profile::Stream => include_str!("../../../deploy/nginx/stream.conf"),
        }
    }

    /// What may be changed in it, one at a time, to see what it does.
    pub(crate) fn changes(self) -> &'static [Change] {
        match self {
            Profile::Http => change::HTTP,
            Profile::Stream => change::STREAM,
        }
    }

    /// The file for `site`.
    pub(super) fn configuration(
        self,
        change: Option<&Change>,
        site: &Site,
    ) -> Result<String, Failure> {
        let shipped = self.shipped();
        let changed = change.map_or(Ok(shipped.to_owned()), |change| change.apply(shipped))?;
        let moved =
            self.moves(site).into_iter().fold(changed, |text, (from, to)| text.replace(from, &to));
        Ok(without_ipv6(&moved))
    }

    /// What the file says about its machine, and what is said in its place.
    fn moves(self, site: &Site) -> Vec<(&'static str, String)> {
        let directory = site.directory.display();
        let mut moves = vec![
            // Only we ourselves may enter the directory; nginx drops the line where we are not root.
            ("user www-data;", "user root;".to_owned()),
            ("/var/log/nginx/", format!("{directory}/")),
            ("unix:/run/rill/rill.sock", authority(site.upstream)),
            ("/etc/nginx/tls/fullchain.pem", site.certificate.chain.display().to_string()),
            ("/etc/nginx/tls/privkey.pem", site.certificate.key.display().to_string()),
            // Thousands of streams come from a few addresses of loopback.
            ("127.0.0.1 1;", "127.0.0.0/8 1;".to_owned()),
            // Who waits for the end of the old workers shall not wait for long.
            ("worker_shutdown_timeout 30s;", "worker_shutdown_timeout 1s;".to_owned()),
        ];
        match self {
            Profile::Http => moves.extend([
                ("listen 443 ", format!("listen {} ", site.address)),
                ("listen 80 ", format!("listen {} ", site.redirect)),
                ("http {", format!("http {{{}", temporary_files(site.directory))),
            ]),
            Profile::Stream => moves.extend([
                ("listen 443 ", format!("listen {} ", site.address)),
                ("listen 80 ", format!("listen {} ", site.address)),
            ]),
        }
        moves
    }
}

/// The upstream as nginx writes it.
fn authority(endpoint: &Endpoint) -> String {
    match endpoint {
        Endpoint::Tcp(address) | Endpoint::Tls(address) => address.to_string(),
        Endpoint::Unix(path) => format!("unix:{}", path.display()),
    }
}

/// nginx makes these directories at its start, used or not, where only root may.
fn temporary_files(directory: &Path) -> String {
    ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|what| format!("\n    {what}_temp_path {};", directory.join(what).display()))
        .concat()
}

/// Loopback of IPv4 is enough here, and not every machine has the other.
fn without_ipv6(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("listen [::]:"));
    lines.map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROFILES: [Profile; 2] = [Profile::Http, Profile::Stream];

    fn with_site<T>(use_it: impl FnOnce(&Site) -> T) -> T {
        let certificate = Certificate { chain: "/t/c".into(), key: "/t/k".into() };
        let upstream = Endpoint::Unix("/t/rill".into());
        use_it(&Site {
            directory: Path::new("/t"),
            address: "127.0.0.1:1".parse().unwrap(),
            redirect: "127.0.0.1:2".parse().unwrap(),
            upstream: &upstream,
            certificate: &certificate,
        })
    }

    #[test]
    fn nothing_of_production_is_left() {
        for profile in PROFILES {
            with_site(|site| {
                for (from, _) in profile.moves(site) {
                    assert!(profile.shipped().contains(from), "{profile:?} has no {from}");
                }
                let text = profile.configuration(None, site).unwrap();
                let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
                for line in lines {
                    for word in ["/var/", "/run/", "/etc/", "www-data", "[::]"] {
                        assert!(!line.contains(word), "{profile:?}: {line}");
                    }
                }
            });
        }
    }

    #[test]
    fn every_change_changes_one_place_and_has_a_name_of_its_own() {
        for profile in PROFILES {
            let mut names: Vec<_> = profile.changes().iter().map(|change| change.name).collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), profile.changes().len());
            for change in profile.changes() {
                assert_eq!(profile.shipped().matches(change.from).count(), 1, "{change:?}");
                let (plain, changed) = with_site(|site| {
                    let configuration = |change| profile.configuration(change, site).unwrap();
                    (configuration(None), configuration(Some(change)))
                });
                assert_ne!(plain, changed, "{change:?}");
            }
        }
    }

    #[test]
    fn tls_is_what_the_comments_of_the_stream_profile_say() {
        let shipped = Profile::Stream.shipped();
        let tls = Profile::Stream.changes().iter().find(|change| change.name == "TLS").unwrap();
        for line in tls.to.lines() {
            assert!(shipped.contains(&format!("        # {}\n", line.trim())), "{line}");
        }
    }

    #[test]
    fn a_change_that_does_not_fit_is_an_error() {
        let change = Change { name: "odd", from: "no such setting;", to: "" };
        for profile in PROFILES {
            assert!(with_site(|site| profile.configuration(Some(&change), site)).is_err());
        }
    }
}
