//! What comes in on one connection: bytes, cut into frames. A read may give many frames, and a frame
//! may take many reads.

use bytes::{Buf as _, Bytes, BytesMut};

use super::frame::{self, HEAD, Head, TooLong};

/// Room for one read.
const ROOM: usize = 64 << 10;
/// A buffer that grew beyond this for a large frame is let go afterwards.
const KEPT: usize = 1 << 20;

/// Bytes that came and are not frames yet.
#[derive(Debug)]
pub(crate) struct Incoming {
    buffer: BytesMut,
    most_frame: usize,
}

impl Incoming {
    pub(crate) fn new(most_frame: usize) -> Self {
        Self { buffer: BytesMut::with_capacity(ROOM), most_frame }
    }

    /// Where the next read goes. It grows with what has come, not with what a head promises.
    pub(crate) fn room(&mut self) -> &mut BytesMut {
        if self.buffer.is_empty() && self.buffer.capacity() > KEPT {
            self.buffer = BytesMut::with_capacity(ROOM);
        }
        if self.buffer.capacity() - self.buffer.len() < ROOM / 4 {
            let more = self.buffer.len().max(ROOM);
            self.buffer.reserve(more);
        }
        &mut self.buffer
    }

    /// The head of the next frame, when the whole frame is here.
    ///
    /// # Errors
    /// When it is larger than the bound.
    pub(crate) fn head(&self) -> Result<Option<Head>, TooLong> {
        let head = frame::head(&self.buffer, self.most_frame)?;
        Ok(head.filter(|head| self.buffer.len() - HEAD >= head.len))
    }

    /// The payload of the frame whose head was seen.
    pub(crate) fn payload(&self, head: Head) -> &[u8] {
        self.buffer.get(HEAD..HEAD + head.len).unwrap_or_default()
    }

    /// Passes over the frame whose head was seen.
    pub(crate) fn done(&mut self, head: Head) {
        self.buffer.advance((HEAD + head.len).min(self.buffer.len()));
    }

    /// Takes the payload of the frame whose head was seen, without a copy.
    pub(crate) fn take(&mut self, head: Head) -> Bytes {
        self.buffer.advance(HEAD.min(self.buffer.len()));
        self.buffer.split_to(head.len.min(self.buffer.len())).freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MOST: usize = 512;

    proptest! {
        #[test]
        fn frames_are_the_same_however_the_bytes_are_cut(
            payloads: Vec<Vec<u8>>,
            cuts in proptest::collection::vec(1usize..40, 1..40),
        ) {
            let payloads: Vec<_> = payloads.into_iter().filter(|p| p.len() <= MOST).collect();
            let mut bytes = Vec::new();
            for (id, payload) in (0u64..).zip(&payloads) {
                frame::append(&mut bytes, 7, id, MOST, |buffer| buffer.extend(payload))?;
            }
            let (mut incoming, mut seen) = (Incoming::new(MOST), Vec::new());
            let mut cuts = cuts.iter().cycle();
            while !bytes.is_empty() {
                let part: Vec<u8> = bytes.drain(..bytes.len().min(*cuts.next().unwrap())).collect();
                incoming.room().extend_from_slice(&part);
                while let Some(head) = incoming.head()? {
                    if head.id % 2 == 0 {
                        seen.push(incoming.payload(head).to_vec());
                        incoming.done(head);
                    } else {
                        seen.push(incoming.take(head).to_vec());
                    }
                }
            }
            prop_assert_eq!(seen, payloads);
        }

        #[test]
        fn any_bytes_are_cut_without_a_panic(bytes: Vec<u8>) {
            let mut incoming = Incoming::new(MOST);
            incoming.room().extend_from_slice(&bytes);
            while let Ok(Some(head)) = incoming.head() {
                prop_assert_eq!(incoming.take(head).len(), head.len);
            }
        }
    }
}
