//! Resting liquidity over time: how much rested in each row of prices at most, bucket by bucket,
//! on several levels of detail at once.
//!
//! A row is a group of prices: bids are rounded down, asks up.  A bucket's value is the largest total that a
//! row held within it, the total it began with included, so that nothing short-lived is lost when zoomed out.

use std::ops::Range;

use crate::apply::{Event, Touch};
use crate::batch::Slice;
use crate::book::{Book, Outcome};
use crate::events::{ASK, BID, CHANGE, CLEAR, MATCH, NULL, OPEN, TRADE};
use crate::number::power_of_ten;
use crate::table::{Table, hash_price};
use crate::watch::{Place, Told, Watch};

pub const LEVELS: usize = 4;
/// 100 ms, 1 s, 5 s, 1 min.
pub const BUCKET_NS: [i64; LEVELS] = [100_000_000, 1_000_000_000, 5_000_000_000, 60_000_000_000];

/// So many rows are kept without a look at which are empty.
const FEW_CELLS: usize = 4096;

struct Cell {
    row: i64,
    total: i64,
    most: [i64; LEVELS],
    /// The bucket of each level in which it was touched last.
    stamp: [i64; LEVELS],
}

/// Finished buckets in which something happened, oldest first; the others are as the one before.
#[derive(Default, Clone)]
pub struct Finished {
    pub bucket: Vec<i64>,
    pub bid: Vec<i64>,
    pub ask: Vec<i64>,
    pub last: Vec<i64>,
    /// Where a bucket's rows end.
    pub end: Vec<i64>,
    pub row: Vec<i64>,
    pub size: Vec<i64>,
}

#[derive(Default)]
struct Level {
    bucket: i64,
    touched: Vec<u32>,
    finished: Finished,
}

pub struct Heat {
    /// Price units a row.
    pub group: i64,
    /// Orders below it count for nothing.
    pub min_size: i64,
    pub scales: (u8, u8),
    /// The levels of detail that are wanted.
    wanted: Range<usize>,
    cells: Vec<Cell>,
    table: Table,
    levels: [Level; LEVELS],
    began: bool,
    /// Best bid, best ask, price of the last trade.
    pub prices: [i64; 3],
}

impl Heat {
    /// `level`: the only one that is wanted.
    pub fn new(group: i64, min_size: i64, scales: (u8, u8), level: Option<usize>) -> Self {
        Self {
            group,
            min_size,
            scales,
            wanted: level.map_or(0..LEVELS, |level| level..level + 1),
            cells: Vec::new(),
            table: Table::default(),
            levels: Default::default(),
            began: false,
            prices: [NULL; 3],
        }
    }

    #[inline]
    fn row(&self, side: u8, price: i64) -> i64 {
        let down = price.div_euclid(self.group);
        down + i64::from(side == ASK && price.rem_euclid(self.group) != 0)
    }

    /// Of a row; made where there is none.
    #[inline]
    fn slot(&mut self, row: i64) -> u32 {
        let hash = hash_price(row);
        let found = self
            .table
            .find(hash, |slot| self.cells[slot as usize].row == row);
        match found {
            Some((slot, _)) => slot,
            None => {
                let slot = self.cells.len() as u32;
                self.cells.push(Cell {
                    row,
                    total: 0,
                    most: [0; LEVELS],
                    stamp: [NULL; LEVELS],
                });
                self.table.insert(hash, slot);
                slot
            }
        }
    }

    /// The cell of a row, with its maxima of the open buckets begun.
    #[inline]
    fn touch(&mut self, row: i64) -> &mut Cell {
        let slot = self.slot(row);
        let cell = &mut self.cells[slot as usize];
        for nth in self.wanted.clone() {
            let level = &mut self.levels[nth];
            if cell.stamp[nth] != level.bucket {
                cell.stamp[nth] = level.bucket;
                cell.most[nth] = cell.total;
                level.touched.push(slot);
            }
        }
        cell
    }

    #[inline]
    fn add(&mut self, (side, price, size): Place, sign: i64) {
        if size < self.min_size || price == NULL {
            return;
        }
        let row = self.row(side, price);
        let wanted = self.wanted.clone();
        let cell = self.touch(row);
        cell.total = cell.total.saturating_add(sign * size);
        for most in &mut cell.most[wanted] {
            *most = (*most).max(cell.total);
        }
    }

    /// An order that rests elsewhere now, or otherwise.
    #[inline]
    fn replace(&mut self, before: Option<Place>, after: Option<Place>) {
        if before == after {
            return;
        }
        if let Some(place) = before {
            self.add(place, -1);
        }
        if let Some(place) = after {
            self.add(place, 1);
        }
    }

