//! The book against a naive one, over more than a million operations.

mod model;

use std::cell::Cell;

use _engine::apply::{Counters, Effects, Event as BookEvent};
use _engine::batch::{Columns, Row, Slice};
use _engine::book::{Book, Outcome};
use _engine::events::{ASK, BID, CHANGE, LAST, LATE, NULL, SNAPSHOT};
use _engine::ids::{Codec, Form, Id};
use _engine::table::hash_id;
use model::{Effect, Event, Model};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

/// Operations of the first campaign; the others add some more.
const OPERATIONS_MIN: u64 = 1_000_000;

/// How a batch reaches the book.
#[derive(Clone, Copy, Debug)]
enum Way {
    Plain,
    Effects,
    OneByOne,
}

#[derive(Clone, Debug)]
struct Batch {
    way: Way,
    scales: (u8, u8),
    events: Vec<Event>,
}

fn spread(id: u16) -> Id {
    // Neighbours in the lower half, in the upper half and in both.
    match id % 3 {
        0 => Id::from(id),
        1 => Id::from(id) << 64,
        _ => (Id::from(id) << 64) | Id::from(id).wrapping_mul(0x9E37_79B9_7F4A_7C15),
    }
}

fn kinds() -> impl Strategy<Value = u8> {
    prop_oneof![
        10 => Just(1u8), 5 => Just(2u8), 4 => Just(3u8), 4 => Just(4u8), 1 => Just(6u8), 1 => Just(7u8),
    ]
}

fn sizes() -> impl Strategy<Value = i64> {
    prop_oneof![
        40 => 1i64..20, 2 => Just(0i64), 1 => -5i64..0, 1 => Just(NULL), 1 => Just(i64::MAX),
    ]
}

fn prices(width: i64) -> impl Strategy<Value = i64> {
    prop_oneof![
        80 => -width..width, 1 => Just(NULL), 1 => Just(i64::MAX), 1 => Just(NULL + 1),
    ]
}

fn events(ids: u16, width: i64) -> impl Strategy<Value = Event> {
    let flags = prop_oneof![
        30 => Just(0u16), 10 => Just(LAST), 1 => Just(LATE), 1 => Just(SNAPSHOT | LAST),
    ];
    let clear = prop::bool::weighted(0.001);
    let fields = (
        kinds(),
        0u8..2,
        flags,
        0..ids,
        prices(width),
        sizes(),
        clear,
    );
    fields.prop_map(|(kind, side, flags, id, price, size, clear)| Event {
        kind: if clear { 5 } else { kind },
        side,
        flags,
        id: spread(id),
        price,
        size,
    })
}

fn batches(ids: u16, width: i64, rows: usize) -> impl Strategy<Value = Batch> {
    let way = prop_oneof![Just(Way::Plain), Just(Way::Effects), Just(Way::OneByOne),];
    let scales =
        prop_oneof![12 => Just((2u8, 3u8)), 2 => (0u8..6, 0u8..6), 1 => (0u8..19, 0u8..19)];
    let events = prop::collection::vec(events(ids, width), 0..rows);
    (way, scales, events).prop_map(|(way, scales, events)| Batch {
        way,
        scales,
        events,
    })
}

fn slice_of(batch: &Batch, first_seq: i64) -> Slice {
    let row = |event: &Event| Row {
        kind: event.kind,
        side: event.side,
        flags: event.flags,
        order_id: event.id,
        price: event.price,
        size: event.size,
        ..Row::EMPTY
    };
    let rows: Vec<Row> = batch.events.iter().map(row).collect();
    let codecs = (Codec::new(Form::Uuid), Codec::new(Form::Int));
    Slice::whole(Columns::from_rows(
        &rows,
        first_seq,
        batch.scales,
        codecs.0,
        codecs.1,
    ))
}

/// The counters that outcomes add up to.
fn note(counters: &mut Counters, outcome: Outcome) {
    match outcome {
        Outcome::Applied => {}
        Outcome::UnknownId => counters.unknown_id += 1,
        Outcome::DuplicateId => counters.duplicate_id += 1,
        Outcome::Negative => counters.negative += 1,
        Outcome::Overflow => counters.overflow += 1,
        Outcome::Overfill => counters.overfill += 1,
        Outcome::Late => counters.late += 1,
    }
}

fn effect_at(effects: &Effects, i: usize) -> Effect {
    Effect {
        price_before: effects.price_before[i],
        size_before: effects.size_before[i],
        level_size: effects.level_size[i],
        level_orders: effects.level_orders[i],
        best_bid: effects.best_bid[i],
        best_ask: effects.best_ask[i],
        orders_ahead: effects.orders_ahead[i],
    }
}

/// What the book writes into a CHANGE: the value before it at the batch's scale, null where that can't hold it.
fn written_back(value: i64, by: u8) -> i64 {
    let factor = 10i64.pow(u32::from(by));
    if value != NULL && value % factor == 0 {
        value / factor
    } else {
        NULL
    }
}

