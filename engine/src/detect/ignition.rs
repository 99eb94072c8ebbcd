//! Momentum ignition: a burst of aggressive trades one way that moves the price, and trades back into those
//! who followed.

use std::collections::VecDeque;

use crate::detect::finding::{Finding, Kind, Outbox, logistic, ramp};
use crate::detect::loud::alike;
use crate::detect::market::{Market, other};
use crate::detect::parameters::{Parameters, ns};
use crate::detect::rates::Rate;
use crate::detect::spoof::weighed;
use crate::events::{ASK, BID, LATE, MATCH, NO_SIDE, NULL, TRADE};
use crate::ids::Id;
use crate::watch::Told;

/// Aggressive orders that are remembered; the oldest is forgotten beyond.
const TAKEN_MAX: usize = 256;

/// Weights of the parts, by logistic regression over simulated markets of the tuning seeds.
const BIAS: f64 = -14.0;
const FOR: [f64; 6] = [12.0, 2.7, 2.1, 3.2, 0.9, 4.0];
const AGAINST: [f64; 1] = [1.6];

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

/// A burst one way, and what has come back since.
struct Burst {
    from: Taken,
    last: i64,
    prices: (i64, i64),
    count: u32,
    size: i64,
    against: i64,
    moved: f64,
    equal: f64,
    back: i64,
    returns: u32,
    ids: Vec<Id>,
}

pub struct Ignition {
    taken: VecDeque<Taken>,
    /// The last is not judged yet: more of it may come.
    waiting: bool,
    /// By the taker's side.
    bursts: [Option<Burst>; 2],
    /// Volume a second, by the taker's side.
    volume: [Rate; 2],
    /// No burst begins before this.
    after: i64,
    mid: i64,
    burst_ns: i64,
    back_ns: i64,
}

impl Ignition {
    pub fn new(parameters: &Parameters) -> Self {
        Self {
            taken: VecDeque::new(),
            waiting: false,
            bursts: [None, None],
            volume: Default::default(),
            after: NULL,
            mid: NULL,
            burst_ns: ns(parameters.ignition_burst_ms),
            back_ns: ns(parameters.ignition_back_ms),
        }
    }

