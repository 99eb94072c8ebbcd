//! What proves a book: a digest of its whole state.

use crate::book::Book;
use crate::events::{ASK, BID};
use crate::number::strip_zeros;

impl Book {
    /// 128 bits of BLAKE3 over every order, bids then asks, best price first, in queue order:
    /// side, id (16 bytes), price and size as coefficient (8 bytes) and scale, little-endian,
    /// without trailing zeros, so that it is equal at every scale and on every machine.
    pub fn digest(&self) -> String {
        let price_scale = self.price_scale.unwrap_or(0);
        let size_scale = self.size_scale.unwrap_or(0);
        let mut hasher = blake3::Hasher::new();
        let mut buffer = Vec::with_capacity(1 << 16);
        buffer.extend_from_slice(b"ordertape book 1");
        for side in [BID, ASK] {
            for (level, order) in self.walk(side) {
                let (price, price_scale) = strip_zeros(level.price, price_scale);
                let (size, size_scale) = strip_zeros(order.size, size_scale);
                buffer.push(side);
                buffer.extend_from_slice(&order.id().to_le_bytes());
                buffer.extend_from_slice(&price.to_le_bytes());
                buffer.push(price_scale);
                buffer.extend_from_slice(&size.to_le_bytes());
                buffer.push(size_scale);
                if buffer.len() > (1 << 16) - 64 {
                    hasher.update(&buffer);
                    buffer.clear();
                }
            }
        }
        hasher.update(&buffer);
        hasher.finalize().to_hex()[..32].to_string()
    }
}
