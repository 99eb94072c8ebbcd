//! `Lifecycles`, `Rows`.

use std::sync::Arc;

use pyo3::exceptions::{PyKeyError, PyValueError};
use pyo3::prelude::*;

use crate::events::NULL;
use crate::ids::{Codec, Id};
use crate::lives::{Life, Lives};
use crate::python::applied::Effects;
use crate::python::arrays::{ids, integers};
use crate::python::batch::EventBatch;
use crate::python::book::OrderBook;
use crate::python::codec::IdCodec;
use crate::python::column::{Column, Owner, Values};
use crate::python::convert::known_id;
use crate::python::watch::Watcher;
use crate::watch::Watch;

pub enum Cells {
    Byte(Vec<u8>),
    Short(Vec<u16>),
    Long(Vec<i64>),
    Double(Vec<f64>),
    Id(Vec<Id>),
}

impl Cells {
    fn values(&self) -> Values {
        match self {
            Self::Byte(cells) => cells.as_slice().into(),
            Self::Short(cells) => cells.as_slice().into(),
            Self::Long(cells) => cells.as_slice().into(),
            Self::Double(cells) => cells.as_slice().into(),
            Self::Id(cells) => cells.as_slice().into(),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Byte(cells) => cells.len(),
            Self::Short(cells) => cells.len(),
            Self::Long(cells) => cells.len(),
            Self::Double(cells) => cells.len(),
            Self::Id(cells) => cells.len(),
        }
    }
}

/// Columns of one answer; int64 has NULL where nothing is known.
#[pyclass(frozen, module = "ordertape")]
pub struct Rows {
    columns: Arc<Vec<(&'static str, Cells)>>,
    codec: Option<Arc<Codec>>,
    scales: (u8, u8),
}

impl Rows {
    /// Without ids.
    pub fn of(columns: Vec<(&'static str, Cells)>, scales: (u8, u8)) -> Self {
        Self {
            columns: Arc::new(columns),
            codec: None,
            scales,
        }
    }
}

#[pymethods]
impl Rows {
    #[getter]
    fn names(&self) -> Vec<&'static str> {
        self.columns.iter().map(|(name, _)| *name).collect()
    }

    fn column(&self, name: &str) -> PyResult<Column> {
        let found = self.columns.iter().find(|(known, _)| *known == name);
        let (_, cells) = found
            .ok_or_else(|| PyKeyError::new_err(format!("these rows have no column {name:?}")))?;
        Ok(Column::new(
            name,
            cells.values(),
            Owner::Rows(self.columns.clone()),
        ))
    }

    #[getter]
    fn price_scale(&self) -> u8 {
        self.scales.0
    }

    #[getter]
    fn size_scale(&self) -> u8 {
        self.scales.1
    }

    /// The venue's own text of each order's id.
    fn id_texts(&self) -> Vec<Option<String>> {
        let ids = self.columns.iter().find_map(|(_, cells)| match cells {
            Cells::Id(ids) => Some(ids),
            _ => None,
        });
        let (Some(ids), Some(codec)) = (ids, &self.codec) else {
            return Vec::new();
        };
        ids.iter().map(|&id| codec.decode(id)).collect()
    }

