//! Open addressing from a hash to a slot number: linear probing, backward-shift deletion, no tombstones.
//! Keys live with their owner; an entry keeps 32 bits of the hash so that most misses cost no look there.

use std::hash::{BuildHasherDefault, Hasher};

pub const NIL: u32 = u32::MAX;

#[derive(Clone, Copy)]
struct Entry {
    tag: u32,
    slot: u32,
}

const EMPTY: Entry = Entry { tag: 0, slot: NIL };

/// Folded multiplication: every bit of the key reaches every bit of the hash.
#[inline]
pub fn hash_id(key: u128) -> u32 {
    let low = (key as u64) ^ 0x9E37_79B9_7F4A_7C15;
    let high = ((key >> 64) as u64) ^ 0xC2B2_AE3D_27D4_EB4F;
    let wide = u128::from(low).wrapping_mul(u128::from(high));
    let folded = (wide as u64) ^ ((wide >> 64) as u64);
    (folded ^ (folded >> 32)) as u32
}

/// `hash_id` for the standard library's collections of ids.
#[derive(Default)]
pub struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u128(u128::from(self.0) << 8 | u128::from(byte));
        }
    }

    #[inline]
    fn write_u128(&mut self, key: u128) {
        // They want all 64 bits mixed.
        self.0 = u64::from(hash_id(key)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}

pub type IdHashes = BuildHasherDefault<IdHasher>;

#[inline]
pub fn hash_price(price: i64) -> u32 {
    let mixed = (price as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> 32) as u32
}

pub struct Table {
    entries: Vec<Entry>,
    mask: usize,
    used: usize,
}

impl Default for Table {
    fn default() -> Self {
        Self {
            entries: vec![EMPTY; 16],
            mask: 15,
            used: 0,
        }
    }
}

impl Table {
    /// The slot of a key, and where its entry stands.
    #[inline(always)]
    pub fn find(&self, hash: u32, is_it: impl Fn(u32) -> bool) -> Option<(u32, usize)> {
        let mut at = hash as usize & self.mask;
        loop {
            let entry = self.entries[at];
            if entry.slot == NIL {
                return None;
            }
            if entry.tag == hash && is_it(entry.slot) {
                return Some((entry.slot, at));
            }
            at = (at + 1) & self.mask;
        }
    }

    /// Adds a key that is not there.
    #[inline(always)]
    pub fn insert(&mut self, hash: u32, slot: u32) {
        if (self.used + 1) * 2 > self.entries.len() {
            self.grow();
        }
        self.used += 1;
        self.place(Entry { tag: hash, slot });
    }

    #[inline(always)]
    fn place(&mut self, entry: Entry) {
        let mut at = entry.tag as usize & self.mask;
        while self.entries[at].slot != NIL {
            at = (at + 1) & self.mask;
        }
        self.entries[at] = entry;
    }

    #[cold]
    fn grow(&mut self) {
        let larger = vec![EMPTY; self.entries.len() * 2];
        let old = std::mem::replace(&mut self.entries, larger);
        self.mask = self.entries.len() - 1;
        for entry in old.into_iter().filter(|entry| entry.slot != NIL) {
            self.place(entry);
        }
    }

    /// Removes the entry at a position that `find` gave.
    #[inline(always)]
    pub fn remove_at(&mut self, mut hole: usize) {
        self.used -= 1;
        let mut at = hole;
        loop {
            at = (at + 1) & self.mask;
            let entry = self.entries[at];
            if entry.slot == NIL {
                break;
            }
            let home = entry.tag as usize & self.mask;
            if (at.wrapping_sub(home) & self.mask) >= (at.wrapping_sub(hole) & self.mask) {
                self.entries[hole] = entry;
                hole = at;
            }
        }
        self.entries[hole] = EMPTY;
    }

    /// Brings the home of a hash towards the cache.
    #[inline(always)]
    pub fn prefetch(&self, hash: u32) {
        prefetch(&self.entries[hash as usize & self.mask]);
    }

    /// What probably is the slot of a hash, without following the probes; for prefetching.
    #[inline(always)]
    pub fn likely_slot(&self, hash: u32) -> u32 {
        self.entries[hash as usize & self.mask].slot
    }

    pub fn clear(&mut self) {
        self.entries.fill(EMPTY);
        self.used = 0;
    }

    pub fn count(&self) -> usize {
        self.used
    }

    pub fn memory_bytes(&self) -> usize {
        self.entries.capacity() * size_of::<Entry>()
    }
}

/// A hint; harmless where the machine has none.
#[inline]
pub fn prefetch<T>(place: &T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: prefetching never faults and the reference is valid anyway.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(place).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    proptest! {
        #[test]
        fn a_table_is_a_map(steps in prop::collection::vec((any::<bool>(), 0u128..200), 1..2000)) {
            let mut keys: Vec<u128> = Vec::new();
            let mut table = Table::default();
            let mut model: HashMap<u128, u32> = HashMap::new();
            for (add, key) in steps {
                let found = table.find(hash_id(key), |slot| keys[slot as usize] == key);
                prop_assert_eq!(found.map(|f| f.0), model.get(&key).copied());
                match (add, found) {
                    (true, None) => {
                        table.insert(hash_id(key), keys.len() as u32);
                        model.insert(key, keys.len() as u32);
                        keys.push(key);
                    }
                    (false, Some((_, at))) => {
                        table.remove_at(at);
                        model.remove(&key);
                    }
                    _ => {}
                }
                prop_assert_eq!(table.count(), model.len());
            }
        }
    }
}
