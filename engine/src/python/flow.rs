//! `Flow`.

use pyo3::prelude::*;

use crate::flow;

/// The flow of a market, a row a second.
#[pyclass(module = "ordertape")]
#[derive(Default)]
pub struct Flow(pub flow::Flow);

#[pymethods]
impl Flow {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    /// Events are missing: nothing is known of the book from here.
    fn gap(&mut self) {}
}
