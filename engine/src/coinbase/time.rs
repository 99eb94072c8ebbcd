//! The venue's times: ISO 8601 in UTC, `2021-04-17T16:43:37.089723Z`, with no to nine digits of a second.

const NS_PER_SECOND: i64 = 1_000_000_000;
const SECONDS_PER_DAY: i64 = 86_400;

/// ns since 1970; None for anything else than such a time.
pub fn read(text: &[u8]) -> Option<i64> {
    let text = text.strip_suffix(b"Z")?;
    let (clock, fraction) = match text.get(19) {
        None => (text, &b""[..]),
        Some(b'.') => (&text[..19], &text[20..]),
        Some(_) => return None,
    };
    if clock.len() != 19 || fraction.len() > 9 || (text.len() > 19 && fraction.is_empty()) {
        return None;
    }
    let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if marks.iter().any(|&(at, mark)| clock[at] != mark) {
        return None;
    }
    let (year, month, day) = (
        digits(&clock[..4])?,
        digits(&clock[5..7])?,
        digits(&clock[8..10])?,
    );
    let (hour, minute, second) = (
        digits(&clock[11..13])?,
        digits(&clock[14..16])?,
        digits(&clock[17..19])?,
    );
    let in_range = (1970..2200).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    if !in_range {
        return None;
    }
    let mut ns = digits(fraction)?;
    for _ in fraction.len()..9 {
        ns *= 10;
    }
    let seconds = days(year, month, day) * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second;
    Some(seconds * NS_PER_SECOND + ns)
}

fn digits(text: &[u8]) -> Option<i64> {
    text.iter().try_fold(0, |value, byte| {
        byte.is_ascii_digit()
            .then(|| value * 10 + i64::from(byte - b'0'))
    })
}

/// Days since 1970-01-01 of a date of the Gregorian calendar: years begin in March, so that the day that
/// leap years have more is their last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    365 * year + year / 4 - year / 100 + year / 400 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_time_is_ns_since_1970() {
        for (text, ns) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2014-11-07T08:19:27.028459Z", 1_415_348_367_028_459_000),
            ("2000-02-29T23:59:59.999999999Z", 951_868_799_999_999_999),
            ("2021-04-17T16:43:37.1Z", 1_618_677_817_100_000_000),
        ] {
            assert_eq!(read(text.as_bytes()), Some(ns), "{text}");
        }
        for text in [
            "",
            "Z",
            "2021-04-17T16:43:37",
            "2021-04-17T16:43:37.Z",
            "2021-04-17 16:43:37Z",
            "2021-13-17T16:43:37Z",
            "2021-04-17T16:43:37.1234567890Z",
            "2021-04-17T16:43:37+0Z",
            "202a-04-17T16:43:37Z",
        ] {
            assert_eq!(read(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn days_follow_each_other(day in 0i64..80_000) {
            // The civil date of a day number, found by walking the years.
            let (mut year, mut left) = (1970, day);
            let length = |year: i64| 365 + i64::from(year % 4 == 0 && (year % 100 != 0 || year % 400 == 0));
            while left >= length(year) {
                left -= length(year);
                year += 1;
            }
            let february = length(year) - 337;
            let mut month = 1;
            for long in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
                if left < long {
                    break;
                }
                left -= long;
                month += 1;
            }
            prop_assert_eq!(days(year, month, left + 1), day);
        }

        #[test]
        fn no_text_panics(text in "[0-9TZ:.-]{0,40}") {
            let _ = read(text.as_bytes());
        }
    }
}
