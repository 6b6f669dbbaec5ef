//! Buffers that a connection holds only while there are bytes in them.
//!
//! Each worker keeps a few that nobody needs at the moment, so that an idle connection costs no
//! buffer and a busy one no allocation.

use std::cell::RefCell;
use std::rc::Rc;

use muster_http1::BodyReader;

/// Heads, and small bodies with them.
pub(super) const SMALL: usize = 16 * 1024;

/// Bodies that do not fit a small buffer.
pub(super) const LARGE: usize = 64 * 1024;

/// Bodies of which much more is to come: a megabyte costs a quarter less than by large buffers
/// (docs/performance.md).
pub(super) const HUGE: usize = 256 * 1024;

/// Most small buffers that a worker keeps.
const KEPT_SMALL: usize = 256;

/// Most large buffers that a worker keeps.
const KEPT_LARGE: usize = 64;

/// Most huge buffers that a worker keeps.
const KEPT_HUGE: usize = 16;

/// Most bytes of room that a kept text may have.
const KEPT_TEXT: usize = 64 * 1024;

/// A worker's store of buffers.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    small: RefCell<Vec<Box<[u8]>>>,
    large: RefCell<Vec<Box<[u8]>>>,
    huge: RefCell<Vec<Box<[u8]>>>,
    texts: RefCell<Vec<Vec<u8>>>,
}

/// The size for the next bytes of a body. One that says no length is taken for a long one once it
/// has been.
pub(super) fn size_for(body: &BodyReader) -> usize {
    match body.left() {
        _ if !body.is_large() => SMALL,
        Some(left) if left > 2 * LARGE as u64 => HUGE,
        None if body.data() > HUGE as u64 => HUGE,
        Some(_) | None => LARGE,
    }
}

/// Bytes that were read and are not yet used up. It goes back to the store when it is dropped.
#[derive(Debug)]
struct Buffer {
    bytes: Box<[u8]>,
    start: usize,
    end: usize,
    store: Rc<Buffers>,
}

/// A buffer that is there only while bytes are in it.
#[derive(Debug, Default)]
pub(super) struct Held(Option<Buffer>);

/// Bytes to be sent, which goes back to the store when it is dropped.
#[derive(Debug)]
pub(super) struct Text {
    bytes: Vec<u8>,
    store: Rc<Buffers>,
}

impl Buffers {
    /// An empty buffer of at least that size.
    fn take(self: &Rc<Self>, size: usize) -> Buffer {
        let (kept, size) = match size {
            0..=SMALL => (self.small.borrow_mut().pop(), SMALL),
            _ if size <= LARGE => (self.large.borrow_mut().pop(), LARGE),
            _ if size <= HUGE => (self.huge.borrow_mut().pop(), HUGE),
            _ => (None, size),
        };
        let bytes = kept.unwrap_or_else(|| vec![0; size].into_boxed_slice());
        Buffer { bytes, start: 0, end: 0, store: self.clone() }
    }

    /// An empty text.
    pub(super) fn text(self: &Rc<Self>) -> Text {
        let bytes = self.texts.borrow_mut().pop().unwrap_or_default();
        Text { bytes, store: self.clone() }
    }

    fn give_back(&self, bytes: Box<[u8]>) {
        let (kept, most) = match bytes.len() {
            SMALL => (&self.small, KEPT_SMALL),
            LARGE => (&self.large, KEPT_LARGE),
            HUGE => (&self.huge, KEPT_HUGE),
            _ => return,
        };
        let mut kept = kept.borrow_mut();
        if kept.len() < most {
            kept.push(bytes);
        }
    }
}

// === impl Buffer ===

impl Buffer {
    /// What is in it.
    fn data(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// What is in it, to be changed in place.
    fn data_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.end]
    }

    fn len(&self) -> usize {
        self.end - self.start
    }

    fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Whether nothing more fits, wherever it lies.
    fn is_full(&self) -> bool {
        self.len() == self.bytes.len()
    }

    fn capacity(&self) -> usize {
        self.bytes.len()
    }

    /// Room behind what is in it. Moves the bytes to the front where there is none.
    fn room(&mut self) -> &mut [u8] {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.end == self.bytes.len() && self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.len());
        }
        &mut self.bytes[self.end..]
    }

    /// That many bytes were put into the room.
    fn filled(&mut self, count: usize) {
        self.end = (self.end + count).min(self.bytes.len());
    }

    /// Uses up the first bytes.
    fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
    }

    /// Takes bytes out of the middle: those from `from` up to `to`.
    fn cut(&mut self, from: usize, to: usize) {
        if from < to {
            self.bytes.copy_within(self.start + to..self.end, self.start + from);
            self.end -= to - from;
        }
    }

    /// Moves what is in it to a larger buffer.
    fn grow(&mut self, size: usize) {
        let mut larger = self.store.take(size.max(self.len()));
        let length = self.len();
        larger.bytes[..length].copy_from_slice(self.data());
        larger.end = length;
        *self = larger;
    }
}

