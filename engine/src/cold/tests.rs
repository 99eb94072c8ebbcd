use std::sync::atomic::Ordering;

use proptest::prelude::*;

use super::*;
use crate::batch::Row;
use crate::events::{ASK, BID, CHANGE, CLEAR, DONE, EVICT, MATCH, NO_SIDE, NULL, OPEN, TRADE};
use crate::ids::{Form, Id, NULL_ID};

fn columns_of(rows: &[Row], first_seq: i64) -> Columns {
    let codec = || Codec::new(Form::Int);
    Columns::from_rows(rows, first_seq, (2, 8), codec(), codec())
}

/// What every edge sees of a row.
fn told(columns: &Columns, at: usize) -> impl PartialEq + std::fmt::Debug {
    let row = columns.row(at);
    (
        (columns.seq[at], row.venue_seq, row.ts_event, row.ts_recv),
        (row.kind, row.side, row.reason, row.flags, row.taker_side),
        (row.order_id, row.trade_id, row.taker_order_id),
        (row.price, row.size, row.price_before, row.size_before),
    )
}

fn decoded(block: &[u8], first_seq: i64) -> Option<Columns> {
    let codec = || Codec::new(Form::Int);
    decode_block(block, first_seq, (2, 8), (codec(), codec()))
}

fn comes_back(rows: &[Row], first_seq: i64) -> Vec<u8> {
    let columns = columns_of(rows, first_seq);
    let block = encode_block(&Slice::whole(columns));
    let back = decoded(&block, first_seq).expect("a block that was just written");
    let columns = columns_of(rows, first_seq);
    assert_eq!(back.len(), rows.len());
    for at in 0..rows.len() {
        assert_eq!(told(&back, at), told(&columns, at), "row {at}");
    }
    block
}

/// Anything that fits the columns, seldom twice the same.
fn wild() -> impl Strategy<Value = Vec<Row>> {
    let number = || prop_oneof![Just(NULL), Just(0), -3i64..4, any::<i64>()];
    let id = || prop_oneof![Just(NULL_ID), (0u128..9), any::<u128>()];
    let side = || prop_oneof![Just(BID), Just(ASK), Just(NO_SIDE)];
    let row = (
        (OPEN..=TRADE, side(), any::<u8>(), any::<u16>(), side()),
        (id(), id(), id()),
        (number(), number(), number(), number()),
        (
            number(),
            number(),
            prop_oneof![Just(0i64), 0i64..1000, 0i64..i64::MAX / 512],
        ),
    );
    prop::collection::vec(row, 1..200).prop_map(|rows| {
        let mut now = 0;
        let made = rows.into_iter().map(|(codes, ids, numbers, times)| {
            now += times.2;
            // Only these may have neither side nor order.
            let alone = matches!(codes.0, CLEAR | TRADE);
            let known = |id: Id| if id == NULL_ID && !alone { 7 } else { id };
            Row {
                kind: codes.0,
                side: if alone { codes.1 } else { codes.1 & 1 },
                reason: codes.2,
                // A row of a snapshot is none of an archive's file.
                flags: codes.3 & !1,
                taker_side: codes.4,
                order_id: known(ids.0),
                trade_id: ids.1,
                taker_order_id: ids.2,
                price: numbers.0,
                size: numbers.1,
                price_before: if codes.0 == CHANGE { numbers.2 } else { NULL },
                size_before: if codes.0 == CHANGE { numbers.3 } else { NULL },
                venue_seq: times.0,
                ts_event: times.1,
                ts_recv: now,
            }
        });
        made.collect()
    })
}

