//! A book as plain as it can be: a map of orders and a list of ids a level.  Slow, and right at a glance.

use std::collections::{BTreeMap, HashMap};

use _engine::book::Outcome;
use _engine::events::{
    ASK, BID, CHANGE, CLEAR, DONE, EVICT, LATE, MATCH, NULL, OPEN, SNAPSHOT, TRADE,
};
use _engine::ids::Id;

#[derive(Clone, Copy, Debug)]
pub struct Event {
    pub kind: u8,
    pub side: u8,
    pub flags: u16,
    pub id: Id,
    pub price: i64,
    pub size: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    pub side: u8,
    pub price: i64,
    pub size: i64,
}

/// An order before an event, with the orders ahead of it.
type Before = Option<(Order, i64)>;

/// The level an event touches: side, price, and the orders ahead in it.
type Touched = Option<(u8, i64, i64)>;

/// What `Effects` says of one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effect {
    pub price_before: i64,
    pub size_before: i64,
    pub level_size: i64,
    pub level_orders: i64,
    pub best_bid: i64,
    pub best_ask: i64,
    pub orders_ahead: i64,
}

#[derive(Default)]
pub struct Model {
    pub orders: HashMap<Id, Order>,
    pub queues: [BTreeMap<i64, Vec<Id>>; 2],
    pub scales: (u8, u8),
    pub era: i64,
}

fn larger(value: i64, by: u8) -> Option<i64> {
    if value == NULL {
        return Some(NULL);
    }
    let wide = i128::from(value) * 10i128.pow(u32::from(by));
    i64::try_from(wide).ok().filter(|&value| value != NULL)
}

impl Model {
    pub fn best(&self, side: u8) -> Option<i64> {
        let queue = &self.queues[side as usize];
        if side == BID {
            queue.keys().next_back().copied()
        } else {
            queue.keys().next().copied()
        }
    }

    pub fn crossed(&self) -> bool {
        matches!((self.best(BID), self.best(ASK)), (Some(bid), Some(ask)) if bid >= ask)
    }

    /// Levels from the best to the worst: price, size, orders.
    pub fn depth(&self, side: u8) -> Vec<(i64, i128, usize)> {
        let row = |(price, queue): (&i64, &Vec<Id>)| (*price, self.size_of(queue), queue.len());
        let rows = self.queues[side as usize].iter().map(row);
        if side == BID {
            rows.rev().collect()
        } else {
            rows.collect()
        }
    }

    pub fn size_of(&self, queue: &[Id]) -> i128 {
        queue
            .iter()
            .map(|id| i128::from(self.orders[id].size))
            .sum()
    }

    pub fn ahead(&self, id: Id) -> i64 {
        let order = self.orders[&id];
        let queue = &self.queues[order.side as usize][&order.price];
        queue.iter().position(|&other| other == id).unwrap() as i64
    }

    /// Takes over the larger of two scales; false, and nothing done, where a value does not fit.
    pub fn adopt(&mut self, scales: (u8, u8)) -> bool {
        let by = (
            scales.0.saturating_sub(self.scales.0),
            scales.1.saturating_sub(self.scales.1),
        );
        let fits = |order: &Order| {
            larger(order.price, by.0).is_some() && larger(order.size, by.1).is_some()
        };
        if !self.orders.values().all(fits) {
            return false;
        }
        for order in self.orders.values_mut() {
            order.price = larger(order.price, by.0).unwrap();
            order.size = larger(order.size, by.1).unwrap();
        }
        for queues in &mut self.queues {
            *queues = std::mem::take(queues)
                .into_iter()
                .map(|(price, queue)| (larger(price, by.0).unwrap(), queue))
                .collect();
        }
        self.scales = (self.scales.0 + by.0, self.scales.1 + by.1);
        true
    }

    /// An event whose numbers are at `scales`, none larger than the model's.
    pub fn apply(&mut self, event: Event, scales: (u8, u8)) -> (Outcome, Effect) {
        let price = larger(event.price, self.scales.0 - scales.0);
        let size = larger(event.size, self.scales.1 - scales.1);
        let (outcome, before, touched) = match (price, size) {
            (Some(price), Some(size)) => self.act(Event {
                price,
                size,
                ..event
            }),
            _ => (Outcome::Overflow, None, None),
        };
        (outcome, self.effect(before, touched))
    }

