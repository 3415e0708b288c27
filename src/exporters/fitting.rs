//! Sends requests in parts that the backend takes.
//!
//! Backends refuse a message above their limit as a whole, and with it everything that happens to
//! stand beside the one large span. So what is larger than `max_request_bytes` is divided between its
//! items before it is sent, and what is refused for its size is halved until the items are found
//! that cannot go at all. A request of profiles, which share a dictionary, is never divided: it goes as a
//! whole or not at all.

use bytes::Bytes;
use slimspan_proto::{Signal, count, halves, split};

use crate::answer::Answer;
use crate::joining::Pieces;
use crate::refusal::Refusal;

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
#[derive(Debug, PartialEq)]
pub(super) struct Sent {
    /// The backend's answers to the parts that it took, together with what it refused of the rest.
    pub(super) answer: Answer,
    /// Single items that the backend will never take, each in a request of its own, with its refusal.
    pub(super) oversize: Vec<(Bytes, Refusal)>,
}

/// Sends `request` in parts that are at most as `large`; an item that alone is larger goes by itself, for
/// the backend has the last word.
///
/// A refusal that a retry can change ends it: the sender sends everything again. A final one is the
/// answer where nothing was taken; otherwise what it concerns counts as rejected.
pub(super) async fn send_fitting<F>(
    signal: Signal,
    request: Bytes,
    large: Largest,
    mut send: impl FnMut(Bytes) -> F,
) -> Result<Sent, Refusal>
where
    F: Future<Output = Result<Answer, Refusal>>,
{
    let mut sending = Sending {
        signal,
        taken: false,
        refused: None,
        pointless: None,
        too_large: None,
        sent: Sent {
            answer: Answer::success(),
            oversize: Vec::new(),
        },
    };
    let has_more = || large.items < usize::MAX && count(signal, &request) > large.items;
    // What cannot be divided goes as it is.
    let pieces = (signal.is_divisible() && has_more())
        .then(|| Pieces::of(signal, &request, large.items).ok())
        .flatten();
    let Some(pieces) = pieces else {
        sending.fit(request, large.bytes, &mut send).await?;
        return sending.end();
    };
    drop(request);
    for index in 0..pieces.count() {
        let piece = pieces.piece(index);
        sending.fit(piece, large.bytes, &mut send).await?;
    }
    sending.end()
}

struct Sending {
    signal: Signal,
    /// Whether the backend took any of it.
    taken: bool,
    refused: Option<Refusal>,
    /// Why nothing more is sent.
    pointless: Option<Refusal>,
    /// The size of the smallest item that was refused for it, and the refusal. What is as large is not
    /// asked about again.
    too_large: Option<(usize, Refusal)>,
    sent: Sent,
}

impl Sending {
    /// Sends a request, in parts where it is larger than `max_bytes`.
    async fn fit<F>(
        &mut self,
        request: Bytes,
        max_bytes: usize,
        send: &mut impl FnMut(Bytes) -> F,
    ) -> Result<(), Refusal>
    where
        F: Future<Output = Result<Answer, Refusal>>,
    {
        // What cannot be divided goes as it is.
        let parts = (request.len() > max_bytes && self.signal.is_divisible())
            .then(|| split(self.signal, &request, max_bytes).ok())
            .flatten();
        let Some(parts) = parts else {
            return self.send(request, send).await;
        };
        drop(request);
        for part in parts.parts() {
            self.send(part, send).await?;
        }
        for index in parts.oversize() {
            let single = parts.items().carve(|item| item == *index);
            self.send(single, send).await?;
        }
        Ok(())
    }

