//! `CoinbaseFeed`, `CoinbaseSnapshot`.

use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict};

use crate::coinbase::feed::{Fault, Feed, Peeked, Taken};
use crate::coinbase::snapshot::Snapshot;
use crate::events::NULL;
use crate::ids::{Codec, Form};
use crate::python::batch::EventBatch;
use crate::python::book::OrderBook;
use crate::python::codec::IdCodec;
use crate::python::convert::{IdRefused, known_seq, refused, scale_of};

/// What a frame is where it is no message in step.
mod notice {
    pub const NOTHING: u8 = 0;
    pub const SEQUENCED: u8 = 1;
    pub const HEARTBEAT: u8 = 2;
    pub const CONTROL: u8 = 3;
    pub const GAP: u8 = 4;
    pub const DESYNC: u8 = 5;
    pub const UNREADABLE: u8 = 6;
}

/// (notice, sequence, sentence)
type Notice = (u8, i64, String);

/// A fault as a notice, or as the error it is.
#[cold]
fn told(fault: Fault) -> PyResult<Notice> {
    Ok(match fault {
        Fault::Gap { expected, found } => (
            notice::GAP,
            found,
            format!("sequence {found}, expected {expected}"),
        ),
        Fault::Restarted { expected, found } => (
            notice::GAP,
            found,
            format!(
                "sequence {found} of a later message, expected {expected}: the venue counts anew"
            ),
        ),
        Fault::Desync(what) => (notice::DESYNC, 0, what),
        Fault::Unreadable(what) => (notice::UNREADABLE, 0, what),
        Fault::Number(field, text, error) => return Err(refused(field, &text, error)),
        Fault::Id => {
            return Err(IdRefused::new_err(
                "the id is not UTF-8 text, or the market's id dictionary is full",
            ));
        }
    })
}

/// Follows the `full` channel of one product with the book it was given.
#[pyclass(module = "ordertape")]
pub struct CoinbaseFeed {
    feed: Feed,
    book: Py<OrderBook>,
    codec: Arc<Codec>,
    trade_codec: Arc<Codec>,
}

#[pymethods]
impl CoinbaseFeed {
    #[new]
    #[pyo3(signature = (book, product, *, emptied_max, gather_rows, gather_ns))]
    fn new(
        book: Bound<'_, OrderBook>,
        product: &str,
        emptied_max: usize,
        gather_rows: usize,
        gather_ns: i64,
    ) -> PyResult<Self> {
        let codec = book.try_borrow()?.codec.clone();
        Ok(Self {
            feed: Feed::new(product, emptied_max, (gather_rows, gather_ns)),
            book: book.unbind(),
            codec,
            trade_codec: Codec::new(Form::Int),
        })
    }

    /// Sequence of the last message in step.
    #[getter]
    fn last(&self) -> i64 {
        self.feed.last
    }

    #[pyo3(signature = (frame, /))]
    fn peek(&mut self, frame: &Bound<'_, PyBytes>) -> PyResult<Notice> {
        Ok(match self.feed.peek(frame.as_bytes()) {
            Ok(Peeked::Sequenced(sequence)) => (notice::SEQUENCED, sequence, String::new()),
            Ok(Peeked::Heartbeat(sequence)) => (notice::HEARTBEAT, sequence, String::new()),
            Ok(Peeked::Control) => (notice::CONTROL, 0, String::new()),
            Ok(Peeked::Nothing) => (notice::NOTHING, 0, String::new()),
            Err(fault) => told(fault)?,
        })
    }

