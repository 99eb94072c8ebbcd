//! What every detector may look at: the touch, what is usual, what was traded of late.

use std::collections::VecDeque;

use crate::detect::depth::Depth;
use crate::detect::rates::{FAR_BUCKET, Rate, Recurring, Sizes, Volumes, bucket};
use crate::events::{
    ASK, BID, CLEAR, DONE, LATE, MATCH, NULL, OPEN, REASON_FILLED, REENTRY, SNAPSHOT,
};
use crate::ids::Id;
use crate::watch::Told;

/// Trades that are remembered.
const TRADES_MAX: usize = 512;
/// Mids: one each 100 ms, the last 102 s.
const MIDS: usize = 1_024;
const MID_NS: i64 = 100_000_000;
/// Ends of orders are counted in slots of 20 ms, the last 5 s.
const SLOTS: usize = 256;
const SLOT_NS: i64 = 20_000_000;
/// Fills are counted by the age of the maker: up to 50 ms times powers of two.
const AGES: usize = 12;
const AGE_NS: i64 = 50_000_000;

/// A trade with an order that was shown.
#[derive(Clone, Copy)]
pub struct Traded {
    pub ts: i64,
    /// Of the maker.
    pub side: u8,
    pub id: Id,
    pub price: i64,
    pub size: i64,
    /// When the maker came.
    pub opened: i64,
    pub whole: bool,
    /// The maker joined others at the best price of its side.
    pub joined: bool,
}

/// How old orders are when they are filled: counts by age, halved every HALVE_NS.
#[derive(Default)]
struct Ages {
    counts: [u32; AGES],
    total: u32,
    halved: i64,
}

/// About the last half hour counts.
const HALVE_NS: i64 = 1_200_000_000_000;

impl Ages {
    fn add(&mut self, ts: i64, age: i64) {
        if ts.saturating_sub(self.halved) > HALVE_NS {
            self.halved = ts;
            self.total = 0;
            for count in &mut self.counts {
                *count /= 2;
                self.total += *count;
            }
        }
        self.counts[age_of(age)] += 1;
        self.total += 1;
    }

    /// The share of those filled that were about as old as this one.
    fn share(&self, age: i64) -> f64 {
        let counted = f64::from(self.counts[age_of(age)]);
        (counted + 0.5) / (f64::from(self.total) + 0.5 * AGES as f64)
    }
}

/// The share of times within a life that are of about this age (both ns).
fn share_of_life(age: i64, life: i64) -> f64 {
    let nth = age_of(age);
    let low = if nth == 0 { 0 } else { AGE_NS << (nth - 1) };
    let high = if nth + 1 < AGES {
        AGE_NS << nth
    } else {
        i64::MAX
    };
    let within = high.min(life).saturating_sub(low).max(0);
    within as f64 / life.max(1) as f64
}

#[derive(Clone, Copy, Default)]
struct Slot {
    nth: i64,
    canceled: [u32; 2],
    opened: [u32; 2],
}

/// How much oftener orders come near the touch so soon behind a trade than at any time: traders follow
/// trades, on each market at their own pace.
#[derive(Clone, Copy, Default)]
struct Following {
    came: [f64; DELAYS],
    seconds: [f64; DELAYS],
    last: i64,
}

/// Upper bounds of delays behind a trade (ns); the last has none.
const DELAYS: usize = 7;
const DELAY_NS: [i64; DELAYS - 1] = [
    2_000_000,
    5_000_000,
    20_000_000,
    60_000_000,
    150_000_000,
    300_000_000,
];
/// Counts are halved when so much time is counted (s).
const FOLLOWING_SECONDS: f64 = 2_400.0;

