//! The one currency of the house: events in columns, all at the same scales.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::events::{CHANGE, LAST, NO_SIDE, NULL, SNAPSHOT};
use crate::ids::{Codec, Id, NULL_ID};
use crate::number::rescale;

/// Columns that the book fills after the batch was made; atomics because a batch is shared.
pub type Filled = Box<[AtomicI64]>;

pub struct Columns {
    pub price_scale: u8,
    pub size_scale: u8,
    pub codec: Arc<Codec>,
    pub trade_codec: Arc<Codec>,
    pub seq: Vec<i64>,
    pub ts_recv: Vec<i64>,
    pub kind: Vec<u8>,
    pub side: Vec<u8>,
    pub reason: Vec<u8>,
    pub flags: Vec<u16>,
    pub order_id: Vec<Id>,
    pub price: Vec<i64>,
    pub size: Vec<i64>,
    pub venue_seq: Option<Vec<i64>>,
    pub ts_event: Option<Vec<i64>>,
    pub trade_id: Option<Vec<Id>>,
    pub taker_order_id: Option<Vec<Id>>,
    pub taker_side: Option<Vec<u8>>,
    /// Present where the batch has a CHANGE.
    pub before: Option<Before>,
}

pub struct Before {
    pub price: Filled,
    pub size: Filled,
}

/// One event on its way into columns; absent values are their nulls.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    pub ts_recv: i64,
    pub ts_event: i64,
    pub venue_seq: i64,
    pub kind: u8,
    pub side: u8,
    pub reason: u8,
    pub flags: u16,
    pub order_id: Id,
    pub price: i64,
    pub size: i64,
    pub trade_id: Id,
    pub taker_order_id: Id,
    pub taker_side: u8,
    pub price_before: i64,
    pub size_before: i64,
}

impl Row {
    pub const EMPTY: Self = Self {
        ts_recv: 0,
        ts_event: NULL,
        venue_seq: NULL,
        kind: 0,
        side: NO_SIDE,
        reason: 0,
        flags: 0,
        order_id: NULL_ID,
        price: NULL,
        size: NULL,
        trade_id: NULL_ID,
        taker_order_id: NULL_ID,
        taker_side: NO_SIDE,
        price_before: NULL,
        size_before: NULL,
    };
}

fn optional<T: PartialEq + Copy>(rows: &[Row], null: T, get: impl Fn(&Row) -> T) -> Option<Vec<T>> {
    rows.iter()
        .any(|row| get(row) != null)
        .then(|| rows.iter().map(get).collect())
}

pub fn filled(values: impl Iterator<Item = i64>) -> Filled {
    values.map(AtomicI64::new).collect()
}

impl Columns {
    /// Rows in order; `seq` counts from `first_seq`, and rows flagged SNAPSHOT share the one before them.
    pub fn from_rows(
        rows: &[Row],
        first_seq: i64,
        scales: (u8, u8),
        codec: Arc<Codec>,
        trade_codec: Arc<Codec>,
    ) -> Self {
        let mut next = first_seq;
        let seq = rows
            .iter()
            .map(|row| {
                next = next.wrapping_add(i64::from(row.flags & SNAPSHOT == 0));
                next.wrapping_sub(1)
            })
            .collect();
        let before = rows.iter().any(|row| row.kind == CHANGE).then(|| Before {
            price: filled(rows.iter().map(|row| row.price_before)),
            size: filled(rows.iter().map(|row| row.size_before)),
        });
        Self {
            price_scale: scales.0,
            size_scale: scales.1,
            codec,
            trade_codec,
            seq,
            ts_recv: rows.iter().map(|row| row.ts_recv).collect(),
            kind: rows.iter().map(|row| row.kind).collect(),
            side: rows.iter().map(|row| row.side).collect(),
            reason: rows.iter().map(|row| row.reason).collect(),
            flags: rows.iter().map(|row| row.flags).collect(),
            order_id: rows.iter().map(|row| row.order_id).collect(),
            price: rows.iter().map(|row| row.price).collect(),
            size: rows.iter().map(|row| row.size).collect(),
            venue_seq: optional(rows, NULL, |row| row.venue_seq),
            ts_event: optional(rows, NULL, |row| row.ts_event),
            trade_id: optional(rows, NULL_ID, |row| row.trade_id),
            taker_order_id: optional(rows, NULL_ID, |row| row.taker_order_id),
            taker_side: optional(rows, NO_SIDE, |row| row.taker_side),
            before,
        }
    }

    pub fn len(&self) -> usize {
        self.seq.len()
    }

    pub fn is_empty(&self) -> bool {
        self.seq.is_empty()
    }

