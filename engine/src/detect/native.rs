//! Icebergs of the venue, where the feed shows them: an order that trades more than it showed, or that
//! shows its next peak under the same id as soon as the last is used up.

use std::collections::{HashMap, VecDeque};

use crate::detect::finding::{Finding, Kind, Outbox, Phase};
use crate::detect::parameters::{Parameters, ns};
use crate::events::{
    CHANGE, DONE, INFERRED, LATE, MATCH, NULL, OPEN, REASON_AMENDED, REASON_FILLED, REENTRY,
    SNAPSHOT,
};
use crate::ids::Id;
use crate::table::IdHashes;
use crate::watch::Told;

/// Orders that traded of late, and icebergs; the oldest are forgotten beyond.
const KNOWN_MAX: usize = 4_096;

struct Iceberg {
    side: u8,
    price: i64,
    began: i64,
    began_seq: i64,
    /// Of the last event that is of it.
    ended: i64,
    /// Of the last fill, and of the one that left nothing to see.
    filled_at: i64,
    empty_since: i64,
    shown: i64,
    filled: i64,
    peak_least: i64,
    peak_most: i64,
    /// Refreshes that nothing else explains, and those that something else might.
    hard: u32,
    soft: u32,
    overfilled: bool,
    inferred: bool,
    slowest: i64,
    number: u64,
}

pub struct Native {
    known: HashMap<Id, Iceberg, IdHashes>,
    /// Ids in the order of fills; one may be in it several times.
    fills: VecDeque<(i64, Id)>,
    /// Icebergs in the order in which they were found.
    found: VecDeque<Id>,
    refresh_ns: i64,
    over_ns: i64,
    soft_needed: u32,
    threshold: f64,
    /// Refreshes under one id: this venue keeps ids.
    pub refreshes: u64,
}

impl Native {
    pub fn new(parameters: &Parameters) -> Self {
        Self {
            known: HashMap::default(),
            fills: VecDeque::new(),
            found: VecDeque::new(),
            refresh_ns: ns(parameters.iceberg_refresh_ms),
            over_ns: ns(parameters
                .iceberg_over_ms
                .max(parameters.iceberg_refresh_ms)),
            soft_needed: parameters.iceberg_soft_refreshes as u32,
            threshold: parameters.iceberg_threshold,
            refreshes: 0,
        }
    }

    /// Those that traded and showed nothing more in time.
    pub fn advance(&mut self, ts: i64, out: &mut Outbox) {
        while let Some(&(at, id)) = self.fills.front() {
            let crowded = self.fills.len() > KNOWN_MAX;
            if !crowded && ts.saturating_sub(at) <= self.over_ns {
                return;
            }
            self.fills.pop_front();
            let Some(iceberg) = self.known.get(&id) else {
                continue;
            };
            if iceberg.filled_at != at {
                continue;
            }
            let over = iceberg.empty_since != NULL;
            let hopeful = iceberg.number != 0 || iceberg.soft > 0;
            if over || !hopeful || self.known.len() > KNOWN_MAX {
                let iceberg = self.known.remove(&id);
                if let Some(iceberg) = iceberg.filter(|iceberg| over && iceberg.number != 0) {
                    tell(id, &iceberg, Phase::Executed, out);
                }
            }
        }
    }

    pub fn take(&mut self, told: &Told, out: &mut Outbox) {
        let step = told.step;
        if step.flags & (LATE | SNAPSHOT | REENTRY) != 0 {
            return;
        }
        match step.kind {
            MATCH => self.fill(told, out),
            OPEN | CHANGE if !self.known.is_empty() => self.show(told, out),
            DONE if !self.known.is_empty() => {
                if let Some(mut iceberg) = self.known.remove(&step.id)
                    && iceberg.number != 0
                {
                    iceberg.ended = step.ts;
                    let gone = step.reason == REASON_FILLED || iceberg.empty_since != NULL;
                    let phase = if gone {
                        Phase::Executed
                    } else {
                        Phase::Cancelled
                    };
                    tell(step.id, &iceberg, phase, out);
                }
            }
            _ => {}
        }
    }

    fn fill(&mut self, told: &Told, out: &mut Outbox) {
        let step = told.step;
        let (Some((side, price, shown)), Some(life)) = (told.before, told.life) else {
            return;
        };
        let iceberg = self.known.entry(step.id).or_insert_with(|| Iceberg {
            side,
            price,
            began: life.opened,
            began_seq: life.opened_seq,
            ended: step.ts,
            filled_at: step.ts,
            empty_since: NULL,
            shown: life.size_first,
            filled: life.filled.saturating_sub(step.size.min(shown)),
            peak_least: life.size_first,
            peak_most: life.size_first,
            hard: 0,
            soft: 0,
            overfilled: false,
            inferred: false,
            slowest: 0,
            number: 0,
        });
        iceberg.filled = iceberg.filled.saturating_add(step.size);
        (iceberg.filled_at, iceberg.ended) = (step.ts, step.ts);
        iceberg.price = price;
        iceberg.inferred |= step.flags & INFERRED != 0;
        if told.after.is_none() {
            iceberg.empty_since = step.ts;
        }
        if step.size > shown && step.flags & INFERRED == 0 {
            iceberg.overfilled = true;
            iceberg.hard = iceberg.hard.saturating_add(1);
            self.judge(step.id, out);
        }
        self.fills.push_back((step.ts, step.id));
    }

