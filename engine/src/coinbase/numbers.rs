//! Numbers of messages at the book's scales, which grow where one needs more digits.

use crate::batch::Row;
use crate::book::Book;
use crate::coinbase::feed::{Fault, Feed};
use crate::events::NULL;
use crate::number::{NumberError, Parsed, parse, rescale};

impl Feed {
    pub(super) fn optional(
        &mut self,
        book: &mut Book,
        field: &'static str,
        text: &[u8],
    ) -> Result<Option<i64>, Fault> {
        if text.is_empty() {
            return Ok(None);
        }
        self.number(book, field, text).map(Some)
    }

    /// At the book's scale of prices or sizes, which grows where it must.
    #[inline(always)]
    pub(super) fn number(
        &mut self,
        book: &mut Book,
        field: &'static str,
        text: &[u8],
    ) -> Result<i64, Fault> {
        if text.is_empty() {
            return Err(Fault::Unreadable(format!("a message without its {field}")));
        }
        let wrong = |error| Fault::Number(field, text.to_vec(), error);
        let parsed = parse(text).map_err(wrong)?;
        let scale = if field.ends_with("price") {
            book.price_scale
        } else {
            book.size_scale
        };
        match scale.and_then(|scale| parsed.at_scale(scale)) {
            Some(value) => Ok(value),
            None => self.grown(book, field, parsed).map_err(wrong),
        }
    }

    #[cold]
    fn grown(
        &mut self,
        book: &mut Book,
        field: &'static str,
        parsed: Parsed,
    ) -> Result<i64, NumberError> {
        let old = (book.price_scale.unwrap_or(0), book.size_scale.unwrap_or(0));
        let needed = parsed.scale_needed()?;
        let new = if field.ends_with("price") {
            (old.0.max(needed), old.1)
        } else {
            (old.0, old.1.max(needed))
        };
        let scale = if field.ends_with("price") {
            new.0
        } else {
            new.1
        };
        let value = parsed.at_scale(scale).ok_or(NumberError::TooLarge)?;
        let rows: Option<Vec<Row>> = self
            .rows
            .iter()
            .map(|row| rescaled(row, old, new))
            .collect();
        let rows = rows.ok_or(NumberError::TooLarge)?;
        book.adopt_scales(new.0, new.1)
            .map_err(|_| NumberError::TooLarge)?;
        self.rows = rows;
        Ok(value)
    }
}

/// A row at larger scales (price, size); None where a value does not fit.
pub fn rescaled(row: &Row, old: (u8, u8), new: (u8, u8)) -> Option<Row> {
    let fit = |value: i64, from, to| {
        if value == NULL {
            Some(NULL)
        } else {
            rescale(value, from, to)
        }
    };
    Some(Row {
        price: fit(row.price, old.0, new.0)?,
        price_before: fit(row.price_before, old.0, new.0)?,
        size: fit(row.size, old.1, new.1)?,
        size_before: fit(row.size_before, old.1, new.1)?,
        ..*row
    })
}
