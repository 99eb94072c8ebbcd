//! A batch as a block.  The rows are walked once and what they told is noted; only then is it known
//! how often each symbol comes, and so how it is best written.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::batch::{Row, Slice};
use crate::cold::class::{
    Class, EventTime, Order as Named, Price, Recv, Size, Taker, Trade, VenueSeq,
};
use crate::cold::coder::{Encoder, HeadWriter, zigzag};
use crate::cold::model::{Coder, Field, Given, Model, Params};
use crate::cold::{CLASS_FAR, CLASSES_MAX, SIZE_FAR, SIZE_TOLD, TABLES, Table, present};
use crate::events::{ASK, NULL, OPEN};
use crate::ids::{Id, NULL_ID};
use crate::table::NIL;

/// A size that comes so often is listed once and then named.
const SIZE_OFTEN: u32 = 3;
const SIZES_MAX: usize = 1 << 16;

/// The block of a batch; None where it isn't what an archive holds: seqs one after another, times
/// that never decrease and lie within 292 years, codes of the vocabulary.
pub fn encode(slice: &Slice) -> Option<Vec<u8>> {
    let columns = &*slice.columns;
    let seq = &columns.seq[slice.range()];
    let one_up = |pair: &[i64]| pair[0].checked_add(1) == Some(pair[1]);
    if slice.len == 0 || !seq.windows(2).all(one_up) {
        return None;
    }
    let rows: Vec<Row> = slice.range().map(|i| columns.row(i)).collect();
    let mut head = HeadWriter::default();
    head.number(rows.len() as u64);
    head.number(u64::from(present::of(&rows)));
    let params = parameters(&rows)?;
    write_parameters(&mut head, &params);
    let mut notes = Notes::default();
    let mut model = Model::new(params);
    let mut known: HashMap<Id, u32> = HashMap::new();
    let mut seen = 0;
    for row in rows {
        let given = classified(&model, &known, row)?;
        model.row(&mut notes, &given);
        for (nth, order) in model.orders.iter().enumerate().skip(seen) {
            known.insert(order.id, nth as u32);
        }
        seen = model.orders.len();
    }
    notes.write(head)
}

// What holds for the block -------------------------------------------------------------------------

fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

fn first<T: PartialEq + Copy>(rows: &[Row], null: T, get: impl Fn(&Row) -> T) -> Option<T> {
    rows.iter().map(get).find(|value| *value != null)
}

fn parameters(rows: &[Row]) -> Option<Params> {
    let first_recv = rows[0].ts_recv;
    let mut recv_step = 0;
    for pair in rows.windows(2) {
        let step = u64::try_from(pair[1].ts_recv.checked_sub(pair[0].ts_recv)?).ok()?;
        recv_step = gcd(recv_step, step);
    }
    let first_event = first(rows, NULL, |row| row.ts_event).unwrap_or(0);
    let mut event_step = 0;
    for row in rows.iter().filter(|row| row.ts_event != NULL) {
        event_step = gcd(
            event_step,
            row.ts_event.checked_sub(first_event)?.unsigned_abs(),
        );
    }
    let mut prices: Vec<i64> = rows
        .iter()
        .flat_map(|row| [row.price, row.price_before])
        .filter(|&price| price != NULL)
        .collect();
    prices.sort_unstable();
    prices.dedup();
    let (first_id, id_bits) = id_form(rows);
    Some(Params {
        first_recv,
        recv_step: i64::try_from(recv_step.max(1)).ok()?,
        first_event,
        event_step: i64::try_from(event_step.max(1)).ok()?,
        first_venue: first(rows, NULL, |row| row.venue_seq).unwrap_or(0),
        first_trade: first(rows, NULL_ID, |row| row.trade_id).unwrap_or(0),
        first_id,
        id_bits,
        prices,
    })
}

/// The first id, and the bits in which others differ where writing these is shorter than differences.
fn id_form(rows: &[Row]) -> (Id, Id) {
    let mut known = HashMap::new();
    let (mut first_id, mut last, mut bits, mut cost) = (0, None, 0, 0u64);
    for id in rows
        .iter()
        .flat_map(|row| [row.order_id, row.taker_order_id])
    {
        if id == NULL_ID || known.insert(id, ()).is_some() {
            continue;
        }
        let before: Id = *last.get_or_insert(id);
        if known.len() == 1 {
            first_id = id;
        }
        bits |= id ^ first_id;
        if id >> 64 == before >> 64 {
            let step = zigzag((id as u64).wrapping_sub(before as u64) as i64);
            cost += u64::from(64 - step.leading_zeros()) + 2;
            last = Some(id);
        } else {
            cost += 128;
        }
    }
    let plain = u64::from(bits.count_ones()) * known.len() as u64;
    (first_id, if plain < cost { bits } else { 0 })
}

