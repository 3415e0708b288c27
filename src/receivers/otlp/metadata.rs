//! The metadata of a call: what a sender writes into the headers of its request.

use std::time::Duration;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::{HeaderMap, HeaderValue, header};

use crate::refusal::Refusal;

/// Binary metadata as it may be written: padded or not.
const BINARY: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Refuses what is no metadata: values are printable ASCII, with tabs as HTTP
/// allows them, and base64 where the name says so. What
/// stands in them is never repeated, because it may be a secret.
pub(super) fn check(headers: &HeaderMap) -> Result<(), Refusal> {
    for (name, value) in headers {
        let (sound, should) = if name.as_str().ends_with("-bin") {
            (is_binary(value), "base64")
        } else {
            let printable = |byte: &u8| matches!(byte, b'\t' | b' '..=b'~');
            (
                value.as_bytes().iter().all(printable),
                "printable ASCII or tabs",
            )
        };
        if !sound {
            let message = format!("the value of the metadata {name} is not {should}");
            return Err(Refusal::malformed(message));
        }
    }
    Ok(())
}

/// Whether it is base64, or several of it with commas between them.
fn is_binary(value: &HeaderValue) -> bool {
    let mut values = value.as_bytes().split(|byte| *byte == b',');
    values.all(|value| BINARY.decode(value.trim_ascii()).is_ok())
}

/// Whether the request is gRPC of any message format, and not gRPC-Web or the like.
pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE);
    content_type
        .and_then(|value| value.as_bytes().strip_prefix(b"application/grpc"))
        .is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

/// How long the sender waits for its answer, if its `grpc-timeout` says so.
pub(super) fn timeout(headers: &HeaderMap) -> Result<Option<Duration>, Refusal> {
    let Some(value) = headers.get("grpc-timeout") else {
        return Ok(None);
    };
    let timeout = value.to_str().ok().and_then(|text| {
        let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
        let digits = (1..=8).contains(&number.len()) && number.bytes().all(|c| c.is_ascii_digit());
        let number: u64 = digits.then(|| number.parse().ok())??;
        Some(match unit {
            "H" => Duration::from_secs(number * 3600),
            "M" => Duration::from_secs(number * 60),
            "S" => Duration::from_secs(number),
            "m" => Duration::from_millis(number),
            "u" => Duration::from_micros(number),
            "n" => Duration::from_nanos(number),
            _ => return None,
        })
    });
    timeout.map(Some).ok_or_else(|| {
        Refusal::malformed("grpc-timeout is not a number of up to 8 digits and a unit")
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn with(name: &'static str, value: &[u8]) -> HeaderMap {
        let value = HeaderValue::from_bytes(value).unwrap();
        HeaderMap::from_iter([(name.parse().unwrap(), value)])
    }

    #[test]
    fn a_timeout_is_the_senders() {
        assert_eq!(timeout(&HeaderMap::new()).unwrap(), None);
        for (text, expected) in [
            ("5S", Duration::from_secs(5)),
            ("250m", Duration::from_millis(250)),
            ("1n", Duration::from_nanos(1)),
            ("99999999H", Duration::from_hours(99_999_999)),
            ("1M", Duration::from_mins(1)),
        ] {
            let headers = with("grpc-timeout", text.as_bytes());
            assert_eq!(timeout(&headers).unwrap(), Some(expected), "{text}");
        }
        for text in [
            "",
            "5",
            "S",
            "5s",
            "-1S",
            "+1S",
            "1.5S",
            "123456789n",
            "abc",
        ] {
            assert!(
                timeout(&with("grpc-timeout", text.as_bytes())).is_err(),
                "{text}"
            );
        }
    }

    #[test]
    fn metadata_is_ascii_and_binary_metadata_base64() {
        for (name, value, sound) in [
            (
                "user-agent",
                &b"OTel-OTLP-Exporter-Python/1.39 (x; y)"[..],
                true,
            ),
            ("authorization", b"Bearer a~b", true),
            ("x-empty", b"", true),
            ("x-eight-bit", b"caf\xc3\xa9", false),
            ("x-tab", b"a\tb", true),
            ("grpc-trace-bin", b"AAAB", true),
            ("x-bin", b"aGk", true),
            ("x-bin", b"aGk=", true),
            ("x-bin", b"aGk,aGk=, aGk", true),
            ("x-bin", b"", true),
            ("x-bin", b"QUJDR", false),
            ("x-bin", b"a-_=", false),
            ("x-bin", b"aGk=,!", false),
        ] {
            let checked = check(&with(name, value));
            let shown = value.escape_ascii();
            assert_eq!(checked.is_ok(), sound, "{name}: {shown}");
            if let Err(refusal) = checked {
                assert!(
                    !refusal.to_string().contains(&shown.to_string()),
                    "{refusal}"
                );
                assert!(refusal.to_string().contains(name), "{refusal}");
            }
        }
    }

    #[test]
    fn only_grpc_is_grpc() {
        for (content_type, expected) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc;x=y", true),
            ("application/grpc-web", false),
            ("application/grpcfoo", false),
            ("application/json", false),
        ] {
            let headers = with("content-type", content_type.as_bytes());
            assert_eq!(is_grpc(&headers), expected, "{content_type}");
        }
    }
}
