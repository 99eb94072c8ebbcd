//! The Python face of the engine.

mod applied;
mod arrays;
mod batch;
mod book;
mod builder;
mod codec;
mod coinbase;
mod cold;
mod column;
mod convert;
mod detect;
mod flow;
mod frames;
mod heat;
mod lives;
mod watch;
mod window;

use pyo3::prelude::*;

#[pymodule]
fn _engine(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("NULL", crate::events::NULL)?;
    module.add_class::<codec::IdCodec>()?;
    module.add_class::<column::Column>()?;
    module.add_class::<batch::EventBatch>()?;
    module.add_class::<builder::BatchBuilder>()?;
    module.add_class::<applied::Counters>()?;
    module.add_class::<applied::Effects>()?;
    module.add_class::<book::OrderBook>()?;
    module.add_class::<heat::Heat>()?;
    module.add_class::<lives::Lifecycles>()?;
    module.add_class::<lives::Rows>()?;
    module.add_class::<flow::Flow>()?;
    module.add_class::<detect::Detectors>()?;
    module.add_class::<window::WindowResolver>()?;
    module.add_class::<coinbase::CoinbaseFeed>()?;
    module.add_class::<coinbase::CoinbaseSnapshot>()?;
    module.add_function(wrap_pyfunction!(frames::encode_mark, module)?)?;
    module.add_function(wrap_pyfunction!(frames::decode_frame, module)?)?;
    module.add_function(wrap_pyfunction!(frames::decode_run, module)?)?;
    module.add_function(wrap_pyfunction!(frames::frame_header, module)?)?;
    module.add_function(wrap_pyfunction!(cold::encode_cold_block, module)?)?;
    module.add_function(wrap_pyfunction!(cold::decode_cold_block, module)?)?;
    module.add_function(wrap_pyfunction!(convert::parse_number, module)?)?;
    module.add_function(wrap_pyfunction!(convert::format_number, module)?)?;
    Ok(())
}
