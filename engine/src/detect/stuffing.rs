//! Quote stuffing: far more messages than usual for a second or longer, orders that are canceled as fast as
//! they come, few trades, and few prices and sizes or very short lives.

use std::collections::VecDeque;

use crate::detect::finding::{Finding, Kind, ORDERS_MAX, Outbox, ramp};
use crate::detect::market::Market;
use crate::detect::parameters::{Parameters, ns};
use crate::events::{ASK, BID, CHANGE, DONE, EVICT, LATE, MATCH, NULL, OPEN, REASON_FILLED, TRADE};
use crate::ids::Id;
use crate::watch::{Place, Told};

const SLOT_NS: i64 = 100_000_000;
/// Slots of a window of one second.
const SLOTS: usize = 10;
/// Places for signatures of side, price and size; two that share one count as one.
const SIGNATURES: usize = 256;
/// The few signatures that most messages have.
const FEW: usize = 5;
/// The share of the messages that each of them has at least.
const OFTEN: f64 = 0.03;
/// Orders that are remembered, to be named.
const ORDERS: usize = 512;
/// Those of a burst come no farther apart (ns).
const ALONE_NS: i64 = 60_000_000;
/// Eighths of octaves of messages a second.
const BINS: usize = 192;
/// Seconds after which all counts are halved: about the last half hour counts.
const HALVE_SECONDS: u32 = 1_200;
/// Seconds that must be known before anything is called unusual.
const LEAST_SECONDS: u32 = 20;

/// Messages a second, as a histogram.
struct Usual {
    counts: [u32; BINS],
    total: u32,
    threshold: f64,
    median: f64,
}

fn bin_of(messages: u32) -> usize {
    let value = f64::from(messages.max(1)).log2() * 8.0;
    (value as usize).min(BINS - 1)
}

fn middle(bin: usize) -> f64 {
    ((bin as f64 + 0.5) / 8.0).exp2()
}

impl Usual {
    fn add(&mut self, messages: u32, parameters: &Parameters) {
        self.counts[bin_of(messages)] += 1;
        self.total += 1;
        if self.total >= 2 * HALVE_SECONDS {
            self.total = 0;
            for count in &mut self.counts {
                *count /= 2;
                self.total += *count;
            }
        }
        if self.total < LEAST_SECONDS {
            return;
        }
        self.median = self.weighted_median(|value| value);
        let median = self.median;
        let deviation = self.weighted_median(|value| (value - median).abs());
        // Rates that hardly vary still vary by some hundredths.
        let deviation = deviation.max(0.05 * median);
        self.threshold = median + parameters.stuffing_deviations * deviation;
    }

    fn weighted_median(&self, of: impl Fn(f64) -> f64) -> f64 {
        let held = self
            .counts
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 0);
        let mut values: Vec<(f64, u32)> =
            held.map(|(bin, count)| (of(middle(bin)), *count)).collect();
        values.sort_unstable_by(|one, two| one.0.total_cmp(&two.0));
        let mut sum = 0;
        for (value, count) in values {
            sum += count;
            if sum * 2 >= self.total {
                return value;
            }
        }
        0.0
    }
}

#[derive(Clone)]
struct Slot {
    nth: i64,
    first_seq: i64,
    /// When its last message came.
    last: i64,
    messages: u32,
    adds: u32,
    cancels: u32,
    trades: u32,
    short: u32,
    signatures: [u16; SIGNATURES],
}

impl Slot {
    fn new(nth: i64) -> Self {
        Self {
            nth,
            first_seq: NULL,
            last: NULL,
            messages: 0,
            adds: 0,
            cancels: 0,
            trades: 0,
            short: 0,
            signatures: [0; SIGNATURES],
        }
    }
}

struct Came {
    ts: i64,
    signature: u8,
    id: Id,
    place: Place,
}

pub struct Stuffing {
    slots: Box<[Slot; SLOTS]>,
    usual: Usual,
    came: VecDeque<Came>,
    /// Messages of the second that goes on, and which it is.
    second: (i64, u32),
    /// When it was so last (ns).
    hot: i64,
    life_ns: i64,
    merge_ns: i64,
}

impl Stuffing {
    pub fn new(parameters: &Parameters) -> Self {
        Self {
            slots: Box::new(std::array::from_fn(|_| Slot::new(NULL))),
            usual: Usual {
                counts: [0; BINS],
                total: 0,
                threshold: f64::INFINITY,
                median: 0.0,
            },
            came: VecDeque::with_capacity(ORDERS),
            second: (NULL, 0),
            hot: NULL,
            life_ns: ns(parameters.stuffing_life_ms),
            merge_ns: ns(parameters.stuffing_merge_ms),
        }
    }

