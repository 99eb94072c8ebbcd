//! What encoder and decoder know alike at every row: the orders named so far in the block, the best
//! price of each side, the last value of each column.  One walk serves both, so that they can't differ.

use crate::batch::Row;
use crate::cold::class::{
    Class, EventTime, Order as Named, Price, Recv, Size, Taker, Trade, VenueSeq,
};
use crate::cold::coder::{unzigzag, zigzag};
use crate::cold::half::Half;
use crate::events::{ASK, CHANGE, DONE, EVICT, LATE, MATCH, NULL, OPEN};
use crate::ids::{Id, NULL_ID};
use crate::table::NIL;

/// What a number is of; each has tables of its own.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Field {
    Recv,
    Event,
    Venue,
    Opened,
    Away,
    Price,
    Trade,
    Taker,
    Id,
}

/// Reads or writes.  A writer is given what a reader finds; both return it.
pub trait Coder {
    /// Whether it is given anything.
    const WRITES: bool;
    /// The class of a row that follows one of class `before`, and its number.
    fn class(&mut self, before: usize, given: &Class) -> (usize, Class);
    /// In the context of a class (of `Field::Id`: of the time since the last one).
    fn number(&mut self, field: Field, context: usize, given: u64) -> u64;
    fn size(&mut self, context: usize, given: i64) -> i64;
    fn bits(&mut self, given: u64, count: u32) -> u64;
    /// What was read can't be.
    fn fail(&mut self);
}

/// What holds for a whole block.
#[derive(Default)]
pub struct Params {
    pub first_recv: i64,
    /// Every difference of times is a multiple of it; 1 at least.
    pub recv_step: i64,
    pub first_event: i64,
    pub event_step: i64,
    pub first_venue: i64,
    pub first_trade: Id,
    pub first_id: Id,
    /// The bits in which ids differ, where they are told as such; 0: as differences.
    pub id_bits: Id,
    /// Every price of the block, ascending.
    pub prices: Vec<i64>,
}

/// A row to be written, and how far back in its list each order is.
pub struct Given {
    pub row: Row,
    pub class: Class,
    pub order: u64,
    pub taker: u64,
}

#[derive(Clone, Copy)]
pub struct Order {
    pub id: Id,
    pub size: i64,
    /// Of its price; NIL where none is known.
    pub rank: u32,
    /// Its last place in the list of what opened, or left, on a side; NIL where in none.
    pub opened: u32,
    pub away: u32,
    pub opened_side: bool,
    pub away_side: bool,
    /// Stands in `counts` of its side.
    live: bool,
    side: bool,
}

pub struct Model {
    pub params: Params,
    pub orders: Vec<Order>,
    /// By side: orders in the order in which they opened, and in which they went away.
    pub opened: [Vec<u32>; 2],
    pub away: [Vec<u32>; 2],
    halves: [Half; 2],
    /// Of the last row.
    class: usize,
    pub recv: i64,
    pub event: i64,
    /// `ts_recv` less `ts_event` where that was last told.
    lag: i64,
    pub venue: i64,
    pub trade: Id,
    pub taker: Id,
    pub order: u32,
    pub id: Id,
    id_at: i64,
    pub last_opened: [i64; 2],
    pub last_left: [i64; 2],
}

impl Model {
    pub fn new(params: Params) -> Self {
        let prices = params.prices.len();
        Self {
            orders: Vec::new(),
            opened: [Vec::new(), Vec::new()],
            away: [Vec::new(), Vec::new()],
            halves: [Half::new(prices), Half::new(prices)],
            class: 0,
            recv: params.first_recv,
            event: params.first_event,
            lag: params.first_recv.wrapping_sub(params.first_event),
            venue: params.first_venue,
            trade: params.first_trade,
            taker: NULL_ID,
            order: NIL,
            id: params.first_id,
            id_at: params.first_recv,
            last_opened: [NULL; 2],
            last_left: [NULL; 2],
            params,
        }
    }

