//! Orders from birth to end: one row an order when it ends, and where it rested before and after each event.

use std::collections::{HashMap, VecDeque};

use crate::apply::Effects;
use crate::batch::Slice;
use crate::events::{
    CHANGE, CLEAR, DONE, EVICT, INFERRED, LATE, MATCH, NO_SIDE, NULL, OPEN, PLACE_ASSUMED,
    REASON_FILLED, REASON_TRADED_AS_TAKER, REASON_UNKNOWN, REENTRY, SNAPSHOT, TRADE,
};
use crate::ids::{Id, NULL_ID};
use crate::number::power_of_ten;
use crate::table::{Table, hash_id};
use crate::watch::{Place, Step, Taker, Told, Watch};

/// How a life ended; 0 stands for those that have not.
pub const ALIVE: u8 = 0;
pub const DONE_TOLD: u8 = 1;
/// The era ended: a gap, a new snapshot; what became of it is unknown.
pub const CUT: u8 = 2;
/// It left a windowed view and was not seen again.
pub const EVICTED: u8 = 3;

/// It stood in a snapshot: it began earlier, nobody knows when.
pub const LEFT_TRUNCATED: u16 = 1;
pub const PLACE_WAS_ASSUMED: u16 = 2;
pub const REENTERED: u16 = 4;
/// It left a windowed view and may come back.
pub const OUT_OF_SIGHT: u16 = 8;

#[derive(Clone)]
pub struct Life {
    pub id: Id,
    pub side: u8,
    pub ending: u8,
    pub reason: u8,
    pub flags: u16,
    pub opened: i64,
    pub ended: i64,
    pub opened_seq: i64,
    pub ended_seq: i64,
    pub era: i64,
    pub price_first: i64,
    pub price: i64,
    pub size_first: i64,
    pub size: i64,
    pub filled: i64,
    pub fills: i64,
    pub amendments: i64,
    pub inferred: i64,
    /// Best bid and ask behind the first event, and behind the last.
    pub touch_first: [i64; 2],
    pub touch_last: [i64; 2],
    pub ahead_first: i64,
    pub ahead_last: i64,
    /// The event by which its end became known, and when (ns).
    pub told_seq: i64,
    pub told: i64,
    pub evicted: bool,
}

impl Life {
    /// What it was at a smaller scale.
    fn multiply(&mut self, price: i64, size: i64) {
        let prices = [&mut self.price_first, &mut self.price];
        let touches = self.touch_first.iter_mut().chain(&mut self.touch_last);
        for value in prices.into_iter().chain(touches) {
            *value = scaled(*value, price);
        }
        for value in [&mut self.size_first, &mut self.size, &mut self.filled] {
            *value = scaled(*value, size);
        }
    }

    fn place(&self) -> Option<Place> {
        (!self.evicted && self.size > 0).then_some((self.side, self.price, self.size))
    }
}

fn scaled(value: i64, factor: i64) -> i64 {
    if value == NULL {
        NULL
    } else {
        value.checked_mul(factor).unwrap_or(NULL)
    }
}

pub struct Lives {
    /// How long an end of unknown reason waits for the trade that may explain it (ns).
    hold_ns: i64,
    /// Evicted orders kept in mind.
    evicted_max: usize,
    lives: Vec<Life>,
    free: Vec<u32>,
    table: Table,
    evicted: VecDeque<(Id, i64)>,
    evicted_now: usize,
    held: HashMap<Id, Life>,
    waiting: VecDeque<(i64, Id)>,
    ended: Vec<Life>,
    pub era: i64,
    /// Digits behind the point of prices and of sizes.
    pub scales: (u8, u8),
    /// The last event that was taken, and when it came (ns).
    pub now: (i64, i64),
}

impl Lives {
    pub fn new(hold_ns: i64, evicted_max: usize) -> Self {
        Self {
            hold_ns,
            evicted_max,
            lives: Vec::new(),
            free: Vec::new(),
            table: Table::default(),
            evicted: VecDeque::new(),
            evicted_now: 0,
            held: HashMap::new(),
            waiting: VecDeque::new(),
            ended: Vec::new(),
            era: 0,
            scales: (0, 0),
            now: (0, 0),
        }
    }

