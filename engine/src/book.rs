//! The book: orders in a slab, id → slot, levels with an intrusive first-in first-out queue, prices in order.

use crate::events::{ASK, NULL};
use crate::ids::Id;
use crate::ladder::Ladder;
use crate::number::{power_of_ten, rescale};
use crate::ranks::Rank;
use crate::table::{NIL, Table, hash_id, hash_price};

/// What one event came to; `ApplyResult` in events.py.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Outcome {
    Applied = 0,
    UnknownId = 1,
    DuplicateId = 2,
    Negative = 3,
    Overflow = 4,
    Overfill = 5,
    Late = 6,
}

/// 40 bytes; the id in halves so that the compiler adds no padding.
pub struct Order {
    id_low: u64,
    id_high: u64,
    pub size: i64,
    pub level: u32,
    pub prev: u32,
    pub next: u32,
    pub ticket: u32,
}

impl Order {
    #[inline(always)]
    pub fn id(&self) -> Id {
        (Id::from(self.id_high) << 64) | Id::from(self.id_low)
    }
}

pub struct Level {
    pub total: i128,
    pub price: i64,
    pub head: u32,
    pub tail: u32,
    pub count: u32,
    pub side: u8,
}

/// One side of the book.
pub struct Half {
    prices: Table,
    pub ladder: Ladder,
    pub orders: usize,
    /// Ladder key of the best price, NO_KEY where the side is empty.
    best: i64,
    /// Ladder key of the best price where an order changed since `take_touched`, NO_KEY where none did.
    touched: i64,
}

/// No price has this key.
pub const NO_KEY: i64 = i64::MIN;
/// No price has a better key: all of a side may have changed.
pub const BEST_KEY: i64 = i64::MAX;

#[inline]
pub fn ladder_key(side: u8, price: i64) -> i64 {
    if side == ASK { -price } else { price }
}

pub struct Book {
    /// None until the first number decides.
    pub price_scale: Option<u8>,
    pub size_scale: Option<u8>,
    /// Of the last applied event.
    pub seq: i64,
    pub ts_recv: i64,
    pub era: i64,
    pub orders: Vec<Order>,
    free_order: u32,
    pub levels: Vec<Level>,
    free_level: u32,
    pub ids: Table,
    pub halves: [Half; 2],
    /// One a level, from the first apply that asked for effects on.
    ranks: Option<Vec<Rank>>,
}

impl Default for Book {
    fn default() -> Self {
        Self::new()
    }
}

impl Book {
    pub fn new() -> Self {
        let half = || Half {
            prices: Table::default(),
            ladder: Ladder::default(),
            orders: 0,
            best: NO_KEY,
            touched: BEST_KEY,
        };
        Self {
            price_scale: None,
            size_scale: None,
            seq: 0,
            ts_recv: 0,
            era: 0,
            orders: Vec::new(),
            free_order: NIL,
            levels: Vec::new(),
            free_level: NIL,
            ids: Table::default(),
            halves: [half(), half()],
            ranks: None,
        }
    }

    pub fn len(&self) -> usize {
        self.ids.count()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The slot of an order, and where the table has it.
    #[inline(always)]
    pub fn find(&self, id: Id) -> Option<(u32, usize)> {
        self.find_hashed(id, hash_id(id))
    }

    #[inline(always)]
    pub fn find_hashed(&self, id: Id, hash: u32) -> Option<(u32, usize)> {
        self.ids
            .find(hash, |slot| self.orders[slot as usize].id() == id)
    }

    #[inline(always)]
    pub fn level_of(&self, slot: u32) -> &Level {
        &self.levels[self.orders[slot as usize].level as usize]
    }

    #[inline(always)]
    pub fn find_level(&self, side: u8, price: i64) -> Option<(u32, usize)> {
        let half = &self.halves[usize::from(side == ASK)];
        half.prices.find(hash_price(price), |level| {
            self.levels[level as usize].price == price
        })
    }

    #[inline(always)]
    pub fn best_price(&self, side: u8) -> Option<i64> {
        let best = self.halves[usize::from(side == ASK)].best;
        (best != NO_KEY).then(|| ladder_key(side, best))
    }

    /// Ladder key of the best price of a side where an order came, left or changed since this was last
    /// asked, NO_KEY where none did: what is made of the orders of better prices still holds.
    pub fn take_touched(&mut self, side: u8) -> i64 {
        let half = &mut self.halves[usize::from(side == ASK)];
        std::mem::replace(&mut half.touched, NO_KEY)
    }

    /// Whether the best bid is at or above the best ask.
    #[inline(always)]
    pub fn crossed(&self) -> bool {
        let (bid, ask) = (self.halves[0].best, self.halves[1].best);
        bid != NO_KEY && ask != NO_KEY && bid >= -ask
    }

    /// Size of all orders of a side; summed when asked, so that no event pays for it.
    pub fn total(&self, side: u8) -> i128 {
        let ladder = &self.halves[usize::from(side == ASK)].ladder;
        ladder
            .iter()
            .map(|step| self.levels[step.level as usize].total)
            .sum()
    }

    /// Orders in queue order of the levels from best to worst.
    pub fn walk(&self, side: u8) -> impl Iterator<Item = (&Level, &Order)> {
        self.halves[usize::from(side == ASK)]
            .ladder
            .iter()
            .flat_map(move |step| {
                let level = &self.levels[step.level as usize];
                self.walk_level(step.level)
                    .map(move |slot| (level, &self.orders[slot as usize]))
            })
    }

    /// Slots of a level from the front of its queue.
    pub fn walk_level(&self, level: u32) -> impl Iterator<Item = u32> + '_ {
        let head = self.levels[level as usize].head;
        std::iter::successors((head != NIL).then_some(head), |&slot| {
            let next = self.orders[slot as usize].next;
            (next != NIL).then_some(next)
        })
    }

