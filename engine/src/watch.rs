//! Who is told of every event once the lives of orders know of it: the heat of a picture, the flow of a
//! market, what looks for patterns.

use crate::ids::Id;
use crate::lives::Life;

/// Where an order rests: side, price, size.
pub type Place = (u8, i64, i64);

/// One event at the book's scales, and what the book did with it.
pub struct Step {
    pub seq: i64,
    /// Our clock (ns).
    pub ts: i64,
    /// The venue's, NULL where it gives none.
    pub ts_event: i64,
    pub kind: u8,
    pub side: u8,
    pub reason: u8,
    pub flags: u16,
    pub id: Id,
    pub price: i64,
    pub size: i64,
    /// Orders ahead of it in its price, behind the event where it rests then, before it where it ended.
    pub ahead: i64,
    /// Best bid and best ask behind the event; NULL where a side is empty.
    pub touch: [i64; 2],
    pub taker: Taker,
}

/// Who took, where the event is a trade and the venue tells.
#[derive(Clone, Copy)]
pub struct Taker {
    pub side: u8,
    pub order_id: Option<Id>,
    pub trade_id: Option<Id>,
}

/// An event and the order that it is about.
pub struct Told<'a> {
    pub step: &'a Step,
    pub before: Option<Place>,
    pub after: Option<Place>,
    /// The order as it is behind the event, ended or not; of a LATE trade the one that it explains.
    /// None for trades, CLEARs and orders that nobody knows.
    pub life: Option<&'a Life>,
}

pub trait Watch {
    /// Time has come this far (ns); before every event.
    fn advance(&mut self, ts: i64);
    /// What an event did; the book is empty behind a CLEAR.
    fn take(&mut self, told: &Told);
    /// A life that a CLEAR cut, told before it; the others went on.
    fn cut(&mut self, _life: &Life) {}
    /// Everything at larger scales of price and size; false where that is not possible.
    fn adopt(&mut self, scales: (u8, u8)) -> bool;
}
