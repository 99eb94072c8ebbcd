//! The flow of a market, a row a second: what came, went and traded, and how the book stood meanwhile.
//!
//! Books are read where a message is complete.  What is concluded later than it happened (a cancel
//! that a trade might have explained) is counted in its own second, which is told once that is settled.

pub mod ended;
mod held;
mod later;
mod levels;
pub mod row;

use std::collections::VecDeque;

use crate::events::{
    ASK, BID, CHANGE, CLEAR, DONE, EVICT, LAST, LATE, MATCH, NULL, OPEN, REASON_FILLED,
    REASON_TRADED_AS_TAKER, REASON_UNKNOWN, REENTRY, SNAPSHOT, TRADE,
};
use crate::flow::ended::{CENSORED, Ended, FILLED};
use crate::flow::held::{Held, Holds};
use crate::flow::later::Later;
use crate::flow::levels::{Levels, Top, key_of, limit};
use crate::flow::row::{BUCKETS, BUCKETS_BP, DEPTHS_BP, LEVELS, Row, TAUS_S, count, mean, sum};
use crate::ids::Id;
use crate::lives::{LEFT_TRUNCATED, Life, REENTERED};
use crate::number::power_of_ten;
use crate::watch::{Place, Step, Told, Watch};

const SECOND: i64 = 1_000_000_000;
/// Seconds without an event that have a row each; more of them in a row share one.
const QUIET_ROWS: i64 = 64;
/// What waits to be asked for; the oldest is dropped and counted.
const ROWS_MAX: usize = 100_000;
const CELLS_MAX: usize = 4_000_000;
/// Trades whose mid is looked at again; more are taken for the one before them.
const TRADES_MAX: usize = 262_144;
/// Shocks that are followed at once; others are counted only.
const SHOCKS_MAX: usize = 4_096;
/// Cancels that a trade may explain yet; the oldest is believed.
const HELD_MAX: usize = 1_000_000;
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

/// Trades at one time around one mid: sums over them, `side` +1 where the taker bought.
#[derive(Clone, Copy)]
struct Traded {
    mids: i128,
    trades: i64,
    /// side * 2 * price * size, side * size, size.
    paid: i128,
    signed: i128,
    size: i128,
}

/// A market order that took at least half of the best level.
#[derive(Clone)]
pub struct Shock {
    pub ts: i64,
    /// The taker's side.
    pub side: u8,
    pub traded: i128,
    pub best: i128,
    pub depth: i128,
    pub spread: i64,
    /// The worst price (as a key) that counts.
    limit: i128,
    pub depths: [i128; SHOCK_DELAYS_NS.len()],
    /// NULL where a side was empty or the book not known.
    pub spreads: [i64; SHOCK_DELAYS_NS.len()],
}

/// The market order that trades belong to now.
#[derive(Clone, Copy)]
struct Taking {
    id: Option<Id>,
    side: u8,
    ts: i64,
    ts_event: i64,
    touch: [i64; 2],
    traded: i128,
    best: i128,
    depth: i128,
    shocked: bool,
}

