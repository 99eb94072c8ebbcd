//! How many orders stand ahead of one in its level, without walking the queue: every order that joins
//! takes the next bit of the level, and the orders ahead are the bits set before it.

use crate::table::NIL;

#[derive(Default)]
pub struct Rank {
    words: Vec<u64>,
    next: u32,
}

impl Rank {
    /// The ticket of an order that joins at the tail.
    #[inline]
    pub fn join(&mut self) -> u32 {
        let ticket = self.next;
        if ticket as usize / 64 == self.words.len() {
            self.words.push(0);
        }
        self.words[ticket as usize / 64] |= 1 << (ticket % 64);
        self.next += 1;
        ticket
    }

    #[inline]
    pub fn leave(&mut self, ticket: u32) {
        self.words[ticket as usize / 64] &= !(1 << (ticket % 64));
    }

    #[inline]
    pub fn ahead(&self, ticket: u32) -> i64 {
        let (word, bit) = (ticket as usize / 64, ticket % 64);
        let whole: u32 = self.words[..word].iter().map(|w| w.count_ones()).sum();
        i64::from(whole + (self.words[word] & ((1 << bit) - 1)).count_ones())
    }

    /// Whether most tickets given belong to orders that left: then the level renumbers its queue.
    #[inline]
    pub fn is_sparse(&self, orders: u32) -> bool {
        self.next >= 256 && (self.next / 8 > orders || self.next == NIL - 1)
    }

    pub fn clear(&mut self) {
        self.words.clear();
        self.next = 0;
    }

    pub fn memory_bytes(&self) -> usize {
        self.words.capacity() * 8 + size_of::<Self>()
    }
}
