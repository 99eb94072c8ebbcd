//! `EventBatch`.

use std::sync::Arc;

use pyo3::exceptions::{PyIndexError, PyKeyError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PySlice, PyType};

use crate::batch::{Before, Columns, Row, Slice, filled};
use crate::events::{ASK, CHANGE, CLEAR, LAST, NO_SIDE, NULL, SNAPSHOT, TRADE};
use crate::frame;
use crate::ids::{Codec, Id, NULL_ID};
use crate::number::NumberError;
use crate::python::arrays::{ids, integers};
use crate::python::codec::{IdCodec, codec_of};
use crate::python::column::{Column, Owner, of_filled};
use crate::python::convert::{decimal, known_scale, known_side, refused};

/// Events of one market in columns (see `ordertape.events.COLUMNS`), all at the same scales.
/// A slice is a batch and copies nothing; an index gives one row as a dict.
#[pyclass(frozen, module = "ordertape")]
pub struct EventBatch(pub Slice);

impl EventBatch {
    pub fn of(columns: Columns) -> Self {
        Self(Slice::whole(columns))
    }

    fn seq(&self, nth: Option<usize>) -> i64 {
        nth.map_or(0, |nth| self.0.columns.seq[self.0.start + nth])
    }
}

/// Columns given to `from_arrays`, before they are checked against each other.
struct Given<'a, 'py> {
    rows: usize,
    get: &'a dyn Fn(&str) -> PyResult<Option<Bound<'py, PyAny>>>,
}

impl Given<'_, '_> {
    fn checked<T>(&self, name: &str, values: Vec<T>) -> PyResult<Vec<T>> {
        if values.len() == self.rows {
            return Ok(values);
        }
        Err(PyValueError::new_err(format!(
            "{name} has {} rows, kind has {}",
            values.len(),
            self.rows
        )))
    }

    fn integers<T: crate::python::arrays::Cell>(&self, name: &str) -> PyResult<Option<Vec<T>>> {
        match (self.get)(name)? {
            Some(values) => Ok(Some(self.checked(name, integers(name, &values)?)?)),
            None => Ok(None),
        }
    }

    fn ids(&self, name: &str, codec: &Codec) -> PyResult<Option<Vec<Id>>> {
        match (self.get)(name)? {
            Some(values) => Ok(Some(self.checked(name, ids(name, &values, codec)?)?)),
            None => Ok(None),
        }
    }
}

fn missing(name: &str) -> PyErr {
    PyTypeError::new_err(format!("from_arrays needs {name}"))
}

/// Values that never decrease, raised where they would.
fn raised(mut values: Vec<i64>) -> Vec<i64> {
    let mut latest = i64::MIN + 1;
    for value in &mut values {
        latest = latest.max(*value);
        *value = latest;
    }
    values
}

/// Our sequence for rows that were given none.
fn counted(flags: &[u16]) -> Vec<i64> {
    let mut last = 0;
    let next = |flag: &u16| {
        last += i64::from(flag & SNAPSHOT == 0);
        last
    };
    flags.iter().map(next).collect()
}

const NAMES: [&str; 20] = [
    "kind",
    "side",
    "order_id",
    "price",
    "size",
    "ts_event",
    "price_scale",
    "size_scale",
    "seq",
    "ts_recv",
    "flags",
    "reason",
    "venue_seq",
    "trade_id",
    "taker_order_id",
    "taker_side",
    "price_before",
    "size_before",
    "codec",
    "trade_codec",
];

