//! Bodies that keep something until they are taken.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::Instant;

/// What is given of one at a time where what it keeps is to stay until most of it has left.
const PIECE: usize = 64 << 10;

/// What has to be taken of such a one in a second, beside [`GRACE`] in all: else it would be kept from others for as
/// long as somebody likes.
const PACE: u64 = 64 << 10;

/// See [`PACE`].
const GRACE: Duration = Duration::from_secs(30);

/// A body that keeps something until its end, or until nobody wants more of it.
struct Kept<T> {
    body: Body,
    /// What is still to be given of what the body gave.
    waiting: Bytes,
    /// How much is given at a time.
    piece: usize,
    /// When it has to be taken, if that matters.
    until: Option<Instant>,
    _until_its_end: T,
}

/// Keeps something until all of a body is given to be sent.
pub(super) fn keep<T: Send + Unpin + 'static>(body: Body, kept: T) -> Body {
    in_pieces(body, usize::MAX, None, kept)
}

/// Keeps something until all of a body has left, but for some [`PIECE`]s. It has no more memory then than they. Who
/// takes it too slowly is cut.
pub(super) fn keep_until_taken<T: Send + Unpin + 'static>(body: Body, kept: T) -> Body {
    let seconds = body.size_hint().lower() / PACE;
    let until = Instant::now() + GRACE + Duration::from_secs(seconds);
    in_pieces(body, PIECE, Some(until), kept)
}

fn in_pieces<T: Send + Unpin + 'static>(
    body: Body,
    piece: usize,
    until: Option<Instant>,
    kept: T,
) -> Body {
    Body::new(Kept {
        body,
        waiting: Bytes::new(),
        piece,
        until,
        _until_its_end: kept,
    })
}

impl<T: Unpin> HttpBody for Kept<T> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        // Whoever takes nothing at all is noticed by the listener.
        if self.until.is_some_and(|until| Instant::now() > until) && !self.is_end_stream() {
            let told = "an answer was taken too slowly";
            let error = axum::Error::new(io::Error::new(io::ErrorKind::TimedOut, told));
            return Poll::Ready(Some(Err(error)));
        }
        if self.waiting.is_empty() {
            let frame = match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => frame,
                ended => return Poll::Ready(ended),
            };
            match frame.into_data() {
                Ok(data) if data.len() > self.piece => self.waiting = data,
                Ok(data) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Err(frame) => return Poll::Ready(Some(Ok(frame))),
            }
        }
        let len = self.piece.min(self.waiting.len());
        let piece = self.waiting.split_to(len);
        // As a part of the whole, the last one would have the memory of all.
        let piece = Bytes::copy_from_slice(&piece);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.waiting.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let waiting = self.waiting.len() as u64;
        let of_body = self.body.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(of_body.lower().saturating_add(waiting));
        if let Some(upper) = of_body.upper() {
            hint.set_upper(upper.saturating_add(waiting));
        }
        hint
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::sync::Arc;

    use http_body_util::BodyExt as _;
    use tokio::time::sleep;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_takes_it_too_slowly_is_cut() {
        const PIECES: u32 = 32;
        let size = PIECES as usize * PIECE;
        let allowed = GRACE + Duration::from_secs(size as u64 / PACE);
        for (pause, is_cut) in [
            (allowed / (PIECES + 1), false),
            (allowed / (PIECES / 2), true),
        ] {
            let mut body = keep_until_taken(Body::from(vec![7; size]), ());
            let (mut taken, mut error) = (0, None);
            while error.is_none() && !body.is_end_stream() {
                match body.frame().await.unwrap() {
                    Ok(piece) => taken += piece.data_ref().unwrap().len(),
                    Err(cut) => error = Some(cut),
                }
                sleep(pause).await;
            }
            assert_eq!(error.is_some(), is_cut, "{pause:?}: {error:?}");
            assert_eq!(taken == size, !is_cut, "{pause:?}: {taken}");
        }
        // What nothing is missing of is not cut, whenever somebody looks.
        let mut body = keep_until_taken(Body::from("all"), ());
        assert!(body.frame().await.unwrap().is_ok());
        sleep(2 * allowed).await;
        assert!(body.frame().await.is_none());
    }

    #[tokio::test]
    async fn what_is_kept_is_there_until_the_last_piece_is_taken() {
        let kept = Arc::new(());
        let all: Bytes = (0..3 * PIECE + 5).map(|at| (at % 251) as u8).collect();
        let mut body = keep_until_taken(Body::from(all.clone()), Arc::clone(&kept));
        assert_eq!(body.size_hint().exact(), Some(all.len() as u64));
        let mut taken = Vec::new();
        while !body.is_end_stream() {
            assert_eq!(Arc::strong_count(&kept), 2);
            let piece = body.frame().await.unwrap().unwrap().into_data().unwrap();
            assert!(piece.len() <= PIECE, "{}", piece.len());
            taken.extend_from_slice(&piece);
            let left = (all.len() - taken.len()) as u64;
            assert_eq!(body.size_hint().exact(), Some(left));
        }
        assert_eq!(taken, all);
        assert!(body.frame().await.is_none());
        drop(body);
        assert_eq!(Arc::strong_count(&kept), 1);
    }
}