pub struct Flow {
    pub scales: (u8, u8),
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
    pub fn new(hold_ns: i64) -> Self {
        Self {
            scales: (0, 0),
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
            holds: Holds::new(hold_ns, HELD_MAX),
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

    // Time ------------------------------------------------------------------------------------------

    /// Everything that lasts, up to a time within the open second.
    #[inline]
    fn integrate(&mut self, ts: i64) {
        let span = ts - self.ts;
        if span <= 0 {
            return;
        }
        self.ts = ts;
        let (known, touch, tops) = (self.known, self.touch, &self.tops);
        let (bid_size, ask_size) = (tops[0].totals[0] as f64, tops[1].totals[0] as f64);
        let orders = self.levels.orders;
        let row = self.rows.back_mut().expect("there is one once time began");
        if !known {
            row.counts[count::GAP_NS] += span;
            return;
        }
        for (side, orders) in orders.into_iter().enumerate() {
            row.add(sum::ORDER_NS + side, i128::from(orders) * i128::from(span));
        }
        if touch[0] == NULL || touch[1] == NULL {
            return;
        }
        let (bid, ask) = (i128::from(touch[0]), i128::from(touch[1]));
        row.counts[count::QUOTED_NS] += span;
        row.add(sum::SPREAD, (ask - bid) * i128::from(span));
        row.add(sum::MID, (ask + bid) * i128::from(span));
        let lasted = span as f64;
        if ask + bid != 0 {
            row.means[mean::SPREAD] += lasted * (2 * (ask - bid)) as f64 / (ask + bid) as f64;
        }
        let imbalance = bid_size / (bid_size + ask_size);
        row.means[mean::IMBALANCE] += lasted * imbalance;
        row.means[mean::WEIGHTED_MID] +=
            lasted * (imbalance * touch[1] as f64 + (1.0 - imbalance) * touch[0] as f64);
    }

    /// Everything that is due before a time, and the seconds that end by then, in their order.
    #[cold]
    fn catch_up(&mut self, ts: i64) {
        loop {
            let due = self.trades.due.min(self.shocks.due);
            if self.border <= due {
                if self.border > ts {
                    break;
                }
                self.integrate(self.border);
                self.holds
                    .release(self.border, &mut self.rows, &mut self.ended);
                self.finish_second();
                self.skip_quiet(ts.min(due));
            } else if due < ts {
                self.look_again(due);
            } else {
                break;
            }
        }
    }

    /// Where nothing is due for long, one row stands for all whole seconds until then.
    fn skip_quiet(&mut self, until: i64) {
        let begin = self.border - SECOND;
        let seconds = (until - begin) / SECOND;
        if seconds <= QUIET_ROWS || self.holds.first_second().is_some() {
            return;
        }
        self.row().seconds = seconds;
        self.border = begin + seconds * SECOND;
        self.integrate(self.border);
        self.finish_second();
    }

    fn finish_second(&mut self) {
        let (known, touch, mids) = (self.known, self.touch, self.mids());
        if self.depth_dirty {
            self.depth_dirty = false;
            self.depths = match mids {
                Some(mids) if mids > 0 => [0, 1].map(|side| self.levels.depths(side, mids)),
                _ => [[0; DEPTHS_BP.len()]; 2],
            };
        }
        let depths = self.depths;
        let (levels, orders) = (
            [0, 1].map(|side| self.levels.count(side)),
            self.levels.orders,
        );
        let tops = self.tops;
        let row = self.rows.back_mut().expect("there is one once time began");
        for side in 0..2 {
            row.counts[count::LEVELS + side] = levels[side];
            row.counts[count::ORDERS + side] = orders[side];
            row.counts[count::BID + side] = if known { touch[side] } else { NULL };
            row.sums[sum::TOP + side] = tops[side].totals[..tops[side].count].iter().sum();
            row.sums[sum::BEST + side] = tops[side].totals[0];
            row.means[mean::SLOPE + side] = slope(&tops[side]);
            let place = sum::DEPTH + side * DEPTHS_BP.len();
            row.sums[place..place + DEPTHS_BP.len()].copy_from_slice(&depths[side]);
        }
        let second = self.border / SECOND;
        self.dropped += self.ended.finish(second - 1, CELLS_MAX);
        self.rows.push_back(Row::new(second));
        self.border += SECOND;
        if self.rows.len() > ROWS_MAX {
            self.rows.pop_front();
            self.dropped += 1;
        }
    }

    /// Twice the mid.
    #[inline]
    fn mids(&self) -> Option<i128> {
        let [bid, ask] = self.touch;
        (self.known && bid != NULL && ask != NULL).then(|| i128::from(bid) + i128::from(ask))
    }

    fn look_again(&mut self, due: i64) {
        let mids = self.mids();
        if self.trades.due == due
            && let Some((nth, index)) = self.trades.first_due()
        {
            let traded = *self.trades.get(index);
            self.trades.done(nth);
            if let Some(mids) = mids {
                self.book_again(nth, traded, mids);
            }
            return;
        }
        if let Some((nth, index)) = self.shocks.first_due() {
            let (side, limit) = {
                let shock = self.shocks.get(index);
                (1 - usize::from(shock.side), shock.limit)
            };
            if let [bid, ask] = self.touch
                && mids.is_some()
            {
                let depth = self.levels.depth_to(side, limit);
                let shock = self.shocks.get(index);
                (shock.depths[nth], shock.spreads[nth]) = (depth, ask.saturating_sub(bid));
            }
            if let Some((_, shock)) = self.shocks.done(nth) {
                self.recovered.push_back(shock);
                if self.recovered.len() > ROWS_MAX {
                    self.recovered.pop_front();
                    self.dropped += 1;
                }
            }
        }
    }

    /// effective = realised + impact, of the same trades.
    fn book_again(&mut self, nth: usize, traded: Traded, mids: i128) {
        let effective = traded.paid - traded.mids * traded.signed;
        let realised = traded.paid - mids * traded.signed;
        let row = self.row();
        row.counts[count::PRICED_AT + nth] += traded.trades;
        row.add(sum::EFFECTIVE_AT + nth, effective);
        row.add(sum::REALISED_AT + nth, realised);
        row.add(sum::IMPACT_AT + nth, effective - realised);
        row.add(sum::WEIGHT_AT + nth, traded.mids * traded.size);
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

    fn opened(&mut self, told: &Told) {
        let Some((side, price, size)) = told.after.filter(|_| told.before.is_none()) else {
            return;
        };
        if side > ASK {
            return;
        }
        if told.step.flags & REENTRY != 0
            || told.life.is_some_and(|life| life.flags & REENTERED != 0)
        {
            self.row().count(count::REENTERED + usize::from(side));
            return;
        }
        let place = usize::from(side) * BUCKETS + self.bucket(side, price);
        let second = self.border / SECOND - 1;
        let row = self.row();
        row.count(count::ADDED + place);
        row.add(sum::ADDED + place, i128::from(size));
        let cohort = self.ended.cohort(second);
        cohort.orders += 1;
        cohort.size += i128::from(size);
    }

    fn changed(&mut self, told: &Told) {
        let Some((side, price, size)) = told.before else {
            return;
        };
        let (new_side, new_price, new_size) = told.after.unwrap_or((side, price, 0));
        if told.step.reason == REASON_TRADED_AS_TAKER {
            self.filled(told.life, size.saturating_sub(new_size));
        } else if side == new_side && price == new_price && new_size <= size {
            if new_size < size {
                self.hold(told, (side, price, size - new_size), false);
            }
        } else {
            let row = self.row();
            row.count(count::AMENDED + usize::from(side & 1));
            row.add(sum::AMENDED + usize::from(side & 1), i128::from(new_size));
            if let Some(opened) = seen(told.life).filter(|_| new_size > size) {
                self.ended.cohort(opened).size += i128::from(new_size - size);
            }
        }
    }

    fn done(&mut self, told: &Told) {
        let Some(place) = told.before else {
            return;
        };
        let Some(life) = told.life else {
            return;
        };
        match told.step.reason {
            REASON_FILLED => self.completed(life),
            _ => self.hold(told, place, true),
        }
    }

    /// A cancel, whole or in part; one that a trade may explain yet waits for it.
    fn hold(&mut self, told: &Told, (side, price, size): Place, whole: bool) {
        if side > ASK {
            return;
        }
        let Some(life) = told.life else {
            return;
        };
        let held = Held {
            id: life.id,
            ts: told.step.ts,
            second: self.border / SECOND - 1,
            place: usize::from(side) * BUCKETS + self.bucket(side, price),
            left: size,
            whole,
            touch: self.touch,
            lasted: told.step.ts.saturating_sub(life.opened),
            truncated: life.flags & LEFT_TRUNCATED != 0,
            opened: seen(Some(life)),
            next: None,
        };
        if told.step.reason == REASON_UNKNOWN || !whole {
            self.holds.push(held, &mut self.rows, &mut self.ended);
        } else {
            held.count(self.rows.back_mut(), &mut self.ended);
        }
    }

    /// An order traded; it may go on.
    fn filled(&mut self, life: Option<&Life>, size: i64) {
        let Some(opened) = seen(life) else {
            return;
        };
        let cohort = self.ended.cohort(opened);
        cohort.touched += i64::from(life.is_some_and(|life| life.fills == 1));
        cohort.filled_size += i128::from(size.max(0));
    }

    fn completed(&mut self, life: &Life) {
        let lasted = self.ts.saturating_sub(life.opened);
        self.row()
            .count(count::COMPLETED + usize::from(life.side & 1));
        let truncated = life.flags & LEFT_TRUNCATED != 0;
        self.ended.lifetime(FILLED, truncated, lasted);
        if let Some(opened) = seen(Some(life)) {
            self.ended.cohort(opened).filled += 1;
        }
    }

    fn matched(&mut self, told: &Told) {
        let step = told.step;
        if step.size <= 0 || step.price == NULL {
            return;
        }
        if step.flags & LATE != 0 {
            self.row().count(count::LATE);
            let touch = self.holds.explain(step.id, step.size);
            self.traded(step, touch.unwrap_or([NULL; 2]), true);
            self.filled(told.life, step.size);
            return;
        }
        self.traded(step, self.touch, false);
        if let (Some(place), Some(life)) = (told.before, told.life) {
            self.filled(told.life, step.size.min(place.2));
            if life.size == 0 {
                self.completed(life);
            }
        }
    }

    /// A trade; ``touch``: as it stood before.
    fn traded(&mut self, step: &Step, touch: [i64; 2], late: bool) {
        let taker = match (step.taker.side, step.side) {
            (side, _) if side <= ASK => usize::from(side),
            (_, side) if side <= ASK => usize::from(1 - side),
            _ => 2,
        };
        let (price, size) = (i128::from(step.price), i128::from(step.size));
        let taking = self.taking(step, taker, touch, late);
        let row = self.row();
        row.count(count::TRADES + taker);
        row.add(sum::VOLUME + taker, size);
        row.add(sum::NOTIONAL + taker, price * size);
        if step.kind == TRADE {
            row.count(count::HIDDEN);
            row.add(sum::HIDDEN, size);
        }
        if taker == 2 || taking[0] == NULL || taking[1] == NULL {
            return;
        }
        let sign = if taker == usize::from(BID) { 1 } else { -1 };
        let mids = i128::from(taking[0]) + i128::from(taking[1]);
        let traded = Traded {
            mids,
            trades: 1,
            paid: sign * 2 * price * size,
            signed: sign * size,
            size,
        };
        row.count(count::PRICED);
        row.add(sum::EFFECTIVE, traded.paid - mids * traded.signed);
        row.add(sum::WEIGHT, mids * size);
        row.add(sum::PRICED, size);
        let full = self.trades.len() >= TRADES_MAX;
        match self.trades.back() {
            Some((ts, same)) if same.mids == mids && (*ts == step.ts || full) => {
                same.trades += 1;
                same.paid += traded.paid;
                same.signed += traded.signed;
                same.size += traded.size;
            }
            _ if full => self.dropped += 1,
            _ => self.trades.push(step.ts, traded),
        }
    }

    /// The touch before the market order that a trade belongs to.
    fn taking(&mut self, step: &Step, taker: usize, touch: [i64; 2], late: bool) -> [i64; 2] {
        let same = self.taking.as_ref().is_some_and(|taking| {
            usize::from(taking.side) == taker
                && match (taking.id, step.taker.order_id) {
                    (Some(known), Some(id)) => known == id,
                    _ if step.ts_event != NULL && taking.ts_event != NULL => {
                        taking.ts_event == step.ts_event
                    }
                    _ => taking.ts == step.ts,
                }
        });
        if !same {
            self.row().count(count::MARKET_ORDERS + taker);
            let resting = 1 - taker.min(1);
            let known = taker < 2 && !late && touch[0] != NULL && touch[1] != NULL;
            let mids = i128::from(touch[0]) + i128::from(touch[1]);
            let depth = if known {
                self.levels
                    .depth_to(resting, limit(resting, mids, SHOCK_BP))
            } else {
                0
            };
            self.taking = Some(Taking {
                id: step.taker.order_id,
                side: taker as u8,
                ts: step.ts,
                ts_event: step.ts_event,
                touch,
                traded: 0,
                best: if known {
                    self.tops[resting].totals[0]
                } else {
                    0
                },
                depth,
                shocked: false,
            });
        }
        let taking = self.taking.as_mut().expect("it was just made");
        taking.traded += i128::from(step.size);
        let taken = *taking;
        if late {
            return touch;
        }
        if !taken.shocked && taken.best > 0 && 2 * taken.traded >= taken.best {
            taking.shocked = true;
            self.shock(&taken);
        }
        taken.touch
    }

    fn shock(&mut self, taken: &Taking) {
        self.row().count(count::SHOCKS);
        if self.shocks.len() >= SHOCKS_MAX {
            self.dropped += 1;
            return;
        }
        let [bid, ask] = taken.touch;
        let mids = i128::from(bid) + i128::from(ask);
        let shock = Shock {
            ts: self.ts,
            side: taken.side,
            traded: taken.traded,
            best: taken.best,
            depth: taken.depth,
            spread: ask.saturating_sub(bid),
            limit: limit(1 - usize::from(taken.side), mids, SHOCK_BP),
            depths: [0; SHOCK_DELAYS_NS.len()],
            spreads: [NULL; SHOCK_DELAYS_NS.len()],
        };
        self.shocks.push(self.ts, shock);
    }
}

/// When an order opened that was seen from its beginning, in seconds.
fn seen(life: Option<&Life>) -> Option<i64> {
    life.filter(|life| life.flags & LEFT_TRUNCATED == 0)
        .map(|life| life.opened.div_euclid(SECOND))
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

/// The mean, over neighbouring levels, of how the logarithm of what rests grows with the price.
fn slope(top: &Top) -> f64 {
    let (mut found, mut total) = (0.0, 0i128);
    let mut steps = 0;
    for level in 0..top.count {
        let before = total;
        total += top.totals[level];
        if level == 0 || before <= 0 || top.keys[level - 1] == 0 {
            continue;
        }
        let moved = (top.keys[level - 1] - top.keys[level]) as f64;
        let grown = (total as f64 / before as f64).ln();
        found += grown / (moved / top.keys[level - 1].unsigned_abs() as f64);
        steps += 1;
    }
    if steps == 0 {
        f64::NAN
    } else {
        found / f64::from(steps)
    }
}

impl Watch for Flow {
    #[inline]
    fn advance(&mut self, ts: i64) {
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
            traded.mids *= of_price;
            traded.paid *= of_price * of_size;
            traded.signed *= of_size;
            traded.size *= of_size;
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
            *total *= of_size;
        }
        self.ended.multiply(size);
        self.holds.multiply(price, size);
        self.taking = None;
    }
}

impl Shock {
    fn multiply(&mut self, price: i64, size: i64) {
        let of_size = i128::from(size);
        for total in [&mut self.traded, &mut self.best, &mut self.depth]
            .into_iter()
            .chain(&mut self.depths)
        {
            *total *= of_size;
        }
        self.limit *= i128::from(price);
        self.spread = self.spread.saturating_mul(price);
        for spread in self.spreads.iter_mut().filter(|spread| **spread != NULL) {
            *spread = spread.saturating_mul(price);
        }
    }
}