#[pymethods]
impl EventBatch {
    /// A batch of arrays.  price, size: int64 already scaled (`*_scale`: digits after the point); order_id:
    /// uint64, (n, 16) uint8 keys or texts.  Optional: seq (from 1), ts_recv (ts_event), flags (each row
    /// complete), reason, venue_seq, trade_id, taker_order_id, taker_side, price_before, size_before.
    #[classmethod]
    #[pyo3(signature = (**columns))]
    fn from_arrays(
        _class: &Bound<'_, PyType>,
        columns: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let columns = columns.ok_or_else(|| missing("kind"))?;
        for name in columns.keys() {
            let name: String = name.extract()?;
            if !NAMES.contains(&name.as_str()) {
                return Err(PyTypeError::new_err(format!(
                    "from_arrays has no column {name:?}"
                )));
            }
        }
        let get = |name: &str| Ok(columns.get_item(name)?.filter(|value| !value.is_none()));
        let scale = |name: &str| {
            let value = get(name)?.ok_or_else(|| missing(name))?;
            known_scale(name, value.extract()?)
        };
        let kind: Vec<u8> = integers("kind", &get("kind")?.ok_or_else(|| missing("kind"))?)?;
        let given = Given {
            rows: kind.len(),
            get: &get,
        };
        let need = |name: &str| given.integers::<i64>(name)?.ok_or_else(|| missing(name));
        let side = given
            .integers::<u8>("side")?
            .ok_or_else(|| missing("side"))?;
        check_codes(&kind, &side)?;
        let codec = codec_of(get("codec")?.as_ref())?;
        let trade_codec = codec_of(get("trade_codec")?.as_ref())?;
        let flags = given
            .integers("flags")?
            .unwrap_or_else(|| vec![LAST; kind.len()]);
        let ts_event = given.integers::<i64>("ts_event")?;
        let ts_recv = match (given.integers::<i64>("ts_recv")?, &ts_event) {
            (Some(times), _) if times.is_sorted() => times,
            (Some(_), _) => return Err(PyValueError::new_err("ts_recv decreases")),
            (None, Some(times)) => raised(times.clone()),
            (None, None) => return Err(missing("ts_event or ts_recv")),
        };
        let before = match (
            given.integers("price_before")?,
            given.integers("size_before")?,
        ) {
            (None, None) if !kind.contains(&CHANGE) => None,
            (price, size) => Some((
                price.unwrap_or_else(|| vec![NULL; kind.len()]),
                size.unwrap_or_else(|| vec![NULL; kind.len()]),
            )),
        };
        let order_id = given
            .ids("order_id", &codec)?
            .ok_or_else(|| missing("order_id"))?;
        check_ids(&kind, &order_id)?;
        let taker_side = given.integers("taker_side")?;
        check_taker_sides(taker_side.as_deref().unwrap_or_default())?;
        Ok(Self::of(Columns {
            price_scale: scale("price_scale")?,
            size_scale: scale("size_scale")?,
            seq: given.integers("seq")?.unwrap_or_else(|| counted(&flags)),
            ts_recv,
            reason: given
                .integers("reason")?
                .unwrap_or_else(|| vec![0; kind.len()]),
            order_id,
            price: need("price")?,
            size: need("size")?,
            venue_seq: given.integers("venue_seq")?,
            trade_id: given.ids("trade_id", &trade_codec)?,
            taker_order_id: given.ids("taker_order_id", &codec)?,
            taker_side,
            before: before.map(|(price, size)| Before {
                price: filled(price.into_iter()),
                size: filled(size.into_iter()),
            }),
            codec,
            trade_codec,
            kind,
            side,
            flags,
            ts_event,
        }))
    }

