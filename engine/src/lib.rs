//! The engine of ordertape: what runs once per event, and nothing else.
//!
//! Pure Rust below, thin Python faces in `python/`.  The names are those of `src/ordertape/_engine.pyi`.

#[cfg(target_endian = "big")]
compile_error!("columns are little-endian in memory and on disk");

pub mod apply;
pub mod attribution;
pub mod batch;
pub mod book;
pub mod checksum;
pub mod coinbase;
pub mod cold;
pub mod compare;
pub mod detect;
pub mod digest;
pub mod events;
pub mod evicted;
pub mod flow;
pub mod frame;
pub mod heat;
pub mod ids;
pub mod json;
pub mod ladder;
pub mod lives;
pub mod number;
pub mod ranks;
pub mod statements;
pub mod table;
pub mod watch;
pub mod window;
pub mod wire;

#[cfg(feature = "python")]
mod python;