/// Something like a market: few orders that come, change, trade and go, some of them again and again.
fn likely() -> impl Strategy<Value = Vec<Row>> {
    let step = (
        0u8..12,
        0u128..40,
        0i64..30,
        1i64..6,
        0i64..900,
        any::<bool>(),
    );
    prop::collection::vec(step, 1..600).prop_map(|steps| {
        let mut now = 1_700_000_000_000_000_000;
        let made = steps
            .into_iter()
            .map(|(kind, order, price, size, ns, asks)| {
                now += ns * 100;
                let kind = [
                    OPEN, OPEN, OPEN, OPEN, DONE, DONE, DONE, MATCH, CHANGE, EVICT, TRADE, CLEAR,
                ][usize::from(kind)];
                let order_id = 210_000_000_000 + order * 7;
                let mut row = Row {
                    kind,
                    side: u8::from(asks),
                    flags: 2,
                    order_id,
                    price: 6_000_000 + price * 50,
                    size: size * 1_000,
                    ts_recv: now,
                    ts_event: now - now % 1_000_000,
                    venue_seq: now / 1_000,
                    ..Row::EMPTY
                };
                match kind {
                    MATCH => {
                        row.trade_id = order + 5;
                        row.taker_order_id = order_id + 1;
                        row.taker_side = 1 - row.side;
                    }
                    CHANGE => (row.price_before, row.size_before) = (row.price - 50, 1_000),
                    TRADE => (row.order_id, row.trade_id) = (NULL_ID, order),
                    CLEAR => {
                        row = Row {
                            kind,
                            ts_recv: now,
                            ..Row::EMPTY
                        }
                    }
                    _ => {}
                }
                row
            });
        made.collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn whatever_fits_the_columns_comes_back(rows in wild(), first_seq in 1i64..1 << 40) {
        comes_back(&rows, first_seq);
    }

    #[test]
    fn what_a_market_does_comes_back_and_is_modelled(rows in likely(), first_seq in 1i64..1 << 40) {
        let block = comes_back(&rows, first_seq);
        prop_assert_eq!(block[CRC], MODELLED);
    }

    #[test]
    fn a_flipped_bit_is_no_block_and_a_forged_block_does_no_harm(
        rows in likely(),
        at in any::<prop::sample::Index>(),
        bit in 0u8..8,
        kept in any::<prop::sample::Index>(),
    ) {
        let mut block = comes_back(&rows, 1);
        let at = at.index(block.len());
        block[at] ^= 1 << bit;
        prop_assert!(decoded(&block, 1).is_none());
        // Somebody who makes the checksum fit gets None or rows, and neither panics nor hangs.
        block.truncate((CRC + 1).max(block.len() - kept.index(8)));
        let crc = crc32c::crc32c(&block[CRC..]);
        block[..CRC].copy_from_slice(&crc.to_le_bytes());
        let _ = decoded(&block, 1);
    }
}

#[test]
fn an_order_costs_its_id_once() {
    let rows: Vec<Row> = (0..4_000u128)
        .map(|nth| {
            let order = nth / 2;
            Row {
                kind: if nth % 2 == 0 { OPEN } else { DONE },
                side: BID,
                flags: 2,
                // Nothing to be guessed in its bits.
                order_id: (order + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835) >> 1,
                price: 100,
                size: 5,
                ts_recv: nth as i64 * 1_000,
                ..Row::EMPTY
            }
        })
        .collect();
    let block = comes_back(&rows, 1);
    let bytes = block.len() as f64 / rows.len() as f64;
    assert!((7.5..8.5).contains(&bytes), "{bytes} bytes an event");
}

#[test]
fn what_no_model_holds_is_a_frame() {
    let row = |ts_recv: i64| Row {
        kind: CLEAR,
        ts_recv,
        ..Row::EMPTY
    };
    let rows = [row(5), row(4)];
    let columns = columns_of(&rows, 9);
    let block = encode_block(&Slice::whole(columns));
    assert_eq!(block[CRC], FRAMED);
    let back = decoded(&block, 9).expect("a frame");
    assert_eq!((back.seq[1], back.ts_recv[1]), (10, 4));
}

#[test]
fn what_changed_is_told_where_a_block_has_a_change() {
    let rows = [Row {
        kind: CHANGE,
        side: ASK,
        order_id: 7 as Id,
        price: 3,
        size: 2,
        ..Row::EMPTY
    }];
    comes_back(&rows, 1);
    let block = encode_block(&Slice::whole(columns_of(&rows, 1)));
    let before = decoded(&block, 1)
        .and_then(|columns| columns.before)
        .expect("a change");
    assert_eq!(before.price[0].load(Ordering::Relaxed), NULL);
}