fn run_batch(
    book: &mut Book,
    model: &mut Model,
    batch: &Batch,
    first_seq: i64,
) -> Result<(), TestCaseError> {
    if let Way::OneByOne = batch.way {
        return run_one_by_one(book, model, batch);
    }
    let slice = slice_of(batch, first_seq);
    let (counters, effects) = if let Way::Effects = batch.way {
        match book.apply_with_effects(&slice) {
            Ok((counters, effects)) => (Ok(counters), Some(effects)),
            Err(field) => (Err(field), None),
        }
    } else {
        (book.apply(&slice), None)
    };
    if !model.adopt(batch.scales) {
        prop_assert!(counters.is_err());
        return Ok(());
    }
    let by = (
        model.scales.0 - batch.scales.0,
        model.scales.1 - batch.scales.1,
    );
    let mut expected = Counters {
        events: batch.events.len() as u64,
        ..Counters::default()
    };
    for (i, event) in batch.events.iter().enumerate() {
        let (outcome, effect) = model.apply(*event, batch.scales);
        note(&mut expected, outcome);
        if event.flags & LAST != 0 {
            expected.crossed += u64::from(model.crossed());
        }
        if let Some(effects) = &effects {
            prop_assert_eq!(effect_at(effects, i), effect, "event {} {:?}", i, event);
        }
        if event.kind == CHANGE {
            let row = slice.columns.row(i);
            prop_assert_eq!(row.price_before, written_back(effect.price_before, by.0));
            prop_assert_eq!(row.size_before, written_back(effect.size_before, by.1));
        }
    }
    prop_assert_eq!(counters, Ok(expected));
    if let Some(last) = batch.events.len().checked_sub(1) {
        prop_assert_eq!(book.seq, slice.columns.seq[last]);
    }
    Ok(())
}

fn run_one_by_one(book: &mut Book, model: &mut Model, batch: &Batch) -> Result<(), TestCaseError> {
    for event in &batch.events {
        let outcome = book.apply_one(BookEvent {
            kind: event.kind,
            side: event.side,
            flags: event.flags,
            id: event.id,
            hash: hash_id(event.id),
            price: event.price,
            size: event.size,
        });
        let (expected, _) = model.apply(*event, model.scales);
        prop_assert_eq!(outcome, expected);
    }
    Ok(())
}

/// Everything that can be read is what the model says, and the book agrees with itself.
fn compare(book: &Book, model: &Model) -> Result<(), TestCaseError> {
    prop_assert_eq!(book.check(), Ok(()));
    prop_assert_eq!(book.len(), model.orders.len());
    prop_assert_eq!(book.crossed(), model.crossed());
    prop_assert_eq!(book.era, model.era);
    let mut twin = Book::new();
    (twin.price_scale, twin.size_scale) = (book.price_scale, book.size_scale);
    for side in [BID, ASK] {
        let half = &book.halves[side as usize];
        prop_assert_eq!(book.best_price(side), model.best(side));
        let level = |at: u32| &book.levels[at as usize];
        let depth: Vec<_> = half
            .ladder
            .iter()
            .map(|step| {
                let level = level(step.level);
                (level.price, level.total, level.count as usize)
            })
            .collect();
        let expected = model.depth(side);
        prop_assert_eq!(&depth, &expected);
        prop_assert_eq!(
            book.total(side),
            expected.iter().map(|(_, size, _)| size).sum::<i128>()
        );
        for (price, _, _) in expected {
            let (at, _) = book.find_level(side, price).expect("a level of the model");
            let slots: Vec<u32> = book.walk_level(at).collect();
            let queue = &model.queues[side as usize][&price];
            prop_assert_eq!(slots.len(), queue.len());
            for (ahead, (&slot, &id)) in slots.iter().zip(queue).enumerate() {
                let order = &book.orders[slot as usize];
                prop_assert_eq!((order.id(), order.size), (id, model.orders[&id].size));
                prop_assert_eq!(book.find(id).map(|(found, _)| found), Some(slot));
                // Without ranks this is a walk: in long queues only now and then.
                if ahead < 64 || ahead % 97 == 0 {
                    prop_assert_eq!(book.ahead(slot), ahead as i64);
                }
                twin.add(id, side, price, order.size);
            }
        }
    }
    prop_assert_eq!(book.digest(), twin.digest());
    Ok(())
}

fn campaign(cases: u32, batches: impl Strategy<Value = Vec<Batch>>, operations_min: u64) {
    let operations = Cell::new(0);
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    let outcome = TestRunner::new(config).run(&batches, |batches| {
        let (mut book, mut model) = (Book::new(), Model::default());
        (book.price_scale, book.size_scale) = (Some(0), Some(0));
        let mut next_seq = 1;
        for batch in &batches {
            run_batch(&mut book, &mut model, batch, next_seq)?;
            compare(&book, &model)?;
            next_seq += batch
                .events
                .iter()
                .filter(|event| Model::counts(event))
                .count() as i64;
            operations.set(operations.get() + batch.events.len() as u64);
        }
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    assert!(operations.get() >= operations_min, "{}", operations.get());
}

#[test]
fn a_small_crowded_book_is_the_naive_book() {
    campaign(
        900,
        prop::collection::vec(batches(48, 6, 200), 5..25),
        OPERATIONS_MIN,
    );
}

#[test]
fn a_book_of_many_levels_is_the_naive_book() {
    campaign(
        40,
        prop::collection::vec(batches(6000, 900, 3000), 4..12),
        OPERATIONS_MIN / 4,
    );
}

#[test]
fn a_book_of_long_queues_is_the_naive_book() {
    campaign(
        40,
        prop::collection::vec(batches(3000, 2, 2000), 4..12),
        OPERATIONS_MIN / 5,
    );
}
