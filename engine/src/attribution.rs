//! Trades that name no order, and orders whose end nothing explained yet, waiting for each other.

use std::collections::{HashSet, VecDeque};

use crate::batch::Row;
use crate::events::{ASK, BID, MATCH, NULL};
use crate::ids::Id;
use crate::number::rescale;
use crate::table::IdHashes;

/// What a larger bound needs beyond this is made when it is needed.
const ROOM_MAX: usize = 100_000;

/// When and as which message something was said.
#[derive(Clone, Copy, Debug)]
pub struct Stamp {
    pub ts_recv: i64,
    pub ts_event: i64,
    pub venue_seq: i64,
}

#[derive(Clone, Copy, Debug)]
pub struct Trade {
    pub id: Id,
    /// The resting side.
    pub side: u8,
    pub price: i64,
    /// What no order explains yet.
    pub size: i64,
    /// How far off an order's price may be to round to this one.
    pub tolerance: u64,
    pub stamp: Stamp,
    /// No commit has looked at it yet.
    pub fresh: bool,
}

impl Trade {
    /// Whether an order of this side and price, changed at this venue time, can be its maker.
    pub fn fits(&self, side: u8, price: i64, ts_event: i64, exact: bool) -> bool {
        let in_time =
            ts_event == NULL || self.stamp.ts_event == NULL || ts_event >= self.stamp.ts_event;
        side == self.side && in_time && self.price_fits(price, exact)
    }

    /// Bitfinex trades show five significant digits, its raw book up to eight decimals: whether an order's
    /// price is the trade's or, not `exact`, rounds to it.
    #[inline]
    pub fn price_fits(&self, price: i64, exact: bool) -> bool {
        price == self.price || (!exact && price.abs_diff(self.price) <= self.tolerance)
    }
}

/// Half a unit of the fifth significant digit; zero for a price that shows more digits.
pub fn tolerance(price: i64) -> u64 {
    let digits = price.unsigned_abs().checked_ilog10().unwrap_or(0) + 1;
    let unit = 10u64.pow(digits.saturating_sub(5));
    if price.unsigned_abs().is_multiple_of(unit) {
        unit / 2
    } else {
        0
    }
}

pub fn row_at(stamp: Stamp) -> Row {
    Row {
        ts_recv: stamp.ts_recv,
        ts_event: stamp.ts_event,
        venue_seq: stamp.venue_seq,
        ..Row::EMPTY
    }
}

pub fn match_row(trade: &Trade, order_id: Id, price: i64, size: i64, ts_recv: i64) -> Row {
    Row {
        kind: MATCH,
        side: trade.side,
        order_id,
        price,
        size,
        trade_id: trade.id,
        taker_side: if trade.side == ASK { BID } else { ASK },
        ..row_at(Stamp {
            ts_recv,
            ..trade.stamp
        })
    }
}

/// Size that left an order and was not explained by a trade.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    pub id: Id,
    pub side: u8,
    pub price: i64,
    pub size: i64,
    pub ts_event: i64,
    pub ts_recv: i64,
}

/// Trades, and ends that no trade explained yet.
pub type Waiting = (VecDeque<Trade>, VecDeque<Ended>);

pub struct Trades {
    pub waiting: VecDeque<Trade>,
    ended: VecDeque<Ended>,
    known: HashSet<Id, IdHashes>,
    known_order: VecDeque<Id>,
    horizon_ns: i64,
    max: usize,
}

impl Trades {
    pub fn new(horizon_ns: i64, max: usize) -> Self {
        let max = max.max(1);
        let mut trades = Self {
            waiting: VecDeque::new(),
            ended: VecDeque::new(),
            known: HashSet::default(),
            known_order: VecDeque::new(),
            horizon_ns,
            max,
        };
        // Made and touched at once, so that memory does not grow for an hour until the bound is reached; a
        // set of twice the room takes back what removed ids held without growing.
        let room = max.min(ROOM_MAX);
        trades.known.reserve(2 * (room + 1));
        trades.known_order.reserve(room + 1);
        (0..room).for_each(|id| {
            trades.remember(id as Id);
        });
        trades.known.clear();
        trades.known_order.clear();
        trades
    }