    /// An order shows itself, or another size: whether that is the next peak.
    fn show(&mut self, told: &Told, out: &mut Outbox) {
        let step = told.step;
        let (Some(iceberg), Some((side, price, size))) = (self.known.get_mut(&step.id), told.after)
        else {
            return;
        };
        let (delay, peak) = if step.kind == OPEN {
            (step.ts.saturating_sub(iceberg.empty_since), size)
        } else {
            let before = told.before.map_or(size, |(_, _, before)| before);
            (
                step.ts.saturating_sub(iceberg.filled_at),
                size.saturating_sub(before),
            )
        };
        if (step.kind == OPEN) != (iceberg.empty_since != NULL) {
            return;
        }
        if (side, price) != (iceberg.side, iceberg.price) || delay > self.refresh_ns {
            // Another order under an old id, or an owner who changed a mind.
            if iceberg.number == 0 {
                self.known.remove(&step.id);
            } else {
                (iceberg.price, iceberg.empty_since) = (price, NULL);
            }
            return;
        }
        if peak <= 0 {
            return;
        }
        (iceberg.empty_since, iceberg.ended) = (NULL, step.ts);
        iceberg.slowest = iceberg.slowest.max(delay);
        iceberg.shown = iceberg.shown.saturating_add(peak);
        iceberg.peak_least = iceberg.peak_least.min(size);
        iceberg.peak_most = iceberg.peak_most.max(size);
        if step.reason == REASON_AMENDED || iceberg.inferred {
            iceberg.soft = iceberg.soft.saturating_add(1);
            if iceberg.soft == 1 {
                self.remember(step.id);
            }
        } else {
            iceberg.hard = iceberg.hard.saturating_add(1);
            self.refreshes += 1;
        }
        self.judge(step.id, out);
    }

    fn judge(&mut self, id: Id, out: &mut Outbox) {
        let Some(iceberg) = self.known.get_mut(&id) else {
            return;
        };
        if iceberg.hard == 0 && iceberg.soft < self.soft_needed || score(iceberg) < self.threshold {
            return;
        }
        if iceberg.number != 0 {
            tell(id, iceberg, Phase::Traded, out);
            return;
        }
        iceberg.number = out.next_number();
        tell(id, iceberg, Phase::Detected, out);
        self.remember(id);
    }

    /// One more that is, or may be, an iceberg; the oldest is forgotten beyond.
    fn remember(&mut self, id: Id) {
        self.found.push_back(id);
        if self.found.len() > KNOWN_MAX
            && let Some(oldest) = self.found.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    /// Events are missing: what became of any of them is not known.
    pub fn forget(&mut self) {
        self.known.clear();
        self.fills.clear();
        self.found.clear();
    }

    pub fn rescale(&mut self, price: i64, size: i64) {
        for iceberg in self.known.values_mut() {
            iceberg.price = iceberg.price.saturating_mul(price);
            for value in [
                &mut iceberg.shown,
                &mut iceberg.filled,
                &mut iceberg.peak_least,
                &mut iceberg.peak_most,
            ] {
                *value = value.saturating_mul(size);
            }
        }
    }
}

fn score(iceberg: &Iceberg) -> f64 {
    1.0 - 0.5f64.powi(
        iceberg
            .hard
            .min(9)
            .saturating_mul(3)
            .saturating_add(iceberg.soft)
            .min(60) as i32,
    )
}

fn tell(id: Id, iceberg: &Iceberg, phase: Phase, out: &mut Outbox) {
    let refreshes = f64::from(iceberg.hard) + f64::from(iceberg.soft);
    let mut finding = Finding::new(Kind::NativeIceberg, iceberg.side);
    finding.phase = phase;
    finding.number = iceberg.number;
    (finding.began, finding.began_seq) = (iceberg.began, iceberg.began_seq);
    finding.ended = iceberg.ended;
    (finding.price_low, finding.price_high) = (iceberg.price, iceberg.price);
    (finding.size, finding.filled) = (iceberg.shown, iceberg.filled);
    finding.score = score(iceberg);
    finding.evidence = vec![
        ("refreshed", 1.0 - 0.5f64.powf(refreshes)),
        (
            "traded more than shown",
            f64::from(u8::from(iceberg.overfilled)),
        ),
        ("prompt", 1.0 / (1.0 + iceberg.slowest as f64 / 5e6)),
        (
            "equal peaks",
            iceberg.peak_least as f64 / iceberg.peak_most.max(1) as f64,
        ),
    ];
    finding.against = vec![
        (
            "amended by its owner",
            f64::from(iceberg.soft) / refreshes.max(1.0),
        ),
        ("fills are concluded", f64::from(u8::from(iceberg.inferred))),
    ];
    finding.order_ids = vec![id];
    finding.orders = 1;
    out.tell(finding);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_an_iceberg_is_forgotten_beyond_a_bound() {
        let mut native = Native::new(&Parameters::default());
        for nth in 0..3 * KNOWN_MAX {
            native.remember(nth as Id);
        }
        assert_eq!(native.found.len(), KNOWN_MAX);
    }
}