    /// Sends a part, and smaller ones in its place where it is too large.
    async fn send<F>(
        &mut self,
        part: Bytes,
        send: &mut impl FnMut(Bytes) -> F,
    ) -> Result<(), Refusal>
    where
        F: Future<Output = Result<Answer, Refusal>>,
    {
        let mut waiting = vec![part];
        while let Some(part) = waiting.pop() {
            if let Some(refusal) = self.pointless.clone() {
                self.refuse(&part, refusal);
                continue;
            }
            let known = self.too_large.as_ref();
            let outcome = match known.filter(|(size, _)| part.len() >= *size) {
                Some((_, refusal)) => Err(refusal.clone()),
                None => send(part.clone()).await,
            };
            match outcome {
                Ok(answer) => {
                    self.taken = true;
                    self.add(answer);
                }
                Err(refusal) if refusal.is_retryable() => return Err(refusal),
                Err(refusal) if refusal.may_be_for_size() && part.len() > TAKEN_BY_ALL => {
                    if let Some((first, second)) = halves(self.signal, &part) {
                        waiting.extend([second, first]);
                    } else {
                        let smallest = self.too_large.take().map_or(usize::MAX, |(size, _)| size);
                        self.too_large = Some((smallest.min(part.len()), refusal.clone()));
                        self.sent.oversize.push((part, refusal));
                    }
                }
                Err(refusal) => {
                    if refusal.may_be_for_size() {
                        self.pointless = Some(refusal.clone());
                    }
                    self.refuse(&part, refusal);
                }
            }
        }
        Ok(())
    }

    fn refuse(&mut self, part: &[u8], refusal: Refusal) {
        let rejected = count(self.signal, part);
        self.add(Answer::rejecting(rejected, &refusal.to_string()));
        self.refused.get_or_insert(refusal);
    }

    fn add(&mut self, answer: Answer) {
        let before = std::mem::take(&mut self.sent.answer);
        self.sent.answer = before.and(answer);
    }

    fn end(self) -> Result<Sent, Refusal> {
        match self.refused {
            Some(refusal) if !self.taken && self.sent.oversize.is_empty() => Err(refusal),
            _ => Ok(self.sent),
        }
    }
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
        Refusal::of_backend("otlp_grpc", &Status::resource_exhausted("too large"))
    }

    /// The spans of each part that arrived, and the outcome; the backend takes `limit` bytes.
    async fn run(
        request: Bytes,
        max: usize,
        limit: usize,
    ) -> (Vec<Vec<usize>>, usize, Result<Sent, Refusal>) {
        let (arrived, sends) = (RefCell::new(Vec::new()), RefCell::new(0));
        let outcome = send_fitting(Signal::Traces, request, up_to(max), |part| {
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
        let outcome = send_fitting(Signal::Traces, request(&sizes), large, |part| {
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
        let oversize = outcome.unwrap().oversize;
        assert_eq!(oversize.len(), 1);
        let (single, refusal) = &oversize[0];
        assert_eq!((numbers(single), refusal), (vec![300], &too_large()));
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
        let outcome = send_fitting(Signal::Profiles, whole.clone(), up_to(40_000), |part| {
            arrived.push(part);
            std::future::ready(Err(too_large()))
        });
        let oversize = outcome.await.unwrap().oversize;
        assert_eq!(oversize, [(whole.clone(), too_large())]);
        assert_eq!(arrived, [whole]);
    }

    #[tokio::test]
    async fn a_quota_is_not_asked_span_by_span() {
        let (arrived, sends, outcome) = run(request(&[1_000; 512]), 1 << 22, 0).await;
        assert!(arrived.is_empty());
        assert_eq!(outcome.unwrap_err(), too_large());
        assert_eq!(sends, 6, "down to 16 KiB");
    }

    /// Items of chats are large themselves, and a quota refuses each.
    #[tokio::test]
    async fn a_quota_is_not_asked_for_each_large_span_either() {
        let (arrived, sends, outcome) = run(request(&[20_000; 200]), 1 << 23, 0).await;
        assert!(arrived.is_empty());
        assert_eq!(outcome.unwrap().oversize.len(), 200, "none is forgotten");
        assert_eq!(sends, 8, "down to the first");
    }

    #[tokio::test]
    async fn what_can_be_repeated_is_repeated_as_a_whole() {
        let later = || Refusal::unavailable(Culprit::Backend, "later");
        let mut sends = 0;
        let outcome = send_fitting(Signal::Traces, request(&[30_000; 4]), up_to(40_000), |_| {
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
        let outcome = send_fitting(Signal::Traces, request(&[30_000; 4]), up_to(70_000), |_| {
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
