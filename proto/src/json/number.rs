//! Numbers, exact or not at all.

use super::text::number_len;

/// The integer that a JSON number is, as its sign and magnitude; `1.0` and `1e3` are integers.
/// `None` where it is none, or not below 2^64. Takes time in proportion to its length, whatever the
/// exponent says.
pub(super) fn integer(text: &[u8]) -> Option<(bool, u64)> {
    if number_len(text) != Some(text.len()) {
        return None;
    }
    let (negative, text) = match text.strip_prefix(b"-") {
        Some(text) => (true, text),
        None => (false, text),
    };
    let end = text.iter().position(|c| matches!(c, b'e' | b'E'));
    let (mantissa, exponent) = match end.and_then(|end| text.split_at_checked(end)) {
        Some((mantissa, exponent)) => (mantissa, self::exponent(exponent.get(1..)?)),
        None => (text, 0),
    };
    let point = mantissa.iter().position(|c| *c == b'.');
    let fraction = point.map_or(0, |point| mantissa.len() - point - 1);
    let digits = || mantissa.iter().filter(|c| c.is_ascii_digit());
    // Zeros at the end count with the exponent.
    let count = digits().count();
    let zeros = digits().rev().take_while(|c| **c == b'0').count();
    if zeros == count {
        return Some((negative, 0));
    }
    let exponent = exponent
        .checked_sub(i64::try_from(fraction).ok()?)?
        .checked_add(i64::try_from(zeros).ok()?)?;
    let shift = u32::try_from(exponent).ok()?;
    let mut magnitude = 0_u64;
    for digit in digits().take(count - zeros) {
        magnitude = magnitude
            .checked_mul(10)?
            .checked_add(u64::from(digit - b'0'))?;
    }
    let magnitude = magnitude.checked_mul(10_u64.checked_pow(shift)?)?;
    Some((negative, magnitude))
}

/// An exponent; far too large where it is too large to tell.
fn exponent(text: &[u8]) -> i64 {
    const FAR: i64 = 1 << 40;
    let digits = text.iter().filter(|c| c.is_ascii_digit());
    let magnitude = digits.fold(0_i64, |sum, digit| {
        (sum * 10 + i64::from(digit - b'0')).min(FAR)
    });
    if text.first() == Some(&b'-') {
        -magnitude
    } else {
        magnitude
    }
}

/// The integer as one with a sign.
pub(super) fn signed((negative, magnitude): (bool, u64)) -> Option<i64> {
    if negative {
        0_i64.checked_sub_unsigned(magnitude)
    } else {
        i64::try_from(magnitude).ok()
    }
}

/// The integer as one without.
pub(super) fn unsigned((negative, magnitude): (bool, u64)) -> Option<u64> {
    (!negative || magnitude == 0).then_some(magnitude)
}

/// The double that is nearest to a JSON number, if it is not too large for one.
pub(super) fn double(text: &[u8]) -> Option<f64> {
    if number_len(text) != Some(text.len()) {
        return None;
    }
    let number: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    number.is_finite().then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_exact_or_none() {
        for (text, expected) in [
            ("0", Some((false, 0))),
            ("-0", Some((true, 0))),
            ("0e999999999999999999999", Some((false, 0))),
            ("0.000", Some((false, 0))),
            ("1e3", Some((false, 1000))),
            ("1.0", Some((false, 1))),
            ("-12.50e1", Some((true, 125))),
            ("1000e-3", Some((false, 1))),
            ("18446744073709551615", Some((false, u64::MAX))),
            ("1844674407370955161500000e-5", Some((false, u64::MAX))),
            ("9007199254740993", Some((false, 9_007_199_254_740_993))),
            ("18446744073709551616", None),
            ("1e20", None),
            ("1e99999999999999999999", None),
            ("1e-99999999999999999999", None),
            ("1.5", None),
            ("1e-1", None),
            ("", None),
            ("-", None),
            ("+1", None),
            ("01", None),
            ("1.", None),
            (".5", None),
            ("1e", None),
            (" 1", None),
            ("1 ", None),
            ("0x1", None),
            ("NaN", None),
        ] {
            assert_eq!(integer(text.as_bytes()), expected, "{text}");
        }
        let long = format!("1{}e-100000", "0".repeat(100_000));
        assert_eq!(integer(long.as_bytes()), Some((false, 1)));
    }

    #[test]
    fn signs_have_their_ranges() {
        let read = |text: &str| integer(text.as_bytes()).unwrap();
        assert_eq!(signed(read("-9223372036854775808")), Some(i64::MIN));
        assert_eq!(signed(read("9223372036854775807")), Some(i64::MAX));
        assert_eq!(signed(read("9223372036854775808")), None);
        assert_eq!(signed(read("-9223372036854775809")), None);
        assert_eq!(unsigned(read("-0")), Some(0));
        assert_eq!(unsigned(read("-1")), None);
    }

    #[test]
    fn doubles_are_the_nearest_ones() {
        assert_eq!(double(b"0.1"), Some(0.1));
        assert_eq!(double(b"-1E-400"), Some(-0.0));
        assert_eq!(double(b"1e400"), None);
        assert_eq!(double(b"Infinity"), None);
        assert_eq!(double(b"inf"), None);
    }
}
