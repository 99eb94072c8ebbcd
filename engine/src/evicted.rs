//! What a windowed view remembers of the orders that left it.

use std::collections::HashSet;

use crate::ids::Id;
use crate::table::IdHashes;

/// Room is made and touched at once, so that memory does not grow for hours until the bound is reached.
const ROOM_MAX: usize = 100_000;

/// Ids that were evicted and may come back: the newest `max` at least, twice as many at most.
#[derive(Default)]
pub struct Evicted {
    young: HashSet<Id, IdHashes>,
    old: HashSet<Id, IdHashes>,
}

impl Evicted {
    pub fn remember(&mut self, id: Id, max: usize) {
        if max == 0 {
            return;
        }
        if self.young.len() >= max {
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
        }
        if self.young.capacity() == 0 {
            let room = max.min(ROOM_MAX);
            self.young.reserve(room);
            self.young.extend((0..room).map(|id| id as Id));
            self.young.clear();
        }
        self.young.insert(id);
    }

    pub fn take(&mut self, id: Id) -> bool {
        // An order may have been evicted in both.
        let (young, old) = (self.young.remove(&id), self.old.remove(&id));
        young || old
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_remembered_and_no_more_than_twice_as_many() {
        let mut evicted = Evicted::default();
        for id in 0..1_000 {
            evicted.remember(id, 30);
            assert!(evicted.young.len() + evicted.old.len() <= 60);
        }
        assert!((970..1_000).all(|id| evicted.take(id)));
        assert!((0..940).chain(970..1_000).all(|id| !evicted.take(id)));
        evicted.remember(1, 0);
        assert!(!evicted.take(1));
    }

    #[test]
    fn room_is_made_once() {
        let mut evicted = Evicted::default();
        evicted.remember(1, usize::MAX);
        let room = evicted.young.capacity();
        (2..100_000).for_each(|id| evicted.remember(id, usize::MAX));
        assert_eq!(evicted.young.capacity(), room);
    }
}
