//! The flow of a market, a row a second: what came, went and traded, and how the book stood meanwhile.
//!
//! Books are read where a message is complete.  What is concluded later than it happened (a cancel
//! that a trade might have explained) is counted in its own second, which is told once that is settled.

mod clock;
pub mod ended;
mod held;
mod later;
mod levels;
mod orders;
pub mod row;
mod trading;

use std::collections::VecDeque;

use crate::events::{
    ASK, BID, CHANGE, CLEAR, DONE, EVICT, LAST, LATE, MATCH, NULL, OPEN, SNAPSHOT, TRADE,
};
use crate::flow::ended::{CENSORED, Ended};
use crate::flow::held::Holds;
use crate::flow::later::Later;
use crate::flow::levels::{Levels, Top, key_of};
use crate::flow::row::{BUCKETS, BUCKETS_BP, DEPTHS_BP, LEVELS, Row, TAUS_S, count, sum};
use crate::flow::trading::{Shock, Taking, Traded};
use crate::lives::{LEFT_TRUNCATED, Life};
use crate::number::power_of_ten;
use crate::watch::{Place, Told, Watch};

const SECOND: i64 = 1_000_000_000;
/// Times beyond (146 years from 1970, either way) count as this, so that differences are numbers.
const FARTHEST: i64 = i64::MAX / 2 - SECOND;
/// Seconds without an event that have a row each; more of them in a row share one.
const QUIET_ROWS: i64 = 64;
/// Bounds on what is kept.
#[derive(Clone, Copy)]
pub struct Bounds {
    /// Seconds, and recovered shocks, that wait to be asked for; the oldest is dropped and counted.
    pub rows: usize,
    /// Lifetimes and cohorts that do; the same.
    pub cells: usize,
    /// Trades whose mid is looked at again; of more, those around the mid of the newest are taken
    /// for it, others are dropped and counted.
    pub trades: usize,
    /// Shocks that are followed at once; others are dropped and counted.
    pub shocks: usize,
    /// Cancels that a trade may explain yet; the oldest is believed.
    pub held: usize,
}

/// How far from the mid before a shock its recovery is measured (bp).
const SHOCK_BP: i64 = 10;
pub const SHOCK_DELAYS_NS: [i64; 10] = [
    0,
    SECOND / 10,
    SECOND / 4,
    SECOND / 2,
    SECOND,
    2 * SECOND,
    5 * SECOND,
    10 * SECOND,
    20 * SECOND,
    30 * SECOND,
];

pub struct Flow {
    pub scales: (u8, u8),
    most: Bounds,
    levels: Levels,
    tops: [Top; 2],
    /// Prices this far behind the best of a side are in its buckets.
    borders: [[i64; BUCKETS_BP.len()]; 2],
    /// Best bid and ask behind the last complete message, NULL where a side is empty.
    touch: [i64; 2],
    known: bool,
    dirty: bool,
    depth_dirty: bool,
    depths: [[i128; DEPTHS_BP.len()]; 2],
    /// The message holds a whole book: what it brings did not flow.
    fresh: bool,
    began: bool,
    ts: i64,
    /// When the second that is open ends.
    border: i64,
    rows: VecDeque<Row>,
    pub dropped: u64,
    taking: Option<Taking>,
    trades: Later<Traded, { TAUS_S.len() }>,
    shocks: Later<Shock, { SHOCK_DELAYS_NS.len() }>,
    pub recovered: VecDeque<Shock>,
    holds: Holds,
    pub ended: Ended,
}

impl Flow {
    /// `hold_ns`: how long a cancel may turn out to be a trade.
    pub fn new(hold_ns: i64, most: Bounds) -> Self {
        Self {
            scales: (0, 0),
            most,
            levels: Levels::default(),
            tops: [Top::default(); 2],
            borders: [[0; BUCKETS_BP.len()]; 2],
            touch: [NULL; 2],
            known: true,
            dirty: true,
            depth_dirty: true,
            depths: [[0; DEPTHS_BP.len()]; 2],
            fresh: false,
            began: false,
            ts: 0,
            border: 0,
            rows: VecDeque::new(),
            dropped: 0,
            taking: None,
            trades: Later::new(TAUS_S.map(|tau| tau * SECOND)),
            shocks: Later::new(SHOCK_DELAYS_NS),
            recovered: VecDeque::new(),
            holds: Holds::new(hold_ns, most.held),
            ended: Ended::default(),
        }
    }