// === impl Held ===

impl Held {
    /// What is in it.
    pub(super) fn data(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], Buffer::data)
    }

    /// What is in it, to be changed in place.
    pub(super) fn data_mut(&mut self) -> &mut [u8] {
        self.0.as_mut().map_or(&mut [], Buffer::data_mut)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Whether nothing more fits, wherever it lies.
    pub(super) fn is_full(&self) -> bool {
        self.0.as_ref().is_some_and(Buffer::is_full)
    }

    /// How much fits; nothing where there is no buffer.
    pub(super) fn capacity(&self) -> usize {
        self.0.as_ref().map_or(0, Buffer::capacity)
    }

    /// Uses up the first bytes.
    pub(super) fn consume(&mut self, count: usize) {
        if let Some(buffer) = &mut self.0 {
            buffer.consume(count);
            self.let_go();
        }
    }

    /// Takes bytes out of the middle: those from `from` up to `to`.
    pub(super) fn cut(&mut self, from: usize, to: usize) {
        if let Some(buffer) = &mut self.0 {
            buffer.cut(from, to);
            self.let_go();
        }
    }

    /// Moves what is in it to a larger buffer.
    pub(super) fn grow(&mut self, size: usize) {
        if let Some(buffer) = &mut self.0 {
            buffer.grow(size);
        }
    }

    /// Lets `fill` put bytes behind what is in it, and takes a buffer of that size from the store
    /// where there is none. `fill` says how many it has put there.
    pub(super) fn fill<T>(
        &mut self,
        store: &Rc<Buffers>,
        size: usize,
        fill: impl FnOnce(&mut [u8]) -> (usize, T),
    ) -> T {
        let buffer = self.0.get_or_insert_with(|| store.take(size));
        let (count, result) = fill(buffer.room());
        buffer.filled(count);
        self.let_go();
        result
    }

    /// Drops what is in it.
    pub(super) fn clear(&mut self) {
        self.0 = None;
    }

    fn let_go(&mut self) {
        if self.0.as_ref().is_some_and(Buffer::is_empty) {
            self.0 = None;
        }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.store.give_back(std::mem::take(&mut self.bytes));
    }
}

// === impl Text ===

impl std::ops::Deref for Text {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.bytes
    }
}

impl std::ops::DerefMut for Text {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }
}

impl Drop for Text {
    fn drop(&mut self) {
        let mut texts = self.store.texts.borrow_mut();
        if texts.len() < KEPT_SMALL && (1..=KEPT_TEXT).contains(&self.bytes.capacity()) {
            self.bytes.clear();
            texts.push(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(text: &[u8]) -> Buffer {
        let mut buffer = Rc::new(Buffers::default()).take(0);
        buffer.room()[..text.len()].copy_from_slice(text);
        buffer.filled(text.len());
        buffer
    }

    #[test]
    fn bytes_are_used_up_from_the_front_and_taken_out_of_the_middle() {
        let mut buffer = with(b"headbody.next");
        buffer.consume(4);
        assert_eq!(buffer.data(), b"body.next");
        buffer.cut(4, 5);
        assert_eq!(buffer.data(), b"bodynext");
        buffer.consume(99);
        assert!(buffer.is_empty());
        assert_eq!(buffer.room().len(), SMALL);
    }

    #[test]
    fn room_is_made_by_moving_and_by_growing() {
        let mut buffer = with(&[7; SMALL]);
        assert!(buffer.is_full() && buffer.room().is_empty());
        buffer.consume(SMALL - 2);
        assert_eq!(buffer.room().len(), SMALL - 2);
        buffer.grow(LARGE);
        assert_eq!((buffer.data(), buffer.capacity()), (&[7, 7][..], LARGE));
    }

    #[test]
    fn a_buffer_goes_back_to_its_store() {
        let store = Rc::new(Buffers::default());
        drop((store.take(1), store.take(LARGE), store.take(LARGE + 1), store.take(HUGE + 1)));
        let text = &mut store.text();
        text.extend(b"x");
        assert_eq!((store.small.borrow().len(), store.large.borrow().len()), (1, 1));
        assert_eq!(store.huge.borrow().len(), 1, "nothing larger is kept");
    }

    #[test]
    fn a_body_gets_the_room_that_it_needs() {
        let of = |length| size_for(&BodyReader::length(length));
        assert_eq!([of(0), of(16 << 10), of((16 << 10) + 1)], [SMALL, SMALL, LARGE]);
        assert_eq!([of(128 << 10), of((128 << 10) + 1), of(u64::MAX)], [LARGE, HUGE, HUGE]);
    }
}