    /// Orders ahead of a slot in its level.
    #[inline(always)]
    pub fn ahead(&self, slot: u32) -> i64 {
        let order = &self.orders[slot as usize];
        match &self.ranks {
            Some(ranks) => ranks[order.level as usize].ahead(order.ticket),
            None => self
                .walk_level(order.level)
                .take_while(|&at| at != slot)
                .count() as i64,
        }
    }

    /// Appends a new order; the id must not be there.
    pub fn add(&mut self, id: Id, side: u8, price: i64, size: i64) -> u32 {
        self.add_hashed(id, hash_id(id), side, price, size)
    }

    #[inline(always)]
    pub fn add_hashed(&mut self, id: Id, hash: u32, side: u8, price: i64, size: i64) -> u32 {
        let order = Order {
            id_low: id as u64,
            id_high: (id >> 64) as u64,
            size,
            level: NIL,
            prev: NIL,
            next: NIL,
            ticket: 0,
        };
        let slot = if self.free_order == NIL {
            self.orders.push(order);
            (self.orders.len() - 1) as u32
        } else {
            let slot = self.free_order;
            self.free_order = self.orders[slot as usize].next;
            self.orders[slot as usize] = order;
            slot
        };
        self.ids.insert(hash, slot);
        self.link(slot, side, price);
        slot
    }

    /// Takes an order out; `at` is where `find` saw it.
    #[inline(always)]
    pub fn remove(&mut self, slot: u32, at: usize) {
        self.unlink(slot);
        self.ids.remove_at(at);
        self.orders[slot as usize].next = self.free_order;
        self.free_order = slot;
    }

    /// A new size in the same place.
    #[inline(always)]
    pub fn resize(&mut self, slot: u32, size: i64) {
        let order = &mut self.orders[slot as usize];
        let difference = i128::from(size) - i128::from(order.size);
        order.size = size;
        let level = &mut self.levels[order.level as usize];
        level.total += difference;
        let half = &mut self.halves[usize::from(level.side == ASK)];
        half.touched = half.touched.max(ladder_key(level.side, level.price));
    }

    /// To the tail of a level, with a new size.
    #[inline(always)]
    pub fn requeue(&mut self, slot: u32, side: u8, price: i64, size: i64) {
        self.unlink(slot);
        self.orders[slot as usize].size = size;
        self.link(slot, side, price);
    }

    #[inline(always)]
    fn link(&mut self, slot: u32, side: u8, price: i64) {
        let at = match self.find_level(side, price) {
            Some((level, _)) => level,
            None => self.make_level(side, price),
        };
        let order = &mut self.orders[slot as usize];
        let level = &mut self.levels[at as usize];
        order.level = at;
        order.prev = level.tail;
        order.next = NIL;
        level.total += i128::from(order.size);
        level.count += 1;
        let half = &mut self.halves[usize::from(side == ASK)];
        half.orders += 1;
        half.touched = half.touched.max(ladder_key(side, price));
        let tail = std::mem::replace(&mut level.tail, slot);
        if tail == NIL {
            level.head = slot;
        } else {
            self.orders[tail as usize].next = slot;
        }
        if self.ranks.is_some() {
            self.join_rank(slot, at);
        }
    }

    fn join_rank(&mut self, slot: u32, level: u32) {
        let Some(ranks) = &mut self.ranks else { return };
        let rank = &mut ranks[level as usize];
        self.orders[slot as usize].ticket = rank.join();
        if rank.is_sparse(self.levels[level as usize].count) {
            self.renumber(level);
        }
    }

