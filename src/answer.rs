//! The OTLP answer to a request that was taken, as a whole or in part.

use bytes::Bytes;
use slimspan_proto::{Field, Fields, WireType, varint, varint_width, write_varint};

use crate::refusal::Refusal;

/// An `Export{Trace,Logs,Metrics}ServiceResponse`. A backend's own stays as it came: nothing of it is
/// read where it need not be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer(Bytes);

/// What a partial success tells at most of why: it stands in a header of some transports.
const LONGEST: usize = 1024;

impl Answer {
    /// Everything was taken.
    pub fn success() -> Self {
        Self::default()
    }

    /// All was taken but `rejected` items, which are not to be sent again (OTLP specification,
    /// "Partial Success"). With 0 it is a warning.
    pub fn rejecting(rejected: usize, message: &str) -> Self {
        let mut partial = Vec::new();
        if rejected > 0 {
            partial.push(1 << 3);
            varint_to(&mut partial, rejected);
        }
        bytes_to(&mut partial, 2, cut(message).as_bytes());
        let mut response = Vec::new();
        bytes_to(&mut response, 1, &partial);
        Self(response.into())
    }

    /// How many items were rejected; `None` where everything was taken without a word.
    pub fn rejected(&self) -> Option<u64> {
        let partial = self.partial()?;
        let rejected = self.find(partial.body, 1, WireType::Varint);
        let rejected = rejected
            .and_then(|count| varint(&self.0, count.body.start, count.body.end).ok())
            .and_then(|(count, _)| i64::try_from(count).ok())
            // A number below 0 says nothing.
            .map_or(0, i64::unsigned_abs);
        Some(rejected)
    }

    /// Why.
    pub fn message(&self) -> String {
        let message = self
            .partial()
            .and_then(|partial| self.find(partial.body, 2, WireType::Len))
            .and_then(|message| self.0.get(message.body));
        String::from_utf8_lossy(message.unwrap_or_default()).into_owned()
    }

    /// The answer to a request of which one part has this answer and another has that.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let (Some(one), Some(two)) = (self.rejected(), other.rejected()) else {
            return if self.rejected().is_some() {
                self
            } else {
                other
            };
        };
        let (said, more) = (self.message(), other.message());
        let both = if more.is_empty() || said.contains(&more) {
            said
        } else if said.is_empty() {
            more
        } else {
            format!("{said}; {more}")
        };
        let rejected = usize::try_from(one.saturating_add(two)).unwrap_or(usize::MAX);
        Self::rejecting(rejected, &both)
    }

    /// Of two answers to the same request, the one that tells of more.
    fn or_worse(self, other: Self) -> Self {
        if self.rejected() < other.rejected() {
            other
        } else {
            self
        }
    }

    /// Where all must accept, the worst answer is the answer.
    pub fn worst(
        outcomes: impl IntoIterator<Item = Result<Self, Refusal>>,
    ) -> Result<Self, Refusal> {
        outcomes
            .into_iter()
            .reduce(|one, other| match (one, other) {
                (Err(one), Err(other)) => Err(one.or_worse(other)),
                (Err(refusal), Ok(_)) | (Ok(_), Err(refusal)) => Err(refusal),
                (Ok(one), Ok(other)) => Ok(one.or_worse(other)),
            })
            .unwrap_or_else(|| Ok(Self::success()))
    }

    fn partial(&self) -> Option<Field> {
        self.find(0..self.0.len(), 1, WireType::Len)
    }

    fn find(&self, within: std::ops::Range<usize>, number: u32, kind: WireType) -> Option<Field> {
        Fields::new(&self.0, within)
            .flatten()
            .find(|field| field.number == number && field.wire_type == kind)
    }
}

/// What a backend said.
impl From<Bytes> for Answer {
    fn from(response: Bytes) -> Self {
        Self(response)
    }
}

impl From<Answer> for Bytes {
    fn from(answer: Answer) -> Self {
        answer.0
    }
}

