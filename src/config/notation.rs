//! How numbers, sizes, durations and strings are written.

use std::time::Duration;

/// A number too large for 64 bits comes out as the largest, which every range refuses.
pub(super) fn whole_number(text: &str) -> Option<u64> {
    // `u64::from_str` alone would let a `+` pass.
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

/// Units of a size. A bare `K` or `M` is none of them: people differ on what it means.
const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("KB", 1_000),
    ("B", 1),
];

pub(super) fn bytes(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = match unit.trim_start() {
        "" => 1,
        unit => UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?.1,
    };
    Some(whole_number(number)?.saturating_mul(unit))
}

/// In the largest unit that leaves no fraction.
pub(super) fn size_text(bytes: u64) -> String {
    UNITS
        .iter()
        .filter(|(name, _)| *name != "B")
        .find(|(_, unit)| bytes > 0 && bytes.is_multiple_of(*unit))
        .map_or_else(|| bytes.to_string(), |(name, unit)| format!("{}{name}", bytes / unit))
}

/// In one unit, the largest that leaves no fraction; a day is written as 24h.
pub(super) fn duration_text(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match duration.subsec_nanos() {
        0 if seconds >= 2 * 86_400 && seconds.is_multiple_of(86_400) => {
            format!("{}d", seconds / 86_400)
        }
        0 if seconds > 0 && seconds.is_multiple_of(3600) => format!("{}h", seconds / 3600),
        0 if seconds > 0 && seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
        0 => format!("{seconds}s"),
        nanos if nanos.is_multiple_of(1_000_000) => format!("{}ms", duration.as_millis()),
        nanos => format!("{seconds}s {nanos}ns"),
    }
}

/// A basic string of TOML.
pub(super) fn toml_string(text: &str) -> String {
    let mut toml = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => toml.extend(['\\', c]),
            c if c.is_control() => toml.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => toml.push(c),
        }
    }
    toml.push('"');
    toml
}

/// How a value stands in a message. The rest of a URL is left out where it may hold a password: with
/// a user, or with a query.
pub(super) fn quoted(text: &str) -> String {
    match text.split_once("://") {
        Some((scheme, rest)) if rest.contains(['@', '?']) => {
            format!("\"{}://...\"", scheme.escape_debug())
        }
        _ => format!("{text:?}"),
    }
}
