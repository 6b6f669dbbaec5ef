//! Where rows should be: weighted rendezvous hashing, with a cap on how many rows one member gets.
//! A function of the members alone. When one comes or goes, few rows move.

use crate::segment::hash;
use muster_cluster::{Copies, Member, NodeId, Placement};
use std::cmp::Ordering;

/// A member gets at most this many per cent of its fair share of a table's rows.
const CAP_PER_CENT: u64 = 115;

/// Weighted rendezvous with a cap.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rendezvous;

impl Placement for Rendezvous {
    fn place(&self, tables: &[Copies], segments: u16, members: &[&Member]) -> Vec<Vec<NodeId>> {
        let mut rows = Vec::with_capacity(tables.len() * usize::from(segments));
        for (table, copies) in tables.iter().enumerate() {
            let mut room = Room::new(members, *copies, segments);
            for segment in 0..segments {
                rows.push(room.place(table, segment));
            }
        }
        rows
    }
}

/// How much of one table each member may still get.
struct Room<'a> {
    members: &'a [&'a Member],
    copies: usize,
    owned: Vec<u64>,
    led: Vec<u64>,
    most_owned: Vec<u64>,
    most_led: Vec<u64>,
}

impl<'a> Room<'a> {
    fn new(members: &'a [&'a Member], copies: Copies, segments: u16) -> Self {
        let copies = match copies {
            Copies::Some(copies) => usize::from(copies).min(members.len()),
            Copies::Every => members.len(),
        };
        let weights: u64 = members.iter().map(|member| u64::from(member.weight)).sum();
        let cap = |rows: u64, member: &Member| {
            (rows * u64::from(member.weight) * CAP_PER_CENT).div_ceil(weights.max(1) * 100).max(1)
        };
        let segments = u64::from(segments);
        Self {
            members,
            copies,
            owned: vec![0; members.len()],
            led: vec![0; members.len()],
            most_owned: members.iter().map(|m| cap(segments * copies as u64, m)).collect(),
            most_led: members.iter().map(|m| cap(segments, m)).collect(),
        }
    }

    fn place(&mut self, table: usize, segment: u16) -> Vec<NodeId> {
        let mut order: Vec<(f64, usize)> = (self.members.iter().enumerate())
            .map(|(at, member)| (score(table, segment, member), at))
            .collect();
        order.sort_by(|a, b| {
            b.0.partial_cmp(&a.0)
                .unwrap_or(Ordering::Equal)
                .then_with(|| self.members[a.1].id.node.cmp(&self.members[b.1].id.node))
        });
        let order: Vec<usize> = order.into_iter().map(|(_, at)| at).collect();
        let mut chosen: Vec<usize> = Vec::with_capacity(self.copies);
        let has_room = |room: &Self, at: &usize| room.owned[*at] < room.most_owned[*at];
        chosen.extend(order.iter().filter(|at| has_room(self, at)).take(self.copies));
        // Where the caps leave too few, the order decides alone.
        for at in &order {
            if chosen.len() < self.copies && !chosen.contains(at) {
                chosen.push(*at);
            }
        }
        if let Some(first) =
            chosen.iter().position(|at| self.led[*at] < self.most_led[*at]).filter(|at| *at > 0)
        {
            let leader = chosen.remove(first);
            chosen.insert(0, leader);
        }
        if let Some(leader) = chosen.first() {
            self.led[*leader] += 1;
        }
        for at in &chosen {
            self.owned[*at] += 1;
        }
        chosen.into_iter().map(|at| self.members[at].id.node).collect()
    }
}

/// The weighted rendezvous score: -weight / ln(u), u in (0, 1).
fn score(table: usize, segment: u16, member: &Member) -> f64 {
    let bits = hash(&[
        &member.id.node.0.to_le_bytes(),
        &(table as u64).to_le_bytes(),
        &segment.to_le_bytes(),
    ]);
    // 52 bits and a half, so that neither end is reached.
    let uniform = ((bits >> 12) as f64 + 0.5) / (1u64 << 52) as f64;
    -f64::from(member.weight) / uniform.ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_cluster::MemberId;
    use proptest::prelude::*;

    fn members(weights: &[u16]) -> Vec<Member> {
        (weights.iter().enumerate())
            .map(|(at, weight)| Member {
                id: MemberId { node: NodeId(at as u128 + 1), incarnation: 1 },
                name: format!("n{at}").into(),
                address: "".into(),
                join: at as u64,
                weight: *weight,
                leaving: false,
            })
            .collect()
    }

    fn place(members: &[Member]) -> Vec<Vec<NodeId>> {
        Rendezvous.place(&[Copies::Some(2)], 256, &members.iter().collect::<Vec<_>>())
    }

    proptest! {
        #[test]
        fn every_row_has_its_owners_once_and_nobody_more_than_the_cap(count in 1usize..12) {
            let members = members(&vec![100; count]);
            let rows = place(&members);
            let fair = (512 / count as u64 * CAP_PER_CENT).div_ceil(100) + 2;
            for row in &rows {
                prop_assert_eq!(row.len(), count.min(2));
                prop_assert!(row.len() < 2 || row[0] != row[1]);
            }
            for member in &members {
                let owned = rows.iter().flatten().filter(|node| **node == member.id.node).count();
                prop_assert!(count < 3 || owned as u64 <= fair, "{} of {}", owned, fair);
            }
        }

        #[test]
        fn a_newcomer_takes_little_more_than_its_share(count in 2usize..10) {
            let all = members(&vec![100; count + 1]);
            let (before, after) = (place(&all[..count]), place(&all));
            let moved: usize = before.iter().zip(&after)
                .map(|(old, new)| new.iter().filter(|node| !old.contains(node)).count())
                .sum();
            prop_assert!(moved <= 512 / (count + 1) * 2 + 16, "{} moved", moved);
        }
    }

    #[test]
    fn twice_the_weight_is_about_twice_the_rows() {
        let members = members(&[100, 100, 200]);
        let heavy = place(&members).iter().filter(|row| row[0] == members[2].id.node).count();
        assert!((104..=150).contains(&heavy), "{heavy} of 256");
    }

    #[test]
    fn a_replicated_table_is_with_everybody_and_its_primaries_are_spread() {
        let members = members(&[100; 4]);
        let rows = Rendezvous.place(&[Copies::Every], 256, &members.iter().collect::<Vec<_>>());
        assert!(rows.iter().all(|row| row.len() == 4));
        for member in &members {
            let led = rows.iter().filter(|row| row[0] == member.id.node).count();
            assert!((40..=74).contains(&led), "{led} of 256");
        }
    }
}