fn write_parameters(head: &mut HeadWriter, params: &Params) {
    for value in [
        params.first_recv,
        params.recv_step,
        params.first_event,
        params.event_step,
        params.first_venue,
    ] {
        head.signed(value);
    }
    for id in [params.first_trade, params.first_id, params.id_bits] {
        head.number(id as u64);
        head.number((id >> 64) as u64);
    }
    let steps = |pair: &[i64]| pair[1].wrapping_sub(pair[0]) as u64;
    let step = params.prices.windows(2).map(steps).fold(0, gcd).max(1);
    head.number(params.prices.len() as u64);
    head.number(step);
    if let Some(&lowest) = params.prices.first() {
        head.signed(lowest);
    }
    for pair in params.prices.windows(2) {
        head.number(steps(pair) / step);
    }
}

// What each row is like ----------------------------------------------------------------------------

fn classified(model: &Model, known: &HashMap<Id, u32>, row: Row) -> Option<Given> {
    let mut class = Class::of(&row)?;
    let mut given = Given {
        row,
        class,
        order: 0,
        taker: 0,
    };
    class.recv = if row.ts_recv == model.recv {
        Recv::Same
    } else {
        Recv::Told
    };
    class.event = match row.ts_event {
        NULL => EventTime::None,
        ts if ts == model.event => EventTime::Same,
        ts if ts == row.ts_recv => EventTime::AsRecv,
        _ => EventTime::Told,
    };
    class.venue = match row.venue_seq {
        NULL => VenueSeq::None,
        seq if seq == model.venue => VenueSeq::Same,
        seq if seq == model.venue.wrapping_add(1) => VenueSeq::Next,
        _ => VenueSeq::Told,
    };
    let order = known.get(&row.order_id).copied();
    let asks = row.side == ASK;
    if row.order_id != NULL_ID {
        (class.order, given.order) = named(model, &row, order, asks);
    }
    let there = match class.order {
        Named::New | Named::Raw | Named::None => None,
        _ => order.map(|order| &model.orders[order as usize]),
    };
    let stood = there.filter(|order| order.rank != NIL);
    let stood = stood.map_or(NULL, |order| model.params.prices[order.rank as usize]);
    let price = |price: i64| match price {
        NULL => Price::None,
        price if price == stood => Price::Same,
        _ => Price::Told,
    };
    (class.price, class.price_before) = (price(row.price), price(row.price_before));
    let left = there.map_or(NULL, |order| order.size);
    let at = usize::from(asks);
    let size = |size: i64| match size {
        NULL => Size::None,
        size if size == left => Size::Same,
        0 => Size::Zero,
        size if size == model.last_left[at] => Size::LastLeft,
        size if size == model.last_opened[at] => Size::LastOpened,
        _ => Size::Told,
    };
    (class.size, class.size_before) = (size(row.size), size(row.size_before));
    class.trade = match row.trade_id {
        NULL_ID => Trade::None,
        id if id == model.trade => Trade::Same,
        id if id >> 64 != model.trade >> 64 => Trade::Raw,
        id if id as u64 == (model.trade as u64).wrapping_add(1) => Trade::Next,
        _ => Trade::Told,
    };
    (class.taker, given.taker) = taker(model, &row, known, !asks);
    given.class = class;
    Some(given)
}

/// How far from its end a list holds an order, where that is on this side.
fn back(list: &[u32], place: u32, same_side: bool) -> Option<u64> {
    (place != NIL && same_side).then(|| list.len() as u64 - 1 - u64::from(place))
}

fn named(model: &Model, row: &Row, order: Option<u32>, asks: bool) -> (Named, u64) {
    let at = usize::from(asks);
    if let Some(order) = order {
        if order == model.order {
            return (Named::Same, 0);
        }
        let known = &model.orders[order as usize];
        let opened = back(&model.opened[at], known.opened, known.opened_side == asks);
        let opened = opened.map(|back| (Named::Opened, back));
        let away = back(&model.away[at], known.away, known.away_side == asks);
        let away = away.map(|back| (Named::Away, back));
        let found = if row.kind == OPEN {
            away.or(opened)
        } else {
            opened.or(away)
        };
        if let Some(found) = found {
            return found;
        }
    }
    (
        if is_near(model, row.order_id) {
            Named::New
        } else {
            Named::Raw
        },
        0,
    )
}

fn taker(model: &Model, row: &Row, known: &HashMap<Id, u32>, side: bool) -> (Taker, u64) {
    let id = row.taker_order_id;
    if id == NULL_ID {
        return (Taker::None, 0);
    }
    if id == model.taker {
        return (Taker::Same, 0);
    }
    let at = usize::from(side);
    if let Some(&order) = known.get(&id) {
        let known = &model.orders[order as usize];
        if let Some(back) = back(&model.opened[at], known.opened, known.opened_side == side) {
            return (Taker::Opened, back);
        }
        if let Some(back) = back(&model.away[at], known.away, known.away_side == side) {
            return (Taker::Away, back);
        }
    }
    (
        if is_near(model, id) {
            Taker::New
        } else {
            Taker::Raw
        },
        0,
    )
}

/// Whether the block's form of ids holds one.
fn is_near(model: &Model, id: Id) -> bool {
    let params = &model.params;
    if params.id_bits == 0 {
        return id >> 64 == model.id >> 64;
    }
    (id ^ params.first_id) & !params.id_bits == 0
}

