//! Exact decimal numbers: the venue's text to int64 at a scale, and back.
//!
//! Grammar: `-?digits[.digits][e[±]digits]`; everything else is refused.  No float on the way.

use std::fmt::Write;

/// Digits after the point that a scale may have: 10^18 is the largest power of ten in an int64.
pub const SCALE_MAX: u8 = 18;

/// Why a text can't be held exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NumberError {
    /// Not of the grammar.
    Malformed,
    /// Its value does not fit an int64 at the scale it needs.
    TooLarge,
}

impl NumberError {
    pub fn reason(self) -> &'static str {
        match self {
            Self::Malformed => "is not a decimal number (-?digits[.digits][e[+-]digits])",
            Self::TooLarge => "fits no int64 at the scale it needs",
        }
    }
}

/// `coefficient * 10^exponent`, as the text said it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parsed {
    pub coefficient: i128,
    pub exponent: i32,
}

const POWERS: [i64; 19] = {
    let mut powers = [1i64; 19];
    let mut i = 1;
    while i < 19 {
        powers[i] = powers[i - 1] * 10;
        i += 1;
    }
    powers
};

/// 10^n for n ≤ 18.
#[inline]
pub fn power_of_ten(n: u8) -> i64 {
    POWERS[n as usize]
}

/// Parses the grammar; up to 38 significant digits, zeros at either end aside.
#[inline]
pub fn parse(text: &[u8]) -> Result<Parsed, NumberError> {
    let negative = text.first() == Some(&b'-');
    let mut i = usize::from(negative);
    let mut small: u64 = 0;
    let mut exponent: i32 = 0;
    let start = i;
    while i < text.len() && text[i].is_ascii_digit() {
        if i - start >= 18 {
            return parse_long(text, negative);
        }
        small = small * 10 + u64::from(text[i] - b'0');
        i += 1;
    }
    if i == start {
        return Err(NumberError::Malformed);
    }
    let mut digits = i - start;
    if i < text.len() && text[i] == b'.' {
        i += 1;
        let fraction = i;
        while i < text.len() && text[i].is_ascii_digit() {
            if digits >= 18 {
                return parse_long(text, negative);
            }
            small = small * 10 + u64::from(text[i] - b'0');
            digits += 1;
            i += 1;
        }
        if i == fraction {
            return Err(NumberError::Malformed);
        }
        exponent = -((i - fraction) as i32);
    }
    if i < text.len() {
        exponent += parse_exponent(&text[i..])?;
    }
    let coefficient = i128::from(small);
    Ok(Parsed {
        coefficient: if negative { -coefficient } else { coefficient },
        exponent,
    })
}

/// The same grammar for texts of more than 18 digits.  Zeros count only once a digit follows them, so that
/// no number of them at the end makes a value too large.
#[cold]
fn parse_long(text: &[u8], negative: bool) -> Result<Parsed, NumberError> {
    let mut coefficient: Option<i128> = Some(0);
    let (mut exponent, mut zeros): (i32, u32) = (0, 0);
    let mut point = false;
    let mut digits_after = false;
    let mut i = usize::from(negative);
    while i < text.len() {
        match text[i] {
            digit @ b'0'..=b'9' => {
                zeros += 1;
                if digit != b'0' {
                    coefficient = coefficient.and_then(|c| appended(c, zeros, digit - b'0'));
                    zeros = 0;
                }
                exponent -= i32::from(point);
                digits_after = true;
            }
            b'.' if !point => {
                point = true;
                digits_after = false;
            }
            _ => break,
        }
        i += 1;
    }
    if !digits_after {
        return Err(NumberError::Malformed);
    }
    if i < text.len() {
        exponent = exponent.saturating_add(parse_exponent(&text[i..])?);
    }
    let coefficient = coefficient.ok_or(NumberError::TooLarge)?;
    Ok(Parsed {
        coefficient: if negative { -coefficient } else { coefficient },
        exponent: exponent.saturating_add_unsigned(zeros),
    })
}

/// A coefficient with `places` more digits, the last of them `digit` and all before it zero.
fn appended(coefficient: i128, places: u32, digit: u8) -> Option<i128> {
    if coefficient == 0 {
        return Some(i128::from(digit));
    }
    coefficient
        .checked_mul(10i128.checked_pow(places)?)?
        .checked_add(i128::from(digit))
}