    /// Gives the queue of a level new tickets from zero.
    #[cold]
    fn renumber(&mut self, level: u32) {
        let slots: Vec<u32> = self.walk_level(level).collect();
        let Some(ranks) = &mut self.ranks else { return };
        let rank = &mut ranks[level as usize];
        rank.clear();
        for slot in slots {
            self.orders[slot as usize].ticket = rank.join();
        }
    }

    /// From now on `ahead` costs no walk.
    pub fn keep_ranks(&mut self) {
        if self.ranks.is_none() {
            self.ranks = Some((0..self.levels.len()).map(|_| Rank::default()).collect());
            let used: Vec<u32> = self
                .halves
                .iter()
                .flat_map(|half| half.ladder.iter())
                .map(|s| s.level)
                .collect();
            for level in used {
                self.renumber(level);
            }
        }
    }

    fn make_level(&mut self, side: u8, price: i64) -> u32 {
        let level = Level {
            total: 0,
            price,
            head: NIL,
            tail: NIL,
            count: 0,
            side,
        };
        let at = if self.free_level == NIL {
            self.levels.push(level);
            if let Some(ranks) = &mut self.ranks {
                ranks.push(Rank::default());
            }
            (self.levels.len() - 1) as u32
        } else {
            let at = self.free_level;
            self.free_level = self.levels[at as usize].head;
            self.levels[at as usize] = level;
            at
        };
        let half = &mut self.halves[usize::from(side == ASK)];
        half.prices.insert(hash_price(price), at);
        half.ladder.insert(ladder_key(side, price), at);
        half.best = half.best.max(ladder_key(side, price));
        at
    }

    #[inline(always)]
    fn unlink(&mut self, slot: u32) {
        let Order {
            size,
            level: at,
            prev,
            next,
            ticket,
            ..
        } = self.orders[slot as usize];
        let level = &mut self.levels[at as usize];
        level.total -= i128::from(size);
        level.count -= 1;
        let half = &mut self.halves[usize::from(level.side)];
        half.orders -= 1;
        half.touched = half.touched.max(ladder_key(level.side, level.price));
        if prev == NIL {
            level.head = next;
        } else {
            self.orders[prev as usize].next = next;
        }
        if next == NIL {
            level.tail = prev;
        } else {
            self.orders[next as usize].prev = prev;
        }
        if let Some(ranks) = &mut self.ranks {
            ranks[at as usize].leave(ticket);
        }
        if self.levels[at as usize].count == 0 {
            self.drop_level(at);
        }
    }

    fn drop_level(&mut self, at: u32) {
        let Level { price, side, .. } = self.levels[at as usize];
        if let Some((_, entry)) = self.find_level(side, price) {
            let half = &mut self.halves[usize::from(side)];
            half.prices.remove_at(entry);
            half.ladder.remove(ladder_key(side, price));
            half.best = half.ladder.best().map_or(NO_KEY, |step| step.key);
        }
        if let Some(ranks) = &mut self.ranks {
            ranks[at as usize].clear();
        }
        self.levels[at as usize].head = self.free_level;
        self.free_level = at;
    }

    pub fn clear(&mut self) {
        self.orders.clear();
        self.free_order = NIL;
        self.levels.clear();
        self.free_level = NIL;
        self.ids.clear();
        for half in &mut self.halves {
            half.prices.clear();
            half.ladder.clear();
            half.orders = 0;
            half.best = NO_KEY;
            half.touched = BEST_KEY;
        }
        if let Some(ranks) = &mut self.ranks {
            ranks.clear();
        }
    }

    /// Its orders become another book's; seq, times and era stay.
    pub fn replace(&mut self, other: Self) {
        let ranked = self.ranks.is_some();
        let (seq, ts_recv, era) = (self.seq, self.ts_recv, self.era);
        *self = Self {
            seq,
            ts_recv,
            era,
            ..other
        };
        if ranked {
            self.keep_ranks();
        }
    }

