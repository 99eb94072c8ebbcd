//! Cancels that a trade told later may explain: they count once that can't come any more.

use std::collections::{HashMap, VecDeque};

use crate::events::NULL;
use crate::flow::ended::{CANCELLED, Ended, FILLED};
use crate::flow::row::{BUCKETS, Row, count, sum};
use crate::ids::Id;
use crate::table::IdHashes;

/// A cancel, whole or in part.
pub struct Held {
    pub id: Id,
    pub ts: i64,
    /// In which it happened.
    pub second: i64,
    /// Side and bucket.
    pub place: usize,
    /// What no trade explains.
    pub left: i64,
    pub whole: bool,
    /// Before it.
    pub touch: [i64; 2],
    pub lasted: i64,
    pub truncated: bool,
    /// The second in which its order opened, where that was seen.
    pub opened: Option<i64>,
    /// Another one of the same order.
    pub next: Option<u64>,
}

impl Held {
    /// It is what it seemed, less what was explained.
    pub fn count(&self, row: Option<&mut Row>, ended: &mut Ended) {
        let filled = self.left == 0;
        if let Some(row) = row {
            if !filled {
                let places = if self.whole {
                    (count::CANCELLED, sum::CANCELLED)
                } else {
                    (count::REDUCED, sum::REDUCED)
                };
                row.count(places.0 + self.place);
                row.add(places.1 + self.place, i128::from(self.left));
            } else if self.whole {
                row.count(count::COMPLETED + self.place / BUCKETS);
            }
        }
        if !self.whole {
            return;
        }
        let fate = if filled { FILLED } else { CANCELLED };
        ended.lifetime(fate, self.truncated, self.lasted);
        if let Some(opened) = self.opened {
            let cohort = ended.cohort(opened);
            cohort.filled += i64::from(filled);
            cohort.cancelled += i64::from(!filled);
        }
    }
}

pub struct Holds {
    hold_ns: i64,
    most: usize,
    waiting: VecDeque<Held>,
    gone: u64,
    /// The oldest that waits of each order.
    first: HashMap<Id, u64, IdHashes>,
    /// When the next is settled; i64::MAX where none waits.
    pub due: i64,
}

impl Holds {
    pub fn new(hold_ns: i64, most: usize) -> Self {
        Self {
            hold_ns,
            most,
            waiting: VecDeque::new(),
            gone: 0,
            first: HashMap::default(),
            due: i64::MAX,
        }
    }

    pub fn first_second(&self) -> Option<i64> {
        self.waiting.front().map(|held| held.second)
    }

    pub fn push(&mut self, held: Held, rows: &mut VecDeque<Row>, ended: &mut Ended) {
        if self.hold_ns <= 0 {
            held.count(rows.back_mut(), ended);
            return;
        }
        if self.waiting.len() >= self.most {
            self.settle(rows, ended);
        }
        let number = self.gone + self.waiting.len() as u64;
        if let Some(&first) = self.first.get(&held.id) {
            let mut at = first;
            while let Some(next) = self.waiting[(at - self.gone) as usize].next {
                at = next;
            }
            self.waiting[(at - self.gone) as usize].next = Some(number);
        } else {
            self.first.insert(held.id, number);
        }
        self.waiting.push_back(held);
        self.set_due();
    }

    fn set_due(&mut self) {
        let first = self.waiting.front();
        self.due = first.map_or(i64::MAX, |held| held.ts.saturating_add(self.hold_ns));
    }

    /// Everything that waited long enough by a time (ns).
    pub fn release(&mut self, ts: i64, rows: &mut VecDeque<Row>, ended: &mut Ended) {
        while self.due <= ts {
            self.settle(rows, ended);
        }
    }

    fn settle(&mut self, rows: &mut VecDeque<Row>, ended: &mut Ended) {
        let Some(held) = self.waiting.pop_front() else {
            return;
        };
        match held.next {
            Some(next) => self.first.insert(held.id, next),
            None => self.first.remove(&held.id),
        };
        self.gone += 1;
        let row = rows.iter_mut().rev().find(|row| row.second <= held.second);
        held.count(row, ended);
        self.set_due();
    }

    /// A trade of an order explains what left it before; the touch as it stood then.
    pub fn explain(&mut self, id: Id, size: i64) -> Option<[i64; 2]> {
        let mut at = self.first.get(&id).copied();
        let (mut left, mut touch) = (size, None);
        while let Some(number) = at {
            let held = &mut self.waiting[(number - self.gone) as usize];
            let explained = held.left.min(left);
            if explained > 0 {
                held.left -= explained;
                left -= explained;
                touch = touch.or(Some(held.touch));
            }
            at = held.next;
        }
        touch
    }

    pub fn multiply(&mut self, price: i64, size: i64) {
        for held in &mut self.waiting {
            held.left = held.left.saturating_mul(size);
            for known in held.touch.iter_mut().filter(|known| **known != NULL) {
                *known = known.saturating_mul(price);
            }
        }
    }
}
