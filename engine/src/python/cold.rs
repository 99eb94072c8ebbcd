//! Blocks of the cold archive as Python sees them.

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::cold;
use crate::python::batch::EventBatch;
use crate::python::codec::IdCodec;
use crate::python::convert::Borrowed;

#[pyfunction]
pub fn encode_cold_block<'py>(
    py: Python<'py>,
    batch: &Bound<'py, EventBatch>,
) -> Bound<'py, PyBytes> {
    let slice = batch.get().0.clone();
    let block = py.detach(|| cold::encode_block(&slice));
    PyBytes::new(py, &block)
}

#[pyfunction]
pub fn decode_cold_block(
    block: &Bound<'_, PyAny>,
    first_seq: i64,
    scales: (u8, u8),
    codec: &Bound<'_, IdCodec>,
    trade_codec: &Bound<'_, IdCodec>,
) -> PyResult<Option<EventBatch>> {
    let borrowed = Borrowed::of(block)?;
    let codecs = (codec.get().0.clone(), trade_codec.get().0.clone());
    let bytes = borrowed.bytes();
    let columns = block
        .py()
        .detach(|| cold::decode_block(bytes, first_seq, scales, codecs));
    Ok(columns.map(EventBatch::of))
}
