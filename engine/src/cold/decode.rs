//! A block as columns.  Whatever the bytes are, nothing panics and nothing grows beyond what the rows
//! need; bytes that no writer made give None.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use crate::batch::{Before, Columns, Row};
use crate::cold::class::Class;
use crate::cold::coder::{Decoder, HeadReader, unzigzag};
use crate::cold::model::{Coder, Field, Given, Model, Params};
use crate::cold::{
    BLOCK_ROWS_MAX, CLASS_FAR, CLASSES_MAX, SIZE_FAR, SIZE_TOLD, TABLES, Table, present,
};
use crate::ids::{Codec, Id};

/// The columns of a block whose first row has this seq.
pub fn decode(
    bytes: &[u8],
    first_seq: i64,
    scales: (u8, u8),
    codecs: (Arc<Codec>, Arc<Codec>),
) -> Option<Columns> {
    let mut head = HeadReader(bytes);
    let rows = head.count(BLOCK_ROWS_MAX)?;
    let columns = u8::try_from(head.number()?).ok()?;
    let last_seq = first_seq.checked_add(i64::try_from(rows).ok()?)?;
    let params = read_parameters(&mut head)?;
    let classes = read_classes(&mut head)?;
    let size_step = head.number()? as i64;
    let sizes = head.count(head.0.len())?;
    let size = |_| Some(head.signed()?.wrapping_mul(size_step));
    let sizes: Vec<i64> = (0..sizes).map(size).collect::<Option<_>>()?;
    let decoder = Decoder::new(TABLES, &mut head)?;
    if !head.0.is_empty() || classes.is_empty() {
        return None;
    }
    let mut reading = Reading {
        classes,
        sizes,
        size_step,
        decoder,
        failed: false,
    };
    let mut out = Out::new(rows, columns);
    let mut model = Model::new(params);
    let nothing = Given {
        row: Row::EMPTY,
        class: Class::default(),
        order: 0,
        taker: 0,
    };
    for _ in 0..rows {
        let row = model.row(&mut reading, &nothing);
        out.push(&row);
    }
    if reading.failed || !reading.decoder.is_exhausted() {
        return None;
    }
    Some(out.columns((first_seq..last_seq).collect(), scales, codecs))
}

fn read_parameters(head: &mut HeadReader) -> Option<Params> {
    let mut params = Params {
        first_recv: head.signed()?,
        recv_step: head.signed()?,
        first_event: head.signed()?,
        event_step: head.signed()?,
        first_venue: head.signed()?,
        ..Params::default()
    };
    let mut id = || Some(Id::from(head.number()?) | (Id::from(head.number()?) << 64));
    (params.first_trade, params.first_id, params.id_bits) = (id()?, id()?, id()?);
    let prices = head.count(head.0.len() + 1)?;
    let step = head.number()?;
    if prices > 0 {
        let mut price = head.signed()?;
        params.prices.push(price);
        for _ in 1..prices {
            price = price.wrapping_add(head.number()?.wrapping_mul(step) as i64);
            params.prices.push(price);
        }
    }
    (params.recv_step > 0 && params.event_step > 0).then_some(params)
}

fn read_classes(head: &mut HeadReader) -> Option<Vec<Class>> {
    let count = head.count(CLASSES_MAX)?;
    (0..count)
        .map(|_| Class::unpacked(head.number()?))
        .collect()
}

struct Reading<'a> {
    classes: Vec<Class>,
    sizes: Vec<i64>,
    size_step: i64,
    decoder: Decoder<'a>,
    failed: bool,
}

impl Coder for Reading<'_> {
    const WRITES: bool = false;

    #[inline(always)]
    fn class(&mut self, before: usize, _: &Class) -> (usize, Class) {
        let mut at = usize::from(self.decoder.symbol(Table::class(before).into()));
        if at == usize::from(CLASS_FAR) {
            at = self.decoder.bits(16) as usize;
        }
        match self.classes.get(at) {
            Some(class) => (at, *class),
            None => {
                self.failed = true;
                (0, self.classes[0])
            }
        }
    }

    #[inline(always)]
    fn number(&mut self, field: Field, context: usize, _: u64) -> u64 {
        self.decoder.number(Table::number(field, context).into())
    }

    #[inline(always)]
    fn size(&mut self, context: usize, _: i64) -> i64 {
        let mut at = match self.decoder.symbol(Table::size(context).into()) {
            SIZE_TOLD => {
                let told = self.decoder.number(Table::size_told(context).into());
                return unzigzag(told).wrapping_mul(self.size_step);
            }
            at => usize::from(at),
        };
        if at == usize::from(SIZE_FAR) {
            at += self.decoder.number(Table::SIZE_FAR.into()) as usize;
        }
        match self.sizes.get(at) {
            Some(&size) => size,
            None => {
                self.failed = true;
                0
            }
        }
    }

    #[inline(always)]
    fn bits(&mut self, _: u64, count: u32) -> u64 {
        self.decoder.bits(count)
    }

    fn fail(&mut self) {
        self.failed = true;
    }
}

