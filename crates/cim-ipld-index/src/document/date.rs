//! Points in time, and full or truncated RFC 3339 dates as the time spans they denote.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

const DAY_MS: i64 = 86_400_000;

/// A point in time, in milliseconds since 1970-01-01T00:00:00Z. Negative values are earlier.
///
/// ```
/// use cim_ipld_index::Timestamp;
///
/// let moon_landing: Timestamp = "1969-07-20T20:17Z".parse()?;
/// assert!(moon_landing < Timestamp(0));
/// # Ok::<(), cim_ipld_index::ParseTimestampError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl FromStr for Timestamp {
    type Err = ParseTimestampError;

    /// Parses a date as in a query: RFC 3339, full or truncated, in UTC unless it names a zone. For
    /// a date that denotes a span, returns the start of the span.
    ///
    /// Returns [`ParseTimestampError`] for any other text.
    ///
    /// ```
    /// use cim_ipld_index::Timestamp;
    ///
    /// assert_eq!("1970-01-02".parse(), Ok(Timestamp(86_400_000)));
    /// assert_eq!("1970-01-01T01:00+01:00".parse(), Ok(Timestamp(0)));
    /// assert!("yesterday".parse::<Timestamp>().is_err());
    /// ```
    fn from_str(text: &str) -> Result<Self, ParseTimestampError> {
        parse(text).map(|(start, _)| start).ok_or(ParseTimestampError)
    }
}

/// The error for a text that is not a date.
///
/// ```
/// use cim_ipld_index::{ParseTimestampError, Timestamp};
///
/// let error: ParseTimestampError = "yesterday".parse::<Timestamp>().unwrap_err();
/// assert!(error.to_string().contains("2024-01-31"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a date such as 2024-01-31 or 2024-01-31T12:00:00Z")]
#[non_exhaustive]
pub struct ParseTimestampError;

/// Parses a date: `2024`, `2024-02`, `2024-02-29`, `2024-02-29T10:30Z`,
/// `2024-02-29T10:30:15.250+02:00`. Without a zone the date is in UTC, and a space may replace the
/// `T`.
///
/// Returns the start of the span that the date denotes, and the start of the following span. A day,
/// for example, lasts until the start of the next.
pub(crate) fn parse(text: &str) -> Option<(Timestamp, Timestamp)> {
    let (date, time) = match text.split_once(['T', 't', ' ']) {
        Some((date, time)) => (date, Some(time)),
        None => (text, None),
    };
    let mut parts = date.split('-');
    let year = i64::from(digits(parts.next()?, 4)?);
    let month = parts.next().map(|part| digits(part, 2));
    let day = parts.next().map(|part| digits(part, 2));
    if parts.next().is_some() {
        return None;
    }
    let (start, end) = match (month, day, time) {
        (None, None, None) => (days(year, 1, 1), days(year + 1, 1, 1)),
        (Some(month), None, None) => {
            let month = month.filter(|month| (1..=12).contains(month))?;
            let next = if month == 12 { days(year + 1, 1, 1) } else { days(year, month + 1, 1) };
            (days(year, month, 1), next)
        }
        (Some(month), Some(day), time) => {
            let month = month.filter(|month| (1..=12).contains(month))?;
            let day = day.filter(|day| (1..=days_in(year, month)).contains(day))?;
            let start = days(year, month, day);
            if let Some(time) = time {
                let (from, length) = time_of_day(time)?;
                let from = start * DAY_MS + from;
                return Some((Timestamp(from), Timestamp(from + length)));
            }
            (start, start + 1)
        }
        _ => return None,
    };
    Some((Timestamp(start * DAY_MS), Timestamp(end * DAY_MS)))
}

/// Returns the time that a text denotes if it is nothing but a date with year, month and day, with
/// or without a time.
pub(crate) fn of_text(text: &str) -> Option<Timestamp> {
    const LENGTHS: std::ops::RangeInclusive<usize> = 10..=40;
    let is_long = LENGTHS.contains(&text.len()) && text.as_bytes()[0].is_ascii_digit();
    is_long.then(|| parse(text)).flatten().map(|(start, _)| start)
}

