//! Messages in the order of their sequence to events, applied to the book as they are read.

use std::sync::Arc;

use crate::apply::Event;
use crate::batch::{Columns, Row};
use crate::book::{Book, Outcome};
use crate::coinbase::emptied::{Emptied, Rested};
use crate::coinbase::message::{Kind, Message};
use crate::coinbase::time;
use crate::events::*;
use crate::ids::{Codec, Id};
use crate::json::Malformed;
use crate::number::NumberError;
use crate::table::hash_id;

/// What one frame was.
#[derive(Debug, PartialEq, Eq)]
pub enum Taken {
    /// In step; its events, if it had any, are among the rows.
    InStep,
    /// Nothing for the book: late, of another product, of our own orders, a heartbeat in step.
    Nothing,
    /// `subscriptions` or `error`.
    Control,
}

/// Why the book can't follow a frame; nothing of the frame is applied.
#[derive(Debug, PartialEq, Eq)]
pub enum Fault {
    Unreadable(String),
    Number(&'static str, Vec<u8>, NumberError),
    Id,
    /// Messages are lost.
    Gap {
        expected: i64,
        found: i64,
    },
    /// The venue counts anew.
    Restarted {
        expected: i64,
        found: i64,
    },
    /// The message contradicts the book.
    Desync(String),
}

impl From<Malformed> for Fault {
    fn from(malformed: Malformed) -> Self {
        Self::Unreadable(malformed.0.into())
    }
}

/// What a frame is, for whoever keeps frames until a book is there.
#[derive(Debug, PartialEq, Eq)]
pub enum Peeked {
    Sequenced(i64),
    Heartbeat(i64),
    Control,
    Nothing,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct FeedCounters {
    pub received: u64,
    pub never_rested: u64,
    pub changes_of_others: u64,
    pub late: u64,
    pub heartbeats: u64,
    pub other_products: u64,
    pub without_sequence: u64,
    pub unknown_types: u64,
    pub unknown_reasons: u64,
    pub reopened: u64,
    pub empty_opens: u64,
    pub traded_as_taker: u64,
    pub unreadable_times: u64,
    pub crossed: u64,
}

pub struct Feed {
    product: Vec<u8>,
    /// Sequence of the last message in step.
    pub last: i64,
    /// The venue's time of it, NULL before the first after a snapshot.
    last_time: i64,
    pub(super) rows: Vec<Row>,
    emptied: Emptied,
    /// Rows, and ns from the first of them, that a batch is at most made of.
    gather: (usize, i64),
    pub counters: FeedCounters,
}

type Stood = (u8, i64, i64);

impl Feed {
    pub fn new(product: &str, emptied_max: usize, gather: (usize, i64)) -> Self {
        Self {
            product: product.into(),
            last: 0,
            last_time: NULL,
            rows: Vec::new(),
            emptied: Emptied::new(emptied_max),
            gather,
            counters: FeedCounters::default(),
        }
    }

    /// The book is now the venue's at this sequence.
    pub fn start(&mut self, sequence: i64) {
        self.last = sequence;
        self.last_time = NULL;
        self.rows.clear();
        self.emptied.clear();
    }

    pub fn pending(&self) -> usize {
        self.rows.len()
    }

    /// Whether the rows must not wait for more: there are many, or the first came long before `now`.
    #[inline(always)]
    pub fn is_due(&self, now: i64) -> bool {
        self.rows.first().is_some_and(|first| {
            self.rows.len() >= self.gather.0 || now.saturating_sub(first.ts_recv) >= self.gather.1
        })
    }

    /// Forgets rows that no batch took.
    pub fn discard(&mut self) {
        self.rows.clear();
    }

    pub fn peek(&mut self, text: &[u8]) -> Result<Peeked, Fault> {
        let message = Message::read(text)?;
        if matches!(message.kind, Kind::Subscriptions | Kind::Error) {
            return Ok(Peeked::Control);
        }
        Ok(match self.sequence_of(&message) {
            None => Peeked::Nothing,
            Some(sequence) if message.kind == Kind::Heartbeat => Peeked::Heartbeat(sequence),
            Some(sequence) => Peeked::Sequenced(sequence),
        })
    }

