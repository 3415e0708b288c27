//! What backends answer to a request that they take: nothing, a warning, or how much of it they do
//! not take.

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceResponse,
};
use prost::Message as _;

use crate::refusal::Refusal;

/// How bad an answer is: whether it tells of a partial success, and how many items it rejects. One
/// that is no message rejects nothing.
pub fn rejected(response: &[u8]) -> (bool, u64) {
    match partial_success(response) {
        None => (false, 0),
        Some(partial) => (true, u64::try_from(partial.rejected_spans).unwrap_or(0)),
    }
}

/// The answer with `count` more items rejected, and why.
pub fn and_rejected(response: &Bytes, count: u64, reason: &str) -> Bytes {
    let more = ExportTracePartialSuccess {
        rejected_spans: i64::try_from(count).unwrap_or(i64::MAX),
        error_message: reason.to_owned(),
    };
    answer(partial_success(response), more)
}

/// The answer to a request that was sent as two: what either rejects is rejected.
pub fn both(one: Bytes, other: &Bytes) -> Bytes {
    match (partial_success(&one), partial_success(other)) {
        (_, None) => one,
        (before, Some(more)) => answer(before, more),
    }
}

/// Where all must accept, the worst answer is the answer.
pub fn worst(outcomes: impl IntoIterator<Item = Result<Bytes, Refusal>>) -> Result<Bytes, Refusal> {
    outcomes
        .into_iter()
        .reduce(|one, other| match (one, other) {
            (Err(one), Err(other)) => Err(one.or_worse(other)),
            (Err(refusal), Ok(_)) | (Ok(_), Err(refusal)) => Err(refusal),
            (Ok(one), Ok(other)) if rejected(&one) < rejected(&other) => Ok(other),
            (Ok(one), Ok(_)) => Ok(one),
        })
        .unwrap_or_else(|| Ok(Bytes::new()))
}

/// The answers of all signals are written the same way.
fn partial_success(response: &[u8]) -> Option<ExportTracePartialSuccess> {
    ExportTraceServiceResponse::decode(response)
        .ok()?
        .partial_success
}

fn answer(before: Option<ExportTracePartialSuccess>, more: ExportTracePartialSuccess) -> Bytes {
    let before = before.unwrap_or_default();
    let messages = [before.error_message, more.error_message];
    let messages = messages.iter().filter(|message| !message.is_empty());
    let messages: Vec<_> = messages.map(String::as_str).collect();
    let rejected = before.rejected_spans.max(0);
    let partial_success = ExportTracePartialSuccess {
        rejected_spans: rejected.saturating_add(more.rejected_spans.max(0)),
        error_message: messages.join("; "),
    };
    ExportTraceServiceResponse {
        partial_success: Some(partial_success),
    }
    .encode_to_vec()
    .into()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::refusal::Culprit;

    fn response(rejected_spans: i64, message: &str) -> Bytes {
        let partial_success = Some(ExportTracePartialSuccess {
            rejected_spans,
            error_message: message.to_owned(),
        });
        ExportTraceServiceResponse { partial_success }
            .encode_to_vec()
            .into()
    }

    #[test]
    fn the_worst_answer_is_the_answer() {
        let (full, warning) = (Bytes::new(), response(0, "careful"));
        let (few, many) = (response(2, "two"), response(300, "many"));
        let refused = || Refusal::unavailable(Culprit::Backend, "later");
        let ranked = [full, warning, few, many];
        for (better, one) in ranked.iter().enumerate() {
            for other in &ranked[better..] {
                assert_eq!(
                    worst(vec![Ok(one.clone()), Ok(other.clone())]).unwrap(),
                    other
                );
                assert_eq!(
                    worst(vec![Ok(other.clone()), Ok(one.clone())]).unwrap(),
                    other
                );
            }
            let outcomes = vec![Ok(one.clone()), Err(refused()), Ok(one.clone())];
            assert_eq!(worst(outcomes), Err(refused()));
        }
    }

    #[test]
    fn an_answer_that_is_no_message_rejects_nothing() {
        for response in [&b""[..], b"\xff", b"\x0a\x05\x08", b"\x08\x01", b"\x12\x00"] {
            assert_eq!(
                rejected(response),
                (false, 0),
                "{}",
                response.escape_ascii()
            );
        }
        assert_eq!(rejected(&response(0, "careful")), (true, 0));
        assert_eq!(rejected(&response(300, "")), (true, 300));
        assert_eq!(rejected(&response(-1, "odd")), (true, 0));
    }

    #[test]
    fn what_is_rejected_twice_adds_up() {
        let own = |before: &Bytes| and_rejected(before, 2, "two are broken");
        assert_eq!(own(&Bytes::new()), response(2, "two are broken"));
        assert_eq!(own(&response(0, "")), response(2, "two are broken"));
        assert_eq!(
            own(&response(3, "three are old")),
            response(5, "three are old; two are broken")
        );
        assert_eq!(own(&response(-7, "")), response(2, "two are broken"));
        assert_eq!(
            own(&Bytes::from_static(b"\xff")),
            response(2, "two are broken")
        );
    }

    #[test]
    fn an_answer_to_two_requests_has_what_either_says() {
        let (full, few) = (Bytes::new(), response(2, "two"));
        assert_eq!(both(full.clone(), &full), full);
        assert_eq!(both(few.clone(), &full), few);
        assert_eq!(both(full, &few), few);
        assert_eq!(both(few, &response(1, "one")), response(3, "two; one"));
    }
}
