//! The one error on the path of a request, and the only table of status codes.
//!
//! A status code is a contract: OTLP senders drop what they may not retry and repeat what they
//! may, so an answer is retryable exactly when a retry can help, and then it says when.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use slimspan_proto::Malformed;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

/// After which time a sender is asked to come back when nothing tells a better one.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The longest delay that is passed on: what asks for more is a mistake, and not every clock can add it.
const LONGEST_DELAY: Duration = Duration::from_hours(24);

/// Whose doing it is that a request was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Culprit {
    /// The request itself.
    Sender,
    /// This process: its limits, its shutdown, its faults.
    Slimspan,
    /// The store for artifacts.
    Store,
    /// What an exporter sends to.
    Backend,
}

impl Culprit {
    /// All there are, in the order of their declaration.
    pub const ALL: [Self; 4] = [Self::Sender, Self::Slimspan, Self::Store, Self::Backend];

    /// Its name, for people and programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sender => "sender",
            Self::Slimspan => "slimspan",
            Self::Store => "store",
            Self::Backend => "backend",
        }
    }
}

impl fmt::Display for Culprit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The names of gRPC's codes, by their numbers.
pub const CODES: [&str; 17] = [
    "ok",
    "cancelled",
    "unknown",
    "invalid_argument",
    "deadline_exceeded",
    "not_found",
    "already_exists",
    "permission_denied",
    "resource_exhausted",
    "failed_precondition",
    "aborted",
    "out_of_range",
    "unimplemented",
    "internal",
    "unavailable",
    "data_loss",
    "unauthenticated",
];

/// Why a request was not accepted, and what its sender should do about it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    code: Code,
    message: String,
    culprit: Culprit,
    retry_after: Option<Duration>,
    is_fault: bool,
    is_in_doubt: bool,
}

