//! Decimal numbers inside byte strings, read without detours: this runs for every event of every
//! stream.

/// So many digits fit into a u64 whatever they are, so that no step has to be checked.
const MOST: usize = 19;

/// The number before `end`, and what follows `end`. None when there is no digit, too many of them,
/// or another byte.
#[inline]
pub(crate) fn until(text: &[u8], end: u8) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (at, &byte) in text.iter().take(MOST + 1).enumerate() {
        if byte == end {
            return (at > 0).then(|| (value, &text[at + 1..]));
        }
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 || at == MOST {
            return None;
        }
        value = value * 10 + u64::from(digit);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_end_where_they_should() {
        assert_eq!(until(b"0.x", b'.'), Some((0, b"x".as_slice())));
        assert_eq!(
            until(b"9999999999999999999.", b'.'),
            Some((9_999_999_999_999_999_999, b"".as_slice()))
        );
        for text in ["", ".", "1", "1a.", "-1.", "10000000000000000000."] {
            assert_eq!(until(text.as_bytes(), b'.'), None, "{text}");
        }
    }
}
