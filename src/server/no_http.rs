//! What is no HTTP is answered by hyper, before anything here sees it and without a word of what a browser may do with
//! that. On its way out its answer gets the headers that every other one has.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use http::HeaderMap;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connections::Doing;

/// Headers as they are sent.
#[derive(Debug, Clone, Default)]
pub(super) struct Lines(Bytes);

impl Lines {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut lines = Vec::new();
        for (name, value) in headers {
            let parts = [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"];
            lines.extend(parts.concat());
        }
        Self(lines.into())
    }
}

/// A connection on which answers that nobody here gave get their headers.
pub(super) struct Headed<S> {
    stream: S,
    doing: Arc<Doing>,
    lines: Lines,
    /// What is left to be written of such an answer, and how long it is without them.
    answer: Option<(Bytes, usize)>,
}

impl<S> Headed<S> {
    pub(super) fn new(stream: S, doing: Arc<Doing>, lines: Lines) -> Self {
        Self {
            stream,
            doing,
            lines,
            answer: None,
        }
    }

    /// Whether this is such an answer: what is written while nothing is asked for answers nothing that came to anybody
    /// here. hyper writes all of it at once, and nothing behind it.
    fn is_unasked(&mut self, parts: &[IoSlice<'_>]) -> bool {
        if self.answer.is_none() && self.doing.is_idle() {
            let written: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
            let answer = headed(&written, &self.lines.0);
            self.answer = answer.map(|answer| (answer, written.len()));
        }
        self.answer.is_some()
    }
}

impl<S: AsyncWrite + Unpin> Headed<S> {
    /// Writes it; as long as all of it is not written, none of it is.
    fn poll_answer(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Some((left, len)) = &mut self.answer else {
            return Poll::Ready(Ok(0));
        };
        while !left.is_empty() {
            let count = ready!(Pin::new(&mut self.stream).poll_write(context, left))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            left.advance(count);
        }
        let len = *len;
        self.answer = None;
        Poll::Ready(Ok(len))
    }
}

/// An answer without content that tells of a mistake, with these headers; none if this is none.
fn headed(answer: &[u8], lines: &[u8]) -> Option<Bytes> {
    // The version ends in a digit and a space.
    let status = answer.strip_prefix(b"HTTP/1.")?.get(2..)?;
    let head = answer.strip_suffix(b"\r\n")?;
    let is_one = status.starts_with(b"4") && head.ends_with(b"\r\n");
    is_one.then(|| [head, lines, &b"\r\n"[..]].concat().into())
}

impl<S: AsyncRead + Unpin> AsyncRead for Headed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Headed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.is_unasked(&[IoSlice::new(bytes)]) {
            return self.poll_answer(context);
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.is_unasked(parts) {
            return self.poll_answer(context);
        }
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use http::HeaderValue;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    const OWN: &str = "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
    const WITH_LINES: &str = "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\na: b\r\n\r\n";

    /// Also where little is taken at a time; an answer to what was asked for stays as it is until it has left.
    #[tokio::test]
    async fn only_an_answer_that_nobody_gave_gets_headers() {
        // No more than a few bytes go at a time.
        let (near, mut far) = duplex(7);
        let reading = tokio::spawn(async move {
            let mut told = String::new();
            far.read_to_string(&mut told).await.unwrap();
            told
        });
        let doing = Arc::new(Doing::default());
        let mut headers = HeaderMap::new();
        headers.insert("a", HeaderValue::from_static("b"));
        let mut near = Headed::new(near, Arc::clone(&doing), Lines::of(&headers));
        let answering = doing.asked();
        near.write_all(OWN.as_bytes()).await.unwrap();
        drop(answering);
        near.write_all(OWN.as_bytes()).await.unwrap();
        doing.sent();
        near.write_all(OWN.as_bytes()).await.unwrap();
        let (first, rest) = OWN.split_at(11);
        let parts = [first, rest].map(|part| IoSlice::new(part.as_bytes()));
        let count = near.write_vectored(&parts).await.unwrap();
        assert_eq!(count, OWN.len());
        let other = "HTTP/1.1 200 OK\r\n\r\n";
        near.write_all(other.as_bytes()).await.unwrap();
        near.shutdown().await.unwrap();
        let told = reading.await.unwrap();
        assert_eq!(told, format!("{OWN}{OWN}{WITH_LINES}{WITH_LINES}{other}"));
    }
}