fn parse_exponent(text: &[u8]) -> Result<i32, NumberError> {
    let digits = match text {
        [b'e' | b'E', b'+' | b'-', rest @ ..] | [b'e' | b'E', rest @ ..] => rest,
        _ => return Err(NumberError::Malformed),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(NumberError::Malformed);
    }
    let mut value: i32 = 0;
    for digit in digits {
        // Beyond this no int64 can hold it at any scale; the value only has to stay an i32.
        value = (value * 10 + i32::from(digit - b'0')).min(1_000_000);
    }
    Ok(if text[1] == b'-' { -value } else { value })
}

impl Parsed {
    /// The int64 at `scale`; None where digits would be lost or it is too large.
    #[inline]
    pub fn at_scale(&self, scale: u8) -> Option<i64> {
        let shift = self.exponent + i32::from(scale);
        if (0..=18).contains(&shift) {
            let small = i64::try_from(self.coefficient).ok()?;
            return small.checked_mul(POWERS[shift as usize]).filter(in_range);
        }
        self.at_scale_slow(shift)
    }

    #[cold]
    fn at_scale_slow(&self, shift: i32) -> Option<i64> {
        if self.coefficient == 0 {
            return Some(0);
        }
        if shift > 18 {
            return None;
        }
        let mut value = self.coefficient;
        for _ in shift..0 {
            if value % 10 != 0 {
                return None;
            }
            value /= 10;
        }
        i64::try_from(value).ok().filter(in_range)
    }

    /// Digits after the point that the value needs, trailing zeros aside.
    pub fn scale_needed(&self) -> Result<u8, NumberError> {
        let (mut value, mut exponent) = (self.coefficient, self.exponent);
        if value == 0 {
            return Ok(0);
        }
        while exponent < 0 && value % 10 == 0 {
            value /= 10;
            exponent += 1;
        }
        match u8::try_from(-exponent.min(0)) {
            Ok(scale) if scale <= SCALE_MAX => Ok(scale),
            _ => Err(NumberError::TooLarge),
        }
    }
}

/// i64::MIN stands for null in columns, so no value may take it.
#[inline]
fn in_range(value: &i64) -> bool {
    *value != i64::MIN
}

/// `value` from one scale to a larger one.
#[inline]
pub fn rescale(value: i64, from: u8, to: u8) -> Option<i64> {
    value
        .checked_mul(power_of_ten(to.checked_sub(from)?))
        .filter(in_range)
}

/// Value and scale without trailing zeros after the point.
#[inline]
pub fn strip_zeros(mut value: i64, mut scale: u8) -> (i64, u8) {
    if value == 0 {
        return (0, 0);
    }
    while scale > 0 && value % 10 == 0 {
        value /= 10;
        scale -= 1;
    }
    (value, scale)
}

/// Plain decimal text of a 128-bit value: no exponent, no trailing zeros.
pub fn write_plain(out: &mut String, value: i128, scale: u8) {
    if value < 0 {
        out.push('-');
    }
    let magnitude = value.unsigned_abs();
    let power = 10u128.pow(u32::from(scale));
    let _ = write!(out, "{}", magnitude / power);
    let mut fraction = magnitude % power;
    if fraction == 0 {
        return;
    }
    let mut width = scale as usize;
    while fraction.is_multiple_of(10) {
        fraction /= 10;
        width -= 1;
    }
    let _ = write!(out, ".{fraction:0width$}");
}

pub fn plain(value: i128, scale: u8) -> String {
    let mut out = String::new();
    write_plain(&mut out, value, scale);
    out
}

/// Number text as JavaScript prints it: an exponent only below 1e-6, not zero padded (`7e-7`).
/// Bitfinex computes its checksum over this form.
pub fn write_javascript(out: &mut Vec<u8>, value: i64, scale: u8) {
    if value < 0 {
        out.push(b'-');
    }
    let (mantissa, scale) = strip_zeros(value, scale);
    let mut buffer = [0u8; 20];
    let digits = decimal_digits(mantissa.unsigned_abs(), &mut buffer);
    let scale = scale as usize;
    if scale == 0 {
        out.extend_from_slice(digits);
    } else if digits.len() > scale {
        let (whole, fraction) = digits.split_at(digits.len() - scale);
        out.extend_from_slice(whole);
        out.push(b'.');
        out.extend_from_slice(fraction);
    } else if scale - digits.len() < 6 {
        out.extend_from_slice(b"0.");
        out.extend(std::iter::repeat_n(b'0', scale - digits.len()));
        out.extend_from_slice(digits);
    } else {
        out.push(digits[0]);
        if digits.len() > 1 {
            out.push(b'.');
            out.extend_from_slice(&digits[1..]);
        }
        out.extend_from_slice(format!("e-{}", scale - digits.len() + 1).as_bytes());
    }
}

