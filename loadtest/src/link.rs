//! One connection of a client, plain or with TLS on it; it never blocks unless its socket does.

use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use socket2::Socket;

/// A connection.
pub(crate) enum Link {
    /// Bytes as they are.
    Plain(Socket),
    /// Bytes in TLS; boxed, since most links are plain.
    Tls(Box<TlsLink>),
}

/// A socket and what TLS knows about it.
pub(crate) struct TlsLink {
    socket: Socket,
    session: ClientConnection,
}

/// How TLS connections are made.
#[derive(Clone, Debug)]
pub(crate) struct Tls {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Tls {
    /// Trusts the certificates in the PEM file `roots` alone, and asks for the server `address`.
    pub(crate) fn trusting(roots: &Path, address: IpAddr) -> io::Result<Tls> {
        let mut store = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(roots).map_err(io::Error::other)? {
            store.add(certificate.map_err(io::Error::other)?).map_err(io::Error::other)?;
        }
        let config = ClientConfig::builder().with_root_certificates(store).with_no_client_auth();
        Ok(Tls { config: Arc::new(config), name: ServerName::IpAddress(address.into()) })
    }

    fn on(&self, socket: Socket) -> io::Result<TlsLink> {
        let session = ClientConnection::new(self.config.clone(), self.name.clone());
        Ok(TlsLink { socket, session: session.map_err(io::Error::other)? })
    }
}

impl Link {
    /// Takes a socket, with TLS on it if that is wanted.
    pub(crate) fn new(socket: Socket, tls: Option<&Tls>) -> io::Result<Link> {
        Ok(match tls {
            None => Link::Plain(socket),
            Some(tls) => Link::Tls(Box::new(tls.on(socket)?)),
        })
    }

    /// Sends what TLS has to say for itself, and what it still holds. Nothing for a plain link.
    pub(crate) fn pump(&mut self) -> io::Result<()> {
        match self {
            Link::Plain(_) => Ok(()),
            Link::Tls(link) => link.pump(),
        }
    }

    /// Makes its end a reset. Fails only on a unix socket, whose end is abrupt anyway.
    pub(crate) fn reset_at_end(&self) {
        let _ = self.socket().set_linger(Some(Duration::ZERO));
    }

    /// The socket below.
    pub(crate) fn socket(&self) -> &Socket {
        match self {
            Link::Plain(socket) => socket,
            Link::Tls(link) => &link.socket,
        }
    }
}

impl AsRawFd for Link {
    fn as_raw_fd(&self) -> RawFd {
        self.socket().as_raw_fd()
    }
}

impl Read for Link {
    #[inline]
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Link::Plain(socket) => socket.read(buffer),
            Link::Tls(link) => link.read(buffer),
        }
    }
}

impl Write for Link {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Link::Plain(socket) => socket.write(bytes),
            Link::Tls(link) => link.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.pump()
    }
}

impl TlsLink {
    fn pump(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            match self.session.write_tls(&mut self.socket) {
                Ok(_) => {}
                Err(error) if waits(&error) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads records until one has something for us.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.session.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return done,
            }
            let length = self.session.read_tls(&mut self.socket)?;
            let state = self.session.process_new_packets().map_err(io::Error::other)?;
            self.pump()?;
            if length == 0 && state.plaintext_bytes_to_read() == 0 {
                return Ok(0);
            }
        }
    }

    /// Takes all bytes at once: they are held until the handshake is done.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.session.writer().write(bytes)?;
        self.pump()?;
        Ok(written)
    }
}

/// The connection is not there yet, or the socket is full.
pub(crate) fn waits(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected)
}
