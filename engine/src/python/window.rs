//! `WindowResolver`.

use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::attribution::Stamp;
use crate::events::NULL;
use crate::ids::{Codec, Form};
use crate::python::batch::EventBatch;
use crate::python::book::OrderBook;
use crate::python::convert::{id_of, known_seq, refused, with_text};
use crate::window::Window;
use crate::wire::{WireClosing, WireRow, WireTrade};

const NS_PER_MS: i64 = 1_000_000;

/// No frame begins so.
const NO_HEAD: &[u8] = b"\0";

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
    /// How a frame of a trade begins.
    trade_head: Vec<u8>,
    /// The venue's sequence of the next frame of the connection, -1 where unknown.
    #[pyo3(get, set)]
    expected_seq: i64,
    /// The seq of the next event of a closing taken by `frame`.
    #[pyo3(get, set)]
    next_seq: i64,
    /// When the book's channel last said something (ns).
    #[pyo3(get, set)]
    heard_at: i64,
    /// When the book's last message was complete (ns).
    #[pyo3(get, set)]
    closed_at: i64,
    /// Makes of a `Closing` what `frame` gives.
    closed: Option<Py<PyAny>>,
    /// Called with the frames that `frame` does not take.
    otherwise: Option<Py<PyAny>>,
}

/// What `frame` did with a frame.
enum Taken {
    Quietly,
    Closing(Closing),
    Not,
}

fn stamp(ts_recv: i64, ts_event: Option<i64>, venue_seq: Option<i64>) -> Stamp {
    Stamp {
        ts_recv,
        ts_event: ts_event.unwrap_or(NULL),
        venue_seq: venue_seq.unwrap_or(NULL),
    }
}

impl WindowResolver {
    #[inline]
    fn take(&mut self, py: Python<'_>, frame: &[u8], ts_recv: i64) -> PyResult<Taken> {
        if let Some(text) = frame.strip_prefix(self.row_head.as_slice()) {
            if let Some(row) = WireRow::read(text) {
                return self.take_row(py, &row, ts_recv);
            }
            if let Some(closing) = WireClosing::read(text) {
                return self.take_closing(py, &closing, ts_recv);
            }
        } else if let Some(text) = frame.strip_prefix(self.trade_head.as_slice())
            && let Some(trade) = WireTrade::read(text)
        {
            return self.take_trade(py, &trade, ts_recv);
        }
        Ok(Taken::Not)
    }

    #[inline]
    fn take_row(&mut self, py: Python<'_>, row: &WireRow<'_>, ts_recv: i64) -> PyResult<Taken> {
        if row.sequence != self.expected_seq {
            return Ok(Taken::Not);
        }
        let mut book = self.book.try_borrow_mut(py)?;
        let known = row
            .milliseconds
            .checked_mul(NS_PER_MS)
            .zip(book.codec.encode(row.id));
        let Some((ts_event, id)) = known else {
            return Ok(Taken::Not);
        };
        let stamp = Stamp {
            ts_recv,
            ts_event,
            venue_seq: row.sequence,
        };
        let put = self
            .window
            .put(&mut book.book, id, row.price, row.amount, stamp);
        if put.is_err() {
            return Ok(Taken::Not);
        }
        self.expected_seq += 1;
        self.heard_at = ts_recv;
        Ok(Taken::Quietly)
    }

    fn take_closing(
        &mut self,
        py: Python<'_>,
        closing: &WireClosing,
        ts_recv: i64,
    ) -> PyResult<Taken> {
        if closing.sequence != self.expected_seq {
            return Ok(Taken::Not);
        }
        let batch = self.commit(py, self.next_seq, ts_recv)?;
        if let Some(batch) = &batch {
            let last = batch.0.columns.seq.last();
            self.next_seq = last.map_or(self.next_seq, |last| last.saturating_add(1));
        }
        self.expected_seq += 1;
        self.heard_at = ts_recv;
        let ours = self.book.try_borrow_mut(py)?.top_crc32(CHECKSUM_ORDERS);
        Ok(Taken::Closing((batch, closing.checksum, ours)))
    }

