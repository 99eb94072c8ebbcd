//! Momentum ignition: a burst of aggressive trades one way that moves the price, and trades back into those
//! who followed.

use std::collections::VecDeque;

use crate::detect::finding::{Finding, Kind, Outbox, logistic, ramp};
use crate::detect::market::{Market, other};
use crate::detect::parameters::{Parameters, ns};
use crate::detect::rates::Rate;
use crate::events::{ASK, BID, LATE, MATCH, NO_SIDE, NULL, TRADE};
use crate::ids::Id;
use crate::watch::Told;

/// Aggressive orders that are remembered; the oldest is forgotten beyond.
const TAKEN_MAX: usize = 256;

/// What one aggressive order took.
#[derive(Clone, Copy)]
struct Taken {
    ts: i64,
    seq: i64,
    side: u8,
    id: Option<Id>,
    size: i64,
    price: i64,
    /// Twice the mid before it.
    mid: i64,
}

pub struct Ignition {
    taken: VecDeque<Taken>,
    /// Volume a second, by the taker's side.
    volume: [Rate; 2],
    /// No finding begins before this.
    after: i64,
    mid: i64,
    burst_ns: i64,
    back_ns: i64,
}

/// The trades of one side in a burst.
struct Burst {
    count: u32,
    size: i64,
    against: i64,
    from: usize,
    to: usize,
    moved: f64,
}

impl Ignition {
    pub fn new(parameters: &Parameters) -> Self {
        Self {
            taken: VecDeque::new(),
            volume: Default::default(),
            after: NULL,
            mid: NULL,
            burst_ns: ns(parameters.ignition_burst_ms),
            back_ns: ns(parameters.ignition_back_ms),
        }
    }

    pub fn take(
        &mut self,
        told: &Told,
        market: &Market,
        parameters: &Parameters,
        out: &mut Outbox,
    ) {
        let step = told.step;
        if !matches!(step.kind, MATCH | TRADE) || step.flags & LATE != 0 || step.size <= 0 {
            self.mid = market.twice_mid();
            return;
        }
        let side = match (step.taker.side, step.side) {
            (NO_SIDE, BID | ASK) => other(step.side),
            (NO_SIDE, _) => return,
            (side, _) => side,
        };
        let at = usize::from(side == ASK);
        self.volume[at].add(step.ts, step.size as f64);
        let same = |last: &Taken| {
            last.side == side
                && last.ts == step.ts
                && (step.taker.order_id.is_none() || last.id == step.taker.order_id)
        };
        match self.taken.back_mut() {
            Some(last) if same(last) => {
                last.size = last.size.saturating_add(step.size);
                last.price = step.price;
                return;
            }
            _ => {}
        }
        let (horizon, max) = (
            self.burst_ns.saturating_add(self.back_ns).saturating_mul(2),
            TAKEN_MAX,
        );
        while self.taken.len() >= max
            || self
                .taken
                .front()
                .is_some_and(|first| step.ts.saturating_sub(first.ts) > horizon)
        {
            self.taken.pop_front();
        }
        self.taken.push_back(Taken {
            ts: step.ts,
            seq: step.seq,
            side,
            id: step.taker.order_id,
            size: step.size,
            price: step.price,
            mid: self.mid,
        });
        self.judge(market, parameters, out);
    }

