//! Sends requests in parts that the backend takes.
//!
//! Backends refuse a message above their limit as a whole, and with it everything that happens to
//! stand beside the one large span. So what is larger than `max_request_bytes` is divided between its
//! items before it is sent, and what is refused for its size is halved until the items are found
//! that cannot go at all. A request of profiles, which share a dictionary, is never divided: it goes as a
//! whole or not at all.
//!
//! Parts are written one at a time, and what cannot go when it is kept: where a large resource goes with each item,
//! all of them together are far larger than the request.

mod sending;
mod stuck;

use bytes::Bytes;
use slimspan_proto::{Items, Signal, count};

use super::terms::Oversize;
use crate::answer::Answer;
use crate::joining::ranges;
use crate::refusal::Refusal;
use sending::Sending;
pub(super) use stuck::Stuck;

/// Every backend takes this much. One that refuses less for its size refuses for another reason, such
/// as a quota, and halving would only ask it the more often.
const TAKEN_BY_ALL: usize = 16 * 1024;

/// The largest request that is sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Largest {
    pub(super) bytes: usize,
    pub(super) items: usize,
}

/// What became of a request.
#[derive(Debug)]
pub(super) struct Sent {
    /// The backend's answers to the parts that it took, together with what it refused of the rest.
    pub(super) answer: Answer,
    /// What the backend will never take for its size; the answer does not tell of it.
    pub(super) stuck: Vec<Stuck>,
}

/// Sends `request` in parts that are at most as `large`; an item that alone is larger goes by itself, for
/// the backend has the last word.
///
/// A refusal that a retry can change ends it: the sender sends everything again. A final one is the
/// answer where nothing was taken, but one for its size; otherwise what it concerns counts as rejected. Where what is
/// too large is to be [refused](Oversize::Refused), nothing is taken of a request with such an item.
pub(super) async fn send_fitting<F>(
    signal: Signal,
    request: Bytes,
    large: Largest,
    oversize: Oversize,
    mut send: impl FnMut(Bytes) -> F,
) -> Result<Sent, Refusal>
where
    F: Future<Output = Result<Answer, Refusal>>,
{
    let divided = || {
        let items = signal.is_divisible().then(|| Items::read(signal, &request));
        let items = items.and_then(Result::ok);
        items.filter(|items| items.len() > 1)
    };
    let has_too_many = || large.items < usize::MAX && count(signal, &request) > large.items;
    let has_to_be = request.len() > large.bytes || has_too_many();
    if let Some(items) = has_to_be.then(divided).flatten() {
        let pieces = ranges(&items, large.items).into_iter();
        let parts: Vec<_> = pieces
            .map(|piece| items.parts(piece, large.bytes))
            .collect();
        let alone = parts.iter().flat_map(|of| &of.oversize);
        let alone: Vec<_> = alone.map(|index| vec![*index]).collect();
        let fitting = parts.into_iter().flat_map(|of| of.fitting);
        // What is surely taken goes first.
        let parts = fitting.chain(alone).collect();
        return Sending::new(items, oversize, send).all(parts).await;
    }
    let refusal = match send(request.clone()).await {
        Err(refusal) if may_be_for_size(&refusal, request.len()) => refusal,
        outcome => {
            return outcome.map(|answer| Sent {
                answer,
                stuck: Vec::new(),
            });
        }
    };
    match divided() {
        Some(items) => {
            let mut first: Vec<_> = (0..items.len()).collect();
            let second = first.split_off(first.len() / 2);
            let sending = Sending::new(items, oversize, send);
            sending.all(vec![first, second]).await
        }
        None if oversize == Oversize::Refused || !refusal.is_for_size() => Err(refusal),
        None => Ok(Sent {
            answer: Answer::success(),
            stuck: vec![Stuck::whole(request, refusal)],
        }),
    }
}

