//! Postgres' dates as texts (ISO 8601), which it reads back.

/// Days from 0000-03-01 to 2000-01-01, in the proleptic Gregorian calendar.
const DAYS_TO_2000: i64 = 730_425;
const MICROS_PER_DAY: i64 = 86_400_000_000;

/// `2026-11-23`; none for infinities and beyond the years 1 to 9999.
pub(super) fn date(days_since_2000: i32) -> Option<String> {
    let (year, month, day) = civil(i64::from(days_since_2000))?;
    Some(format!("{year:04}-{month:02}-{day:02}"))
}

/// `2026-11-23T09:05:00.25`, without fraction where there is none.
pub(super) fn timestamp(micros_since_2000: i64) -> Option<String> {
    let (year, month, day) = civil(micros_since_2000.div_euclid(MICROS_PER_DAY))?;
    let micros = micros_since_2000.rem_euclid(MICROS_PER_DAY);
    let (seconds, fraction) = (micros / 1_000_000, micros % 1_000_000);
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    let fraction = match fraction {
        0 => String::new(),
        micros => format!(".{micros:06}").trim_end_matches('0').to_owned(),
    };
    Some(format!(
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}"
    ))
}

/// The same with `Z`: Postgres stores moments in UTC.
pub(super) fn timestamp_utc(micros_since_2000: i64) -> Option<String> {
    timestamp(micros_since_2000).map(|text| text + "Z")
}

/// Year, month and day. Years begin in March here, so that the leap day is the last; an era has 400 of them.
fn civil(days_since_2000: i64) -> Option<(i64, i64, i64)> {
    const DAYS_PER_ERA: i64 = 146_097;
    let days = days_since_2000.checked_add(DAYS_TO_2000)?;
    let (era, day_of_era) = (days.div_euclid(DAYS_PER_ERA), days.rem_euclid(DAYS_PER_ERA));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (1..=9999).contains(&year).then_some((year, month, day))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        for (days, text) in [
            (0, "2000-01-01"),
            (-1, "1999-12-31"),
            (59, "2000-02-29"),
            (60, "2000-03-01"),
            (36_525 + 58, "2100-02-28"),
            (36_525 + 59, "2100-03-01"),
            (-10_957, "1970-01-01"),
            (-730_119, "0001-01-01"),
            (2_921_939, "9999-12-31"),
        ] {
            assert_eq!(date(days).as_deref(), Some(text), "{days}");
        }
        for beyond in [i32::MAX, i32::MIN, -730_120, 2_921_940] {
            assert_eq!(date(beyond), None);
        }
    }

    #[test]
    fn moments_have_the_fraction_that_they_have() {
        for (micros, text) in [
            (0, "2000-01-01T00:00:00"),
            (-1, "1999-12-31T23:59:59.999999"),
            (250_000, "2000-01-01T00:00:00.25"),
            (MICROS_PER_DAY + 3_661_000_001, "2000-01-02T01:01:01.000001"),
        ] {
            assert_eq!(timestamp(micros).as_deref(), Some(text), "{micros}");
        }
        assert_eq!(timestamp_utc(0).as_deref(), Some("2000-01-01T00:00:00Z"));
        assert_eq!(timestamp(i64::MAX), None);
        assert_eq!(timestamp(i64::MIN), None);
    }
}