/// Decimal digits of a number, in the end of `buffer`.
pub fn decimal_digits(mut value: u64, buffer: &mut [u8; 20]) -> &[u8] {
    let mut at = buffer.len();
    loop {
        at -= 1;
        buffer[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            return &buffer[at..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn scaled(text: &str, scale: u8) -> Option<i64> {
        parse(text.as_bytes()).ok()?.at_scale(scale)
    }

    fn javascript(value: i64, scale: u8) -> String {
        let mut out = Vec::new();
        write_javascript(&mut out, value, scale);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn texts_of_the_grammar_are_exact() {
        assert_eq!(scaled("41643.95858045", 8), Some(4_164_395_858_045));
        assert_eq!(scaled("-0.5", 1), Some(-5));
        assert_eq!(scaled("7e-7", 8), Some(70));
        assert_eq!(scaled("1.5E+3", 0), Some(1500));
        assert_eq!(scaled("1.5000000000000000000000000000", 1), Some(15));
        assert_eq!(scaled("0.0000000000000000000000000000", 0), Some(0));
        assert_eq!(scaled("9223372036854775807", 0), Some(i64::MAX));
        assert_eq!(scaled("-9223372036854775808", 0), None);
        assert_eq!(scaled("1.25", 1), None);
        assert_eq!(scaled("0e99", 2), Some(0));
        let zeros = "0".repeat(60);
        assert_eq!(scaled(&format!("1.5{zeros}"), 1), Some(15));
        assert_eq!(scaled(&format!("{zeros}1.5{zeros}"), 1), Some(15));
        assert_eq!(scaled(&format!("15{zeros}e-61"), 1), Some(15));
        assert_eq!(scaled(&format!("0.{zeros}15e61"), 1), Some(15));
        assert_eq!(
            scaled("9000000000000000000", 0),
            Some(9_000_000_000_000_000_000)
        );
    }

    #[test]
    fn texts_outside_the_grammar_are_refused() {
        for text in [
            "",
            "-",
            "+1",
            "1.",
            ".5",
            "1e",
            "1e+",
            "0x1",
            "1 ",
            " 1",
            "NaN",
            "1_0",
            "1.2.3",
            "--1",
            "1e5.0",
            "11111111111111111111.",
            "1111111111111111111.2.3",
            "11111111111111111111111111111111111111111111111111x",
        ] {
            assert_eq!(
                parse(text.as_bytes()),
                Err(NumberError::Malformed),
                "{text}"
            );
        }
    }

    #[test]
    fn scale_needed_ignores_trailing_zeros() {
        let needed = |text: &str| parse(text.as_bytes()).unwrap().scale_needed();
        assert_eq!(needed("1.50000000000000000000000"), Ok(1));
        assert_eq!(needed("6.6e-7"), Ok(8));
        assert_eq!(needed("1500"), Ok(0));
        assert_eq!(needed("1e-19"), Err(NumberError::TooLarge));
    }

    #[test]
    fn javascript_text_has_an_exponent_only_below_a_millionth() {
        assert_eq!(javascript(70, 8), "7e-7");
        assert_eq!(javascript(66, 8), "6.6e-7");
        assert_eq!(javascript(100, 8), "0.000001");
        assert_eq!(javascript(-6_003_169, 8), "-0.06003169");
        assert_eq!(javascript(50_079_310_790_141, 8), "500793.10790141");
        assert_eq!(javascript(20_500_000_000_000, 8), "205000");
        assert_eq!(javascript(0, 8), "0");
    }

    proptest! {
        #[test]
        fn plain_text_parses_back(value in any::<i64>(), scale in 0u8..=18) {
            prop_assume!(value != i64::MIN);
            let text = plain(i128::from(value), scale);
            prop_assert_eq!(parse(text.as_bytes()).unwrap().at_scale(scale), Some(value));
            prop_assert!(!(text.contains('e') || text.contains('.') && text.ends_with('0')));
        }

        #[test]
        fn javascript_text_parses_back(value in any::<i64>(), scale in 0u8..=18) {
            prop_assume!(value != i64::MIN);
            let text = javascript(value, scale);
            prop_assert_eq!(parse(text.as_bytes()).unwrap().at_scale(scale), Some(value));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,40}") {
            if let Ok(parsed) = parse(text.as_bytes()) {
                let _ = (parsed.at_scale(8), parsed.scale_needed());
            }
        }

        #[test]
        fn numbers_of_any_length_never_panic(text in "-?[0-9]{1,60}(\\.[0-9]{0,60})?(e[+-]?[0-9]{0,12})?") {
            if let Ok(parsed) = parse(text.as_bytes()) {
                let _ = (parsed.at_scale(8), parsed.scale_needed());
            }
        }
    }
}
