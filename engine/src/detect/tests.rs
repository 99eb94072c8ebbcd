//! Nothing that a tape may say makes the detectors panic, and how it is cut into batches changes nothing.

use std::sync::Arc;

use proptest::prelude::*;

use crate::batch::{Columns, Row, Slice};
use crate::book::Book;
use crate::detect::Detectors;
use crate::detect::finding::Finding;
use crate::events::{
    BID, CHANGE, CLEAR, DONE, EVICT, INFERRED, LATE, MATCH, NO_SIDE, NULL, OPEN, REENTRY, SNAPSHOT,
    TRADE,
};
use crate::ids::{Codec, Form};
use crate::lives::Lives;
use crate::watch::Watch;

fn kinds() -> impl Strategy<Value = u8> {
    prop_oneof![
        12 => Just(OPEN), 3 => Just(CHANGE), 6 => Just(MATCH), 8 => Just(DONE), 1 => Just(EVICT), 1 => Just(TRADE),
    ]
}

fn sizes() -> impl Strategy<Value = i64> {
    prop_oneof![
        30 => 1i64..50, 3 => 1_000i64..5_000, 1 => Just(0i64), 1 => -5i64..0, 1 => Just(NULL), 1 => Just(i64::MAX),
    ]
}

fn prices() -> impl Strategy<Value = i64> {
    prop_oneof![
        60 => 9_990i64..10_010, 1 => Just(NULL), 1 => Just(i64::MAX), 1 => Just(NULL + 1), 1 => Just(0i64),
    ]
}

fn steps() -> impl Strategy<Value = i64> {
    prop_oneof![
        20 => 0i64..3_000_000, 10 => 0i64..200_000_000, 1 => Just(70_000_000_000i64), 1 => Just(-1_000_000_000i64),
        1 => Just(i64::MAX / 4),
    ]
}

fn flags() -> impl Strategy<Value = u16> {
    prop_oneof![
        30 => Just(0u16), 1 => Just(SNAPSHOT), 1 => Just(LATE), 1 => Just(REENTRY), 1 => Just(INFERRED),
    ]
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let row = (
        kinds(),
        0u8..2,
        0u128..60,
        prices(),
        sizes(),
        steps(),
        flags(),
        0u8..8,
    );
    let row = row.prop_map(|(kind, side, id, price, size, step, flags, reason)| Row {
        ts_recv: step,
        kind,
        side,
        reason,
        flags,
        order_id: id,
        price,
        size,
        taker_order_id: 1_000 + id,
        taker_side: if id % 7 == 0 { NO_SIDE } else { 1 - side },
        ..Row::EMPTY
    });
    prop::collection::vec(row, 1..600).prop_map(|mut rows| {
        let mut now = 1_700_000_000_000_000_000i64;
        for (nth, row) in rows.iter_mut().enumerate() {
            now = now.saturating_add(row.ts_recv).max(0);
            row.ts_recv = now;
            if nth % 251 == 250 {
                *row = Row {
                    ts_recv: now,
                    kind: CLEAR,
                    side: NO_SIDE,
                    ..Row::EMPTY
                };
            }
        }
        rows
    })
}

/// The rows in batches of a size, the second half at a larger scale where that is asked for.
fn found(rows: &[Row], batch: usize, raised: bool) -> Vec<Finding> {
    let (mut book, mut lives) = (Book::default(), Lives::new(1_000_000_000, 100));
    let (mut detectors, mut seq) = (Detectors::default(), 1);
    let codec = Codec::new(Form::Int);
    let mut told = Vec::new();
    for (nth, rows) in rows.chunks(batch).enumerate() {
        let scales = if raised && nth > 0 { (4, 5) } else { (2, 3) };
        let columns = Columns::from_rows(rows, seq, scales, Arc::clone(&codec), Arc::clone(&codec));
        seq = columns.seq.last().map_or(seq, |last| last + 1);
        let slice = Slice::whole(columns);
        let Ok((_, effects)) = book.apply_with_effects(&slice) else {
            continue;
        };
        let scales = (book.price_scale.unwrap_or(0), book.size_scale.unwrap_or(0));
        assert!(detectors.adopt(scales) && lives.adopt(scales));
        lives.take(&slice, &effects, &mut [&mut detectors]);
        lives.drain(0);
        told.extend(detectors.drain());
    }
    told
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn nothing_panics_and_batches_do_not_matter(rows in rows()) {
        let whole = found(&rows, rows.len(), false);
        prop_assert_eq!(&whole, &found(&rows, 1, false));
        prop_assert_eq!(&whole, &found(&rows, 17, false));
    }

    #[test]
    fn larger_scales_in_the_middle_never_panic(rows in rows()) {
        found(&rows, rows.len() / 2 + 1, true);
    }
}

#[test]
fn a_side_of_the_book_may_be_empty() {
    let open = Row {
        kind: OPEN,
        side: BID,
        order_id: 1,
        price: 100,
        size: 5,
        ..Row::EMPTY
    };
    let done = Row {
        kind: DONE,
        side: BID,
        order_id: 1,
        price: 100,
        size: 5,
        ..Row::EMPTY
    };
    assert!(found(&[open, done], 1, false).is_empty());
}
