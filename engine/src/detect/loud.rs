//! Large orders that are shown and withdrawn: what spoofing and layering look like from outside.
//!
//! An order is followed from when it comes; what is said of it waits a little behind its end, because who
//! quotes it anew means it.

use std::collections::{HashMap, VecDeque};

use crate::detect::finding::Outbox;
use crate::detect::market::{Market, is_new, other};
use crate::detect::parameters::{Parameters, ns};
use crate::detect::rates::{FAR_BUCKET, bucket};
use crate::detect::{layering, spoof};
use crate::events::{
    ASK, CHANGE, DONE, EVICT, LATE, MATCH, NULL, REASON_CANCELED, REASON_FILLED, REASON_SELF_TRADE,
    REASON_TRADED_AS_TAKER, REASON_UNKNOWN,
};
use crate::ids::Id;
use crate::number::power_of_ten;
use crate::table::IdHashes;
use crate::watch::Told;

/// Large orders that are followed; the oldest are forgotten beyond.
const SHOWN_MAX: usize = 4_096;
/// Orders that went and are looked at together; the oldest are judged before their time beyond.
pub const GONE_MAX: usize = 256;
/// Large orders that went within REPEAT_NS, for repetition.
const HISTORY_MAX: usize = 64;
const REPEAT_NS: i64 = 600_000_000_000;
/// So far behind the touch is near (basis points).
const NEAR_BP: i64 = 10;

/// A large order, as it came.
#[derive(Clone)]
pub struct Shown {
    pub id: Id,
    pub side: u8,
    pub price: i64,
    pub size: i64,
    pub opened: i64,
    pub opened_seq: i64,
    /// Twice the mid then.
    pub mid: i64,
    /// How far behind the touch it came (basis points).
    pub behind_bp: f64,
    /// Size in medians of its distance.
    pub medians: f64,
    /// Its share of what rested within ten basis points of its side's touch.
    pub share: f64,
    /// How far it tilted the imbalance of what rests there.
    pub tilt: f64,
    /// How many more orders than usual came with it.
    pub company: f64,
    /// An order of its size went just before.
    pub renewed: bool,
    /// How many times oftener orders of its very size came before it than of any size.
    pub common: f64,
    /// What of it had traded before it was as large.
    pub filled: i64,
}

/// Places for sizes; two that share one count together.
const SIZES: usize = 1 << 15;
/// Counts are halved so often.
const HALVE_NS: i64 = 3_600_000_000_000;

/// How often large orders of a size come, of late or from before.
struct Common {
    counts: Box<[u16; SIZES]>,
    total: u32,
    halved: i64,
}

impl Common {
    fn new() -> Self {
        Self {
            counts: Box::new([0; SIZES]),
            total: 0,
            halved: 0,
        }
    }

    /// How many times oftener orders of this size came before it than of any size.  `unit`: one of the
    /// world's at the scale of sizes.
    fn count(&mut self, ts: i64, size: i64, unit: f64) -> f64 {
        if ts.saturating_sub(self.halved) > HALVE_NS {
            self.halved = ts;
            self.counts.iter_mut().for_each(|count| *count /= 2);
            self.total /= 2;
        }
        // Sizes that differ by less than a thousandth are one.
        let bits = (size as f64 / unit).to_bits() >> 42;
        let place = bits.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - 15);
        let count = &mut self.counts[place as usize];
        let before = f64::from(*count);
        *count = count.saturating_add(1);
        self.total = self.total.saturating_add(1);
        (before + 1.0) / (f64::from(self.total) / SIZES as f64 + 1.0)
    }
}

/// One that went.
#[derive(Clone)]
pub struct Gone {
    pub shown: Shown,
    pub ended: i64,
    pub filled: i64,
    pub price: i64,
    pub mid: i64,
    pub touch: i64,
    /// Said or not before this.
    pub deadline: i64,
    pub unexplained: bool,
    /// An order of its size came just behind.
    pub again: bool,
    pub judged: bool,
}

