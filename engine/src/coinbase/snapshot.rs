//! The whole book over REST, `GET /products/{id}/book?level=3`:
//! `{"bids":[[price,size,order_id],…],"asks":[…],"sequence":…,"time":…,"auction_mode":…}`.
//!
//! Made without the interpreter, in a thread of its own; the book that follows the stream takes it over whole.
//! Orders of one price stand in the order of the list, which clients take for their queue; the venue does
//! not say so, hence PLACE_ASSUMED.

use std::sync::Arc;

use crate::batch::{Columns, Row};
use crate::book::Book;
use crate::coinbase::feed::Fault;
use crate::coinbase::numbers::{rescaled, scales_of};
use crate::coinbase::time;
use crate::events::*;
use crate::ids::{Codec, Id};
use crate::json::{Malformed, Scanner, Value, whole};
use crate::number::{NumberError, Parsed, parse};

struct Listed {
    side: u8,
    id: Id,
    price: Parsed,
    size: Parsed,
}

pub struct Snapshot {
    pub sequence: i64,
    pub time: i64,
    /// What it lists is only indicative then, and there is no book.
    pub auction_mode: bool,
    pub book: Book,
    rows: Vec<Row>,
}

const SHAPE: Malformed = Malformed("a book that is not [[price, size, order_id], …]");

impl Snapshot {
    /// At scales of at least `scales` (price, size).
    pub fn read(text: &[u8], codec: &Codec, scales: (u8, u8)) -> Result<Self, Fault> {
        let mut listed = Vec::with_capacity(text.len() / 64);
        let (mut sequence, mut at, mut auction_mode) = (None, NULL, false);
        let mut sides = 0;
        let mut scanner = Scanner::new(text)?;
        scanner.expect(b'{', "expected an object")?;
        loop {
            match scanner.key()? {
                key @ (b"bids" | b"asks") => {
                    let side = if key == b"asks" { ASK } else { BID };
                    if sides & (1 << side) != 0 {
                        return Err(Malformed("a side that stands twice").into());
                    }
                    sides |= 1 << side;
                    read_side(&mut scanner, side, codec, &mut listed)?;
                }
                b"sequence" => {
                    sequence = match scanner.value()? {
                        Value::Number(token) if sequence.is_none() => whole(token),
                        _ => return Err(Malformed("a sequence that is no whole number").into()),
                    }
                }
                b"time" => {
                    if let Value::Text(text) = scanner.value()? {
                        at = time::read(text).unwrap_or(NULL);
                    }
                }
                b"auction_mode" => auction_mode = scanner.value()? == Value::True,
                _ => {
                    scanner.value()?;
                }
            }
            if !scanner.take(b',') {
                break;
            }
        }
        scanner.expect(b'}', "expected a comma or the object's end")?;
        scanner.end()?;
        let sequence = sequence.ok_or(Malformed("a book without its sequence"))?;
        if sides != 3 {
            return Err(Malformed("a book without one of its sides").into());
        }
        let mut snapshot = Self {
            sequence,
            time: at,
            auction_mode,
            book: Book::new(),
            rows: Vec::new(),
        };
        if !auction_mode {
            snapshot.build(&listed, scales)?;
        }
        Ok(snapshot)
    }

