//! Codes of the event vocabulary; `src/ordertape/events.py` states their meaning.

pub const OPEN: u8 = 1;
pub const CHANGE: u8 = 2;
pub const MATCH: u8 = 3;
pub const DONE: u8 = 4;
pub const CLEAR: u8 = 5;
pub const EVICT: u8 = 6;
pub const TRADE: u8 = 7;

pub const BID: u8 = 0;
pub const ASK: u8 = 1;
/// "No side": CLEAR rows, unknown takers.
pub const NO_SIDE: u8 = 255;

pub const SNAPSHOT: u16 = 1;
pub const LAST: u16 = 2;
pub const INFERRED: u16 = 4;
pub const PLACE_ASSUMED: u16 = 8;
pub const REENTRY: u16 = 16;
pub const LATE: u16 = 32;

pub const REASON_FILLED: u8 = 1;
pub const REASON_CANCELED: u8 = 2;
pub const REASON_UNKNOWN: u8 = 3;
pub const REASON_AMENDED: u8 = 4;
pub const REASON_SELF_TRADE: u8 = 5;
pub const REASON_TRADED_AS_TAKER: u8 = 6;

/// "No value" in int64 columns.
pub const NULL: i64 = i64::MIN;