/// Columns while they fill; those that the block has not stay empty.
struct Out {
    present: u8,
    rows: usize,
    ts_recv: Vec<i64>,
    kind: Vec<u8>,
    side: Vec<u8>,
    reason: Vec<u8>,
    flags: Vec<u16>,
    order_id: Vec<Id>,
    price: Vec<i64>,
    size: Vec<i64>,
    venue_seq: Vec<i64>,
    ts_event: Vec<i64>,
    trade_id: Vec<Id>,
    taker_order_id: Vec<Id>,
    taker_side: Vec<u8>,
    price_before: Vec<AtomicI64>,
    size_before: Vec<AtomicI64>,
}

impl Out {
    fn new(rows: usize, present: u8) -> Self {
        let if_any = |column: u8| if present & column != 0 { rows } else { 0 };
        Self {
            present,
            rows,
            ts_recv: Vec::with_capacity(rows),
            kind: Vec::with_capacity(rows),
            side: Vec::with_capacity(rows),
            reason: Vec::with_capacity(rows),
            flags: Vec::with_capacity(rows),
            order_id: Vec::with_capacity(rows),
            price: Vec::with_capacity(rows),
            size: Vec::with_capacity(rows),
            venue_seq: Vec::with_capacity(if_any(present::VENUE_SEQ)),
            ts_event: Vec::with_capacity(if_any(present::TS_EVENT)),
            trade_id: Vec::with_capacity(if_any(present::TRADE_ID)),
            taker_order_id: Vec::with_capacity(if_any(present::TAKER_ORDER_ID)),
            taker_side: Vec::with_capacity(if_any(present::TAKER_SIDE)),
            price_before: Vec::with_capacity(if_any(present::BEFORE)),
            size_before: Vec::with_capacity(if_any(present::BEFORE)),
        }
    }

    #[inline(always)]
    fn push(&mut self, row: &Row) {
        self.ts_recv.push(row.ts_recv);
        self.kind.push(row.kind);
        self.side.push(row.side);
        self.reason.push(row.reason);
        self.flags.push(row.flags);
        self.order_id.push(row.order_id);
        self.price.push(row.price);
        self.size.push(row.size);
        let has = |column: u8| self.present & column != 0;
        if has(present::VENUE_SEQ) {
            self.venue_seq.push(row.venue_seq);
        }
        if has(present::TS_EVENT) {
            self.ts_event.push(row.ts_event);
        }
        if has(present::TRADE_ID) {
            self.trade_id.push(row.trade_id);
        }
        if has(present::TAKER_ORDER_ID) {
            self.taker_order_id.push(row.taker_order_id);
        }
        if has(present::TAKER_SIDE) {
            self.taker_side.push(row.taker_side);
        }
        if has(present::BEFORE) {
            self.price_before.push(AtomicI64::new(row.price_before));
            self.size_before.push(AtomicI64::new(row.size_before));
        }
    }

    fn columns(self, seq: Vec<i64>, scales: (u8, u8), codecs: (Arc<Codec>, Arc<Codec>)) -> Columns {
        let present = self.present;
        let has = |column: u8| present & column != 0;
        debug_assert_eq!(self.rows, self.kind.len());
        Columns {
            price_scale: scales.0,
            size_scale: scales.1,
            codec: codecs.0,
            trade_codec: codecs.1,
            seq,
            ts_recv: self.ts_recv,
            kind: self.kind,
            side: self.side,
            reason: self.reason,
            flags: self.flags,
            order_id: self.order_id,
            price: self.price,
            size: self.size,
            venue_seq: has(present::VENUE_SEQ).then_some(self.venue_seq),
            ts_event: has(present::TS_EVENT).then_some(self.ts_event),
            trade_id: has(present::TRADE_ID).then_some(self.trade_id),
            taker_order_id: has(present::TAKER_ORDER_ID).then_some(self.taker_order_id),
            taker_side: has(present::TAKER_SIDE).then_some(self.taker_side),
            before: has(present::BEFORE).then(|| Before {
                price: self.price_before.into_boxed_slice(),
                size: self.size_before.into_boxed_slice(),
            }),
        }
    }
}
