//! Order ids as 128-bit keys, reversible: `decode(encode(text)) == text` for every text.
//!
//! A codec holds the ids of its form.  Every other id goes to a dictionary whose keys fill a
//! reserved range (upper half all ones) that no codec's own keys use.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::number::decimal_digits;

pub type Id = u128;

/// "No id": CLEAR and TRADE rows, absent trade and taker ids.
pub const NULL_ID: Id = Id::MAX;

const DICTIONARY_BASE: Id = (u64::MAX as Id) << 64;

/// The form of id a codec packs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Decimal integers below 2^64 without leading zeros.
    Int,
    /// `8-4-4-4-12` lower-case hex.
    Uuid,
    /// Kraken's `6-5-6` upper-case base 36.
    Kraken,
    /// Lower-case hex of one length, up to 32.
    Hex(u8),
    /// `0-9A-Za-z` of one length, up to 21.
    Base62(u8),
    /// Up to 15 bytes of ASCII.
    Ascii,
    /// Everything in the dictionary.
    Intern,
    /// Decided by the first id.
    Auto,
}

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const KRAKEN_GROUPS: [usize; 3] = [6, 5, 6];
const UUID_GROUPS: [usize; 5] = [8, 4, 4, 4, 12];

impl Form {
    pub fn from_spec(spec: &str) -> Option<Self> {
        let length = |digits: &str, max: u8| digits.parse().ok().filter(|n| (1..=max).contains(n));
        Some(match spec {
            "auto" => Self::Auto,
            "int" => Self::Int,
            "uuid" => Self::Uuid,
            "kraken" => Self::Kraken,
            "ascii" => Self::Ascii,
            "intern" => Self::Intern,
            _ => match spec.split_once(':')? {
                ("hex", digits) => Self::Hex(length(digits, 32)?),
                ("base62", digits) => Self::Base62(length(digits, 21)?),
                _ => return None,
            },
        })
    }

    pub fn spec(self) -> String {
        match self {
            Self::Int => "int".into(),
            Self::Uuid => "uuid".into(),
            Self::Kraken => "kraken".into(),
            Self::Hex(n) => format!("hex:{n}"),
            Self::Base62(n) => format!("base62:{n}"),
            Self::Ascii => "ascii".into(),
            Self::Intern => "intern".into(),
            Self::Auto => "auto".into(),
        }
    }

    /// Code and length of the form in a journal frame.
    pub fn code(self) -> (u8, u8) {
        match self {
            Self::Auto => (0, 0),
            Self::Int => (1, 0),
            Self::Uuid => (2, 0),
            Self::Kraken => (3, 0),
            Self::Hex(n) => (4, n),
            Self::Base62(n) => (5, n),
            Self::Ascii => (6, 0),
            Self::Intern => (7, 0),
        }
    }

    pub fn from_code(code: u8, length: u8) -> Option<Self> {
        Some(match (code, length) {
            (0, 0) => Self::Auto,
            (1, 0) => Self::Int,
            (2, 0) => Self::Uuid,
            (3, 0) => Self::Kraken,
            (4, 1..=32) => Self::Hex(length),
            (5, 1..=21) => Self::Base62(length),
            (6, 0) => Self::Ascii,
            (7, 0) => Self::Intern,
            _ => return None,
        })
    }

    /// The form that fits a market whose first id is this.
    fn detect(text: &[u8]) -> Self {
        let length = u8::try_from(text.len()).unwrap_or(u8::MAX);
        let hex = text.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let candidates = [
            Some(Self::Int),
            Some(Self::Uuid),
            Some(Self::Kraken),
            (hex && (8..=32).contains(&length)).then_some(Self::Hex(length)),
            (8..=21).contains(&length).then_some(Self::Base62(length)),
            Some(Self::Ascii),
        ];
        candidates
            .into_iter()
            .flatten()
            .find(|form| form.encode(text).is_some())
            .unwrap_or(Self::Intern)
    }