    fn effect(&self, before: Before, touched: Touched) -> Effect {
        let queue = |(side, price, _): (u8, i64, i64)| {
            let empty = Vec::new();
            let queue = self.queues[side as usize].get(&price).unwrap_or(&empty);
            let size = self.size_of(queue).min(i128::from(i64::MAX)) as i64;
            (size, queue.len() as i64)
        };
        let level = touched.map(queue);
        Effect {
            price_before: before.map_or(NULL, |(order, _)| order.price),
            size_before: before.map_or(NULL, |(order, _)| order.size),
            level_size: level.map_or(NULL, |(size, _)| size),
            level_orders: level.map_or(NULL, |(_, orders)| orders),
            best_bid: self.best(BID).unwrap_or(NULL),
            best_ask: self.best(ASK).unwrap_or(NULL),
            orders_ahead: before
                .map(|(_, ahead)| ahead)
                .or(touched.map(|(_, _, ahead)| ahead))
                .unwrap_or(NULL),
        }
    }

    /// The outcome, the order before with its place, and the level touched with the place in it.
    fn act(&mut self, event: Event) -> (Outcome, Before, Touched) {
        if event.flags & LATE != 0 {
            return (Outcome::Late, None, None);
        }
        match event.kind {
            CLEAR => {
                self.orders.clear();
                self.queues = Default::default();
                self.era += 1;
                return (Outcome::Applied, None, None);
            }
            TRADE => return (Outcome::Applied, None, None),
            OPEN => return self.open(event),
            _ => {}
        }
        let Some(&old) = self.orders.get(&event.id) else {
            let harmless = event.kind == DONE && event.size == 0;
            let outcome = if harmless {
                Outcome::Applied
            } else {
                Outcome::UnknownId
            };
            return (outcome, None, None);
        };
        let before = Some((old, self.ahead(event.id)));
        let mut level = (old.side, old.price, 0);
        let outcome = match event.kind {
            DONE | EVICT => {
                self.remove(event.id);
                Outcome::Applied
            }
            _ if event.size < 0 => Outcome::Negative,
            MATCH if event.size < old.size => {
                self.orders.get_mut(&event.id).unwrap().size -= event.size;
                Outcome::Applied
            }
            MATCH => {
                self.remove(event.id);
                if event.size > old.size {
                    Outcome::Overfill
                } else {
                    Outcome::Applied
                }
            }
            CHANGE if event.size == 0 => {
                self.remove(event.id);
                Outcome::Applied
            }
            _ => {
                let price = if event.price == NULL {
                    old.price
                } else {
                    event.price
                };
                if (event.side, price) == (old.side, old.price) && event.size <= old.size {
                    self.orders.get_mut(&event.id).unwrap().size = event.size;
                } else {
                    self.remove(event.id);
                    self.add(event.id, event.side, price, event.size);
                    level = (event.side, price, 0);
                }
                Outcome::Applied
            }
        };
        (outcome, before, Some(level))
    }

    fn open(&mut self, event: Event) -> (Outcome, Before, Touched) {
        if event.size <= 0 || event.price == NULL {
            return (Outcome::Negative, None, None);
        }
        let twin = self.orders.contains_key(&event.id);
        if twin {
            self.remove(event.id);
        }
        self.add(event.id, event.side, event.price, event.size);
        let outcome = if twin {
            Outcome::DuplicateId
        } else {
            Outcome::Applied
        };
        let level = (event.side, event.price, self.ahead(event.id));
        (outcome, None, Some(level))
    }

    fn add(&mut self, id: Id, side: u8, price: i64, size: i64) {
        self.orders.insert(id, Order { side, price, size });
        self.queues[side as usize]
            .entry(price)
            .or_default()
            .push(id);
    }

    fn remove(&mut self, id: Id) {
        let order = self.orders.remove(&id).unwrap();
        let queues = &mut self.queues[order.side as usize];
        let queue = queues.get_mut(&order.price).unwrap();
        queue.retain(|&other| other != id);
        if queue.is_empty() {
            queues.remove(&order.price);
        }
    }

    /// Whether an event uses a `seq` of its own.
    pub fn counts(event: &Event) -> bool {
        event.flags & SNAPSHOT == 0
    }
}