    pub fn advance(&mut self, ts: i64, market: &Market, parameters: &Parameters, out: &mut Outbox) {
        if self.waiting && self.taken.back().is_some_and(|last| last.ts < ts) {
            self.judge(market, parameters, out);
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
        if let Some(last) = self.taken.back_mut()
            && self.waiting
            && last.side == side
            && last.ts == step.ts
            && (step.taker.order_id.is_none() || last.id == step.taker.order_id)
        {
            last.size = last.size.saturating_add(step.size);
            last.price = step.price;
            return;
        }
        if self.waiting {
            self.judge(market, parameters, out);
        }
        while self.taken.len() >= TAKEN_MAX
            || self
                .taken
                .front()
                .is_some_and(|first| step.ts.saturating_sub(first.ts) > self.burst_ns)
        {
            self.taken.pop_front();
        }
        self.waiting = true;
        self.taken.push_back(Taken {
            ts: step.ts,
            seq: step.seq,
            side,
            id: step.taker.order_id,
            size: step.size,
            price: step.price,
            mid: self.mid,
        });
    }

    /// The last aggressive order: one more of a burst, or one that goes back.
    fn judge(&mut self, market: &Market, parameters: &Parameters, out: &mut Outbox) {
        self.waiting = false;
        let Some(last) = self.taken.back().copied() else {
            return;
        };
        self.go_back(last, market, parameters, out);
        self.volume[usize::from(last.side == ASK)].add(last.ts, last.size as f64);
        if let Some(burst) = self.burst(last, market, parameters) {
            let known = &mut self.bursts[usize::from(last.side == ASK)];
            let stale = |known: &Burst| last.ts.saturating_sub(known.last) > self.back_ns;
            if known
                .as_ref()
                .is_none_or(|known| stale(known) || burst.size >= known.size)
            {
                *known = Some(burst);
            }
        }
    }

    /// The last trades of one side as a burst, where they are one.
    fn burst(&self, last: Taken, market: &Market, parameters: &Parameters) -> Option<Burst> {
        let mut burst = Burst {
            from: last,
            last: last.ts,
            prices: (last.price, last.price),
            count: 0,
            size: 0,
            against: 0,
            moved: 0.0,
            equal: 0.0,
            back: 0,
            returns: 0,
            ids: Vec::new(),
        };
        let mut equal = 0i64;
        for taken in self.taken.iter().rev() {
            let old = last.ts.saturating_sub(taken.ts) > self.burst_ns;
            if old || self.after != NULL && taken.ts <= self.after {
                break;
            }
            if taken.side != last.side {
                burst.against = burst.against.saturating_add(taken.size);
                continue;
            }
            burst.from = *taken;
            burst.count += 1;
            burst.size = burst.size.saturating_add(taken.size);
            burst.prices = (
                burst.prices.0.min(taken.price),
                burst.prices.1.max(taken.price),
            );
            if alike(taken.size, last.size, 0.02) {
                equal = equal.saturating_add(taken.size);
            }
            burst.ids.extend(taken.id);
        }
        if f64::from(burst.count) < parameters.ignition_trades || burst.against > burst.size / 2 {
            return None;
        }
        burst.ids.reverse();
        burst.equal = equal as f64 / burst.size.max(1) as f64;
        let (from, to) = (burst.from.mid, market.twice_mid());
        if from != NULL && to != NULL && market.swing > 0.0 {
            let sign = if last.side == ASK { -1.0 } else { 1.0 };
            burst.moved = sign * (to as f64 - from as f64) / market.swing;
        }
        (burst.moved > 0.0).then_some(burst)
    }

    /// Whether a trade takes back what a burst of the other side had gained.
    fn go_back(&mut self, last: Taken, market: &Market, parameters: &Parameters, out: &mut Outbox) {
        let at = usize::from(last.side != ASK);
        let Some(burst) = &mut self.bursts[at] else {
            return;
        };
        if last.ts.saturating_sub(burst.last) > self.back_ns {
            self.bursts[at] = None;
            return;
        }
        burst.back = burst.back.saturating_add(last.size);
        burst.returns += 1;
        if burst.ids.len() < TAKEN_MAX {
            burst.ids.extend(last.id);
        }
        let share = burst.back as f64 / burst.size.max(1) as f64;
        if burst.returns < 2 || share < parameters.ignition_back {
            return;
        }
        let seconds = self.burst_ns as f64 * 1e-9;
        let usual = self.volume[at].per_second(last.ts, market.since) * seconds;
        let times = burst.size as f64 / usual.max(1.0);
        let evidence = vec![
            ("volume", ramp(times.ln(), 0.0, 4.0)),
            ("the price went its way", ramp(burst.moved, 0.0, 6.0)),
            (
                "one way",
                1.0 - ramp(burst.against as f64 / burst.size.max(1) as f64, 0.0, 0.5),
            ),
            ("equal sizes", burst.equal),
            ("trades", ramp(f64::from(burst.count), 2.0, 8.0)),
            ("traded back", ramp(share, 0.0, 0.5)),
        ];
        let against = vec![("more came back than went", ramp(share, 1.0, 3.0))];
        let score = logistic(BIAS + weighed(&evidence, &FOR) - weighed(&against, &AGAINST));
        if score < parameters.ignition_threshold {
            return;
        }
        let Some(burst) = self.bursts[at].take() else {
            return;
        };
        let mut finding = Finding::new(Kind::MomentumIgnition, other(last.side));
        (finding.began, finding.began_seq) = (burst.from.ts, burst.from.seq);
        finding.ended = last.ts;
        (finding.price_low, finding.price_high) = burst.prices;
        (finding.size, finding.filled) = (burst.size, burst.size.saturating_add(burst.back));
        (finding.score, finding.evidence, finding.against) = (score, evidence, against);
        finding.orders = u64::from(burst.count) + u64::from(burst.returns);
        finding.order_ids = burst.ids;
        self.after = last.ts.saturating_add(self.back_ns / 2);
        out.tell(finding);
    }

    pub fn forget(&mut self) {
        self.taken.clear();
        self.waiting = false;
        self.bursts = [None, None];
        self.mid = NULL;
    }

    pub fn rescale(&mut self, price: i64, size: i64) {
        for burst in self.bursts.iter_mut().flatten() {
            for value in [&mut burst.prices.0, &mut burst.prices.1] {
                *value = value.saturating_mul(price);
            }
            for value in [&mut burst.size, &mut burst.against, &mut burst.back] {
                *value = value.saturating_mul(size);
            }
        }
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
