//! Orders that come, change and go.

use crate::events::{ASK, REASON_FILLED, REASON_TRADED_AS_TAKER, REASON_UNKNOWN, REENTRY};
use crate::flow::ended::FILLED;
use crate::flow::held::Held;
use crate::flow::row::{BUCKETS, count, sum};
use crate::flow::{Flow, SECOND};
use crate::lives::{LEFT_TRUNCATED, Life, REENTERED};
use crate::watch::{Place, Told};

impl Flow {
    pub(super) fn opened(&mut self, told: &Told) {
        let Some((side, price, size)) = told.after.filter(|_| told.before.is_none()) else {
            return;
        };
        if side > ASK {
            return;
        }
        if told.step.flags & REENTRY != 0
            || told.life.is_some_and(|life| life.flags & REENTERED != 0)
        {
            self.row().count(count::REENTERED + usize::from(side));
            return;
        }
        let place = usize::from(side) * BUCKETS + self.bucket(side, price);
        let second = self.border / SECOND - 1;
        let row = self.row();
        row.count(count::ADDED + place);
        row.add(sum::ADDED + place, i128::from(size));
        let cohort = self.ended.cohort(second);
        cohort.orders += 1;
        cohort.size += i128::from(size);
    }

    pub(super) fn changed(&mut self, told: &Told) {
        let Some((side, price, size)) = told.before else {
            return;
        };
        let (new_side, new_price, new_size) = told.after.unwrap_or((side, price, 0));
        if told.step.reason == REASON_TRADED_AS_TAKER {
            self.filled(told.life, size.saturating_sub(new_size));
        } else if side == new_side && price == new_price && new_size <= size {
            if new_size < size {
                self.hold(told, (side, price, size - new_size), false);
            }
        } else {
            let row = self.row();
            row.count(count::AMENDED + usize::from(side & 1));
            row.add(sum::AMENDED + usize::from(side & 1), i128::from(new_size));
            if let Some(opened) = seen(told.life).filter(|_| new_size > size) {
                self.ended.cohort(opened).size += i128::from(new_size - size);
            }
        }
    }

    pub(super) fn done(&mut self, told: &Told) {
        let Some(place) = told.before else {
            return;
        };
        let Some(life) = told.life else {
            return;
        };
        match told.step.reason {
            REASON_FILLED => self.completed(life),
            _ => self.hold(told, place, true),
        }
    }

    /// A cancel, whole or in part; one that a trade may explain yet waits for it.
    pub(super) fn hold(&mut self, told: &Told, (side, price, size): Place, whole: bool) {
        if side > ASK {
            return;
        }
        let Some(life) = told.life else {
            return;
        };
        let held = Held {
            id: life.id,
            ts: told.step.ts,
            second: self.border / SECOND - 1,
            place: usize::from(side) * BUCKETS + self.bucket(side, price),
            left: size,
            whole,
            touch: self.touch,
            lasted: told.step.ts.saturating_sub(life.opened),
            truncated: life.flags & LEFT_TRUNCATED != 0,
            opened: seen(Some(life)),
            next: None,
        };
        if told.step.reason == REASON_UNKNOWN || !whole {
            self.holds.push(held, &mut self.rows, &mut self.ended);
        } else {
            held.count(self.rows.back_mut(), &mut self.ended);
        }
    }

    /// An order traded; it may go on.
    pub(super) fn filled(&mut self, life: Option<&Life>, size: i64) {
        let Some(opened) = seen(life) else {
            return;
        };
        let cohort = self.ended.cohort(opened);
        cohort.touched += i64::from(life.is_some_and(|life| life.fills == 1));
        cohort.filled_size += i128::from(size.max(0));
    }

    pub(super) fn completed(&mut self, life: &Life) {
        let lasted = self.ts.saturating_sub(life.opened);
        self.row()
            .count(count::COMPLETED + usize::from(life.side & 1));
        let truncated = life.flags & LEFT_TRUNCATED != 0;
        self.ended.lifetime(FILLED, truncated, lasted);
        if let Some(opened) = seen(Some(life)) {
            self.ended.cohort(opened).filled += 1;
        }
    }
}

/// When an order opened that was seen from its beginning, in seconds.
fn seen(life: Option<&Life>) -> Option<i64> {
    life.filter(|life| life.flags & LEFT_TRUNCATED == 0)
        .map(|life| life.opened.div_euclid(SECOND))
}