fn cut(message: &str) -> &str {
    let end = (0..=LONGEST.min(message.len()))
        .rev()
        .find(|end| message.is_char_boundary(*end));
    message.get(..end.unwrap_or_default()).unwrap_or_default()
}

fn bytes_to(out: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    out.push(number << 3 | 2);
    varint_to(out, bytes.len());
    out.extend_from_slice(bytes);
}

fn varint_to(out: &mut Vec<u8>, value: usize) {
    let value = value as u64;
    write_varint(out, value, varint_width(value));
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use opentelemetry_proto::tonic::collector::trace::v1::{
        ExportTracePartialSuccess, ExportTraceServiceResponse,
    };
    use prost::Message as _;

    use super::*;
    use crate::refusal::Culprit;

    fn told(rejected_spans: i64, message: &str) -> ExportTraceServiceResponse {
        ExportTraceServiceResponse {
            partial_success: Some(ExportTracePartialSuccess {
                rejected_spans,
                error_message: message.to_owned(),
            }),
        }
    }

    #[test]
    fn is_what_otlp_calls_a_partial_success() {
        for rejected in [0, 1, 127, 128, 300_000] {
            let answer = Answer::rejecting(rejected, "too deep");
            let response = told(i64::try_from(rejected).unwrap(), "too deep");
            let decoded = ExportTraceServiceResponse::decode(Bytes::from(answer.clone()));
            assert_eq!(decoded.unwrap(), response);
            assert_eq!(answer, Answer(response.encode_to_vec().into()));
            assert_eq!(answer.rejected(), Some(rejected as u64));
            assert_eq!(answer.message(), "too deep");
        }
        let odd = Answer(told(-1, "odd").encode_to_vec().into());
        assert_eq!(odd.rejected(), Some(0));
        assert_eq!(Answer::success().rejected(), None);
        assert_eq!(Bytes::from(Answer::success()), "");
    }

    #[test]
    fn an_answer_that_is_no_message_rejects_nothing() {
        for response in [&b"\xff"[..], b"\x0a\x05\x08", b"\x08\x01", b"\x12\x00"] {
            let answer = Answer::from(Bytes::copy_from_slice(response));
            assert_eq!(answer.rejected(), None, "{}", response.escape_ascii());
            assert_eq!(answer.message(), "");
        }
    }

    #[test]
    fn parts_add_up() {
        let (full, warning) = (Answer::success(), Answer::rejecting(0, "careful"));
        let (few, many) = (Answer::rejecting(2, "old"), Answer::rejecting(300, "deep"));
        assert_eq!(full.clone().and(few.clone()), few);
        assert_eq!(few.clone().and(full.clone()), few);
        assert_eq!(full.clone().and(full), Answer::success());
        let all = few.clone().and(warning).and(many);
        assert_eq!(all, Answer::rejecting(302, "old; careful; deep"));
        assert_eq!(few.clone().and(few), Answer::rejecting(4, "old"));
        let long = Answer::rejecting(1, &"ä".repeat(5_000)).and(Answer::rejecting(1, "x"));
        assert!(long.message().len() <= LONGEST);
    }

    #[test]
    fn the_worst_answer_is_the_answer() {
        let refused = || Refusal::unavailable(Culprit::Backend, "later");
        let ranked = [
            Answer::success(),
            Answer::rejecting(0, "careful"),
            Answer::rejecting(2, "two"),
            Answer::rejecting(300, "many"),
        ];
        for (better, one) in ranked.iter().enumerate() {
            for other in &ranked[better..] {
                let (one, other) = (Ok(one.clone()), Ok(other.clone()));
                assert_eq!(Answer::worst([one.clone(), other.clone()]), other);
                assert_eq!(Answer::worst([other.clone(), one]), other);
            }
            let one = Ok(one.clone());
            let outcomes = [one.clone(), Err(refused()), one];
            assert_eq!(Answer::worst(outcomes), Err(refused()));
        }
        assert_eq!(Answer::worst([]), Ok(Answer::success()));
    }
}
