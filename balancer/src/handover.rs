//! What the old and the new process say to each other at an upgrade, over a Unix socket.
//!
//! ```text
//!   new                              old
//!   Hello{format}          -->
//!                          <--       Sockets{addresses}, and the sockets themselves
//!   Prepared               -->       (everything that can fail has been had, but for the registry)
//!                                    (nodes and operators wait in the backlog from here)
//!                          <--       Registry{id}, and the document
//!   Ready                  -->       (all is restored)
//!                          <--       Go: the one point of no return
//! ```
//! Each may say `Failed` instead. The new process serves nobody before `Go`; where the old one has
//! died instead of saying it, the new one goes.

use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};

/// The version of this exchange.
pub(crate) const FORMAT: u32 = 1;

/// Where the new process finds the old one.
pub(crate) const PLACE: &str = "MUSTER_HANDOVER";

/// Most bytes of what is said, the registry included.
const MAX_FRAME: usize = 1024 * 1024 * 1024;

/// Sockets in one message; the system takes 253.
const AT_ONCE: usize = 64;

/// Most sockets in all: 64 addresses each for http and tls with 1,024 workers.
const MAX_SOCKETS: usize = 2 * 64 * 1024 + 128;

/// What is said.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub(crate) enum Message {
    Hello { format: u32, by: String },
    Sockets { listeners: Vec<Listed> },
    Prepared,
    Registry { id: u64 },
    Ready,
    Go,
    Failed { reason: String },
}

/// Sockets of one address, in the order in which they follow.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Listed {
    /// As the configuration names it.
    pub(crate) wanted: SocketAddr,
    pub(crate) count: usize,
}

/// One end.
pub(crate) struct Wire {
    stream: UnixStream,
    until: Instant,
}

// === impl Wire ===

impl Wire {
    /// Everything that is said has to be said by then.
    pub(crate) fn new(stream: UnixStream, within: Duration) -> io::Result<Wire> {
        stream.set_nonblocking(false)?;
        Ok(Wire { stream, until: Instant::now() + within })
    }

    pub(crate) fn say(&mut self, message: &Message) -> io::Result<()> {
        self.send(&serde_json::to_vec(message)?)
    }

    /// What the other one says; its failure is an error.
    pub(crate) fn hear(&mut self) -> io::Result<Message> {
        let message = serde_json::from_slice(&self.receive()?)?;
        match message {
            Message::Failed { reason } => Err(io::Error::other(reason)),
            message => Ok(message),
        }
    }

    /// Bytes of whatever kind, up to 1 GiB.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.set_write_timeout(Some(self.left()?))?;
        self.stream.write_all(&(bytes.len() as u64).to_be_bytes())?;
        self.stream.write_all(bytes)
    }

    pub(crate) fn receive(&mut self) -> io::Result<Vec<u8>> {
        let mut length = [0; 8];
        self.fill(&mut length)?;
        let length = usize::try_from(u64::from_be_bytes(length)).unwrap_or(usize::MAX);
        if length > MAX_FRAME {
            return Err(io::Error::new(ErrorKind::InvalidData, "more than 1 GiB is said at once"));
        }
        let mut bytes = vec![0; length];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, mut bytes: &mut [u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            self.stream.set_read_timeout(Some(self.left()?))?;
            match self.stream.read(bytes) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => bytes = &mut bytes[count..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return Err(ErrorKind::TimedOut.into());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn left(&self) -> io::Result<Duration> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
    }

    /// Hands sockets over; ours stay open.
    pub(crate) fn send_sockets(&mut self, sockets: &[OwnedFd]) -> io::Result<()> {
        for some in sockets.chunks(AT_ONCE) {
            let some: Vec<BorrowedFd<'_>> = some.iter().map(|socket| socket.as_fd()).collect();
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(AT_ONCE))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            control.push(SendAncillaryMessage::ScmRights(&some));
            self.stream.set_write_timeout(Some(self.left()?))?;
            sendmsg(&self.stream, &[IoSlice::new(b"s")], &mut control, SendFlags::empty())?;
        }
        Ok(())
    }

    /// Takes that many sockets over.
    pub(crate) fn receive_sockets(&mut self, count: usize) -> io::Result<Vec<TcpListener>> {
        let fault = |text: &str| io::Error::new(ErrorKind::InvalidData, text);
        if count > MAX_SOCKETS {
            return Err(fault("too many sockets are announced"));
        }
        let mut sockets = Vec::new();
        while sockets.len() < count {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(AT_ONCE))];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let mut byte = [0];
            self.stream.set_read_timeout(Some(self.left()?))?;
            let mut room = [IoSliceMut::new(&mut byte)];
            let got = recvmsg(&self.stream, &mut room, &mut control, RecvFlags::CMSG_CLOEXEC)?;
            let before = sockets.len();
            for message in control.drain() {
                if let RecvAncillaryMessage::ScmRights(some) = message {
                    sockets.extend(some.map(TcpListener::from));
                }
            }
            if got.bytes == 0 || sockets.len() == before || sockets.len() > count {
                return Err(fault("other sockets came than were announced"));
            }
        }
        Ok(sockets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    fn pair(within: Duration) -> (Wire, Wire) {
        let (one, other) = UnixStream::pair().unwrap();
        (Wire::new(one, within).unwrap(), Wire::new(other, within).unwrap())
    }

    #[test]
    fn sockets_arrive_as_what_they_are_however_many() {
        let (mut old, mut new) = pair(PATIENCE);
        let sockets: Vec<_> = (0..150).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let owned: Vec<OwnedFd> =
            sockets.iter().map(|socket| socket.try_clone().unwrap().into()).collect();
        let sending = std::thread::spawn(move || {
            old.send_sockets(&owned).unwrap();
            old.say(&Message::Go).unwrap();
        });
        let received = new.receive_sockets(150).unwrap();
        assert!(matches!(new.hear(), Ok(Message::Go)));
        sending.join().unwrap();
        for (sent, received) in sockets.iter().zip(&received) {
            assert_eq!(sent.local_addr().unwrap(), received.local_addr().unwrap());
        }
        // Whoever connects is heard by the one that is left.
        let address = sockets[0].local_addr().unwrap();
        drop(sockets);
        let _client = std::net::TcpStream::connect(address).unwrap();
        received[0].accept().unwrap();
    }

    #[test]
    fn who_fails_says_why_and_who_says_nothing_is_late() {
        let (mut old, mut new) = pair(PATIENCE);
        new.say(&Message::Failed { reason: "no room".to_owned() }).unwrap();
        assert_eq!(old.hear().unwrap_err().to_string(), "no room");
        drop(new);
        assert_eq!(old.hear().unwrap_err().kind(), ErrorKind::UnexpectedEof);
        let (mut old, _new) = pair(Duration::from_millis(20));
        assert_eq!(old.hear().unwrap_err().kind(), ErrorKind::TimedOut);
    }
}
