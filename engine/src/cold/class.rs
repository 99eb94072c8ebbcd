//! What a row is like: its codes, and for every other column whether its value follows from what is
//! known or is told.  A block has few classes; a row names its own with one symbol.

use crate::batch::Row;
use crate::events::{CLEAR, NO_SIDE, OPEN, TRADE};

macro_rules! modes {
    ($($(#[$doc:meta])* $name:ident: $($mode:ident)+;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[repr(u8)]
        pub enum $name { #[default] $($mode),+ }

        impl $name {
            const ALL: &[Self] = &[$(Self::$mode),+];
        }
    )+};
}

modes! {
    /// Of `ts_recv`: as the row before, or told.
    Recv: Same Told;
    /// Of `ts_event`: none, as the last one, equal to `ts_recv`, or told.
    EventTime: None Same AsRecv Told;
    /// Of `venue_seq`: none, as the last one, one more, or told.
    VenueSeq: None Same Next Told;
    /// Of the order: none, that of the last row, one that opened, one that left, a new id as the
    /// block's ids are told, a new id bit by bit.
    Order: None Same Opened Away New Raw;
    /// Of `price` and `price_before`: none, the order's, or told.
    Price: None Same Told;
    /// Of `size` and `size_before`: none, the order's, zero, that of the last order which left, that of
    /// the last which opened (both of this side), or told.
    Size: None Same Zero LastLeft LastOpened Told;
    /// Of `trade_id`: none, as the last one, one more, told as a difference, or bit by bit.
    Trade: None Same Next Told Raw;
    /// Of `taker_order_id`: none, as the last one, one that opened, one that left, new (see Order).
    Taker: None Same Opened Away New Raw;
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Class {
    pub kind: u8,
    pub side: u8,
    pub reason: u8,
    pub flags: u16,
    pub taker_side: u8,
    pub recv: Recv,
    pub event: EventTime,
    pub venue: VenueSeq,
    pub order: Order,
    pub price: Price,
    pub size: Size,
    pub price_before: Price,
    pub size_before: Size,
    pub trade: Trade,
    pub taker: Taker,
}

/// Sides in two bits; None for what is no side.
fn side_code(side: u8) -> Option<u64> {
    match side {
        0 | 1 => Some(u64::from(side)),
        NO_SIDE => Some(2),
        _ => None,
    }
}

impl Class {
    /// The codes of a row; None where they are none of the vocabulary's.
    pub fn of(row: &Row) -> Option<Self> {
        side_code(row.side)?;
        side_code(row.taker_side)?;
        let class = Self {
            kind: row.kind,
            side: row.side,
            reason: row.reason,
            flags: row.flags,
            taker_side: row.taker_side,
            ..Self::default()
        };
        class.is_known().then_some(class)
    }

    /// Whether there is such a kind, of that side.
    fn is_known(&self) -> bool {
        let alone = matches!(self.kind, CLEAR | TRADE);
        (OPEN..=TRADE).contains(&self.kind) && (alone || self.side != NO_SIDE)
    }

    /// All of it in 58 bits.
    pub fn packed(&self) -> u64 {
        let mut packed = Packed(0, 0);
        packed.put(u64::from(self.kind), 4);
        packed.put(side_code(self.side).unwrap_or(2), 2);
        packed.put(u64::from(self.reason), 8);
        packed.put(u64::from(self.flags), 16);
        packed.put(side_code(self.taker_side).unwrap_or(2), 2);
        packed.put(self.recv as u64, 1);
        packed.put(self.event as u64, 2);
        packed.put(self.venue as u64, 2);
        packed.put(self.order as u64, 3);
        packed.put(self.price as u64, 2);
        packed.put(self.size as u64, 3);
        packed.put(self.price_before as u64, 2);
        packed.put(self.size_before as u64, 3);
        packed.put(self.trade as u64, 3);
        packed.put(self.taker as u64, 3);
        packed.0
    }

    /// None where this packs no class.
    pub fn unpacked(packed: u64) -> Option<Self> {
        let mut from = Packed(packed, 0);
        let side = |code: u64| [Some(0), Some(1), Some(NO_SIDE), None][code as usize];
        let class = Self {
            kind: from.take(4) as u8,
            side: side(from.take(2))?,
            reason: from.take(8) as u8,
            flags: from.take(16) as u16,
            taker_side: side(from.take(2))?,
            recv: *Recv::ALL.get(from.take(1) as usize)?,
            event: *EventTime::ALL.get(from.take(2) as usize)?,
            venue: *VenueSeq::ALL.get(from.take(2) as usize)?,
            order: *Order::ALL.get(from.take(3) as usize)?,
            price: *Price::ALL.get(from.take(2) as usize)?,
            size: *Size::ALL.get(from.take(3) as usize)?,
            price_before: *Price::ALL.get(from.take(2) as usize)?,
            size_before: *Size::ALL.get(from.take(3) as usize)?,
            trade: *Trade::ALL.get(from.take(3) as usize)?,
            taker: *Taker::ALL.get(from.take(3) as usize)?,
        };
        let named = class.order != Order::None || matches!(class.kind, CLEAR | TRADE);
        (named && class.is_known()).then_some(class)
    }
}

/// Bits and how many of them are used.
struct Packed(u64, u32);

impl Packed {
    fn put(&mut self, value: u64, bits: u32) {
        self.0 |= value << self.1;
        self.1 += bits;
    }

    fn take(&mut self, bits: u32) -> u64 {
        let value = (self.0 >> self.1) & ((1 << bits) - 1);
        self.1 += bits;
        value
    }
}
