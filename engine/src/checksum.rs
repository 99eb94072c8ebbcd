//! Bitfinex's checksum text: ids and amounts of the best orders, bid and ask in turn, joined by colons;
//! ids ascending inside a price; asks with a minus; numbers as JavaScript prints them.
//!
//! It is asked for after every message and few of its orders change between two: what stands at better
//! prices than anything that changed is kept, and each order's text is kept by slot and written anew only
//! where the order is another one or its size has changed.

use crate::book::{BEST_KEY, Book, NO_KEY};
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

/// An order near the top: what the text shows, where its text is kept, and its price's ladder key.
#[derive(Clone, Copy)]
struct Shown {
    id: Id,
    amount: i64,
    key: i64,
    slot: u32,
}

/// Of one book, whose `take_touched` nothing else may ask.
pub struct Checksum {
    texts: Vec<Text>,
    /// Of the sizes in `texts`.
    size_scale: u8,
    /// How many orders a side `top` shows at most.
    orders: usize,
    top: [Vec<Shown>; 2],
    out: Vec<u8>,
    /// Where in `out` each place, a bid and an ask, begins, and where the last one ends.
    places: Vec<usize>,
    /// Of the text in `out`, once it was asked for.
    crc: Option<u32>,
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
            orders: 0,
            top: [Vec::new(), Vec::new()],
            out: Vec::new(),
            places: vec![0],
            crc: None,
            written: Vec::new(),
        }
    }
}

impl Checksum {
    /// The text over the best `orders` a side; `write_id` writes an id as the venue does.
    pub fn text(
        &mut self,
        book: &mut Book,
        orders: usize,
        write_id: impl Fn(&mut Vec<u8>, Id),
    ) -> &[u8] {
        self.renew(book, orders, write_id);
        self.whole()
    }

    /// CRC-32 of `text`.
    pub fn crc32(
        &mut self,
        book: &mut Book,
        orders: usize,
        write_id: impl Fn(&mut Vec<u8>, Id),
    ) -> u32 {
        self.renew(book, orders, write_id);
        let crc = self.crc.unwrap_or_else(|| crc32fast::hash(self.whole()));
        self.crc = Some(crc);
        crc
    }

    fn length(&self) -> usize {
        self.places.last().copied().unwrap_or(0)
    }

    /// What was written but for the last colon.
    fn whole(&self) -> &[u8] {
        &self.out[..self.length().saturating_sub(1)]
    }

    /// Writes anew from the first place on where something changed.
    fn renew(&mut self, book: &mut Book, orders: usize, write_id: impl Fn(&mut Vec<u8>, Id)) {
        let size_scale = book.size_scale.unwrap_or(0);
        let other = (self.size_scale, self.orders) != (size_scale, orders);
        if other {
            *self = Self {
                size_scale,
                orders,
                ..Self::default()
            };
        }
        let mut first = usize::MAX;
        for side in [BID, ASK] {
            let touched = book.take_touched(side);
            let touched = if other { BEST_KEY } else { touched };
            let top = &mut self.top[usize::from(side)];
            first = first.min(collect(book, side, orders, touched, top));
        }
        if first == usize::MAX {
            return;
        }
        self.crc = None;
        self.places.truncate(first + 1);
        let mut length = self.length();
        for place in first..self.top[0].len().max(self.top[1].len()) {
            for side in 0..2 {
                if let Some(&shown) = self.top[side].get(place) {
                    length = self.push(length, shown, &write_id);
                }
            }
            self.places.push(length);
        }
    }

    /// Writes one order's text and a colon at `start`; where they end.
    #[inline]
    fn push(&mut self, start: usize, shown: Shown, write_id: impl Fn(&mut Vec<u8>, Id)) -> usize {
        let text = &mut self.texts[shown.slot as usize % TEXTS];
        if text.id != shown.id || text.amount != shown.amount {
            self.written.clear();
            write_id(&mut self.written, shown.id);
            self.written.push(b':');
            write_javascript(&mut self.written, shown.amount, self.size_scale);
            self.written.push(b':');
            if self.written.len() > TEXT_BYTES {
                return self.push_long(start);
            }
            text.length = self.written.len();
            (text.id, text.amount) = (shown.id, shown.amount);
            text.bytes[..text.length].copy_from_slice(&self.written);
        }
        if self.out.len() < start + TEXT_BYTES {
            self.out.resize((start + TEXT_BYTES) * 2, 0);
        }
        // All of its room at once: copying a fixed number of bytes is a few moves.
        self.out[start..start + TEXT_BYTES].copy_from_slice(&text.bytes);
        start + text.length
    }

