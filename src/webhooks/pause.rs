//! How long to leave a receiver alone that has not taken a request.

use std::time::Duration;

/// After the first failure; each further one doubles it.
const FIRST: Duration = Duration::from_secs(1);
/// The longest: whoever is back waits no longer for the rest.
const LAST: Duration = Duration::from_secs(60);
/// The longest that a receiver may ask for.
const LONGEST_ASKED: Duration = Duration::from_secs(60 * 60);

/// The pause after so many failures. `luck`, from 0 to 1, takes up to half of it away, so that those
/// who failed together do not all come back together. It is as long as was asked for at least.
pub fn pause(failures: u32, luck: f64, asked: Option<Duration>) -> Duration {
    let doubled = FIRST.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(LAST);
    let own = doubled.mul_f64(1.0 - luck.clamp(0.0, 1.0) / 2.0);
    own.max(asked.unwrap_or_default().min(LONGEST_ASKED))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_minute_less_some_luck() {
        let seconds = |failures| pause(failures, 0.0, None).as_secs();
        assert_eq!([1, 2, 3, 6, 7, 1_000].map(seconds), [1, 2, 4, 32, 60, 60]);
        assert_eq!(pause(1, 1.0, None), Duration::from_millis(500));
    }

    #[test]
    fn a_receiver_may_ask_for_more_but_not_for_a_day() {
        let asked = |seconds| pause(1, 0.0, Some(Duration::from_secs(seconds))).as_secs();
        assert_eq!([0, 7, 86_400].map(asked), [1, 7, 3_600]);
    }
}
