//! The prices of one side in order, best last: sorted chunks, so that work near the touch is in the last
//! chunk and work far away moves at most one chunk.

const CHUNK_MAX: usize = 256;
const CHUNK_MIN: usize = 32;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The price, negated on the ask side, so that a larger key is always a better price.
    pub key: i64,
    pub level: u32,
}

#[derive(Default)]
pub struct Ladder {
    chunks: Vec<Vec<Step>>,
    len: usize,
}

impl Ladder {
    #[inline(always)]
    pub fn best(&self) -> Option<Step> {
        self.chunks.last().and_then(|chunk| chunk.last()).copied()
    }

    pub fn worst(&self) -> Option<Step> {
        self.chunks.first().and_then(|chunk| chunk.first()).copied()
    }

    pub fn count(&self) -> usize {
        self.len
    }

    /// The chunk that holds or would hold a key.
    #[inline(always)]
    fn chunk_of(&self, key: i64) -> usize {
        match self.chunks.last() {
            Some(last) if last[0].key <= key => self.chunks.len() - 1,
            _ => self
                .chunks
                .partition_point(|chunk| chunk[0].key <= key)
                .saturating_sub(1),
        }
    }

    pub fn insert(&mut self, key: i64, level: u32) {
        self.len += 1;
        if self.chunks.is_empty() {
            let mut first = Vec::with_capacity(CHUNK_MAX);
            first.push(Step { key, level });
            self.chunks.push(first);
            return;
        }
        let nth = self.chunk_of(key);
        let chunk = &mut self.chunks[nth];
        let at = chunk.partition_point(|step| step.key < key);
        chunk.insert(at, Step { key, level });
        if chunk.len() >= CHUNK_MAX {
            let mut upper = Vec::with_capacity(CHUNK_MAX);
            upper.extend_from_slice(&chunk[CHUNK_MAX / 2..]);
            chunk.truncate(CHUNK_MAX / 2);
            self.chunks.insert(nth + 1, upper);
        }
    }

    /// Removes a key that is there.
    pub fn remove(&mut self, key: i64) {
        let nth = self.chunk_of(key);
        let chunk = &mut self.chunks[nth];
        let at = chunk.partition_point(|step| step.key < key);
        debug_assert_eq!(chunk[at].key, key);
        chunk.remove(at);
        self.len -= 1;
        if chunk.is_empty() {
            self.chunks.remove(nth);
        } else if chunk.len() < CHUNK_MIN && nth > 0 {
            self.merge_down(nth);
        }
    }

    /// Joins a thin chunk with its worse neighbour, so that no row of near-empty chunks builds up.
    #[cold]
    fn merge_down(&mut self, nth: usize) {
        if self.chunks[nth - 1].len() + self.chunks[nth].len() < CHUNK_MAX * 3 / 4 {
            let thin = self.chunks.remove(nth);
            self.chunks[nth - 1].extend_from_slice(&thin);
        }
    }

    /// Steps from the best to the worst.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Step> + '_ {
        self.chunks
            .iter()
            .rev()
            .flat_map(|chunk| chunk.iter().rev())
            .copied()
    }

    pub fn clear(&mut self) {
        self.chunks.clear();
        self.len = 0;
    }

    pub fn memory_bytes(&self) -> usize {
        let steps: usize = self.chunks.iter().map(Vec::capacity).sum();
        steps * size_of::<Step>() + self.chunks.capacity() * size_of::<Vec<Step>>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_ladder_is_a_sorted_map(
            steps in prop::collection::vec((0u8..5, -1500i64..1500), 1..6000),
        ) {
            let mut ladder = Ladder::default();
            let mut model = BTreeMap::new();
            for (choice, key) in steps {
                if choice < 3 {
                    if model.insert(key, 7u32).is_none() {
                        ladder.insert(key, 7);
                    }
                } else if model.remove(&key).is_some() {
                    ladder.remove(key);
                }
                prop_assert_eq!(ladder.best().map(|s| s.key), model.keys().next_back().copied());
                prop_assert_eq!(ladder.worst().map(|s| s.key), model.keys().next().copied());
                prop_assert_eq!(ladder.count(), model.len());
            }
            let keys: Vec<i64> = ladder.iter().map(|s| s.key).collect();
            prop_assert_eq!(keys, model.keys().rev().copied().collect::<Vec<_>>());
        }

        #[test]
        fn a_ladder_that_thins_out_stays_in_order(
            keys in prop::collection::hash_set(any::<i32>(), 300..2500),
            kept in 0usize..60,
        ) {
            let mut ladder = Ladder::default();
            let mut model = BTreeMap::new();
            for &key in &keys {
                ladder.insert(i64::from(key), 7);
                model.insert(i64::from(key), 7);
            }
            // In no order of their own: sets are shuffled.
            for (nth, &key) in keys.iter().skip(kept).enumerate() {
                ladder.remove(i64::from(key));
                model.remove(&i64::from(key));
                if nth % 50 == 0 || model.len() < 80 {
                    let left: Vec<i64> = ladder.iter().map(|s| s.key).collect();
                    prop_assert_eq!(&left, &model.keys().rev().copied().collect::<Vec<_>>());
                }
            }
            prop_assert!(ladder.chunks.len() <= 2 + kept / CHUNK_MIN);
            prop_assert_eq!(ladder.count(), kept.min(keys.len()));
        }
    }
}
