//! Which versions of the others are compared with.

use std::process::{Command, Output};

use crate::nchan::NGINX;

/// What cargo built us with.
const LOCK: &str = include_str!("../../Cargo.lock");

/// Name and version of each; what does not tell is left out.
pub(crate) fn versions() -> Vec<(&'static str, String)> {
    [("Rill", rill()), ("axum", axum()), ("nginx", nginx()), ("nchan", nchan())]
        .into_iter()
        .filter_map(|(name, version)| Some((name, version?)))
        .collect()
}

/// The workspace has one version.
fn rill() -> Option<String> {
    Some(env!("CARGO_PKG_VERSION").to_owned())
}

fn axum() -> Option<String> {
    let (_, rest) = LOCK.split_once("name = \"axum\"\nversion = \"")?;
    rest.split('"').next().map(str::to_owned)
}

/// From `nginx version: nginx/1.22.1`.
fn nginx() -> Option<String> {
    let told = output(NGINX, &["-v"])?.stderr;
    let told = String::from_utf8_lossy(&told).into_owned();
    told.trim().rsplit('/').next().map(str::to_owned)
}

/// The version of Debian's package; another system may not say.
fn nchan() -> Option<String> {
    let query = ["-W", "-f", "${Version}", "libnginx-mod-nchan"];
    let told = output("dpkg-query", &query)?.stdout;
    String::from_utf8(told).ok()
}

/// What the program says, if it is there and succeeds.
fn output(program: &str, arguments: &[&str]) -> Option<Output> {
    Command::new(program).args(arguments).output().ok().filter(|output| output.status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_tell_their_version() {
        let versions = versions();
        assert_eq!(
            versions.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
            ["Rill", "axum", "nginx", "nchan"]
        );
        for (name, version) in versions {
            assert!(
                version.contains(|c: char| c.is_ascii_digit()) && version.contains('.'),
                "{name} {version}"
            );
        }
    }
}
