//! `Flow`.

use std::collections::HashMap;

use pyo3::prelude::*;

use crate::flow::{self, SHOCK_DELAYS_NS, row};
use crate::python::lives::{Cells, Rows};
use crate::watch::Watch;

/// The flow of a market, a row a second.
#[pyclass(module = "ordertape")]
pub struct Flow(pub flow::Flow);

/// Two int64 a number, the lower half first.
fn wide(values: impl Iterator<Item = i128>) -> Cells {
    Cells::Long(
        values
            .flat_map(|value| [value as i64, (value >> 64) as i64])
            .collect(),
    )
}

fn long(values: impl Iterator<Item = i64>) -> Cells {
    Cells::Long(values.collect())
}

#[pymethods]
impl Flow {
    #[new]
    #[pyo3(signature = (
        *, hold_ns, rows_max=100_000, cells_max=4_000_000, trades_max=262_144, shocks_max=4_096,
        held_max=1_000_000
    ))]
    fn new(
        hold_ns: i64,
        rows_max: usize,
        cells_max: usize,
        trades_max: usize,
        shocks_max: usize,
        held_max: usize,
    ) -> Self {
        let most = flow::Bounds {
            rows: rows_max.max(1),
            cells: cells_max,
            trades: trades_max,
            shocks: shocks_max,
            held: held_max.max(1),
        };
        Self(flow::Flow::new(hold_ns, most))
    }

    /// Events are missing: nothing is known of the book from a time on (ns; None: now).
    #[pyo3(signature = (from_ns=None))]
    fn gap(&mut self, from_ns: Option<i64>) {
        self.0.gap(from_ns);
    }

    fn advance(&mut self, ts: i64) {
        self.0.advance(ts);
    }

    #[staticmethod]
    fn names() -> HashMap<&'static str, Vec<String>> {
        HashMap::from([
            ("counts", row::count_names()),
            ("sums", row::sum_names()),
            ("means", row::mean_names()),
        ])
    }

    /// How many of each kind are sums over the second; the others are as it ended.
    #[staticmethod]
    fn flows() -> HashMap<&'static str, usize> {
        HashMap::from([
            ("counts", row::count::FLOWS),
            ("sums", row::sum::FLOWS),
            ("means", row::mean::FLOWS),
        ])
    }

    fn drain(&mut self) -> Rows {
        let rows = self.0.drain();
        let columns = vec![
            ("second", long(rows.iter().map(|row| row.second))),
            ("seconds", long(rows.iter().map(|row| row.seconds))),
            ("counts", long(rows.iter().flat_map(|row| row.counts))),
            ("sums", wide(rows.iter().flat_map(|row| row.sums))),
            (
                "means",
                Cells::Double(rows.iter().flat_map(|row| row.means).collect()),
            ),
        ];
        Rows::of(columns, self.0.scales)
    }

    fn drain_lifetimes(&mut self) -> Rows {
        let told = std::mem::take(&mut self.0.ended.lifetimes);
        let columns = vec![
            ("second", long(told.iter().map(|cell| cell.0))),
            (
                "fate",
                Cells::Byte(told.iter().map(|cell| cell.1).collect()),
            ),
            (
                "truncated",
                Cells::Byte(told.iter().map(|cell| cell.2).collect()),
            ),
            ("lasted", long(told.iter().map(|cell| cell.3))),
            ("count", long(told.iter().map(|cell| cell.4))),
        ];
        Rows::of(columns, self.0.scales)
    }

    fn drain_cohorts(&mut self) -> Rows {
        let told = std::mem::take(&mut self.0.ended.told);
        let columns = vec![
            ("second", long(told.iter().map(|row| row.0))),
            ("cohort", long(told.iter().map(|row| row.1))),
            ("orders", long(told.iter().map(|row| row.2.orders))),
            ("touched", long(told.iter().map(|row| row.2.touched))),
            ("filled", long(told.iter().map(|row| row.2.filled))),
            ("cancelled", long(told.iter().map(|row| row.2.cancelled))),
            ("size", wide(told.iter().map(|row| row.2.size))),
            (
                "filled_size",
                wide(told.iter().map(|row| row.2.filled_size)),
            ),
        ];
        Rows::of(columns, self.0.scales)
    }

    fn drain_shocks(&mut self) -> Rows {
        let told = std::mem::take(&mut self.0.recovered);
        let columns = vec![
            ("ts", long(told.iter().map(|shock| shock.ts))),
            (
                "side",
                Cells::Byte(told.iter().map(|shock| shock.side).collect()),
            ),
            ("spread", long(told.iter().map(|shock| shock.spread))),
            ("traded", wide(told.iter().map(|shock| shock.traded))),
            ("best", wide(told.iter().map(|shock| shock.best))),
            ("depth", wide(told.iter().map(|shock| shock.depth))),
            ("depths", wide(told.iter().flat_map(|shock| shock.depths))),
            ("spreads", long(told.iter().flat_map(|shock| shock.spreads))),
        ];
        Rows::of(columns, self.0.scales)
    }

    /// When the depths and spreads of a shock are looked at (ns behind it).
    #[staticmethod]
    fn shock_delays() -> Vec<i64> {
        SHOCK_DELAYS_NS.to_vec()
    }

    #[getter]
    fn scales(&self) -> (u8, u8) {
        self.0.scales
    }

    #[getter]
    fn dropped(&self) -> u64 {
        self.0.dropped
    }
}
