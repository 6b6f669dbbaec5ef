//! What a part of a map does at its times.

use super::*;
use muster_grid::{Expect, Op, Put};

const SECOND: Duration = Duration::from_secs(1);

fn put(shard: &mut Shard, group: &[u8], put: Put, now: Instant) {
    let op = Op { key: b"k"[..].into(), expect: Expect::Any, put: Some(put) };
    assert!(matches!(shard.write(Batch::new(group, vec![op]), now), Answer::Now(Ok(_))));
}

#[test]
fn reading_keeps_an_entry_from_being_idle_but_not_from_its_end() {
    let (mut shard, now) = (Shard::default(), Instant::now());
    let value = Put { idle: Some(2 * SECOND), ttl: Some(4 * SECOND), ..Put::new(b"v") };
    put(&mut shard, b"read", value.clone(), now);
    put(&mut shard, b"idle", value, now);
    for second in 1..4 {
        assert_eq!(shard.entries(b"read", now + SECOND * second).entries.len(), 1);
    }
    assert_eq!(shard.expire(now + 3 * SECOND), Some(now + 4 * SECOND));
    assert_eq!(shard.counts.expired, 1);
    assert_eq!(shard.expire(now + 4 * SECOND), None);
    assert_eq!((shard.counts.expired, shard.counts.entries, shard.counts.bytes), (2, 0, 0));
    assert!(shard.groups.is_empty() && shard.deadlines.is_empty());
}

#[test]
fn a_group_that_is_checked_out_is_over_only_when_its_checkout_is() {
    let (mut shard, now) = (Shard::default(), Instant::now());
    let group = Bytes::from(&b"g"[..]);
    let value = Put { ttl: Some(SECOND), ends_group: true, ..Put::new(b"v") };
    put(&mut shard, b"g", value, now);
    let checkout = shard.checkout(&group, 3 * SECOND, true, now);
    assert!(matches!(checkout, Ok(Answer::Now(_))));
    assert_eq!(shard.expire(now + 2 * SECOND), Some(now + 3 * SECOND));
    assert_eq!(shard.entries(b"g", now + 2 * SECOND).entries.len(), 0);
    assert_eq!((shard.counts.expired, shard.counts.entries), (0, 1));
    assert_eq!(shard.expire(now + 3 * SECOND), None);
    assert_eq!((shard.counts.expired, shard.counts.entries), (1, 0));
    assert!(shard.groups.is_empty() && shard.deadlines.is_empty());
}

#[test]
fn who_stopped_waiting_gets_neither_the_checkout_nor_its_write() {
    let (mut shard, now) = (Shard::default(), Instant::now());
    let group = Bytes::from(&b"g"[..]);
    let Ok(Answer::Now(first)) = shard.checkout(&group, SECOND, true, now) else {
        panic!("nobody has it");
    };
    let Ok(Answer::Later(gone)) = shard.checkout(&group, SECOND, true, now) else {
        panic!("the first has it");
    };
    let op = Op { key: b"k"[..].into(), expect: Expect::Any, put: Some(Put::new(b"v")) };
    let Answer::Later(no_write) = shard.write(Batch::new(b"g", vec![op]), now) else {
        panic!("the first has it");
    };
    let Ok(Answer::Later(mut last)) = shard.checkout(&group, SECOND, true, now) else {
        panic!("the first has it");
    };
    drop((gone, no_write));
    shard.release(b"g", first.fence, now).unwrap();
    let last = last.try_recv().unwrap();
    assert!(last.fence > first.fence && last.entries.entries.is_empty());
    shard.release(b"g", last.fence, now).unwrap();
    assert!(shard.groups.is_empty() && shard.deadlines.is_empty());
}
