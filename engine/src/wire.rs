//! What nearly every frame of Bitfinex is: one order's row of a raw book, the checksum that closes an
//! iteration of it, a trade.  Anything else, however slightly, is left to the venue's parser.

/// Whole numbers of more digits are left to the venue's parser: an int64 always holds these.
const DIGITS_MAX: usize = 18;

/// One order's row, `[ID,PRICE,AMOUNT],SEQUENCE,MILLISECONDS]`; its parts are still the venue's text.
#[derive(Debug, PartialEq, Eq)]
pub struct WireRow<'a> {
    pub id: &'a [u8],
    pub price: &'a [u8],
    pub amount: &'a [u8],
    pub sequence: i64,
    pub milliseconds: i64,
}

impl<'a> WireRow<'a> {
    /// Reads a text that begins at the row's bracket and ends with the frame's.
    #[inline]
    pub fn read(text: &'a [u8]) -> Option<Self> {
        let mut at = Cursor(text.strip_prefix(b"[")?);
        let row = Self {
            id: at.token(b',')?,
            price: at.token(b',')?,
            amount: at.token(b']')?,
            sequence: at.after_comma()?.whole(b',')?,
            milliseconds: at.whole(b']')?,
        };
        (at.0.is_empty() && is_whole(row.id)).then_some(row)
    }
}

/// The frame that closes an iteration of the book, `"cs",CHECKSUM,SEQUENCE,MILLISECONDS]`.
#[derive(Debug, PartialEq, Eq)]
pub struct WireClosing {
    pub checksum: i64,
    pub sequence: i64,
}

impl WireClosing {
    #[inline]
    pub fn read(text: &[u8]) -> Option<Self> {
        let text = text.strip_prefix(b"\"cs\",")?;
        let (negative, digits) = text
            .strip_prefix(b"-")
            .map_or((false, text), |rest| (true, rest));
        let mut at = Cursor(digits);
        let magnitude = at.whole(b',')?;
        let closing = Self {
            checksum: if negative { -magnitude } else { magnitude },
            sequence: at.whole(b',')?,
        };
        at.whole(b']')?;
        at.0.is_empty().then_some(closing)
    }
}

/// A trade's frame, `"te",[ID,MILLISECONDS,AMOUNT,PRICE],SEQUENCE,MILLISECONDS]`, or with `"tu"`.
#[derive(Debug, PartialEq, Eq)]
pub struct WireTrade<'a> {
    pub id: &'a [u8],
    /// When it was made.
    pub milliseconds: i64,
    pub amount: &'a [u8],
    pub price: &'a [u8],
    pub sequence: i64,
}

impl<'a> WireTrade<'a> {
    pub fn read(text: &'a [u8]) -> Option<Self> {
        let text = text
            .strip_prefix(b"\"te\",[")
            .or_else(|| text.strip_prefix(b"\"tu\",["))?;
        let mut at = Cursor(text);
        let trade = Self {
            id: at.token(b',')?,
            milliseconds: at.whole(b',')?,
            amount: at.token(b',')?,
            price: at.token(b']')?,
            sequence: at.after_comma()?.whole(b',')?,
        };
        at.whole(b']')?;
        (at.0.is_empty() && is_whole(trade.id)).then_some(trade)
    }
}

fn is_whole(token: &[u8]) -> bool {
    token.len() <= DIGITS_MAX && token.iter().all(u8::is_ascii_digit)
}

/// The high bit of each byte that is `byte`, up to and with the first that is.
#[inline(always)]
fn places_of(word: u64, byte: u8) -> u64 {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    let zeros = word ^ (ONES * u64::from(byte));
    zeros.wrapping_sub(ONES) & !zeros & HIGH
}

/// Where the first comma or closing bracket stands; eight bytes at a time.
#[inline(always)]
fn end_of_token(text: &[u8]) -> Option<usize> {
    let (words, rest) = text.as_chunks::<8>();
    for (nth, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let ends = places_of(word, b',') | places_of(word, b']');
        if ends != 0 {
            return Some(nth * 8 + ends.trailing_zeros() as usize / 8);
        }
    }
    let at = rest.iter().position(|byte| matches!(byte, b',' | b']'))?;
    Some(text.len() - rest.len() + at)
}

struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    /// A JSON number up to `end`; its grammar beyond the leading zero is the number parser's.
    #[inline]
    fn token(&mut self, end: u8) -> Option<&'a [u8]> {
        let (token, rest) = self.0.split_at(end_of_token(self.0)?);
        self.0 = rest.strip_prefix(&[end])?;
        let digits = token.strip_prefix(b"-").unwrap_or(token);
        let padded = digits.len() > 1 && digits[0] == b'0' && digits[1].is_ascii_digit();
        (!digits.is_empty() && !padded).then_some(token)
    }

    #[inline]
    fn after_comma(&mut self) -> Option<&mut Self> {
        self.0 = self.0.strip_prefix(b",")?;
        Some(self)
    }

    /// A whole number up to `end`.
    #[inline]
    fn whole(&mut self, end: u8) -> Option<i64> {
        let token = self.token(end)?;
        if token.len() > DIGITS_MAX {
            return None;
        }
        token.iter().try_fold(0, |value, byte| {
            byte.is_ascii_digit()
                .then(|| value * 10 + i64::from(byte - b'0'))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_row_is_split_into_its_texts() {
        let row = WireRow::read(b"[86143754888,41646.35995408,-0.10224349],17,1645000000123]");
        let expected = WireRow {
            id: b"86143754888",
            price: b"41646.35995408",
            amount: b"-0.10224349",
            sequence: 17,
            milliseconds: 1_645_000_000_123,
        };
        assert_eq!(row, Some(expected));
    }

    #[test]
    fn what_is_not_exactly_a_row_is_left_alone() {
        for text in [
            "",
            "[",
            "[1,2,3]",
            "[1,2,3],4]",
            "[1,2,3],4,5",
            "[1,2,3],4,5],",
            "[1,2,3],4,5,6]",
            "[1,2,3,4],5,6]",
            "[1,2,3]4,5]",
            "[1,2,3],4,,5]",
            "[1,2,3],4]5]",
            "[1,2,3],4,5]]",
            "[1,2],3,4,5]",
            "[[1,2,3]],4,5]",
            "[01,2,3],4,5]",
            "[1,02,3],4,5]",
            "[1,2,-03],4,5]",
            "[ 1,2,3],4,5]",
            "[1,2,3], 4,5]",
            "[a,2,3],4,5]",
            "[-1,2,3],4,5]",
            "[1,,3],4,5]",
            "[1,2,3],x,5]",
            "[1,2,3],4,1234567890123456789]",
            "[1,2,3],-4,5]",
        ] {
            assert_eq!(WireRow::read(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_closing_frame_is_its_checksum_and_sequence() {
        let read =
            |text: &str| WireClosing::read(text.as_bytes()).map(|c| (c.checksum, c.sequence));
        assert_eq!(
            read("\"cs\",-1175357890,18,1645000000123]"),
            Some((-1_175_357_890, 18))
        );
        assert_eq!(read("\"cs\",7,18,9]"), Some((7, 18)));
        for text in [
            "\"cs\",7,18]",
            "\"cs\",7,18,9,10]",
            "\"cs\",--7,18,9]",
            "\"cs\",07,18,9]",
            "\"hb\",18,9]",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn a_trade_is_split_into_its_texts() {
        let trade = WireTrade {
            id: b"388063448",
            milliseconds: 1_567_526_214_876,
            amount: b"-1.918524",
            price: b"10682",
            sequence: 17,
        };
        for code in ["te", "tu"] {
            let text = format!("\"{code}\",[388063448,1567526214876,-1.918524,10682],17,99]");
            assert_eq!(WireTrade::read(text.as_bytes()).as_ref(), Some(&trade));
        }
        for text in [
            "\"te\",[1,2,3,4],5]",
            "\"te\",[1,2,3,4],5,6,7]",
            "\"te\",[1,2,3,4]]",
            "\"te\",[1,2,3,4,9],5,6]",
            "\"te\",[1,2,3],5,6]",
            "\"te\",[-1,2,3,4],5,6]",
            "\"te\",[1.5,2,3,4],5,6]",
            "\"te\",[1,2.5,3,4],5,6]",
            "\"te\",[1,2,03,4],5,6]",
            "\"te\",[1,2,3,4],5,6],",
            "\"tx\",[1,2,3,4],5,6]",
            "\"te\",1,2,3,4],5,6]",
        ] {
            assert_eq!(WireTrade::read(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_token_ends_at_the_first_comma_or_bracket(
            bytes in prop::collection::vec(
                prop_oneof![any::<u8>(), Just(b'1'), Just(b'-'), Just(b'\\'), Just(b'+'), Just(b'^')],
                0..40,
            ),
            end in prop_oneof![Just(None), Just(Some(b',')), Just(Some(b']'))],
        ) {
            let bytes: Vec<u8> = bytes.into_iter().chain(end).chain(*b"7,8]").collect();
            for start in 0..bytes.len() {
                let text = &bytes[start..];
                let plain = text.iter().position(|byte| matches!(byte, b',' | b']'));
                prop_assert_eq!(end_of_token(text), plain);
            }
        }

        #[test]
        fn no_text_panics(text in "(\"t[eu]\",\\[)?[\\[\\],0-9.e-]{0,60}") {
            let bytes = text.as_bytes();
            let _ = (WireRow::read(bytes), WireClosing::read(bytes), WireTrade::read(bytes));
        }
    }
}
