//! The PROXY protocol: the header before the first request that says where the client is.
//!
//! A connection of the shards starts at the socket itself, so not one byte after the header may be
//! read here. Its end shows only as it comes: version 2 tells its length, version 1 ends with its
//! line.

use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;

use ppp::{v1, v2};
use thiserror::Error;
use tokio::io::{AsyncRead, ReadBuf};

/// What both versions can be told by. The shortest header, `PROXY UNKNOWN` and its line end, is
/// longer.
const SIGNATURE: usize = v2::PROTOCOL_PREFIX.len();
/// What version 2 begins with: signature, command, family and length.
const V2_START: usize = SIGNATURE + 4;
/// The longest line of version 1, its end included.
const LONGEST_V1: usize = 107;
/// The most that may follow the start of version 2: addresses take up to 216 bytes, the rest is for
/// extensions, which are not read.
const LONGEST_V2: usize = 4096;

/// Why a connection did not begin with a PROXY protocol header.
#[derive(Debug, Error)]
pub enum NotProxied {
    /// It ended or broke before the header was whole.
    #[error("the connection broke within its PROXY protocol header")]
    Broken(#[from] io::Error),
    /// It began otherwise.
    #[error("the connection begins with no PROXY protocol header")]
    NoHeader,
    /// The header is longer than any that is sent.
    #[error("the PROXY protocol header is too long")]
    TooLong,
}

/// Reads the header, and nothing behind it: where the client is, or `None` when the proxy speaks
/// for itself or does not know. Waits as long as the peer does; the caller bounds it.
pub async fn read_proxy_header<R>(reader: &mut R) -> Result<Option<IpAddr>, NotProxied>
where
    R: AsyncRead + Unpin,
{
    let mut header = Vec::with_capacity(LONGEST_V1);
    fill(reader, &mut header, SIGNATURE).await?;
    let source = if header == v2::PROTOCOL_PREFIX {
        read_v2(reader, &mut header).await?
    } else if header.starts_with(v1::PROTOCOL_PREFIX.as_bytes()) {
        read_v1(reader, &mut header).await?
    } else {
        return Err(NotProxied::NoHeader);
    };
    Ok(source.map(|address| address.to_canonical()))
}

async fn read_v1<R>(reader: &mut R, header: &mut Vec<u8>) -> Result<Option<IpAddr>, NotProxied>
where
    R: AsyncRead + Unpin,
{
    while !header.contains(&b'\n') {
        // A line ends with two characters, so two more come unless the first is there.
        let sure = if header.ends_with(b"\r") { 1 } else { 2 };
        if header.len() + sure > LONGEST_V1 {
            return Err(NotProxied::TooLong);
        }
        fill(reader, header, sure).await?;
    }
    let parsed = v1::Header::try_from(header.as_slice()).map_err(|_| NotProxied::NoHeader)?;
    Ok(match parsed.addresses {
        v1::Addresses::Tcp4(pair) => Some(pair.source_address.into()),
        v1::Addresses::Tcp6(pair) => Some(pair.source_address.into()),
        v1::Addresses::Unknown => None,
    })
}

async fn read_v2<R>(reader: &mut R, header: &mut Vec<u8>) -> Result<Option<IpAddr>, NotProxied>
where
    R: AsyncRead + Unpin,
{
    fill(reader, header, V2_START - SIGNATURE).await?;
    let length = match header.last_chunk() {
        Some(&length) => u16::from_be_bytes(length).into(),
        None => 0,
    };
    if length > LONGEST_V2 {
        return Err(NotProxied::TooLong);
    }
    fill(reader, header, length).await?;
    let parsed = v2::Header::try_from(header.as_slice()).map_err(|_| NotProxied::NoHeader)?;
    Ok(match (parsed.command, parsed.addresses) {
        (v2::Command::Local, _) => None,
        (v2::Command::Proxy, v2::Addresses::IPv4(pair)) => Some(pair.source_address.into()),
        (v2::Command::Proxy, v2::Addresses::IPv6(pair)) => Some(pair.source_address.into()),
        (v2::Command::Proxy, v2::Addresses::Unix(_) | v2::Addresses::Unspecified) => None,
    })
}

/// Reads exactly so many more bytes.
async fn fill<R>(reader: &mut R, bytes: &mut Vec<u8>, more: usize) -> io::Result<()>
where
    R: AsyncRead + Unpin,
{
    let had = bytes.len();
    bytes.resize(had + more, 0);
    let mut buffer = ReadBuf::new(&mut bytes[had..]);
    while buffer.remaining() > 0 {
        let before = buffer.remaining();
        poll_fn(|cx| Pin::new(&mut *reader).poll_read(cx, &mut buffer)).await?;
        if buffer.remaining() == before {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::{Context, Poll};

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\n\r\n";

    /// Gives its bytes, so many at a time, then the end.
    struct Script<'a> {
        bytes: &'a [u8],
        step: usize,
    }

    impl AsyncRead for Script<'_> {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            let count = self.step.min(buffer.remaining()).min(self.bytes.len());
            let (now, later) = self.bytes.split_at(count);
            buffer.put_slice(now);
            self.bytes = later;
            Poll::Ready(Ok(()))
        }
    }

