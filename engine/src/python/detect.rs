//! `Detectors`.

use pyo3::prelude::*;

use crate::detect;

/// Patterns of orders as they happen.
#[pyclass(module = "ordertape")]
#[derive(Default)]
pub struct Detectors(pub detect::Detectors);

#[pymethods]
impl Detectors {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    /// Events are missing: nothing is known of the book from here.
    fn gap(&mut self) {}
}
