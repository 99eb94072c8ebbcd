//! Trades, the market orders they belong to, and what those cost and left.

use crate::events::{ASK, BID, LATE, NULL, TRADE};
use crate::flow::levels::limit;
use crate::flow::row::{count, sum};
use crate::flow::{Flow, SHOCK_BP, SHOCK_DELAYS_NS, SHOCKS_MAX, TRADES_MAX};
use crate::ids::Id;
use crate::watch::{Step, Told};

/// Trades at one time around one mid: sums over them, `side` +1 where the taker bought.
#[derive(Clone, Copy)]
pub struct Traded {
    pub mids: i128,
    pub trades: i64,
    /// side * 2 * price * size, side * size, size.
    pub paid: i128,
    pub signed: i128,
    pub size: i128,
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
    pub limit: i128,
    pub depths: [i128; SHOCK_DELAYS_NS.len()],
    /// NULL where a side was empty or the book not known.
    pub spreads: [i64; SHOCK_DELAYS_NS.len()],
}

/// The market order that trades belong to now.
#[derive(Clone, Copy)]
pub struct Taking {
    pub id: Option<Id>,
    side: u8,
    ts: i64,
    pub ts_event: i64,
    pub touch: [i64; 2],
    pub traded: i128,
    pub best: i128,
    pub depth: i128,
    pub shocked: bool,
}

impl Flow {
    pub(super) fn matched(&mut self, told: &Told) {
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
    pub(super) fn traded(&mut self, step: &Step, touch: [i64; 2], late: bool) {
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
    pub(super) fn taking(
        &mut self,
        step: &Step,
        taker: usize,
        touch: [i64; 2],
        late: bool,
    ) -> [i64; 2] {
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

    pub(super) fn shock(&mut self, taken: &Taking) {
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

impl Shock {
    pub fn multiply(&mut self, price: i64, size: i64) {
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
