//! Bitfinex's checksum text: ids and amounts of the best orders, bid and ask in turn, joined by colons;
//! ids ascending inside a price; asks with a minus; numbers as JavaScript prints them.
//!
//! It is asked for after every message and few of its orders change between two, so each order's text is
//! kept by slot and written anew only where the order is another one or its size has changed.

use crate::book::Book;
use crate::events::{ASK, BID};
use crate::ids::{Id, NULL_ID};
use crate::number::write_javascript;

const TEXTS: usize = 256;
/// Room of one order's text that is kept.
const TEXT_BYTES: usize = 64;

/// `id:amount:` of an order.
#[derive(Clone, Copy)]
struct Text {
    id: Id,
    amount: i64,
    length: usize,
    bytes: [u8; TEXT_BYTES],
}

/// An order near the top: what the text shows, and where its text is kept.
#[derive(Clone, Copy)]
struct Shown {
    id: Id,
    amount: i64,
    slot: u32,
}

pub struct Checksum {
    texts: Vec<Text>,
    /// Of the sizes in `texts`.
    size_scale: u8,
    top: [Vec<Shown>; 2],
    out: Vec<u8>,
    /// How much of `out` is text.
    length: usize,
    written: Vec<u8>,
}

impl Default for Checksum {
    fn default() -> Self {
        let empty = Text {
            id: NULL_ID,
            amount: 0,
            length: 0,
            bytes: [0; TEXT_BYTES],
        };
        Self {
            texts: vec![empty; TEXTS],
            size_scale: 0,
            top: [Vec::new(), Vec::new()],
            out: Vec::new(),
            length: 0,
            written: Vec::new(),
        }
    }
}

impl Checksum {
    /// The text over the best `orders` a side; `write_id` writes an id as the venue does.
    pub fn text(
        &mut self,
        book: &Book,
        orders: usize,
        write_id: impl Fn(&mut Vec<u8>, Id),
    ) -> &[u8] {
        let size_scale = book.size_scale.unwrap_or(0);
        if self.size_scale != size_scale {
            *self = Self {
                size_scale,
                ..Self::default()
            };
        }
        for side in [BID, ASK] {
            collect(book, side, orders, &mut self.top[usize::from(side)]);
        }
        let longest = self.top[0].len().max(self.top[1].len());
        self.length = 0;
        self.out.resize(longest * 2 * TEXT_BYTES, 0);
        for i in 0..longest {
            for side in 0..2 {
                if let Some(&shown) = self.top[side].get(i) {
                    self.push(shown, &write_id);
                }
            }
        }
        &self.out[..self.length.saturating_sub(1)]
    }

    /// Appends one order's text and a colon.
    #[inline]
    fn push(&mut self, shown: Shown, write_id: impl Fn(&mut Vec<u8>, Id)) {
        let text = &mut self.texts[shown.slot as usize % TEXTS];
        if text.id != shown.id || text.amount != shown.amount {
            self.written.clear();
            write_id(&mut self.written, shown.id);
            self.written.push(b':');
            write_javascript(&mut self.written, shown.amount, self.size_scale);
            self.written.push(b':');
            if self.written.len() > TEXT_BYTES {
                return self.push_long();
            }
            text.length = self.written.len();
            (text.id, text.amount) = (shown.id, shown.amount);
            text.bytes[..text.length].copy_from_slice(&self.written);
        }
        // All of its room at once: copying a fixed number of bytes is a few moves.
        self.out[self.length..self.length + TEXT_BYTES].copy_from_slice(&text.bytes);
        self.length += text.length;
    }
}

impl Checksum {
    /// A text too long to be kept.
    #[cold]
    fn push_long(&mut self) {
        let end = self.length + self.written.len();
        self.out.resize(self.out.len() + self.written.len(), 0);
        self.out[self.length..end].copy_from_slice(&self.written);
        self.length = end;
    }
}

fn collect(book: &Book, side: u8, orders: usize, top: &mut Vec<Shown>) {
    let sign = if side == ASK { -1 } else { 1 };
    top.clear();
    for step in book.halves[usize::from(side == ASK)].ladder.iter() {
        if top.len() >= orders {
            break;
        }
        let start = top.len();
        top.extend(book.walk_level(step.level).map(|slot| {
            let order = &book.orders[slot as usize];
            Shown {
                id: order.id(),
                amount: sign * order.size,
                slot,
            }
        }));
        if top.len() > start + 1 {
            top[start..].sort_unstable_by_key(|shown| shown.id);
        }
    }
    top.truncate(orders);
}
