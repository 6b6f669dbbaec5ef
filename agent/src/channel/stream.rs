//! A connection's bytes: plain, or by TLS. The first words go by the usual reading and writing;
//! frames go by the halves, which write without waiting and share the TLS state under a lock.

use std::io::{self, BufRead as _, Write as _};
use std::sync::Arc;

use bytes::{Buf as _, BytesMut};
use parking_lot::Mutex;
use rustls::Connection;
use rustls_pki_types::ServerName;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use super::greet::{self, Agreed, NoLink, Objection};
use super::hello::Hello;
use super::secure::{Security, Side, exported};

/// Plaintext that becomes records in one go.
const PART: usize = 256 << 10;
/// Room for one read of records.
const ROOM: usize = 64 << 10;

/// TLS state that both halves share.
type Shared = Arc<Mutex<Connection>>;

/// A connection before its halves go their ways.
pub(crate) enum Stream {
    /// Between processes of one machine.
    Plain(TcpStream),
    /// Everywhere else.
    Tls(Box<TlsStream<TcpStream>>),
}

/// The half that is written to.
#[derive(Debug)]
pub(crate) struct Sink {
    socket: OwnedWriteHalf,
    tls: Option<Shared>,
}

/// The half that is read from.
pub(crate) struct Source {
    socket: OwnedReadHalf,
    tls: Option<(Shared, BytesMut)>,
}

// === impl Stream ===

impl Stream {
    /// Protects a connection that was dialled, and says the first words.
    ///
    /// # Errors
    /// See [`NoLink`].
    pub(crate) async fn dialled(
        socket: TcpStream,
        security: &Security,
        mut ours: Hello,
    ) -> Result<(Stream, Agreed), NoLink> {
        let Some(config) = security.client() else {
            let mut socket = socket;
            let agreed = greet::dialler(&mut socket, &ours, &|_| true).await?;
            return Ok((Stream::Plain(socket), agreed));
        };
        let name = ServerName::IpAddress(socket.peer_addr()?.ip().into());
        let mut stream = TlsConnector::from(config).connect(name, socket).await?;
        let key = exported(stream.get_ref().1).map_err(io::Error::other)?;
        ours.proof = security.proof(Side::Dialler, &key);
        let proves = |theirs: &Hello| security.holds(Side::Acceptor, &key, theirs.proof);
        let agreed = greet::dialler(&mut stream, &ours, &proves).await?;
        Ok((Stream::Tls(Box::new(stream.into())), agreed))
    }

    /// Protects a connection that was accepted, and says the first words. `objection` finds what
    /// speaks against the other side when its words are good.
    ///
    /// # Errors
    /// See [`NoLink`].
    pub(crate) async fn accepted(
        socket: TcpStream,
        security: &Security,
        mut ours: Hello,
        objection: Objection<'_>,
    ) -> Result<(Stream, Agreed), NoLink> {
        let Some(config) = security.server() else {
            let mut socket = socket;
            let agreed = greet::acceptor(&mut socket, &ours, &|_| true, objection).await?;
            return Ok((Stream::Plain(socket), agreed));
        };
        let mut stream = TlsAcceptor::from(config).accept(socket).await?;
        let key = exported(stream.get_ref().1).map_err(io::Error::other)?;
        ours.proof = security.proof(Side::Acceptor, &key);
        let proves = |theirs: &Hello| security.holds(Side::Dialler, &key, theirs.proof);
        let agreed = greet::acceptor(&mut stream, &ours, &proves, objection).await?;
        Ok((Stream::Tls(Box::new(stream.into())), agreed))
    }

    /// Both halves.
    pub(crate) fn into_halves(self) -> (Source, Sink) {
        let (socket, tls) = match self {
            Self::Plain(socket) => (socket, None),
            Self::Tls(stream) => {
                let (socket, mut connection): (TcpStream, Connection) = match *stream {
                    TlsStream::Client(stream) => {
                        let (socket, connection) = stream.into_inner();
                        (socket, connection.into())
                    }
                    TlsStream::Server(stream) => {
                        let (socket, connection) = stream.into_inner();
                        (socket, connection.into())
                    }
                };
                // What waits is bounded by whoever writes.
                connection.set_buffer_limit(None);
                (socket, Some(Arc::new(Mutex::new(connection))))
            }
        };
        let (read, write) = socket.into_split();
        let source = Source {
            socket: read,
            tls: tls.clone().map(|tls| (tls, BytesMut::with_capacity(ROOM))),
        };
        (source, Sink { socket: write, tls })
    }
}

// === impl Sink ===

impl Sink {
    /// The socket, to wait for it or to close it.
    pub(crate) fn socket(&self) -> &OwnedWriteHalf {
        &self.socket
    }

    /// Plain bytes as they go over the wire: the same ones, or records in their place.
    ///
    /// # Errors
    /// When TLS has failed.
    pub(crate) fn seal(&self, bytes: Vec<u8>) -> io::Result<Vec<u8>> {
        let Some(tls) = &self.tls else { return Ok(bytes) };
        let mut tls = tls.lock();
        let mut sealed = Vec::with_capacity(bytes.len() + bytes.len() / 64 + 64);
        for part in bytes.chunks(PART) {
            tls.writer().write_all(part)?;
            while tls.wants_write() {
                tls.write_tls(&mut sealed)?;
            }
        }
        // Such as the answer to a change of keys.
        while tls.wants_write() {
            tls.write_tls(&mut sealed)?;
        }
        Ok(sealed)
    }
}

// === impl Source ===

impl Source {
    /// Reads some bytes; 0 at the end.
    ///
    /// # Errors
    /// When the connection or TLS has failed.
    pub(crate) async fn read(&mut self, into: &mut BytesMut) -> io::Result<usize> {
        let Some((tls, records)) = &mut self.tls else { return self.socket.read_buf(into).await };
        let before = into.len();
        loop {
            open(&mut tls.lock(), records, into)?;
            if into.len() > before {
                return Ok(into.len() - before);
            }
            if records.capacity() - records.len() < ROOM / 4 {
                records.reserve(ROOM);
            }
            if self.socket.read_buf(records).await? == 0 {
                return Ok(0);
            }
        }
    }
}

/// Records that are whole become plain bytes.
fn open(tls: &mut Connection, records: &mut BytesMut, into: &mut BytesMut) -> io::Result<()> {
    loop {
        drain(tls, into)?;
        // Reading nothing would mean the end to it.
        if records.is_empty() {
            return Ok(());
        }
        let mut rest = &records[..];
        let taken = tls.read_tls(&mut rest)?;
        records.advance(taken);
        tls.process_new_packets().map_err(io::Error::other)?;
    }
}

fn drain(tls: &mut Connection, into: &mut BytesMut) -> io::Result<()> {
    let mut reader = tls.reader();
    loop {
        match reader.fill_buf() {
            Ok([]) => return Ok(()),
            Ok(bytes) => {
                into.extend_from_slice(bytes);
                let taken = bytes.len();
                reader.consume(taken);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}
