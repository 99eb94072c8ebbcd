//! A windowed feed (Bitfinex raw books) says only how an order stands now or that it left the window.
//! Here those statements become events, once the venue's own iteration is complete.
//!
//! Left or evicted: an order that was removed although its side of the window is full again and its key
//! (price, then id) is worse than the worst in the window was pushed out, it did not end.
//! Traded or cancelled: trades come on another channel and name no order; one with the side and price of
//! an order that shrank or ended, not later than it on the venue's clock, is inferred to be its match.

use std::sync::Arc;

use crate::attribution::{Ended, Stamp, Trade, Trades, match_row, row_at, tolerance};
use crate::batch::{Columns, Row};
use crate::book::Book;
use crate::events::*;
use crate::evicted::Evicted;
use crate::ids::{Codec, Form, Id, NULL_ID};
use crate::number::{NumberError, Parsed, parse};
use crate::statements::{Change, Statement, What, returned, worst_key};

#[derive(Clone, Copy, Debug, Default)]
pub struct WindowCounters {
    pub unknown_id: u64,
    pub unchanged: u64,
    pub side_flips: u64,
    pub evicted: u64,
    pub reentered: u64,
    pub ended: u64,
    pub matched: u64,
    pub late_matched: u64,
    pub unmatched_trades: u64,
    pub known_trades: u64,
    pub crossed: u64,
}

pub struct Window {
    pub orders_per_side: usize,
    evicted_max: usize,
    statements: Vec<Statement>,
    /// A CLEAR stands before the statements.
    clear: Option<Stamp>,
    in_snapshot: bool,
    trades: Trades,
    evicted: Evicted,
    newest_id: Id,
    pub counters: WindowCounters,
    // Scratch of one commit, kept for its memory.
    changes: Vec<Change>,
    /// Changes with size to be explained, in the order of their queue.
    places: Vec<usize>,
    /// (change, trade, size) of what trades explain.
    matches: Vec<(usize, Trade, i64)>,
    /// Matches of orders whose end was published before.
    late: Vec<Row>,
    rows: Vec<Row>,
}

impl Window {
    pub fn new(
        orders_per_side: usize,
        horizon_ns: i64,
        evicted_max: usize,
        trades_max: usize,
    ) -> Self {
        Self {
            orders_per_side,
            evicted_max,
            statements: Vec::new(),
            clear: None,
            in_snapshot: false,
            trades: Trades::new(horizon_ns, trades_max),
            evicted: Evicted::default(),
            newest_id: 0,
            counters: WindowCounters::default(),
            changes: Vec::new(),
            places: Vec::new(),
            matches: Vec::new(),
            late: Vec::new(),
            rows: Vec::new(),
        }
    }

    pub fn pending(&self) -> usize {
        self.statements.len() + usize::from(self.clear.is_some())
    }

    pub fn waiting_trades(&self) -> usize {
        self.trades.waiting.len()
    }

    /// Trades wait until after this (ns); i64::MAX where none does.
    pub fn trades_due(&self) -> i64 {
        self.trades.due()
    }

    /// The statements that follow are a whole new book; what was not committed of the old one is void.
    pub fn clear(&mut self, stamp: Stamp) {
        self.statements.clear();
        self.clear = Some(stamp);
        self.in_snapshot = true;
    }

    pub fn discard(&mut self) {
        self.statements.clear();
        self.clear = None;
        self.in_snapshot = false;
    }

    /// An order stands so now; a positive amount is a bid.  The field that fits no scale, where one does not.
    pub fn put(
        &mut self,
        book: &mut Book,
        id: Id,
        price: &[u8],
        amount: &[u8],
        stamp: Stamp,
    ) -> Result<(), (&'static str, NumberError)> {
        let (price, amount) = self.numbers(book, price, amount)?;
        if amount == 0 || price == 0 {
            // Nothing stands there: a zero has no side, and a price of zero says that the order left.
            self.remove(id, stamp);
            return Ok(());
        }
        let side = if amount < 0 { ASK } else { BID };
        self.statements.push(Statement {
            id,
            put: Some((side, price, amount.abs())),
            snapshot: self.in_snapshot,
            stamp,
        });
        Ok(())
    }