    /// Stands on a book, as if it had been told of all that rests there; nothing is finished yet.
    /// False where its own scales are larger.
    pub fn begin(&mut self, book: &Book) -> bool {
        if !self.adopt((book.price_scale.unwrap_or(0), book.size_scale.unwrap_or(0))) {
            return false;
        }
        for half in &book.halves {
            for step in half.ladder.iter() {
                let level = &book.levels[step.level as usize];
                let sizes = book
                    .walk_level(step.level)
                    .map(|slot| book.orders[slot as usize].size)
                    .filter(|&size| size >= self.min_size);
                let total = sizes.fold(0, i64::saturating_add);
                let slot = self.slot(self.row(level.side, level.price));
                let cell = &mut self.cells[slot as usize];
                cell.total = cell.total.saturating_add(total);
            }
        }
        self.end(book);
        self.roll(book.ts_recv);
        true
    }

    /// Applies a slice to a book that it stands on.  The field that fits no scale where there is one.
    pub fn apply(&mut self, book: &mut Book, slice: &Slice) -> Result<(), &'static str> {
        let columns = &*slice.columns;
        book.adopt_scales(columns.price_scale, columns.size_scale)?;
        let scales = (book.price_scale.unwrap_or(0), book.size_scale.unwrap_or(0));
        if !self.adopt(scales) {
            return Err("size");
        }
        book.apply_told(slice, self)?;
        Ok(())
    }

    /// The book is empty.
    fn clear(&mut self) {
        for at in 0..self.cells.len() {
            if self.cells[at].total != 0 {
                let row = self.cells[at].row;
                self.touch(row).total = 0;
            }
        }
    }

    /// Whether a time falls in no later bucket than the open one, of the finest level wanted.
    #[inline]
    fn is_open(&self, ts: i64) -> bool {
        let finest = self.wanted.start;
        self.began && ts.div_euclid(BUCKET_NS[finest]) <= self.levels[finest].bucket
    }

    fn roll(&mut self, ts: i64) {
        let whole = ts.div_euclid(BUCKET_NS[LEVELS - 1]) != self.levels[LEVELS - 1].bucket;
        for (nth, width) in BUCKET_NS.into_iter().enumerate() {
            let to = ts.div_euclid(width);
            if !self.began || !self.wanted.contains(&nth) {
                self.levels[nth].bucket = to;
            } else if to > self.levels[nth].bucket {
                self.finish(nth, to);
            }
        }
        self.began = true;
        if whole {
            self.forget_empty();
        }
    }

    /// Finishes a level's open bucket, and the next where rows fell in it; ``to`` is open then.
    fn finish(&mut self, nth: usize, to: i64) {
        let level = &mut self.levels[nth];
        let touched = std::mem::take(&mut level.touched);
        let mut fell: Vec<u32> = Vec::new();
        for &slot in &touched {
            let cell = &self.cells[slot as usize];
            level.finished.row.push(cell.row);
            level.finished.size.push(cell.most[nth]);
            if cell.most[nth] != cell.total {
                fell.push(slot);
            }
        }
        level.finished.end_bucket(level.bucket, self.prices);
        if !fell.is_empty() && to > level.bucket + 1 {
            for slot in fell.drain(..) {
                let cell = &self.cells[slot as usize];
                level.finished.row.push(cell.row);
                level.finished.size.push(cell.total);
            }
            level.finished.end_bucket(level.bucket + 1, self.prices);
        }
        level.bucket = to;
        for &slot in &fell {
            let cell = &mut self.cells[slot as usize];
            (cell.stamp[nth], cell.most[nth]) = (to, cell.total);
        }
        level.touched = fell;
    }

    /// Rows that hold nothing and were touched in no open bucket: prices wander, memory doesn't.
    fn forget_empty(&mut self) {
        let open = self.levels.each_ref().map(|level| level.bucket);
        let kept =
            |cell: &Cell| cell.total != 0 || (0..LEVELS).any(|nth| cell.stamp[nth] == open[nth]);
        let live = self.cells.iter().filter(|cell| kept(cell)).count();
        if self.cells.len() < FEW_CELLS || live * 2 > self.cells.len() {
            return;
        }
        let mut moved = vec![u32::MAX; self.cells.len()];
        let (mut cells, mut table) = (Vec::with_capacity(live), Table::default());
        for (old, cell) in std::mem::take(&mut self.cells).into_iter().enumerate() {
            if kept(&cell) {
                moved[old] = cells.len() as u32;
                table.insert(hash_price(cell.row), cells.len() as u32);
                cells.push(cell);
            }
        }
        (self.cells, self.table) = (cells, table);
        for level in &mut self.levels {
            for slot in &mut level.touched {
                *slot = moved[*slot as usize];
            }
        }
    }

    /// What finished since it was last asked.
    pub fn drain(&mut self, level: usize) -> Finished {
        std::mem::take(&mut self.levels[level].finished)
    }

    /// The rows that hold something now, lowest first, with their totals.
    pub fn resting(&self) -> (Vec<i64>, Vec<i64>) {
        let mut found: Vec<_> = self.cells.iter().filter(|cell| cell.total != 0).collect();
        found.sort_unstable_by_key(|cell| cell.row);
        found.iter().map(|cell| (cell.row, cell.total)).unzip()
    }
}