impl Refusal {
    /// The request is no OTLP; sending it again cannot help.
    pub fn malformed(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidArgument, Culprit::Sender, message)
    }

    /// The request, or what it expands to, is larger than the limit named `key`.
    pub fn too_large(size: impl fmt::Display, limit: usize, key: &str) -> Self {
        let message = format!("the request has {size} bytes, more than the {limit} of {key}");
        Self::new(Code::ResourceExhausted, Culprit::Sender, message)
    }

    /// The request takes more of something than any request is given.
    pub fn too_costly(message: impl Into<String>) -> Self {
        Self::new(Code::ResourceExhausted, Culprit::Sender, message)
    }

    /// The sender does not wait any more, and nothing was done with the request.
    pub fn too_late() -> Self {
        Self::new(
            Code::DeadlineExceeded,
            Culprit::Sender,
            "the grpc-timeout was over before the request had come",
        )
    }

    /// The request has more entries than the limit named `key`.
    pub fn too_many(limit: usize, key: &str) -> Self {
        let message = format!("the request has more entries than the {limit} of {key}");
        Self::new(Code::ResourceExhausted, Culprit::Sender, message)
    }

    /// The sender has not shown that it may send.
    pub fn unauthenticated(message: impl Into<String>) -> Self {
        Self::new(Code::Unauthenticated, Culprit::Sender, message)
    }

    /// There is no such method, or it is spoken in a way that is not understood.
    pub fn unimplemented(message: impl Into<String>) -> Self {
        Self::new(Code::Unimplemented, Culprit::Sender, message)
    }

    /// Nothing is wrong with the request, but it cannot be taken now.
    pub fn unavailable(culprit: Culprit, message: impl Into<String>) -> Self {
        Self {
            retry_after: Some(RETRY_AFTER),
            ..Self::new(Code::Unavailable, culprit, message)
        }
    }

    /// slimspan failed at the request. That may pass, unless the fault has shown to be a lasting one.
    pub fn fault(message: impl Into<String>, is_lasting: bool) -> Self {
        let refusal = if is_lasting {
            Self::new(Code::Internal, Culprit::Slimspan, message)
        } else {
            Self::unavailable(Culprit::Slimspan, message)
        };
        Self {
            is_fault: true,
            ..refusal
        }
    }

    /// The backend's own refusal, with the backend's code, so that the sender treats it as if it
    /// had been told directly.
    pub fn of_backend(exporter: &str, status: &Status) -> Self {
        let retry_after = status.get_details_retry_info().map(|info| {
            // No delay given means at once.
            info.retry_delay.unwrap_or_default().min(LONGEST_DELAY)
        });
        let code = match status.code() {
            // What some servers answer to a message that is too large; senders repeat it for ever.
            Code::OutOfRange => Code::ResourceExhausted,
            // A refusal without a reason: OK is what it must not become.
            Code::Ok => Code::Unknown,
            code => code,
        };
        Self {
            retry_after,
            ..Self::new(
                code,
                Culprit::Backend,
                format!("{exporter}: the backend refused: {}", status.message()),
            )
        }
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
        Self::new(code, Culprit::Backend, message).doubted()
    }

    /// A backend's answer over OTLP/HTTP (OTLP specification, "OTLP/HTTP Response"). What it `said`
    /// is for people, and what its `Retry-After` says counts.
    pub fn of_otlp_http(
        exporter: &str,
        status: http::StatusCode,
        headers: &http::HeaderMap,
        said: Option<&str>,
    ) -> Self {
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
            429 | 502..=504 => return Self::later(message, status, headers),
            500 => Code::Internal,
            _ => Code::Unknown,
        };
        Self::new(code, Culprit::Backend, message).doubted()
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

    /// Whether the other side may have taken the request all the same.
    #[must_use]
    pub fn in_doubt(self, is_in_doubt: bool) -> Self {
        Self {
            is_in_doubt,
            ..self
        }
    }

    fn new(code: Code, culprit: Culprit, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            culprit,
            retry_after: None,
            is_fault: false,
            is_in_doubt: false,
        }
    }

    /// The sender is asked to stay away for `delay` at least, if it is asked to come back: in whole
    /// seconds, as HTTP tells it.
    #[must_use]
    pub fn not_before(self, delay: Duration) -> Self {
        let delay = Duration::from_secs(delay.as_millis().div_ceil(1000) as u64);
        let retry_after = self.retry_after.map(|after| after.max(delay));
        Self {
            retry_after,
            ..self
        }
    }

    /// Whose doing it is.
    pub fn culprit(&self) -> Culprit {
        self.culprit
    }

    /// The number of its code in gRPC, which is one of [`CODES`].
    pub fn code_number(&self) -> usize {
        let number = usize::try_from(i32::from(self.code)).unwrap_or(usize::MAX);
        number.min(CODES.len() - 1)
    }

    /// Whether it shows that the other side does not work: it is away, overloaded, or does not let
    /// us in. Else it works, and does not want this request.
    pub fn is_outage(&self) -> bool {
        let locked_out = matches!(self.code, Code::Unauthenticated | Code::PermissionDenied);
        self.culprit != Culprit::Sender && (self.is_retryable() || locked_out)
    }

    /// When the sender should come back, if that was said.
    pub fn asked_delay(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Whether a sender may send the request again (OTLP specification, "Failures").
    pub fn is_retryable(&self) -> bool {
        match self.code {
            Code::Cancelled
            | Code::DeadlineExceeded
            | Code::Aborted
            | Code::OutOfRange
            | Code::Unavailable
            | Code::DataLoss => true,
            Code::ResourceExhausted => self.retry_after.is_some(),
            _ => false,
        }
    }

    /// Whether the sender was not let in here; a backend's word on that is its own.
    pub fn is_for_want_of_credential(&self) -> bool {
        self.code == Code::Unauthenticated && self.culprit == Culprit::Sender
    }

    /// Whether it is what is in the request that is refused, so that a part of it may be taken alone.
    pub fn is_for_contents(&self) -> bool {
        self.code == Code::InvalidArgument
    }

    /// Whether the other side may have the request all the same: its answer came too late, or broke.
    pub fn is_in_doubt(&self) -> bool {
        self.is_in_doubt
    }

    /// Whether slimspan failed at it, so that a part of it may be no matter.
    pub fn is_fault(&self) -> bool {
        self.is_fault
    }

    /// Whether it is the size of the request that is refused, for good.
    pub fn is_for_size(&self) -> bool {
        self.code == Code::ResourceExhausted && self.retry_after.is_none()
    }

    /// Of two refusals of one request, the one to answer with. A retry that can help one exporter
    /// is worth having, however final the other's answer is; it waits for the slower one.
    #[must_use]
    pub fn or_worse(self, other: Self) -> Self {
        let rank = |refusal: &Self| (refusal.is_retryable(), refusal.retry_after);
        if rank(&other) > rank(&self) {
            other
        } else {
            self
        }
    }

    /// The status of an HTTP answer that tells it (OTLP specification, "Failures" of OTLP/HTTP). What
    /// is too large is no 429, which senders repeat.
    pub fn http_status(&self) -> http::StatusCode {
        match self.code {
            Code::ResourceExhausted if self.is_retryable() => http::StatusCode::TOO_MANY_REQUESTS,
            _ if self.is_retryable() => http::StatusCode::SERVICE_UNAVAILABLE,
            Code::ResourceExhausted => http::StatusCode::PAYLOAD_TOO_LARGE,
            Code::InvalidArgument => http::StatusCode::BAD_REQUEST,
            Code::Unauthenticated => http::StatusCode::UNAUTHORIZED,
            Code::PermissionDenied => http::StatusCode::FORBIDDEN,
            Code::Unimplemented => http::StatusCode::NOT_FOUND,
            _ => http::StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// What `Retry-After` says of it: seconds, wherever a retry can help.
    pub fn retry_after_seconds(&self) -> Option<u64> {
        let delay = self.retry_after.unwrap_or(RETRY_AFTER);
        let seconds = delay.as_secs() + u64::from(delay.subsec_nanos() > 0);
        self.is_retryable().then_some(seconds)
    }

    /// The refusal as gRPC knows it.
    pub fn to_status(&self) -> Status {
        // Some senders read messages from a header, where they must have an end.
        let message = match self.message.char_indices().nth(1024) {
            Some((end, _)) => Cow::Owned(format!("{}…", &self.message[..end])),
            None => Cow::Borrowed(self.message.as_str()),
        };
        match self.retry_after {
            Some(delay) => Status::with_error_details(
                self.code,
                message,
                ErrorDetails::with_retry_info(Some(delay)),
            ),
            None => Status::new(self.code, message),
        }
    }
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

impl From<Malformed> for Refusal {
    fn from(error: Malformed) -> Self {
        Self::malformed(error.to_string())
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn retry_after(status: &Status) -> Option<Duration> {
        status.get_details_retry_info()?.retry_delay
    }

    #[test]
    fn every_refusal_has_the_status_that_otlp_gives_it() {
        let table = [
            (Refusal::malformed("x"), Code::InvalidArgument, None),
            (
                Refusal::too_large(2, 1, "key"),
                Code::ResourceExhausted,
                None,
            ),
            (Refusal::too_many(1, "key"), Code::ResourceExhausted, None),
            (Refusal::unimplemented("x"), Code::Unimplemented, None),
            (Refusal::unauthenticated("x"), Code::Unauthenticated, None),
            (Refusal::too_costly("x"), Code::ResourceExhausted, None),
            (Refusal::fault("x", true), Code::Internal, None),
            (
                Refusal::fault("x", false),
                Code::Unavailable,
                Some(RETRY_AFTER),
            ),
            (
                Refusal::unavailable(Culprit::Store, "x"),
                Code::Unavailable,
                Some(RETRY_AFTER),
            ),
        ];
        for (refusal, code, delay) in table {
            let status = refusal.to_status();
            assert_eq!((status.code(), retry_after(&status)), (code, delay));
            assert_eq!(refusal.is_retryable(), delay.is_some(), "{refusal:?}");
        }
    }

    #[test]
    fn http_has_a_status_for_every_code_and_says_when_to_come_back() {
        let second = Duration::from_secs(1);
        for code in (1..=16).map(Code::from_i32) {
            for delay in [None, Some(Duration::ZERO), Some(second * 3 / 2)] {
                let refusal = Refusal {
                    retry_after: delay,
                    ..Refusal::new(code, Culprit::Backend, "no")
                };
                // What OTLP/HTTP senders repeat, and nothing else.
                let status = refusal.http_status().as_u16();
                let repeated = matches!(status, 429 | 502..=504);
                assert_eq!(repeated, refusal.is_retryable(), "{code:?}: {status}");
                let seconds = match delay {
                    None => 1,
                    Some(Duration::ZERO) => 0,
                    Some(_) => 2,
                };
                let expected = repeated.then_some(seconds);
                assert_eq!(refusal.retry_after_seconds(), expected, "{code:?}");
            }
        }
        let too_large = Refusal::too_large(2, 1, "max_request_body_size");
        assert_eq!(too_large.http_status(), http::StatusCode::PAYLOAD_TOO_LARGE);
        let malformed = Refusal::malformed("x");
        assert_eq!(malformed.http_status(), http::StatusCode::BAD_REQUEST);
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
                let expected = match code {
                    Code::OutOfRange => Code::ResourceExhausted,
                    code => code,
                };
                assert_eq!(passed_on.code(), expected);
                assert_eq!(retry_after(&passed_on), told.then_some(delay));
                assert!(passed_on.message().contains("otlp_grpc"), "{passed_on}");
            }
        }
        let success = Refusal::of_backend("otlp_grpc", &Status::ok("trailers only"));
        assert_eq!(success.to_status().code(), Code::Unknown);
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
            assert_eq!(refusal.is_for_size(), status == 413, "{status}");
        }
        assert!(refusal(400, Some("http: request body too large")).is_for_size());
        assert!(!refusal(400, Some("too many spans")).is_for_size());
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

    #[test]
    fn the_answer_that_a_retry_can_change_is_the_worse_one() {
        let final_one = || Refusal::malformed("final");
        let later = |seconds| Refusal {
            retry_after: Some(Duration::from_secs(seconds)),
            ..Refusal::unavailable(Culprit::Backend, seconds.to_string())
        };
        assert_eq!(final_one().or_worse(later(1)), later(1));
        assert_eq!(later(1).or_worse(final_one()), later(1));
        assert_eq!(later(1).or_worse(later(2)), later(2));
        assert_eq!(later(2).or_worse(later(1)), later(2));
    }

    #[test]
    fn long_messages_are_cut_between_characters() {
        let status = Refusal::malformed("ä".repeat(5_000)).to_status();
        assert_eq!(status.message().chars().count(), 1025);
    }
}
