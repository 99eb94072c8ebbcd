//! How much rests near the touch, by rows of prices a basis point high.

use crate::events::{ASK, NULL};
use crate::table::{Table, hash_price};
use crate::watch::Place;

/// So many rows are kept without a look at which are empty; beyond, as many as the book has.
const FEW_ROWS: usize = 4_096;

#[derive(Default)]
struct Side {
    rows: Vec<(i64, i64)>,
    table: Table,
    /// Rows are counted anew when there are so many.
    due: usize,
}

impl Side {
    fn add(&mut self, row: i64, size: i64) {
        let hash = hash_price(row);
        let found = self
            .table
            .find(hash, |slot| self.rows[slot as usize].0 == row);
        match found {
            Some((slot, _)) => {
                let total = &mut self.rows[slot as usize].1;
                *total = total.saturating_add(size).max(0);
            }
            None if size > 0 => {
                if self.rows.len() >= self.due.max(FEW_ROWS) {
                    self.forget_empty();
                }
                self.table.insert(hash, self.rows.len() as u32);
                self.rows.push((row, size));
            }
            None => {}
        }
    }

    fn forget_empty(&mut self) {
        self.rows.retain(|&(_, total)| total != 0);
        self.table = Table::default();
        for (slot, &(row, _)) in self.rows.iter().enumerate() {
            self.table.insert(hash_price(row), slot as u32);
        }
        self.due = self.rows.len() * 2;
    }

    fn total(&self, row: i64) -> i64 {
        self.table
            .find(hash_price(row), |slot| self.rows[slot as usize].0 == row)
            .map_or(0, |(slot, _)| self.rows[slot as usize].1)
    }
}

#[derive(Default)]
pub struct Depth {
    /// Price units a row; 0 before a price is known.
    group: i64,
    sides: [Side; 2],
}

impl Depth {
    #[inline]
    pub fn change(&mut self, place: Place, sign: i64) {
        let (side, price, size) = place;
        if price == NULL {
            return;
        }
        if self.group == 0 {
            self.group = (price.saturating_abs() / 10_000).max(1);
        }
        let row = price.div_euclid(self.group);
        self.sides[usize::from(side == ASK)].add(row, sign.saturating_mul(size));
    }

    /// What rests in so many rows from the touch on.
    pub fn near(&self, side: u8, touch: i64, rows: i64) -> i64 {
        if self.group == 0 || touch == NULL {
            return 0;
        }
        let (row, sign) = (
            touch.div_euclid(self.group),
            if side == ASK { 1 } else { -1 },
        );
        let side = &self.sides[usize::from(side == ASK)];
        (0..rows)
            .map(|nth| side.total(row.saturating_add(sign * nth)))
            .fold(0, i64::saturating_add)
    }

    pub fn clear(&mut self) {
        for side in &mut self.sides {
            side.rows.clear();
            side.table.clear();
        }
    }

    pub fn rescale(&mut self, price: i64, size: i64) {
        self.group = self.group.saturating_mul(price);
        for side in &mut self.sides {
            for (_, total) in &mut side.rows {
                *total = total.saturating_mul(size);
            }
        }
    }
}