    /// The key of a text of this form; None where the dictionary must take it.
    #[inline]
    fn encode(self, text: &[u8]) -> Option<Id> {
        let key = match self {
            Self::Int => encode_int(text)?,
            Self::Uuid => encode_groups(text, &UUID_GROUPS, 16, hex_digit)?,
            Self::Kraken => encode_groups(text, &KRAKEN_GROUPS, 36, base36_digit)?,
            Self::Hex(n) => encode_groups(text, &[n as usize], 16, hex_digit)?,
            Self::Base62(n) => encode_groups(text, &[n as usize], 62, base62_digit)?,
            Self::Ascii => encode_ascii(text)?,
            Self::Intern | Self::Auto => return None,
        };
        (key < DICTIONARY_BASE).then_some(key)
    }

    /// None for keys that `encode` never gives.
    fn decode(self, key: Id) -> Option<String> {
        match self {
            Self::Int => u64::try_from(key).ok().map(|value| value.to_string()),
            Self::Uuid => decode_groups(key, &UUID_GROUPS, 16, b"0123456789abcdef"),
            Self::Kraken => decode_groups(key, &KRAKEN_GROUPS, 36, BASE62),
            Self::Hex(n) => decode_groups(key, &[n as usize], 16, b"0123456789abcdef"),
            Self::Base62(n) => decode_groups(key, &[n as usize], 62, BASE62),
            Self::Ascii => decode_ascii(key),
            Self::Intern | Self::Auto => None,
        }
    }
}

#[inline]
fn encode_int(text: &[u8]) -> Option<Id> {
    if text.is_empty() || text.len() > 20 || (text[0] == b'0' && text.len() > 1) {
        return None;
    }
    let mut value: u64 = 0;
    for &byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = if text.len() < 20 {
            value * 10 + u64::from(digit)
        } else {
            value.checked_mul(10)?.checked_add(u64::from(digit))?
        };
    }
    Some(Id::from(value))
}

/// Values of lower-case hex digits; 255 elsewhere.
const HEX: [u8; 256] = {
    let mut values = [255; 256];
    let mut i = 0;
    while i < 16 {
        values[b"0123456789abcdef"[i] as usize] = i as u8;
        i += 1;
    }
    values
};

#[inline]
fn hex_digit(byte: u8) -> Option<u8> {
    let value = HEX[byte as usize];
    (value < 16).then_some(value)
}

fn base36_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'A'..=b'Z' => Some(byte - b'A' + 10),
        _ => None,
    }
}

fn base62_digit(byte: u8) -> Option<u8> {
    match byte {
        b'a'..=b'z' => Some(byte - b'a' + 36),
        _ => base36_digit(byte),
    }
}

/// Digits of one base in groups of fixed length with a dash between them.
#[inline]
fn encode_groups(
    text: &[u8],
    groups: &[usize],
    base: u64,
    digit: impl Fn(u8) -> Option<u8>,
) -> Option<Id> {
    if text.len() != groups.iter().sum::<usize>() + groups.len() - 1 {
        return None;
    }
    let (mut key, mut at): (Id, usize) = (0, 0);
    for (nth, &length) in groups.iter().enumerate() {
        if nth > 0 {
            if text[at] != b'-' {
                return None;
            }
            at += 1;
        }
        // Twelve digits of base 36 fit 64 bits; one wide multiplication per part, not per digit.
        for part in text[at..at + length].chunks(10) {
            let (mut value, mut power): (u64, u64) = (0, 1);
            for &byte in part {
                value = value * base + u64::from(digit(byte)?);
                power *= base;
            }
            key = key
                .checked_mul(Id::from(power))?
                .checked_add(Id::from(value))?;
        }
        at += length;
    }
    Some(key)
}

fn decode_groups(mut key: Id, groups: &[usize], base: u64, digits: &[u8]) -> Option<String> {
    let mut bytes = Vec::new();
    for (nth, &length) in groups.iter().enumerate().rev() {
        for _ in 0..length {
            bytes.push(digits[(key % Id::from(base)) as usize]);
            key /= Id::from(base);
        }
        if nth > 0 {
            bytes.push(b'-');
        }
    }
    bytes.reverse();
    String::from_utf8(bytes).ok().filter(|_| key == 0)
}

fn encode_ascii(text: &[u8]) -> Option<Id> {
    if text.len() > 15 || !text.is_ascii() {
        return None;
    }
    let mut bytes = [0u8; 16];
    bytes[0] = text.len() as u8;
    bytes[1..=text.len()].copy_from_slice(text);
    Some(Id::from_be_bytes(bytes))
}