    pub fn remove(&mut self, id: Id, stamp: Stamp) {
        self.in_snapshot = false;
        self.statements.push(Statement {
            id,
            put: None,
            snapshot: false,
            stamp,
        });
    }

    /// A trade; a positive amount was bought by the taker, so an ask was resting.  False: known already.
    pub fn trade(
        &mut self,
        book: &mut Book,
        id: Id,
        amount: &[u8],
        price: &[u8],
        stamp: Stamp,
    ) -> Result<bool, (&'static str, NumberError)> {
        let (price, amount) = self.numbers(book, price, amount)?;
        if !self.trades.remember(id) {
            self.counters.known_trades += 1;
            return Ok(false);
        }
        if amount == 0 {
            return Ok(true);
        }
        let side = if amount > 0 { ASK } else { BID };
        self.trades.waiting.push_back(Trade {
            id,
            side,
            price,
            size: amount.abs(),
            tolerance: tolerance(price),
            stamp,
            fresh: true,
        });
        Ok(true)
    }

    pub fn known_trade(&mut self, id: Id) {
        self.trades.remember(id);
    }

    /// Price and amount at scales that hold them; the book and all that waits are rescaled where they grow.
    #[inline]
    fn numbers(
        &mut self,
        book: &mut Book,
        price: &[u8],
        amount: &[u8],
    ) -> Result<(i64, i64), (&'static str, NumberError)> {
        let price = parse(price).map_err(|error| ("price", error))?;
        let amount = parse(amount).map_err(|error| ("amount", error))?;
        if let (Some(price_scale), Some(size_scale)) = (book.price_scale, book.size_scale)
            && let (Some(price), Some(amount)) =
                (price.at_scale(price_scale), amount.at_scale(size_scale))
        {
            return Ok((price, amount));
        }
        self.grow(book, price, amount)
    }

    #[cold]
    fn grow(
        &mut self,
        book: &mut Book,
        price: Parsed,
        amount: Parsed,
    ) -> Result<(i64, i64), (&'static str, NumberError)> {
        let old = (book.price_scale.unwrap_or(0), book.size_scale.unwrap_or(0));
        let price_scale = old
            .0
            .max(price.scale_needed().map_err(|error| ("price", error))?);
        let size_scale = old
            .1
            .max(amount.scale_needed().map_err(|error| ("amount", error))?);
        let values = (
            price
                .at_scale(price_scale)
                .ok_or(("price", NumberError::TooLarge))?,
            amount
                .at_scale(size_scale)
                .ok_or(("amount", NumberError::TooLarge))?,
        );
        let refused = |field| (field, NumberError::TooLarge);
        let new = (price_scale, size_scale);
        let statements: Result<Vec<Statement>, &'static str> = self
            .statements
            .iter()
            .map(|statement| statement.rescaled(old, new))
            .collect();
        let statements = statements.map_err(refused)?;
        let trades = self.trades.rescaled(old, new).map_err(refused)?;
        book.adopt_scales(price_scale, size_scale)
            .map_err(refused)?;
        self.statements = statements;
        self.trades.adopt(trades);
        Ok(values)
    }

    /// The events of everything said since the last commit, applied to the book; None where nothing came.
    pub fn commit(
        &mut self,
        book: &mut Book,
        codec: &Arc<Codec>,
        trade_codec: &Arc<Codec>,
        first_seq: i64,
        now: i64,
    ) -> Option<Columns> {
        self.rows.clear();
        self.changes.clear();
        let newest_before = self.newest_id;
        let ids_grow = codec.form() == Form::Int;
        if let Some(stamp) = self.clear.take() {
            book.clear();
            book.era = book.era.saturating_add(1);
            self.rows.push(Row {
                kind: CLEAR,
                ..row_at(stamp)
            });
        }
        self.in_snapshot = false;
        let statements = std::mem::take(&mut self.statements);
        let returned = returned(&statements);
        for (nth, statement) in statements.iter().enumerate() {
            match statement.put {
                Some(put) => {
                    self.apply_put(book, statement, put, ids_grow.then_some(newest_before))
                }
                None if returned.contains(&nth) => {}
                None => self.apply_remove(book, statement),
            }
        }
        self.statements = statements;
        self.statements.clear();
        self.classify_ends(book);
        self.trades.prune_ended(now);
        self.attribute(book);
        self.push_changes();
        self.push_expired(now);
        self.finish(book, codec, trade_codec, first_seq)
    }