/// Whether a request that has `len` bytes may have been refused for that.
fn may_be_for_size(refusal: &Refusal, len: usize) -> bool {
    refusal.may_be_for_size() && len > TAKEN_BY_ALL
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::cell::RefCell;

    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
    use prost::Message as _;
    use tonic::Status;

    use super::*;
    use crate::refusal::Culprit;

    /// A request with spans whose names have these lengths.
    fn request(sizes: &[usize]) -> Bytes {
        let span = |(number, size): (usize, &usize)| Span {
            name: format!("{number:0size$}"),
            ..Span::default()
        };
        let spans = sizes.iter().enumerate().map(span).collect();
        let resource_spans = vec![ResourceSpans {
            scope_spans: vec![ScopeSpans {
                spans,
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }];
        ExportTraceServiceRequest { resource_spans }
            .encode_to_vec()
            .into()
    }

    /// The numbers of the spans in a request.
    fn numbers(request: &Bytes) -> Vec<usize> {
        let request = ExportTraceServiceRequest::decode(request.clone()).unwrap();
        let scopes = request
            .resource_spans
            .into_iter()
            .flat_map(|of| of.scope_spans);
        let spans = scopes.flat_map(|of| of.spans);
        spans.map(|span| span.name.parse().unwrap()).collect()
    }

    /// So many bytes, and any number of items.
    fn up_to(bytes: usize) -> Largest {
        let items = usize::MAX;
        Largest { bytes, items }
    }

    fn too_large() -> Refusal {
        let said = Status::resource_exhausted("received message larger than max");
        Refusal::of_backend("otlp_grpc", &said)
    }

    fn over_quota() -> Refusal {
        Refusal::of_backend("otlp_grpc", &Status::resource_exhausted("over quota"))
    }

    /// Sends it where what is too large becomes a dead letter.
    async fn send_to<F>(
        request: Bytes,
        large: Largest,
        send: impl FnMut(Bytes) -> F,
    ) -> Result<Sent, Refusal>
    where
        F: Future<Output = Result<Answer, Refusal>>,
    {
        send_fitting(Signal::Traces, request, large, Oversize::Kept, send).await
    }

    /// The spans of each part that arrived, and the outcome; the backend takes `limit` bytes.
    async fn run(
        request: Bytes,
        max: usize,
        limit: usize,
    ) -> (Vec<Vec<usize>>, usize, Result<Sent, Refusal>) {
        let (arrived, sends) = (RefCell::new(Vec::new()), RefCell::new(0));
        let outcome = send_to(request, up_to(max), |part| {
            *sends.borrow_mut() += 1;
            std::future::ready(if part.len() > limit {
                Err(too_large())
            } else {
                arrived.borrow_mut().push(numbers(&part));
                Ok(Answer::success())
            })
        })
        .await;
        (arrived.into_inner(), sends.into_inner(), outcome)
    }

    #[tokio::test]
    async fn what_is_too_large_for_one_goes_in_several() {
        let sizes = [30_000; 10];
        let (arrived, sends, outcome) = run(request(&sizes), 100_000, usize::MAX).await;
        assert_eq!(
            arrived,
            [vec![0, 1, 2], vec![3, 4, 5], vec![6, 7, 8], vec![9]]
        );
        assert_eq!((sends, outcome.unwrap().answer), (4, Answer::success()));
        let whole = request(&sizes);
        let (arrived, ..) = run(whole.clone(), whole.len(), usize::MAX).await;
        assert_eq!(arrived.len(), 1, "as large as it may be");
    }

    #[tokio::test]
    async fn what_has_too_many_items_for_one_goes_in_several() {
        let mut arrived = Vec::new();
        let large = Largest {
            bytes: 70_000,
            items: 3,
        };
        // Of the first three, two are as large as a part may be.
        let sizes = [30_000, 30_000, 30_000, 10, 10, 10, 10];
        let outcome = send_to(request(&sizes), large, |part| {
            arrived.push(numbers(&part));
            std::future::ready(Ok(Answer::success()))
        });
        assert_eq!(outcome.await.unwrap().answer, Answer::success());
        assert_eq!(arrived, [vec![0, 1], vec![2], vec![3, 4, 5], vec![6]]);
    }

    #[tokio::test]
    async fn one_oversize_span_is_found_by_halving() {
        let mut sizes = [100; 512];
        sizes[300] = 60_000;
        let (arrived, sends, outcome) = run(request(&sizes), 1 << 22, 50_000).await;
        let others: Vec<_> = (0..512).filter(|number| *number != 300).collect();
        assert_eq!(arrived.concat(), others);
        assert!(sends <= 2 * 9 + 1, "2 log2(n) + 1: {sends}");
        let stuck = outcome.unwrap().stuck;
        assert_eq!(stuck.len(), 1);
        assert_eq!(numbers(&stuck[0].request()), [300]);
        assert_eq!(stuck[0].refusal, too_large());
    }

    #[tokio::test]
    async fn the_backend_has_the_last_word_on_a_single_item() {
        let (arrived, sends, outcome) = run(request(&[100, 60_000, 100]), 50_000, usize::MAX).await;
        assert_eq!((arrived, sends), (vec![vec![0, 2], vec![1]], 2));
        assert_eq!(outcome.unwrap().answer, Answer::success());
    }

    /// They share a dictionary.
    #[tokio::test]
    async fn profiles_go_whole_or_not_at_all() {
        // The same framing as that of spans.
        let whole = request(&[30_000; 4]);
        let mut arrived = Vec::new();
        let large = up_to(40_000);
        let send = |part| {
            arrived.push(part);
            std::future::ready(Err(too_large()))
        };
        let ended = send_fitting(Signal::Profiles, whole.clone(), large, Oversize::Kept, send);
        let stuck = ended.await.unwrap().stuck;
        let stuck: Vec<_> = stuck.iter().map(Stuck::request).collect();
        assert_eq!((stuck, arrived), (vec![whole.clone()], vec![whole]));
    }

    /// A request whose backend refuses all, and how often it was asked.
    async fn refused(request: Bytes, refusal: &Refusal) -> (Result<Sent, Refusal>, usize) {
        let mut sends = 0;
        let outcome = send_to(request, up_to(1 << 24), |_| {
            sends += 1;
            std::future::ready(Err(refusal.clone()))
        });
        let outcome = outcome.await;
        (outcome, sends)
    }

    #[tokio::test]
    async fn a_quota_is_not_asked_span_by_span() {
        let (outcome, sends) = refused(request(&[1_000; 512]), &over_quota()).await;
        assert_eq!(outcome.unwrap_err(), over_quota());
        assert_eq!(sends, 6, "down to 16 KiB");
    }

    /// Items of chats are large themselves. Whatever stands first, nobody is told that some of it arrived.
    #[tokio::test]
    async fn a_quota_is_not_taken_for_the_size_of_large_spans() {
        for (sizes, most) in [
            (vec![20_000], 1),
            (vec![20_000; 200], 8),
            ([vec![20_000], vec![1_000; 100]].concat(), 15),
            ([vec![1_000; 100], vec![20_000]].concat(), 15),
        ] {
            let (outcome, sends) = refused(request(&sizes), &over_quota()).await;
            assert_eq!(outcome.unwrap_err(), over_quota(), "{}", sizes.len());
            assert!(sends <= most, "{} spans: {sends}", sizes.len());
        }
        let (outcome, sends) = refused(request(&[20_000; 200]), &too_large()).await;
        let stuck = outcome.unwrap().stuck;
        assert_eq!(stuck.len(), 200, "none is forgotten");
        assert_eq!(sends, 8, "down to the first");
    }

    /// A request with spans whose names have these lengths, in a resource that is as large as that.
    fn around(resource: usize, sizes: &[usize]) -> Bytes {
        let mut decoded = ExportTraceServiceRequest::decode(request(sizes)).unwrap();
        decoded.resource_spans[0].schema_url = "u".repeat(resource);
        decoded.encode_to_vec().into()
    }

    /// Each item is too large then, and apart they are far larger than memory.
    #[tokio::test]
    async fn a_resource_that_is_too_large_is_neither_sent_nor_kept_with_each_item() {
        const RESOURCE: usize = 1 << 20;
        // Each is smaller than the one before, so that no refusal tells of the next.
        let sizes: Vec<_> = (0..2_000).map(|number| 2_100 - number).collect();
        let whole = around(RESOURCE, &sizes);
        for (max, limit) in [(RESOURCE, RESOURCE), (1 << 30, RESOURCE / 2)] {
            let (arrived, sends, outcome) = run(whole.clone(), max, limit).await;
            assert!(arrived.is_empty());
            assert!(sends <= 40, "{sends}");
            let stuck = outcome.unwrap().stuck;
            let bytes: usize = stuck.iter().map(|one| one.request().len()).sum();
            assert!(bytes <= 2 * whole.len(), "{bytes} of {}", whole.len());
            let kept: Vec<_> = stuck
                .iter()
                .flat_map(|one| numbers(&one.request()))
                .collect();
            assert_eq!(kept.len(), sizes.len());
        }
    }

    /// Some of them fit with it, and go.
    #[tokio::test]
    async fn what_fits_with_its_resource_goes_and_the_rest_is_found_by_halving_sizes() {
        let sizes: Vec<_> = (0..300).map(|number| 100 + number * 100).collect();
        let whole = around(40_000, &sizes);
        for max in [55_000, 1 << 30] {
            let (arrived, sends, outcome) = run(whole.clone(), max, 55_000).await;
            let mut arrived = arrived.concat();
            arrived.sort_unstable();
            let stuck = outcome.unwrap().stuck;
            let stuck: Vec<_> = stuck
                .iter()
                .flat_map(|one| numbers(&one.request()))
                .collect();
            assert_eq!(arrived, (0..arrived.len()).collect::<Vec<_>>());
            assert_eq!(arrived.len() + stuck.len(), sizes.len());
            assert!(arrived.len() > 140, "{}", arrived.len());
            assert!(sends < 400, "{sends}");
        }
    }

    /// What waits for its store to become smaller is to come again as a whole, and none of it twice.
    #[tokio::test]
    async fn nothing_is_taken_of_a_request_that_is_to_come_back() {
        let mut sizes = [1_000; 100];
        sizes[70] = 60_000;
        for (max, limit, is_taken) in [
            (50_000, 50_000, false),
            (1 << 20, 50_000, false),
            (50_000, 70_000, true),
            (1 << 20, 70_000, true),
        ] {
            let mut arrived = Vec::new();
            let (whole, large) = (request(&sizes), up_to(max));
            let send = |part: Bytes| {
                std::future::ready(if part.len() > limit {
                    Err(too_large())
                } else {
                    arrived.extend(numbers(&part));
                    Ok(Answer::success())
                })
            };
            let ended = send_fitting(Signal::Traces, whole, large, Oversize::Refused, send);
            match ended.await {
                Ok(all) => assert!(is_taken && all.stuck.is_empty()),
                Err(refusal) => assert!(!is_taken && refusal == too_large()),
            }
            assert_eq!(
                arrived.len(),
                if is_taken { 100 } else { 0 },
                "{max} {limit}"
            );
        }
    }

    #[tokio::test]
    async fn what_can_be_repeated_is_repeated_as_a_whole() {
        let later = || Refusal::unavailable(Culprit::Backend, "later");
        let mut sends = 0;
        let outcome = send_to(request(&[30_000; 4]), up_to(40_000), |_| {
            sends += 1;
            std::future::ready(if sends == 2 {
                Err(later())
            } else {
                Ok(Answer::success())
            })
        });
        assert_eq!(outcome.await.unwrap_err(), later());
        assert_eq!(sends, 2, "the rest would be sent twice");
    }

    #[tokio::test]
    async fn a_final_refusal_of_a_part_takes_no_other_along() {
        let mut sends = 0;
        let outcome = send_to(request(&[30_000; 4]), up_to(70_000), |_| {
            sends += 1;
            std::future::ready(if sends == 1 {
                Err(Refusal::malformed("bad name"))
            } else {
                Ok(Answer::rejecting(1, "old"))
            })
        });
        let answer = outcome.await.unwrap().answer;
        assert_eq!(answer, Answer::rejecting(3, "bad name; old"));
    }
}
