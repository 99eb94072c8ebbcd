//! What is usual: decaying counts, and histograms of sizes by distance.

use crate::number::power_of_ten;

/// Rates are those of about so many seconds.
const RATE_SECONDS: f64 = 600.0;
/// Before this much is known a rate counts as if it had lasted so long.
const RATE_LEAST_SECONDS: f64 = 20.0;

/// Events a second, the latest weighing most.
#[derive(Clone, Copy, Default)]
pub struct Rate {
    count: f64,
    at: i64,
}

impl Rate {
    fn decayed(&self, ts: i64) -> f64 {
        let seconds = ts.saturating_sub(self.at).max(0) as f64 * 1e-9;
        self.count * (-seconds / RATE_SECONDS).exp()
    }

    pub fn add(&mut self, ts: i64, weight: f64) {
        self.count = self.decayed(ts) + weight;
        self.at = self.at.max(ts);
    }

    pub fn multiply(&mut self, factor: f64) {
        self.count *= factor;
    }

    /// `since`: when counting began (ns).
    pub fn per_second(&self, ts: i64, since: i64) -> f64 {
        let seconds = ts.saturating_sub(since).max(0) as f64 * 1e-9;
        let known = RATE_SECONDS * (1.0 - (-seconds / RATE_SECONDS).exp());
        self.decayed(ts) / known.max(RATE_LEAST_SECONDS)
    }
}

/// Eighths of octaves from 2^-40 to 2^40.
const LOWEST: u64 = (1023 - 40) << 3;
const BINS: usize = 80 << 3;
/// Counts are halved when this much time has passed: about the last half hour counts.
const HALVE_NS: i64 = 1_200_000_000_000;
/// Quantiles are looked up anew after so many.
const FRESH: u32 = 64;
/// With fewer than this a quantile says nothing.
const FEW: u32 = 50;

struct Histogram {
    counts: Box<[u32; BINS]>,
    total: u32,
    due: u32,
    median: f64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            counts: Box::new([0; BINS]),
            total: 0,
            due: FEW,
            median: 0.0,
        }
    }
}

fn edge(bin: usize) -> f64 {
    f64::from_bits((LOWEST + bin as u64) << 49)
}

impl Histogram {
    fn add(&mut self, bin: usize) {
        self.counts[bin] += 1;
        self.total += 1;
        if self.total >= self.due {
            self.look();
        }
    }

    fn look(&mut self) {
        self.due = self.total + FRESH.max(self.total / 64);
        let (half, mut sum) = (self.total / 2, 0);
        for (bin, count) in self.counts.iter().enumerate() {
            sum += count;
            if sum > half {
                // The middle of the bin.
                self.median = edge(bin) * 1.044;
                return;
            }
        }
    }

    /// The share of those counted that are at least as large.
    fn above(&self, bin: usize) -> f64 {
        let above: u32 = self.counts[bin..].iter().sum();
        (f64::from(above) + 0.5) / (f64::from(self.total) + 1.0)
    }

    fn halve(&mut self) {
        self.total = 0;
        for count in self.counts.iter_mut() {
            *count /= 2;
            self.total += *count;
        }
        self.due = self.total + FRESH;
    }
}

fn bin_of(size: i64, unit: f64) -> usize {
    let bits = (size as f64 / unit).to_bits() >> 49;
    (bits.saturating_sub(LOWEST) as usize).min(BINS - 2)
}

/// How much aggressive orders take; sizes are those of the world.
pub struct Volumes {
    taken: Histogram,
    unit: f64,
    halved: i64,
}

impl Default for Volumes {
    fn default() -> Self {
        Self {
            taken: Histogram::default(),
            unit: 1.0,
            halved: 0,
        }
    }
}

impl Volumes {
    pub fn adopt(&mut self, size_scale: u8) {
        self.unit = power_of_ten(size_scale) as f64;
    }

