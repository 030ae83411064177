//! Moments of the wall clock, as `2026-11-30T06:00:00Z`.

use super::reading::Reading;
use super::source::Spanned;
use super::yaml::Entry;
use shapegate_core::time::UnixMillis;

/// A moment in UTC, to the second.
pub(super) fn moment(reading: &mut Reading<'_>, entry: &Entry) -> Option<UnixMillis> {
    let Spanned { value, span } = reading.text(&entry.value, &entry.key)?;
    match read_moment(&value) {
        Some(moment) => Some(moment),
        None => {
            let message = format!("`{value}` is no moment");
            reading.refuse(
                span,
                message,
                "write it in UTC, to the second: `2026-11-30T06:00:00Z`",
            )
        }
    }
}

/// Days from 1970-01-01 to a date of the Gregorian calendar (Howard Hinnant, `days_from_civil`).
fn days(year: i64, month: i64, day: i64) -> i64 {
    let shifted = if month <= 2 { year - 1 } else { year };
    let era = shifted.div_euclid(400);
    let of_era = shifted.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The inverse: year, month and day.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

/// `2026-11-30T06:00:00Z`, and nothing else.
fn read_moment(text: &str) -> Option<UnixMillis> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let numbers = |part: &str, separator: char, widths: [usize; 3]| -> Option<[i64; 3]> {
        let mut read = [0; 3];
        let mut parts = part.split(separator);
        for (slot, width) in read.iter_mut().zip(widths) {
            let digits = parts
                .next()
                .filter(|digits| digits.len() == width && digits.bytes().all(|byte| byte.is_ascii_digit()))?;
            *slot = digits.parse().ok()?;
        }
        parts.next().is_none().then_some(read)
    };
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = numbers(time, ':', [2, 2, 2])?;
    let number = days(year, month, day);
    let lawful = (1..=12).contains(&month)
        && civil(number) == (year, month, day)
        && hour < 24
        && minute < 60
        && second < 60;
    lawful.then(|| UnixMillis::from_seconds(((number * 24 + hour) * 60 + minute) * 60 + second))
}

/// A moment as the configuration writes it.
pub fn moment_text(moment: UnixMillis) -> String {
    let seconds = moment.seconds();
    let (year, month, day) = civil(seconds.div_euclid(86_400));
    let rest = seconds.rem_euclid(86_400);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_read_as_it_is_printed() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T23:59:59Z", 951_868_799),
            ("2026-11-30T06:00:00Z", 1_796_018_400),
            ("2100-03-01T00:00:00Z", 4_107_542_400),
        ] {
            assert_eq!(
                read_moment(text),
                Some(UnixMillis::from_seconds(seconds)),
                "{text}"
            );
            assert_eq!(moment_text(UnixMillis::from_seconds(seconds)), text);
        }
    }

    #[test]
    fn what_is_no_moment_or_not_in_utc_is_refused() {
        for text in [
            "2026-11-30",
            "2026-11-30T06:00Z",
            "2026-11-30T06:00:00",
            "2026-11-30T06:00:00+01:00",
            "2026-11-31T06:00:00Z",
            "2100-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-11-30T24:00:00Z",
            "2026-11-30t06:00:00z",
            "26-11-30T06:00:00Z",
            "2026-11-30T06:00:00.5Z",
            "+026-11-30T06:00:00Z",
        ] {
            assert_eq!(read_moment(text), None, "{text}");
        }
    }
}
