//! Bodies that keep something until they are taken.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes};
use http_body::{Body as HttpBody, Frame, SizeHint};

/// What is given of one at a time where what it keeps is to stay until most of it has left.
const PIECE: usize = 64 << 10;

/// A body that keeps something until its end, or until nobody wants more of it.
struct Kept<T> {
    body: Body,
    /// What is still to be given of what the body gave.
    waiting: Bytes,
    /// How much is given at a time.
    piece: usize,
    _until_its_end: T,
}

/// Keeps something until all of a body is given to be sent.
pub(super) fn keep<T: Send + Unpin + 'static>(body: Body, kept: T) -> Body {
    in_pieces(body, usize::MAX, kept)
}

/// Keeps something until all of a body has left, but for some [`PIECE`]s. It has no more memory then than they.
pub(super) fn keep_until_taken<T: Send + Unpin + 'static>(body: Body, kept: T) -> Body {
    in_pieces(body, PIECE, kept)
}

fn in_pieces<T: Send + Unpin + 'static>(body: Body, piece: usize, kept: T) -> Body {
    Body::new(Kept {
        body,
        waiting: Bytes::new(),
        piece,
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

    use super::*;

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
