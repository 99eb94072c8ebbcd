//! `OrderBook`, `Counters`, `Effects`.

use std::sync::Arc;

use pyo3::exceptions::{PyKeyError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};

use crate::apply::{self, Event};
use crate::batch::{Columns, Row, Slice};
use crate::book::Book;
use crate::checksum::Checksum;
use crate::events::{ASK, BID, CLEAR, LAST, NO_SIDE, NULL, OPEN, PLACE_ASSUMED, SNAPSHOT, TRADE};
use crate::ids::{Codec, Form, Id, NULL_ID};
use crate::number::{NumberError, decimal_digits};
use crate::python::applied::{Counters, Effects};
use crate::python::batch::EventBatch;
use crate::python::codec::{IdCodec, codec_of};
use crate::python::convert::{
    BookCorrupt, IdRefused, Number, decimal, id_of, known_id, known_side, number_of, refused,
    refused_object, scale_of,
};
use crate::table::hash_id;

/// Batches of this many rows are applied with the interpreter released.
const DETACH_ROWS: usize = 512;

/// (order_id, price, size)
type OrderRow<'py> = (String, Bound<'py, PyAny>, Bound<'py, PyAny>);

/// An exact level-3 book: every order, its price, its size and its place in the queue.
/// Scales come from the batches, or from the first text.  One thread at a time.
#[pyclass(module = "ordertape")]
pub struct OrderBook {
    pub book: Book,
    pub codec: Arc<Codec>,
    checksum: Checksum,
    /// Price, scale and Decimal of each side's best price when it was last shown: it seldom changes.
    shown: [Option<(i64, u8, Py<PyAny>)>; 2],
}

impl OrderBook {
    fn price_scale_or_0(&self) -> u8 {
        self.book.price_scale.unwrap_or(0)
    }

    fn size_scale_or_0(&self) -> u8 {
        self.book.size_scale.unwrap_or(0)
    }

