//! Secrets that are known already, or soon guessed.

/// What sample configurations and guides write where a secret belongs, without case and
/// punctuation. By chance none of these comes up in a secret that was drawn.
const SAMPLES: [&str; 19] = [
    "changeme",
    "changethis",
    "changeit",
    "replaceme",
    "replacethis",
    "yoursecret",
    "supersecret",
    "mysecretkey",
    "bitsecret",
    "atleast",
    "bitslong",
    "characterslong",
    "changein",
    "jwtsecret",
    "insecure",
    "development",
    "secretkey",
    "qwertyuiop",
    "abcdefghij",
];

/// The key of the example in RFC 7515 appendix A.1, found in many a test.
const RFC_7515: &str =
    "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";

/// A drawn secret of 32 bytes has more different ones, even in decimal digits.
const MIN_DIFFERENT: usize = 8;

/// Whether others may know a secret.
pub fn guessable(secret: &str) -> bool {
    is_sample(secret) || is_monotonous(secret.as_bytes()) || is_repetition(secret.as_bytes())
}

fn is_sample(secret: &str) -> bool {
    let letters = secret.chars().filter(char::is_ascii_alphanumeric);
    let plain: String = letters.map(|letter| letter.to_ascii_lowercase()).collect();
    secret == RFC_7515 || SAMPLES.iter().any(|sample| plain.contains(sample))
}

fn is_monotonous(secret: &[u8]) -> bool {
    let mut seen = secret.to_vec();
    seen.sort_unstable();
    seen.dedup();
    seen.len() < MIN_DIFFERENT
}

/// Whether it is a shorter text written again and again, the last time perhaps in part.
fn is_repetition(secret: &[u8]) -> bool {
    (1..=secret.len() / 2).any(|period| secret[period..] == secret[..secret.len() - period])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_and_patterns_are_known() {
        for secret in [
            "a-string-secret-at-least-256-bits-long",
            "a-valid-string-secret-that-is-at-least-384-bits-long",
            "a-valid-string-secret-that-is-at-least-512-bits-long-which-is-very-long",
            "your-256-bit-secret-your-384-bit-secret",
            "!ChangeThisMercureHubJWTSecretKey!",
            "super-secret-jwt-token-with-at-least-32-characters-long",
            "your-super-secret-jwt-token-with-at-least-32-characters-long",
            "Change_Me_In_Production_0123456789abcdef",
            "change-me-change-me-change-me-change-me",
            "correct-horse-correct-horse-correct",
            "0123456789abcdef0123456789abcdef",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "abcdefgabcdfegabcedfgabcdefggfedcba",
            RFC_7515,
        ] {
            assert!(guessable(secret), "{secret}");
        }
    }

    #[test]
    fn drawn_secrets_are_not() {
        for secret in [
            "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "xJ4tq0cVb1mE7sZk9hLrUu2NfYdPwTgA",
            "31415926535897932384626433832795",
            "Qm9ybiB0byBiZSBtaWxkLCBib3JuIHRvIGJlIGs=",
        ] {
            assert!(!guessable(secret), "{secret}");
        }
    }
}