    pub fn len(&self) -> usize {
        self.table.count()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes over scales that are larger; false where they are smaller, and then nothing changes.
    pub fn adopt(&mut self, scales: (u8, u8)) -> bool {
        if scales == self.scales {
            return true;
        }
        let known = self.lives.iter_mut().chain(&mut self.ended);
        let known: Vec<&mut Life> = known.chain(self.held.values_mut()).collect();
        if known.is_empty() {
            self.scales = scales;
            return true;
        }
        if scales.0 < self.scales.0 || scales.1 < self.scales.1 {
            return false;
        }
        let price = power_of_ten(scales.0 - self.scales.0);
        let size = power_of_ten(scales.1 - self.scales.1);
        for life in known {
            life.multiply(price, size);
        }
        self.scales = scales;
        true
    }

    /// Takes a batch that the book applied, with what it did; watchers are told of each event.
    /// The scales are the book's.
    pub fn take(&mut self, slice: &Slice, effects: &Effects, watchers: &mut [&mut dyn Watch]) {
        let columns = &*slice.columns;
        let factors = (
            power_of_ten(self.scales.0.saturating_sub(columns.price_scale)),
            power_of_ten(self.scales.1.saturating_sub(columns.size_scale)),
        );
        let known = |id: &Id| (*id != NULL_ID).then_some(*id);
        for (nth, at) in slice.range().enumerate() {
            let step = Step {
                seq: columns.seq[at],
                ts: columns.ts_recv[at],
                ts_event: columns.ts_event.as_ref().map_or(NULL, |ts| ts[at]),
                kind: columns.kind[at],
                side: columns.side[at],
                reason: columns.reason[at],
                flags: columns.flags[at],
                id: columns.order_id[at],
                price: scaled(columns.price[at], factors.0),
                size: scaled(columns.size[at], factors.1),
                ahead: effects.orders_ahead[nth],
                touch: [effects.best_bid[nth], effects.best_ask[nth]],
                taker: Taker {
                    side: columns.taker_side.as_ref().map_or(NO_SIDE, |side| side[at]),
                    order_id: columns
                        .taker_order_id
                        .as_ref()
                        .and_then(|ids| known(&ids[at])),
                    trade_id: columns.trade_id.as_ref().and_then(|ids| known(&ids[at])),
                },
            };
            for watcher in watchers.iter_mut() {
                watcher.advance(step.ts);
            }
            self.step(&step, watchers);
        }
    }

    fn step(&mut self, step: &Step, watchers: &mut [&mut dyn Watch]) {
        self.now = (step.seq, step.ts);
        self.release(step.ts);
        let mut before = None;
        let mut life = None;
        if step.flags & LATE != 0 {
            self.explain(step);
            life = self.get(step.id);
        } else if step.kind == CLEAR {
            let told = self.ended.len();
            self.cut(step.seq, step.ts, (step.seq, step.ts));
            self.era += 1;
            for life in self.ended[told..].iter().filter(|life| life.ending == CUT) {
                for watcher in watchers.iter_mut() {
                    watcher.cut(life);
                }
            }
        } else if step.kind != TRADE {
            let hash = hash_id(step.id);
            let found = self
                .table
                .find(hash, |slot| self.lives[slot as usize].id == step.id);
            before = found.and_then(|(slot, _)| self.lives[slot as usize].place());
            let slot = self.change_order(step, hash, found);
            life = slot.map(|slot| &self.lives[slot as usize]);
        }
        let after = match life {
            Some(life) if life.ending == ALIVE && step.flags & LATE == 0 => life.place(),
            _ => None,
        };
        let told = Told {
            step,
            before,
            after,
            life,
        };
        for watcher in watchers.iter_mut() {
            watcher.take(&told);
        }
    }

    /// The slot of the order that an event is about; it is free where the order ended.
    fn change_order(&mut self, step: &Step, hash: u32, found: Option<(u32, usize)>) -> Option<u32> {
        match (step.kind, found) {
            (OPEN, _) => return self.open(step, hash, found),
            (CHANGE, Some((slot, _))) => self.change(step, slot),
            (MATCH, Some((slot, at))) => self.fill(step, slot, at),
            (DONE, Some((slot, at))) => self.finish(step, slot, at),
            (EVICT, Some((slot, _))) => self.evict(step, slot),
            _ => return None,
        }
        found.map(|(slot, _)| slot)
    }

    fn open(&mut self, step: &Step, hash: u32, found: Option<(u32, usize)>) -> Option<u32> {
        if step.size <= 0 || step.price == NULL {
            return found.map(|(slot, _)| slot);
        }
        if let Some((slot, _)) = found {
            // It came back into the window; or the venue says that it stands so now.
            let life = &mut self.lives[slot as usize];
            self.evicted_now -= usize::from(life.evicted);
            life.flags = (life.flags | REENTERED) & !OUT_OF_SIGHT;
            life.evicted = false;
            (life.side, life.price, life.size) = (step.side, step.price, step.size);
            (life.ahead_last, life.touch_last) = (step.ahead, step.touch);
            return Some(slot);
        }
        let mut flags = 0;
        for (flag, meaning) in [
            (SNAPSHOT, LEFT_TRUNCATED),
            (PLACE_ASSUMED, PLACE_WAS_ASSUMED),
            (REENTRY, REENTERED | LEFT_TRUNCATED),
        ] {
            if step.flags & flag != 0 {
                flags |= meaning;
            }
        }
        let life = Life {
            id: step.id,
            side: step.side,
            ending: ALIVE,
            reason: 0,
            flags,
            opened: step.ts,
            ended: NULL,
            opened_seq: step.seq,
            ended_seq: NULL,
            era: self.era,
            price_first: step.price,
            price: step.price,
            size_first: step.size,
            size: step.size,
            filled: 0,
            fills: 0,
            amendments: 0,
            inferred: i64::from(step.flags & INFERRED != 0),
            touch_first: step.touch,
            touch_last: step.touch,
            ahead_first: step.ahead,
            ahead_last: step.ahead,
            told_seq: NULL,
            told: NULL,
            evicted: false,
        };
        let slot = match self.free.pop() {
            Some(slot) => {
                self.lives[slot as usize] = life;
                slot
            }
            None => {
                self.lives.push(life);
                (self.lives.len() - 1) as u32
            }
        };
        self.table.insert(hash, slot);
        Some(slot)
    }

    fn change(&mut self, step: &Step, slot: u32) {
        let life = &mut self.lives[slot as usize];
        if step.size < 0 {
            return;
        }
        if step.reason == REASON_TRADED_AS_TAKER {
            life.filled = life.filled.saturating_add((life.size - step.size).max(0));
            life.fills += 1;
        } else {
            life.amendments += 1;
        }
        life.inferred += i64::from(step.flags & INFERRED != 0);
        if step.price != NULL {
            life.price = step.price;
        }
        life.side = step.side;
        life.size = step.size;
        (life.ahead_last, life.touch_last) = (step.ahead, step.touch);
    }

    fn fill(&mut self, step: &Step, slot: u32, at: usize) {
        let life = &mut self.lives[slot as usize];
        if step.size < 0 {
            return;
        }
        let size = step.size.min(life.size);
        life.filled = life.filled.saturating_add(size);
        life.fills += 1;
        life.inferred += i64::from(step.flags & INFERRED != 0);
        life.size -= size;
        (life.ahead_last, life.touch_last) = (step.ahead, step.touch);
        if life.size == 0 {
            // It leaves the book now; the venue's own word of its end may follow or not.
            self.end(slot, at, step.ts, step.seq, DONE_TOLD, REASON_FILLED);
        }
    }

    fn finish(&mut self, step: &Step, slot: u32, at: usize) {
        let life = &mut self.lives[slot as usize];
        life.inferred += i64::from(step.flags & INFERRED != 0);
        if step.ahead != NULL {
            life.ahead_last = step.ahead;
        }
        life.touch_last = step.touch;
        self.end(slot, at, step.ts, step.seq, DONE_TOLD, step.reason);
    }

    fn evict(&mut self, step: &Step, slot: u32) {
        let life = &mut self.lives[slot as usize];
        if !life.evicted {
            life.evicted = true;
            life.flags |= OUT_OF_SIGHT;
            self.evicted_now += 1;
            (life.ended, life.ended_seq, life.touch_last) = (step.ts, step.seq, step.touch);
            self.evicted.push_back((step.id, step.seq));
        }
        if self.evicted.len() > self.evicted_max.saturating_mul(4).saturating_add(64) {
            // Most of it came back: what is forgotten is to depend on who is out of sight alone.
            let mut evictions = std::mem::take(&mut self.evicted);
            evictions.retain(|&eviction| self.out_of_sight(eviction).is_some());
            self.evicted = evictions;
        }
        while self.evicted_now > self.evicted_max
            && let Some(eviction) = self.evicted.pop_front()
        {
            if let Some((slot, at)) = self.out_of_sight(eviction) {
                let life = &self.lives[slot as usize];
                let (ts, reason) = (life.ended, life.reason);
                self.end(slot, at, ts, eviction.1, EVICTED, reason);
            }
        }
    }

    /// Slot and entry of an order that is out of sight since this event.
    fn out_of_sight(&self, (id, seq): (Id, i64)) -> Option<(u32, usize)> {
        let found = self
            .table
            .find(hash_id(id), |slot| self.lives[slot as usize].id == id);
        found.filter(|&(slot, _)| {
            let life = &self.lives[slot as usize];
            life.evicted && life.ended_seq == seq
        })
    }

    fn tell(&mut self, mut life: Life) {
        (life.told_seq, life.told) = self.now;
        self.ended.push(life);
    }

    fn end(&mut self, slot: u32, at: usize, ts: i64, seq: i64, ending: u8, reason: u8) {
        self.table.remove_at(at);
        self.free.push(slot);
        let life = &mut self.lives[slot as usize];
        self.evicted_now -= usize::from(life.evicted);
        (life.ended, life.ended_seq, life.ending, life.reason) = (ts, seq, ending, reason);
        let life = life.clone();
        if ending == DONE_TOLD && reason == REASON_UNKNOWN && self.hold_ns > 0 {
            self.waiting.push_back((ts, life.id));
            if let Some(older) = self.held.insert(life.id, life) {
                self.tell(older);
            }
        } else {
            self.tell(life);
        }
    }

    /// A trade that explains what happened before: the fill of an order that is alive, or its end.
    fn explain(&mut self, step: &Step) {
        if step.kind != MATCH || step.size <= 0 {
            return;
        }
        let hash = hash_id(step.id);
        let found = self
            .table
            .find(hash, |slot| self.lives[slot as usize].id == step.id);
        let life = match found {
            Some((slot, _)) => {
                let life = &mut self.lives[slot as usize];
                // Its size was told before; that was no amendment.
                life.amendments = (life.amendments - 1).max(0);
                life
            }
            None => {
                let Some(life) = self.held.get_mut(&step.id) else {
                    return;
                };
                life.size = (life.size - step.size).max(0);
                if life.size == 0 {
                    life.reason = REASON_FILLED;
                }
                life
            }
        };
        life.filled = life.filled.saturating_add(step.size);
        life.fills += 1;
        life.inferred += 1;
    }

    /// Ends that waited long enough.
    fn release(&mut self, ts: i64) {
        while let Some(&(ended, id)) = self.waiting.front() {
            if ended.saturating_add(self.hold_ns) > ts {
                return;
            }
            self.waiting.pop_front();
            if self.held.get(&id).is_some_and(|life| life.ended == ended)
                && let Some(life) = self.held.remove(&id)
            {
                self.tell(life);
            }
        }
    }

    /// What was alive is out of mind from an event on, which is told by another one.
    pub fn cut(&mut self, seq: i64, ts: i64, told: (i64, i64)) {
        self.now = told;
        for (_, id) in std::mem::take(&mut self.waiting) {
            if let Some(life) = self.held.remove(&id) {
                self.tell(life);
            }
        }
        let free: std::collections::HashSet<u32> = self.free.drain(..).collect();
        for (slot, mut life) in std::mem::take(&mut self.lives).into_iter().enumerate() {
            if free.contains(&(slot as u32)) {
                continue;
            }
            if life.evicted {
                life.ending = EVICTED;
            } else {
                (life.ended, life.ended_seq, life.ending) = (ts, seq, CUT);
            }
            self.tell(life);
        }
        self.table.clear();
        self.evicted.clear();
        self.evicted_now = 0;
    }

    /// Lives that ended since it was last asked, in the order of their ends.
    pub fn drain(&mut self, ts: i64) -> Vec<Life> {
        self.release(ts);
        std::mem::take(&mut self.ended)
    }

    /// Those that go on, oldest slot first.
    pub fn alive(&self) -> Vec<Life> {
        let free: std::collections::HashSet<u32> = self.free.iter().copied().collect();
        let lives = self.lives.iter().enumerate();
        lives
            .filter(|(slot, _)| !free.contains(&(*slot as u32)))
            .map(|(_, life)| life.clone())
            .collect()
    }

    /// Those whose end still waits for a trade that may explain it, oldest first.
    pub fn waiting(&self) -> Vec<Life> {
        let mut held: Vec<Life> = self.held.values().cloned().collect();
        held.sort_by_key(|life| (life.ended_seq, life.opened_seq));
        held
    }

    /// Takes over what was alive and what waited elsewhere, in place of everything it knows.
    pub fn restore(&mut self, lives: Vec<Life>) {
        let (hold_ns, evicted_max) = (self.hold_ns, self.evicted_max);
        *self = Self {
            era: self.era,
            scales: self.scales,
            now: self.now,
            ..Self::new(hold_ns, evicted_max)
        };
        let mut waiting: Vec<&Life> = lives.iter().filter(|life| life.ending != ALIVE).collect();
        waiting.sort_by_key(|life| (life.ended_seq, life.opened_seq));
        self.waiting = waiting.iter().map(|life| (life.ended, life.id)).collect();
        let mut evicted = Vec::new();
        for mut life in lives {
            if life.ending != ALIVE {
                self.held.insert(life.id, life);
                continue;
            }
            life.evicted = life.flags & OUT_OF_SIGHT != 0;
            if life.evicted {
                evicted.push((life.id, life.ended_seq));
            }
            self.table.insert(hash_id(life.id), self.lives.len() as u32);
            self.lives.push(life);
        }
        evicted.sort_by_key(|&(_, seq)| seq);
        self.evicted_now = evicted.len();
        self.evicted = evicted.into();
    }

    /// One that is alive, or whose end still waits for a trade that may explain it.
    pub fn get(&self, id: Id) -> Option<&Life> {
        self.table
            .find(hash_id(id), |slot| self.lives[slot as usize].id == id)
            .map(|(slot, _)| &self.lives[slot as usize])
            .or_else(|| self.held.get(&id))
    }
}