    pub fn row(&self, i: usize) -> Row {
        let at = |column: &Option<Vec<i64>>| column.as_ref().map_or(NULL, |values| values[i]);
        let id = |column: &Option<Vec<Id>>| column.as_ref().map_or(NULL_ID, |values| values[i]);
        Row {
            ts_recv: self.ts_recv[i],
            ts_event: at(&self.ts_event),
            venue_seq: at(&self.venue_seq),
            kind: self.kind[i],
            side: self.side[i],
            reason: self.reason[i],
            flags: self.flags[i],
            order_id: self.order_id[i],
            price: self.price[i],
            size: self.size[i],
            trade_id: id(&self.trade_id),
            taker_order_id: id(&self.taker_order_id),
            taker_side: self.taker_side.as_ref().map_or(NO_SIDE, |values| values[i]),
            price_before: self
                .before
                .as_ref()
                .map_or(NULL, |b| b.price[i].load(Ordering::Relaxed)),
            size_before: self
                .before
                .as_ref()
                .map_or(NULL, |b| b.size[i].load(Ordering::Relaxed)),
        }
    }

    pub fn nbytes(&self) -> usize {
        let wide = |present: bool, width: usize| if present { width } else { 0 };
        let row = 8
            + 8
            + 1
            + 1
            + 1
            + 2
            + 16
            + 8
            + 8
            + wide(self.venue_seq.is_some(), 8)
            + wide(self.ts_event.is_some(), 8)
            + wide(self.trade_id.is_some(), 16)
            + wide(self.taker_order_id.is_some(), 16)
            + wide(self.taker_side.is_some(), 1)
            + wide(self.before.is_some(), 16);
        self.len() * row
    }
}

/// A run of rows of shared columns.
#[derive(Clone)]
pub struct Slice {
    pub columns: Arc<Columns>,
    pub start: usize,
    pub len: usize,
}

impl Slice {
    pub fn whole(columns: Columns) -> Self {
        let len = columns.len();
        Self {
            columns: Arc::new(columns),
            start: 0,
            len,
        }
    }

    pub fn range(&self) -> std::ops::Range<usize> {
        self.start..self.start + self.len
    }

    /// Copies what a book filled in here to the rows that these were made of, where they are others.
    pub fn give_before(&self, origin: &Self) {
        let (Some(here), Some(there)) = (&self.columns.before, &origin.columns.before) else {
            return;
        };
        if Arc::ptr_eq(&self.columns, &origin.columns) {
            return;
        }
        for (from, to) in [(&here.price, &there.price), (&here.size, &there.size)] {
            for (from, to) in from[self.range()].iter().zip(&to[origin.range()]) {
                to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
            }
        }
    }

    /// Number of rows up to and with the last one flagged LAST.
    pub fn last_complete(&self) -> usize {
        let flags = &self.columns.flags[self.range()];
        flags
            .iter()
            .rposition(|f| f & LAST != 0)
            .map_or(0, |at| at + 1)
    }

    /// Several slices as one batch at the largest of their scales and of the `least` ones, of prices
    /// and of sizes; ids must share one codec.
    /// The field that doesn't fit where a value is too large for that scale.
    pub fn concat(slices: &[Self], least: (u8, u8)) -> Result<Columns, &'static str> {
        let first = &slices[0].columns;
        let (price_scale, size_scale) = slices.iter().fold(least, |(price, size), s| {
            let columns = &s.columns;
            (price.max(columns.price_scale), size.max(columns.size_scale))
        });
        let total = slices.iter().map(|s| s.len).sum();
        let (mut rows, mut seq) = (Vec::with_capacity(total), Vec::with_capacity(total));
        for slice in slices {
            let columns = &slice.columns;
            let fit = |value: i64, from: u8, to: u8, field| {
                if value == NULL {
                    Ok(NULL)
                } else {
                    rescale(value, from, to).ok_or(field)
                }
            };
            for i in slice.range() {
                let mut row = columns.row(i);
                row.price = fit(row.price, columns.price_scale, price_scale, "price")?;
                row.size = fit(row.size, columns.size_scale, size_scale, "size")?;
                row.price_before =
                    fit(row.price_before, columns.price_scale, price_scale, "price")?;
                row.size_before = fit(row.size_before, columns.size_scale, size_scale, "size")?;
                rows.push(row);
                seq.push(columns.seq[i]);
            }
        }
        let codecs = (first.codec.clone(), first.trade_codec.clone());
        let mut columns =
            Columns::from_rows(&rows, 1, (price_scale, size_scale), codecs.0, codecs.1);
        columns.seq = seq;
        Ok(columns)
    }
}
