//! The window: whatever a feed says, its events make a second book equal, and nothing of a trade is lost.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;

use _engine::attribution::Stamp;
use _engine::batch::{Columns, Slice};
use _engine::book::Book;
use _engine::events::*;
use _engine::ids::{Codec, Form, Id};
use _engine::window::Window;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

const STATEMENTS_MIN: u64 = 300_000;
const WINDOW: usize = 6;
const HORIZON_NS: i64 = 1000;
const TRADES_MAX: usize = 12;

#[derive(Clone, Debug)]
enum Statement {
    Clear,
    Put {
        id: u64,
        price: String,
        amount: String,
    },
    Remove {
        id: u64,
    },
    Trade {
        id: u64,
        price: String,
        amount: String,
    },
    Known {
        id: u64,
    },
    Discard,
    Commit {
        later: i64,
    },
}

fn number(values: std::ops::Range<i64>) -> impl Strategy<Value = String> {
    let digits = prop_oneof![200 => Just(0usize), 5 => 1usize..3, 1 => 3usize..9];
    (values, digits).prop_map(|(value, digits)| {
        if digits == 0 {
            value.to_string()
        } else {
            format!("{value}.{:0digits$}", 5)
        }
    })
}

fn statements() -> impl Strategy<Value = Vec<Statement>> {
    let id = || 1u64..28;
    let one = prop_oneof![
        1 => Just(Statement::Clear),
        60 => (id(), number(98..102), number(-9..10))
            .prop_map(|(id, price, amount)| Statement::Put { id, price, amount }),
        30 => id().prop_map(|id| Statement::Remove { id }),
        12 => (1u64..5000, number(98..102), number(-12..13))
            .prop_map(|(id, price, amount)| Statement::Trade { id, price, amount }),
        1 => (1u64..5000).prop_map(|id| Statement::Known { id }),
        1 => Just(Statement::Discard),
        25 => (0i64..400).prop_map(|later| Statement::Commit { later }),
    ];
    prop::collection::vec(one, 1..600)
}

/// A resolver, the book it writes and a second book that only sees its events.
struct Bench {
    window: Window,
    book: Book,
    replica: Book,
    codecs: (Arc<Codec>, Arc<Codec>),
    next_seq: i64,
    now: i64,
    last_ts: i64,
    /// A trade's size, and what of it has been told, at a scale of 18 digits.
    trades: HashMap<Id, (i128, i128)>,
    /// What left orders unexplained, and what late matches explained of it.
    unexplained: HashMap<Id, (i128, i128)>,
    statements: u64,
}

impl Bench {
    fn new() -> Self {
        Self {
            window: Window::new(WINDOW, HORIZON_NS, 5, TRADES_MAX),
            book: Book::new(),
            replica: Book::new(),
            codecs: (Codec::new(Form::Int), Codec::new(Form::Int)),
            next_seq: 1,
            now: 1,
            last_ts: 0,
            trades: HashMap::new(),
            unexplained: HashMap::new(),
            statements: 0,
        }
    }