// What was told ------------------------------------------------------------------------------------

enum Note {
    Class(u32, u32),
    Number(Field, u32, u64),
    Size(u32, i64),
    Bits(u64, u32),
}

/// What the rows tell, in order; classes by the order in which they first came, the class before the
/// first row being the first.
#[derive(Default)]
struct Notes {
    notes: Vec<Note>,
    numbers: HashMap<u64, u32>,
    classes: Vec<(u64, u32)>,
}

impl Coder for Notes {
    const WRITES: bool = true;

    fn class(&mut self, before: usize, given: &Class) -> (usize, Class) {
        let packed = given.packed();
        let at = match self.numbers.entry(packed) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => {
                self.classes.push((packed, 0));
                *new.insert(self.classes.len() as u32 - 1)
            }
        };
        self.classes[at as usize].1 += 1;
        self.notes.push(Note::Class(before as u32, at));
        (at as usize, *given)
    }

    fn number(&mut self, field: Field, context: usize, given: u64) -> u64 {
        self.notes.push(Note::Number(field, context as u32, given));
        given
    }

    fn size(&mut self, context: usize, given: i64) -> i64 {
        self.notes.push(Note::Size(context as u32, given));
        given
    }

    fn bits(&mut self, given: u64, count: u32) -> u64 {
        self.notes.push(Note::Bits(given, count));
        given
    }

    fn fail(&mut self) {}
}

impl Notes {
    fn write(self, mut head: HeadWriter) -> Option<Vec<u8>> {
        let rank = self.write_classes(&mut head)?;
        let (sizes, step) = self.write_sizes(&mut head);
        let mut encoder = Encoder::default();
        let mut first = true;
        for note in &self.notes {
            match *note {
                Note::Class(before, at) => {
                    // The first row follows none: both sides take the most frequent class for it.
                    let before = if first { 0 } else { rank[before as usize] };
                    first = false;
                    let (table, at) = (Table::class(before), rank[at as usize]);
                    if at < usize::from(CLASS_FAR) {
                        encoder.symbol(table, at as u8);
                    } else {
                        encoder.symbol(table, CLASS_FAR);
                        encoder.bits(at as u64, 16);
                    }
                }
                Note::Number(Field::Id, context, value) => {
                    encoder.number(Table::number(Field::Id, context as usize), value);
                }
                Note::Number(field, context, value) => {
                    encoder.number(Table::number(field, rank[context as usize]), value);
                }
                Note::Size(context, value) => {
                    let context = rank[context as usize];
                    let table = Table::size(context);
                    match sizes.get(&value) {
                        Some(&at) if at < u32::from(SIZE_FAR) => encoder.symbol(table, at as u8),
                        Some(&at) => {
                            encoder.symbol(table, SIZE_FAR);
                            encoder.number(Table::SIZE_FAR, u64::from(at - u32::from(SIZE_FAR)));
                        }
                        None => {
                            encoder.symbol(table, SIZE_TOLD);
                            encoder.number(Table::size_told(context), zigzag(value / step));
                        }
                    }
                }
                Note::Bits(value, count) => encoder.bits(value, count),
            }
        }
        encoder.finish(TABLES, &mut head);
        Some(head.0)
    }

    /// The classes, the most frequent first; the place of each.
    fn write_classes(&self, head: &mut HeadWriter) -> Option<Vec<usize>> {
        if self.classes.len() > CLASSES_MAX {
            return None;
        }
        let mut order: Vec<usize> = (0..self.classes.len()).collect();
        order.sort_by_key(|&at| std::cmp::Reverse(self.classes[at].1));
        head.number(order.len() as u64);
        let mut rank = vec![0; order.len()];
        for (place, &at) in order.iter().enumerate() {
            head.number(self.classes[at].0);
            rank[at] = place;
        }
        Some(rank)
    }

    /// The sizes that come often, the most frequent first, and what all sizes are multiples of.
    fn write_sizes(&self, head: &mut HeadWriter) -> (HashMap<i64, u32>, i64) {
        let mut counts: HashMap<i64, u32> = HashMap::new();
        let mut step = 0;
        for note in &self.notes {
            if let Note::Size(_, value) = *note {
                *counts.entry(value).or_default() += 1;
                step = gcd(step, value.unsigned_abs());
            }
        }
        let step = i64::try_from(step.max(1)).unwrap_or(1);
        let mut often: Vec<(i64, u32)> = counts
            .into_iter()
            .filter(|&(_, count)| count >= SIZE_OFTEN)
            .collect();
        often.sort_unstable_by_key(|&(value, count)| (std::cmp::Reverse(count), value));
        often.truncate(SIZES_MAX);
        head.number(step as u64);
        head.number(often.len() as u64);
        for &(value, _) in &often {
            head.signed(value / step);
        }
        let places = often.iter().enumerate();
        let places = places.map(|(at, &(value, _))| (value, at as u32)).collect();
        (places, step)
    }
}
