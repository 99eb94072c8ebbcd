//! What a windowed view remembers of the orders that left it.

use std::collections::{HashMap, VecDeque};

use crate::ids::Id;
use crate::table::IdHashes;

/// Ids that were evicted and may come back; the oldest is forgotten at the bound.
#[derive(Default)]
pub struct Evicted {
    stamps: HashMap<Id, u64, IdHashes>,
    order: VecDeque<(Id, u64)>,
    next: u64,
}

impl Evicted {
    pub fn remember(&mut self, id: Id, max: usize) {
        self.next += 1;
        self.stamps.insert(id, self.next);
        self.order.push_back((id, self.next));
        while self.stamps.len() > max || self.order.len() > max.saturating_mul(2).saturating_add(16)
        {
            let Some((id, stamp)) = self.order.pop_front() else {
                break;
            };
            if self.stamps.get(&id) == Some(&stamp) {
                self.stamps.remove(&id);
            }
        }
    }

    pub fn take(&mut self, id: Id) -> bool {
        self.stamps.remove(&id).is_some()
    }
}