    fn slot(&mut self, nth: i64) -> &mut Slot {
        &mut self.slots[nth.rem_euclid(SLOTS as i64) as usize]
    }

    /// Looks at the second behind it whenever 100 ms are over.
    pub fn advance(&mut self, ts: i64, market: &Market, parameters: &Parameters, out: &mut Outbox) {
        let nth = ts.div_euclid(SLOT_NS);
        if self.slot(nth).nth == nth {
            return;
        }
        self.look(nth, parameters, out);
        let second = ts.div_euclid(1_000_000_000);
        if second != self.second.0 {
            let (last, messages) = self.second;
            let quiet = self.hot == NULL || ts.saturating_sub(self.hot) > 1_500_000_000;
            // The first is not a whole one; seconds without any message say nothing.
            if last != NULL && last.saturating_mul(1_000_000_000) >= market.since && quiet {
                self.usual.add(messages, parameters);
            }
            self.second = (second, 0);
        }
        *self.slot(nth) = Slot::new(nth);
    }

    pub fn take(&mut self, told: &Told) {
        let step = told.step;
        if step.flags & LATE != 0 || step.kind == EVICT {
            return;
        }
        self.second.1 = self.second.1.saturating_add(1);
        let place = told.after.or(told.before);
        let signature = place.map_or(0, signature);
        let nth = step.ts.div_euclid(SLOT_NS);
        let life_ns = self.life_ns;
        let slot = self.slot(nth);
        if slot.nth != nth {
            return;
        }
        if slot.first_seq == NULL {
            slot.first_seq = step.seq;
        }
        slot.last = slot.last.max(step.ts);
        slot.messages = slot.messages.saturating_add(1);
        if place.is_some() {
            let count = &mut slot.signatures[usize::from(signature)];
            *count = count.saturating_add(1);
        }
        match step.kind {
            OPEN => {
                slot.adds = slot.adds.saturating_add(1);
                if let Some(place) = told.after {
                    if self.came.len() >= ORDERS {
                        self.came.pop_front();
                    }
                    let (ts, id) = (step.ts, step.id);
                    self.came.push_back(Came {
                        ts,
                        signature,
                        id,
                        place,
                    });
                }
            }
            DONE if step.reason != REASON_FILLED => {
                slot.cancels = slot.cancels.saturating_add(1);
                let short = told
                    .life
                    .is_some_and(|life| step.ts.saturating_sub(life.opened) <= life_ns);
                slot.short = slot.short.saturating_add(u32::from(short));
            }
            MATCH | TRADE => slot.trades = slot.trades.saturating_add(1),
            CHANGE => {}
            _ => {}
        }
    }

