//! What a second holds: counts, exact sums and means, by place.  Names and dimensions stand here alone.

use crate::events::NULL;

/// {the touch or better, <= 2 bp behind it, <= 5, <= 10, <= 25, <= 50, more}.
pub const BUCKETS: usize = 7;
pub const BUCKETS_BP: [i64; BUCKETS - 2] = [2, 5, 10, 25, 50];
/// Of order-flow imbalance.
pub const LEVELS: usize = 10;
/// How long behind a trade the mid is looked at again (s, ns).
pub const TAUS_S: [i64; 4] = [1, 5, 15, 60];
/// How far from the mid depth is summed (bp).
pub const DEPTHS_BP: [i64; 5] = [5, 10, 25, 50, 100];

const SIDES: [&str; 2] = ["bid", "ask"];
const TAKERS: [&str; 3] = ["buy", "sell", "unknown"];

/// Places of counts.  What a second adds comes first, how it ended behind `FLOWS`.
pub mod count {
    pub const ADDED: usize = 0; // by side, then bucket
    pub const CANCELLED: usize = 14;
    pub const REDUCED: usize = 28;
    pub const AMENDED: usize = 42; // by side
    pub const EVICTED: usize = 44;
    pub const REENTERED: usize = 46;
    pub const COMPLETED: usize = 48;
    pub const MARKET_ORDERS: usize = 50; // by taker
    pub const TRADES: usize = 53;
    pub const HIDDEN: usize = 56;
    pub const LATE: usize = 57;
    pub const EVENTS: usize = 58;
    pub const MESSAGES: usize = 59;
    pub const LEVELS_CHANGED: usize = 60;
    pub const QUOTED_NS: usize = 61;
    pub const GAP_NS: usize = 62;
    pub const PRICED: usize = 63;
    pub const PRICED_AT: usize = 64; // by tau
    pub const SHOCKS: usize = 68;
    pub const FLOWS: usize = 69;
    pub const LEVELS: usize = 69; // by side
    pub const ORDERS: usize = 71;
    pub const BID: usize = 73;
    pub const ASK: usize = 74;
    pub const LEN: usize = 75;
}

/// Places of exact sums: the same.
pub mod sum {
    pub const ADDED: usize = 0;
    pub const CANCELLED: usize = 14;
    pub const REDUCED: usize = 28;
    pub const AMENDED: usize = 42;
    pub const VOLUME: usize = 44; // by taker
    pub const HIDDEN: usize = 47;
    pub const PRICED: usize = 48;
    pub const OFI: usize = 49; // by level
    pub const NOTIONAL: usize = 59; // by taker
    pub const EFFECTIVE: usize = 62;
    pub const WEIGHT: usize = 63;
    pub const EFFECTIVE_AT: usize = 64; // by tau
    pub const REALISED_AT: usize = 68;
    pub const IMPACT_AT: usize = 72;
    pub const WEIGHT_AT: usize = 76;
    pub const SPREAD: usize = 80;
    pub const MID: usize = 81;
    pub const ORDER_NS: usize = 82; // by side
    pub const FLOWS: usize = 84;
    pub const DEPTH: usize = 84; // by side, then distance
    pub const TOP: usize = 94; // by side
    pub const BEST: usize = 96; // by side
    pub const LEN: usize = 98;
}

pub mod mean {
    pub const SPREAD: usize = 0;
    pub const IMBALANCE: usize = 1;
    pub const WEIGHTED_MID: usize = 2;
    pub const FLOWS: usize = 3;
    pub const SLOPE: usize = 3; // by side
    pub const LEN: usize = 5;
}

#[derive(Clone)]
pub struct Row {
    /// Since 1970, and how many it stands for: more than one where nothing happened.
    pub second: i64,
    pub seconds: i64,
    pub counts: [i64; count::LEN],
    pub sums: [i128; sum::LEN],
    pub means: [f64; mean::LEN],
}

impl Row {
    pub fn new(second: i64) -> Self {
        let mut counts = [0; count::LEN];
        (counts[count::BID], counts[count::ASK]) = (NULL, NULL);
        Self {
            second,
            seconds: 1,
            counts,
            sums: [0; sum::LEN],
            means: [0.0; mean::LEN],
        }
    }

    #[inline]
    pub fn count(&mut self, place: usize) {
        self.counts[place] += 1;
    }

    #[inline]
    pub fn add(&mut self, place: usize, value: i128) {
        self.sums[place] = self.sums[place].saturating_add(value);
    }

    /// At larger scales of price and size.
    pub fn multiply(&mut self, price: i64, size: i64) {
        for place in [count::BID, count::ASK] {
            let value = &mut self.counts[place];
            if *value != NULL {
                *value = value.saturating_mul(price);
            }
        }
        for (place, value) in self.sums.iter_mut().enumerate() {
            let (of_price, of_size) = dimension(place);
            let factor = (if of_price { i128::from(price) } else { 1 })
                * (if of_size { i128::from(size) } else { 1 });
            *value = value.saturating_mul(factor);
        }
        self.means[mean::WEIGHTED_MID] *= price as f64;
    }
}

