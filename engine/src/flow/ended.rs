//! Orders that ended: lifetimes in exact logarithmic buckets, and what became of each second's orders.

use std::collections::{HashMap, VecDeque};

/// Steps of lifetimes an octave: a bucket is 1/16 wide at most.
const STEPS: u32 = 4;
const OCTAVES: usize = 60;
pub const CELLS: usize = OCTAVES << STEPS;
pub const FATES: usize = 3;
pub const FILLED: usize = 0;
pub const CANCELLED: usize = 1;
pub const CENSORED: usize = 2;

/// The bucket of a lifetime (ns): exact below 16 ns, then 16 an octave.
pub fn bucket_of(ns: i64) -> usize {
    let ns = ns.max(0) as u64;
    if ns < 1 << STEPS {
        return ns as usize;
    }
    let octave = 63 - ns.leading_zeros() - STEPS;
    let bucket = ((octave as usize + 1) << STEPS) + (ns >> octave) as usize - (1 << STEPS);
    bucket.min(CELLS - 1)
}

/// The least lifetime (ns) of a bucket.
pub fn bucket_begin(bucket: usize) -> i64 {
    if bucket < 1 << STEPS {
        return bucket as i64;
    }
    let octave = (bucket >> STEPS) - 1;
    (((1 << STEPS) + (bucket & ((1 << STEPS) - 1))) as i64) << octave
}

/// What came to be known of the orders that one second opened.
#[derive(Clone, Copy, Default)]
pub struct Cohort {
    pub orders: i64,
    pub touched: i64,
    pub filled: i64,
    pub cancelled: i64,
    pub size: i128,
    pub filled_size: i128,
}

/// (second, fate, truncated, bucket, count).
pub type Lifetimes = (i64, u8, u8, i64, i64);

pub struct Ended {
    cells: Vec<u32>,
    touched: Vec<u32>,
    cohorts: HashMap<i64, Cohort>,
    pub lifetimes: VecDeque<Lifetimes>,
    /// (second, cohort, what came to be known of it).
    pub told: VecDeque<(i64, i64, Cohort)>,
}

impl Default for Ended {
    fn default() -> Self {
        Self {
            cells: vec![0; 2 * FATES * CELLS],
            touched: Vec::new(),
            cohorts: HashMap::new(),
            lifetimes: VecDeque::new(),
            told: VecDeque::new(),
        }
    }
}

impl Ended {
    #[inline]
    pub fn lifetime(&mut self, fate: usize, truncated: bool, ns: i64) {
        let cell = (usize::from(truncated) * FATES + fate) * CELLS + bucket_of(ns);
        if self.cells[cell] == 0 {
            self.touched.push(cell as u32);
        }
        self.cells[cell] += 1;
    }

    #[inline]
    pub fn cohort(&mut self, second: i64) -> &mut Cohort {
        self.cohorts.entry(second).or_default()
    }

    /// A second is over; how many rows of before were dropped because nobody asks for them.
    pub fn finish(&mut self, second: i64, most: usize) -> u64 {
        self.touched.sort_unstable();
        for &cell in &self.touched {
            let (place, bucket) = (cell as usize / CELLS, cell as usize % CELLS);
            let count = std::mem::take(&mut self.cells[cell as usize]);
            let (fate, truncated) = ((place % FATES) as u8, (place / FATES) as u8);
            self.lifetimes.push_back((
                second,
                fate,
                truncated,
                bucket_begin(bucket),
                i64::from(count),
            ));
        }
        self.touched.clear();
        let mut cohorts: Vec<_> = self.cohorts.drain().collect();
        cohorts.sort_unstable_by_key(|(cohort, _)| *cohort);
        self.told.extend(
            cohorts
                .into_iter()
                .map(|(cohort, found)| (second, cohort, found)),
        );
        let (lives, told) = (
            self.lifetimes.len().saturating_sub(most),
            self.told.len().saturating_sub(most),
        );
        self.lifetimes.drain(..lives);
        self.told.drain(..told);
        (lives + told) as u64
    }

    pub fn multiply(&mut self, size: i64) {
        let told = self.told.iter_mut().map(|(_, _, cohort)| cohort);
        for cohort in told.chain(self.cohorts.values_mut()) {
            cohort.size = cohort.size.saturating_mul(i128::from(size));
            cohort.filled_size = cohort.filled_size.saturating_mul(i128::from(size));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_bucket_holds_its_lifetimes_and_is_narrow(octave in 0u32..62, rest in any::<u64>()) {
            let ns = ((1u64 << octave) | (rest & ((1 << octave) - 1))) as i64;
            let bucket = bucket_of(ns);
            prop_assert!(bucket_begin(bucket) <= ns);
            if bucket + 1 < CELLS {
                let end = bucket_begin(bucket + 1);
                prop_assert!(ns < end);
                prop_assert!(end - bucket_begin(bucket) <= 1.max(bucket_begin(bucket) / 16));
            }
        }
    }
}