    /// Its sequence where it is one of our product's.  Messages about our own orders that nobody else gets
    /// carry none ("websocket-feed/authentication").
    #[inline(always)]
    fn sequence_of(&mut self, message: &Message) -> Option<i64> {
        if message.product != self.product {
            self.counters.other_products += 1;
            return None;
        }
        if message.sequence.is_none() {
            self.counters.without_sequence += 1;
        }
        message.sequence
    }

    /// One frame.  Rows gather until `finish`.
    #[inline]
    pub fn take(
        &mut self,
        book: &mut Book,
        codec: &Codec,
        trade_codec: &Codec,
        text: &[u8],
        ts_recv: i64,
    ) -> Result<Taken, Fault> {
        let message = Message::read(text)?;
        if matches!(message.kind, Kind::Subscriptions | Kind::Error) {
            return Ok(Taken::Control);
        }
        let Some(sequence) = self.sequence_of(&message) else {
            return Ok(Taken::Nothing);
        };
        if message.kind == Kind::Heartbeat {
            return self.heartbeat(sequence);
        }
        let ts_event = self.time_of(&message);
        let expected = self.last + 1;
        if sequence < expected {
            return self.late(sequence, ts_event);
        }
        if sequence > expected {
            return Err(Fault::Gap {
                expected,
                found: sequence,
            });
        }
        let before = self.rows.len();
        let row = Row {
            ts_recv: ts_recv.max(book.ts_recv),
            ts_event,
            venue_seq: sequence,
            ..Row::EMPTY
        };
        match message.kind {
            Kind::Open => self.open(book, codec, &message, row)?,
            Kind::Match => self.fill(book, codec, trade_codec, &message, row)?,
            Kind::Done => self.end(book, codec, &message, row)?,
            Kind::Change => self.change(book, codec, &message, row)?,
            Kind::Received => self.counters.received += 1,
            _ => self.counters.unknown_types += 1,
        }
        self.last = sequence;
        if ts_event != NULL {
            self.last_time = ts_event;
        }
        if self.rows.len() > before
            && let Some(last) = self.rows.last_mut()
        {
            last.flags |= LAST;
            book.ts_recv = last.ts_recv;
            self.counters.crossed += u64::from(book.crossed());
        }
        Ok(Taken::InStep)
    }

    /// It carries the sequence of the last message sent, and is none of the count itself.
    fn heartbeat(&mut self, sequence: i64) -> Result<Taken, Fault> {
        self.counters.heartbeats += 1;
        if sequence > self.last {
            return Err(Fault::Gap {
                expected: self.last + 1,
                found: sequence + 1,
            });
        }
        Ok(Taken::Nothing)
    }

    /// A repeat, or older than the snapshot.  One that was made later than what is applied is neither.
    #[cold]
    fn late(&mut self, sequence: i64, ts_event: i64) -> Result<Taken, Fault> {
        if self.last_time != NULL && ts_event > self.last_time {
            return Err(Fault::Restarted {
                expected: self.last + 1,
                found: sequence,
            });
        }
        self.counters.late += 1;
        Ok(Taken::Nothing)
    }

    #[inline(always)]
    fn time_of(&mut self, message: &Message) -> i64 {
        match time::read(message.time) {
            Some(ns) => ns,
            None => {
                self.counters.unreadable_times += u64::from(!message.time.is_empty());
                NULL
            }
        }
    }

    // Kinds --------------------------------------------------------------------------------------------
    fn open(
        &mut self,
        book: &mut Book,
        codec: &Codec,
        message: &Message,
        row: Row,
    ) -> Result<(), Fault> {
        let id = id_of(codec, message.order_id, "order_id")?;
        let side = side_of(message)?;
        let price = self.number(book, "price", message.price)?;
        let size = self.number(book, "remaining_size", message.remaining_size)?;
        if size <= 0 {
            if size < 0 {
                return Err(Fault::Unreadable("a remaining_size below zero".into()));
            }
            self.counters.empty_opens += 1;
            return Ok(());
        }
        let stood = standing(book, id);
        let row = Row {
            side,
            order_id: id,
            price,
            size,
            ..row
        };
        match stood {
            None => {
                self.emptied.take(id); // it stands again: its end is told from the book
                self.push(book, Row { kind: OPEN, ..row })
            }
            Some(stood) => {
                // It stands so now: a change of what we knew.
                self.counters.reopened += 1;
                self.push_change(book, REASON_AMENDED, stood, row)
            }
        }
    }