    fn say(&mut self, statement: &Statement) -> Result<(), TestCaseError> {
        self.statements += 1;
        self.now += 1;
        let stamp = Stamp {
            ts_recv: self.now,
            ts_event: if self.now % 7 == 0 {
                NULL
            } else {
                self.now - self.now % 3
            },
            venue_seq: self.now,
        };
        match statement {
            Statement::Clear => self.window.clear(stamp),
            Statement::Put { id, price, amount } => {
                let put = self.window.put(
                    &mut self.book,
                    Id::from(*id),
                    price.as_bytes(),
                    amount.as_bytes(),
                    stamp,
                );
                prop_assert!(put.is_ok());
            }
            Statement::Remove { id } => self.window.remove(Id::from(*id), stamp),
            Statement::Trade { id, price, amount } => {
                let new = self.window.trade(
                    &mut self.book,
                    Id::from(*id),
                    amount.as_bytes(),
                    price.as_bytes(),
                    stamp,
                );
                if new == Ok(true) {
                    let parsed = _engine::number::parse(amount.as_bytes()).expect("a number");
                    let size = parsed.coefficient.abs() * 10i128.pow((18 + parsed.exponent) as u32);
                    let known = self.trades.insert(Id::from(*id), (size, 0));
                    // The resolver forgets the oldest ids at its bound; the test must not mix them up.
                    prop_assume!(known.is_none());
                }
            }
            Statement::Known { id } => self.window.known_trade(Id::from(*id)),
            Statement::Discard => self.window.discard(),
            Statement::Commit { later } => {
                self.now += later;
                self.commit()?;
            }
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<(), TestCaseError> {
        let before = self.book.digest();
        let (codec, trade_codec) = (&self.codecs.0, &self.codecs.1);
        let columns =
            self.window
                .commit(&mut self.book, codec, trade_codec, self.next_seq, self.now);
        prop_assert_eq!(self.window.pending(), 0);
        prop_assert!(self.window.waiting_trades() <= TRADES_MAX);
        prop_assert_eq!(self.book.check(), Ok(()));
        let Some(columns) = columns else {
            prop_assert_eq!(self.book.digest(), before);
            return Ok(());
        };
        self.check_form(&columns)?;
        self.check_ends(&columns)?;
        self.account(&columns)?;
        self.replay(columns)
    }

    /// `seq` without a hole, LAST once, times that never decrease, snapshot rows with the CLEAR's `seq`.
    fn check_form(&mut self, columns: &Columns) -> Result<(), TestCaseError> {
        let rows = columns.len();
        prop_assert!(rows > 0);
        for i in 0..rows {
            let state = columns.flags[i] & SNAPSHOT != 0;
            if state {
                prop_assert_eq!(columns.kind[0], CLEAR);
                prop_assert_eq!(columns.seq[i], columns.seq[0]);
                prop_assert_eq!(columns.kind[i], OPEN);
            } else {
                prop_assert_eq!(columns.seq[i], self.next_seq);
                self.next_seq += 1;
            }
            prop_assert_eq!(
                columns.kind[i] == CLEAR,
                columns.order_id[i] == Id::MAX && columns.side[i] == NO_SIDE
            );
            prop_assert_eq!(columns.flags[i] & LAST != 0, i + 1 == rows);
            prop_assert!(columns.ts_recv[i] >= self.last_ts);
            self.last_ts = columns.ts_recv[i];
        }
        Ok(())
    }

    /// An order that left was evicted where its side is full and it was worse than the worst, else it ended.
    fn check_ends(&self, columns: &Columns) -> Result<(), TestCaseError> {
        for i in 0..columns.len() {
            let kind = columns.kind[i];
            if kind != EVICT && kind != DONE {
                continue;
            }
            let (side, id) = (columns.side[i], columns.order_id[i]);
            let towards_worse = |price: i64| if side == ASK { price } else { -price };
            let keys = self.book.walk(side);
            let keys: Vec<(i64, Id)> = keys
                .map(|(level, order)| (towards_worse(level.price), order.id()))
                .collect();
            let full = keys.len() >= WINDOW;
            let beyond = keys
                .iter()
                .max()
                .is_some_and(|worst| (towards_worse(columns.price[i]), id) > *worst);
            prop_assert_eq!(kind == EVICT, full && beyond);
        }
        Ok(())
    }

    /// Keeps the accounts of trades and of what left orders.
    fn account(&mut self, columns: &Columns) -> Result<(), TestCaseError> {
        let factor = 10i128.pow(u32::from(18 - columns.size_scale));
        for i in 0..columns.len() {
            let row = columns.row(i);
            let size = i128::from(row.size) * factor;
            match row.kind {
                MATCH | TRADE => {
                    let trade = self.trades.get_mut(&row.trade_id).expect("a trade we told");
                    trade.1 += size;
                    prop_assert!(trade.1 <= trade.0);
                    prop_assert_eq!(row.taker_side, 1 - row.side);
                    if row.flags & LATE != 0 {
                        let left = self.unexplained.get_mut(&row.order_id).expect("an end");
                        left.1 += size;
                        prop_assert!(left.1 <= left.0);
                    }
                }
                DONE if row.reason == REASON_UNKNOWN => {
                    self.unexplained.entry(row.order_id).or_default().0 += size;
                }
                CHANGE => {
                    let less = (i128::from(row.size_before) - i128::from(row.size)).max(0);
                    self.unexplained.entry(row.order_id).or_default().0 += less * factor;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn replay(&mut self, columns: Columns) -> Result<(), TestCaseError> {
        let slice = Slice::whole(columns);
        let counters = if self.statements.is_multiple_of(2) {
            self.replica.apply(&slice)
        } else {
            self.replica
                .apply_with_effects(&slice)
                .map(|(counters, _)| counters)
        };
        let counters = counters.expect("scales that fit");
        prop_assert_eq!(counters.faults(), counters.crossed);
        prop_assert_eq!(counters.crossed, u64::from(self.book.crossed()));
        prop_assert_eq!(self.replica.digest(), self.book.digest());
        prop_assert_eq!(
            (self.replica.seq, self.replica.ts_recv, self.replica.era),
            (self.book.seq, self.book.ts_recv, self.book.era)
        );
        Ok(())
    }

    /// After the horizon every trade is told to its last digit.
    fn close(&mut self) -> Result<(), TestCaseError> {
        self.window.discard();
        self.now += 10 * HORIZON_NS;
        self.commit()?;
        prop_assert_eq!(self.window.waiting_trades(), 0);
        for (id, (size, told)) in &self.trades {
            prop_assert_eq!(size, told, "trade {}", id);
        }
        Ok(())
    }
}

#[test]
fn the_events_of_a_window_make_an_equal_book_and_account_for_every_trade() {
    let said = Cell::new(0);
    let config = Config {
        cases: 1200,
        failure_persistence: None,
        max_global_rejects: 100_000,
        ..Config::default()
    };
    let outcome = TestRunner::new(config).run(&statements(), |statements| {
        let mut bench = Bench::new();
        for statement in &statements {
            bench.say(statement)?;
        }
        bench.close()?;
        said.set(said.get() + bench.statements);
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    assert!(said.get() >= STATEMENTS_MIN, "{}", said.get());
}