    /// One batch of several of one id codec, at the largest of their scales and of those asked for.
    #[staticmethod]
    #[pyo3(signature = (batches, *, price_scale=0, size_scale=0))]
    fn concat(batches: Vec<PyRef<'_, Self>>, price_scale: i64, size_scale: i64) -> PyResult<Self> {
        let least = (
            known_scale("price_scale", price_scale)?,
            known_scale("size_scale", size_scale)?,
        );
        let Some(first) = batches.first() else {
            return Err(PyValueError::new_err("concat needs at least one batch"));
        };
        let first = &first.0.columns;
        let same = |batch: &PyRef<'_, Self>| {
            let columns = &batch.0.columns;
            first.codec.same_keys(&columns.codec)
                && first.trade_codec.same_keys(&columns.trade_codec)
        };
        if !batches.iter().all(same) {
            return Err(PyValueError::new_err(
                "concat needs batches of one id codec and one trade codec",
            ));
        }
        let slices: Vec<Slice> = batches.iter().map(|batch| batch.0.clone()).collect();
        match Slice::concat(&slices, least) {
            Ok(columns) => Ok(Self::of(columns)),
            Err(field) => Err(refused(field, b"", NumberError::TooLarge)),
        }
    }

    #[getter]
    fn price_scale(&self) -> u8 {
        self.0.columns.price_scale
    }

    #[getter]
    fn size_scale(&self) -> u8 {
        self.0.columns.size_scale
    }

    #[getter]
    fn codec(&self) -> IdCodec {
        IdCodec(self.0.columns.codec.clone())
    }

    #[getter]
    fn trade_codec(&self) -> IdCodec {
        IdCodec(self.0.columns.trade_codec.clone())
    }

    fn __len__(&self) -> usize {
        self.0.len
    }

    fn __getitem__<'py>(&self, key: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = key.py();
        if let Ok(slice) = key.cast::<PySlice>() {
            let range = slice.indices(self.0.len as isize)?;
            if range.step != 1 {
                return Err(PyValueError::new_err("a slice of a batch has step 1"));
            }
            let slice = Slice {
                columns: self.0.columns.clone(),
                start: self.0.start + range.start as usize,
                len: range.slicelength,
            };
            return Ok(Bound::new(py, Self(slice))?.into_any());
        }
        let index: isize = key.extract()?;
        let at = if index < 0 {
            index + self.0.len as isize
        } else {
            index
        };
        if at < 0 || at as usize >= self.0.len {
            return Err(PyIndexError::new_err(format!(
                "row {index} of a batch of {}",
                self.0.len
            )));
        }
        Ok(row_dict(py, &self.0.columns, self.0.start + at as usize)?.into_any())
    }

    /// A column by name as a read-only buffer (numpy, Arrow: no copy); None where no row has a value.
    fn column(&self, name: &str) -> PyResult<Option<Column>> {
        let columns = &*self.0.columns;
        let range = self.0.range();
        let values = match name {
            "seq" => Some(columns.seq[range].into()),
            "ts_recv" => Some(columns.ts_recv[range].into()),
            "kind" => Some(columns.kind[range].into()),
            "side" => Some(columns.side[range].into()),
            "reason" => Some(columns.reason[range].into()),
            "flags" => Some(columns.flags[range].into()),
            "order_id" => Some(columns.order_id[range].into()),
            "price" => Some(columns.price[range].into()),
            "size" => Some(columns.size[range].into()),
            "venue_seq" => columns.venue_seq.as_deref().map(|v| v[range].into()),
            "ts_event" => columns.ts_event.as_deref().map(|v| v[range].into()),
            "trade_id" => columns.trade_id.as_deref().map(|v| v[range].into()),
            "taker_order_id" => columns.taker_order_id.as_deref().map(|v| v[range].into()),
            "taker_side" => columns.taker_side.as_deref().map(|v| v[range].into()),
            "price_before" => columns.before.as_ref().map(|b| of_filled(&b.price, range)),
            "size_before" => columns.before.as_ref().map(|b| of_filled(&b.size, range)),
            _ => {
                return Err(PyKeyError::new_err(format!(
                    "a batch has no column {name:?}"
                )));
            }
        };
        Ok(values.map(|values| Column::new(name, values, Owner::Batch(self.0.columns.clone()))))
    }

    /// The venue's text of each id; None where a row has none.
    #[pyo3(signature = (name = "order_id"))]
    fn id_texts(&self, name: &str) -> PyResult<Vec<Option<String>>> {
        let columns = &*self.0.columns;
        let (values, codec) = match name {
            "order_id" => (Some(&columns.order_id), &columns.codec),
            "taker_order_id" => (columns.taker_order_id.as_ref(), &columns.codec),
            "trade_id" => (columns.trade_id.as_ref(), &columns.trade_codec),
            _ => return Err(PyKeyError::new_err(format!("{name:?} is no id column"))),
        };
        Ok(match values {
            Some(values) => values[self.0.range()]
                .iter()
                .map(|&id| codec.decode(id))
                .collect(),
            None => vec![None; self.0.len],
        })
    }

    /// The Arrow table of this batch; made by `ordertape.arrow`, so that the engine needs no Arrow.
    fn to_arrow<'py>(slf: Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        py.import("ordertape.arrow")?
            .getattr("to_arrow")?
            .call1((slf,))
    }

    #[getter]
    fn first_seq(&self) -> i64 {
        self.seq((self.0.len > 0).then_some(0))
    }

    #[getter]
    fn last_seq(&self) -> i64 {
        self.seq(self.0.len.checked_sub(1))
    }

    #[getter]
    fn last_ts_recv(&self) -> i64 {
        self.0.columns.ts_recv[self.0.range()]
            .last()
            .copied()
            .unwrap_or(0)
    }

    #[getter]
    fn nbytes(&self) -> usize {
        self.0.columns.nbytes() / self.0.columns.len().max(1) * self.0.len
    }

    fn search_ts_recv(&self, ts: i64) -> usize {
        self.0.columns.ts_recv[self.0.range()].partition_point(|&at| at <= ts)
    }

    fn search_seq(&self, seq: i64) -> usize {
        self.0.columns.seq[self.0.range()].partition_point(|&at| at < seq)
    }

    fn last_complete(&self) -> usize {
        self.0.last_complete()
    }

    fn counts(&self) -> [u64; 8] {
        let mut counts = [0; 8];
        let columns = &*self.0.columns;
        for i in self.0.range() {
            if columns.flags[i] & SNAPSHOT == 0 {
                counts[usize::from(columns.kind[i] & 7)] += 1;
            }
        }
        counts
    }

    /// The batch as a journal frame.
    fn encode_frame<'py>(
        &self,
        py: Python<'py>,
        frame_type: u8,
        synced: u64,
    ) -> PyResult<Bound<'py, PyBytes>> {
        if !matches!(frame_type, frame::EVENTS | frame::SNAPSHOT) {
            return Err(PyValueError::new_err(format!(
                "frame type {frame_type}: expected 1 (events) or 2 (a snapshot)"
            )));
        }
        if self.0.len > frame::ROWS_MAX {
            return Err(PyValueError::new_err(format!(
                "{} rows in a frame: expected {} at most",
                self.0.len,
                frame::ROWS_MAX
            )));
        }
        Ok(PyBytes::new(
            py,
            &frame::encode(&self.0, frame_type, synced),
        ))
    }

    fn __repr__(&self) -> String {
        format!(
            "EventBatch({} rows, seq {} to {})",
            self.0.len,
            self.first_seq(),
            self.last_seq()
        )
    }
}

