//! Coinbase Exchange: messages of the `full` channel to events to the book, and its whole book over REST.
//!
//! Source: docs.cdp.coinbase.com, exchange, "websocket-feed/channels" (full), "overview" (sequence numbers),
//! "get-product-book" (level 3).

pub mod emptied;
pub mod feed;
pub mod message;
mod numbers;
pub mod snapshot;
pub mod time;
