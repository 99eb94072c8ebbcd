//! Events to the book: what each kind does, what is counted, what it changed.
//!
//! What runs once per event is `inline(always)` here and in the book: measured 12 % over the compiler's choice.

use std::sync::atomic::Ordering;

use crate::batch::{Columns, Slice};
use crate::book::{Book, Outcome};
use crate::events::{ASK, BID, CHANGE, CLEAR, DONE, EVICT, LAST, LATE, MATCH, NULL, OPEN, TRADE};
use crate::heat::Heated;
use crate::ids::Id;
use crate::number::power_of_ten;
use crate::table::{NIL, hash_id, prefetch};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    pub events: u64,
    pub unknown_id: u64,
    pub duplicate_id: u64,
    pub negative: u64,
    pub overflow: u64,
    pub overfill: u64,
    pub before_differs: u64,
    pub late: u64,
    pub crossed: u64,
}

impl Counters {
    fn note(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Applied => {}
            Outcome::UnknownId => self.unknown_id += 1,
            Outcome::DuplicateId => self.duplicate_id += 1,
            Outcome::Negative => self.negative += 1,
            Outcome::Overflow => self.overflow += 1,
            Outcome::Overfill => self.overfill += 1,
            Outcome::Late => self.late += 1,
        }
    }

    pub fn faults(&self) -> u64 {
        self.unknown_id
            + self.duplicate_id
            + self.negative
            + self.overflow
            + self.overfill
            + self.before_differs
            + self.crossed
    }
}

/// What each event did; NULL where a column does not apply.
#[derive(Default)]
pub struct Effects {
    pub price_before: Vec<i64>,
    pub size_before: Vec<i64>,
    pub level_size: Vec<i64>,
    pub level_orders: Vec<i64>,
    pub best_bid: Vec<i64>,
    pub best_ask: Vec<i64>,
    pub orders_ahead: Vec<i64>,
}

impl Effects {
    fn with_capacity(rows: usize) -> Self {
        let column = || Vec::with_capacity(rows);
        Self {
            price_before: column(),
            size_before: column(),
            level_size: column(),
            level_orders: column(),
            best_bid: column(),
            best_ask: column(),
            orders_ahead: column(),
        }
    }

    pub fn column(&self, name: &str) -> Option<&[i64]> {
        Some(match name {
            "price_before" => &self.price_before,
            "size_before" => &self.size_before,
            "level_size" => &self.level_size,
            "level_orders" => &self.level_orders,
            "best_bid" => &self.best_bid,
            "best_ask" => &self.best_ask,
            "orders_ahead" => &self.orders_ahead,
            _ => return None,
        })
    }
}

/// An order's state before an event and the level it touches; a level that the event emptied
/// keeps its number and holds nothing.
#[derive(Clone, Copy)]
pub struct Touch {
    pub price_before: i64,
    pub size_before: i64,
    ahead: i64,
    level: u32,
    pub side_before: u8,
}

/// What is found out about an event beside applying it: nothing, where its order stood before, all
/// that effects are.
const NOTHING: u8 = 0;
const PLACES: u8 = 1;
const EFFECTS: u8 = 2;

impl Touch {
    const NOTHING: Self = Self {
        price_before: NULL,
        size_before: NULL,
        ahead: NULL,
        level: NIL,
        side_before: BID,
    };
}

/// How many events ahead the steps of `look_ahead` are; hashes are kept by place modulo AHEAD.
const FAR: usize = 12;
const NEAR: usize = 6;
const AHEAD: usize = 16;

/// One event at the book's scales.
#[derive(Clone, Copy)]
pub struct Event {
    pub kind: u8,
    pub side: u8,
    pub flags: u16,
    pub id: Id,
    /// `hash_id` of the id.
    pub hash: u32,
    pub price: i64,
    pub size: i64,
}