fn check_codes(kind: &[u8], side: &[u8]) -> PyResult<()> {
    if kind.len() != side.len() {
        return Err(PyValueError::new_err(format!(
            "side has {} rows, kind has {}",
            side.len(),
            kind.len()
        )));
    }
    for (&kind, &side) in kind.iter().zip(side) {
        if !(1..=7).contains(&kind) {
            return Err(PyValueError::new_err(format!(
                "kind {kind}: expected 1 to 7"
            )));
        }
        // A cross or an auction's trade has no resting side that a source could tell.
        if side > 1 && !((kind == CLEAR || kind == TRADE) && side == NO_SIDE) {
            return Err(PyValueError::new_err(format!(
                "side {side}: expected 0 (bid) or 1 (ask)"
            )));
        }
    }
    Ok(())
}

fn check_ids(kind: &[u8], order_id: &[Id]) -> PyResult<()> {
    let nameless = |(kind, id): (&u8, &Id)| *id == NULL_ID && !matches!(*kind, CLEAR | TRADE);
    match kind.iter().zip(order_id).position(nameless) {
        Some(row) => Err(PyValueError::new_err(format!(
            "order_id: row {row} is of kind {}, which needs one",
            kind[row]
        ))),
        None => Ok(()),
    }
}

fn check_taker_sides(sides: &[u8]) -> PyResult<()> {
    let wrong = sides.iter().find(|&&side| side > ASK && side != NO_SIDE);
    wrong.map_or(Ok(()), |&side| known_side(side).map(|_| ()))
}

/// One row at the edge: text ids, Decimals, None where a column does not apply.
fn row_dict<'py>(
    py: Python<'py>,
    columns: &Arc<Columns>,
    i: usize,
) -> PyResult<Bound<'py, PyDict>> {
    let row: Row = columns.row(i);
    let known = |value: i64| (value != NULL).then_some(value);
    let side = |value: u8| (value != NO_SIDE).then_some(value);
    let number = |value: i64, scale: u8| {
        known(value)
            .map(|v| decimal(py, i128::from(v), scale))
            .transpose()
    };
    let (price_scale, size_scale) = (columns.price_scale, columns.size_scale);
    let dict = PyDict::new(py);
    dict.set_item("seq", columns.seq[i])?;
    dict.set_item("venue_seq", known(row.venue_seq))?;
    dict.set_item("ts_event", known(row.ts_event))?;
    dict.set_item("ts_recv", row.ts_recv)?;
    dict.set_item("kind", row.kind)?;
    dict.set_item("side", side(row.side))?;
    dict.set_item("reason", row.reason)?;
    dict.set_item("flags", row.flags)?;
    dict.set_item("order_id", columns.codec.decode(row.order_id))?;
    dict.set_item("price", number(row.price, price_scale)?)?;
    dict.set_item("size", number(row.size, size_scale)?)?;
    dict.set_item("trade_id", columns.trade_codec.decode(row.trade_id))?;
    dict.set_item("taker_order_id", columns.codec.decode(row.taker_order_id))?;
    dict.set_item("taker_side", side(row.taker_side))?;
    dict.set_item("price_before", number(row.price_before, price_scale)?)?;
    dict.set_item("size_before", number(row.size_before, size_scale)?)?;
    Ok(dict)
}
