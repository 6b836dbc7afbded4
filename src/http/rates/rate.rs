//! The notation of rates.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

/// So many in a time, which may also come all at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub count: NonZeroU32,
    /// In how long.
    pub period: Period,
}

/// The time that a [`Rate`] is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// `s`
    Second,
    /// `m`
    Minute,
    /// `h`
    Hour,
}

/// Why a text is no [`Rate`].
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("is no rate; write it like 10/s, 100/m or 1000/h")]
pub struct NotARate;

impl Period {
    /// Its length.
    pub fn duration(self) -> Duration {
        match self {
            Period::Second => Duration::from_secs(1),
            Period::Minute => Duration::from_secs(60),
            Period::Hour => Duration::from_secs(60 * 60),
        }
    }
}

impl FromStr for Rate {
    type Err = NotARate;

    fn from_str(text: &str) -> Result<Rate, NotARate> {
        let (count, period) = text.split_once('/').ok_or(NotARate)?;
        let period = match period {
            "s" => Period::Second,
            "m" => Period::Minute,
            "h" => Period::Hour,
            _ => return Err(NotARate),
        };
        let digits = count.bytes().all(|byte| byte.is_ascii_digit());
        let count = digits.then(|| count.parse().ok()).flatten().ok_or(NotARate)?;
        Ok(Rate { count, period })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let period = match self.period {
            Period::Second => "s",
            Period::Minute => "m",
            Period::Hour => "h",
        };
        write!(f, "{}/{period}", self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_count_and_a_unit_of_time() {
        for (text, count, seconds) in
            [("1/s", 1, 1), ("100/m", 100, 60), ("4294967295/h", u32::MAX, 60 * 60)]
        {
            let rate: Rate = text.parse().expect("a rate");
            let period = rate.period.duration().as_secs();
            assert_eq!((rate.count.get(), period, rate.to_string()), (count, seconds, text.into()));
        }
        for text in [
            "",
            "/",
            "1",
            "1/",
            "/s",
            "0/s",
            "-1/s",
            "+1/s",
            "1.5/s",
            "1/S",
            "1/min",
            "1 /s",
            "1/s ",
            "1/2s",
            "4294967296/s",
            "1/s/s",
        ] {
            assert_eq!(text.parse::<Rate>(), Err(NotARate), "{text}");
        }
    }
}