    /// Raises the scales to hold a batch's; the field that does not fit where one value is too large.
    pub fn adopt_scales(&mut self, price_scale: u8, size_scale: u8) -> Result<(), &'static str> {
        let old_price = *self.price_scale.get_or_insert(price_scale);
        let old_size = *self.size_scale.get_or_insert(size_scale);
        if price_scale > old_price {
            let fits = |level: &Level| rescale(level.price, old_price, price_scale).is_some();
            let halves = self.halves.iter().flat_map(|half| half.ladder.iter());
            if !halves
                .into_iter()
                .all(|step| fits(&self.levels[step.level as usize]))
            {
                return Err("price");
            }
        }
        if size_scale > old_size {
            let fits = |order: &Order| rescale(order.size, old_size, size_scale).is_some();
            if !(0..2).all(|side| self.walk(side).all(|(_, order)| fits(order))) {
                return Err("size");
            }
            self.multiply_sizes(power_of_ten(size_scale - old_size));
            self.size_scale = Some(size_scale);
        }
        if price_scale > old_price {
            self.multiply_prices(power_of_ten(price_scale - old_price));
            self.price_scale = Some(price_scale);
        }
        Ok(())
    }

    fn multiply_sizes(&mut self, factor: i64) {
        let slots: Vec<u32> = self
            .halves
            .iter()
            .flat_map(|half| half.ladder.iter())
            .flat_map(|step| self.walk_level(step.level))
            .collect();
        for slot in slots {
            self.orders[slot as usize].size *= factor;
        }
        for half in &mut self.halves {
            half.touched = BEST_KEY;
            for step in half.ladder.iter() {
                self.levels[step.level as usize].total *= i128::from(factor);
            }
        }
    }

    fn multiply_prices(&mut self, factor: i64) {
        for half in &mut self.halves {
            let steps: Vec<u32> = half.ladder.iter().map(|step| step.level).collect();
            half.touched = BEST_KEY;
            half.prices.clear();
            half.ladder.clear();
            for at in steps {
                let level = &mut self.levels[at as usize];
                level.price *= factor;
                half.prices.insert(hash_price(level.price), at);
                half.ladder.insert(ladder_key(level.side, level.price), at);
            }
            half.best = half.ladder.best().map_or(NO_KEY, |step| step.key);
        }
    }

    pub fn memory_bytes(&self) -> usize {
        let halves: usize = self
            .halves
            .iter()
            .map(|half| half.prices.memory_bytes() + half.ladder.memory_bytes())
            .sum();
        let ranks: usize = self.ranks.iter().map(ranks_bytes).sum();
        self.orders.capacity() * size_of::<Order>()
            + self.levels.capacity() * size_of::<Level>()
            + self.ids.memory_bytes()
            + halves
            + ranks
    }

    /// Walks every structure; what disagrees, if anything does.
    pub fn check(&self) -> Result<(), String> {
        let mut seen = 0;
        for (side, half) in self.halves.iter().enumerate() {
            let (mut orders, mut above) = (0, None);
            if half.best != half.ladder.best().map_or(NO_KEY, |step| step.key) {
                return Err(format!("side {side} remembers the wrong best price"));
            }
            for step in half.ladder.iter() {
                let level = &self.levels[step.level as usize];
                let key = ladder_key(level.side, level.price);
                if usize::from(level.side) != side
                    || key != step.key
                    || above.is_some_and(|a| a <= key)
                {
                    return Err(format!("level {} stands in the wrong place", level.price));
                }
                above = Some(key);
                if self
                    .find_level(level.side, level.price)
                    .map(|found| found.0)
                    != Some(step.level)
                {
                    return Err(format!("level {} is not found by its price", level.price));
                }
                let (count, sum) = self.check_queue(step.level)?;
                if count == 0 || count != level.count || sum != level.total {
                    return Err(format!(
                        "level {} has {count} orders of {sum} in all",
                        level.price
                    ));
                }
                orders += count as usize;
            }
            if orders != half.orders {
                return Err(format!("side {side} holds {orders} orders"));
            }
            seen += orders;
        }
        if seen == self.ids.count() {
            Ok(())
        } else {
            Err(format!("{seen} orders, {} ids", self.ids.count()))
        }
    }

    fn check_queue(&self, at: u32) -> Result<(u32, i128), String> {
        let (mut count, mut sum, mut prev) = (0, 0i128, NIL);
        for slot in self.walk_level(at) {
            let order = &self.orders[slot as usize];
            if order.prev != prev || order.level != at || order.size <= 0 || order.size == NULL {
                return Err(format!("order {} is linked wrongly", order.id()));
            }
            if self.find(order.id()).map(|found| found.0) != Some(slot) {
                return Err(format!("order {} is not found by its id", order.id()));
            }
            if let Some(ranks) = &self.ranks
                && ranks[at as usize].ahead(order.ticket) != i64::from(count)
            {
                return Err(format!("order {} has the wrong rank", order.id()));
            }
            (count, sum, prev) = (count + 1, sum + i128::from(order.size), slot);
        }
        Ok((count, sum))
    }
}

fn ranks_bytes(ranks: &Vec<Rank>) -> usize {
    let spilled: usize = ranks.iter().map(Rank::spilled_bytes).sum();
    ranks.capacity() * size_of::<Rank>() + spilled
}