    pub fn add(&mut self, ts: i64, size: i64) {
        if ts.saturating_sub(self.halved) > HALVE_NS {
            self.halved = ts;
            self.taken.halve();
        }
        let bin = bin_of(size.max(1), self.unit);
        self.taken.add(bin);
    }

    /// The share of aggressive orders that take at least as much.
    pub fn above(&self, size: i64) -> f64 {
        self.taken.above(bin_of(size.max(1), self.unit))
    }
}

/// Upper bounds (basis points behind the touch) of the buckets between the touch and far away.
const BUCKETS_BP: [i64; 5] = [2, 5, 10, 25, 50];
pub const BUCKETS: usize = 7;
pub const FAR_BUCKET: usize = BUCKETS - 1;

/// 0 at the touch, then up to 2, 5, 10, 25, 50 basis points behind it, then beyond.
pub fn bucket(touch: i64, price: i64) -> usize {
    let behind = i128::from(touch.abs_diff(price)) * 10_000;
    if behind == 0 {
        return 0;
    }
    let nearer = |bp: &&i64| behind > i128::from(**bp) * i128::from(touch.unsigned_abs());
    1 + BUCKETS_BP.iter().filter(nearer).count()
}

/// How large orders are, by their distance from the touch; sizes are those of the world, so that a
/// change of scale changes nothing.
pub struct Sizes {
    /// By bucket; the last is of all that are not far.
    buckets: [Histogram; BUCKETS + 1],
    unit: f64,
    halved: i64,
}

impl Default for Sizes {
    fn default() -> Self {
        Self {
            buckets: std::array::from_fn(|_| Histogram::default()),
            unit: 1.0,
            halved: 0,
        }
    }
}

impl Sizes {
    pub fn adopt(&mut self, size_scale: u8) {
        self.unit = power_of_ten(size_scale) as f64;
    }

    pub fn add(&mut self, ts: i64, bucket: usize, size: i64) {
        if ts.saturating_sub(self.halved) > HALVE_NS {
            self.halved = ts;
            self.buckets.iter_mut().for_each(Histogram::halve);
        }
        let bin = bin_of(size, self.unit);
        self.buckets[bucket].add(bin);
        if bucket != FAR_BUCKET {
            self.buckets[BUCKETS].add(bin);
        }
    }

    /// The median at a distance, at the scale; None where too little is known.
    pub fn usual(&self, bucket: usize) -> Option<f64> {
        let own = &self.buckets[bucket];
        let from = if own.total >= 2 * FEW {
            own
        } else {
            &self.buckets[BUCKETS]
        };
        (from.total >= FEW && from.median > 0.0).then_some(from.median * self.unit)
    }
}

/// Places for sizes, each about 1.1 % wide, that share when two fall on one.
const PLACES: usize = 1024;

/// How often orders of about a size come near the touch, by side.
pub struct Recurring {
    rates: Box<[Rate; 2 * PLACES]>,
    unit: f64,
}

impl Default for Recurring {
    fn default() -> Self {
        Self {
            rates: Box::new([Rate::default(); 2 * PLACES]),
            unit: 1.0,
        }
    }
}

impl Recurring {
    pub fn adopt(&mut self, size_scale: u8) {
        self.unit = power_of_ten(size_scale) as f64;
    }

    fn bin(&self, size: i64) -> u64 {
        (size as f64 / self.unit).to_bits() >> 46
    }

    fn place(side: u8, bin: u64) -> usize {
        usize::from(side & 1) * PLACES + (bin.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 54) as usize
    }

    pub fn add(&mut self, ts: i64, side: u8, size: i64) {
        let place = Self::place(side, self.bin(size));
        self.rates[place].add(ts, 1.0);
    }

    /// A second, of sizes that differ by up to 2 %.
    pub fn per_second(&self, ts: i64, since: i64, side: u8, size: i64) -> f64 {
        let bin = self.bin(size);
        (bin.saturating_sub(1)..=bin + 1)
            .map(|bin| self.rates[Self::place(side, bin)].per_second(ts, since))
            .sum()
    }
}