    fn fill(
        &mut self,
        book: &mut Book,
        codec: &Codec,
        trade_codec: &Codec,
        message: &Message,
        row: Row,
    ) -> Result<(), Fault> {
        let maker = id_of(codec, message.maker_order_id, "maker_order_id")?;
        let taker = id_of(codec, message.taker_order_id, "taker_order_id")?;
        let side = side_of(message)?;
        let price = self.number(book, "price", message.price)?;
        let size = self.number(book, "size", message.size)?;
        let Some(stood) = standing(book, maker) else {
            return Err(desync(
                "trades with an order that does not rest",
                message.maker_order_id,
            ));
        };
        if (side, price) != (stood.0, stood.1) || size <= 0 || size > stood.2 || maker == taker {
            return Err(desync(
                "trades otherwise than the order rests",
                message.maker_order_id,
            ));
        }
        let takes = standing(book, taker);
        if takes.is_some_and(|takes| takes.0 == side || takes.2 < size) {
            return Err(desync(
                "takes more than it rests with",
                message.taker_order_id,
            ));
        }
        let trade_id = match message.trade_id {
            b"" => Row::EMPTY.trade_id,
            text => id_of(trade_codec, text, "trade_id")?,
        };
        if size == stood.2 {
            self.empty(book, maker, stood);
        }
        let taken = Row {
            kind: MATCH,
            side,
            order_id: maker,
            price,
            size,
            trade_id,
            taker_order_id: taker,
            taker_side: if side == ASK { BID } else { ASK },
            ..row
        };
        self.push(book, taken)?;
        let Some(takes) = takes else { return Ok(()) };
        // An order that rested was amended so that it trades at once ("FIX order entry").
        self.counters.traded_as_taker += 1;
        if size == takes.2 {
            self.empty(book, taker, takes);
        }
        let row = Row {
            side: takes.0,
            order_id: taker,
            price: takes.1,
            size: takes.2 - size,
            ..row
        };
        self.push_change(book, REASON_TRADED_AS_TAKER, takes, row)
    }

    fn end(
        &mut self,
        book: &mut Book,
        codec: &Codec,
        message: &Message,
        row: Row,
    ) -> Result<(), Fault> {
        let id = id_of(codec, message.order_id, "order_id")?;
        let reason = match message.reason {
            b"filled" => REASON_FILLED,
            b"canceled" => REASON_CANCELED,
            _ => {
                self.counters.unknown_reasons += 1;
                REASON_UNKNOWN
            }
        };
        let row = Row {
            kind: DONE,
            reason,
            order_id: id,
            ..row
        };
        let Some((side, price, size)) = standing(book, id) else {
            let Some(rested) = self.emptied.take(id) else {
                self.counters.never_rested += 1;
                return Ok(());
            };
            let price = rested.price_at(book.price_scale.unwrap_or(0));
            return self.push(
                book,
                Row {
                    side: rested.side,
                    price: price.unwrap_or(NULL),
                    size: 0,
                    ..row
                },
            );
        };
        if reason == REASON_CANCELED && !message.remaining_size.is_empty() {
            let left = self.number(book, "remaining_size", message.remaining_size)?;
            let (_, _, size) = standing(book, id).unwrap_or((side, price, size));
            if left != size {
                return Err(desync(
                    "is canceled with another size than it rests with",
                    message.order_id,
                ));
            }
        }
        // Again: the number may have brought the book to larger scales.
        let (side, price, size) = standing(book, id).unwrap_or((side, price, size));
        self.push(
            book,
            Row {
                side,
                price,
                size,
                ..row
            },
        )
    }

