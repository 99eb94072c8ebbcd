//! A ladder of totals: what rests at each price, without the orders.

use std::collections::HashSet;

use crate::events::ASK;
use crate::flow::row::{DEPTHS_BP, LEVELS};
use crate::ladder::Ladder;
use crate::table::{Table, hash_price};

struct Level {
    side: u8,
    price: i64,
    total: i128,
    orders: i64,
    /// The second in which it changed last.
    stamp: i64,
}

/// The best levels of a side: keys (`key_of`) and totals, best first.
#[derive(Clone, Copy, Default, PartialEq)]
pub struct Top {
    pub count: usize,
    pub keys: [i64; LEVELS],
    pub totals: [i128; LEVELS],
}

impl Top {
    /// What changes here or better may change it.
    pub fn bound(&self) -> i64 {
        if self.count == LEVELS {
            self.keys[LEVELS - 1]
        } else {
            i64::MIN
        }
    }

    pub fn best(&self) -> Option<(i64, i128)> {
        (self.count > 0).then(|| (self.keys[0], self.totals[0]))
    }
}

/// A larger key is a better price.
#[inline]
pub fn key_of(side: u8, price: i64) -> i64 {
    if side == ASK { -price } else { price }
}

#[derive(Default)]
pub struct Levels {
    ladders: [Ladder; 2],
    slab: Vec<Level>,
    free: Vec<u32>,
    table: Table,
    pub orders: [i64; 2],
    /// Levels that went since the second began: one that comes back changed already.
    gone: HashSet<(u8, i64)>,
    gone_in: i64,
}

impl Levels {
    pub fn count(&self, side: usize) -> i64 {
        self.ladders[side].count() as i64
    }

    /// Adds size and orders at a price; whether the level had not changed in this second.
    #[inline]
    pub fn change(&mut self, side: u8, price: i64, size: i128, orders: i64, second: i64) -> bool {
        let hash = hash_price(price.wrapping_mul(2).wrapping_add(i64::from(side)));
        let found = self.table.find(hash, |slot| {
            let level = &self.slab[slot as usize];
            level.price == price && level.side == side
        });
        self.orders[usize::from(side)] += orders;
        let Some((slot, at)) = found else {
            return self.begin(side, price, (size, orders), hash, second);
        };
        let level = &mut self.slab[slot as usize];
        level.total += size;
        level.orders += orders;
        let known = self.gone_in == second && self.gone.contains(&(side, price));
        let first = level.stamp != second && !known;
        level.stamp = second;
        if level.orders <= 0 {
            self.table.remove_at(at);
            self.free.push(slot);
            self.ladders[usize::from(side)].remove(key_of(side, price));
            self.note_gone(side, price, second);
        }
        first
    }

    fn begin(
        &mut self,
        side: u8,
        price: i64,
        (size, orders): (i128, i64),
        hash: u32,
        second: i64,
    ) -> bool {
        if orders <= 0 {
            self.orders[usize::from(side)] -= orders;
            return false; // of a book that is not known
        }
        let level = Level {
            side,
            price,
            total: size,
            orders,
            stamp: second,
        };
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slab[slot as usize] = level;
                slot
            }
            None => {
                self.slab.push(level);
                (self.slab.len() - 1) as u32
            }
        };
        self.table.insert(hash, slot);
        self.ladders[usize::from(side)].insert(key_of(side, price), slot);
        self.gone_in != second || !self.gone.contains(&(side, price))
    }

    fn note_gone(&mut self, side: u8, price: i64, second: i64) {
        if self.gone_in != second {
            self.gone.clear();
            self.gone_in = second;
        }
        self.gone.insert((side, price));
    }

    /// The book is empty; what changed in a second stays known.
    pub fn clear(&mut self, second: i64) {
        let slab = std::mem::take(&mut self.slab);
        for level in slab.iter().filter(|level| level.stamp == second) {
            self.note_gone(level.side, level.price, second);
        }
        *self = Self {
            gone: std::mem::take(&mut self.gone),
            gone_in: self.gone_in,
            ..Self::default()
        };
    }

    pub fn top(&self, side: usize) -> Top {
        let mut top = Top::default();
        for step in self.ladders[side].iter().take(LEVELS) {
            top.keys[top.count] = step.key;
            top.totals[top.count] = self.slab[step.level as usize].total;
            top.count += 1;
        }
        top
    }

    /// What rests within each of `DEPTHS_BP` of twice a mid.
    pub fn depths(&self, side: usize, mids: i128) -> [i128; DEPTHS_BP.len()] {
        let mut found = [0; DEPTHS_BP.len()];
        let limits = DEPTHS_BP.map(|bp| limit(side, mids, bp));
        let mut nth = 0;
        let mut total = 0;
        for step in self.ladders[side].iter() {
            while i128::from(step.key) < limits[nth] {
                found[nth] = total;
                nth += 1;
                if nth == limits.len() {
                    return found;
                }
            }
            total += self.slab[step.level as usize].total;
        }
        found[nth..].fill(total);
        found
    }

    /// What rests at a key or better.
    pub fn depth_to(&self, side: usize, limit: i128) -> i128 {
        self.ladders[side]
            .iter()
            .take_while(|step| i128::from(step.key) >= limit)
            .map(|step| self.slab[step.level as usize].total)
            .sum()
    }

    /// Everything at larger scales.
    pub fn multiply(&mut self, price: i64, size: i64) {
        let old = std::mem::take(self);
        for (side, ladder) in old.ladders.iter().enumerate() {
            for step in ladder.iter() {
                let level = &old.slab[step.level as usize];
                let to = (
                    level.price.saturating_mul(price),
                    level.total * i128::from(size),
                );
                self.change(side as u8, to.0, to.1, level.orders, level.stamp);
            }
        }
    }
}

/// The worst key within some bp of twice a mid.
pub fn limit(side: usize, mids: i128, bp: i64) -> i128 {
    let share = 10_000
        + if side == usize::from(ASK) {
            i128::from(bp)
        } else {
            -i128::from(bp)
        };
    let twice = mids * share;
    if side == usize::from(ASK) {
        -twice.div_euclid(20_000)
    } else {
        -((-twice).div_euclid(20_000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_counts_what_stands_on_the_border() {
        let mut levels = Levels::default();
        for (side, price, size) in [
            (0, 99_990, 3),
            (0, 99_950, 5),
            (0, 99_949, 7),
            (1, 100_010, 2),
        ] {
            assert!(levels.change(side, price, size, 1, 0));
        }
        // The mid is 100,000: 5 bp are 50.
        assert_eq!(levels.depths(0, 200_000), [8, 15, 15, 15, 15]);
        assert_eq!(levels.depths(1, 200_000), [2; 5]);
        assert_eq!(levels.depth_to(0, limit(0, 200_000, 5)), 8);
    }

    #[test]
    fn a_level_that_comes_back_changed_once_in_its_second() {
        let mut levels = Levels::default();
        assert!(levels.change(0, 100, 4, 1, 7));
        assert!(!levels.change(0, 100, -4, -1, 7));
        assert!(!levels.change(0, 100, 5, 1, 7));
        assert!(levels.change(0, 100, 5, 1, 8));
        assert_eq!((levels.count(0), levels.orders[0]), (1, 2));
        assert_eq!(levels.top(0).best(), Some((100, 10)));
    }
}
