//! What a row holds, counts and gives in pages.

use super::*;
use proptest::prelude::*;
use smallvec::smallvec;

const SPACE: Space = Space { table: 0, cache: 3 };

fn effect(group: u8, key: u8, put: Option<u8>, seq: u64, token: u128) -> Effect {
    let put = put.map(|value| Put {
        ttl: value.is_multiple_of(3).then(|| Moment::from_millis(value.into())),
        ..Put::new(&vec![value; value.into()])
    });
    Effect {
        group: Group::new(SPACE, &[group]),
        rev: Rev { epoch: 1, seq },
        token,
        is_expiry: false,
        puts: smallvec![([key][..].into(), put)],
    }
}

fn all(store: &Store) -> Vec<WholeGroup> {
    let none = Shelves::default();
    store.whole_after(0, None, &none, Moment::ZERO).map(Result::unwrap).collect()
}

/// Everything that is counted, counted anew.
fn counted(store: &Store) -> (Count, u64, usize) {
    let mut copy = Store::default();
    let all = all(store);
    copy.replace(None, None, &all, Moment::ZERO);
    (copy.count(3), copy.digest(), copy.deadlines.len())
}

proptest! {
    #[test]
    fn what_is_counted_along_the_way_is_what_is_there(
        changes: Vec<(u8, u8, Option<u8>, bool)>
    ) {
        let mut store = Store::default();
        for (seq, (group, key, put, has_token)) in (1..).zip(changes) {
            let token = if has_token { 7 } else { 0 };
            store.apply(&effect(group % 8, key % 4, put, seq, token), Moment::ZERO);
            let (count, digest, deadlines) = counted(&store);
            prop_assert_eq!(store.count(3), count);
            prop_assert_eq!(store.digest(), digest);
            prop_assert_eq!(store.deadlines.len(), deadlines);
        }
    }
}

#[test]
fn a_group_without_entries_remembers_its_token() {
    let mut store = Store::default();
    store.apply(&effect(1, 1, Some(1), 1, 9), Moment::ZERO);
    store.apply(&effect(1, 1, None, 2, 0), Moment::ZERO);
    assert_eq!(store.token(&Group::new(SPACE, &[1])), 9);
    store.apply(&effect(2, 1, Some(1), 3, 0), Moment::ZERO);
    store.apply(&effect(2, 1, None, 4, 0), Moment::ZERO);
    assert_eq!((store.len(), store.count(3).entries), (1, 0));
}

#[test]
fn all_of_a_group_is_over_with_the_entry_by_which_it_lives() {
    let mut store = Store::default();
    let group = Group::new(SPACE, b"g");
    let put = |ttl: u64, ends_group| {
        Some(Put { ttl: Some(Moment::from_secs(ttl)), ends_group, ..Put::new(b"v") })
    };
    let puts = smallvec![
        (b"a"[..].into(), Some(Put::new(b"v"))),
        (b"b"[..].into(), put(1, false)),
        (b"m"[..].into(), put(2, true)),
    ];
    let rev = Rev { epoch: 1, seq: 1 };
    let effect = Effect { group: group.clone(), rev, token: 0, is_expiry: false, puts };
    store.apply(&effect, Moment::ZERO);
    let whole = all(&store);
    let mut copy = Store::default();
    copy.replace(None, None, &whole, Moment::ZERO);
    for store in [store, copy] {
        let at = Moment::from_millis;
        assert_eq!(store.expired(&group, at(1_500)), [b"b"[..].into()]);
        assert_eq!(store.entries_at(&group, at(1_500)).entries.len(), 2);
        assert_eq!(store.expired(&group, at(2_000)).len(), 3);
        assert_eq!(store.entries_at(&group, at(2_000)).entries.len(), 0);
        assert!(store.peek(group.place(), b"g", b"a", at(2_000)).is_none());
        assert_eq!(store.entries(&group).entries.len(), 3);
    }
}

#[test]
fn a_page_begins_after_a_place_and_ends_with_its_cache() {
    let mut store = Store::default();
    for name in 0..9u8 {
        store.apply(&effect(name, 1, Some(1), name.into(), 0), Moment::ZERO);
    }
    let other = Effect {
        group: Group::new(Space { cache: 4, ..SPACE }, b"x"),
        ..effect(0, 1, Some(1), 10, 0)
    };
    store.apply(&other, Moment::ZERO);
    let none = Shelves::default();
    let page =
        |after| store.page(3, after, &none, Moment::ZERO).map(Result::unwrap).collect::<Vec<_>>();
    let all = page(None);
    assert_eq!(all.len(), 9);
    assert_eq!(page(Some(all[5].0)), all[6..]);
}