impl Watch for Heat {
    /// Finishes every bucket before that of a time (ns).
    #[inline]
    fn advance(&mut self, ts: i64) {
        if !self.is_open(ts) {
            self.roll(ts);
        }
    }

    #[inline]
    fn take(&mut self, told: &Told) {
        let step = told.step;
        if step.kind == CLEAR {
            self.clear();
        } else {
            self.replace(told.before, told.after);
        }
        (self.prices[0], self.prices[1]) = (step.touch[0], step.touch[1]);
        if matches!(step.kind, MATCH | TRADE) && step.price != NULL {
            self.prices[2] = step.price;
        }
    }

    /// Everything at larger scales; false where that fits no 64 bits, and nothing has changed.
    fn adopt(&mut self, scales: (u8, u8)) -> bool {
        if scales == self.scales {
            return true;
        }
        if scales.0 < self.scales.0 || scales.1 < self.scales.1 {
            return false;
        }
        let price = power_of_ten(scales.0 - self.scales.0);
        let size = power_of_ten(scales.1 - self.scales.1);
        let (Some(group), Some(min_size)) = (
            self.group.checked_mul(price),
            self.min_size.checked_mul(size),
        ) else {
            return false;
        };
        (self.group, self.min_size, self.scales) = (group, min_size, scales);
        for cell in &mut self.cells {
            cell.total = cell.total.saturating_mul(size);
            cell.most = cell.most.map(|most| most.saturating_mul(size));
        }
        for known in self.prices.iter_mut().filter(|price| **price != NULL) {
            *known = known.saturating_mul(price);
        }
        true
    }
}

/// Who is told by the book itself of each event that it applies: without the lives of orders, at a
/// third of the cost.
pub trait Heated {
    /// Before an event that came at a time (ns).
    fn advance(&mut self, book: &Book, ts: i64);
    fn take(&mut self, event: &Event, touch: &Touch, outcome: Outcome);
    /// Behind the last event of a slice.
    fn end(&mut self, book: &Book);
}

impl Heated for () {
    #[inline(always)]
    fn advance(&mut self, _: &Book, _: i64) {}
    #[inline(always)]
    fn take(&mut self, _: &Event, _: &Touch, _: Outcome) {}
    #[inline(always)]
    fn end(&mut self, _: &Book) {}
}

impl Heated for Heat {
    #[inline(always)]
    fn advance(&mut self, book: &Book, ts: i64) {
        if !self.is_open(ts) {
            self.end(book);
            self.roll(ts);
        }
    }

    #[inline(always)]
    fn take(&mut self, event: &Event, touch: &Touch, outcome: Outcome) {
        if matches!(event.kind, MATCH | TRADE) && event.price != NULL {
            self.prices[2] = event.price;
        }
        if event.kind == CLEAR && outcome == Outcome::Applied {
            self.clear();
            return;
        }
        let before = (touch.size_before != NULL).then_some((
            touch.side_before,
            touch.price_before,
            touch.size_before,
        ));
        let after = match (outcome, event.kind) {
            (Outcome::Negative, _) => before,
            (Outcome::Applied | Outcome::DuplicateId, OPEN) => {
                Some((event.side, event.price, event.size))
            }
            (Outcome::Applied, CHANGE) if event.size > 0 => {
                let stays = event.price == NULL;
                let price = if stays {
                    touch.price_before
                } else {
                    event.price
                };
                Some((event.side, price, event.size))
            }
            (Outcome::Applied, MATCH) => before
                .map(|(side, price, size)| (side, price, size - event.size))
                .filter(|&(_, _, left)| left > 0),
            _ => None,
        };
        self.replace(before, after);
    }

    #[inline(always)]
    fn end(&mut self, book: &Book) {
        let best = |side| book.best_price(side).unwrap_or(NULL);
        (self.prices[0], self.prices[1]) = (best(BID), best(ASK));
    }
}

impl Finished {
    fn end_bucket(&mut self, bucket: i64, prices: [i64; 3]) {
        self.bucket.push(bucket);
        self.bid.push(prices[0]);
        self.ask.push(prices[1]);
        self.last.push(prices[2]);
        self.end.push(self.row.len() as i64);
    }
}
