//! Icebergs that a trader makes: one order after the other, equal, each soon after the last was filled.
//!
//! A link is an order that comes behind the fill of an equal one.  Links happen by chance as well, the more
//! often the commoner the size is near the touch: a chain is told of when chance would hardly make one as
//! unlikely among the fills of an hour.

use std::collections::{HashMap, VecDeque};

use crate::detect::finding::{Finding, Kind, Outbox, Phase, logistic, ramp};
use crate::detect::loud::alike;
use crate::detect::market::{Market, is_new};
use crate::detect::parameters::{Parameters, ns};
use crate::events::{ASK, CHANGE, DONE, EVICT, LATE, MATCH, REASON_FILLED, REASON_TRADED_AS_TAKER};
use crate::ids::Id;
use crate::table::IdHashes;
use crate::watch::Told;

/// Fills of a side that wait for the next tranche; the oldest is forgotten beyond.
const FILLS_MAX: usize = 64;
/// Chains whose last order stands; the oldest is forgotten beyond.
const CHAINS_MAX: usize = 2_048;
/// Orders that a chain names.
const IDS_MAX: usize = 64;
/// Orders that may be the next behind one that went.
const BRANCHES_MAX: u32 = 3;
/// Chains that were told are remembered, to go on within AGAIN_NS.
const TOLD_MAX: usize = 32;
const AGAIN_NS: i64 = 5_000_000_000;
/// A link is at most so unlikely (natural logarithm): what is usual is not known better.
const LINK_MOST: f64 = 6.0;
/// Delays below this count as this long (ns).
const DELAY_LEAST: i64 = 5_000_000;

/// Mean and spread of times.
#[derive(Clone, Copy, Default)]
struct Times {
    count: f64,
    sum: f64,
    squares: f64,
}

impl Times {
    fn add(&mut self, time: i64) {
        let seconds = time as f64 * 1e-9;
        self.count += 1.0;
        self.sum += seconds;
        self.squares += seconds * seconds;
    }

    /// Deviation over mean.
    fn variation(&self) -> f64 {
        let mean = self.sum / self.count.max(1.0);
        let variance = (self.squares / self.count.max(1.0) - mean * mean).max(0.0);
        variance.sqrt() / mean.max(1e-9)
    }
}

#[derive(Clone)]
struct Chain {
    side: u8,
    price: i64,
    prices: (i64, i64),
    tranche: i64,
    began: i64,
    began_seq: i64,
    opened: i64,
    ended: i64,
    size: i64,
    filled: i64,
    links: u32,
    prompt: u32,
    same_price: u32,
    equal: u32,
    surprise: f64,
    delays: Times,
    intervals: Times,
    ids: Vec<Id>,
    orders: u64,
    number: u64,
}

/// An order that went, behind which the next tranche may come.
struct Fill {
    ts: i64,
    id: Id,
    /// False where it was canceled: the next one goes on and proves nothing.
    filled: bool,
    /// How many orders may be the next.
    branches: u32,
    chain: Chain,
}

/// What a finding is known by, from when it is told first to its last phase.
#[derive(Clone, Copy)]
struct Known {
    number: u64,
    kind: Kind,
    side: u8,
    began: i64,
    began_seq: i64,
    tranche: i64,
    /// When it went on last.
    last: i64,
}

/// A chain that was told and goes on.
struct Ending {
    known: Known,
    /// As it was told last.
    score: f64,
    /// Ends that may still go on.
    open: u32,
    /// The longest that went no further, and whether its last was filled.
    longest: Option<(Chain, bool)>,
}

pub struct Synthetic {
    /// By side.
    fills: [VecDeque<Fill>; 2],
    /// By the id of the order that stands.
    chains: HashMap<Id, Chain, IdHashes>,
    order: VecDeque<(i64, Id)>,
    /// Chains that were told and go on, by their number.
    endings: HashMap<u64, Ending>,
    /// The last that were told.
    told: VecDeque<Known>,
    delay_ns: i64,
    venue_ns: i64,
}

impl Synthetic {
    pub fn new(parameters: &Parameters) -> Self {
        Self {
            fills: Default::default(),
            chains: HashMap::default(),
            order: VecDeque::new(),
            endings: HashMap::new(),
            told: VecDeque::new(),
            delay_ns: ns(parameters.chain_delay_ms),
            venue_ns: ns(parameters.chain_venue_ms),
        }
    }

