//! What is told of a pattern.

use crate::ids::Id;

/// Ids that a finding names.
pub const ORDERS_MAX: usize = 200;
/// Findings that wait for `drain`; the oldest are forgotten beyond.
pub const WAITING_MAX: usize = 65_536;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    SpoofLike,
    Layering,
    QuoteStuffing,
    NativeIceberg,
    SyntheticIceberg,
    MomentumIgnition,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::SpoofLike => "spoof-like",
            Self::Layering => "layering",
            Self::QuoteStuffing => "quote stuffing",
            Self::NativeIceberg => "native iceberg",
            Self::SyntheticIceberg => "synthetic iceberg",
            Self::MomentumIgnition => "momentum ignition",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Detected,
    Traded,
    Executed,
    Cancelled,
}

impl Phase {
    pub fn name(self) -> &'static str {
        match self {
            Self::Detected => "detected",
            Self::Traded => "traded",
            Self::Executed => "executed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A part of a score, 0 to 1, by its name.
pub type Parts = Vec<(&'static str, f64)>;

#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    pub kind: Kind,
    pub phase: Phase,
    /// Counts the findings; its phases share one.
    pub number: u64,
    pub side: u8,
    /// Our clock (ns).
    pub began: i64,
    pub ended: i64,
    pub told: i64,
    pub began_seq: i64,
    pub told_seq: i64,
    pub price_low: i64,
    pub price_high: i64,
    /// All that was shown.
    pub size: i64,
    pub filled: i64,
    pub score: f64,
    pub evidence: Parts,
    pub against: Parts,
    pub order_ids: Vec<Id>,
    pub orders: u64,
    pub scales: (u8, u8),
}

/// Findings on their way out, oldest first.
#[derive(Default)]
pub struct Outbox {
    pub now: (i64, i64),
    pub scales: (u8, u8),
    count: u64,
    waiting: std::collections::VecDeque<Finding>,
}

impl Outbox {
    pub fn next_number(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    /// Stamps a finding with the time it is told at.
    pub fn tell(&mut self, mut finding: Finding) {
        (finding.told_seq, finding.told) = self.now;
        finding.scales = self.scales;
        if finding.number == 0 {
            finding.number = self.next_number();
        }
        finding.order_ids.truncate(ORDERS_MAX);
        if self.waiting.len() >= WAITING_MAX {
            self.waiting.pop_front();
        }
        self.waiting.push_back(finding);
    }

    pub fn drain(&mut self) -> Vec<Finding> {
        self.waiting.drain(..).collect()
    }

    pub fn rescale(&mut self, scales: (u8, u8), price: i64, size: i64) {
        self.scales = scales;
        for finding in &mut self.waiting {
            finding.scales = scales;
            for value in [&mut finding.price_low, &mut finding.price_high] {
                *value = value.saturating_mul(price);
            }
            for value in [&mut finding.size, &mut finding.filled] {
                *value = value.saturating_mul(size);
            }
        }
    }
}

impl Finding {
    pub fn new(kind: Kind, side: u8) -> Self {
        Self {
            kind,
            phase: Phase::Detected,
            number: 0,
            side,
            began: 0,
            ended: 0,
            told: 0,
            began_seq: 0,
            told_seq: 0,
            price_low: 0,
            price_high: 0,
            size: 0,
            filled: 0,
            score: 0.0,
            evidence: Vec::new(),
            against: Vec::new(),
            order_ids: Vec::new(),
            orders: 0,
            scales: (0, 0),
        }
    }
}

/// 0 to 1 around a middle.
pub fn logistic(value: f64) -> f64 {
    1.0 / (1.0 + (-value).exp())
}

/// How far a value has come from `low` to `high`, 0 to 1.
pub fn ramp(value: f64, low: f64, high: f64) -> f64 {
    ((value - low) / (high - low)).clamp(0.0, 1.0)
}
