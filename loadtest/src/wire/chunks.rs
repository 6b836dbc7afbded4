//! Takes the chunk coding off (RFC 9112, 7.1), wherever the reads end.

use super::WireFault;

/// An extension or a trailer may be this long.
const LONGEST_LINE: usize = 4096;

/// Where in the coding the next byte stands.
///
/// ```text
/// Size ─▶ (Extension) ─▶ SizeLf ─▶ Data ─▶ DataCr ─▶ DataLf ─▶ Size …
///                          └─ size 0 ─▶ Trailer … ─▶ Over
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Size { digits: u8 },
    Extension { length: usize },
    SizeLf,
    Data,
    DataCr,
    DataLf,
    Trailer { line: usize, total: usize },
    Over,
}

/// The decoder of one body.
#[derive(Debug)]
pub(crate) struct Chunks {
    at: At,
    left: usize,
}

impl Default for Chunks {
    fn default() -> Chunks {
        Chunks { at: At::Size { digits: 0 }, left: 0 }
    }
}

impl Chunks {
    /// Whether the last chunk and the trailers were read.
    pub(crate) fn over(&self) -> bool {
        self.at == At::Over
    }

    /// The next piece of the body that `input` holds, taken off `input`. None when `input` is used
    /// up or the body over.
    #[inline]
    pub(crate) fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<&'a [u8]>, WireFault> {
        loop {
            if self.at == At::Data {
                return Ok(self.take_data(input));
            }
            if self.at == At::Over {
                return Ok(None);
            }
            let Some((&byte, rest)) = input.split_first() else { return Ok(None) };
            *input = rest;
            self.at = self.step(byte)?;
        }
    }

    #[inline]
    fn take_data<'a>(&mut self, input: &mut &'a [u8]) -> Option<&'a [u8]> {
        let (data, rest) = input.split_at(self.left.min(input.len()));
        *input = rest;
        self.left -= data.len();
        if self.left == 0 {
            self.at = At::DataCr;
        }
        (!data.is_empty()).then_some(data)
    }

    #[inline]
    fn step(&mut self, byte: u8) -> Result<At, WireFault> {
        match (self.at, byte) {
            (At::Size { digits: 1.. }, b'\r') => Ok(At::SizeLf),
            (At::Size { digits: 1.. }, b';' | b' ' | b'\t') => Ok(At::Extension { length: 0 }),
            (At::Size { digits }, _) => self.size_digit(digits, byte),
            (At::Extension { .. }, b'\r') => Ok(At::SizeLf),
            (At::Extension { length }, _) if length < LONGEST_LINE => {
                Ok(At::Extension { length: length + 1 })
            }
            (At::SizeLf, b'\n') if self.left == 0 => Ok(At::Trailer { line: 0, total: 0 }),
            (At::SizeLf, b'\n') => Ok(At::Data),
            (At::DataCr, b'\r') => Ok(At::DataLf),
            (At::DataLf, b'\n') => Ok(At::Size { digits: 0 }),
            (At::Trailer { line: 0, .. }, b'\n') => Ok(At::Over),
            (At::Trailer { total, .. }, _) if total >= LONGEST_LINE => {
                Err(WireFault::TooLong(LONGEST_LINE))
            }
            (At::Trailer { total, .. }, b'\n') => Ok(At::Trailer { line: 0, total: total + 1 }),
            (At::Trailer { line, total }, b'\r') => Ok(At::Trailer { line, total: total + 1 }),
            (At::Trailer { line, total }, _) => {
                Ok(At::Trailer { line: line + 1, total: total + 1 })
            }
            _ => Err(WireFault::Chunk),
        }
    }

    #[inline]
    fn size_digit(&mut self, digits: u8, byte: u8) -> Result<At, WireFault> {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => byte - b'A' + 10,
            _ => return Err(WireFault::Chunk),
        };
        if digits >= 15 {
            return Err(WireFault::Chunk);
        }
        self.left = self.left * 16 + usize::from(digit);
        Ok(At::Size { digits: digits + 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(bytes: &[u8], step: usize) -> Result<(Vec<u8>, bool), WireFault> {
        let mut chunks = Chunks::default();
        let mut body = Vec::new();
        for mut read in bytes.chunks(step) {
            while let Some(piece) = chunks.next(&mut read)? {
                body.extend_from_slice(piece);
            }
        }
        Ok((body, chunks.over()))
    }

    #[test]
    fn decodes_wherever_reads_end() {
        let bytes = b"5\r\nhello\r\n00000a;x=\"y\"\r\n, world.\r\n\r\n0\r\nTrailer: 1\r\n\r\n";
        for step in 1..=bytes.len() {
            assert_eq!(
                decode(bytes, step).unwrap(),
                (b"hello, world.\r\n".to_vec(), true),
                "reads of {step}"
            );
        }
    }

    #[test]
    fn refuses_what_is_no_chunk() {
        for bytes in [
            "\r\n",
            "x\r\n",
            "1\n",
            "1\r\nab\r\n",
            "1\r\na\n",
            "0000000000000001\r\na\r\n",
            "-1\r\n",
        ] {
            assert_eq!(decode(bytes.as_bytes(), 3), Err(WireFault::Chunk), "{bytes:?}");
        }
    }
}
