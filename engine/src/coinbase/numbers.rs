//! Numbers of messages at the book's scales, which grow where one needs more digits.
//!
//! A book never gives digits back, and a later one must fit as well.  So a message alone makes it grow only
//! where room is left; where none is, the venue's whole book says whether its numbers are like that.

use crate::batch::Row;
use crate::book::Book;
use crate::coinbase::feed::{Fault, Feed};
use crate::events::NULL;
use crate::number::{NumberError, Parsed, parse, power_of_ten, rescale};

/// So many times as large as any that rests a number to come may be, after a message made a scale grow.
const ROOM: i128 = 1_000;

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
            None => self.number_of_more_digits(book, field, text, parsed),
        }
    }

    #[cold]
    fn number_of_more_digits(
        &mut self,
        book: &mut Book,
        field: &'static str,
        text: &[u8],
        parsed: Parsed,
    ) -> Result<i64, Fault> {
        let wrong = |error| Fault::Number(field, text.to_vec(), error);
        let old = scales_of(book);
        let (new, value) = larger_scales(old, field, parsed).map_err(wrong)?;
        if !has_room(book, new) {
            return Err(Fault::Unreadable(format!(
                "a {field} of more digits than leave the book room"
            )));
        }
        let rows: Option<Vec<Row>> = self
            .rows
            .iter()
            .map(|row| rescaled(row, old, new))
            .collect();
        let rows = rows.ok_or_else(|| wrong(NumberError::TooLarge))?;
        book.adopt_scales(new.0, new.1)
            .map_err(|_| wrong(NumberError::TooLarge))?;
        self.rows = rows;
        Ok(value)
    }
}

pub fn scales_of(book: &Book) -> (u8, u8) {
    (book.price_scale.unwrap_or(0), book.size_scale.unwrap_or(0))
}

/// Scales (price, size) that hold the number too, and the number at its own.
fn larger_scales(
    (price_scale, size_scale): (u8, u8),
    field: &str,
    parsed: Parsed,
) -> Result<((u8, u8), i64), NumberError> {
    let needed = parsed.scale_needed()?;
    let (new, scale) = if field.ends_with("price") {
        let scale = price_scale.max(needed);
        ((scale, size_scale), scale)
    } else {
        let scale = size_scale.max(needed);
        ((price_scale, scale), scale)
    };
    let value = parsed.at_scale(scale).ok_or(NumberError::TooLarge)?;
    Ok((new, value))
}

/// Whether numbers `ROOM` times as large as those that rest fit the larger scales.
fn has_room(book: &Book, new: (u8, u8)) -> bool {
    let old = scales_of(book);
    let fits = |value: i64, from: u8, to: u8| {
        let factor = i128::from(power_of_ten(to - from));
        from == to || i128::from(value).abs() * factor * ROOM <= i128::from(i64::MAX)
    };
    (0..2)
        .flat_map(|side| book.walk(side))
        .all(|(level, order)| fits(level.price, old.0, new.0) && fits(order.size, old.1, new.1))
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
