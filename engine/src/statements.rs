//! What a windowed feed said of an order, what that changed, and the event it becomes.

use crate::attribution::{Stamp, row_at};
use crate::batch::Row;
use crate::book::Book;
use crate::events::*;
use crate::ids::Id;
use crate::number::rescale;

/// What the feed said of one order.
#[derive(Clone, Copy)]
pub struct Statement {
    pub id: Id,
    /// None: it left the window.
    pub put: Option<(u8, i64, i64)>,
    pub snapshot: bool,
    pub stamp: Stamp,
}

impl Statement {
    /// The same at larger scales (price, size), or the field that doesn't fit.
    pub fn rescaled(&self, from: (u8, u8), to: (u8, u8)) -> Result<Self, &'static str> {
        let Some((side, price, size)) = self.put else {
            return Ok(*self);
        };
        let price = rescale(price, from.0, to.0).ok_or("price")?;
        let size = rescale(size, from.1, to.1).ok_or("amount")?;
        Ok(Self {
            put: Some((side, price, size)),
            ..*self
        })
    }
}

/// What a statement did to the book.
#[derive(Clone, Copy)]
pub struct Change {
    pub stamp: Stamp,
    pub id: Id,
    pub what: What,
    pub old: (u8, i64, i64),
    pub new: (u8, i64, i64),
    /// Orders ahead before the commit; only where trades wait.
    pub ahead: i64,
    /// Size still to be explained by trades.
    pub unexplained: i64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum What {
    Snapshot,
    Opened { reentry: bool, older: bool },
    Amended,
    Shrunk,
    Ended,
    Evicted,
}

impl Change {
    /// Its event; None where matches explain all of it.
    pub fn row(&self) -> Option<Row> {
        let (side, price, size) = self.new;
        let row = Row {
            side,
            order_id: self.id,
            price,
            size,
            ..row_at(self.stamp)
        };
        Some(match self.what {
            What::Snapshot => Row {
                kind: OPEN,
                flags: SNAPSHOT | PLACE_ASSUMED,
                ..row
            },
            What::Opened { reentry, older } => {
                let place = if older || reentry { PLACE_ASSUMED } else { 0 };
                let back = if reentry { REENTRY } else { 0 };
                Row {
                    kind: OPEN,
                    flags: place | back,
                    ..row
                }
            }
            What::Amended => Row {
                kind: CHANGE,
                flags: PLACE_ASSUMED,
                reason: REASON_AMENDED,
                price_before: self.old.1,
                size_before: self.old.2,
                ..row
            },
            What::Shrunk if self.unexplained == 0 => return None,
            What::Shrunk => Row {
                kind: CHANGE,
                reason: REASON_AMENDED,
                price_before: price,
                size_before: size + self.unexplained,
                ..row
            },
            What::Evicted => Row { kind: EVICT, ..row },
            What::Ended if self.unexplained == 0 => Row {
                kind: DONE,
                flags: INFERRED,
                reason: REASON_FILLED,
                size: 0,
                ..row
            },
            What::Ended => Row {
                kind: DONE,
                reason: REASON_UNKNOWN,
                size: self.unexplained,
                ..row
            },
        })
    }
}

/// Places of removals of ids that the same commit puts again later: those orders never left.
pub fn returned(statements: &[Statement]) -> Vec<usize> {
    // Nearly always none, which 256 bits tell without sorting.
    let mut removed = [0u64; 4];
    let bit = |id: Id| ((id as usize / 64) % 4, 1u64 << (id % 64));
    let may_return = |statement: &Statement| {
        let (word, bit) = bit(statement.id);
        if statement.put.is_none() {
            removed[word] |= bit;
        }
        statement.put.is_some() && removed[word] & bit != 0
    };
    if !statements.iter().any(may_return) {
        return Vec::new();
    }
    let mut by_id: Vec<(Id, usize)> = (0..statements.len())
        .map(|nth| (statements[nth].id, nth))
        .collect();
    by_id.sort_unstable();
    by_id
        .windows(2)
        .filter(|pair| pair[0].0 == pair[1].0)
        .filter(|pair| statements[pair[0].1].put.is_none() && statements[pair[1].1].put.is_some())
        .map(|pair| pair[0].1)
        .collect()
}

/// The worst (price towards worse, id) in a full window; None where the side has room.
pub fn worst_key(book: &Book, side: u8, orders_per_side: usize) -> Option<(i64, Id)> {
    let half = &book.halves[usize::from(side == ASK)];
    if half.orders < orders_per_side {
        return None;
    }
    let step = half.ladder.worst()?;
    let newest = book
        .walk_level(step.level)
        .map(|slot| book.orders[slot as usize].id())
        .max()?;
    Some((-step.key, newest))
}
