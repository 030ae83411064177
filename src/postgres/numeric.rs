//! Postgres' numeric as text: exact, of any length.

/// Digits of a group in base 10,000.
const GROUP: usize = 4;
/// Decimal digits on either side of the point.
const DIGITS_MAX: i32 = 1_000;
const NEGATIVE: u16 = 0x4000;
const POSITIVE: u16 = 0x0000;

/// The decimal digits of the binary form, as the server itself prints them; none for NaN and infinities.
pub(super) fn text(raw: &[u8]) -> Option<String> {
    let words: Vec<u16> = raw
        .chunks(2)
        .map(|word| Some(u16::from_be_bytes(word.try_into().ok()?)))
        .collect::<Option<_>>()?;
    let ([count, weight, sign, scale], groups) = words.split_first_chunk()?;
    if groups.len() != usize::from(*count) || !matches!(*sign, NEGATIVE | POSITIVE) {
        return None;
    }
    let (weight, scale) = (i32::from(weight.cast_signed()), i32::from(*scale));
    if weight.checked_mul(4)? > DIGITS_MAX || scale > DIGITS_MAX {
        return None;
    }
    let group = |place: i32| {
        let index = usize::try_from(weight - place).ok();
        index.and_then(|index| groups.get(index)).copied().unwrap_or(0)
    };
    let whole: String = (0..=weight)
        .rev()
        .map(|place| format!("{:04}", group(place)))
        .collect();
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        digits => digits,
    };
    let scale = usize::try_from(scale).ok()?;
    let places = i32::try_from(scale.div_ceil(GROUP)).ok()?;
    let fraction: String = (1..=places)
        .map(|place| format!("{:04}", group(-place)))
        .collect();
    let fraction = fraction.get(..scale)?;
    let sign = if *sign == NEGATIVE { "-" } else { "" };
    let point = if scale > 0 { "." } else { "" };
    Some(format!("{sign}{whole}{point}{fraction}"))
}
