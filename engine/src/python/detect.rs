//! `Detectors`.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::detect;
use crate::detect::finding::{Finding, Parts};
use crate::detect::parameters::Parameters;
use crate::ids::Codec;
use crate::python::codec::IdCodec;

/// Patterns of orders as they happen.
#[pyclass(module = "ordertape")]
#[derive(Default)]
pub struct Detectors(pub detect::Detectors);

#[pymethods]
impl Detectors {
    #[new]
    #[pyo3(signature = (**parameters))]
    fn new(parameters: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        let mut chosen = Parameters::default();
        for (name, value) in parameters.into_iter().flatten() {
            let (name, value): (String, f64) = (name.extract()?, value.extract()?);
            if !value.is_finite() || value < 0.0 {
                return Err(PyValueError::new_err(format!(
                    "{name}: expected a number from 0 on, found {value}"
                )));
            }
            if !chosen.set(&name, value) {
                let known: Vec<&str> = chosen.named().into_iter().map(|(name, _)| name).collect();
                return Err(PyValueError::new_err(format!(
                    "expected parameters of {}, found {name:?}",
                    known.join(", ")
                )));
            }
        }
        Ok(Self(detect::Detectors::new(chosen)))
    }

    /// The defaults.
    #[staticmethod]
    fn parameters(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
        let all = PyDict::new(py);
        for (name, value) in Parameters::default().named() {
            all.set_item(name, value)?;
        }
        Ok(all)
    }

    /// Events are missing from here: open candidates are dropped, what is usual stays.
    fn gap(&mut self) {
        self.0.gap();
    }

    /// Findings since the last call, oldest first.
    fn drain<'py>(
        &mut self,
        py: Python<'py>,
        codec: &IdCodec,
    ) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let found = self.0.drain();
        found
            .iter()
            .map(|finding| told(py, finding, &codec.0))
            .collect()
    }
}

fn parts<'py>(py: Python<'py>, parts: &Parts) -> PyResult<Bound<'py, PyDict>> {
    let told = PyDict::new(py);
    for (name, value) in parts {
        told.set_item(name, value)?;
    }
    Ok(told)
}

fn told<'py>(py: Python<'py>, finding: &Finding, codec: &Codec) -> PyResult<Bound<'py, PyDict>> {
    let told = PyDict::new(py);
    let ids = finding.order_ids.iter();
    let ids: Vec<String> = ids.filter_map(|&id| codec.decode(id)).collect();
    told.set_item("kind", finding.kind.name())?;
    told.set_item("phase", finding.phase.name())?;
    told.set_item("number", finding.number)?;
    told.set_item("side", finding.side)?;
    for (name, value) in [
        ("began", finding.began),
        ("ended", finding.ended),
        ("told", finding.told),
        ("began_seq", finding.began_seq),
        ("told_seq", finding.told_seq),
        ("price_low", finding.price_low),
        ("price_high", finding.price_high),
        ("size", finding.size),
        ("filled", finding.filled),
    ] {
        told.set_item(name, value)?;
    }
    told.set_item("score", finding.score)?;
    told.set_item("evidence", parts(py, &finding.evidence)?)?;
    told.set_item("against", parts(py, &finding.against)?)?;
    told.set_item("order_ids", ids)?;
    told.set_item("orders", finding.orders)?;
    told.set_item("price_scale", finding.scales.0)?;
    told.set_item("size_scale", finding.scales.1)?;
    Ok(told)
}
