//! Orders that a trade or a change emptied: their `done` is still to come and must find where they rested.

use std::collections::{HashMap, VecDeque};

use crate::ids::Id;
use crate::number::rescale;

/// Where an order rested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rested {
    pub side: u8,
    pub price: i64,
    pub price_scale: u8,
}

impl Rested {
    /// The price at a scale that is at least its own.
    pub fn price_at(&self, scale: u8) -> Option<i64> {
        rescale(self.price, self.price_scale, scale)
    }
}

pub struct Emptied {
    orders: HashMap<Id, Rested>,
    /// Oldest first; ids that have been taken are still in it.
    order: VecDeque<Id>,
    max: usize,
}

impl Emptied {
    /// `max`: how many are remembered; the oldest is forgotten, its `done` then counts as one of an order that
    /// never rested.
    pub fn new(max: usize) -> Self {
        Self {
            orders: HashMap::new(),
            order: VecDeque::new(),
            max: max.max(1),
        }
    }

    pub fn remember(&mut self, id: Id, rested: Rested) {
        if self.order.len() >= self.max
            && let Some(oldest) = self.order.pop_front()
        {
            self.orders.remove(&oldest);
        }
        self.orders.insert(id, rested);
        self.order.push_back(id);
    }

    #[inline]
    pub fn take(&mut self, id: Id) -> Option<Rested> {
        if self.orders.is_empty() {
            return None;
        }
        let found = self.orders.remove(&id);
        if self.orders.is_empty() {
            self.order.clear();
        }
        found
    }

    pub fn clear(&mut self) {
        self.orders.clear();
        self.order.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_forgotten_at_the_bound() {
        let rested = |price| Rested {
            side: 0,
            price,
            price_scale: 2,
        };
        let mut emptied = Emptied::new(2);
        for id in 0..3 {
            emptied.remember(id, rested(id as i64));
        }
        assert_eq!(emptied.take(0), None);
        assert_eq!(emptied.take(2), Some(rested(2)));
        assert_eq!(emptied.take(2), None);
        assert_eq!(
            emptied.take(1).and_then(|order| order.price_at(4)),
            Some(100)
        );
        assert!(emptied.order.is_empty());
    }
}