    /// Seconds that are over and settled, oldest first.
    pub fn drain(&mut self) -> Vec<Row> {
        let open = self.rows.back().map_or(i64::MAX, |row| row.second);
        let settled = open.min(self.holds.first_second().unwrap_or(i64::MAX));
        let count = self.rows.partition_point(|row| row.second < settled);
        self.rows.drain(..count).collect()
    }

    /// Events are missing from a time on (ns): the book is not known until it begins anew.
    pub fn gap(&mut self, from: Option<i64>) {
        let from = from.unwrap_or(self.ts).min(self.ts);
        if self.began && self.known {
            // What is back-dated beyond the open second is told by the marks of the tape.
            let begin = self.border - SECOND;
            self.row().counts[count::GAP_NS] += self.ts - from.max(begin);
        }
        self.levels.clear(self.border);
        self.known = false;
        self.taking = None;
        (self.dirty, self.depth_dirty, self.fresh) = (true, true, true);
        self.settle();
    }

    #[inline]
    fn row(&mut self) -> &mut Row {
        self.rows.back_mut().expect("there is one once time began")
    }

    /// Twice the mid.
    #[inline]
    fn mids(&self) -> Option<i128> {
        let [bid, ask] = self.touch;
        (self.known && bid != NULL && ask != NULL).then(|| i128::from(bid) + i128::from(ask))
    }

    // Events ----------------------------------------------------------------------------------------

    /// How far behind the best of its side a price is.
    #[inline]
    fn bucket(&self, side: u8, price: i64) -> usize {
        let side_at = usize::from(side & 1);
        let best = self.touch[side_at];
        if best == NULL {
            return 0;
        }
        let behind = if side == ASK {
            price.saturating_sub(best)
        } else {
            best.saturating_sub(price)
        };
        if behind <= 0 {
            return 0;
        }
        let borders = &self.borders[side_at];
        borders
            .iter()
            .position(|border| behind <= *border)
            .map_or(BUCKETS - 1, |nth| nth + 1)
    }

    #[inline]
    fn rest(&mut self, (side, price, size): Place, sign: i64) {
        if side > ASK || price == NULL {
            return;
        }
        self.change_level(side, price, i128::from(size) * i128::from(sign), sign);
        self.touched(side, price);
    }

    /// What a whole book brings is no change of it.
    #[inline]
    fn change_level(&mut self, side: u8, price: i64, size: i128, orders: i64) {
        let second = if self.fresh { i64::MIN } else { self.border };
        if self.levels.change(side, price, size, orders, second) && !self.fresh {
            self.row().counts[count::LEVELS_CHANGED] += 1;
        }
    }

    #[inline]
    fn touched(&mut self, side: u8, price: i64) {
        self.depth_dirty = true;
        self.dirty |= key_of(side, price) >= self.tops[usize::from(side)].bound();
    }

    #[inline]
    fn change_book(&mut self, before: Option<Place>, after: Option<Place>) {
        match (before, after) {
            (Some((side, price, size)), Some((new_side, new_price, new_size)))
                if side == new_side && price == new_price =>
            {
                if size != new_size && side <= ASK {
                    let by = i128::from(new_size) - i128::from(size);
                    self.change_level(side, price, by, 0);
                    self.touched(side, price);
                }
            }
            _ => {
                if let Some(place) = before {
                    self.rest(place, -1);
                }
                if let Some(place) = after {
                    self.rest(place, 1);
                }
            }
        }
    }

    /// A message is complete: what it did to the best levels.
    fn settle(&mut self) {
        let fresh = std::mem::take(&mut self.fresh);
        if !self.dirty {
            return;
        }
        self.dirty = false;
        let mut ofi = [0i128; LEVELS];
        for side in 0..2 {
            let (old, new) = (self.tops[side], self.levels.top(side));
            if old == new {
                continue;
            }
            let sign = if side == usize::from(BID) { 1 } else { -1 };
            for (level, total) in ofi.iter_mut().enumerate() {
                *total += sign * imbalance(&old, &new, level);
            }
            self.tops[side] = new;
            let best = new.best().map(|(key, _)| key_of(side as u8, key));
            self.touch[side] = best.unwrap_or(NULL);
            if let Some(best) = best {
                let of = i128::from(best.max(0));
                self.borders[side] = BUCKETS_BP.map(|bp| (of * i128::from(bp) / 10_000) as i64);
            }
        }
        if self.known && self.began && !fresh {
            let row = self.row();
            for (level, total) in ofi.into_iter().enumerate() {
                row.add(sum::OFI + level, total);
            }
        }
    }
}

