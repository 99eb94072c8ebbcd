//! Time: what lasts is added up, seconds end, and what was to be looked at again is.

use crate::events::NULL;
use crate::flow::levels::Top;
use crate::flow::row::{DEPTHS_BP, Row, count, mean, sum};
use crate::flow::trading::Traded;
use crate::flow::{CELLS_MAX, Flow, QUIET_ROWS, ROWS_MAX, SECOND};

impl Flow {
    /// Everything that lasts, up to a time within the open second.
    #[inline]
    pub(super) fn integrate(&mut self, ts: i64) {
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
    pub(super) fn catch_up(&mut self, ts: i64) {
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
    pub(super) fn skip_quiet(&mut self, until: i64) {
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

    pub(super) fn finish_second(&mut self) {
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

    pub(super) fn look_again(&mut self, due: i64) {
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
    pub(super) fn book_again(&mut self, nth: usize, traded: Traded, mids: i128) {
        let effective = traded.paid - traded.mids * traded.signed;
        let realised = traded.paid - mids * traded.signed;
        let row = self.row();
        row.counts[count::PRICED_AT + nth] += traded.trades;
        row.add(sum::EFFECTIVE_AT + nth, effective);
        row.add(sum::REALISED_AT + nth, realised);
        row.add(sum::IMPACT_AT + nth, effective - realised);
        row.add(sum::WEIGHT_AT + nth, traded.mids * traded.size);
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