    /// False where the id is known; the oldest is forgotten at the bound.
    pub fn remember(&mut self, id: Id) -> bool {
        if !self.known.insert(id) {
            return false;
        }
        self.known_order.push_back(id);
        if self.known_order.len() > self.max
            && let Some(oldest) = self.known_order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }

    /// Whether a waiting trade has the side and, at least rounded, the price of an order.
    pub fn may_explain(&self, side: u8, price: i64) -> bool {
        let fits = |trade: &Trade| trade.side == side && trade.price_fits(price, false);
        self.waiting.iter().any(fits)
    }

    pub fn note_ended(&mut self, ended: Ended) {
        if self.ended.len() >= self.max {
            self.ended.pop_front();
        }
        self.ended.push_back(ended);
    }

    pub fn prune_ended(&mut self, now: i64) {
        while self
            .ended
            .front()
            .is_some_and(|ended| now.saturating_sub(ended.ts_recv) > self.horizon_ns)
        {
            self.ended.pop_front();
        }
    }

    /// Takes what a trade explains from ends that were published before it came.
    pub fn take_ended(&mut self, trade: &mut Trade) -> Vec<(Ended, i64)> {
        let mut taken = Vec::new();
        for exact in [true, false] {
            for ended in &mut self.ended {
                if trade.size > 0
                    && ended.size > 0
                    && trade.fits(ended.side, ended.price, ended.ts_event, exact)
                {
                    let size = trade.size.min(ended.size);
                    ended.size -= size;
                    trade.size -= size;
                    taken.push((*ended, size));
                }
            }
        }
        self.ended.retain(|ended| ended.size > 0);
        taken
    }

    /// When the oldest waiting trade is past the horizon; i64::MAX where none waits.
    pub fn due(&self) -> i64 {
        let oldest = self.waiting.front();
        oldest.map_or(i64::MAX, |trade| {
            trade.stamp.ts_recv.saturating_add(self.horizon_ns)
        })
    }

    /// A trade past the horizon, or the oldest beyond the bound.
    pub fn pop_expired(&mut self, now: i64) -> Option<Trade> {
        let oldest = self.waiting.front()?;
        let expired = now.saturating_sub(oldest.stamp.ts_recv) > self.horizon_ns;
        if expired || self.waiting.len() > self.max {
            self.waiting.pop_front()
        } else {
            None
        }
    }

    /// What waits at larger scales (price, size), for `adopt`, or the field that doesn't fit.
    pub fn rescaled(&self, from: (u8, u8), to: (u8, u8)) -> Result<Waiting, &'static str> {
        type Field = &'static str;
        let larger = |price, size| {
            let price = rescale(price, from.0, to.0).ok_or("price")?;
            Ok::<_, Field>((price, rescale(size, from.1, to.1).ok_or("amount")?))
        };
        let waiting = self.waiting.iter().map(|trade| {
            let (price, size) = larger(trade.price, trade.size)?;
            Ok(Trade {
                price,
                size,
                tolerance: tolerance(price),
                ..*trade
            })
        });
        let ended = self.ended.iter().map(|ended| {
            let (price, size) = larger(ended.price, ended.size)?;
            Ok(Ended {
                price,
                size,
                ..*ended
            })
        });
        Ok((
            waiting.collect::<Result<_, Field>>()?,
            ended.collect::<Result<_, Field>>()?,
        ))
    }

    pub fn adopt(&mut self, waiting: Waiting) {
        (self.waiting, self.ended) = waiting;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_ids_are_known_in_room_that_is_made_once() {
        let max = 896;
        let mut trades = Trades::new(0, max);
        let room = (trades.known.capacity(), trades.known_order.capacity());
        for id in 0..200 * max as Id {
            assert!(trades.remember(id));
            assert!(!trades.remember(id));
        }
        // What removed ids hold counts as less; a set that grew has more.
        assert!(trades.known.capacity() <= room.0);
        assert_eq!(trades.known_order.capacity(), room.1);
        let newest = 199 * max as Id..200 * max as Id;
        assert!(newest.rev().all(|id| !trades.remember(id)));
        assert!(trades.remember(0));
    }
}