    fn build(&mut self, listed: &[Listed], scales: (u8, u8)) -> Result<(), Fault> {
        let refused = |field: &'static str, error| Fault::Number(field, Vec::new(), error);
        let (mut price_scale, mut size_scale) = scales;
        for order in listed {
            price_scale = price_scale.max(
                order
                    .price
                    .scale_needed()
                    .map_err(|e| refused("price", e))?,
            );
            size_scale = size_scale.max(order.size.scale_needed().map_err(|e| refused("size", e))?);
        }
        (self.book.price_scale, self.book.size_scale) = (Some(price_scale), Some(size_scale));
        self.rows = Vec::with_capacity(listed.len() + 1);
        let stamp = Row {
            ts_event: self.time,
            venue_seq: self.sequence,
            ..Row::EMPTY
        };
        self.rows.push(Row {
            kind: CLEAR,
            ..stamp
        });
        for order in listed {
            let large = NumberError::TooLarge;
            let price = order
                .price
                .at_scale(price_scale)
                .ok_or_else(|| refused("price", large))?;
            let size = order
                .size
                .at_scale(size_scale)
                .ok_or_else(|| refused("size", large))?;
            if size <= 0 || self.book.find(order.id).is_some() {
                return Err(Malformed("a book with an order twice, or of no size").into());
            }
            self.book.add(order.id, order.side, price, size);
            self.rows.push(Row {
                kind: OPEN,
                flags: SNAPSHOT | PLACE_ASSUMED,
                side: order.side,
                order_id: order.id,
                price,
                size,
                ..stamp
            });
        }
        if self.book.crossed() {
            return Err(Malformed("a book whose best bid is not below its best ask").into());
        }
        if let Some(last) = self.rows.last_mut() {
            last.flags |= LAST;
        }
        Ok(())
    }

    pub fn orders(&self) -> usize {
        self.book.len()
    }

    /// `book` becomes this one, in a new era; its CLEAR and its orders as events.
    pub fn adopt(
        &mut self,
        book: &mut Book,
        codecs: (&Arc<Codec>, &Arc<Codec>),
        first_seq: i64,
        now: i64,
    ) -> Result<Columns, Fault> {
        let own = scales_of(&self.book);
        let scales = (
            own.0.max(book.price_scale.unwrap_or(0)),
            own.1.max(book.size_scale.unwrap_or(0)),
        );
        if scales != own {
            let large = |field| Fault::Number(field, Vec::new(), NumberError::TooLarge);
            let rows: Option<Vec<Row>> = self
                .rows
                .iter()
                .map(|row| rescaled(row, own, scales))
                .collect();
            self.rows = rows.ok_or_else(|| large("price"))?;
            self.book.adopt_scales(scales.0, scales.1).map_err(large)?;
        }
        let ts_recv = now.max(book.ts_recv);
        for row in &mut self.rows {
            row.ts_recv = ts_recv;
        }
        let rows = std::mem::take(&mut self.rows);
        let (codec, trade_codec) = (codecs.0.clone(), codecs.1.clone());
        let columns = Columns::from_rows(&rows, first_seq, scales, codec, trade_codec);
        book.replace(std::mem::take(&mut self.book));
        book.era = book.era.saturating_add(1);
        book.seq = first_seq;
        book.ts_recv = ts_recv;
        Ok(columns)
    }
}

fn read_side(
    scanner: &mut Scanner,
    side: u8,
    codec: &Codec,
    listed: &mut Vec<Listed>,
) -> Result<(), Fault> {
    scanner.expect(b'[', SHAPE.0)?;
    if scanner.take(b']') {
        return Ok(());
    }
    loop {
        scanner.expect(b'[', SHAPE.0)?;
        let price = number(scanner, "price")?;
        scanner.expect(b',', SHAPE.0)?;
        let size = number(scanner, "size")?;
        scanner.expect(b',', SHAPE.0)?;
        let Value::Text(id) = scanner.value()? else {
            return Err(SHAPE.into());
        };
        let id = codec.encode(id).ok_or(Fault::Id)?;
        while scanner.take(b',') {
            scanner.value()?;
        }
        scanner.expect(b']', SHAPE.0)?;
        listed.push(Listed {
            side,
            id,
            price,
            size,
        });
        if !scanner.take(b',') {
            return Ok(scanner.expect(b']', SHAPE.0)?);
        }
    }
}

fn number(scanner: &mut Scanner, field: &'static str) -> Result<Parsed, Fault> {
    match scanner.value()? {
        Value::Text(text) => {
            parse(text).map_err(|error| Fault::Number(field, text.to_vec(), error))
        }
        _ => Err(SHAPE.into()),
    }
}
