//! `Heat`.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::heat::{self, Finished};
use crate::number::NumberError;
use crate::python::batch::EventBatch;
use crate::python::book::OrderBook;
use crate::python::convert::refused;
use crate::python::lives::{Cells, Rows};
use crate::watch::Watch;

fn of_finished(finished: Finished) -> Rows {
    let columns = vec![
        ("bucket", Cells::Long(finished.bucket)),
        ("bid", Cells::Long(finished.bid)),
        ("ask", Cells::Long(finished.ask)),
        ("last", Cells::Long(finished.last)),
        ("end", Cells::Long(finished.end)),
        ("row", Cells::Long(finished.row)),
        ("size", Cells::Long(finished.size)),
    ];
    Rows::of(columns, (0, 0))
}

fn level_of(level: usize) -> PyResult<usize> {
    if level < heat::LEVELS {
        return Ok(level);
    }
    Err(PyValueError::new_err(format!(
        "expected a level of detail of 0 to {}, found {level}",
        heat::LEVELS - 1
    )))
}

/// How much rested in each row of prices, bucket by bucket, on four levels of detail.
#[pyclass(module = "ordertape")]
pub struct Heat(pub heat::Heat);

#[pymethods]
impl Heat {
    #[new]
    #[pyo3(signature = (group, min_size=0, *, price_scale=0, size_scale=0, level=None))]
    fn new(
        group: i64,
        min_size: i64,
        price_scale: u8,
        size_scale: u8,
        level: Option<usize>,
    ) -> PyResult<Self> {
        if group < 1 || min_size < 0 {
            return Err(PyValueError::new_err(format!(
                "expected a group of 1 or more and a least size of 0 or more, found {group} and {min_size}"
            )));
        }
        Ok(Self(heat::Heat::new(
            group,
            min_size,
            (price_scale, size_scale),
            level.map(level_of).transpose()?,
        )))
    }

    /// Stands on a book, as if it had been told of all that rests there.
    fn begin(&mut self, book: &OrderBook) -> PyResult<()> {
        if self.0.begin(&book.book) {
            return Ok(());
        }
        Err(PyValueError::new_err(
            "the heat's scales are larger than the book's, or its numbers do not fit them",
        ))
    }

    /// Applies a batch to the book that it stands on, and takes in what that did.
    fn apply(&mut self, book: &mut OrderBook, batch: &Bound<'_, EventBatch>) -> PyResult<()> {
        let slice = book.translated(&batch.get().0)?;
        let (heat, book) = (&mut self.0, &mut book.book);
        let done = batch.py().detach(|| heat.apply(book, &slice));
        done.map_err(|field| refused(field, b"", NumberError::TooLarge))
    }

    #[getter]
    fn group(&self) -> i64 {
        self.0.group
    }
    #[getter]
    fn min_size(&self) -> i64 {
        self.0.min_size
    }
    #[getter]
    fn prices(&self) -> (i64, i64, i64) {
        self.0.prices.into()
    }

    fn advance(&mut self, ts: i64) {
        self.0.advance(ts);
    }

    fn drain(&mut self, level: usize) -> PyResult<Rows> {
        Ok(of_finished(self.0.drain(level_of(level)?)))
    }

    fn resting(&self) -> Rows {
        let (row, size) = self.0.resting();
        let columns = vec![("row", Cells::Long(row)), ("size", Cells::Long(size))];
        Rows::of(columns, (0, 0))
    }
}
