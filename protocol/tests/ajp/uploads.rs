//! The request's body reaches the node whole, whatever the node asks for and whenever.

use muster_protocol::ajp::{Body, Event, Exchange, PacketSize};
use proptest::prelude::*;

use crate::server::{chunk, head, read_data, wish};

/// A client that has sent some of its body, and a node that reads what comes.
struct Upload<'d> {
    exchange: Exchange,
    /// What the client has yet to send.
    data: &'d [u8],
    /// What the node has read: one entry for each packet, an empty one for the end.
    read: Vec<Vec<u8>>,
}

impl Upload<'_> {
    /// The client offers its next bytes, however many the node takes.
    fn offer(&mut self, bytes: usize) {
        let offered = bytes.min(self.data.len());
        let is_end = offered == self.data.len();
        let mut out = Vec::new();
        let wants = self.exchange.wants();
        let taken = self.exchange.send(&self.data[..offered], is_end, &mut out);
        assert!(taken <= wants);
        self.data = &self.data[taken..];
        self.read.extend(read_data(&out));
    }

    fn hear(&mut self, bytes: &[u8]) {
        let consumed = self.exchange.receive(bytes).unwrap().consumed;
        assert_eq!(consumed, bytes.len());
    }
}

#[test]
fn a_body_of_known_length_needs_no_wish_for_its_first_packet() {
    let data = vec![b'x'; 8_187];
    let exchange = Exchange::new(Body::Length(8_187), false, PacketSize::default());
    let mut upload = Upload { exchange, data: &data, read: Vec::new() };
    upload.offer(data.len());
    assert_eq!((upload.read.len(), upload.data.len()), (1, 1));
    upload.hear(&wish(8_186));
    upload.offer(1);
    assert_eq!(upload.read.concat(), data);
}

#[test]
fn a_larger_packet_carries_more() {
    let size = PacketSize::new(65_536).unwrap();
    let mut exchange = Exchange::new(Body::Length(100_000), false, size);
    assert_eq!(exchange.wants(), 65_530);
    let mut out = Vec::new();
    assert_eq!(exchange.send(&[b'x'; 100_000], true, &mut out), 65_530);
    assert_eq!(out.len(), 65_536);
    assert_eq!(read_data(&out)[0].len(), 65_530);
    let asked = wish(u16::MAX);
    assert_eq!(exchange.receive(&asked).unwrap().event, Event::Wants(65_530));
}

proptest! {
    #[test]
    fn by_any_wishes_the_same_bytes_arrive(
        data in proptest::collection::vec(any::<u8>(), 0..20_000),
        is_length_known in any::<bool>(),
        wishes in proptest::collection::vec(1..=u16::MAX, 1..8),
        offers in proptest::collection::vec(0_usize..9_000, 1..8),
        is_answered_early in any::<bool>(),
    ) {
        let body = if is_length_known { Body::Length(data.len() as u64) } else { Body::Unknown };
        let exchange = Exchange::new(body, false, PacketSize::default());
        let mut upload = Upload { exchange, data: &data, read: Vec::new() };
        if is_answered_early {
            upload.hear(&head(200, "", &[]));
        }
        let (mut wishes, mut offers) = (wishes.iter().cycle(), offers.iter().cycle());
        // The node asks until it hears of the end.
        while upload.read.last().is_none_or(|last| !last.is_empty()) {
            if upload.exchange.wants() == 0 {
                upload.hear(&wish(*wishes.next().unwrap()));
            }
            // At least one byte now and then, or it takes for ever.
            upload.offer(*offers.next().unwrap());
            upload.offer(1);
            if is_answered_early {
                let flush = chunk(b"");
                let received = upload.exchange.receive(&flush).unwrap();
                prop_assert_eq!(received.event, Event::Flush);
                upload.hear(&flush[received.consumed..]);
            }
        }
        prop_assert!(upload.data.is_empty());
        prop_assert_eq!(&upload.read.concat(), &data);
        prop_assert_eq!(upload.exchange.wants(), 0);
    }
}