impl Gone {
    pub fn life(&self) -> i64 {
        self.ended.saturating_sub(self.shown.opened)
    }

    /// Large enough to be one on its own.
    pub fn is_large(&self, parameters: &Parameters) -> bool {
        self.shown.medians >= parameters.spoof_median
    }
}

/// Sizes of large orders that went.
#[derive(Clone, Copy)]
pub struct Went {
    pub ts: i64,
    pub side: u8,
    pub size: i64,
}

pub struct Loud {
    shown: HashMap<Id, Shown, IdHashes>,
    order: VecDeque<(i64, Id)>,
    pub gone: VecDeque<Gone>,
    pub history: VecDeque<Went>,
    common: Common,
    unit: f64,
    /// The last finding of each side: from when to when its orders stood.
    pub told: [(i64, i64); 2],
    next: i64,
    life_max: i64,
    life_min: i64,
    renewed_ns: i64,
    wait_ns: i64,
    unknown_wait_ns: i64,
    keep_ns: i64,
    least: f64,
}

impl Loud {
    pub fn new(parameters: &Parameters) -> Self {
        Self {
            shown: HashMap::default(),
            order: VecDeque::new(),
            gone: VecDeque::new(),
            history: VecDeque::new(),
            common: Common::new(),
            unit: 1.0,
            told: [(NULL, NULL); 2],
            next: i64::MAX,
            life_max: ns(parameters.spoof_life_max_ms),
            life_min: ns(parameters.spoof_life_min_ms),
            renewed_ns: ns(parameters.spoof_renewed_ms),
            wait_ns: ns(parameters.spoof_wait_ms),
            unknown_wait_ns: ns(parameters.spoof_unknown_wait_ms),
            keep_ns: ns(parameters
                .layer_together_ms
                .max(parameters.spoof_renewed_ms)
                * 2.0),
            least: parameters.layer_median.min(parameters.spoof_median),
        }
    }

