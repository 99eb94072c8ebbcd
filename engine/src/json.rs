//! A strict scanner of JSON text for the messages that are read once per event: it hands out the venue's
//! own bytes of strings and numbers and makes no tree.

/// Why a text is not what was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

/// Objects and arrays inside each other that are passed over.
const DEPTH_MAX: u8 = 32;

/// One value; texts are as they stand between their quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    Text(&'a [u8]),
    Number(&'a [u8]),
    True,
    False,
    Null,
    /// An object, an array, or a text with a backslash in it.
    Other,
}

pub struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
}

const EACH: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = EACH << 7;

/// The high bit of the first byte that is zero, and perhaps of later ones.
#[inline(always)]
fn zeros(word: u64) -> u64 {
    word.wrapping_sub(EACH) & !word & HIGH
}

/// The place of the first quote, backslash or control character from `at` on; the length where none is.
#[inline(always)]
fn string_end(text: &[u8], mut at: usize) -> usize {
    while let Some(chunk) = text.get(at..at + 8) {
        let word = u64::from_le_bytes(chunk.try_into().unwrap_or_default());
        let ends = zeros(word ^ (EACH * b'"' as u64))
            | zeros(word ^ (EACH * b'\\' as u64))
            | (word.wrapping_sub(EACH * 0x20) & !word & HIGH);
        if ends != 0 {
            return at + ends.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    while at < text.len() && !matches!(text[at], b'"' | b'\\' | 0..=0x1f) {
        at += 1;
    }
    at
}

impl<'a> Scanner<'a> {
    pub fn new(text: &'a [u8]) -> Result<Self, Malformed> {
        if text.is_ascii() || std::str::from_utf8(text).is_ok() {
            Ok(Self { text, at: 0 })
        } else {
            Err(Malformed("not UTF-8 text"))
        }
    }

    #[inline(always)]
    fn skip_blanks(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.text.get(self.at) {
            self.at += 1;
        }
    }

    /// Takes this byte where it is the next behind blanks.
    #[inline(always)]
    pub fn take(&mut self, byte: u8) -> bool {
        if self.text.get(self.at) != Some(&byte) {
            self.skip_blanks();
            if self.text.get(self.at) != Some(&byte) {
                return false;
            }
        }
        self.at += 1;
        true
    }

    #[inline(always)]
    pub fn expect(&mut self, byte: u8, wanted: &'static str) -> Result<(), Malformed> {
        if self.take(byte) {
            Ok(())
        } else {
            Err(Malformed(wanted))
        }
    }

    /// Nothing but blanks is left.
    #[inline(always)]
    pub fn end(&mut self) -> Result<(), Malformed> {
        self.skip_blanks();
        if self.at == self.text.len() {
            Ok(())
        } else {
            Err(Malformed("more text behind the value"))
        }
    }

    /// The key of a member, its colon taken.  A key with a backslash is none that we read.
    #[inline(always)]
    pub fn key(&mut self) -> Result<&'a [u8], Malformed> {
        self.expect(b'"', "expected a key")?;
        let key = match self.text_value()? {
            Value::Text(key) => key,
            _ => b"",
        };
        self.expect(b':', "expected a colon")?;
        Ok(key)
    }

    #[inline(always)]
    pub fn value(&mut self) -> Result<Value<'a>, Malformed> {
        if self.take(b'"') {
            return self.text_value();
        }
        match self.text.get(self.at) {
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(_) => self.rare(0),
            None => Err(Malformed("the text ends in the middle")),
        }
    }

    /// Behind the opening quote.
    #[inline(always)]
    fn text_value(&mut self) -> Result<Value<'a>, Malformed> {
        let start = self.at;
        let end = string_end(self.text, start);
        if self.text.get(end) == Some(&b'"') {
            self.at = end + 1;
            return Ok(Value::Text(&self.text[start..end]));
        }
        self.escaped_text(end)
    }

    #[cold]
    fn escaped_text(&mut self, mut end: usize) -> Result<Value<'a>, Malformed> {
        loop {
            match self.text.get(end) {
                Some(b'"') => {
                    self.at = end + 1;
                    return Ok(Value::Other);
                }
                Some(b'\\') => {
                    let length = escape_length(&self.text[end + 1..])
                        .ok_or(Malformed("not an escape in a string"))?;
                    end = string_end(self.text, end + 1 + length);
                }
                None => return Err(Malformed("the text ends in the middle")),
                Some(_) => return Err(Malformed("a control character in a string")),
            }
        }
    }

    #[inline(always)]
    fn number(&mut self) -> Result<Value<'a>, Malformed> {
        let start = self.at;
        self.at += usize::from(self.text[start] == b'-');
        let first = self.at;
        let mut whole = self.digits() > 0;
        whole &= self.text.get(first) != Some(&b'0') || self.at == first + 1;
        if self.text.get(self.at) == Some(&b'.') {
            self.at += 1;
            whole &= self.digits() > 0;
        }
        if let Some(b'e' | b'E') = self.text.get(self.at) {
            self.at += 1;
            self.at += usize::from(matches!(self.text.get(self.at), Some(b'+' | b'-')));
            whole &= self.digits() > 0;
        }
        if whole {
            Ok(Value::Number(&self.text[start..self.at]))
        } else {
            Err(Malformed("not a JSON number"))
        }
    }

    /// How many digits stand here; they are passed over.
    #[inline(always)]
    fn digits(&mut self) -> usize {
        let start = self.at;
        while self.text.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        self.at - start
    }

    #[cold]
    fn rare(&mut self, depth: u8) -> Result<Value<'a>, Malformed> {
        for (word, value) in [
            (b"true".as_slice(), Value::True),
            (b"false", Value::False),
            (b"null", Value::Null),
        ] {
            if self.text[self.at..].starts_with(word) {
                self.at += word.len();
                return Ok(value);
            }
        }
        if depth >= DEPTH_MAX {
            return Err(Malformed("nested too deep"));
        }
        let close = if self.take(b'{') {
            b'}'
        } else if self.take(b'[') {
            b']'
        } else {
            return Err(Malformed("expected a value"));
        };
        if self.take(close) {
            return Ok(Value::Other);
        }
        loop {
            if close == b'}' {
                self.key()?;
            }
            self.skip_blanks();
            match self.text.get(self.at) {
                Some(b'"' | b'-' | b'0'..=b'9') => self.value()?,
                Some(_) => self.rare(depth + 1)?,
                None => return Err(Malformed("the text ends in the middle")),
            };
            if self.take(close) {
                return Ok(Value::Other);
            }
            self.expect(b',', "expected a comma")?;
        }
    }

    /// Calls `each` with key and value of every member of the object that stands here.
    #[inline(always)]
    pub fn members(
        &mut self,
        mut each: impl FnMut(&'a [u8], Value<'a>) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        self.expect(b'{', "expected an object")?;
        if self.take(b'}') {
            return Ok(());
        }
        loop {
            let key = self.key()?;
            let value = self.value()?;
            each(key, value)?;
            if self.take(b',') {
                continue;
            }
            return self.expect(b'}', "expected a comma or the object's end");
        }
    }
}