    /// Orders that went and that nothing came behind in time.
    pub fn advance(&mut self, ts: i64, out: &mut Outbox) {
        for at in 0..self.fills.len() {
            while let Some(fill) = self.fills[at].front() {
                if ts.saturating_sub(fill.ts) <= self.delay_ns && self.fills[at].len() <= FILLS_MAX
                {
                    break;
                }
                if let Some(fill) = self.fills[at].pop_front() {
                    self.close(&fill.chain, fill.filled, out);
                }
            }
        }
    }

    /// One end of a chain goes no further.
    fn close(&mut self, chain: &Chain, filled: bool, out: &mut Outbox) {
        let Some(ending) = self.endings.get_mut(&chain.number) else {
            return;
        };
        ending.open = ending.open.saturating_sub(1);
        let longest = ending.longest.as_ref().map_or(0, |(chain, _)| chain.orders);
        if chain.orders >= longest {
            ending.longest = Some((chain.clone(), filled));
        }
        if ending.open == 0
            && let Some(ending) = self.endings.remove(&chain.number)
            && let Some((chain, filled)) = ending.longest
        {
            let phase = if filled {
                Phase::Executed
            } else {
                Phase::Cancelled
            };
            tell(&chain, phase, &ending.known, ending.score, out);
        }
    }

    pub fn take(
        &mut self,
        told: &Told,
        market: &Market,
        parameters: &Parameters,
        keeps_ids: bool,
        out: &mut Outbox,
    ) {
        let step = told.step;
        match step.kind {
            _ if step.flags & LATE != 0 => {}
            MATCH if told.after.is_none() => self.fill(told, parameters, market, out),
            DONE if step.reason != REASON_FILLED => self.cancel(told, out),
            EVICT => {
                if let Some(chain) = self.chains.remove(&step.id) {
                    self.close(&chain, false, out);
                }
            }
            CHANGE if step.reason != REASON_TRADED_AS_TAKER => {
                if let Some(chain) = self.chains.get_mut(&step.id)
                    && let Some((_, price, _)) = told.after
                {
                    chain.price = price;
                }
            }
            _ if is_new(told) => self.come(told, market, parameters, keeps_ids, out),
            _ => {}
        }
    }

    /// A tranche is withdrawn: another may take its place.
    fn cancel(&mut self, told: &Told, out: &mut Outbox) {
        let step = told.step;
        let Some(mut chain) = self.chains.remove(&step.id) else {
            return;
        };
        if chain.links < 1 || told.before.is_none() {
            self.close(&chain, false, out);
            return;
        }
        chain.ended = step.ts;
        self.went(step.ts, step.id, false, chain);
    }

    fn went(&mut self, ts: i64, id: Id, filled: bool, chain: Chain) {
        let fills = &mut self.fills[usize::from(chain.side == ASK)];
        fills.push_back(Fill {
            ts,
            id,
            filled,
            branches: 0,
            chain,
        });
    }

    /// An order is filled: it may be a tranche.
    fn fill(&mut self, told: &Told, parameters: &Parameters, market: &Market, out: &mut Outbox) {
        let step = told.step;
        let (Some((side, price, _)), Some(life)) = (told.before, told.life) else {
            return;
        };
        let chain = self.chains.remove(&step.id);
        let whole = alike(life.filled, life.size_first, parameters.chain_size);
        if !whole || life.flags != 0 {
            if let Some(chain) = chain {
                self.close(&chain, true, out);
            }
            return;
        }
        let mut chain = chain.unwrap_or_else(|| Chain {
            side,
            price,
            prices: (price, price),
            tranche: life.size_first,
            began: life.opened,
            began_seq: life.opened_seq,
            opened: life.opened,
            ended: step.ts,
            size: life.size_first,
            filled: 0,
            links: 0,
            prompt: 0,
            same_price: 0,
            equal: 0,
            surprise: 0.0,
            delays: Times::default(),
            intervals: Times::default(),
            ids: vec![step.id],
            orders: 1,
            number: 0,
        });
        chain.filled = chain.filled.saturating_add(life.filled);
        chain.ended = step.ts;
        if let Some(ending) = self.endings.get_mut(&chain.number) {
            ending.score = score(&chain, market);
            tell(&chain, Phase::Traded, &ending.known, ending.score, out);
        }
        self.went(step.ts, step.id, true, chain);
    }

