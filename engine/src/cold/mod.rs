//! The cold form of events: what the book implies is not stored.
//!
//! A block stands alone.  An id is told once, where it first comes; later rows name the order by how
//! many others have opened since, and their side, price and remaining size follow from it.  What
//! columns a row tells at all is its class, one symbol.  The rest are small numbers: a price is its
//! rank below the best, a time its distance.  All are written with the block's own statistics.
//! `docs/tape-format.md` describes the bytes.

mod class;
mod coder;
mod decode;
mod encode;
mod half;
mod model;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::batch::{Columns, Slice};
use crate::cold::model::Field;
use crate::frame::{self, Header};
use crate::ids::Codec;

/// What claims more rows is no block.
pub const BLOCK_ROWS_MAX: usize = 1 << 21;

const MODELLED: u8 = 1;
const FRAMED: u8 = 2;
/// crc32c of what follows.
const CRC: usize = 4;

/// This symbol of a class and above it 16 bits tell a class of which there are too many.
const CLASS_FAR: u8 = 255;
const CLASSES_MAX: usize = 1 << 16;
/// These symbols of a size: one far down the list, and one that is told.
const SIZE_FAR: u8 = 254;
const SIZE_TOLD: u8 = 255;

/// Numbers of tables; the contexts are the most frequent classes.
struct Table;

const CLASS_CONTEXTS: usize = 16;
const CONTEXTS: usize = 8;
const ID_CONTEXTS: usize = 16;
const NUMBERS: usize = CLASS_CONTEXTS;
const IDS: usize = NUMBERS + Field::Id as usize * CONTEXTS;
const SIZES: usize = IDS + ID_CONTEXTS;
const SIZES_TOLD: usize = SIZES + CONTEXTS;
const SIZES_FAR: usize = SIZES_TOLD + CONTEXTS;
const TABLES: usize = SIZES_FAR + 1;

impl Table {
    const SIZE_FAR: u16 = SIZES_FAR as u16;

    #[inline(always)]
    fn class(before: usize) -> u16 {
        before.min(CLASS_CONTEXTS - 1) as u16
    }

    #[inline(always)]
    fn number(field: Field, context: usize) -> u16 {
        match field {
            Field::Id => (IDS + context.min(ID_CONTEXTS - 1)) as u16,
            _ => (NUMBERS + field as usize * CONTEXTS + context.min(CONTEXTS - 1)) as u16,
        }
    }

    #[inline(always)]
    fn size(context: usize) -> u16 {
        (SIZES + context.min(CONTEXTS - 1)) as u16
    }

    #[inline(always)]
    fn size_told(context: usize) -> u16 {
        (SIZES_TOLD + context.min(CONTEXTS - 1)) as u16
    }
}

/// Which of the columns that may be absent a block has, a bit each.
mod present {
    use crate::batch::Row;
    use crate::events::{CHANGE, NO_SIDE, NULL};
    use crate::ids::NULL_ID;

    pub const VENUE_SEQ: u8 = 1;
    pub const TS_EVENT: u8 = 2;
    pub const TRADE_ID: u8 = 4;
    pub const TAKER_ORDER_ID: u8 = 8;
    pub const TAKER_SIDE: u8 = 16;
    pub const BEFORE: u8 = 32;

    pub fn of(rows: &[Row]) -> u8 {
        let mut present = 0;
        for row in rows {
            let has = |is: bool, column: u8| if is { column } else { 0 };
            present |= has(row.venue_seq != NULL, VENUE_SEQ)
                | has(row.ts_event != NULL, TS_EVENT)
                | has(row.trade_id != NULL_ID, TRADE_ID)
                | has(row.taker_order_id != NULL_ID, TAKER_ORDER_ID)
                | has(row.taker_side != NO_SIDE, TAKER_SIDE)
                | has(row.price_before != NULL, BEFORE)
                | has(row.size_before != NULL, BEFORE)
                | has(row.kind == CHANGE, BEFORE);
        }
        present
    }
}

/// The block of a batch.  What no model holds is written as a frame of the journal is.
pub fn encode_block(slice: &Slice) -> Vec<u8> {
    let mut block = vec![0; CRC];
    match encode::encode(slice) {
        Some(modelled) => {
            block.push(MODELLED);
            block.extend_from_slice(&modelled);
        }
        None => {
            block.push(FRAMED);
            block.extend_from_slice(&frame::encode(slice, frame::EVENTS, 0));
        }
    }
    let crc = crc32c::crc32c(&block[CRC..]);
    block[..CRC].copy_from_slice(&crc.to_le_bytes());
    block
}

/// The batch of a block, its seqs counted from `first_seq`; None where this is no block.
pub fn decode_block(
    block: &[u8],
    first_seq: i64,
    scales: (u8, u8),
    codecs: (Arc<Codec>, Arc<Codec>),
) -> Option<Columns> {
    let (crc, content) = block.split_first_chunk::<CRC>()?;
    if crc32c::crc32c(content) != u32::from_le_bytes(*crc) {
        return None;
    }
    match content.split_first()? {
        (&MODELLED, modelled) => decode::decode(modelled, first_seq, scales, codecs),
        (&FRAMED, framed) => {
            let header = Header::read(framed)?;
            let framed = framed.get(..header.length)?;
            frame::decode(&header, framed, codecs.0, codecs.1)
        }
        _ => None,
    }
}