    /// The next row.
    #[inline(always)]
    pub fn row<C: Coder>(&mut self, coder: &mut C, given: &Given) -> Row {
        let (at, class) = coder.class(self.class, &given.class);
        self.class = at;
        let mut row = Row {
            kind: class.kind,
            side: class.side,
            reason: class.reason,
            flags: class.flags,
            taker_side: class.taker_side,
            ..Row::EMPTY
        };
        self.times(coder, at, &class, given, &mut row);
        let order = self.named(coder, at, &class, given);
        row.order_id = match self.orders.get(order as usize) {
            Some(order) => order.id,
            None => NULL_ID,
        };
        let asks = class.side == ASK;
        let rank = self.price(coder, at, class.price, asks, order, given.row.price);
        row.price = self.price_of(rank);
        let known = self
            .orders
            .get(order as usize)
            .map_or(NULL, |order| order.size);
        row.size = self.size(coder, at, class.size, asks, known, given.row.size);
        if class.price_before != Price::None || class.size_before != Size::None {
            let mode = class.price_before;
            let before = self.price(coder, at, mode, asks, order, given.row.price_before);
            row.price_before = self.price_of(before);
            let told = given.row.size_before;
            row.size_before = self.size(coder, at, class.size_before, asks, known, told);
        }
        self.trade(coder, at, class.trade, given, &mut row);
        self.taker(coder, at, &class, given, &mut row);
        if order != NIL {
            self.apply(&row, order, rank);
        }
        row
    }

    // Columns that don't depend on the book --------------------------------------------------------

    #[inline(always)]
    fn times<C: Coder>(
        &mut self,
        coder: &mut C,
        at: usize,
        class: &Class,
        given: &Given,
        row: &mut Row,
    ) {
        let params = &self.params;
        if class.recv == Recv::Told {
            let told = if C::WRITES {
                given.row.ts_recv.wrapping_sub(self.recv) as u64 / params.recv_step as u64
            } else {
                0
            };
            let steps = coder.number(Field::Recv, at, told);
            let step = (steps as i64).wrapping_mul(params.recv_step);
            self.recv = self.recv.wrapping_add(step);
        }
        row.ts_recv = self.recv;
        match class.event {
            EventTime::None => {}
            EventTime::Same => row.ts_event = self.event,
            EventTime::AsRecv => {
                self.event = self.recv;
                self.lag = 0;
                row.ts_event = self.event;
            }
            EventTime::Told => {
                let step = params.event_step;
                let steps = |ts: i64| ts.wrapping_sub(params.first_event) / step;
                // Where it would be with the delay of the last one that was told.
                let guess = steps(self.recv.wrapping_sub(self.lag).wrapping_add(step / 2));
                let told = if C::WRITES {
                    zigzag(steps(given.row.ts_event).wrapping_sub(guess))
                } else {
                    0
                };
                let told = unzigzag(coder.number(Field::Event, at, told));
                let offset = guess.wrapping_add(told).wrapping_mul(step);
                self.event = params.first_event.wrapping_add(offset);
                self.lag = self.recv.wrapping_sub(self.event);
                row.ts_event = self.event;
            }
        }
        match class.venue {
            VenueSeq::None => return,
            VenueSeq::Same => {}
            VenueSeq::Next => self.venue = self.venue.wrapping_add(1),
            VenueSeq::Told => {
                let told = zigzag(given.row.venue_seq.wrapping_sub(self.venue));
                let step = unzigzag(coder.number(Field::Venue, at, told));
                self.venue = self.venue.wrapping_add(step);
            }
        }
        row.venue_seq = self.venue;
    }

    #[inline(always)]
    fn trade<C: Coder>(
        &mut self,
        coder: &mut C,
        at: usize,
        mode: Trade,
        given: &Given,
        row: &mut Row,
    ) {
        let told = given.row.trade_id;
        match mode {
            Trade::None => return,
            Trade::Same => {}
            Trade::Next => self.trade = stepped(self.trade, 1),
            Trade::Told => {
                let step = zigzag((told as u64).wrapping_sub(self.trade as u64) as i64);
                let step = unzigzag(coder.number(Field::Trade, at, step));
                self.trade = stepped(self.trade, step);
            }
            Trade::Raw => self.trade = whole(coder, told),
        }
        row.trade_id = self.trade;
    }

    // Orders ---------------------------------------------------------------------------------------

