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

/// Of one order: the oldest, the oldest that something may still explain, the latest.
#[derive(Clone, Copy)]
struct Chain {
    first: u64,
    open: u64,
    last: u64,
}

pub struct Holds {
    hold_ns: i64,
    most: usize,
    waiting: VecDeque<Held>,
    gone: u64,
    /// Those that wait of each order.
    first: HashMap<Id, Chain, IdHashes>,
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
        if let Some(chain) = self.first.get_mut(&held.id) {
            self.waiting[(chain.last - self.gone) as usize].next = Some(number);
            chain.last = number;
        } else {
            let chain = Chain {
                first: number,
                open: number,
                last: number,
            };
            self.first.insert(held.id, chain);
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
        match (held.next, self.first.get_mut(&held.id)) {
            (Some(next), Some(chain)) => {
                (chain.first, chain.open) = (next, chain.open.max(next));
            }
            _ => {
                self.first.remove(&held.id);
            }
        }
        self.gone += 1;
        let row = rows.iter_mut().rev().find(|row| row.second <= held.second);
        held.count(row, ended);
        self.set_due();
    }

    /// A trade of an order explains what left it before; the touch as it stood then.
    pub fn explain(&mut self, id: Id, size: i64) -> Option<[i64; 2]> {
        let (mut left, mut touch) = (size, None);
        let chain = self.first.get_mut(&id)?;
        loop {
            let held = &mut self.waiting[(chain.open - self.gone) as usize];
            let explained = held.left.min(left);
            if explained > 0 {
                held.left -= explained;
                left -= explained;
                touch = touch.or(Some(held.touch));
            }
            match held.next {
                Some(next) if held.left <= 0 => chain.open = next,
                _ => break,
            }
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn held(id: u128, ts: i64, left: i64) -> Held {
        Held {
            id,
            ts,
            second: 0,
            place: 0,
            left,
            whole: false,
            touch: [ts, ts],
            lasted: 0,
            truncated: false,
            opened: None,
            next: None,
        }
    }

    proptest! {
        /// Against a list that is looked through from its beginning each time.
        #[test]
        fn trades_explain_the_oldest_first(acts in prop::collection::vec((0u8..3, 0u128..3, 0i64..9), 1..200)) {
            let (mut rows, mut ended) = (VecDeque::new(), Ended::default());
            let mut holds = Holds::new(10, 64);
            let mut list: VecDeque<(u128, i64, i64)> = VecDeque::new();
            for (now, (act, id, amount)) in acts.into_iter().enumerate() {
                let now = now as i64;
                if act == 0 {
                    let mut left = amount;
                    let mut touch = None;
                    for one in list.iter_mut().filter(|one| one.0 == id) {
                        let explained = one.2.min(left);
                        if explained > 0 {
                            one.2 -= explained;
                            left -= explained;
                            touch = touch.or(Some([one.1; 2]));
                        }
                    }
                    prop_assert_eq!(holds.explain(id, amount), touch);
                } else if act == 1 {
                    holds.release(now, &mut rows, &mut ended);
                    list.retain(|one| one.1 + 10 > now);
                } else {
                    if list.len() >= 64 {
                        list.pop_front();
                    }
                    list.push_back((id, now, amount));
                    holds.push(held(id, now, amount), &mut rows, &mut ended);
                }
                prop_assert_eq!(holds.waiting.len(), list.len());
                for (held, one) in holds.waiting.iter().zip(&list) {
                    prop_assert_eq!(held.left, one.2);
                }
            }
        }
    }
}
