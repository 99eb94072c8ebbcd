//! `WindowResolver`.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::attribution::Stamp;
use crate::events::NULL;
use crate::ids::{Codec, Form};
use crate::python::batch::EventBatch;
use crate::python::book::OrderBook;
use crate::python::convert::{id_of, known_seq, refused, with_text};
use crate::window::Window;
use crate::wire::{WireClosing, WireRow};

const NS_PER_MS: i64 = 1_000_000;

/// Bitfinex's checksum covers so many orders a side.
const CHECKSUM_ORDERS: usize = 25;

/// (batch, checksum sent, checksum of the book)
type Closing = (Option<EventBatch>, i64, i32);

/// Turns the statements of a windowed feed into events, applying them to the book it was given.
#[pyclass(module = "ordertape")]
pub struct WindowResolver {
    window: Window,
    book: Py<OrderBook>,
    trade_codec: Arc<Codec>,
    /// How a frame of one row of this book begins.
    row_head: Vec<u8>,
    /// The venue's sequence of the next frame of the connection, -1 where unknown.
    #[pyo3(get, set)]
    expected_seq: i64,
    /// When the last row was taken by `take_row`.
    #[pyo3(get)]
    row_ts_recv: i64,
}

fn stamp(ts_recv: i64, ts_event: Option<i64>, venue_seq: Option<i64>) -> Stamp {
    Stamp {
        ts_recv,
        ts_event: ts_event.unwrap_or(NULL),
        venue_seq: venue_seq.unwrap_or(NULL),
    }
}

#[pymethods]
impl WindowResolver {
    #[new]
    #[pyo3(signature = (book, *, orders_per_side, horizon_ns, evicted_max, trades_max))]
    fn new(
        book: Bound<'_, OrderBook>,
        orders_per_side: usize,
        horizon_ns: i64,
        evicted_max: usize,
        trades_max: usize,
    ) -> Self {
        Self {
            window: Window::new(orders_per_side, horizon_ns, evicted_max, trades_max),
            book: book.unbind(),
            trade_codec: Codec::new(Form::Int),
            row_head: Vec::new(),
            expected_seq: -1,
            row_ts_recv: 0,
        }
    }

    #[getter]
    fn orders_per_side(&self) -> usize {
        self.window.orders_per_side
    }

    #[setter]
    fn set_orders_per_side(&mut self, orders: usize) {
        self.window.orders_per_side = orders;
    }

    #[pyo3(signature = (ts_recv, ts_event = None, venue_seq = None))]
    fn clear(&mut self, ts_recv: i64, ts_event: Option<i64>, venue_seq: Option<i64>) {
        self.window.clear(stamp(ts_recv, ts_event, venue_seq));
    }

    #[pyo3(signature = (order_id, price, amount, ts_recv, ts_event = None, venue_seq = None, /))]
    #[allow(clippy::too_many_arguments)] // positional on purpose: one call per statement
    fn put(
        &mut self,
        order_id: &Bound<'_, PyAny>,
        price: &Bound<'_, PyAny>,
        amount: &Bound<'_, PyAny>,
        ts_recv: i64,
        ts_event: Option<i64>,
        venue_seq: Option<i64>,
    ) -> PyResult<()> {
        let mut book = self.book.try_borrow_mut(order_id.py())?;
        let id = id_of(&book.codec, order_id)?;
        with_text(price, |price| {
            with_text(amount, |amount| {
                let text = |field| if field == "price" { price } else { amount };
                self.window
                    .put(
                        &mut book.book,
                        id,
                        price,
                        amount,
                        stamp(ts_recv, ts_event, venue_seq),
                    )
                    .map_err(|(field, error)| refused(field, text(field), error))
            })
        })
    }

    #[pyo3(signature = (order_id, ts_recv, ts_event = None, venue_seq = None, /))]
    fn remove(
        &mut self,
        order_id: &Bound<'_, PyAny>,
        ts_recv: i64,
        ts_event: Option<i64>,
        venue_seq: Option<i64>,
    ) -> PyResult<()> {
        let id = id_of(&self.book.try_borrow(order_id.py())?.codec, order_id)?;
        self.window.remove(id, stamp(ts_recv, ts_event, venue_seq));
        Ok(())
    }