    /// Whether the last trades went back what a burst of the other side had gained.
    fn judge(&mut self, market: &Market, parameters: &Parameters, out: &mut Outbox) {
        let Some(last) = self.taken.back().copied() else {
            return;
        };
        let (burst_side, mut back, mut returns) = (other(last.side), 0i64, 0u32);
        let mut first_back = self.taken.len();
        for (nth, taken) in self.taken.iter().enumerate().rev() {
            if taken.side != last.side || last.ts.saturating_sub(taken.ts) > self.burst_ns {
                break;
            }
            back = back.saturating_add(taken.size);
            returns += 1;
            first_back = nth;
        }
        if returns < 2 || first_back == 0 {
            return;
        }
        let Some(burst) = self.burst(first_back, burst_side, market) else {
            return;
        };
        let began = self.taken[burst.from];
        let quiet = self.taken[first_back]
            .ts
            .saturating_sub(self.taken[burst.to].ts);
        if f64::from(burst.count) < parameters.ignition_trades
            || quiet > self.back_ns
            || self.after != NULL && began.ts <= self.after
        {
            return;
        }
        let seconds = self.burst_ns as f64 * 1e-9;
        let usual =
            self.volume[usize::from(burst_side == ASK)].per_second(last.ts, market.since) * seconds;
        let times = burst.size as f64 / usual.max(1.0);
        let share = back as f64 / burst.size.max(1) as f64;
        let evidence = vec![
            ("volume", ramp(times.ln(), 0.0, 3.0)),
            ("the price went its way", ramp(burst.moved, 0.0, 4.0)),
            (
                "one way",
                1.0 - ramp(burst.against as f64 / burst.size.max(1) as f64, 0.0, 0.5),
            ),
            ("traded back", ramp(share, 0.0, 0.5)),
            ("trades", ramp(f64::from(burst.count), 2.0, 8.0)),
        ];
        let against = vec![("more came back than went", ramp(share, 1.0, 3.0))];
        let sum: f64 = evidence.iter().map(|(_, part)| part).sum();
        let score = logistic(4.0 * (sum - 3.6) - 2.0 * against[0].1);
        if score < parameters.ignition_threshold {
            return;
        }
        let orders: Vec<&Taken> = self.taken.range(burst.from..).collect();
        let mut finding = Finding::new(Kind::MomentumIgnition, burst_side);
        (finding.began, finding.began_seq) = (began.ts, began.seq);
        finding.ended = last.ts;
        finding.price_low = orders.iter().map(|taken| taken.price).min().unwrap_or(0);
        finding.price_high = orders.iter().map(|taken| taken.price).max().unwrap_or(0);
        (finding.size, finding.filled) = (burst.size, burst.size.saturating_add(back));
        (finding.score, finding.evidence, finding.against) = (score, evidence, against);
        finding.order_ids = orders.iter().filter_map(|taken| taken.id).collect();
        finding.orders = orders.len() as u64;
        self.after = last.ts.saturating_add(self.back_ns);
        out.tell(finding);
    }

    /// The densest trades of a side that end before a place.
    fn burst(&self, before: usize, side: u8, market: &Market) -> Option<Burst> {
        let last = (0..before)
            .rev()
            .find(|&nth| self.taken[nth].side == side)?;
        let end = self.taken[last].ts;
        let mut burst = Burst {
            count: 0,
            size: 0,
            against: 0,
            from: last,
            to: last,
            moved: 0.0,
        };
        for nth in (0..=last).rev() {
            let taken = self.taken[nth];
            if end.saturating_sub(taken.ts) > self.burst_ns {
                break;
            }
            if taken.side == side {
                burst.count += 1;
                burst.size = burst.size.saturating_add(taken.size);
                burst.from = nth;
            } else {
                burst.against = burst.against.saturating_add(taken.size);
            }
        }
        let (from, to) = (self.taken[burst.from].mid, self.taken[before].mid);
        if from != NULL && to != NULL && market.swing > 0.0 {
            let sign = if side == ASK { -1.0 } else { 1.0 };
            burst.moved = sign * (to as f64 - from as f64) / market.swing;
        }
        Some(burst)
    }

    pub fn forget(&mut self) {
        self.taken.clear();
        self.mid = NULL;
    }

    pub fn rescale(&mut self, price: i64, size: i64) {
        for taken in &mut self.taken {
            taken.size = taken.size.saturating_mul(size);
            for value in [&mut taken.price, &mut taken.mid] {
                if *value != NULL {
                    *value = value.saturating_mul(price);
                }
            }
        }
        if self.mid != NULL {
            self.mid = self.mid.saturating_mul(price);
        }
        for rate in &mut self.volume {
            rate.multiply(size as f64);
        }
    }
}