    fn price<'py>(&self, py: Python<'py>, price: i64) -> PyResult<Bound<'py, PyAny>> {
        decimal(py, i128::from(price), self.price_scale_or_0())
    }

    fn size<'py>(&self, py: Python<'py>, size: i128) -> PyResult<Bound<'py, PyAny>> {
        decimal(py, size, self.size_scale_or_0())
    }

    fn id_text(&self, id: Id) -> String {
        self.codec.decode(id).unwrap_or_default()
    }

    /// Slot and entry of a resting order.
    fn find(&self, order_id: &Bound<'_, PyAny>) -> PyResult<Option<(u32, usize)>> {
        Ok(known_id(&self.codec, order_id)?.and_then(|id| self.book.find(id)))
    }

    /// The batch with ids of this book's codec; a book that has met no id yet takes the batch's.
    pub fn translated(&mut self, slice: &Slice) -> PyResult<Slice> {
        let columns = &slice.columns;
        if self.codec.form() == Form::Auto {
            self.codec = columns.codec.clone();
        }
        if self.codec.same_keys(&columns.codec) {
            return Ok(slice.clone());
        }
        let translate = |id: Id| {
            if id == NULL_ID {
                return Ok(NULL_ID);
            }
            let text = columns.codec.decode(id).ok_or_else(|| {
                IdRefused::new_err("the batch has ids that its own codec can't write as text")
            })?;
            self.codec.encode(text.as_bytes()).ok_or_else(|| {
                IdRefused::new_err("the batch's ids don't fit this book's dictionary any more")
            })
        };
        let rows: PyResult<Vec<Row>> = slice
            .range()
            .map(|i| {
                let row = columns.row(i);
                Ok(Row {
                    order_id: translate(row.order_id)?,
                    taker_order_id: translate(row.taker_order_id)?,
                    ..row
                })
            })
            .collect();
        let rows = rows?;
        let scales = (columns.price_scale, columns.size_scale);
        let mut translated = Columns::from_rows(
            &rows,
            1,
            scales,
            self.codec.clone(),
            columns.trade_codec.clone(),
        );
        translated.seq = columns.seq[slice.range()].to_vec();
        Ok(Slice::whole(translated))
    }

    fn apply_slice(&mut self, slice: &Slice) -> PyResult<apply::Counters> {
        self.book
            .apply(slice)
            .map_err(|field| refused(field, b"", NumberError::TooLarge))
    }

    /// Price or size of `apply_one` at the book's scale, which grows where it must.
    fn one_number(&mut self, field: &str, number: Option<&Bound<'_, PyAny>>) -> PyResult<i64> {
        let Some(object) = number else {
            return Ok(NULL);
        };
        let scale = if field == "price" {
            self.book.price_scale
        } else {
            self.book.size_scale
        };
        let parsed = match number_of(field, object)? {
            Number::Scaled(_) if scale.is_none() => {
                return Err(PyValueError::new_err(format!(
                    "{field}: an int is scaled, but the book has no scale yet"
                )));
            }
            Number::Scaled(value) => return Ok(value),
            Number::Exact(parsed) => parsed,
        };
        if let Some(value) = scale.and_then(|scale| parsed.at_scale(scale)) {
            return Ok(value);
        }
        let wrong = |error| refused_object(field, object, error);
        let needed = parsed
            .scale_needed()
            .map_err(wrong)?
            .max(scale.unwrap_or(0));
        let value = parsed
            .at_scale(needed)
            .ok_or_else(|| wrong(NumberError::TooLarge))?;
        let scales = if field == "price" {
            (needed, self.size_scale_or_0())
        } else {
            (self.price_scale_or_0(), needed)
        };
        let undecided = (
            self.book.price_scale.is_none(),
            self.book.size_scale.is_none(),
        );
        self.book
            .adopt_scales(scales.0, scales.1)
            .map_err(|_| wrong(NumberError::TooLarge))?;
        // The other number has not decided its scale by this one.
        if undecided.0 && field != "price" {
            self.book.price_scale = None;
        }
        if undecided.1 && field == "price" {
            self.book.size_scale = None;
        }
        Ok(value)
    }

    fn levels_of<T>(
        &self,
        side: u8,
        levels: usize,
        row: impl Fn(i64, i128, u32) -> PyResult<T>,
    ) -> PyResult<Vec<T>> {
        let ladder = &self.book.halves[usize::from(side == ASK)].ladder;
        ladder
            .iter()
            .take(levels)
            .map(|step| {
                let level = &self.book.levels[step.level as usize];
                row(level.price, level.total, level.count)
            })
            .collect()
    }
}

#[pymethods]
impl OrderBook {
    #[new]
    #[pyo3(signature = (price_scale = None, size_scale = None, codec = None))]
    fn new(
        price_scale: Option<i64>,
        size_scale: Option<i64>,
        codec: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let mut book = Book::new();
        book.price_scale = scale_of("price_scale", price_scale)?;
        book.size_scale = scale_of("size_scale", size_scale)?;
        Ok(Self {
            book,
            codec: codec_of(codec)?,
            checksum: Checksum::default(),
            shown: [None, None],
        })
    }

    #[getter]
    fn price_scale(&self) -> Option<u8> {
        self.book.price_scale
    }

    #[getter]
    fn size_scale(&self) -> Option<u8> {
        self.book.size_scale
    }

    #[getter]
    fn codec(&self) -> IdCodec {
        IdCodec(self.codec.clone())
    }

    #[getter]
    fn seq(&self) -> i64 {
        self.book.seq
    }

    #[getter]
    fn ts_recv(&self) -> i64 {
        self.book.ts_recv
    }

    #[getter]
    fn era(&self) -> i64 {
        self.book.era
    }

    #[setter]
    fn set_era(&mut self, era: i64) {
        self.book.era = era;
    }