    /// An order comes: it may be the next tranche behind one of those that went.
    fn come(
        &mut self,
        told: &Told,
        market: &Market,
        parameters: &Parameters,
        keeps_ids: bool,
        out: &mut Outbox,
    ) {
        let step = told.step;
        let Some((side, price, size)) = told.after else {
            return;
        };
        let at = usize::from(side == ASK);
        if self.fills[at].is_empty() {
            return;
        }
        let near = (market.touch[at], market.spread.max(1.0));
        let Some(nth) = self.next_of(told, near, parameters, out) else {
            return;
        };
        let fill = &mut self.fills[at][nth];
        fill.branches += 1;
        let (filled, mut chain) = (fill.filled, fill.chain.clone());
        let delay = step.ts.saturating_sub(fill.ts);
        if filled {
            let rate = market
                .recurring
                .per_second(step.ts, market.since, side, size);
            let time = market.stretched(delay.max(DELAY_LEAST));
            let chance = -(-rate.max(0.01) * parameters.chain_cluster * time).exp_m1();
            chain.surprise += (-chance.ln()).min(LINK_MOST);
            chain.links = chain.links.saturating_add(1);
            chain.prompt += u32::from(delay <= self.venue_ns);
            chain.same_price += u32::from(price == chain.price);
            chain.equal += u32::from(size == chain.tranche);
            chain.delays.add(delay);
        }
        chain.intervals.add(step.ts.saturating_sub(chain.opened));
        (chain.opened, chain.price) = (step.ts, price);
        chain.prices = (chain.prices.0.min(price), chain.prices.1.max(price));
        chain.size = chain.size.saturating_add(size);
        chain.orders += 1;
        if chain.ids.len() < IDS_MAX {
            chain.ids.push(step.id);
        }
        // Programs answer a trade within milliseconds, too: a venue's refreshes need one more.
        let prompt = chain.prompt == chain.links;
        let tranches = f64::from(chain.links) + 1.0 - f64::from(u8::from(prompt));
        if chain.number == 0
            && tranches >= parameters.chain_tranches
            && !(keeps_ids && prompt)
            && score(&chain, market) >= parameters.chain_threshold
        {
            self.find(&mut chain, market, out);
        } else if let Some(ending) = self.endings.get_mut(&chain.number) {
            ending.open = ending.open.saturating_add(1);
            let number = chain.number;
            if let Some(told) = self.told.iter_mut().find(|told| told.number == number) {
                told.last = step.ts;
            }
        }
        self.chains.insert(step.id, chain);
        self.order.push_back((step.ts, step.id));
        if self.order.len() > CHAINS_MAX
            && let Some((opened, id)) = self.order.pop_front()
            && self
                .chains
                .get(&id)
                .is_some_and(|chain| chain.opened == opened)
            && let Some(chain) = self.chains.remove(&id)
        {
            self.close(&chain, false, out);
        }
    }

    /// Which of those that went an order goes on: of equal size rather, then the latest.
    fn next_of(
        &mut self,
        told: &Told,
        (best, near): (i64, f64),
        parameters: &Parameters,
        out: &mut Outbox,
    ) -> Option<usize> {
        let (step, (side, price, size)) = (told.step, told.after?);
        let fills = &mut self.fills[usize::from(side == ASK)];
        if let Some(nth) = fills.iter().position(|fill| fill.id == step.id) {
            // The venue shows the next peak of its own iceberg.
            let fill = fills.remove(nth)?;
            self.close(&fill.chain, true, out);
            return None;
        }
        let rank = |fill: &Fill| {
            let delay = step.ts.saturating_sub(fill.ts);
            let off = price.abs_diff(fill.chain.price) as f64;
            let fits = delay > 0
                && fill.branches < BRANCHES_MAX
                && alike(fill.chain.tranche, size, parameters.chain_size)
                && (off <= near || price == best && off <= 4.0 * near);
            let better = fill.chain.links.min(9);
            fits.then(|| (fill.chain.tranche.abs_diff(size), u32::MAX - better, delay))
        };
        let ranked = fills.iter().enumerate();
        let ranked = ranked.filter_map(|(nth, fill)| rank(fill).map(|rank| (rank, nth)));
        ranked.min().map(|(_, nth)| nth)
    }

