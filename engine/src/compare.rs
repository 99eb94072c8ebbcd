//! Two books of one market beside each other.

use crate::book::Book;
use crate::events::{ASK, BID};
use crate::ids::Id;
use crate::number::strip_zeros;

/// How two books differ, whatever their scales.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Orders that stand in the first alone, in the second alone, in both with another side, price or size.
    pub only_here: usize,
    pub only_there: usize,
    pub changed: usize,
    /// One of them.
    pub example: Option<Id>,
    /// The same orders, but not in the same order of their queues.
    pub misplaced: bool,
}

impl Book {
    /// What `other` has otherwise; ids count by their keys.
    pub fn compare(&self, other: &Self) -> Difference {
        let mut found = Difference::default();
        for side in [BID, ASK] {
            let mut theirs = other.walk(side);
            for (level, order) in self.walk(side) {
                let next = theirs.next().map(|(_, order)| order.id());
                found.misplaced |= next != Some(order.id());
                let ours = self.stands(side, level.price, order.size);
                match other.find(order.id()) {
                    None => found.only_here += 1,
                    Some((slot, _)) => {
                        let there = other.level_of(slot);
                        let size = other.orders[slot as usize].size;
                        if other.stands(there.side, there.price, size) == ours {
                            continue;
                        }
                        found.changed += 1;
                    }
                }
                found.example.get_or_insert(order.id());
            }
        }
        found.only_there = other.len() + found.only_here - self.len();
        if found.only_there > 0 && found.example.is_none() {
            found.example = [BID, ASK]
                .iter()
                .flat_map(|&side| other.walk(side))
                .map(|(_, order)| order.id())
                .find(|&id| self.find(id).is_none());
        }
        found
    }

    /// Side, price and size as they are at every scale.
    fn stands(&self, side: u8, price: i64, size: i64) -> (u8, (i64, u8), (i64, u8)) {
        (
            side,
            strip_zeros(price, self.price_scale.unwrap_or(0)),
            strip_zeros(size, self.size_scale.unwrap_or(0)),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    fn book(orders: &[(u8, i64, i64)], scale: u8) -> Book {
        let mut book = Book::new();
        (book.price_scale, book.size_scale) = (Some(scale), Some(scale));
        for &(id, price, size) in orders {
            if book.find(Id::from(id)).is_none() {
                let factor = 10i64.pow(u32::from(scale));
                book.add(
                    Id::from(id),
                    (price % 2) as u8,
                    price * factor,
                    size * factor,
                );
            }
        }
        book
    }

    proptest! {
        #[test]
        fn books_differ_as_their_orders_do(
            one in prop::collection::vec((0u8..20, 1i64..6, 1i64..4), 0..20),
            other in prop::collection::vec((0u8..20, 1i64..6, 1i64..4), 0..20),
            scales in (0u8..3, 0u8..3),
        ) {
            let map = |orders: &[(u8, i64, i64)]| {
                let mut map = HashMap::new();
                for &(id, price, size) in orders {
                    map.entry(id).or_insert((price, size));
                }
                map
            };
            let (a, b) = (map(&one), map(&other));
            let found = book(&one, scales.0).compare(&book(&other, scales.1));
            prop_assert_eq!(found.only_here, a.keys().filter(|id| !b.contains_key(id)).count());
            prop_assert_eq!(found.only_there, b.keys().filter(|id| !a.contains_key(id)).count());
            let changed = a.iter().filter(|(id, v)| b.get(id).is_some_and(|w| w != *v)).count();
            prop_assert_eq!(found.changed, changed);
            prop_assert_eq!(found.example.is_some(), a != b);
            if one == other {
                prop_assert!(!found.misplaced);
            }
        }
    }
}
