//! The requests of a connection: how many there ever were, and how many are under way.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Response;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::telemetry::Cut;

/// The requests of one connection. Clones are of the same.
#[derive(Debug, Clone, Default)]
pub(in crate::receivers) struct Requests(Arc<watch::Sender<Count>>);

#[derive(Debug, Default)]
struct Count {
    /// All that ever were.
    begun: u64,
    under_way: usize,
    /// When there were answers that have not been sent yet, by the order in which they came.
    unsent: BTreeMap<u64, Instant>,
    answers: u64,
    /// When the last one ended.
    ended: Option<Instant>,
    /// Why its bytes are not read, or written, any more.
    cut: Option<Cut>,
    /// Whether one of them stopped arriving.
    stalled: bool,
}

/// Stands in the extensions of an answer to a request that stopped arriving.
#[derive(Debug, Clone, Copy)]
pub(in crate::receivers) struct Stalled;

/// A request that is under way until this is dropped.
#[derive(Debug)]
pub(in crate::receivers) struct UnderWay {
    requests: Requests,
    answer: Option<u64>,
}

impl Requests {
    /// The headers of a request have come.
    pub(in crate::receivers) fn begin(&self) -> UnderWay {
        self.0.send_modify(|count| {
            count.begun += 1;
            count.under_way += 1;
        });
        UnderWay {
            requests: self.clone(),
            answer: None,
        }
    }

    /// How many there ever were, and how many are under way.
    pub(in crate::receivers) fn progress(&self) -> (u64, usize) {
        let count = self.0.borrow();
        (count.begun, count.under_way)
    }

    /// When the last one ended, if there ever was one; none while one is under way.
    #[expect(clippy::option_option, reason = "they mean different things")]
    pub(in crate::receivers) fn ended(&self) -> Option<Option<Instant>> {
        let count = self.0.borrow();
        (count.under_way == 0).then_some(count.ended)
    }

    /// The connection is cut because of what comes over it, or is not taken.
    pub(in crate::receivers) fn cut(&self, cut: Cut) {
        self.0.send_modify(|count| count.cut = Some(cut));
    }

    /// Why it is cut, if it is.
    pub(super) fn cut_for(&self) -> Option<Cut> {
        self.0.borrow().cut
    }

    /// How long the oldest answer has waited for its peer to take it.
    pub(super) fn unsent_for(&self) -> Duration {
        let count = self.0.borrow();
        let oldest = count.unsent.first_key_value();
        oldest.map_or(Duration::ZERO, |(_, since)| since.elapsed())
    }

    /// Waits until the answer to a request that stopped arriving is about to be sent.
    pub(super) async fn stalled(&self) {
        self.until(|count| count.stalled).await;
    }

    /// Waits for the first request.
    pub(super) async fn begun(&self) {
        self.until(|count| count.begun > 0).await;
    }

    /// Waits until no request has been under way for `pause`.
    pub(super) async fn quiet_for(&self, pause: Duration) {
        loop {
            self.until(|count| count.under_way == 0).await;
            let (begun, _) = self.progress();
            // One may have begun and ended before anybody looks.
            let next = self.until(|count| count.begun != begun);
            if timeout(pause, next).await.is_err() {
                return;
            }
        }
    }

    /// Waits for the next request, but no longer than that; not at all while one is under way.
    pub(super) async fn next_within(&self, longest: Duration) {
        let (begun, under_way) = self.progress();
        if under_way == 0 {
            // Whether it has come makes no difference.
            let _ = timeout(longest, self.until(|count| count.begun != begun)).await;
        }
    }

    async fn until(&self, holds: impl FnMut(&Count) -> bool) {
        // It cannot fail: this is the sender that it listens to.
        let _ = self.0.subscribe().wait_for(holds).await;
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.requests.0.send_modify(|count| {
            count.under_way -= 1;
            count.ended = Some(Instant::now());
            if let Some(answer) = self.answer {
                count.unsent.remove(&answer);
            }
        });
    }
}

impl UnderWay {
    /// Ties the request to its answer: it is under way until the whole answer is handed over.
    pub(in crate::receivers) fn until_sent<B>(
        mut self,
        answer: Response<B>,
    ) -> Response<Answer<B>> {
        let stalled = answer.extensions().get::<Stalled>().is_some();
        self.requests.0.send_modify(|count| {
            count.stalled |= stalled;
            count.answers += 1;
            count.unsent.insert(count.answers, Instant::now());
            self.answer = Some(count.answers);
        });
        answer.map(|body| Answer {
            body,
            _under_way: self,
        })
    }
}

/// The body of an answer, and the request that it ends.
#[derive(Debug)]
pub(in crate::receivers) struct Answer<B> {
    body: B,
    _under_way: UnderWay,
}

impl<B: Body + Unpin> Body for Answer<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