    #[getter]
    fn row_head<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.row_head)
    }

    #[setter]
    fn set_row_head(&mut self, head: &[u8]) {
        self.row_head = head.to_vec();
    }

    /// A frame of `row_head`, one order's row and the tail `,SEQUENCE,MILLISECONDS]` with the sequence
    /// expected: true, and it is taken.  Anything else, or a number that does not fit: false, and nothing
    /// has changed.
    #[pyo3(signature = (frame, ts_recv, /))]
    fn take_row(&mut self, frame: &Bound<'_, PyBytes>, ts_recv: i64) -> PyResult<bool> {
        let row = frame
            .as_bytes()
            .strip_prefix(self.row_head.as_slice())
            .and_then(WireRow::read);
        let Some(row) = row.filter(|row| row.sequence == self.expected_seq) else {
            return Ok(false);
        };
        let mut book = self.book.try_borrow_mut(frame.py())?;
        let known = row
            .milliseconds
            .checked_mul(NS_PER_MS)
            .zip(book.codec.encode(row.id));
        let Some((ts_event, id)) = known else {
            return Ok(false);
        };
        let stamp = Stamp {
            ts_recv,
            ts_event,
            venue_seq: row.sequence,
        };
        if row.price == b"0" {
            self.window.remove(id, stamp);
        } else if self
            .window
            .put(&mut book.book, id, row.price, row.amount, stamp)
            .is_err()
        {
            return Ok(false);
        }
        self.expected_seq += 1;
        self.row_ts_recv = ts_recv;
        Ok(true)
    }

    /// A frame of `row_head` and `"cs",CHECKSUM,SEQUENCE,MILLISECONDS]` with the sequence expected: the
    /// batch of a commit, the checksum sent and the book's own.  None: anything else, nothing has changed.
    #[pyo3(signature = (frame, first_seq, ts_recv, /))]
    fn take_closing(
        &mut self,
        frame: &Bound<'_, PyBytes>,
        first_seq: i64,
        ts_recv: i64,
    ) -> PyResult<Option<Closing>> {
        let closing = frame
            .as_bytes()
            .strip_prefix(self.row_head.as_slice())
            .and_then(WireClosing::read);
        let Some(closing) = closing.filter(|closing| closing.sequence == self.expected_seq) else {
            return Ok(None);
        };
        let batch = self.commit(frame.py(), first_seq, ts_recv)?;
        self.expected_seq += 1;
        let ours = self
            .book
            .try_borrow_mut(frame.py())?
            .top_crc32(CHECKSUM_ORDERS);
        Ok(Some((batch, closing.checksum, ours)))
    }

    #[pyo3(signature = (trade_id, amount, price, ts_recv, ts_event = None, venue_seq = None, /))]
    #[allow(clippy::too_many_arguments)] // positional on purpose: one call per trade
    fn trade(
        &mut self,
        trade_id: &Bound<'_, PyAny>,
        amount: &Bound<'_, PyAny>,
        price: &Bound<'_, PyAny>,
        ts_recv: i64,
        ts_event: Option<i64>,
        venue_seq: Option<i64>,
    ) -> PyResult<bool> {
        let id = id_of(&self.trade_codec, trade_id)?;
        let mut book = self.book.try_borrow_mut(trade_id.py())?;
        with_text(price, |price| {
            with_text(amount, |amount| {
                let text = |field| if field == "price" { price } else { amount };
                self.window
                    .trade(
                        &mut book.book,
                        id,
                        amount,
                        price,
                        stamp(ts_recv, ts_event, venue_seq),
                    )
                    .map_err(|(field, error)| refused(field, text(field), error))
            })
        })
    }

    fn known_trade(&mut self, trade_id: &Bound<'_, PyAny>) -> PyResult<()> {
        let id = id_of(&self.trade_codec, trade_id)?;
        self.window.known_trade(id);
        Ok(())
    }

    #[getter]
    fn pending(&self) -> usize {
        self.window.pending()
    }

    #[getter]
    fn waiting_trades(&self) -> usize {
        self.window.waiting_trades()
    }

    fn commit(
        &mut self,
        py: Python<'_>,
        first_seq: i64,
        now_ns: i64,
    ) -> PyResult<Option<EventBatch>> {
        let book = &mut *self.book.try_borrow_mut(py)?;
        let columns = self.window.commit(
            &mut book.book,
            &book.codec,
            &self.trade_codec,
            known_seq(first_seq)?,
            now_ns,
        );
        Ok(columns.map(EventBatch::of))
    }

    fn discard(&mut self) {
        self.window.discard();
    }

    #[getter]
    fn counters<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let counters = &self.window.counters;
        let dict = PyDict::new(py);
        for (name, value) in [
            ("unknown_id", counters.unknown_id),
            ("unchanged", counters.unchanged),
            ("side_flips", counters.side_flips),
            ("evicted", counters.evicted),
            ("reentered", counters.reentered),
            ("ended", counters.ended),
            ("matched", counters.matched),
            ("late_matched", counters.late_matched),
            ("unmatched_trades", counters.unmatched_trades),
            ("known_trades", counters.known_trades),
            ("crossed", counters.crossed),
        ] {
            dict.set_item(name, value)?;
        }
        Ok(dict)
    }
}