/// Whether a sum is of prices, and whether of sizes.
fn dimension(place: usize) -> (bool, bool) {
    match place {
        sum::NOTIONAL..sum::SPREAD => (true, true),
        sum::SPREAD | sum::MID => (true, false),
        sum::ORDER_NS..sum::FLOWS => (false, false),
        _ => (false, true),
    }
}

fn crossed(names: &mut Vec<String>, name: &str, first: &[&str], second: &[String]) {
    for one in first {
        for two in second {
            names.push(format!("{name}_{one}_{two}"));
        }
    }
}

fn listed(names: &mut Vec<String>, name: &str, of: &[&str]) {
    names.extend(of.iter().map(|one| format!("{name}_{one}")));
}

fn distances() -> Vec<String> {
    let mut found = vec!["touch".to_owned()];
    found.extend(BUCKETS_BP.iter().map(|bp| format!("{bp}bp")));
    found.push("beyond".to_owned());
    found
}

fn taus(names: &mut Vec<String>, name: &str) {
    names.extend(TAUS_S.iter().map(|tau| format!("{name}_{tau}s")));
}

pub fn count_names() -> Vec<String> {
    let mut names = Vec::with_capacity(count::LEN);
    for name in ["added", "cancelled", "reduced"] {
        crossed(&mut names, name, &SIDES, &distances());
    }
    for name in ["amended", "evicted", "reentered", "completed"] {
        listed(&mut names, name, &SIDES);
    }
    listed(&mut names, "market_orders", &TAKERS);
    listed(&mut names, "trades", &TAKERS);
    names.extend(
        [
            "hidden",
            "late",
            "events",
            "messages",
            "levels_changed",
            "quoted_ns",
            "gap_ns",
            "priced",
        ]
        .map(str::to_owned),
    );
    taus(&mut names, "priced");
    names.push("shocks".to_owned());
    listed(&mut names, "levels", &SIDES);
    listed(&mut names, "orders", &SIDES);
    names.extend(["bid", "ask"].map(str::to_owned));
    names
}

pub fn sum_names() -> Vec<String> {
    let mut names = Vec::with_capacity(sum::LEN);
    for name in ["added_size", "cancelled_size", "reduced_size"] {
        crossed(&mut names, name, &SIDES, &distances());
    }
    listed(&mut names, "amended_size", &SIDES);
    listed(&mut names, "volume", &TAKERS);
    names.extend(["hidden_volume", "priced_volume"].map(str::to_owned));
    names.extend((1..=LEVELS).map(|level| format!("ofi_{level}")));
    listed(&mut names, "notional", &TAKERS);
    names.extend(["effective", "weight"].map(str::to_owned));
    for name in ["effective", "realised", "impact", "weight"] {
        taus(&mut names, name);
    }
    names.extend(["spread_ns", "mids_ns"].map(str::to_owned));
    listed(&mut names, "order_ns", &SIDES);
    let depths: Vec<String> = DEPTHS_BP.iter().map(|bp| format!("{bp}bp")).collect();
    crossed(&mut names, "depth", &SIDES, &depths);
    listed(&mut names, "top", &SIDES);
    listed(&mut names, "best", &SIDES);
    names
}

pub fn mean_names() -> Vec<String> {
    let mut names = ["relative_spread_ns", "imbalance_ns", "weighted_mid_ns"]
        .map(str::to_owned)
        .to_vec();
    listed(&mut names, "slope", &SIDES);
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_has_its_name() {
        let (counts, sums) = (count_names(), sum_names());
        assert_eq!(counts.len(), count::LEN);
        assert_eq!(sums.len(), sum::LEN);
        assert_eq!(mean_names().len(), mean::LEN);
        for (place, name) in [
            (count::REDUCED + 8, "reduced_ask_2bp"),
            (count::COMPLETED + 1, "completed_ask"),
            (count::TRADES + 2, "trades_unknown"),
            (count::PRICED, "priced"),
            (count::PRICED_AT + 3, "priced_60s"),
            (count::SHOCKS, "shocks"),
            (count::ASK, "ask"),
        ] {
            assert_eq!(counts[place], name);
        }
        for (place, name) in [
            (sum::OFI + 9, "ofi_10"),
            (sum::WEIGHT, "weight"),
            (sum::IMPACT_AT, "impact_1s"),
            (sum::MID, "mids_ns"),
            (sum::DEPTH + 5, "depth_ask_5bp"),
            (sum::BEST + 1, "best_ask"),
        ] {
            assert_eq!(sums[place], name);
        }
    }
}