impl Following {
    fn traded(&mut self, ts: i64) {
        if self.last != 0 {
            let mut from = 0;
            let gap = ts.saturating_sub(self.last).clamp(0, 10_000_000_000);
            for (nth, seconds) in self.seconds.iter_mut().enumerate() {
                let to = DELAY_NS.get(nth).map_or(gap, |bound| gap.min(*bound));
                *seconds += to.saturating_sub(from) as f64 * 1e-9;
                from = to;
            }
            if self.seconds.iter().sum::<f64>() > FOLLOWING_SECONDS {
                for value in self.came.iter_mut().chain(&mut self.seconds) {
                    *value /= 2.0;
                }
            }
        }
        self.last = ts;
    }

    fn came(&mut self, ts: i64) {
        if self.last != 0 {
            let delay = ts.saturating_sub(self.last);
            let nth = DELAY_NS.iter().take_while(|bound| delay > **bound).count();
            self.came[nth] += 1.0;
        }
    }

    /// A delay behind a trade (ns) as the time (s) in which as much comes at any time.
    fn stretched(&self, delay: i64) -> f64 {
        let came: f64 = self.came.iter().sum();
        let usual = (came + 1.0) / (self.seconds.iter().sum::<f64>() + 1.0);
        let (mut from, mut sum) = (0, 0.0);
        for nth in 0..DELAYS {
            let to = DELAY_NS.get(nth).map_or(delay, |bound| delay.min(*bound));
            let seconds = to.saturating_sub(from).max(0) as f64 * 1e-9;
            // As if a little of what is usual had been seen everywhere.
            let rate = (self.came[nth] + 2.0) / (self.seconds[nth] + 2.0 / usual);
            sum += seconds * (rate / usual).max(1.0);
            from = to;
        }
        sum
    }
}

pub struct Market {
    pub ts: i64,
    pub seq: i64,
    /// The first time (ns) that was seen.
    pub since: i64,
    /// Best bid and ask when they last were not crossed.
    pub touch: [i64; 2],
    pub sizes: Sizes,
    pub recurring: Recurring,
    pub depth: Depth,
    pub trades: VecDeque<Traded>,
    /// By the maker's side and its age, at most AGE_NS << nth; the last is of all.
    fills: [[Rate; AGES]; 2],
    ages: Ages,
    cancels: [Rate; 2],
    following: Following,
    pub volumes: Volumes,
    /// What the last aggressive order took so far: when, of which side, how much.
    taking: (i64, u8, i64),
    slots: Box<[Slot; SLOTS]>,
    /// (which 100 ms, twice the mid at their end).
    mids: Box<[(i64, i64); MIDS]>,
    mid_at: i64,
    /// Mean size of the moves of twice the mid in one second.
    pub swing: f64,
    swings: u32,
    /// The usual spread.
    pub spread: f64,
}

impl Default for Market {
    fn default() -> Self {
        Self {
            ts: 0,
            seq: 0,
            since: NULL,
            touch: [NULL; 2],
            sizes: Sizes::default(),
            recurring: Recurring::default(),
            depth: Depth::default(),
            trades: VecDeque::with_capacity(TRADES_MAX),
            fills: Default::default(),
            ages: Ages::default(),
            cancels: Default::default(),
            following: Following::default(),
            volumes: Volumes::default(),
            taking: (NULL, 0, 0),
            slots: Box::new([Slot::default(); SLOTS]),
            mids: Box::new([(NULL, NULL); MIDS]),
            mid_at: NULL,
            swing: 0.0,
            swings: 0,
            spread: 0.0,
        }
    }
}

/// Whether an order came now, was not merely seen now, and does not stand crossed: those are
/// rejected at once.
pub fn is_new(told: &Told) -> bool {
    let step = told.step;
    step.kind == OPEN
        && step.flags & (SNAPSHOT | REENTRY | LATE) == 0
        && told.before.is_none()
        && told.after.is_some()
        && !(step.touch[0] != NULL && step.touch[1] != NULL && step.touch[0] >= step.touch[1])
}

fn age_of(age: i64) -> usize {
    let nth = (age.max(0) / AGE_NS) as u64;
    ((64 - nth.leading_zeros()) as usize).min(AGES - 1)
}

