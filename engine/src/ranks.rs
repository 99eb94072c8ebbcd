//! How many orders stand ahead of one in its level, without walking the queue: every order that joins
//! takes the next bit of the level, and the orders ahead are the bits set before it.

use crate::table::NIL;

const NEAR_WORDS: usize = 4;

/// One cache line: the first 256 tickets in place, later ones spilled.
#[derive(Default)]
#[repr(align(64))]
pub struct Rank {
    near: [u64; NEAR_WORDS],
    spilled: Vec<u64>,
    next: u32,
}

impl Rank {
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
        let nth = ticket as usize / 64;
        if nth == NEAR_WORDS + self.spilled.len() {
            self.spilled.push(0);
        }
        *self.word(nth) |= 1 << (ticket % 64);
        self.next += 1;
        ticket
    }

    #[inline]
    pub fn leave(&mut self, ticket: u32) {
        *self.word(ticket as usize / 64) &= !(1 << (ticket % 64));
    }

    #[inline]
    pub fn ahead(&self, ticket: u32) -> i64 {
        let (nth, below) = (ticket as usize / 64, (1u64 << (ticket % 64)) - 1);
        let mut ahead = 0;
        for (at, word) in self.near.iter().enumerate() {
            let mask = if at < nth {
                u64::MAX
            } else if at == nth {
                below
            } else {
                0
            };
            ahead += (word & mask).count_ones();
        }
        if let Some(last) = nth.checked_sub(NEAR_WORDS) {
            ahead += self.spilled[..last]
                .iter()
                .map(|word| word.count_ones())
                .sum::<u32>();
            ahead += (self.spilled[last] & below).count_ones();
        }
        i64::from(ahead)
    }

    /// Whether most tickets given belong to orders that left: then the level renumbers its queue.
    #[inline]
    pub fn is_sparse(&self, orders: u32) -> bool {
        self.next as usize >= 64 * NEAR_WORDS && (self.next / 4 >= orders || self.next == NIL - 1)
    }

    pub fn clear(&mut self) {
        self.near = [0; NEAR_WORDS];
        self.spilled.clear();
        self.next = 0;
    }

    /// Memory beside its own line.
    pub fn spilled_bytes(&self) -> usize {
        self.spilled.capacity() * size_of::<u64>()
    }
}