fn decode_ascii(key: Id) -> Option<String> {
    let [length, bytes @ ..] = key.to_be_bytes();
    let (text, rest) = bytes.split_at_checked(length as usize)?;
    let is_ours = text.is_ascii() && rest.iter().all(|&byte| byte == 0);
    is_ours.then(|| String::from_utf8_lossy(text).into_owned())
}

#[derive(Default)]
struct Dictionary {
    keys: HashMap<Box<str>, u64>,
    terms: Vec<Box<str>>,
}

/// A market's codec: one form, and a dictionary for what does not fit it.
pub struct Codec {
    /// Code and length of the form; atomic because it is read once per event.
    form: AtomicU16,
    dictionary: Mutex<Dictionary>,
    terms_max: usize,
}

/// See limits.py, dictionary_terms_max.
pub const TERMS_MAX: usize = 10_000_000;

fn pack(form: Form) -> u16 {
    let (code, length) = form.code();
    u16::from_be_bytes([length, code])
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Codec {
    pub fn new(form: Form) -> Arc<Self> {
        Arc::new(Self {
            form: AtomicU16::new(pack(form)),
            dictionary: Mutex::default(),
            terms_max: TERMS_MAX,
        })
    }

    #[inline]
    pub fn form(&self) -> Form {
        let [length, code] = self.form.load(Ordering::Relaxed).to_be_bytes();
        Form::from_code(code, length).unwrap_or(Form::Auto)
    }

    /// The key of an id; None where it is not UTF-8 or the dictionary is full.
    #[inline]
    pub fn encode(&self, text: &[u8]) -> Option<Id> {
        let mut form = self.form();
        if form == Form::Auto {
            form = Form::detect(text);
            self.decide(form);
        }
        match form.encode(text) {
            Some(key) => Some(key),
            None => self.intern(text),
        }
    }

    /// The key of an integer id.
    #[inline]
    pub fn encode_int(&self, value: u64) -> Option<Id> {
        if self.form() == Form::Int {
            return Some(Id::from(value));
        }
        let mut buffer = [0u8; 20];
        self.encode(decimal_digits(value, &mut buffer))
    }

    /// The form of a codec that no id has decided yet.
    pub fn decide(&self, form: Form) {
        if self.form() == Form::Auto {
            self.form.store(pack(form), Ordering::Relaxed);
        }
    }

    /// The key that an id has been given; unlike `encode` it neither decides a form nor adds a term,
    /// so that asking for an order leaves no trace.
    pub fn find(&self, text: &[u8]) -> Option<Id> {
        self.form().encode(text).or_else(|| {
            let at = *lock(&self.dictionary)
                .keys
                .get(std::str::from_utf8(text).ok()?)?;
            Some(DICTIONARY_BASE | Id::from(at))
        })
    }

    #[cold]
    fn intern(&self, text: &[u8]) -> Option<Id> {
        let text = std::str::from_utf8(text).ok()?;
        let mut dictionary = lock(&self.dictionary);
        if let Some(&at) = dictionary.keys.get(text) {
            return Some(DICTIONARY_BASE | Id::from(at));
        }
        if dictionary.terms.len() >= self.terms_max {
            return None;
        }
        let at = dictionary.terms.len() as u64;
        dictionary.terms.push(text.into());
        dictionary.keys.insert(text.into(), at);
        Some(DICTIONARY_BASE | Id::from(at))
    }

    /// The text of a key; None for keys that this codec never gave.
    pub fn decode(&self, key: Id) -> Option<String> {
        if key == NULL_ID {
            return None;
        }
        if key >= DICTIONARY_BASE {
            let dictionary = lock(&self.dictionary);
            return dictionary
                .terms
                .get(key as u64 as usize)
                .map(|term| term.to_string());
        }
        self.form().decode(key)
    }

    pub fn terms(&self) -> usize {
        lock(&self.dictionary).terms.len()
    }

    pub fn terms_from(&self, start: usize) -> Vec<String> {
        let dictionary = lock(&self.dictionary);
        dictionary
            .terms
            .iter()
            .skip(start)
            .map(|term| term.to_string())
            .collect()
    }

    /// Adds dictionary entries read from a tape; false, and nothing added, where they contradict what is
    /// there, leave a hole, name a term twice or are too many.
    pub fn load_terms(&self, start: usize, terms: &[String]) -> bool {
        let mut dictionary = lock(&self.dictionary);
        let Some(known) = dictionary.terms.get(start..) else {
            return false;
        };
        let (old, new) = terms.split_at(known.len().min(terms.len()));
        let mut names = HashSet::new();
        let fits = old.iter().zip(known).all(|(term, known)| **known == **term)
            && dictionary.terms.len() + new.len() <= self.terms_max
            && new.iter().all(|term| {
                !dictionary.keys.contains_key(term.as_str()) && names.insert(term.as_str())
            });
        if fits {
            for term in new {
                let at = dictionary.terms.len() as u64;
                dictionary.terms.push(term.as_str().into());
                dictionary.keys.insert(term.as_str().into(), at);
            }
        }
        fits
    }

    /// Whether keys of `other` mean the same ids here.
    pub fn same_keys(self: &Arc<Self>, other: &Arc<Self>) -> bool {
        Arc::ptr_eq(self, other) || (self.form() == other.form() && other.terms() == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn round_trip(codec: &Codec, text: &str) {
        let key = codec.encode(text.as_bytes()).unwrap();
        assert_ne!(key, NULL_ID);
        assert_eq!(codec.decode(key).as_deref(), Some(text));
        assert_eq!(codec.encode(text.as_bytes()), Some(key));
    }

    #[test]
    fn the_first_id_decides_the_form() {
        for (text, form) in [
            ("86143757311", Form::Int),
            ("d50ec984-77a8-460a-b958-66f114b0de9b", Form::Uuid),
            ("OUF4EM-FRGI2-MQMWZD", Form::Kraken),
            ("00ab12cd34ef", Form::Hex(12)),
            ("0Xyz12Ab9", Form::Base62(9)),
            ("A-17", Form::Ascii),
            ("an id longer than any packed form holds", Form::Intern),
        ] {
            let codec = Codec::new(Form::Auto);
            round_trip(&codec, text);
            assert_eq!(codec.form(), form, "{text}");
            assert_eq!(Form::from_spec(&form.spec()), Some(form));
        }
    }

    #[test]
    fn what_does_not_fit_goes_to_the_dictionary() {
        let codec = Codec::new(Form::Uuid);
        for text in [
            "D50EC984-77A8-460A-B958-66F114B0DE9B",
            "17",
            "",
            "ffffffff-ffff-ffff-ffff-fffffffffffe",
        ] {
            round_trip(&codec, text);
        }
        assert_eq!(codec.terms(), 4);
        let other = Codec::new(Form::Uuid);
        assert!(other.load_terms(0, &codec.terms_from(0)));
        assert_eq!(other.encode(b"17"), codec.encode(b"17"));
        assert!(!other.load_terms(0, &["another".into()]));
    }

    #[test]
    fn integers_keep_leading_zeros_and_large_values() {
        let codec = Codec::new(Form::Int);
        for text in [
            "0",
            "007",
            "18446744073709551615",
            "18446744073709551616",
            "-1",
        ] {
            round_trip(&codec, text);
        }
        assert_eq!(codec.terms(), 3);
    }

    proptest! {
        #[test]
        fn every_text_comes_back(form in 0usize..8, text in "\\PC{0,24}") {
            let forms = [Form::Int, Form::Uuid, Form::Kraken, Form::Hex(8), Form::Base62(8),
                         Form::Ascii, Form::Intern, Form::Auto];
            round_trip(&Codec::new(forms[form]), &text);
        }

        #[test]
        fn hex_of_every_length_comes_back(text in "[0-9a-f]{1,32}") {
            round_trip(&Codec::new(Form::Hex(text.len() as u8)), &text);
        }

        #[test]
        fn base62_of_every_length_comes_back(text in "[0-9A-Za-z]{1,21}") {
            round_trip(&Codec::new(Form::Base62(text.len() as u8)), &text);
        }

        #[test]
        fn keys_of_different_texts_differ(a in "[0-9A-Za-z]{0,20}", b in "[0-9A-Za-z]{0,20}") {
            prop_assume!(a != b);
            let codec = Codec::new(Form::Auto);
            prop_assert_ne!(codec.encode(a.as_bytes()), codec.encode(b.as_bytes()));
        }
    }
}