impl Market {
    /// Twice the mid, NULL where a side is empty.
    pub fn twice_mid(&self) -> i64 {
        match self.touch {
            [NULL, _] | [_, NULL] => NULL,
            [bid, ask] => bid.saturating_add(ask),
        }
    }

    pub fn advance(&mut self, ts: i64) {
        if self.since == NULL {
            self.since = ts;
        }
        let to = ts.div_euclid(MID_NS);
        if self.mid_at == NULL {
            self.mid_at = to;
        }
        let mid = self.twice_mid();
        for nth in self.mid_at.max(to.saturating_sub(MIDS as i64))..to {
            self.mids[nth.rem_euclid(MIDS as i64) as usize] = (nth, mid);
            if nth.rem_euclid(10) == 0 {
                let before = self.mid_then(nth.saturating_sub(10).saturating_mul(MID_NS));
                if before != NULL && mid != NULL {
                    self.swings = (self.swings + 1).min(300);
                    let share = 1.0 / f64::from(self.swings);
                    self.swing += (mid.abs_diff(before) as f64 - self.swing) * share;
                }
            }
        }
        self.mid_at = self.mid_at.max(to);
        self.ts = ts;
    }

    /// Twice the mid at the end of the 100 ms that hold a time; NULL where it is not known.
    pub fn mid_then(&self, ts: i64) -> i64 {
        let nth = ts.div_euclid(MID_NS);
        match self.mids[nth.rem_euclid(MIDS as i64) as usize] {
            (at, mid) if at == nth => mid,
            _ => NULL,
        }
    }

    /// The state behind an event.
    pub fn see(&mut self, told: &Told) {
        let step = told.step;
        self.seq = step.seq;
        if step.kind == CLEAR {
            self.clear();
            return;
        }
        if told.before != told.after {
            if let Some(place) = told.before {
                self.depth.change(place, -1);
            }
            if let Some(place) = told.after {
                self.depth.change(place, 1);
            }
        }
        let [bid, ask] = step.touch;
        if bid != NULL && ask != NULL && bid < ask && self.touch != step.touch {
            self.touch = step.touch;
            let wide = ask.abs_diff(bid) as f64;
            self.spread += (wide - self.spread) * if self.spread == 0.0 { 1.0 } else { 0.01 };
        }
        if step.flags & SNAPSHOT != 0 {
            return;
        }
        match step.kind {
            OPEN if is_new(told) => self.opened(told),
            DONE if step.reason != REASON_FILLED => self.canceled(told),
            MATCH if step.flags & LATE == 0 => self.traded(told),
            _ => {}
        }
    }

    fn opened(&mut self, told: &Told) {
        let Some((side, price, size)) = told.after else {
            return;
        };
        let touch = self.touch[usize::from(side == ASK)];
        let near = if touch == NULL {
            FAR_BUCKET
        } else {
            bucket(touch, price)
        };
        self.sizes.add(self.ts, near, size);
        if near < 2 {
            self.recurring.add(self.ts, side, size);
            self.following.came(self.ts);
        }
        self.slot().opened[usize::from(side == ASK)] += 1;
    }

    fn canceled(&mut self, told: &Told) {
        let (Some((side, _, _)), Some(life)) = (told.before, told.life) else {
            return;
        };
        if life.opened == self.ts {
            return;
        }
        let ts = self.ts;
        self.cancels[usize::from(side == ASK)].add(ts, 1.0);
        self.slot().canceled[usize::from(side == ASK)] += 1;
    }