    /// A chain is told of, or goes on with one that was told and had been lost from sight.
    fn find(&mut self, chain: &mut Chain, market: &Market, out: &mut Outbox) {
        let again = self.told.iter().rev().find(|told| {
            told.side == chain.side
                && alike(told.tranche, chain.tranche, 0.05)
                && chain.began.saturating_sub(told.last) <= AGAIN_NS
        });
        let (mut known, phase) = match again {
            Some(known) => (*known, Phase::Traded),
            None => (new(chain, out.next_number()), Phase::Detected),
        };
        (known.tranche, known.last) = (chain.tranche, chain.opened);
        chain.number = known.number;
        self.told.retain(|told| told.number != known.number);
        if self.told.len() >= TOLD_MAX {
            self.told.pop_front();
        }
        self.told.push_back(known);
        let score = score(chain, market);
        let ending = self.endings.entry(known.number).or_insert(Ending {
            known,
            score,
            open: 0,
            longest: None,
        });
        ending.open = ending.open.saturating_add(1);
        ending.score = score;
        tell(chain, phase, &known, score, out);
    }

    pub fn forget(&mut self) {
        self.fills.iter_mut().for_each(VecDeque::clear);
        self.chains.clear();
        self.order.clear();
        self.endings.clear();
        self.told.clear();
    }

    pub fn rescale(&mut self, price: i64, size: i64) {
        for told in &mut self.told {
            told.tranche = told.tranche.saturating_mul(size);
        }
        let fills = self.fills.iter_mut().flatten();
        let endings = self.endings.values_mut();
        let longest = endings.filter_map(|ending| ending.longest.as_mut());
        for chain in fills
            .map(|fill| &mut fill.chain)
            .chain(self.chains.values_mut())
            .chain(longest.map(|(chain, _)| chain))
        {
            for value in [&mut chain.price, &mut chain.prices.0, &mut chain.prices.1] {
                *value = value.saturating_mul(price);
            }
            for value in [&mut chain.tranche, &mut chain.size, &mut chain.filled] {
                *value = value.saturating_mul(size);
            }
        }
    }
}

/// Equal times between orders, whenever they were filled: slices by the clock.
fn clocked(chain: &Chain) -> f64 {
    let (orders, delays) = (chain.intervals.variation(), chain.delays.variation());
    if chain.links < 2 || orders > delays {
        return 0.0;
    }
    1.0 - ramp(orders, 0.02, 0.12)
}

/// How many chains as unlikely as this an hour's fills would make by chance (natural logarithm).
fn expected(chain: &Chain, market: &Market) -> f64 {
    let fills = market.fill_rate(chain.side, i64::MAX) * 3_600.0;
    fills.max(1.0).ln() - chain.surprise
}

fn score(chain: &Chain, market: &Market) -> f64 {
    logistic(-expected(chain, market) - 1.0) * (1.0 - clocked(chain))
}

/// A chain that is told for the first time.
fn new(chain: &Chain, number: u64) -> Known {
    // A venue that holds orders without keeping their ids shows the next within milliseconds.
    let native = f64::from(chain.prompt) >= 0.8 * f64::from(chain.links).max(1.0);
    Known {
        number,
        kind: if native {
            Kind::NativeIceberg
        } else {
            Kind::SyntheticIceberg
        },
        side: chain.side,
        began: chain.began,
        began_seq: chain.began_seq,
        tranche: chain.tranche,
        last: chain.opened,
    }
}

fn tell(chain: &Chain, phase: Phase, known: &Known, score: f64, out: &mut Outbox) {
    let links = f64::from(chain.links).max(1.0);
    let mut finding = Finding::new(known.kind, chain.side);
    finding.phase = phase;
    finding.number = known.number;
    (finding.began, finding.began_seq) = (known.began, known.began_seq);
    finding.ended = chain.ended.max(chain.opened);
    (finding.price_low, finding.price_high) = chain.prices;
    (finding.size, finding.filled) = (chain.size, chain.filled);
    finding.score = score;
    finding.evidence = vec![
        ("tranches", ramp(links + 1.0, 1.0, 8.0)),
        ("unlikely by chance", ramp(chain.surprise, 0.0, 20.0)),
        ("equal sizes", f64::from(chain.equal) / links),
        ("same price", f64::from(chain.same_price) / links),
        (
            "equal delays",
            1.0 - ramp(chain.delays.variation(), 0.0, 1.5),
        ),
    ];
    finding.against = vec![("slices by the clock", clocked(chain))];
    finding.order_ids = chain.ids.clone();
    finding.orders = chain.orders;
    out.tell(finding);
}
