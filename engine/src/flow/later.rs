//! What is looked at again after fixed times: trades for their realised spread, shocks for the recovery.

use std::collections::VecDeque;

/// Things in the order of their times, each due once after each of K delays.
pub struct Later<T, const K: usize> {
    delays: [i64; K],
    items: VecDeque<(i64, T)>,
    /// How many things were let go, and how many were due after each delay.
    gone: u64,
    next: [u64; K],
    /// The earliest time at which something is due; i64::MAX where nothing is.
    pub due: i64,
}

impl<T, const K: usize> Later<T, K> {
    pub fn new(delays: [i64; K]) -> Self {
        Self {
            delays,
            items: VecDeque::new(),
            gone: 0,
            next: [0; K],
            due: i64::MAX,
        }
    }

    pub fn len(&self) -> usize {
        self.items.len()
    }

    pub fn push(&mut self, ts: i64, item: T) {
        self.items.push_back((ts, item));
        self.due = self.due.min(ts.saturating_add(self.delays[0]));
    }

    pub fn back(&mut self) -> Option<&mut (i64, T)> {
        self.items.back_mut()
    }

    /// The place of one that is due first: (which delay, its index).
    pub fn first_due(&self) -> Option<(usize, usize)> {
        let mut found: Option<(i64, usize, usize)> = None;
        for (nth, delay) in self.delays.iter().enumerate() {
            let index = (self.next[nth] - self.gone) as usize;
            if let Some((ts, _)) = self.items.get(index) {
                let due = ts.saturating_add(*delay);
                if found.is_none_or(|(earliest, ..)| due < earliest) {
                    found = Some((due, nth, index));
                }
            }
        }
        found.map(|(_, nth, index)| (nth, index))
    }

    pub fn get(&mut self, index: usize) -> &mut T {
        &mut self.items[index].1
    }

    /// It was looked at; the thing itself where that was the last time.
    pub fn done(&mut self, nth: usize) -> Option<(i64, T)> {
        self.next[nth] += 1;
        let mut gone = None;
        if nth == K - 1 {
            gone = self.items.pop_front();
            self.gone += 1;
        }
        self.due = match self.first_due() {
            Some((nth, index)) => self.items[index].0.saturating_add(self.delays[nth]),
            None => i64::MAX,
        };
        gone
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.items.iter_mut().map(|(_, item)| item)
    }
}
