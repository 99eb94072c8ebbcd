//! What proves a book: a digest of its whole state, and Bitfinex's checksum text.

use crate::book::Book;
use crate::events::{ASK, BID};
use crate::ids::Id;
use crate::number::{strip_zeros, write_javascript};

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

    /// Bitfinex: ids and amounts of the best orders, bid and ask in turn, joined by colons; ids ascending
    /// inside a price; asks with a minus; numbers as JavaScript prints them.
    pub fn top_text(&self, orders: usize, write_id: impl Fn(&mut Vec<u8>, Id)) -> Vec<u8> {
        let bids = self.top(BID, orders);
        let asks = self.top(ASK, orders);
        let size_scale = self.size_scale.unwrap_or(0);
        let orders = orders.min(bids.len().max(asks.len()));
        let mut out = Vec::with_capacity(orders * 48);
        for i in 0..orders {
            for (rows, sign) in [(&bids, 1), (&asks, -1)] {
                let Some(&(id, size)) = rows.get(i) else {
                    continue;
                };
                if !out.is_empty() {
                    out.push(b':');
                }
                write_id(&mut out, id);
                out.push(b':');
                write_javascript(&mut out, sign * size, size_scale);
            }
        }
        out
    }

    fn top(&self, side: u8, orders: usize) -> Vec<(Id, i64)> {
        let mut rows: Vec<(Id, i64)> = Vec::new();
        for step in self.halves[usize::from(side == ASK)].ladder.iter() {
            let start = rows.len();
            rows.extend(self.walk_level(step.level).map(|slot| {
                let order = &self.orders[slot as usize];
                (order.id(), order.size)
            }));
            rows[start..].sort_unstable();
            if rows.len() >= orders {
                rows.truncate(orders);
                break;
            }
        }
        rows
    }
}