    fn __len__(&self) -> usize {
        self.columns.first().map_or(0, |(_, cells)| cells.len())
    }
}

fn of_lives(lives: &[Life], codec: Option<Arc<Codec>>, scales: (u8, u8)) -> Rows {
    let long = |get: fn(&Life) -> i64| Cells::Long(lives.iter().map(get).collect());
    let byte = |get: fn(&Life) -> u8| Cells::Byte(lives.iter().map(get).collect());
    let columns = vec![
        (
            "order_id",
            Cells::Id(lives.iter().map(|life| life.id).collect()),
        ),
        ("side", byte(|life| life.side)),
        ("ending", byte(|life| life.ending)),
        ("reason", byte(|life| life.reason)),
        (
            "flags",
            Cells::Short(lives.iter().map(|life| life.flags).collect()),
        ),
        ("opened", long(|life| life.opened)),
        ("ended", long(|life| life.ended)),
        ("opened_seq", long(|life| life.opened_seq)),
        ("ended_seq", long(|life| life.ended_seq)),
        ("era", long(|life| life.era)),
        ("price_first", long(|life| life.price_first)),
        ("price", long(|life| life.price)),
        ("size_first", long(|life| life.size_first)),
        ("size", long(|life| life.size)),
        ("filled", long(|life| life.filled)),
        ("fills", long(|life| life.fills)),
        ("amendments", long(|life| life.amendments)),
        ("inferred", long(|life| life.inferred)),
        ("bid_first", long(|life| life.touch_first[0])),
        ("ask_first", long(|life| life.touch_first[1])),
        ("bid", long(|life| life.touch_last[0])),
        ("ask", long(|life| life.touch_last[1])),
        ("ahead_first", long(|life| life.ahead_first)),
        ("ahead", long(|life| life.ahead_last)),
        ("told_seq", long(|life| life.told_seq)),
        ("told", long(|life| life.told)),
    ];
    Rows {
        columns: Arc::new(columns),
        codec,
        scales,
    }
}

/// The lives that were told as columns of these names.
fn lives_of(columns: &Bound<'_, PyAny>, codec: &Codec) -> PyResult<Vec<Life>> {
    let keys = ids("order_id", &columns.get_item("order_id")?, codec)?;
    let rows = keys.len();
    let long = |name: &str| -> PyResult<Vec<i64>> {
        let values: Vec<i64> = integers(name, &columns.get_item(name)?)?;
        if values.len() == rows {
            return Ok(values);
        }
        Err(PyValueError::new_err(format!(
            "{name}: expected {rows} values, found {}",
            values.len()
        )))
    };
    let byte = |name: &str| -> PyResult<Vec<u8>> { long(name)?.into_iter().map(narrow).collect() };
    let (side, ending, reason) = (byte("side")?, byte("ending")?, byte("reason")?);
    let flags: Vec<u16> = long("flags")?
        .into_iter()
        .map(narrow)
        .collect::<PyResult<_>>()?;
    let (opened, ended, era) = (long("opened")?, long("ended")?, long("era")?);
    let (opened_seq, ended_seq) = (long("opened_seq")?, long("ended_seq")?);
    let (price_first, price) = (long("price_first")?, long("price")?);
    let (size_first, size) = (long("size_first")?, long("size")?);
    let (filled, fills) = (long("filled")?, long("fills")?);
    let (amendments, inferred) = (long("amendments")?, long("inferred")?);
    let touch_first = [long("bid_first")?, long("ask_first")?];
    let touch_last = [long("bid")?, long("ask")?];
    let (ahead_first, ahead_last) = (long("ahead_first")?, long("ahead")?);
    let lives = keys.into_iter().enumerate().map(|(n, id)| Life {
        id,
        side: side[n],
        ending: ending[n],
        reason: reason[n],
        flags: flags[n],
        opened: opened[n],
        ended: ended[n],
        opened_seq: opened_seq[n],
        ended_seq: ended_seq[n],
        era: era[n],
        price_first: price_first[n],
        price: price[n],
        size_first: size_first[n],
        size: size[n],
        filled: filled[n],
        fills: fills[n],
        amendments: amendments[n],
        inferred: inferred[n],
        touch_first: touch_first.each_ref().map(|touch| touch[n]),
        touch_last: touch_last.each_ref().map(|touch| touch[n]),
        ahead_first: ahead_first[n],
        ahead_last: ahead_last[n],
        told_seq: NULL,
        told: NULL,
        evicted: false,
    });
    Ok(lives.collect())
}

fn narrow<T: TryFrom<i64>>(value: i64) -> PyResult<T> {
    T::try_from(value).map_err(|_| PyValueError::new_err(format!("{value} is no code or flag")))
}

/// Orders from birth to end.
#[pyclass(module = "ordertape")]
pub struct Lifecycles {
    lives: Lives,
    codec: Option<Arc<Codec>>,
    ts: i64,
}

#[pymethods]
impl Lifecycles {
    #[new]
    #[pyo3(signature = (*, hold_ns, evicted_max, era=0))]
    fn new(hold_ns: i64, evicted_max: usize, era: i64) -> Self {
        let mut lives = Lives::new(hold_ns, evicted_max);
        lives.era = era;
        Self {
            lives,
            codec: None,
            ts: 0,
        }
    }

