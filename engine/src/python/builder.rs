//! `BatchBuilder`: what a venue's parser calls once per event.

use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::batch::{Columns, Row};
use crate::events::{CHANGE, CLEAR, DONE, LAST, MATCH, NO_SIDE, NULL, OPEN, TRADE};
use crate::ids::{Codec, NULL_ID};
use crate::number::{NumberError, parse, rescale};
use crate::python::batch::EventBatch;
use crate::python::codec::{IdCodec, codec_of};
use crate::python::convert::{id_of, known_seq, known_side, refused, scale_of, with_text};

/// Collects events as a venue's parser meets them; scales grow to hold every number exactly.
#[pyclass(module = "ordertape")]
pub struct BatchBuilder {
    codec: Arc<Codec>,
    trade_codec: Arc<Codec>,
    price_scale: Option<u8>,
    size_scale: Option<u8>,
    rows: Vec<Row>,
}

/// The int64 of a text at a scale that grows where it must; `rescaled` brings what is there to the new scale.
fn exact(
    field: &str,
    text: &[u8],
    scale: &mut Option<u8>,
    mut rescaled: impl FnMut(u8, u8) -> bool,
) -> PyResult<i64> {
    let wrong = |error| refused(field, text, error);
    let parsed = parse(text).map_err(wrong)?;
    if let Some(scale) = *scale
        && let Some(value) = parsed.at_scale(scale)
    {
        return Ok(value);
    }
    let old = scale.unwrap_or(0);
    let new = old.max(parsed.scale_needed().map_err(wrong)?);
    let value = parsed
        .at_scale(new)
        .ok_or_else(|| wrong(NumberError::TooLarge))?;
    if !rescaled(old, new) {
        return Err(wrong(NumberError::TooLarge));
    }
    *scale = Some(new);
    Ok(value)
}

/// Rescales one field of all rows, or nothing where one value doesn't fit.
fn rescale_rows(rows: &mut [Row], old: u8, new: u8, field: impl Fn(&mut Row) -> &mut i64) -> bool {
    let fits = |value: i64| value == NULL || rescale(value, old, new).is_some();
    if !rows.iter_mut().all(|row| fits(*field(row))) {
        return false;
    }
    for value in rows.iter_mut().map(field).filter(|value| **value != NULL) {
        *value = rescale(*value, old, new).unwrap_or(NULL);
    }
    true
}

#[pymethods]
impl BatchBuilder {
    #[new]
    #[pyo3(signature = (codec = None, price_scale = None, size_scale = None, trade_codec = None))]
    fn new(
        codec: Option<&Bound<'_, PyAny>>,
        price_scale: Option<i64>,
        size_scale: Option<i64>,
        trade_codec: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        Ok(Self {
            codec: codec_of(codec)?,
            trade_codec: codec_of(trade_codec)?,
            price_scale: scale_of("price_scale", price_scale)?,
            size_scale: scale_of("size_scale", size_scale)?,
            rows: Vec::new(),
        })
    }

    #[getter]
    fn codec(&self) -> IdCodec {
        IdCodec(self.codec.clone())
    }

    #[getter]
    fn trade_codec(&self) -> IdCodec {
        IdCodec(self.trade_codec.clone())
    }

    #[pyo3(signature = (kind, side, order_id, price, size, ts_recv, ts_event = None, flags = 0, reason = 0,
                        venue_seq = None, trade_id = None, taker_order_id = None, taker_side = None, /))]
    #[allow(clippy::too_many_arguments)] // positional on purpose: one call per event, no object per event
    fn add(
        &mut self,
        kind: u8,
        side: Option<u8>,
        order_id: Option<&Bound<'_, PyAny>>,
        price: Option<&Bound<'_, PyAny>>,
        size: Option<&Bound<'_, PyAny>>,
        ts_recv: i64,
        ts_event: Option<i64>,
        flags: u16,
        reason: u8,
        venue_seq: Option<i64>,
        trade_id: Option<&Bound<'_, PyAny>>,
        taker_order_id: Option<&Bound<'_, PyAny>>,
        taker_side: Option<u8>,
    ) -> PyResult<()> {
        let side = side.unwrap_or(NO_SIDE);
        check_event(
            kind,
            side,
            order_id.is_some(),
            price.is_some(),
            size.is_some(),
        )?;
        if self.rows.last().is_some_and(|row| row.ts_recv > ts_recv) {
            return Err(PyValueError::new_err(format!(
                "ts_recv {ts_recv} is earlier than the event before"
            )));
        }
        let mut row = Row {
            kind,
            side,
            ts_recv,
            flags,
            reason,
            ..Row::EMPTY
        };
        if let Some(price) = price {
            let rows = &mut self.rows;
            row.price = with_text(price, |text| {
                exact("price", text, &mut self.price_scale, |old, new| {
                    rescale_rows(rows, old, new, |row| &mut row.price)
                })
            })?;
        }
        if let Some(size) = size {
            let rows = &mut self.rows;
            row.size = with_text(size, |text| {
                exact("size", text, &mut self.size_scale, |old, new| {
                    rescale_rows(rows, old, new, |row| &mut row.size)
                })
            })?;
        }
        row.ts_event = ts_event.unwrap_or(NULL);
        row.venue_seq = venue_seq.unwrap_or(NULL);
        row.taker_side = taker_side.map_or(Ok(NO_SIDE), known_side)?;
        let key = |codec: &Codec, id: Option<&Bound<'_, PyAny>>| {
            id.map_or(Ok(NULL_ID), |id| id_of(codec, id))
        };
        row.order_id = key(&self.codec, order_id)?;
        row.trade_id = key(&self.trade_codec, trade_id)?;
        row.taker_order_id = key(&self.codec, taker_order_id)?;
        self.rows.push(row);
        Ok(())
    }

    fn finish(&mut self, first_seq: i64) -> PyResult<EventBatch> {
        known_seq(first_seq)?;
        if let Some(last) = self.rows.last_mut() {
            last.flags |= LAST;
        }
        let columns = Columns::from_rows(
            &self.rows,
            first_seq,
            (self.price_scale.unwrap_or(0), self.size_scale.unwrap_or(0)),
            self.codec.clone(),
            self.trade_codec.clone(),
        );
        self.rows.clear();
        Ok(EventBatch::of(columns))
    }

    fn discard(&mut self) {
        self.rows.clear();
    }

    fn __len__(&self) -> usize {
        self.rows.len()
    }
}

/// What a kind needs: ids, side, price and size by the vocabulary.
fn check_event(kind: u8, side: u8, id: bool, price: bool, size: bool) -> PyResult<()> {
    let whole = match kind {
        CLEAR => side == NO_SIDE,
        TRADE => (side <= 1 || side == NO_SIDE) && price && size,
        CHANGE | DONE => side <= 1 && id && size,
        OPEN..=MATCH | 6 => side <= 1 && id && price && size,
        _ => {
            return Err(PyValueError::new_err(format!(
                "kind {kind}: expected 1 to 7"
            )));
        }
    };
    if whole {
        return Ok(());
    }
    Err(PyValueError::new_err(format!(
        "kind {kind} lacks its side (0 bid, 1 ask), order id, price or size"
    )))
}
