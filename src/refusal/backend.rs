//! What a backend answers, as a refusal.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::{Culprit, RETRY_AFTER, Refusal};

/// The longest delay that is passed on: what asks for more is a mistake, and not every clock can add it.
const LONGEST_DELAY: Duration = Duration::from_hours(24);

/// What frameworks say of a message that is too large for them: tonic's, and those of Google's gRPC. The
/// code that some of them choose means something else. The last two are what another slimspan says.
const TOO_LARGE: [&str; 7] = [
    "message length too large",
    "exceeded while decompressing message",
    "message larger than max",
    "message after decompression larger than max",
    "message exceeds maximum size",
    "bytes, more than the",
    "more entries than the",
];

impl Refusal {
    /// The backend's own refusal, with the backend's code, so that the sender treats it as if it
    /// had been told directly. Only what would be taken for something else is told in other words.
    pub fn of_backend(exporter: &str, status: &Status) -> Self {
        let asked = status.get_details_retry_info().map(|info| {
            // No delay given means at once.
            info.retry_delay.unwrap_or_default().min(LONGEST_DELAY)
        });
        let is_for_size = is_for_size(status.message());
        let (code, retry_after) = match status.code() {
            // Its framework gave it up, maybe because of the deadline that it was told. Some senders take
            // these two for their own doing, and do not repeat them.
            Code::Cancelled | Code::DeadlineExceeded => {
                (Code::Unavailable, asked.or(Some(RETRY_AFTER)))
            }
            // Senders would repeat it for ever.
            Code::OutOfRange if is_for_size => (Code::ResourceExhausted, asked),
            // A refusal without a reason: OK is what it must not become.
            Code::Ok => (Code::Unknown, asked),
            code => (code, asked),
        };
        Self {
            retry_after,
            ..Self::new(
                code,
                Culprit::Backend,
                format!("{exporter}: the backend refused: {}", status.message()),
            )
        }
        .for_size(is_for_size && code == Code::ResourceExhausted)
        .quoting(status.message().len())
        .doubted()
    }

    /// An HTTP answer in place of a gRPC one, from something between here and the backend (gRPC
    /// specification, "HTTP to gRPC Status Code Mapping").
    /// What its `Retry-After` says counts.
    pub fn of_http(exporter: &str, status: http::StatusCode, headers: &http::HeaderMap) -> Self {
        let message = format!("{exporter}: the backend answered HTTP {status} and no gRPC");
        let code = match status.as_u16() {
            400 => Code::Internal,
            401 => Code::Unauthenticated,
            403 => Code::PermissionDenied,
            404 => Code::Unimplemented,
            413 => Code::ResourceExhausted,
            429 | 502..=504 => return Self::later(message, status, headers),
            _ => Code::Unknown,
        };
        Self::new(code, Culprit::Backend, message)
            .for_size(code == Code::ResourceExhausted)
            .doubted()
    }

    /// A backend's answer over OTLP/HTTP (OTLP specification, "OTLP/HTTP Response"). What it `said`
    /// is for people, and what its `Retry-After` says counts.
    pub fn of_otlp_http(
        exporter: &str,
        status: http::StatusCode,
        headers: &http::HeaderMap,
        said: Option<&str>,
    ) -> Self {
        let quoted = said.map_or(0, str::len);
        let said = said.map(|said| format!(": {said}")).unwrap_or_default();
        let message = format!("{exporter}: the backend answered HTTP {status}{said}");
        let code = match status.as_u16() {
            // What servers in Go say that know no 413.
            400 if said.contains("request body too large") => Code::ResourceExhausted,
            400 => Code::InvalidArgument,
            401 => Code::Unauthenticated,
            403 => Code::PermissionDenied,
            404 | 405 | 501 => Code::Unimplemented,
            413 => Code::ResourceExhausted,
            429 | 502..=504 => return Self::later(message, status, headers).quoting(quoted),
            500 => Code::Internal,
            _ => Code::Unknown,
        };
        Self::new(code, Culprit::Backend, message)
            .for_size(code == Code::ResourceExhausted)
            .quoting(quoted)
            .doubted()
    }