    fn change(
        &mut self,
        book: &mut Book,
        codec: &Codec,
        message: &Message,
        row: Row,
    ) -> Result<(), Fault> {
        let id = id_of(codec, message.order_id, "order_id")?;
        if standing(book, id).is_none() || message.new_size.is_empty() {
            // Received and not resting, or a market order's funds.
            self.counters.changes_of_others += 1;
            return Ok(());
        }
        let new_price = self.optional(book, "new_price", message.new_price)?;
        let old_price = self.optional(book, "old_price", message.old_price)?;
        let price = self.optional(book, "price", message.price)?;
        let size = self.number(book, "new_size", message.new_size)?;
        let old_size = self.optional(book, "old_size", message.old_size)?;
        let Some(stood) = standing(book, id) else {
            return Ok(());
        };
        let reason = match message.reason {
            b"STP" => REASON_SELF_TRADE,
            b"modify_order" | b"tpsl_triggered" | b"remainder_after_modification" => REASON_AMENDED,
            _ => {
                self.counters.unknown_reasons += 1;
                REASON_UNKNOWN
            }
        };
        // What it says stood before; after a trade as taker it tells of the order as it was amended.
        let differs = |said: Option<i64>, known| said.is_some_and(|said| said != known);
        let is_remainder = message.reason == b"remainder_after_modification";
        if size < 0
            || (!is_remainder && (differs(old_size, stood.2) || differs(old_price, stood.1)))
            || (reason == REASON_SELF_TRADE && (size > stood.2 || differs(price, stood.1)))
        {
            return Err(desync("changes otherwise than it rests", message.order_id));
        }
        if size == 0 {
            self.empty(book, id, stood);
        }
        let row = Row {
            side: stood.0,
            order_id: id,
            price: new_price.or(price).unwrap_or(stood.1),
            size,
            ..row
        };
        self.push_change(book, reason, stood, row)
    }

    // Rows ---------------------------------------------------------------------------------------------
    fn empty(&mut self, book: &Book, id: Id, stood: Stood) {
        let rested = Rested {
            side: stood.0,
            price: stood.1,
            price_scale: book.price_scale.unwrap_or(0),
        };
        self.emptied.remember(id, rested);
    }

    fn push_change(
        &mut self,
        book: &mut Book,
        reason: u8,
        stood: Stood,
        row: Row,
    ) -> Result<(), Fault> {
        let row = Row {
            kind: CHANGE,
            reason,
            price_before: stood.1,
            size_before: stood.2,
            ..row
        };
        self.push(book, row)
    }

    #[inline(always)]
    fn push(&mut self, book: &mut Book, row: Row) -> Result<(), Fault> {
        let outcome = book.apply_one(Event {
            kind: row.kind,
            side: row.side,
            flags: 0,
            id: row.order_id,
            hash: hash_id(row.order_id),
            price: row.price,
            size: row.size,
        });
        if outcome != Outcome::Applied {
            return Err(Fault::Desync(format!("the book refuses it: {outcome:?}")));
        }
        self.rows.push(row);
        Ok(())
    }

    /// The batch of all rows since the last; None where there are none.
    pub fn finish(
        &mut self,
        book: &mut Book,
        codec: &Arc<Codec>,
        trade_codec: &Arc<Codec>,
        first_seq: i64,
    ) -> Option<Columns> {
        if self.rows.is_empty() {
            return None;
        }
        let columns = Columns::from_rows(
            &self.rows,
            first_seq,
            (book.price_scale.unwrap_or(0), book.size_scale.unwrap_or(0)),
            codec.clone(),
            trade_codec.clone(),
        );
        self.rows.clear();
        book.seq = columns.seq.last().copied().unwrap_or(book.seq);
        Some(columns)
    }
}

#[inline(always)]
fn standing(book: &Book, id: Id) -> Option<Stood> {
    let (slot, _) = book.find(id)?;
    let level = book.level_of(slot);
    Some((level.side, level.price, book.orders[slot as usize].size))
}

#[inline(always)]
fn id_of(codec: &Codec, text: &[u8], field: &'static str) -> Result<Id, Fault> {
    if text.is_empty() {
        return Err(Fault::Unreadable(format!("a message without its {field}")));
    }
    codec.encode(text).ok_or(Fault::Id)
}

#[inline(always)]
fn side_of(message: &Message) -> Result<u8, Fault> {
    message
        .side
        .ok_or_else(|| Fault::Unreadable("a message without its side".into()))
}

#[cold]
fn desync(what: &str, id: &[u8]) -> Fault {
    let id = String::from_utf8_lossy(&id[..id.len().min(64)]);
    Fault::Desync(format!("{id} {what}"))
}
