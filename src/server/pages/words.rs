//! Sizes, times, types and states, as people read them.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use slimspan_artifact::extension_of_media_type;

use crate::catalog::State;

/// `14.6 KiB`.
pub(super) fn size(bytes: u64) -> String {
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let (mut value, mut unit) = (bytes as f64 / 1024.0, "KiB");
    for next in ["MiB", "GiB", "TiB"] {
        // 1023.96 is printed as 1024.0.
        if value < 1023.95 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    format!("{value:.1} {unit}")
}

/// `1,234,567`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A time for people, in UTC.
pub(super) fn time(time: Timestamp) -> String {
    let utc = time.to_zoned(TimeZone::UTC);
    utc.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// How much later something was: `+1.25 s`.
pub(super) fn later(since: Timestamp, time: Timestamp) -> String {
    let seconds = time.duration_since(since).as_secs_f64();
    if seconds < 120.0 {
        format!("+{seconds:.2} s")
    } else if seconds < 7200.0 {
        format!("+{:.1} min", seconds / 60.0)
    } else {
        format!("+{:.1} h", seconds / 3600.0)
    }
}

/// A content type in a few letters: `PNG`.
pub(super) fn short_type(content_type: &str) -> String {
    match content_type {
        "text/markdown" => "MD".to_owned(),
        "text/html" => "HTML".to_owned(),
        other => extension_of_media_type(other).to_ascii_uppercase(),
    }
}

/// What is to be known of an artifact that is not simply there.
pub(super) fn state(state: State) -> Option<&'static str> {
    match state {
        State::Stored => None,
        State::Spooled => Some("on its way to the store"),
        State::Dropped => Some("given up, not stored"),
        State::Truncated => Some("cut before it came"),
        State::Referred => Some("referred to, not here so far"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (14_950, "14.6 KiB"),
            ((1 << 20) - 1, "1.0 MiB"),
            (300 << 20, "300.0 MiB"),
            (u64::MAX, "16777216.0 TiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(123), "123");
        assert_eq!(grouped(1_234_567), "1,234,567");
    }
}