    /// The backend cannot take it now, and may have said when it can.
    fn later(message: String, status: http::StatusCode, headers: &http::HeaderMap) -> Self {
        let refusal = Self::unavailable(Culprit::Backend, message);
        let asked = retry_after(headers).map(|delay| delay.min(LONGEST_DELAY));
        Self {
            retry_after: asked.or(refusal.retry_after),
            is_in_doubt: status != http::StatusCode::TOO_MANY_REQUESTS,
            ..refusal
        }
    }

    /// A backend's word is in doubt where something between here and there may have said it in the place of
    /// one that has the request, or one that failed with it in its hands.
    fn doubted(self) -> Self {
        let is_in_doubt = matches!(
            self.code,
            Code::Cancelled
                | Code::Unknown
                | Code::DeadlineExceeded
                | Code::Aborted
                | Code::Internal
                | Code::Unavailable
                | Code::DataLoss
        );
        self.in_doubt(is_in_doubt)
    }
}

/// Whether it is the size of a message that a backend complains of.
fn is_for_size(said: &str) -> bool {
    let said = said.to_ascii_lowercase();
    TOO_LARGE.iter().any(|words| said.contains(words))
}

/// The delay in a `Retry-After` header: seconds, or a date (RFC 9110, section 10.2.3).
fn retry_after(headers: &http::HeaderMap) -> Option<Duration> {
    let text = headers
        .get(http::header::RETRY_AFTER)?
        .to_str()
        .ok()?
        .trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = DateTimeParser::new().parse_timestamp(text).ok()?;
    // A date that is over means at once.
    Some(Duration::try_from(date.duration_since(Timestamp::now())).unwrap_or_default())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use tonic_types::ErrorDetails;

    use super::*;

    fn retry_after(status: &Status) -> Option<Duration> {
        status.get_details_retry_info()?.retry_delay
    }

    #[test]
    fn a_backends_refusal_stays_as_retryable_as_it_was() {
        let delay = Duration::from_secs(7);
        for code in (1..=16).map(Code::from_i32) {
            for details in [
                ErrorDetails::new(),
                ErrorDetails::with_retry_info(Some(delay)),
            ] {
                let told = details.retry_info().is_some();
                let status = Status::with_error_details(code, "no", details);
                let refusal = Refusal::of_backend("otlp_grpc", &status);
                let passed_on = refusal.to_status();
                let (expected, least) = match code {
                    // Some senders do not repeat these.
                    Code::Cancelled | Code::DeadlineExceeded => {
                        (Code::Unavailable, Some(RETRY_AFTER))
                    }
                    code => (code, None),
                };
                assert_eq!(passed_on.code(), expected);
                let expected = if told { Some(delay) } else { least };
                assert_eq!(retry_after(&passed_on), expected, "{code}");
                let may_repeat = match code {
                    Code::ResourceExhausted => told,
                    // OTLP specification, "Failures" of OTLP/gRPC.
                    code => matches!(i32::from(code), 1 | 4 | 10 | 11 | 14 | 15),
                };
                assert_eq!(refusal.is_retryable(), may_repeat, "{code}");
                assert!(passed_on.message().contains("otlp_grpc"), "{passed_on}");
            }
        }
        let success = Refusal::of_backend("otlp_grpc", &Status::ok("trailers only"));
        assert_eq!(success.to_status().code(), Code::Unknown);
    }

    #[test]
    fn out_of_range_is_for_size_where_it_says_so() {
        let own_size = Refusal::too_large(5, 4, "max_recv_msg_size_mib").to_string();
        let own_entries = Refusal::too_many(4, "max_items").to_string();
        for (said, is_for_size) in [
            (
                "Error, decoded message length too large: found 5 bytes, the limit is: 4 bytes",
                true,
            ),
            ("grpc: received message larger than max (5 vs. 4)", true),
            ("gRPC message exceeds maximum size 4: 5", true),
            ("Received message larger than max (5 vs. 4)", true),
            (
                "grpc: received message after decompression larger than max (5 vs. 4)",
                true,
            ),
            (
                "Error decompressing: size limit, of 4 bytes, exceeded while decompressing message",
                true,
            ),
            (own_size.as_str(), true),
            (own_entries.as_str(), true),
            ("the time of a span is too large", false),
            ("the shard moved on", false),
            ("", false),
        ] {
            let status = Status::new(Code::OutOfRange, said);
            let refusal = Refusal::of_backend("otlp_grpc", &status);
            assert_eq!(refusal.may_be_for_size(), is_for_size, "{said}");
            assert_eq!(refusal.is_retryable(), !is_for_size, "{said}");
            let http = if is_for_size { 413 } else { 503 };
            assert_eq!(refusal.http_status(), http, "{said}");
            let code = if is_for_size {
                Code::ResourceExhausted
            } else {
                Code::OutOfRange
            };
            assert_eq!(refusal.to_status().code(), code, "{said}");

            // What is exhausted may be the size of a request, but only who says so is believed to mean it.
            let status = Status::resource_exhausted(said);
            let refusal = Refusal::of_backend("otlp_grpc", &status);
            assert!(refusal.may_be_for_size() && !refusal.is_retryable());
            let http = if is_for_size { 413 } else { 429 };
            assert_eq!(refusal.http_status(), http, "{said}");
            let details = ErrorDetails::with_retry_info(Some(RETRY_AFTER));
            let status = Status::with_error_details(Code::ResourceExhausted, said, details);
            let refusal = Refusal::of_backend("otlp_grpc", &status);
            assert_eq!(refusal.http_status(), 429, "{said}");
        }
    }

    #[test]
    fn what_http_says_is_as_retryable_as_it_sounds() {
        for (status, code) in [
            (401, Code::Unauthenticated),
            (403, Code::PermissionDenied),
            (404, Code::Unimplemented),
            (413, Code::ResourceExhausted),
            (429, Code::Unavailable),
            (500, Code::Unknown),
            (503, Code::Unavailable),
        ] {
            let status = http::StatusCode::from_u16(status).unwrap();
            let refusal = Refusal::of_http("otlp_grpc", status, &http::HeaderMap::new());
            assert_eq!(refusal.to_status().code(), code);
            assert_eq!(
                refusal.is_retryable(),
                code == Code::Unavailable,
                "{status}"
            );
        }
    }

    #[test]
    fn otlp_over_http_is_retryable_where_otlp_says_so() {
        let refusal = |status: u16, said| {
            let status = http::StatusCode::from_u16(status).unwrap();
            Refusal::of_otlp_http("otlp_http", status, &http::HeaderMap::new(), said)
        };
        for status in 300..600 {
            let refusal = refusal(status, None);
            let can_help = matches!(status, 429 | 502 | 503 | 504);
            assert_eq!(refusal.is_retryable(), can_help, "{status}");
            assert_eq!(refusal.asked_delay().is_some(), can_help, "{status}");
            assert_eq!(refusal.may_be_for_size(), status == 413, "{status}");
            assert_eq!(refusal.http_status() == 413, status == 413, "{status}");
        }
        let too_large = refusal(400, Some("http: request body too large"));
        assert!(too_large.may_be_for_size());
        assert_eq!(too_large.http_status(), 413);
        assert!(!refusal(400, Some("too many spans")).may_be_for_size());
        let told = refusal(400, Some("no such tenant")).to_string();
        assert!(
            told.ends_with("HTTP 400 Bad Request: no such tenant"),
            "{told}"
        );
    }

    #[test]
    fn a_proxy_says_when_to_come_back() {
        let asked = |text: &str| {
            let mut headers = http::HeaderMap::new();
            headers.insert("retry-after", text.parse().unwrap());
            let status = http::StatusCode::SERVICE_UNAVAILABLE;
            Refusal::of_http("otlp_grpc", status, &headers).asked_delay()
        };
        assert_eq!(asked("120"), Some(Duration::from_mins(2)));
        assert_eq!(asked("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
        let far = asked("Fri, 31 Dec 2100 23:59:59 GMT").unwrap();
        assert_eq!(far, LONGEST_DELAY);
        assert_eq!(asked(&u64::MAX.to_string()), Some(LONGEST_DELAY));
        let ever = ErrorDetails::with_retry_info(Some(Duration::MAX));
        let status = Status::with_error_details(Code::Unavailable, "no", ever);
        let refusal = Refusal::of_backend("otlp_grpc", &status);
        assert_eq!(retry_after(&refusal.to_status()), Some(LONGEST_DELAY));
        for text in ["", "soon", "-1", "1.5"] {
            assert_eq!(asked(text), Some(RETRY_AFTER), "{text}");
        }
    }
}