/// Parses `hh:mm`, `hh:mm:ss` or `hh:mm:ss.fraction`, followed by `Z`, an offset or nothing.
/// Returns the milliseconds since midnight UTC and the length of the span.
fn time_of_day(text: &str) -> Option<(i64, i64)> {
    let (time, zone) = text.split_at(text.find(['Z', 'z', '+', '-']).unwrap_or(text.len()));
    let offset = match zone {
        "" | "Z" | "z" => 0,
        _ => {
            let (hours, minutes) = zone[1..].split_once(':')?;
            let (hours, minutes) = (digits(hours, 2)?, digits(minutes, 2)?);
            let minutes = (hours <= 23 && minutes <= 59).then_some(i64::from(hours * 60 + minutes))?;
            if zone.starts_with('-') { -minutes } else { minutes }
        }
    };
    let mut parts = time.split(':');
    let hours = digits(parts.next()?, 2).filter(|hours| *hours <= 23)?;
    let minutes = digits(parts.next()?, 2).filter(|minutes| *minutes <= 59)?;
    let minute_ms = (i64::from(hours * 60 + minutes) - offset) * 60_000;
    let Some(seconds) = parts.next() else { return Some((minute_ms, 60_000)) };
    if parts.next().is_some() {
        return None;
    }
    let (whole, fraction) = match seconds.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (seconds, None),
    };
    // A leap second counts as the first second of the following minute.
    let second_ms = i64::from(digits(whole, 2).filter(|seconds| *seconds <= 60)?) * 1000;
    let Some(fraction) = fraction else { return Some((minute_ms + second_ms, 1000)) };
    if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let ms = fraction.bytes().chain(*b"00").take(3).fold(0, |ms, digit| ms * 10 + i64::from(digit - b'0'));
    Some((minute_ms + second_ms + ms, 1))
}

fn digits(text: &str, len: usize) -> Option<u32> {
    (text.len() == len && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

fn days_in(year: i64, month: u32) -> u32 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Returns the days since 1970-01-01 in the proleptic Gregorian calendar.
///
/// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `days_from_civil`.
fn days(year: i64, month: u32, day: u32) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = i64::from((153 * ((month + 9) % 12) + 2) / 5 + day - 1);
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_name_spans() {
        let cases = [
            ("1970", 0, 365 * DAY_MS),
            ("1970-01", 0, 31 * DAY_MS),
            ("1969-12-31", -DAY_MS, 0),
            ("2000-02-29", 951_782_400_000, 951_868_800_000),
            ("2024-12", 1_733_011_200_000, 1_735_689_600_000),
            ("1970-01-01T00:00Z", 0, 60_000),
            ("1970-01-01T00:01", 60_000, 120_000),
            ("1970-01-01 00:00:02", 2000, 3000),
            ("1970-01-01T00:00:00.25", 250, 251),
            ("1970-01-01T01:00:00+01:00", 0, 1000),
            ("1969-12-31T23:30:00-00:30", 0, 1000),
            ("1970-01-01t00:00:00.5z", 500, 501),
            ("1970-01-01T00:00:00.0019Z", 1, 2),
            ("1990-12-31T23:59:60Z", 662_688_000_000, 662_688_001_000),
            ("0000-01-01", -62_167_219_200_000, -62_167_132_800_000),
            ("9999", 253_370_764_800_000, 253_402_300_800_000),
        ];
        for (text, start, end) in cases {
            assert_eq!(parse(text), Some((Timestamp(start), Timestamp(end))), "{text}");
        }
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for text in [
            "",
            "24",
            "2024-",
            "2024-13",
            "2024-00",
            "2023-02-29",
            "1900-02-29",
            "2024-02-30",
            "2024-1-1",
            "2024-01-01T",
            "2024-01-01T10Z",
            "2024-01-01T10:00ZZ",
            "2024-01-01  10:00",
            "2024-01-01T24:00Z",
            "2024-01-01T10:60Z",
            "2024-01-01T10:00:61Z",
            "2024-01-01T10:00:00.Z",
            "2024-01-01T10:00:00+1:00",
            "2024T10:00Z",
            "2024-01-01-01",
            "２０２４",
            "2024-01-01T10:00:00:00Z",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