    fn apply_put(
        &mut self,
        book: &mut Book,
        statement: &Statement,
        new: (u8, i64, i64),
        newest_before: Option<Id>,
    ) {
        let Statement {
            id,
            stamp,
            snapshot,
            ..
        } = *statement;
        let (side, price, size) = new;
        if snapshot {
            self.forget_twin(book, id);
        }
        let mut change = Change {
            stamp,
            id,
            what: What::Amended,
            old: new,
            new,
            ahead: 0,
            unexplained: 0,
        };
        let Some((slot, _)) = book.find(id) else {
            let reentry = self.evicted.take(id);
            let older = newest_before.is_some_and(|newest| id <= newest);
            book.add(id, side, price, size);
            self.newest_id = self.newest_id.max(id);
            change.what = if snapshot {
                What::Snapshot
            } else {
                What::Opened { reentry, older }
            };
            self.counters.reentered += u64::from(reentry && !snapshot);
            self.changes.push(change);
            return;
        };
        let level = book.level_of(slot);
        change.old = (level.side, level.price, book.orders[slot as usize].size);
        if change.old == new {
            self.counters.unchanged += 1;
            return;
        }
        if (side, price) == (change.old.0, change.old.1) && size < change.old.2 {
            change.what = What::Shrunk;
            change.unexplained = change.old.2 - size;
            change.ahead = self.ahead(book, slot);
            book.resize(slot, size);
        } else {
            self.counters.side_flips += u64::from(side != change.old.0);
            book.requeue(slot, side, price, size);
        }
        self.changes.push(change);
    }

    /// An order that one snapshot names twice stands as it was named last: its rows are state, and none of
    /// them may become an event.
    fn forget_twin(&mut self, book: &mut Book, id: Id) {
        if let Some((slot, at)) = book.find(id) {
            book.remove(slot, at);
            self.changes.retain(|change| change.id != id);
        }
    }

    fn apply_remove(&mut self, book: &mut Book, statement: &Statement) {
        let Statement { id, stamp, .. } = *statement;
        let Some((slot, at)) = book.find(id) else {
            self.counters.unknown_id += 1;
            return;
        };
        let level = book.level_of(slot);
        let old = (level.side, level.price, book.orders[slot as usize].size);
        let ahead = self.ahead(book, slot);
        book.remove(slot, at);
        self.changes.push(Change {
            stamp,
            id,
            what: What::Ended,
            old,
            new: old,
            ahead,
            unexplained: old.2,
        });
    }

    /// Place in the queue, where trades may have to be shared out among several orders.
    fn ahead(&self, book: &Book, slot: u32) -> i64 {
        let level = book.level_of(slot);
        if self.trades.may_explain(level.side, level.price) {
            book.ahead(slot)
        } else {
            0
        }
    }

    /// Tells evictions from ends, now that the window stands as it will.
    fn classify_ends(&mut self, book: &Book) {
        let mut worst: [Option<Option<(i64, Id)>>; 2] = [None, None];
        for change in self
            .changes
            .iter_mut()
            .filter(|change| change.what == What::Ended)
        {
            let (side, price, _) = change.old;
            let half = usize::from(side == ASK);
            let worst =
                *worst[half].get_or_insert_with(|| worst_key(book, side, self.orders_per_side));
            let sign = if side == ASK { 1 } else { -1 };
            if worst.is_some_and(|worst| (sign * price, change.id) > worst) {
                change.what = What::Evicted;
                change.unexplained = 0;
                self.counters.evicted += 1;
                self.evicted.remember(change.id, self.evicted_max);
            } else {
                self.counters.ended += 1;
            }
        }
    }