    fn take_trade(
        &mut self,
        py: Python<'_>,
        trade: &WireTrade<'_>,
        ts_recv: i64,
    ) -> PyResult<Taken> {
        if trade.sequence != self.expected_seq {
            return Ok(Taken::Not);
        }
        let known = trade
            .milliseconds
            .checked_mul(NS_PER_MS)
            .zip(self.trade_codec.encode(trade.id));
        let Some((ts_event, id)) = known else {
            return Ok(Taken::Not);
        };
        let stamp = Stamp {
            ts_recv,
            ts_event,
            venue_seq: trade.sequence,
        };
        let book = &mut self.book.try_borrow_mut(py)?.book;
        let taken = self
            .window
            .trade(book, id, trade.amount, trade.price, stamp);
        if taken.is_err() {
            return Ok(Taken::Not);
        }
        self.expected_seq += 1;
        Ok(Taken::Quietly)
    }
}

#[pymethods]
impl WindowResolver {
    #[new]
    #[pyo3(signature = (
        book, *, orders_per_side, horizon_ns, evicted_max, trades_max, closed = None, otherwise = None,
    ))]
    fn new(
        book: Bound<'_, OrderBook>,
        orders_per_side: usize,
        horizon_ns: i64,
        evicted_max: usize,
        trades_max: usize,
        closed: Option<Py<PyAny>>,
        otherwise: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        Ok(Self {
            next_seq: book.try_borrow()?.book.seq.saturating_add(1),
            window: Window::new(orders_per_side, horizon_ns, evicted_max, trades_max),
            book: book.unbind(),
            trade_codec: Codec::new(Form::Int),
            row_head: NO_HEAD.to_vec(),
            trade_head: NO_HEAD.to_vec(),
            expected_seq: -1,
            heard_at: 0,
            closed_at: 0,
            closed,
            otherwise,
        })
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

    #[getter]
    fn trade_head<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.trade_head)
    }

    #[setter]
    fn set_trade_head(&mut self, head: &[u8]) {
        self.trade_head = head.to_vec();
    }

    /// One frame as it came off the wire: taken here where it is exactly what nearly every one is, with the
    /// sequence expected; else what `otherwise` makes of it, and nothing has changed before.
    #[pyo3(signature = (frame, ts_recv, /))]
    fn frame<'py>(
        slf: &Bound<'py, Self>,
        frame: &Bound<'py, PyBytes>,
        ts_recv: i64,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = slf.py();
        // Let go before Python is called: it may use this very resolver.
        let (taken, callback) = {
            let mut this = slf.try_borrow_mut()?;
            let taken = this.take(py, frame.as_bytes(), ts_recv)?;
            let callback = match taken {
                Taken::Quietly => return Ok(None),
                Taken::Closing(_) => this.closed.as_ref(),
                Taken::Not => this.otherwise.as_ref(),
            };
            (taken, callback.map(|callback| callback.clone_ref(py)))
        };
        Ok(Some(match (taken, callback) {
            (Taken::Closing(closing), Some(closed)) => closed.bind(py).call1(closing)?,
            (Taken::Closing(closing), None) => closing.into_pyobject(py)?.into_any(),
            (_, Some(otherwise)) => otherwise.bind(py).call1((frame, ts_recv))?,
            (_, None) => {
                return Err(PyValueError::new_err(
                    "frame: expected a row, a closing or a trade, found another frame and no `otherwise`",
                ));
            }
        }))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.closed)?;
        visit.call(&self.otherwise)
    }

    fn __clear__(&mut self) {
        (self.closed, self.otherwise) = (None, None);
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
    fn trades_due(&self) -> i64 {
        self.window.trades_due()
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
        self.closed_at = now_ns;
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