    #[pyo3(signature = (batch, effects, book, watchers=Vec::new()))]
    fn take(
        &mut self,
        batch: &EventBatch,
        effects: &Effects,
        book: &OrderBook,
        mut watchers: Vec<Watcher>,
    ) -> PyResult<()> {
        let slice = &batch.0;
        if effects.0.best_bid.len() != slice.len {
            return Err(PyValueError::new_err(format!(
                "expected the effects of this batch's {} events, found those of {}",
                slice.len,
                effects.0.best_bid.len()
            )));
        }
        self.know(&slice.columns.codec)?;
        let scales = (
            book.book.price_scale.unwrap_or(slice.columns.price_scale),
            book.book.size_scale.unwrap_or(slice.columns.size_scale),
        );
        let mut watchers: Vec<&mut dyn Watch> = watchers.iter_mut().map(Watcher::watch).collect();
        for watcher in &mut watchers {
            if !watcher.adopt(scales) {
                return Err(PyValueError::new_err(
                    "a watcher's scales are larger than the book's, or its numbers do not fit them",
                ));
            }
        }
        if !self.lives.adopt(scales) {
            return Err(PyValueError::new_err(
                "the scales of the orders that are known are larger than the book's",
            ));
        }
        self.lives.take(slice, &effects.0, &mut watchers);
        if let Some(at) = slice.range().last() {
            self.ts = slice.columns.ts_recv[at];
        }
        Ok(())
    }

    /// `ts` (ns): ends of unknown reason that waited long enough by then are told, too.
    #[pyo3(signature = (ts=None))]
    fn drain(&mut self, ts: Option<i64>) -> Rows {
        let ended = self.lives.drain(ts.unwrap_or(self.ts));
        self.rows(&ended)
    }

    fn alive(&self) -> Rows {
        self.rows(&self.lives.alive())
    }

    fn waiting(&self) -> Rows {
        self.rows(&self.lives.waiting())
    }

    /// `told`: seq and time (ns) of the event by which it becomes known that no more is known.
    fn cut(&mut self, told: (i64, i64)) {
        let (seq, ts) = self.lives.now;
        self.lives.cut(seq, ts, told);
    }

    #[pyo3(signature = (columns, codec, *, era, scales, now))]
    fn restore(
        &mut self,
        columns: &Bound<'_, PyAny>,
        codec: &IdCodec,
        era: i64,
        scales: (u8, u8),
        now: (i64, i64),
    ) -> PyResult<()> {
        let lives = lives_of(columns, &codec.0)?;
        (self.lives.era, self.lives.scales, self.lives.now) = (era, scales, now);
        self.lives.restore(lives);
        (self.codec, self.ts) = (Some(codec.0.clone()), now.1);
        Ok(())
    }

    fn get(&self, order_id: &Bound<'_, PyAny>) -> PyResult<Option<Rows>> {
        let Some(codec) = &self.codec else {
            return Ok(None);
        };
        let found = known_id(codec, order_id)?.and_then(|id| self.lives.get(id));
        Ok(found.map(|life| self.rows(std::slice::from_ref(life))))
    }

    #[getter]
    fn codec(&self) -> Option<IdCodec> {
        self.codec.clone().map(IdCodec)
    }

    #[getter]
    fn era(&self) -> i64 {
        self.lives.era
    }

    #[setter]
    fn set_era(&mut self, era: i64) {
        self.lives.era = era;
    }

    fn __len__(&self) -> usize {
        self.lives.len()
    }
}

impl Lifecycles {
    fn rows(&self, lives: &[Life]) -> Rows {
        of_lives(lives, self.codec.clone(), self.lives.scales)
    }

    /// Ids are told apart by their keys, which must stay those of one codec.
    fn know(&mut self, codec: &Arc<Codec>) -> PyResult<()> {
        if self.lives.is_empty() || self.codec.is_none() {
            self.codec = Some(codec.clone());
            return Ok(());
        }
        if self
            .codec
            .as_ref()
            .is_some_and(|known| known.same_keys(codec))
        {
            return Ok(());
        }
        Err(PyValueError::new_err(
            "the batch's ids are of another codec than those of the orders that are alive",
        ))
    }
}
