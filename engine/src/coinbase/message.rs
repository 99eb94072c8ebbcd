//! One message of the `full` channel, or a heartbeat: its fields as the venue wrote them.

use crate::events::{ASK, BID};
use crate::json::{Malformed, Scanner, Value, whole};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    Received,
    Open,
    Match,
    Done,
    Change,
    Heartbeat,
    /// Answers to what we sent.
    Subscriptions,
    Error,
    /// A type that is not documented, or one that has no effect on the book.
    #[default]
    Other,
}

/// What a message says; empty texts where a field is absent or null.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Message<'a> {
    pub kind: Kind,
    pub sequence: Option<i64>,
    pub product: &'a [u8],
    pub time: &'a [u8],
    pub order_id: &'a [u8],
    pub maker_order_id: &'a [u8],
    pub taker_order_id: &'a [u8],
    pub trade_id: &'a [u8],
    pub side: Option<u8>,
    pub price: &'a [u8],
    pub size: &'a [u8],
    pub remaining_size: &'a [u8],
    pub reason: &'a [u8],
    pub old_size: &'a [u8],
    pub new_size: &'a [u8],
    pub old_price: &'a [u8],
    pub new_price: &'a [u8],
}

const NEEDS_TEXT: Malformed = Malformed("a field that is not text");
const TWICE: Malformed = Malformed("a field that stands twice");

impl<'a> Message<'a> {
    pub fn read(text: &'a [u8]) -> Result<Self, Malformed> {
        let mut message = Self::default();
        let mut seen = 0_u32;
        let mut scanner = Scanner::new(text)?;
        scanner.members(|key, value| {
            match key {
                b"type" => {
                    let Value::Text(name) = value else {
                        return Err(NEEDS_TEXT);
                    };
                    once(&mut seen, TYPE)?;
                    message.kind = kind(name);
                }
                b"sequence" => {
                    once(&mut seen, SEQUENCE)?;
                    message.sequence = match value {
                        Value::Number(token) => whole(token),
                        Value::Null => return Ok(()),
                        _ => None,
                    };
                    if message.sequence.is_none() {
                        return Err(Malformed("a sequence that is no whole number"));
                    }
                }
                b"trade_id" => {
                    once(&mut seen, TRADE_ID)?;
                    message.trade_id = match value {
                        Value::Number(token) if whole(token).is_some() => token,
                        Value::Null => b"",
                        _ => return Err(Malformed("a trade_id that is no whole number")),
                    }
                }
                b"side" => {
                    once(&mut seen, SIDE)?;
                    message.side = match value {
                        Value::Text(b"buy") => Some(BID),
                        Value::Text(b"sell") => Some(ASK),
                        Value::Null | Value::Text(b"") => None,
                        _ => return Err(Malformed("a side that is neither buy nor sell")),
                    }
                }
                _ => {
                    if let Some((number, field)) = message.text_field(key) {
                        once(&mut seen, number)?;
                        match value {
                            Value::Text(text) => *field = text,
                            Value::Null => {}
                            _ => return Err(NEEDS_TEXT),
                        }
                    }
                }
            }
            Ok(())
        })?;
        scanner.end()?;
        if seen & (1 << TYPE) == 0 {
            return Err(Malformed("a message without its type"));
        }
        Ok(message)
    }

    /// The field of a name, and its number among all.
    #[inline(always)]
    fn text_field(&mut self, key: &[u8]) -> Option<(u32, &mut &'a [u8])> {
        Some(match key {
            b"product_id" => (4, &mut self.product),
            b"time" => (5, &mut self.time),
            b"order_id" => (6, &mut self.order_id),
            b"maker_order_id" => (7, &mut self.maker_order_id),
            b"taker_order_id" => (8, &mut self.taker_order_id),
            b"price" => (9, &mut self.price),
            b"size" => (10, &mut self.size),
            b"remaining_size" => (11, &mut self.remaining_size),
            b"reason" => (12, &mut self.reason),
            b"old_size" => (13, &mut self.old_size),
            b"new_size" => (14, &mut self.new_size),
            b"old_price" => (15, &mut self.old_price),
            b"new_price" => (16, &mut self.new_price),
            _ => return None,
        })
    }
}

const TYPE: u32 = 0;
const SEQUENCE: u32 = 1;
const TRADE_ID: u32 = 2;
const SIDE: u32 = 3;

/// A field that stands twice says two things, also where one of them is null.
#[inline(always)]
fn once(seen: &mut u32, field: u32) -> Result<(), Malformed> {
    let bit = 1 << field;
    if *seen & bit != 0 {
        return Err(TWICE);
    }
    *seen |= bit;
    Ok(())
}

#[inline(always)]
fn kind(name: &[u8]) -> Kind {
    match name {
        b"received" => Kind::Received,
        b"open" => Kind::Open,
        b"match" => Kind::Match,
        b"done" => Kind::Done,
        b"change" => Kind::Change,
        b"heartbeat" => Kind::Heartbeat,
        b"subscriptions" => Kind::Subscriptions,
        b"error" => Kind::Error,
        _ => Kind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_match_names_both_orders() {
        let text = br#"{"type":"match","trade_id":280232,"maker_order_id":"2a0da34e-61f7-4c36-88e5-c9dd15927b16","taker_order_id":"3c82abaa-c01e-4608-be59-6a1e69742891","side":"sell","size":"985","price":"0.00001305","product_id":"SKL-BTC","sequence":177100030,"time":"2021-04-17T16:43:37.089723Z"}"#;
        let expected = Message {
            kind: Kind::Match,
            sequence: Some(177_100_030),
            product: b"SKL-BTC",
            time: b"2021-04-17T16:43:37.089723Z",
            maker_order_id: b"2a0da34e-61f7-4c36-88e5-c9dd15927b16",
            taker_order_id: b"3c82abaa-c01e-4608-be59-6a1e69742891",
            trade_id: b"280232",
            side: Some(ASK),
            price: b"0.00001305",
            size: b"985",
            ..Message::default()
        };
        assert_eq!(Message::read(text), Ok(expected));
    }

    #[test]
    fn a_null_is_an_absent_field() {
        let text = br#"{"type":"done","sequence":null,"price":null,"remaining_size":"","side":"buy","order_id":"a"}"#;
        let message = Message::read(text).unwrap();
        assert_eq!((message.sequence, message.price), (None, &b""[..]));
    }

    #[test]
    fn fields_of_the_wrong_kind_are_refused() {
        for text in [
            r#"{"sequence":1}"#,
            r#"{"type":1}"#,
            r#"{"type":"open","type":"done"}"#,
            r#"{"type":"open","sequence":"1"}"#,
            r#"{"type":"open","sequence":1.5}"#,
            r#"{"type":"open","sequence":1,"sequence":2}"#,
            r#"{"type":"open","price":1}"#,
            r#"{"type":"open","price":"1","price":"2"}"#,
            r#"{"type":"open","price":null,"price":"2"}"#,
            r#"{"type":"open","remaining_size":"","remaining_size":"5"}"#,
            r#"{"type":"open","side":"buy","side":"sell"}"#,
            r#"{"type":"match","trade_id":null,"trade_id":7}"#,
            r#"{"type":"open","sequence":null,"sequence":2}"#,
            r#"{"type":"open","side":"bid"}"#,
            r#"{"type":"open","order_id":"a\u0062"}"#,
            r#"{"type":"match","trade_id":"7"}"#,
            r#"{"type":"match","trade_id":7.5}"#,
        ] {
            assert!(Message::read(text.as_bytes()).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[{}\":,a-z_0-9.]{0,80}") {
            let _ = Message::read(text.as_bytes());
        }
    }
}