/// What came to a level of a side, less what went; a better price is a new queue.
fn imbalance(old: &Top, new: &Top, level: usize) -> i128 {
    let before = (level < old.count).then(|| (old.keys[level], old.totals[level]));
    let after = (level < new.count).then(|| (new.keys[level], new.totals[level]));
    match (before, after) {
        (None, None) => 0,
        (None, Some((_, total))) => total,
        (Some((_, total)), None) => -total,
        (Some((old_key, old_total)), Some((key, total))) => {
            (if key >= old_key { total } else { 0 }) - (if key <= old_key { old_total } else { 0 })
        }
    }
}

impl Watch for Flow {
    #[inline]
    fn advance(&mut self, ts: i64) {
        let ts = ts.clamp(-FARTHEST, FARTHEST);
        if ts <= self.ts {
            return;
        }
        if !self.began {
            self.began = true;
            self.ts = ts;
            self.border = (ts.div_euclid(SECOND) + 1) * SECOND;
            self.rows.push_back(Row::new(ts.div_euclid(SECOND)));
            return;
        }
        if ts >= self.border || ts > self.trades.due || ts > self.shocks.due {
            self.catch_up(ts);
        }
        if ts >= self.holds.due {
            self.holds.release(ts, &mut self.rows, &mut self.ended);
        }
        self.integrate(ts);
    }

    #[inline]
    fn take(&mut self, told: &Told) {
        let step = told.step;
        let state = step.flags & SNAPSHOT != 0;
        if step.kind == CLEAR {
            self.levels.clear(self.border);
            (self.known, self.dirty, self.depth_dirty, self.fresh) = (true, true, true, true);
            self.taking = None;
        } else if state {
            (self.known, self.fresh) = (true, true);
        }
        if !self.known {
            return;
        }
        if !state {
            self.row().count(count::EVENTS);
            match step.kind {
                OPEN => self.opened(told),
                CHANGE => self.changed(told),
                MATCH => self.matched(told),
                DONE => self.done(told),
                EVICT => {
                    if let Some((side, ..)) = told.before {
                        self.row().count(count::EVICTED + usize::from(side & 1));
                    }
                }
                TRADE if step.size > 0 && step.price != NULL => {
                    let late = step.flags & LATE != 0;
                    let touch = if late { [NULL; 2] } else { self.touch };
                    self.traded(step, touch, late);
                }
                _ => {}
            }
        }
        if step.flags & LATE == 0 && told.before != told.after {
            self.change_book(told.before, told.after);
        }
        if step.flags & LAST != 0 {
            if !state {
                self.row().count(count::MESSAGES);
            }
            self.settle();
        }
    }

    fn cut(&mut self, life: &Life) {
        let lasted = life.ended.saturating_sub(life.opened);
        let truncated = life.flags & LEFT_TRUNCATED != 0;
        self.ended.lifetime(CENSORED, truncated, lasted);
    }

    fn adopt(&mut self, scales: (u8, u8)) -> bool {
        if scales == self.scales {
            return true;
        }
        if scales.0 < self.scales.0 || scales.1 < self.scales.1 {
            return !self.began && {
                self.scales = scales;
                true
            };
        }
        let price = power_of_ten(scales.0 - self.scales.0);
        let size = power_of_ten(scales.1 - self.scales.1);
        self.scales = scales;
        if !self.began {
            return true;
        }
        self.multiply(price, size);
        true
    }
}

impl Flow {
    fn multiply(&mut self, price: i64, size: i64) {
        let (of_price, of_size) = (i128::from(price), i128::from(size));
        self.levels.multiply(price, size);
        for row in &mut self.rows {
            row.multiply(price, size);
        }
        for traded in self.trades.iter_mut() {
            traded.mids = traded.mids.saturating_mul(of_price);
            traded.paid = traded.paid.saturating_mul(of_price.saturating_mul(of_size));
            traded.signed = traded.signed.saturating_mul(of_size);
            traded.size = traded.size.saturating_mul(of_size);
        }
        for shock in self.shocks.iter_mut().chain(self.recovered.iter_mut()) {
            shock.multiply(price, size);
        }
        for top in &mut self.tops {
            top.keys = top.keys.map(|key| key.saturating_mul(price));
            top.totals = top.totals.map(|total| total.saturating_mul(of_size));
        }
        for known in self.touch.iter_mut().filter(|known| **known != NULL) {
            *known = known.saturating_mul(price);
        }
        for border in self.borders.iter_mut().flatten() {
            *border = border.saturating_mul(price);
        }
        for total in self.depths.iter_mut().flatten() {
            *total = total.saturating_mul(of_size);
        }
        self.ended.multiply(size);
        self.holds.multiply(price, size);
        self.taking = None;
    }
}