impl Book {
    /// Applies a slice; the field that fits no scale of the book where there is one.
    pub fn apply(&mut self, slice: &Slice) -> Result<Counters, &'static str> {
        let mut none = Effects::default();
        self.run::<NOTHING, ()>(slice, &mut none, &mut ())
    }

    /// Applies a slice, its scales taken over before; `heated` is told of each event.
    pub fn apply_told<H: Heated>(
        &mut self,
        slice: &Slice,
        heated: &mut H,
    ) -> Result<Counters, &'static str> {
        let mut none = Effects::default();
        self.run::<PLACES, H>(slice, &mut none, heated)
    }

    pub fn apply_with_effects(
        &mut self,
        slice: &Slice,
    ) -> Result<(Counters, Effects), &'static str> {
        let mut effects = Effects::with_capacity(slice.len);
        self.keep_ranks();
        let counters = self.run::<EFFECTS, ()>(slice, &mut effects, &mut ())?;
        Ok((counters, effects))
    }

    fn run<const TOLD: u8, H: Heated>(
        &mut self,
        slice: &Slice,
        effects: &mut Effects,
        heated: &mut H,
    ) -> Result<Counters, &'static str> {
        let columns = &*slice.columns;
        self.adopt_scales(columns.price_scale, columns.size_scale)?;
        let factors = (
            power_of_ten(self.price_scale.unwrap_or(0) - columns.price_scale),
            power_of_ten(self.size_scale.unwrap_or(0) - columns.size_scale),
        );
        let mut counters = Counters {
            events: slice.len as u64,
            ..Counters::default()
        };
        let range = slice.range();
        let (kind, side) = (&columns.kind[range.clone()], &columns.side[range.clone()]);
        let (flags, id) = (
            &columns.flags[range.clone()],
            &columns.order_id[range.clone()],
        );
        let (price, size) = (&columns.price[range.clone()], &columns.size[range.clone()]);
        let mut hashes = [0; AHEAD];
        for (hash, &id) in hashes.iter_mut().zip(id).take(FAR) {
            *hash = hash_id(id);
        }
        for i in 0..kind.len() {
            let hash = hashes[i % AHEAD];
            if i + FAR < kind.len() {
                self.look_ahead(&mut hashes, kind, id, i);
            }
            let event = Event {
                kind: kind[i],
                side: side[i],
                flags: flags[i],
                id: id[i],
                hash,
                price: scaled(price[i], factors.0),
                size: scaled(size[i], factors.1),
            };
            let overflow = (event.price == NULL && price[i] != NULL)
                || (event.size == NULL && size[i] != NULL);
            let mut touch = Touch::NOTHING;
            heated.advance(self, columns.ts_recv[range.start + i]);
            let outcome = if overflow {
                Outcome::Overflow
            } else {
                self.apply_event::<TOLD>(event, &mut touch)
            };
            heated.take(&event, &touch, outcome);
            if outcome != Outcome::Applied {
                counters.note(outcome);
            }
            if event.kind == CHANGE {
                let same = fill_before(columns, range.start + i, &touch, factors);
                counters.before_differs += u64::from(!same);
            }
            if event.flags & LAST != 0 {
                counters.crossed += u64::from(self.crossed());
            }
            if TOLD == EFFECTS {
                self.push_effects(effects, touch);
            }
        }
        heated.end(self);
        if slice.len > 0 {
            let last = range.end - 1;
            self.seq = columns.seq[last];
            self.ts_recv = columns.ts_recv[last];
        }
        Ok(counters)
    }

    /// Brings what the events ahead will touch towards the cache: first the entry in the table, some
    /// events later the order it seems to name.  (Going on to its level cost more than it saved.)
    #[inline(always)]
    fn look_ahead(&self, hashes: &mut [u32; AHEAD], kind: &[u8], id: &[Id], i: usize) {
        let (near, far) = (i + NEAR, i + FAR);
        let hash = hash_id(id[far]);
        hashes[far % AHEAD] = hash;
        self.ids.prefetch(hash);
        if kind[near] != OPEN {
            let slot = self.ids.likely_slot(hashes[near % AHEAD]);
            if let Some(order) = self.orders.get(slot as usize) {
                prefetch(order);
            }
        }
    }

    /// One event without effects.
    pub fn apply_one(&mut self, event: Event) -> Outcome {
        let mut touch = Touch::NOTHING;
        self.apply_event::<NOTHING>(event, &mut touch)
    }

    #[inline(always)]
    fn apply_event<const TOLD: u8>(&mut self, event: Event, touch: &mut Touch) -> Outcome {
        if event.flags & LATE != 0 {
            return Outcome::Late;
        }
        match event.kind {
            OPEN => self.open::<TOLD>(event, touch),
            CHANGE => self.change::<TOLD>(event, touch),
            MATCH => self.fill::<TOLD>(event, touch),
            DONE | EVICT => self.end::<TOLD>(event, touch),
            CLEAR => {
                self.clear();
                self.era = self.era.saturating_add(1);
                Outcome::Applied
            }
            TRADE => Outcome::Applied,
            _ => Outcome::UnknownId,
        }
    }

    #[inline(always)]
    fn open<const TOLD: u8>(&mut self, event: Event, touch: &mut Touch) -> Outcome {
        if event.size <= 0 || event.price == NULL {
            return Outcome::Negative;
        }
        let twin = self.find_hashed(event.id, event.hash);
        if let Some((slot, at)) = twin {
            if TOLD == PLACES {
                self.note_touch::<TOLD>(slot, touch);
            }
            // The venue says it stands so: the newer statement wins, the older one is the fault.
            self.remove(slot, at);
        }
        let slot = self.add_hashed(event.id, event.hash, event.side, event.price, event.size);
        if TOLD == EFFECTS {
            touch.level = self.orders[slot as usize].level;
            touch.ahead = i64::from(self.level_of(slot).count) - 1;
        }
        if twin.is_some() {
            Outcome::DuplicateId
        } else {
            Outcome::Applied
        }
    }

    #[inline(always)]
    fn change<const TOLD: u8>(&mut self, event: Event, touch: &mut Touch) -> Outcome {
        let Some((slot, at)) = self.find_hashed(event.id, event.hash) else {
            return Outcome::UnknownId;
        };
        self.note_touch::<TOLD>(slot, touch);
        if event.size < 0 {
            return Outcome::Negative;
        }
        if event.size == 0 {
            self.remove(slot, at);
            return Outcome::Applied;
        }
        let (side, price, size) = (
            self.level_of(slot).side,
            touch.price_before,
            touch.size_before,
        );
        let new_price = if event.price == NULL {
            price
        } else {
            event.price
        };
        if event.side == side && new_price == price && event.size <= size {
            self.resize(slot, event.size);
        } else {
            self.requeue(slot, event.side, new_price, event.size);
            touch.level = self.orders[slot as usize].level;
        }
        Outcome::Applied
    }

    #[inline(always)]
    fn fill<const TOLD: u8>(&mut self, event: Event, touch: &mut Touch) -> Outcome {
        let Some((slot, at)) = self.find_hashed(event.id, event.hash) else {
            return Outcome::UnknownId;
        };
        self.note_touch::<TOLD>(slot, touch);
        if event.size < 0 {
            return Outcome::Negative;
        }
        let left = self.orders[slot as usize].size - event.size;
        if left > 0 {
            self.resize(slot, left);
        } else {
            self.remove(slot, at);
        }
        if left < 0 {
            Outcome::Overfill
        } else {
            Outcome::Applied
        }
    }

    #[inline(always)]
    fn end<const TOLD: u8>(&mut self, event: Event, touch: &mut Touch) -> Outcome {
        let Some((slot, at)) = self.find_hashed(event.id, event.hash) else {
            // DONE(filled, 0) after the MATCH that emptied it is no fault.
            let emptied = event.kind == DONE && event.size == 0;
            return if emptied {
                Outcome::Applied
            } else {
                Outcome::UnknownId
            };
        };
        if TOLD != NOTHING {
            self.note_touch::<TOLD>(slot, touch);
        }
        self.remove(slot, at);
        Outcome::Applied
    }

    #[inline(always)]
    fn note_touch<const TOLD: u8>(&self, slot: u32, touch: &mut Touch) {
        let order = &self.orders[slot as usize];
        let level = &self.levels[order.level as usize];
        *touch = Touch {
            price_before: level.price,
            size_before: order.size,
            ahead: if TOLD == EFFECTS {
                self.ahead(slot)
            } else {
                NULL
            },
            level: order.level,
            side_before: level.side,
        };
    }

    #[inline(always)]
    fn push_effects(&self, effects: &mut Effects, touch: Touch) {
        let (size, orders) = match self.levels.get(touch.level as usize) {
            Some(level) => (
                level.total.min(i128::from(i64::MAX)) as i64,
                i64::from(level.count),
            ),
            None => (NULL, NULL),
        };
        effects.price_before.push(touch.price_before);
        effects.size_before.push(touch.size_before);
        effects.level_size.push(size);
        effects.level_orders.push(orders);
        effects.best_bid.push(self.best_price(BID).unwrap_or(NULL));
        effects.best_ask.push(self.best_price(ASK).unwrap_or(NULL));
        effects.orders_ahead.push(touch.ahead);
    }
}

#[inline]
fn scaled(value: i64, factor: i64) -> i64 {
    if factor == 1 || value == NULL {
        return value;
    }
    value.checked_mul(factor).unwrap_or(NULL)
}

/// Writes price and size before a CHANGE into the batch where they are not there yet;
/// false where they are there and say something else.
fn fill_before(columns: &Columns, i: usize, touch: &Touch, factors: (i64, i64)) -> bool {
    let Some(before) = &columns.before else {
        return true;
    };
    if touch.price_before == NULL {
        return true;
    }
    let mut same = true;
    for (cell, value, factor) in [
        (&before.price[i], touch.price_before, factors.0),
        (&before.size[i], touch.size_before, factors.1),
    ] {
        let known = cell.load(Ordering::Relaxed);
        if known != NULL {
            same &= scaled(known, factor) == value;
        } else if value % factor == 0 {
            // At the batch's scales; a value those don't hold stays null.
            cell.store(value / factor, Ordering::Relaxed);
        }
    }
    same
}
