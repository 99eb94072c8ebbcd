//! How many orders stand ahead of one in its level, without walking the queue: every order that joins
//! takes the next bit of the level, and the orders ahead are the bits set before it.

use crate::table::NIL;

const NEAR_WORDS: usize = 4;

/// One cache line: 256 tickets in place, later ones spilled.  Orders at the front of a queue leave first,
/// so most words run empty from the front and are dropped as new ones are needed.
#[derive(Default)]
#[repr(align(64))]
pub struct Rank {
    near: [u64; NEAR_WORDS],
    spilled: Vec<u64>,
    /// The ticket of the first bit, a multiple of 64.
    first: u32,
    next: u32,
}

impl Rank {
    /// The word of a ticket and its bit.
    #[inline]
    fn place(&self, ticket: u32) -> (usize, u64) {
        let at = ticket - self.first;
        (at as usize / 64, 1 << (at % 64))
    }

    #[inline]
    fn word(&mut self, nth: usize) -> &mut u64 {
        if nth < NEAR_WORDS {
            &mut self.near[nth]
        } else {
            &mut self.spilled[nth - NEAR_WORDS]
        }
    }

    /// The ticket of an order that joins at the tail.
    #[inline]
    pub fn join(&mut self) -> u32 {
        let ticket = self.next;
        let (mut nth, bit) = self.place(ticket);
        if nth == NEAR_WORDS + self.spilled.len() {
            nth -= self.drop_empty();
            if nth == NEAR_WORDS + self.spilled.len() {
                self.spilled.push(0);
            }
        }
        *self.word(nth) |= bit;
        self.next += 1;
        ticket
    }

    /// Drops the empty words at the front; how many.
    fn drop_empty(&mut self) -> usize {
        let empty = self.near.iter().take_while(|&&word| word == 0).count();
        if empty == 0 || !self.spilled.is_empty() {
            return 0;
        }
        self.near.copy_within(empty.., 0);
        self.near[NEAR_WORDS - empty..].fill(0);
        self.first += 64 * empty as u32;
        empty
    }

    #[inline]
    pub fn leave(&mut self, ticket: u32) {
        let (nth, bit) = self.place(ticket);
        *self.word(nth) &= !bit;
    }

    #[inline]
    pub fn ahead(&self, ticket: u32) -> i64 {
        let (nth, bit) = self.place(ticket);
        let ones = |words: &[u64]| words.iter().map(|word| word.count_ones()).sum::<u32>();
        let (whole, last) = match nth.checked_sub(NEAR_WORDS) {
            None => (ones(&self.near[..nth]), self.near[nth]),
            Some(spilled) => (
                ones(&self.near) + ones(&self.spilled[..spilled]),
                self.spilled[spilled],
            ),
        };
        i64::from(whole + (last & (bit - 1)).count_ones())
    }

    /// Whether most tickets given belong to orders that left: then the level renumbers its queue.
    #[inline]
    pub fn is_sparse(&self, orders: u32) -> bool {
        let given = self.next - self.first;
        !self.spilled.is_empty() && given / 4 >= orders || self.next == NIL - 1
    }

    pub fn clear(&mut self) {
        self.near = [0; NEAR_WORDS];
        self.spilled.clear();
        self.first = 0;
        self.next = 0;
    }

    /// Memory beside its own line.
    pub fn spilled_bytes(&self) -> usize {
        self.spilled.capacity() * size_of::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn a_rank_counts_who_joined_before_and_is_still_there(
            steps in prop::collection::vec((0u8..4, 0usize..400, 1usize..300), 1..120),
        ) {
            let mut rank = Rank::default();
            let mut queue: Vec<u32> = Vec::new();
            for (choice, place, times) in steps {
                for _ in 0..times {
                    match choice {
                        0 | 1 => queue.push(rank.join()),
                        2 if !queue.is_empty() => rank.leave(queue.remove(0)),
                        3 if place < queue.len() => rank.leave(queue.remove(place)),
                        _ => {}
                    }
                    if rank.is_sparse(queue.len() as u32) {
                        rank.clear();
                        queue.iter_mut().for_each(|ticket| *ticket = rank.join());
                    }
                }
                for (ahead, &ticket) in queue.iter().enumerate() {
                    prop_assert_eq!(rank.ahead(ticket), ahead as i64);
                }
                let words = queue.len() / 16 + 2 * NEAR_WORDS + 2;
                prop_assert!(rank.spilled.len() <= words, "{} words", rank.spilled.len());
            }
        }
    }
}