    fn traded(&mut self, told: &Told) {
        let (Some((side, price, size)), Some(life)) = (told.before, told.life) else {
            return;
        };
        self.following.traded(self.ts);
        let step = told.step;
        let (last, from, taken) = self.taking;
        if (last, from) == (self.ts, side) {
            self.taking.2 = taken.saturating_add(step.size);
        } else {
            if last != NULL {
                self.volumes.add(last, taken);
            }
            self.taking = (self.ts, side, step.size);
        }
        // Who stood in a snapshot is old.
        let opened = if life.flags == 0 { life.opened } else { 0 };
        let whole = told.after.is_none();
        let lasted = self.ts.saturating_sub(opened);
        if whole && opened != 0 {
            self.ages.add(self.ts, lasted);
        }
        let age = age_of(lasted);
        for rate in &mut self.fills[usize::from(side == ASK)][age..] {
            rate.add(self.ts, 1.0);
        }
        if self.trades.len() >= TRADES_MAX {
            self.trades.pop_front();
        }
        self.trades.push_back(Traded {
            ts: self.ts,
            side,
            id: step.id,
            price,
            size: step.size.min(size),
            opened,
            whole,
            joined: life.ahead_first > 0
                && life.price_first == life.touch_first[usize::from(side == ASK)],
        });
    }

    fn slot(&mut self) -> &mut Slot {
        let nth = self.ts.div_euclid(SLOT_NS);
        let slot = &mut self.slots[nth.rem_euclid(SLOTS as i64) as usize];
        if slot.nth != nth {
            *slot = Slot {
                nth,
                ..Slot::default()
            };
        }
        slot
    }

    /// Orders of a side that were canceled, and that came, in a span of time of the last 5 s.
    pub fn moved(&self, side: u8, from: i64, to: i64) -> (u32, u32) {
        let (from, to) = (from.div_euclid(SLOT_NS), to.div_euclid(SLOT_NS));
        let at = usize::from(side == ASK);
        (from.max(to.saturating_sub(SLOTS as i64 - 1))..=to)
            .map(|nth| (nth, self.slots[nth.rem_euclid(SLOTS as i64) as usize]))
            .filter(|(nth, slot)| slot.nth == *nth)
            .fold((0, 0), |(canceled, opened), (_, slot)| {
                (canceled + slot.canceled[at], opened + slot.opened[at])
            })
    }

    pub fn cancel_rate(&self, side: u8) -> f64 {
        self.cancels[usize::from(side == ASK)].per_second(self.ts, self.since)
    }

    /// Fills a second of makers of a side that are at most so old (ns).
    pub fn fill_rate(&self, side: u8, age: i64) -> f64 {
        self.fills[usize::from(side == ASK)][age_of(age)].per_second(self.ts, self.since)
    }

    /// How many times likelier than by chance an order of a side is filled at this age, where it was
    /// placed at any time of a life as long as that (ns), half of those as others are.
    pub fn aged(&self, age: i64, life: i64) -> f64 {
        0.5 + 0.5 * share_of_life(age, life) / self.ages.share(age)
    }

    /// A delay behind a trade (ns) as the time (s) in which as many orders come at any time.
    pub fn stretched(&self, delay: i64) -> f64 {
        self.following.stretched(delay)
    }

    /// Events are missing: what rested and was traded is not known any more.
    pub fn clear(&mut self) {
        self.depth.clear();
        self.trades.clear();
        self.following.last = 0;
        self.touch = [NULL; 2];
    }

    pub fn rescale(&mut self, scales: (u8, u8), price: i64, size: i64) {
        self.sizes.adopt(scales.1);
        self.recurring.adopt(scales.1);
        self.volumes.adopt(scales.1);
        self.taking.2 = self.taking.2.saturating_mul(size);
        self.depth.rescale(scales.0, size);
        for mid in self
            .touch
            .iter_mut()
            .chain(self.mids.iter_mut().map(|(_, mid)| mid))
        {
            if *mid != NULL {
                *mid = mid.saturating_mul(price);
            }
        }
        for trade in &mut self.trades {
            trade.price = trade.price.saturating_mul(price);
            trade.size = trade.size.saturating_mul(size);
        }
        self.swing *= price as f64;
        self.spread *= price as f64;
    }
}

/// The other side.
pub fn other(side: u8) -> u8 {
    if side == ASK { BID } else { ASK }
}