    /// The second before the slot that begins.
    fn look(&mut self, nth: i64, parameters: &Parameters, out: &mut Outbox) {
        let first = nth.saturating_sub(SLOTS as i64);
        let threshold = self.usual.threshold.max(parameters.stuffing_rate_min);
        let window: Vec<&Slot> = self
            .slots
            .iter()
            .filter(|slot| slot.nth >= first && slot.nth < nth)
            .collect();
        let sum = |get: fn(&Slot) -> u32| {
            window.iter().map(|slot| u64::from(get(slot))).sum::<u64>() as f64
        };
        let messages = sum(|slot| slot.messages);
        if messages < threshold {
            return;
        }
        let full = window
            .iter()
            .filter(|slot| f64::from(slot.messages) >= 0.06 * threshold);
        let lasting = full.count() as f64 / SLOTS as f64;
        let (adds, cancels) = (sum(|slot| slot.adds), sum(|slot| slot.cancels));
        let trades = sum(|slot| slot.trades) / messages;
        let balance = cancels.min(adds) / cancels.max(adds).max(1.0);
        let short = 2.0 * sum(|slot| slot.short) / messages;
        let mut counts = [(0u32, 0u8); SIGNATURES];
        for (signature, count) in counts.iter_mut().enumerate() {
            count.1 = signature as u8;
            count.0 = window
                .iter()
                .map(|slot| u32::from(slot.signatures[signature]))
                .sum();
        }
        counts.sort_unstable_by(|one, two| two.cmp(one));
        let few = counts[..FEW]
            .iter()
            .map(|(count, _)| f64::from(*count))
            .sum::<f64>()
            / messages;
        if lasting < parameters.stuffing_share
            || balance < parameters.stuffing_cancels
            || trades > parameters.stuffing_trades_max
            || (few < parameters.stuffing_concentration && short < parameters.stuffing_short)
        {
            return;
        }
        let evidence = vec![
            ("messages", ramp(messages / threshold, 0.5, 2.0)),
            ("canceled as they come", balance),
            ("few prices and sizes", few.min(1.0)),
            ("short lives", short.min(1.0)),
            ("lasting", lasting),
        ];
        let against = vec![(
            "trades",
            ramp(trades, 0.0, parameters.stuffing_trades_max.max(1e-9)),
        )];
        let score = evidence.iter().map(|(_, part)| part).sum::<f64>() / 5.0 - 0.1 * against[0].1;
        if score < parameters.stuffing_threshold {
            return;
        }
        let now = out.now.1;
        let known = self.hot != NULL && now.saturating_sub(self.hot) <= self.merge_ns;
        self.hot = now;
        if known {
            return;
        }
        let first = window
            .iter()
            .map(|slot| slot.nth)
            .min()
            .unwrap_or(nth)
            .saturating_mul(SLOT_NS);
        let began_seq = window
            .iter()
            .map(|slot| slot.first_seq)
            .filter(|seq| *seq != NULL)
            .min();
        // One that few messages have is somebody else's, who is named by chance.
        let often = |count: &(u32, u8)| f64::from(count.0) >= OFTEN * messages;
        let named = |came: &&Came| {
            let same = |count: &(u32, u8)| often(count) && count.1 == came.signature;
            few < 0.3 || counts[..FEW].iter().any(same)
        };
        let recent = || self.came.iter().rev().filter(|came| came.ts >= first);
        let mut orders: Vec<&Came> = recent().filter(named).take(ORDERS_MAX).collect();
        if orders.len() <= FEW {
            // The price went on, and they with it.
            orders = recent().take(ORDERS_MAX).collect();
        }
        // Whoever came alone before or behind them is somebody else.
        let usual = usual_gap(&orders);
        let together = |one: &&Came, two: &&Came| {
            one.ts.saturating_sub(two.ts) <= ALONE_NS.min(usual.saturating_mul(8))
        };
        if let Some(most) = orders.chunk_by(together).max_by_key(|run| run.len()) {
            orders = most.to_vec();
        }
        // The more so right before the first: with it the burst would begin too early.
        let usual = usual_gap(&orders);
        let before = |pair: &[&Came]| pair[0].ts.saturating_sub(pair[1].ts) > usual * 3;
        let early = orders.len() - orders.len() / 10;
        if let Some(nth) = orders[early.saturating_sub(1)..]
            .windows(2)
            .position(before)
        {
            orders.truncate(early.saturating_sub(1) + nth + 1);
        }
        let began = orders.last().map_or(first, |came| came.ts);
        let asks = orders.iter().filter(|came| came.place.0 == ASK).count();
        let side = if asks * 2 > orders.len() { ASK } else { BID };
        let mut finding = Finding::new(Kind::QuoteStuffing, side);
        let last = window.iter().map(|slot| slot.last).max();
        (finding.began, finding.ended) = (began, last.unwrap_or(now).max(began));
        finding.began_seq = began_seq.unwrap_or(0);
        finding.price_low = orders.iter().map(|came| came.place.1).min().unwrap_or(0);
        finding.price_high = orders.iter().map(|came| came.place.1).max().unwrap_or(0);
        finding.size = orders
            .iter()
            .map(|came| came.place.2)
            .fold(0, i64::saturating_add);
        (finding.score, finding.evidence, finding.against) =
            (score.clamp(0.0, 1.0), evidence, against);
        finding.order_ids = orders.iter().rev().map(|came| came.id).collect();
        finding.orders = adds as u64;
        out.tell(finding);
    }

    pub fn forget(&mut self) {
        self.slots
            .iter_mut()
            .for_each(|slot| *slot = Slot::new(NULL));
        self.came.clear();
        self.second = (NULL, 0);
        self.hot = NULL;
    }

    pub fn rescale(&mut self, price: i64, size: i64) {
        for came in &mut self.came {
            came.place.1 = came.place.1.saturating_mul(price);
            came.place.2 = came.place.2.saturating_mul(size);
        }
    }
}

/// From one order to the next, newest first: the median, no less than a quarter of the mean (ns).
fn usual_gap(orders: &[&Came]) -> i64 {
    let pairs = orders.windows(2);
    let mut gaps: Vec<i64> = pairs
        .map(|pair| pair[0].ts.saturating_sub(pair[1].ts))
        .collect();
    gaps.sort_unstable();
    let sum = gaps.iter().copied().fold(0, i64::saturating_add);
    let mean = sum / gaps.len().max(1) as i64;
    let median = gaps.get(gaps.len() / 2).copied().unwrap_or(0);
    median.max(mean / 4).min(ALONE_NS)
}

fn signature((side, price, size): Place) -> u8 {
    let mixed = (price as u64)
        .wrapping_mul(0x9E37_79B9_7F4A_7C15)
        .wrapping_add((size as u64).rotate_left(17) ^ u64::from(side))
        .wrapping_mul(0xC2B2_AE3D_27D4_EB4F);
    (mixed >> 56) as u8
}