    /// A text too long to be kept.
    #[cold]
    fn push_long(&mut self, start: usize) -> usize {
        self.out.truncate(start);
        self.out.extend_from_slice(&self.written);
        self.out.len()
    }
}

/// Renews what is shown of a side from the key `touched` on; the first place that may differ then,
/// usize::MAX where all stands as it did.
fn collect(book: &Book, side: u8, orders: usize, touched: i64, top: &mut Vec<Shown>) -> usize {
    let kept = top.partition_point(|shown| shown.key > touched);
    if kept >= orders || touched == NO_KEY {
        return usize::MAX;
    }
    let sign = if side == ASK { -1 } else { 1 };
    top.truncate(kept);
    let ladder = &book.halves[usize::from(side == ASK)].ladder;
    for step in ladder.iter().skip_while(|step| step.key > touched) {
        if top.len() >= orders {
            break;
        }
        let start = top.len();
        top.extend(book.walk_level(step.level).map(|slot| {
            let order = &book.orders[slot as usize];
            Shown {
                id: order.id(),
                amount: sign * order.size,
                key: step.key,
                slot,
            }
        }));
        if top.len() > start + 1 {
            top[start..].sort_unstable_by_key(|shown| shown.id);
        }
    }
    top.truncate(orders);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::number::decimal_digits;
    use proptest::prelude::*;

    fn write_id(out: &mut Vec<u8>, id: Id) {
        out.extend_from_slice(decimal_digits(id as u64, &mut [0; 20]));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Put(Id, u8, i64, i64),
        Remove(Id),
        Clear,
        Scale,
        Look(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        let put = (0u128..60, 0u8..2, 1i64..15, 1i64..9);
        prop_oneof![
            20 => put.prop_map(|(id, side, price, size)| Step::Put(id, side, price, size)),
            10 => (0u128..60).prop_map(Step::Remove),
            1 => Just(Step::Clear),
            1 => Just(Step::Scale),
            10 => Just(Step::Look(5)),
            1 => (0usize..30).prop_map(Step::Look),
        ]
    }

    fn take(book: &mut Book, step: &Step) {
        match *step {
            Step::Put(id, side, price, size) => match book.find(id) {
                None => {
                    book.add(id, side, price, size);
                }
                Some((slot, _)) if size < book.orders[slot as usize].size => {
                    book.resize(slot, size);
                }
                Some((slot, _)) => book.requeue(slot, side, price, size),
            },
            Step::Remove(id) => {
                if let Some((slot, at)) = book.find(id) {
                    book.remove(slot, at);
                }
            }
            Step::Clear => book.clear(),
            Step::Scale => {
                let (price, size) = (book.price_scale.unwrap_or(0), book.size_scale.unwrap_or(0));
                let grown = book.adopt_scales(price + 1, size);
                assert_eq!(grown.and(book.adopt_scales(price, size + 1)), Ok(()));
            }
            Step::Look(_) => {}
        }
    }

    proptest! {
        #[test]
        fn a_text_renewed_in_part_is_the_text_written_whole(
            steps in prop::collection::vec(step(), 1..400),
        ) {
            let mut book = Book::new();
            let mut kept = Checksum::default();
            for step in &steps {
                if matches!(step, Step::Scale) && book.size_scale.is_some_and(|scale| scale >= 8) {
                    continue;
                }
                take(&mut book, step);
                if let Step::Look(orders) = *step {
                    let crc = kept.crc32(&mut book, orders, write_id);
                    let text = kept.text(&mut book, orders, write_id).to_vec();
                    let whole = Checksum::default().text(&mut book, orders, write_id).to_vec();
                    prop_assert_eq!(String::from_utf8(text), String::from_utf8(whole.clone()));
                    prop_assert_eq!(crc, crc32fast::hash(&whole));
                }
            }
        }
    }
}