    #[inline(always)]
    fn named<C: Coder>(&mut self, coder: &mut C, at: usize, class: &Class, given: &Given) -> u32 {
        let side = class.side == ASK;
        let order = match class.order {
            Named::None => return NIL,
            Named::Same => self.order,
            Named::Opened => {
                let back = coder.number(Field::Opened, at, given.order);
                from_end(&self.opened[usize::from(side)], back)
            }
            Named::Away => {
                let back = coder.number(Field::Away, at, given.order);
                from_end(&self.away[usize::from(side)], back)
            }
            Named::New => {
                let id = self.new_id(coder, given.row.order_id);
                self.make(id, side)
            }
            Named::Raw => {
                let id = whole(coder, given.row.order_id);
                self.make(id, side)
            }
        };
        if order as usize >= self.orders.len() {
            coder.fail();
            return NIL;
        }
        self.order = order;
        order
    }

    /// A new order, known to its side from now on.
    fn make(&mut self, id: Id, side: bool) -> u32 {
        let order = self.orders.len() as u32;
        let list = &mut self.opened[usize::from(side)];
        self.orders.push(Order {
            id,
            size: NULL,
            rank: NIL,
            opened: list.len() as u32,
            away: NIL,
            opened_side: side,
            away_side: side,
            live: false,
            side,
        });
        list.push(order);
        order
    }

    #[inline(always)]
    fn new_id<C: Coder>(&mut self, coder: &mut C, given: Id) -> Id {
        let bits = self.params.id_bits;
        if bits == 0 {
            let since = self.recv.wrapping_sub(self.id_at) as u64;
            let context = ((64 - since.leading_zeros()) / 3) as usize;
            let step = zigzag((given as u64).wrapping_sub(self.id as u64) as i64);
            let step = unzigzag(coder.number(Field::Id, context, step));
            self.id = stepped(self.id, step);
            self.id_at = self.recv;
            return self.id;
        }
        let mut id = self.params.first_id & !bits;
        let mut left = bits;
        while left != 0 {
            let shift = left.trailing_zeros();
            let run = (left >> shift).trailing_ones().min(56);
            let mask = ((1 << run) - 1) << shift;
            let told = ((given & mask) >> shift) as u64;
            id |= Id::from(coder.bits(told, run)) << shift;
            left &= !mask;
        }
        id
    }

    #[inline(always)]
    fn taker<C: Coder>(
        &mut self,
        coder: &mut C,
        at: usize,
        class: &Class,
        given: &Given,
        row: &mut Row,
    ) {
        let side = class.side != ASK;
        let told = given.row.taker_order_id;
        let order = match class.taker {
            Taker::None => return,
            Taker::Same => NIL,
            Taker::Opened => {
                let back = coder.number(Field::Taker, at, given.taker);
                from_end(&self.opened[usize::from(side)], back)
            }
            Taker::Away => {
                let back = coder.number(Field::Taker, at, given.taker);
                from_end(&self.away[usize::from(side)], back)
            }
            Taker::New => {
                self.taker = self.new_id(coder, told);
                self.make_taker(side);
                NIL
            }
            Taker::Raw => {
                self.taker = whole(coder, told);
                self.make_taker(side);
                NIL
            }
        };
        if matches!(class.taker, Taker::Opened | Taker::Away) {
            match self.orders.get(order as usize) {
                Some(order) => self.taker = order.id,
                None => coder.fail(),
            }
        }
        row.taker_order_id = self.taker;
    }

    /// An order that took: known, not resting, and the first to be asked for where one opens.
    fn make_taker(&mut self, side: bool) {
        let order = self.orders.len() as u32;
        let list = &mut self.away[usize::from(side)];
        self.orders.push(Order {
            id: self.taker,
            size: NULL,
            rank: NIL,
            opened: NIL,
            away: list.len() as u32,
            opened_side: side,
            away_side: side,
            live: false,
            side,
        });
        list.push(order);
    }

    // Prices and sizes -----------------------------------------------------------------------------

    #[inline(always)]
    fn price_of(&self, rank: u32) -> i64 {
        self.params
            .prices
            .get(rank as usize)
            .map_or(NULL, |&price| price)
    }

    /// Ranks of a side count up to the best price: those of asks are turned round.
    #[inline(always)]
    fn turned(&self, asks: bool, rank: usize) -> usize {
        if asks {
            self.params.prices.len() - 1 - rank
        } else {
            rank
        }
    }