    /// What a header of these bytes says, and what is left behind it.
    async fn read(bytes: &[u8], step: usize) -> (Result<Option<IpAddr>, NotProxied>, Vec<u8>) {
        let mut script = Script { bytes, step };
        let source = read_proxy_header(&mut script).await;
        (source, script.bytes.to_vec())
    }

    /// A header that is taken at any speed, with the request left behind it.
    async fn says(header: &[u8]) -> Option<IpAddr> {
        let bytes = [header, REQUEST].concat();
        let mut said = Vec::new();
        for step in [1, 2, 7, usize::MAX] {
            let (source, left) = read(&bytes, step).await;
            assert_eq!(left, REQUEST, "{step}: {header:?}");
            said.push(source.expect("a header"));
        }
        said.dedup();
        assert_eq!(said.len(), 1, "{header:?}");
        said[0]
    }

    fn v2(command: u8, family: u8, length: u16, rest: &[u8]) -> Vec<u8> {
        [v2::PROTOCOL_PREFIX, &[0x20 | command, family], &length.to_be_bytes(), rest].concat()
    }

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().expect("an address"))
    }

    #[tokio::test]
    async fn a_line_names_the_client() {
        for (line, expected) in [
            ("PROXY TCP4 1.2.3.4 5.6.7.8 56324 443\r\n", ip("1.2.3.4")),
            ("PROXY TCP4 1.2.3.4 5.6.7.8 5632 443\r\n", ip("1.2.3.4")),
            ("PROXY TCP6 2001:db8::1 ::1 56324 443\r\n", ip("2001:db8::1")),
            ("PROXY TCP6 ::ffff:1.2.3.4 ::1 56324 443\r\n", ip("1.2.3.4")),
            ("PROXY UNKNOWN\r\n", None),
            ("PROXY UNKNOWN ::1 ::1 1 2\r\n", None),
        ] {
            assert_eq!(says(line.as_bytes()).await, expected, "{line}");
        }
        let ones = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
        let longest = format!("PROXY UNKNOWN {ones} {ones} 65535 65535\r\n");
        assert_eq!(longest.len(), LONGEST_V1);
        assert_eq!(says(longest.as_bytes()).await, None);
    }

    #[tokio::test]
    async fn a_binary_header_names_the_client() {
        let v4 = [1, 2, 3, 4, 5, 6, 7, 8, 220, 4, 1, 187];
        assert_eq!(says(&v2(1, 0x11, 12, &v4)).await, ip("1.2.3.4"));
        let extended = [&v4[..], &[0; 4084]].concat();
        assert_eq!(says(&v2(1, 0x11, 4096, &extended)).await, ip("1.2.3.4"));
        let mut v6 = [0; 36];
        v6[..2].copy_from_slice(&[0x20, 1]);
        assert_eq!(says(&v2(1, 0x21, 36, &v6)).await, ip("2001::"));
        v6[..16].copy_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 1, 2, 3, 4]);
        assert_eq!(says(&v2(1, 0x21, 36, &v6)).await, ip("1.2.3.4"));
    }

    #[tokio::test]
    async fn a_proxy_may_speak_for_itself_or_not_know() {
        let v4 = [1, 2, 3, 4, 5, 6, 7, 8, 220, 4, 1, 187];
        assert_eq!(says(&v2(0, 0x11, 12, &v4)).await, None);
        assert_eq!(says(&v2(0, 0, 0, &[])).await, None);
        assert_eq!(says(&v2(1, 0, 3, &[4, 0, 0])).await, None);
        assert_eq!(says(&v2(1, 0x31, 216, &[b'/'; 216])).await, None);
    }

    #[tokio::test]
    async fn what_is_cut_short_is_broken() {
        let line = b"PROXY TCP4 1.2.3.4 5.6.7.8 56324 443\r\n";
        let binary = v2(1, 0x11, 12, &[1; 12]);
        for header in [&line[..], &binary] {
            for length in 0..header.len() {
                let (source, _) = read(&header[..length], 1).await;
                assert!(matches!(source, Err(NotProxied::Broken(_))), "{length}: {source:?}");
            }
        }
    }

    #[tokio::test]
    async fn what_is_no_header_is_refused() {
        let mut not_two = v2(1, 0x11, 12, &[1; 12]);
        not_two[12] = 0x11;
        let odd_family = v2(1, 0x41, 12, &[1; 12]);
        let odd_command = v2(2, 0x11, 12, &[1; 12]);
        let short = v2(1, 0x11, 11, &[1; 11]);
        for bytes in [
            REQUEST,
            b"POST /chat/send HTTP/1.1\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00\x00",
            b"proxy TCP4 1.2.3.4 5.6.7.8 1 2\r\n",
            b"PROXYTCP4 1.2.3.4 5.6.7.8 1 2\r\n",
            b"PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n",
            b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n",
            b"PROXY TCP4 1.2.3.4 5.6.7.8 10 2\n",
            b"PROXY UNKNOWN \n",
            b"PROXY UNKNOWN x\n",
            b"PROXY UNKNOWN \r",
            b"PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n",
            b"PROXY TCP4 ::1 ::1 1 2\r\n",
            b"PROXY TCP4 a.b.c.d 5.6.7.8 1 2\r\n",
            b"PROXY TCP4  1.2.3.4 5.6.7.8 1 2\r\n",
            b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n",
            b"PROXY TCP4 1.2.3.4 5.6.7.8\r\r\n",
            b"PROXY TCP4 \xff\xff\xff\xff\r\n",
            &not_two,
            &odd_family,
            &odd_command,
            &short,
        ] {
            let (source, _) = read(&[bytes, REQUEST].concat(), 1).await;
            assert!(matches!(source, Err(NotProxied::NoHeader)), "{source:?}: {bytes:?}");
        }
    }

    #[tokio::test]
    async fn what_is_too_long_is_refused_before_it_is_read() {
        let line = ["PROXY UNKNOWN ", &"x".repeat(200), "\r\n"].concat();
        let (source, left) = read(line.as_bytes(), usize::MAX).await;
        assert!(matches!(source, Err(NotProxied::TooLong)), "{source:?}");
        assert!(line.len() - left.len() <= LONGEST_V1);
        let (source, left) = read(&v2(1, 0x11, 4097, &[1; 4097]), usize::MAX).await;
        assert!(matches!(source, Err(NotProxied::TooLong)), "{source:?}");
        assert_eq!(left.len(), 4097);
    }
}