    pub fn advance(&mut self, ts: i64, market: &Market, parameters: &Parameters, out: &mut Outbox) {
        if ts < self.next {
            return;
        }
        self.next = i64::MAX;
        for at in 0..self.gone.len() {
            if self.gone[at].judged {
                continue;
            }
            if self.gone[at].deadline <= ts {
                self.judge(at, market, parameters, out);
            }
            if !self.gone[at].judged {
                self.next = self.next.min(self.gone[at].deadline);
            }
        }
        while self
            .gone
            .front()
            .is_some_and(|gone| gone.judged && ts.saturating_sub(gone.ended) > self.keep_ns)
        {
            self.gone.pop_front();
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
        match step.kind {
            // A trade explains the end: it was no withdrawal.
            MATCH if step.flags & LATE != 0 => {
                let open = |gone: &Gone| gone.judged || gone.shown.id != step.id;
                self.gone.retain(open);
            }
            _ if step.flags & LATE != 0 => {}
            DONE => self.end(told, market, parameters, out),
            EVICT => {
                self.shown.remove(&step.id);
            }
            CHANGE if !matches!(step.reason, REASON_TRADED_AS_TAKER | REASON_SELF_TRADE) => {
                self.amend(told, market, parameters, out);
            }
            CHANGE | MATCH => {}
            _ if is_new(told) => self.come(told, market),
            _ => {}
        }
    }

    /// An order that stood before anything was seen.
    pub fn stood(&mut self, told: &Told) {
        if let Some((_, _, size)) = told.after {
            self.common.count(told.step.ts, size, self.unit);
        }
    }

    fn come(&mut self, told: &Told, market: &Market) {
        let Some((side, price, size)) = told.after else {
            return;
        };
        let at = usize::from(side == ASK);
        let touch = market.touch[at];
        if touch == NULL {
            return;
        }
        let distance = bucket(touch, price);
        let Some(median) = market.sizes.usual(distance) else {
            return;
        };
        let medians = size as f64 / median;
        if medians < self.least {
            return;
        }
        let step = told.step;
        let common = self.common.count(step.ts, size, self.unit);
        if distance == FAR_BUCKET {
            return;
        }
        let mut renewed = false;
        for gone in self.gone.iter_mut().rev() {
            if step.ts.saturating_sub(gone.ended) > self.renewed_ns {
                break;
            }
            if gone.shown.side == side && alike(gone.shown.size, size, 0.01) {
                gone.again = true;
                renewed = true;
            }
        }
        let own = market.depth.near(side, touch, NEAR_BP).max(size) as f64;
        let opposite = market.touch[1 - at];
        let facing = market.depth.near(other(side), opposite, NEAR_BP) as f64;
        let tilt = own / (own + facing).max(1.0)
            - (own - size as f64) / (own - size as f64 + facing).max(1.0);
        let shown = Shown {
            id: step.id,
            side,
            price,
            size,
            opened: step.ts,
            opened_seq: step.seq,
            mid: market.twice_mid(),
            behind_bp: touch.abs_diff(price) as f64 * 1e4 / touch.unsigned_abs().max(1) as f64,
            medians,
            share: size as f64 / own.max(1.0),
            tilt,
            company: company(market, step.ts),
            renewed,
            common,
            filled: told.life.map_or(0, |life| life.filled),
        };
        self.shown.insert(step.id, shown);
        self.order.push_back((step.ts, step.id));
        while let Some(&(opened, id)) = self.order.front() {
            let old = step.ts.saturating_sub(opened) > self.life_max;
            if !old && self.order.len() <= SHOWN_MAX {
                break;
            }
            self.order.pop_front();
            if self
                .shown
                .get(&id)
                .is_some_and(|shown| shown.opened == opened)
            {
                self.shown.remove(&id);
            }
        }
    }

    /// What its owner adds to an order is shown from now on; who takes back most of it has withdrawn it,
    /// and what is left is as small as any.
    fn amend(&mut self, told: &Told, market: &Market, parameters: &Parameters, out: &mut Outbox) {
        let (Some((_, _, before)), Some((_, _, after))) = (told.before, told.after) else {
            return;
        };
        let shown = self.shown.get(&told.step.id).map(|shown| shown.size);
        if after > shown.unwrap_or(before) {
            self.come(told, market);
        } else if shown.is_some_and(|shown| after < before && after < shown / 2) {
            self.end(told, market, parameters, out);
        }
    }

    fn end(&mut self, told: &Told, market: &Market, parameters: &Parameters, out: &mut Outbox) {
        let step = told.step;
        let Some(shown) = self.shown.remove(&step.id) else {
            return;
        };
        let (Some(life), Some((side, price, _))) = (told.life, told.before) else {
            return;
        };
        let age = step.ts.saturating_sub(shown.opened);
        if matches!(step.reason, REASON_FILLED | REASON_SELF_TRADE) || age > self.life_max {
            return;
        }
        let unexplained = !matches!(step.reason, REASON_CANCELED) && step.reason == REASON_UNKNOWN;
        let wait = if unexplained {
            self.unknown_wait_ns
        } else {
            self.wait_ns
        };
        let gone = Gone {
            ended: step.ts,
            filled: life.filled.saturating_sub(shown.filled),
            price,
            mid: market.twice_mid(),
            touch: market.touch[usize::from(side == ASK)],
            deadline: step.ts.saturating_add(wait),
            unexplained,
            again: false,
            // Shorter ones count as renewals alone.
            judged: age < self.life_min,
            shown,
        };
        if !gone.judged {
            self.next = self.next.min(gone.deadline);
        }
        self.gone.push_back(gone);
        if self.gone.len() > GONE_MAX {
            if !self.gone[0].judged {
                self.judge(0, market, parameters, out);
            }
            self.gone.pop_front();
        }
    }

    fn judge(&mut self, at: usize, market: &Market, parameters: &Parameters, out: &mut Outbox) {
        self.gone[at].judged = true;
        let group = layering::group(&self.gone, at, parameters);
        if group.len() >= parameters.layer_orders as usize {
            let last = group.iter().map(|&nth| self.gone[nth].ended).max();
            let deadline = last.unwrap_or(NULL).saturating_add(self.wait_ns);
            let first = self.gone[at].ended;
            if deadline > market.ts
                && self.gone.len() < GONE_MAX
                && deadline.saturating_sub(first) <= self.keep_ns
            {
                // More of them may go.
                self.gone[at].judged = false;
                self.gone[at].deadline = deadline;
                return;
            }
            if layering::judge(self, &group, market, parameters, out) {
                for nth in group {
                    self.gone[nth].judged = true;
                }
                return;
            }
        }
        spoof::judge(self, at, market, parameters, out);
        let gone = &self.gone[at];
        if gone.is_large(parameters) {
            let went = Went {
                ts: gone.ended,
                side: gone.shown.side,
                size: gone.shown.size,
            };
            if self.history.len() >= HISTORY_MAX {
                self.history.pop_front();
            }
            self.history.push_back(went);
        }
    }

    /// How many large ones of the same size went from this side of late.
    pub fn repeated(&self, gone: &Gone) -> u32 {
        let same = |went: &&Went| {
            went.side == gone.shown.side
                && gone.ended.saturating_sub(went.ts) <= REPEAT_NS
                && alike(went.size, gone.shown.size, 0.01)
        };
        self.history.iter().filter(same).count() as u32
    }

    /// Whether orders that stood at the same time on the same side have been told of.
    pub fn is_told(&self, side: u8, began: i64, ended: i64) -> bool {
        let (from, to) = self.told[usize::from(side == ASK)];
        to != NULL && began <= to && ended >= from
    }

    /// Large ones that still stand: for which a withdrawal was not whole.
    pub fn standing(&self) -> impl Iterator<Item = &Shown> {
        let recent = self.order.iter().rev().take(GONE_MAX);
        recent.filter_map(|(opened, id)| self.shown.get(id).filter(|shown| shown.opened == *opened))
    }

    pub fn forget(&mut self) {
        self.shown.clear();
        self.order.clear();
        self.gone.clear();
        self.next = i64::MAX;
    }

    pub fn rescale(&mut self, size_scale: u8, price: i64, size: i64) {
        self.unit = power_of_ten(size_scale) as f64;
        let known = self.shown.values_mut();
        for shown in known.chain(self.gone.iter_mut().map(|gone| &mut gone.shown)) {
            shown.price = shown.price.saturating_mul(price);
            shown.size = shown.size.saturating_mul(size);
            shown.filled = shown.filled.saturating_mul(size);
            if shown.mid != NULL {
                shown.mid = shown.mid.saturating_mul(price);
            }
        }
        for gone in &mut self.gone {
            gone.filled = gone.filled.saturating_mul(size);
            for value in [&mut gone.price, &mut gone.mid, &mut gone.touch] {
                if *value != NULL {
                    *value = value.saturating_mul(price);
                }
            }
        }
        for went in &mut self.history {
            went.size = went.size.saturating_mul(size);
        }
    }
}

/// How many orders of either side came in the 40 ms up to now, this one left out, beyond the usual.
fn company(market: &Market, ts: i64) -> f64 {
    let from = ts.saturating_sub(40_000_000);
    let came = market.moved(0, from, ts).1 + market.moved(1, from, ts).1;
    f64::from(came.saturating_sub(1))
}

/// Whether two sizes differ by at most a share of the larger.
pub fn alike(one: i64, two: i64, share: f64) -> bool {
    one.abs_diff(two) as f64 <= share * one.max(two) as f64
}
