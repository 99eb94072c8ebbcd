//! How much rests near the touch, by rows of prices about a basis point high.

use crate::events::{ASK, NULL};
use crate::number::power_of_ten;
use crate::table::{Table, hash_price};
use crate::watch::Place;

/// So many rows are kept without a look at which are empty; beyond, as many as the book has.
const FEW_ROWS: usize = 4_096;
/// Rows that are looked at, at most; ten basis points are about a dozen.
const ROWS_MAX: usize = 64;

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

pub struct Depth {
    /// One of the world's at the scale of prices.
    unit: f64,
    sides: [Side; 2],
}

impl Default for Depth {
    fn default() -> Self {
        Self {
            unit: 1.0,
            sides: Default::default(),
        }
    }
}

/// Digits of a price that tell its row: a row is half a basis point to one and a fifth high, wherever
/// the price goes.
const ROW_BITS: u32 = 52 - 13;

impl Depth {
    fn row(&self, price: i64) -> i64 {
        let row = (price.unsigned_abs() as f64 / self.unit).to_bits() >> ROW_BITS;
        row as i64 * price.signum()
    }

    #[inline]
    pub fn change(&mut self, place: Place, sign: i64) {
        let (side, price, size) = place;
        if price == NULL {
            return;
        }
        let row = self.row(price);
        self.sides[usize::from(side == ASK)].add(row, sign.saturating_mul(size));
    }

    /// What rests from the touch on up to so many basis points behind it.
    pub fn near(&self, side: u8, touch: i64, basis_points: i64) -> i64 {
        if touch == NULL {
            return 0;
        }
        let reach = (i128::from(touch.unsigned_abs()) * i128::from(basis_points) / 10_000) as i64;
        let end = if side == ASK {
            touch.saturating_add(reach)
        } else {
            touch.saturating_sub(reach)
        };
        let (row, end) = (self.row(touch), self.row(end));
        let side = &self.sides[usize::from(side == ASK)];
        // Around zero rows are many and prices few.
        (row.min(end)..=row.max(end))
            .take(ROWS_MAX)
            .map(|row| side.total(row))
            .fold(0, i64::saturating_add)
    }

    pub fn clear(&mut self) {
        for side in &mut self.sides {
            side.rows.clear();
            side.table.clear();
        }
    }

    /// Rows stay: they are of the world's prices.
    pub fn rescale(&mut self, price_scale: u8, size: i64) {
        self.unit = power_of_ten(price_scale) as f64;
        for side in &mut self.sides {
            for (_, total) in &mut side.rows {
                *total = total.saturating_mul(size);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::BID;

    #[test]
    fn ten_basis_points_are_ten_wherever_the_price_goes() {
        let mut depth = Depth::default();
        for price in [10_000, 1_000_000, 37, 4_000_000_000_000] {
            let touch = price * 10_000;
            for (nth, behind) in [0, 5, 9, 13, 40].into_iter().enumerate() {
                let size = 1 << nth;
                depth.change((ASK, touch + price * behind, size), 1);
                depth.change((BID, touch - price * behind, size), 1);
            }
            assert_eq!(depth.near(ASK, touch, 10), 7, "{price}");
            assert_eq!(depth.near(BID, touch, 10), 7, "{price}");
        }
    }

    #[test]
    fn a_finer_scale_moves_no_order_to_another_row() {
        let mut depth = Depth::default();
        depth.change((BID, 12_345, 7), 1);
        depth.rescale(3, 10);
        assert_eq!(depth.near(BID, 12_345_000, 10), 70);
        depth.change((BID, 12_345_000, 70), -1);
        assert_eq!(depth.near(BID, 12_345_000, 10), 0);
    }

    #[test]
    fn prices_around_nothing_cost_no_more_than_others() {
        let mut depth = Depth::default();
        for price in -20..20 {
            depth.change((ASK, price, 1), 1);
            assert!(depth.near(ASK, price, 10_000) <= 40);
        }
    }
}