    /// Shares waiting trades out: first to orders whose end was published before, then to this commit's.
    fn attribute(&mut self, book: &Book) {
        self.matches.clear();
        self.late.clear();
        if self.trades.waiting.is_empty() {
            return;
        }
        self.places.clear();
        let changes = &mut self.changes;
        self.places
            .extend((0..changes.len()).filter(|&i| changes[i].unexplained > 0));
        self.places.sort_by_key(|&i| changes[i].ahead);
        for nth in 0..self.trades.waiting.len() {
            let mut trade = self.trades.waiting[nth];
            if trade.fresh {
                // What was published before it came is looked at once, when it comes.
                for (ended, size) in self.trades.take_ended(&mut trade) {
                    let row = match_row(&trade, ended.id, ended.price, size, book.ts_recv);
                    self.late.push(Row {
                        flags: INFERRED | LATE,
                        ..row
                    });
                }
                trade.fresh = false;
            }
            for exact in [true, false] {
                for &i in &self.places {
                    let change = &mut changes[i];
                    let (side, price, _) = change.old;
                    if trade.size > 0
                        && change.unexplained > 0
                        && trade.fits(side, price, change.stamp.ts_event, exact)
                    {
                        let size = trade.size.min(change.unexplained);
                        change.unexplained -= size;
                        trade.size -= size;
                        self.matches.push((i, trade, size));
                    }
                }
            }
            self.trades.waiting[nth] = trade;
        }
        self.trades.waiting.retain(|trade| trade.size > 0);
        self.counters.matched += self.matches.len() as u64;
        self.counters.late_matched += self.late.len() as u64;
    }

    /// Rows of all changes, each behind the matches that explain it, then what came late.
    fn push_changes(&mut self) {
        let changes = std::mem::take(&mut self.changes);
        let matches = std::mem::take(&mut self.matches);
        for (nth, change) in changes.iter().enumerate() {
            for (_, trade, size) in matches.iter().filter(|(i, _, _)| *i == nth) {
                let row = match_row(trade, change.id, change.old.1, *size, change.stamp.ts_recv);
                self.rows.push(Row {
                    flags: INFERRED,
                    ..row
                });
            }
            self.push_change(change);
        }
        self.rows.append(&mut self.late);
        (self.changes, self.matches) = (changes, matches);
    }

    fn push_change(&mut self, change: &Change) {
        let Some(row) = change.row() else { return };
        if change.unexplained > 0 {
            self.trades.note_ended(Ended {
                id: change.id,
                side: change.old.0,
                price: change.old.1,
                size: change.unexplained,
                ts_event: change.stamp.ts_event,
                ts_recv: change.stamp.ts_recv,
            });
        }
        self.rows.push(row);
    }

    /// Trades that waited past the horizon had no resting order that we saw.
    fn push_expired(&mut self, now: i64) {
        while let Some(trade) = self.trades.pop_expired(now) {
            self.counters.unmatched_trades += 1;
            let row = match_row(
                &trade,
                NULL_ID,
                trade.price,
                trade.size,
                trade.stamp.ts_recv,
            );
            self.rows.push(Row { kind: TRADE, ..row });
        }
    }

    fn finish(
        &mut self,
        book: &mut Book,
        codec: &Arc<Codec>,
        trade_codec: &Arc<Codec>,
        first_seq: i64,
    ) -> Option<Columns> {
        self.rows.last_mut()?.flags |= LAST;
        self.counters.crossed += u64::from(book.crossed());
        let mut latest = book.ts_recv;
        for row in &mut self.rows {
            latest = latest.max(row.ts_recv);
            row.ts_recv = latest;
        }
        let scales = (book.price_scale.unwrap_or(0), book.size_scale.unwrap_or(0));
        let columns = Columns::from_rows(
            &self.rows,
            first_seq,
            scales,
            codec.clone(),
            trade_codec.clone(),
        );
        book.seq = columns.seq.last().copied().unwrap_or(book.seq);
        book.ts_recv = latest;
        Some(columns)
    }
}
