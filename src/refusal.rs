//! The one error on the path of a request, and the only table of status codes.
//!
//! A status code is a contract: OTLP senders drop what they may not retry and repeat what they
//! may, so an answer is retryable exactly when a retry can help, and then it says when.

mod backend;
mod culprit;
mod words;

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use slimspan_proto::Malformed;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

pub use self::culprit::Culprit;
pub use self::words::unlogged;

/// After which time a sender is asked to come back when nothing tells a better one.
const RETRY_AFTER: Duration = Duration::from_secs(1);

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
    is_unreached: bool,
    is_stalled: bool,
    is_for_size: bool,
    is_for_memory: bool,
    /// So many bytes at the end of the message are the other side's own words.
    quoted: usize,
}

impl Refusal {
    /// The request is no OTLP; sending it again cannot help.
    pub fn malformed(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidArgument, Culprit::Sender, message)
    }

    /// The request, or what it expands to, is larger than the limit named `key`.
    pub fn too_large(size: impl fmt::Display, limit: usize, key: &str) -> Self {
        let message = format!("the request has {size} bytes, more than the {limit} of {key}");
        Self::too_costly(message)
    }

    /// The request takes more of something than any request is given.
    pub fn too_costly(message: impl Into<String>) -> Self {
        Self::new(Code::ResourceExhausted, Culprit::Sender, message).for_size(true)
    }

    /// The sender does not wait any more, and nothing was done with the request.
    pub fn too_late() -> Self {
        Self::new(
            Code::DeadlineExceeded,
            Culprit::Sender,
            "the grpc-timeout was over before the request had come",
        )
    }

    /// The rest of the request does not come, or too slowly.
    pub fn stalled() -> Self {
        Self {
            is_stalled: true,
            ..Self::unavailable(Culprit::Sender, "the request stopped arriving")
        }
    }

    /// The request has more entries than the limit named `key`.
    pub fn too_many(limit: usize, key: &str) -> Self {
        Self::too_costly(format!(
            "the request has more entries than the {limit} of {key}"
        ))
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

    /// There is no memory for it now: other requests have it.
    pub fn no_memory(message: impl Into<String>) -> Self {
        Self {
            is_for_memory: true,
            ..Self::unavailable(Culprit::Slimspan, message)
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

    /// Whether the other side may have taken the request all the same.
    #[must_use]
    pub fn in_doubt(self, is_in_doubt: bool) -> Self {
        Self {
            is_in_doubt,
            ..self
        }
    }

    /// Whether nobody was there to see the request.
    #[must_use]
    pub fn unreached(self, is_unreached: bool) -> Self {
        Self {
            is_unreached,
            ..self
        }
    }

    /// Whether it is known to be for what the request takes, and not for what its sender may still send.
    fn for_size(self, is_for_size: bool) -> Self {
        Self {
            is_for_size,
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
            is_unreached: false,
            is_stalled: false,
            is_for_size: false,
            is_for_memory: false,
            quoted: 0,
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

    /// Whether nobody was there to see the request, so that it is not about what is in it.
    pub fn is_unreached(&self) -> bool {
        self.is_unreached
    }

    /// Whether the rest of the request did not come.
    pub fn is_stalled(&self) -> bool {
        self.is_stalled
    }

    /// Whether slimspan failed at it, so that a part of it may be no matter.
    pub fn is_fault(&self) -> bool {
        self.is_fault
    }

    /// Whether other requests had the memory that it takes.
    pub fn is_for_memory(&self) -> bool {
        self.is_for_memory
    }

    /// Whether it may be the size of the request that is refused, for good, so that a smaller one may be taken:
    /// backends have many words for that, and the same code for a quota.
    pub fn may_be_for_size(&self) -> bool {
        self.code == Code::ResourceExhausted && self.retry_after.is_none()
    }

    /// Whether it says that it is the size.
    pub fn is_for_size(&self) -> bool {
        self.is_for_size
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

    /// The status of an HTTP answer that tells it (OTLP specification, "Failures" of OTLP/HTTP). What is known
    /// to be too large is no 429, which senders repeat; what is exhausted otherwise, such as a quota, is one, as
    /// in the Collector, for it may be there again.
    pub fn http_status(&self) -> http::StatusCode {
        match self.code {
            Code::ResourceExhausted if self.is_for_size() && !self.is_retryable() => {
                http::StatusCode::PAYLOAD_TOO_LARGE
            }
            Code::ResourceExhausted => http::StatusCode::TOO_MANY_REQUESTS,
            _ if self.is_retryable() => http::StatusCode::SERVICE_UNAVAILABLE,
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

impl From<Malformed> for Refusal {
    fn from(error: Malformed) -> Self {
        Self::malformed(error.to_string())
    }
}

#[cfg(test)]
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
                // What OTLP/HTTP senders repeat, and nothing else, but for what is exhausted until nobody knows when:
                // 429 is what the Collector answers, and any other status would say what nobody said.
                let status = refusal.http_status().as_u16();
                let is_exhausted = code == Code::ResourceExhausted;
                let repeated = matches!(status, 429 | 502..=504);
                assert_eq!(
                    repeated,
                    refusal.is_retryable() || is_exhausted,
                    "{code:?}: {status}"
                );
                assert_eq!(status == 429, is_exhausted, "{code:?}: {status}");
                let seconds = match delay {
                    None => 1,
                    Some(Duration::ZERO) => 0,
                    Some(_) => 2,
                };
                let expected = refusal.is_retryable().then_some(seconds);
                assert_eq!(refusal.retry_after_seconds(), expected, "{code:?}");
            }
        }
        for too_large in [
            Refusal::too_large(2, 1, "max_request_body_size"),
            Refusal::too_many(1, "max_items"),
            Refusal::too_costly("x"),
        ] {
            assert_eq!(too_large.http_status(), http::StatusCode::PAYLOAD_TOO_LARGE);
        }
        let malformed = Refusal::malformed("x");
        assert_eq!(malformed.http_status(), http::StatusCode::BAD_REQUEST);
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