    /// Applies a batch: Counters, or with effects=True (Counters, Effects).
    #[pyo3(signature = (batch, effects = false))]
    fn apply<'py>(
        &mut self,
        batch: &Bound<'py, EventBatch>,
        effects: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = batch.py();
        let given = &batch.get().0;
        let slice = self.translated(given)?;
        let book = &mut self.book;
        let mut run = || {
            if effects {
                let (counters, effects) = book.apply_with_effects(&slice)?;
                Ok((counters, Some(effects)))
            } else {
                Ok((book.apply(&slice)?, None))
            }
        };
        let done = if slice.len < DETACH_ROWS {
            run()
        } else {
            py.detach(run)
        };
        let (counters, effects) =
            done.map_err(|field| refused(field, b"", NumberError::TooLarge))?;
        slice.give_before(given);
        let counters = Counters(counters);
        Ok(match effects {
            Some(effects) => (counters, Effects(Arc::new(effects)))
                .into_pyobject(py)?
                .into_any(),
            None => Bound::new(py, counters)?.into_any(),
        })
    }

    /// Applies one event; price and size are text, Decimal or (scales known) scaled ints, never floats.
    /// Returns an `ordertape.ApplyResult`.
    #[pyo3(signature = (kind, side, order_id, price, size, /))]
    fn apply_one(
        &mut self,
        kind: u8,
        side: Option<u8>,
        order_id: Option<&Bound<'_, PyAny>>,
        price: Option<&Bound<'_, PyAny>>,
        size: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<u8> {
        if !(OPEN..=7).contains(&kind) {
            return Err(PyValueError::new_err(format!(
                "kind {kind}: expected 1 to 7"
            )));
        }
        let side = side.unwrap_or(NO_SIDE);
        if !(side == NO_SIDE && matches!(kind, CLEAR | TRADE)) {
            known_side(side)?;
        }
        if kind == OPEN && order_id.is_none() {
            return Err(PyValueError::new_err("an OPEN without its order id"));
        }
        let id = order_id.map_or(Ok(NULL_ID), |id| id_of(&self.codec, id))?;
        let price = self.one_number("price", price)?;
        let size = self.one_number("size", size)?;
        let outcome = self.book.apply_one(Event {
            kind,
            side,
            flags: 0,
            id,
            hash: hash_id(id),
            price,
            size,
        });
        self.book.seq = self.book.seq.saturating_add(1);
        Ok(outcome as u8)
    }

    /// (bids, asks), each [(Decimal price, Decimal size, int orders)], best first.
    fn depth<'py>(&self, py: Python<'py>, levels: usize) -> PyResult<Bound<'py, PyTuple>> {
        let side = |side| {
            let row =
                |price, total, count| Ok((self.price(py, price)?, self.size(py, total)?, count));
            PyList::new(py, self.levels_of(side, levels, row)?)
        };
        (side(BID)?, side(ASK)?).into_pyobject(py)
    }

    /// As depth, in scaled ints.
    fn depth_scaled<'py>(&self, py: Python<'py>, levels: usize) -> PyResult<Bound<'py, PyTuple>> {
        let side = |side| {
            PyList::new(
                py,
                self.levels_of(side, levels, |price, total, count| {
                    Ok((price, total, count))
                })?,
            )
        };
        (side(BID)?, side(ASK)?).into_pyobject(py)
    }

    /// (best bid, best ask) as Decimals, None where a side is empty.
    fn best<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let mut best = [None, None];
        for side in [BID, ASK] {
            let Some(price) = self.book.best_price(side) else {
                continue;
            };
            let (nth, scale) = (usize::from(side), self.price_scale_or_0());
            let shown = match &self.shown[nth] {
                Some((known, at, shown)) if (*known, *at) == (price, scale) => {
                    shown.bind(py).clone()
                }
                _ => self.price(py, price)?,
            };
            self.shown[nth] = Some((price, scale, shown.clone().unbind()));
            best[nth] = Some(shown);
        }
        let [bid, ask] = best;
        (bid, ask).into_pyobject(py)
    }

    /// As best, in scaled ints.
    fn best_scaled(&self) -> (Option<i64>, Option<i64>) {
        (self.book.best_price(BID), self.book.best_price(ASK))
    }

    /// [(order_id, Decimal size)] at a price, front first.
    #[pyo3(signature = (price, side = None))]
    fn queue<'py>(
        &self,
        py: Python<'py>,
        price: &Bound<'py, PyAny>,
        side: Option<u8>,
    ) -> PyResult<Vec<(String, Bound<'py, PyAny>)>> {
        let price = match number_of("price", price)? {
            Number::Scaled(price) => price,
            // A price that the scale doesn't hold has no queue.
            Number::Exact(parsed) => parsed.at_scale(self.price_scale_or_0()).unwrap_or(NULL),
        };
        let sides = match side {
            Some(side) => vec![known_side(side)?],
            None => vec![BID, ASK],
        };
        let levels = sides
            .into_iter()
            .filter_map(|side| self.book.find_level(side, price));
        levels
            .flat_map(|(level, _)| self.book.walk_level(level))
            .map(|slot| {
                let order = &self.book.orders[slot as usize];
                Ok((
                    self.id_text(order.id()),
                    self.size(py, i128::from(order.size))?,
                ))
            })
            .collect()
    }

    /// (orders ahead, Decimal size ahead) of an order in its level; KeyError where it does not rest.
    fn place<'py>(&self, order_id: &Bound<'py, PyAny>) -> PyResult<(i64, Bound<'py, PyAny>)> {
        let (slot, _) = self.find(order_id)?.ok_or_else(|| {
            PyKeyError::new_err(format!("no order {order_id} rests in this book"))
        })?;
        let level = self.book.orders[slot as usize].level;
        let ahead = self.book.walk_level(level).take_while(|&at| at != slot);
        let (orders, size) = ahead.fold((0, 0), |(orders, size), at| {
            (
                orders + 1,
                size + i128::from(self.book.orders[at as usize].size),
            )
        });
        Ok((orders, self.size(order_id.py(), size)?))
    }

    /// (side, Decimal price, Decimal size) of a resting order, else None.
    #[allow(clippy::type_complexity)] // (side, price, size)
    fn get<'py>(
        &self,
        order_id: &Bound<'py, PyAny>,
    ) -> PyResult<Option<(u8, Bound<'py, PyAny>, Bound<'py, PyAny>)>> {
        let Some((slot, _)) = self.find(order_id)? else {
            return Ok(None);
        };
        let (py, level) = (order_id.py(), self.book.level_of(slot));
        let size = i128::from(self.book.orders[slot as usize].size);
        Ok(Some((
            level.side,
            self.price(py, level.price)?,
            self.size(py, size)?,
        )))
    }

    /// [(order_id, Decimal price, Decimal size)] of a side, best price first, front first; limit 0: all.
    #[pyo3(signature = (side, limit = 0))]
    fn orders<'py>(&self, py: Python<'py>, side: u8, limit: usize) -> PyResult<Vec<OrderRow<'py>>> {
        known_side(side)?;
        let limit = if limit == 0 { usize::MAX } else { limit };
        let row = |(level, order): (&crate::book::Level, &crate::book::Order)| {
            let size = self.size(py, i128::from(order.size))?;
            Ok((self.id_text(order.id()), self.price(py, level.price)?, size))
        };
        self.book.walk(side).take(limit).map(row).collect()
    }

    /// The whole book as OPEN rows flagged SNAPSHOT, bids then asks, best first, in queue order.
    fn snapshot(&self) -> EventBatch {
        let row = |(level, order): (&crate::book::Level, &crate::book::Order)| Row {
            kind: OPEN,
            side: level.side,
            flags: SNAPSHOT | PLACE_ASSUMED,
            ts_recv: self.book.ts_recv,
            order_id: order.id(),
            price: level.price,
            size: order.size,
            ..Row::EMPTY
        };
        let mut rows: Vec<Row> = self
            .book
            .walk(BID)
            .chain(self.book.walk(ASK))
            .map(row)
            .collect();
        if let Some(last) = rows.last_mut() {
            last.flags |= LAST;
        }
        let scales = (self.price_scale_or_0(), self.size_scale_or_0());
        let codecs = (self.codec.clone(), Codec::new(Form::Auto));
        EventBatch::of(Columns::from_rows(
            &rows,
            self.book.seq.wrapping_add(1),
            scales,
            codecs.0,
            codecs.1,
        ))
    }

    /// Replaces everything by the rows of a snapshot().
    #[pyo3(signature = (batch, era, seq = None, ts_recv = None))]
    fn restore(
        &mut self,
        batch: &Bound<'_, EventBatch>,
        era: i64,
        seq: Option<i64>,
        ts_recv: Option<i64>,
    ) -> PyResult<()> {
        let slice = self.translated(&batch.get().0)?;
        let columns = &slice.columns;
        if columns.kind[slice.range()].iter().any(|&kind| kind != OPEN) {
            return Err(PyValueError::new_err(
                "restore takes the rows of a snapshot, all of them OPEN",
            ));
        }
        self.book.clear();
        let counters = self.apply_slice(&slice)?;
        if counters.faults() > counters.crossed {
            // No half of a snapshot may pass for a book.
            self.book.clear();
            return Err(BookCorrupt::new_err(
                "the snapshot names an order twice or holds an impossible number",
            ));
        }
        self.book.era = era;
        self.book.seq = seq.unwrap_or(self.book.seq);
        self.book.ts_recv = ts_recv.unwrap_or(self.book.ts_recv);
        Ok(())
    }

    /// 32 hex digits over ids, prices, sizes, sides and queue order; equal at any scale and machine.
    fn digest(&self) -> String {
        self.book.digest()
    }

    /// Bitfinex's checksum text over the best orders a side.
    #[pyo3(signature = (orders = 25))]
    fn top_text(&mut self, orders: usize) -> String {
        let write_id = id_writer(&self.codec);
        let text = self.checksum.text(&mut self.book, orders, write_id);
        String::from_utf8_lossy(text).into_owned()
    }

    /// CRC-32 of top_text as the signed int that Bitfinex sends.
    #[pyo3(signature = (orders = 25))]
    pub fn top_crc32(&mut self, orders: usize) -> i32 {
        let write_id = id_writer(&self.codec);
        self.checksum.crc32(&mut self.book, orders, write_id) as i32
    }

    /// (bid orders, ask orders, Decimal bid size, Decimal ask size).
    fn totals<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<(usize, usize, Bound<'py, PyAny>, Bound<'py, PyAny>)> {
        let [bids, asks] = &self.book.halves;
        Ok((
            bids.orders,
            asks.orders,
            self.size(py, self.book.total(BID))?,
            self.size(py, self.book.total(ASK))?,
        ))
    }

    #[getter]
    fn levels(&self) -> (usize, usize) {
        (
            self.book.halves[0].ladder.count(),
            self.book.halves[1].ladder.count(),
        )
    }

    #[getter]
    fn crossed(&self) -> bool {
        self.book.crossed()
    }

    #[getter]
    fn memory_bytes(&self) -> usize {
        self.book.memory_bytes()
    }

    /// Walks every structure; BookCorrupt where two disagree.
    fn check(&self) -> PyResult<()> {
        self.book.check().map_err(BookCorrupt::new_err)
    }

    fn __len__(&self) -> usize {
        self.book.len()
    }

    fn __contains__(&self, order_id: &Bound<'_, PyAny>) -> PyResult<bool> {
        Ok(self.find(order_id)?.is_some())
    }

    fn __repr__(&self) -> String {
        format!(
            "OrderBook({} orders, seq {}, era {})",
            self.book.len(),
            self.book.seq,
            self.book.era
        )
    }
}

/// Writes ids as their venue does.
fn id_writer(codec: &Codec) -> impl Fn(&mut Vec<u8>, Id) {
    let integers = codec.form() == Form::Int;
    move |out, id| match u64::try_from(id) {
        Ok(number) if integers => out.extend_from_slice(decimal_digits(number, &mut [0; 20])),
        _ => out.extend_from_slice(codec.decode(id).unwrap_or_default().as_bytes()),
    }
}