/// The characters of an escape behind its backslash; None where it is none.
fn escape_length(text: &[u8]) -> Option<usize> {
    match text.first()? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(1),
        b'u' => text
            .get(1..5)?
            .iter()
            .all(u8::is_ascii_hexdigit)
            .then_some(5),
        _ => None,
    }
}

/// A whole number of at most 18 digits, which an int64 always holds.
#[inline]
pub fn whole(token: &[u8]) -> Option<i64> {
    if token.is_empty() || token.len() > 18 {
        return None;
    }
    token.iter().try_fold(0, |value, byte| {
        byte.is_ascii_digit()
            .then(|| value * 10 + i64::from(byte - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn members(text: &str) -> Result<Vec<(String, String)>, Malformed> {
        let mut found = Vec::new();
        let mut scanner = Scanner::new(text.as_bytes())?;
        scanner.members(|key, value| {
            found.push((
                String::from_utf8_lossy(key).into(),
                match value {
                    Value::Text(text) | Value::Number(text) => String::from_utf8_lossy(text).into(),
                    other => format!("{other:?}"),
                },
            ));
            Ok(())
        })?;
        scanner.end()?;
        Ok(found)
    }

    #[test]
    fn an_object_is_its_members_in_order() {
        let text = r#" {"a":"b", "c" : -1.5e3 ,"d":{"x":[1,{"y":null}],"z":{}},"e":true,"f":"g\"h","long key of more than eight":"ü and more than eight"} "#;
        let found = members(text).unwrap();
        let values: Vec<&str> = found.iter().map(|(_, value)| value.as_str()).collect();
        assert_eq!(
            values,
            [
                "b",
                "-1.5e3",
                "Other",
                "True",
                "Other",
                "ü and more than eight"
            ]
        );
        assert_eq!(members("{}"), Ok(vec![]));
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for text in [
            "",
            "{",
            "[]",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{\"a\":1}}",
            "{\"a\":01}",
            "{\"a\":-}",
            "{\"a\":\"b}",
            "{\"a\":\"b\\\"}",
            "{\"a\":\"b\\",
            "{\"a\":\"b\\x\"}",
            "{\"a\":\"b\\u00g0\"}",
            "{\"a\":\"b\u{1}\"}",
            "{\"a\":nul}",
            "{\"a\":[1,2}",
            "{\"a\":[1 2]}",
            "{\"a\":NaN}",
            "{\"a\":1.}",
            "{\"a\":.5}",
            "{\"a\":1e}",
            "{\"a\":--1}",
            "{a:1}",
        ] {
            assert!(members(text).is_err(), "{text}");
        }
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(members(&deep), Err(Malformed("nested too deep")));
    }

    #[test]
    fn a_whole_number_has_only_digits() {
        assert_eq!(whole(b"123456789012345678"), Some(123_456_789_012_345_678));
        for text in ["", "-1", "1.0", "1e3", "1234567890123456789"] {
            assert_eq!(whole(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[{}\\[\\]\":,a0.e\\\\ -]{0,60}") {
            let _ = members(&text);
        }

        #[test]
        fn a_string_ends_at_its_first_quote(text in "[a-zA-Z0-9é]{0,40}", rest in "[a-z\"]{0,20}") {
            let found = members(&format!("{{\"{text}\":\"{text}\"}}")).unwrap();
            prop_assert_eq!(&found[0].0, &text);
            prop_assert_eq!(&found[0].1, &text);
            let whole = format!("{text}\"{rest}");
            prop_assert_eq!(string_end(whole.as_bytes(), 0), text.len());
        }
    }
}