    /// The rank of a price, NIL where there is none.
    #[inline(always)]
    fn price<C: Coder>(
        &mut self,
        coder: &mut C,
        at: usize,
        mode: Price,
        asks: bool,
        order: u32,
        given: i64,
    ) -> u32 {
        match mode {
            Price::None => NIL,
            Price::Same => match self.orders.get(order as usize) {
                Some(order) if order.rank != NIL => order.rank,
                _ => {
                    coder.fail();
                    NIL
                }
            },
            Price::Told => {
                let prices = self.params.prices.len();
                let best = self.halves[usize::from(asks)].best as i64;
                let told = if C::WRITES {
                    let rank = self.params.prices.partition_point(|&price| price < given);
                    zigzag(best - self.turned(asks, rank) as i64)
                } else {
                    0
                };
                let depth = unzigzag(coder.number(Field::Price, at, told));
                let rank = best.wrapping_sub(depth);
                if rank < 0 || rank as usize >= prices {
                    coder.fail();
                    return NIL;
                }
                self.turned(asks, rank as usize) as u32
            }
        }
    }

    #[inline(always)]
    fn size<C: Coder>(
        &mut self,
        coder: &mut C,
        at: usize,
        mode: Size,
        asks: bool,
        known: i64,
        given: i64,
    ) -> i64 {
        match mode {
            Size::None => NULL,
            Size::Same => known,
            Size::Zero => 0,
            Size::LastLeft => self.last_left[usize::from(asks)],
            Size::LastOpened => self.last_opened[usize::from(asks)],
            Size::Told => coder.size(at, given),
        }
    }

    // What a row does ------------------------------------------------------------------------------

    #[inline(always)]
    fn apply(&mut self, row: &Row, order: u32, rank: u32) {
        if row.flags & LATE != 0 {
            return;
        }
        let side = row.side == ASK;
        match row.kind {
            OPEN => {
                self.stand(order, side, rank, row.size);
                self.last_opened[usize::from(side)] = row.size;
                let list = &mut self.opened[usize::from(side)];
                let known = &mut self.orders[order as usize];
                if known.opened_side != side || known.opened as usize + 1 != list.len() {
                    known.opened = list.len() as u32;
                    known.opened_side = side;
                    list.push(order);
                }
            }
            CHANGE => self.stand(order, side, rank, row.size),
            MATCH => {
                let known = &mut self.orders[order as usize];
                known.size = known.size.wrapping_sub(row.size);
                if known.size <= 0 {
                    self.leave(order);
                }
            }
            DONE | EVICT => {
                self.last_left[usize::from(side)] = row.size;
                self.leave(order);
                let known = &mut self.orders[order as usize];
                known.size = row.size;
                if rank != NIL {
                    known.rank = rank;
                }
                if row.kind == EVICT {
                    let list = &mut self.away[usize::from(side)];
                    known.away = list.len() as u32;
                    known.away_side = side;
                    list.push(order);
                }
            }
            _ => {}
        }
    }

    #[inline(always)]
    fn stand(&mut self, order: u32, side: bool, rank: u32, size: i64) {
        self.leave(order);
        let known = &mut self.orders[order as usize];
        known.side = side;
        known.size = size;
        if rank != NIL {
            known.rank = rank;
        }
        if known.rank != NIL {
            known.live = true;
            let rank = known.rank as usize;
            let rank = self.turned(side, rank);
            self.halves[usize::from(side)].join(rank);
        }
    }

    #[inline(always)]
    fn leave(&mut self, order: u32) {
        let known = &mut self.orders[order as usize];
        if known.live {
            known.live = false;
            let (side, rank) = (known.side, known.rank as usize);
            let rank = self.turned(side, rank);
            self.halves[usize::from(side)].leave(rank);
        }
    }
}

#[inline(always)]
fn from_end(list: &[u32], back: u64) -> u32 {
    let place = (list.len() as u64).wrapping_sub(1).wrapping_sub(back);
    list.get(place as usize).map_or(NIL, |&order| order)
}

/// An id so many further, its upper half kept.
#[inline(always)]
fn stepped(id: Id, step: i64) -> Id {
    let low = (id as u64).wrapping_add(step as u64);
    (id >> 64 << 64) | Id::from(low)
}

fn whole<C: Coder>(coder: &mut C, given: Id) -> Id {
    let low = coder.bits(given as u64, 64);
    let high = coder.bits((given >> 64) as u64, 64);
    (Id::from(high) << 64) | Id::from(low)
}