    /// One frame; its rows wait for `finish`.  None: nothing has to be done; True: `finish` has.
    #[pyo3(signature = (frame, ts_recv, /))]
    fn take<'py>(
        &mut self,
        frame: &Bound<'py, PyBytes>,
        ts_recv: i64,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = frame.py();
        let mut book = self.book.try_borrow_mut(py)?;
        let taken = self.feed.take(
            &mut book.book,
            &self.codec,
            &self.trade_codec,
            frame.as_bytes(),
            ts_recv,
        );
        let notice = match taken {
            Ok(Taken::InStep) if self.feed.is_due(ts_recv) => {
                return Ok(Some(PyBool::new(py, true).to_owned().into_any()));
            }
            Ok(Taken::InStep | Taken::Nothing) => return Ok(None),
            Ok(Taken::Control) => (notice::CONTROL, 0, String::new()),
            Err(fault) => told(fault)?,
        };
        Ok(Some(notice.into_pyobject(py)?.into_any()))
    }

    fn finish(&mut self, py: Python<'_>, first_seq: i64) -> PyResult<Option<EventBatch>> {
        let mut book = self.book.try_borrow_mut(py)?;
        let columns = self.feed.finish(
            &mut book.book,
            &self.codec,
            &self.trade_codec,
            known_seq(first_seq)?,
        );
        Ok(columns.map(EventBatch::of))
    }

    /// Forgets rows that no batch took.
    fn discard(&mut self) {
        self.feed.discard();
    }

    #[getter]
    fn pending(&self) -> usize {
        self.feed.pending()
    }

    /// The book becomes the snapshot's, in a new era, and the feed goes on behind it.
    fn adopt(
        &mut self,
        py: Python<'_>,
        snapshot: &Bound<'_, CoinbaseSnapshot>,
        first_seq: i64,
        now: i64,
    ) -> PyResult<EventBatch> {
        let mut snapshot = snapshot.try_borrow_mut()?;
        let Some(mut found) = snapshot.snapshot.take_if(|found| !found.auction_mode) else {
            return Err(PyValueError::new_err(
                "the snapshot was taken before, or is one of an auction",
            ));
        };
        let book = &mut *self.book.try_borrow_mut(py)?;
        let codecs = (&self.codec, &self.trade_codec);
        let columns = found.adopt(&mut book.book, codecs, known_seq(first_seq)?, now);
        let columns = columns.map_err(|fault| told(fault).map_or_else(|error| error, wrong))?;
        self.feed.start(found.sequence);
        Ok(EventBatch::of(columns))
    }

    /// How this feed's book differs from another's: (orders only here, only there, in both but otherwise, an
    /// id among them, whether queues alone differ).
    fn compare(
        &self,
        py: Python<'_>,
        other: &Bound<'_, OrderBook>,
    ) -> PyResult<(usize, usize, usize, Option<String>, bool)> {
        let (book, other) = (self.book.try_borrow(py)?, other.try_borrow()?);
        let found = book.book.compare(&other.book);
        let example = found.example.and_then(|id| self.codec.decode(id));
        let alike = found.example.is_none();
        Ok((
            found.only_here,
            found.only_there,
            found.changed,
            example,
            alike && found.misplaced,
        ))
    }

    #[getter]
    fn counters<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let counters = &self.feed.counters;
        let dict = PyDict::new(py);
        for (name, value) in [
            ("received", counters.received),
            ("never_rested", counters.never_rested),
            ("changes_of_others", counters.changes_of_others),
            ("late", counters.late),
            ("heartbeats", counters.heartbeats),
            ("other_products", counters.other_products),
            ("without_sequence", counters.without_sequence),
            ("unknown_types", counters.unknown_types),
            ("unknown_reasons", counters.unknown_reasons),
            ("reopened", counters.reopened),
            ("empty_opens", counters.empty_opens),
            ("traded_as_taker", counters.traded_as_taker),
            ("unreadable_times", counters.unreadable_times),
            ("crossed", counters.crossed),
        ] {
            dict.set_item(name, value)?;
        }
        Ok(dict)
    }
}

fn wrong((_, _, sentence): Notice) -> PyErr {
    PyValueError::new_err(sentence)
}

/// A level-3 book over REST; reads it with the interpreter released.
#[pyclass(module = "ordertape")]
pub struct CoinbaseSnapshot {
    snapshot: Option<Snapshot>,
    sequence: i64,
    time: i64,
    auction_mode: bool,
    orders: usize,
}

#[pymethods]
impl CoinbaseSnapshot {
    #[new]
    #[pyo3(signature = (body, codec, price_scale = 0, size_scale = 0))]
    fn new(
        py: Python<'_>,
        body: &Bound<'_, PyBytes>,
        codec: &Bound<'_, IdCodec>,
        price_scale: i64,
        size_scale: i64,
    ) -> PyResult<Self> {
        let scale = |name, scale| Ok::<_, PyErr>(scale_of(name, Some(scale))?.unwrap_or(0));
        let scales = (
            scale("price_scale", price_scale)?,
            scale("size_scale", size_scale)?,
        );
        let (text, codec) = (body.as_bytes(), codec.get().0.clone());
        let read = py.detach(|| Snapshot::read(text, &codec, scales));
        let snapshot = read.map_err(|fault| told(fault).map_or_else(|error| error, wrong))?;
        Ok(Self {
            sequence: snapshot.sequence,
            time: snapshot.time,
            auction_mode: snapshot.auction_mode,
            orders: snapshot.orders(),
            snapshot: Some(snapshot),
        })
    }

    #[getter]
    fn sequence(&self) -> i64 {
        self.sequence
    }

    /// ns of the venue's clock, None where it gives none.
    #[getter]
    fn time(&self) -> Option<i64> {
        (self.time != NULL).then_some(self.time)
    }

    #[getter]
    fn auction_mode(&self) -> bool {
        self.auction_mode
    }

    fn __len__(&self) -> usize {
        self.orders
    }
}
