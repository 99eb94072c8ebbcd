//! `Counters` and `Effects`: what one apply met and did.

use std::sync::Arc;

use pyo3::exceptions::PyKeyError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::apply;
use crate::python::column::{Column, Owner};

/// What one apply met: counts of events; `crossed` counts message ends with bid >= ask.
#[pyclass(frozen, module = "ordertape")]
pub struct Counters(pub apply::Counters);

#[pymethods]
impl Counters {
    #[getter]
    fn events(&self) -> u64 {
        self.0.events
    }
    #[getter]
    fn unknown_id(&self) -> u64 {
        self.0.unknown_id
    }
    #[getter]
    fn duplicate_id(&self) -> u64 {
        self.0.duplicate_id
    }
    #[getter]
    fn negative(&self) -> u64 {
        self.0.negative
    }
    #[getter]
    fn overflow(&self) -> u64 {
        self.0.overflow
    }
    #[getter]
    fn overfill(&self) -> u64 {
        self.0.overfill
    }
    #[getter]
    fn before_differs(&self) -> u64 {
        self.0.before_differs
    }
    #[getter]
    fn late(&self) -> u64 {
        self.0.late
    }
    #[getter]
    fn crossed(&self) -> u64 {
        self.0.crossed
    }
    #[getter]
    fn faults(&self) -> u64 {
        self.0.faults()
    }

    fn as_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        for (name, value) in [
            ("events", self.0.events),
            ("unknown_id", self.0.unknown_id),
            ("duplicate_id", self.0.duplicate_id),
            ("negative", self.0.negative),
            ("overflow", self.0.overflow),
            ("overfill", self.0.overfill),
            ("before_differs", self.0.before_differs),
            ("late", self.0.late),
            ("crossed", self.0.crossed),
        ] {
            dict.set_item(name, value)?;
        }
        Ok(dict)
    }

    fn __add__(&self, other: &Self) -> Self {
        Self(apply::Counters {
            events: self.0.events + other.0.events,
            unknown_id: self.0.unknown_id + other.0.unknown_id,
            duplicate_id: self.0.duplicate_id + other.0.duplicate_id,
            negative: self.0.negative + other.0.negative,
            overflow: self.0.overflow + other.0.overflow,
            overfill: self.0.overfill + other.0.overfill,
            before_differs: self.0.before_differs + other.0.before_differs,
            late: self.0.late + other.0.late,
            crossed: self.0.crossed + other.0.crossed,
        })
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("Counters({})", self.as_dict(py)?))
    }
}

/// What each event of a batch did, as aligned int64 columns (NULL where one does not apply):
/// price_before, size_before, level_size, level_orders, best_bid, best_ask, orders_ahead.
#[pyclass(frozen, module = "ordertape")]
pub struct Effects(pub Arc<apply::Effects>);

#[pymethods]
impl Effects {
    fn column(&self, name: &str) -> PyResult<Column> {
        let values = self.0.column(name);
        let values = values
            .ok_or_else(|| PyKeyError::new_err(format!("effects have no column {name:?}")))?;
        Ok(Column::new(
            name,
            values.into(),
            Owner::Effects(self.0.clone()),
        ))
    }

    fn __len__(&self) -> usize {
        self.0.best_bid.len()
    }
}
