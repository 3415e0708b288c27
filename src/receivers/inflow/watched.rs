//! A connection whose bytes have to keep moving.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::http2::{Flood, Frames};
use super::spoken::Spoken;
use crate::receivers::connections::{Requests, UNREAD};
use crate::telemetry::Cut;

/// The bytes of one connection. Reading fails where those that come in are a flood or stop in the
/// middle of something, and writing where the peer does not read.
#[derive(Debug)]
pub(in crate::receivers) struct Watched<T> {
    io: T,
    requests: Requests,
    spoken: Spoken,
    flood: Option<Flood>,
    /// Runs while something that has begun to come is not whole.
    whole: Timer,
    /// Runs while nothing can be written.
    unread: Timer,
    /// How long a peer may leave unread what it is sent.
    patience: Duration,
}

/// A clock that runs from time to time.
#[derive(Debug, Default)]
struct Timer {
    until: Option<Instant>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl<T> Watched<T> {
    /// A connection that is to be HTTP/2.
    pub(in crate::receivers) fn http2(io: T, requests: Requests) -> Self {
        Self::new(io, requests, Spoken::Http2(Frames::new()), UNREAD)
    }

    /// A connection that is HTTP/2 or HTTP/1, of which the heads of requests may take as long as `head`, and
    /// answers may stay unread for `patience`.
    pub(in crate::receivers) fn either(
        io: T,
        requests: Requests,
        head: Duration,
        patience: Duration,
    ) -> Self {
        let spoken = Spoken::either(requests.clone(), head);
        Self::new(io, requests, spoken, patience)
    }

    fn new(io: T, requests: Requests, spoken: Spoken, patience: Duration) -> Self {
        Self {
            io,
            requests,
            spoken,
            flood: None,
            whole: Timer::default(),
            unread: Timer::default(),
            patience,
        }
    }

    fn cut(&mut self, flood: Flood) {
        self.flood = Some(flood);
        self.requests.cut(match flood {
            Flood::Idle => Cut::Idle,
            Flood::Resets => Cut::Resets,
            Flood::Lost => Cut::Protocol,
            Flood::Unfinished => Cut::Unfinished,
        });
    }

    /// What became of an attempt to write.
    fn written<R>(
        &mut self,
        outcome: Poll<io::Result<R>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<R>> {
        if outcome.is_ready() {
            self.unread.set(None);
            return outcome;
        }
        if !self.unread.is_set() {
            self.unread.set(Some(Instant::now() + self.patience));
        }
        ready!(self.unread.poll(context));
        self.requests.cut(Cut::Unread);
        Poll::Ready(Err(io::Error::new(
            ErrorKind::TimedOut,
            "the peer does not read what it is sent",
        )))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Watched<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(flood) = this.flood {
            return Poll::Ready(Err(error(flood)));
        }
        let before = buffer.filled().len();
        let outcome = Pin::new(&mut this.io).poll_read(context, buffer);
        let now = Instant::now();
        if outcome.is_ready() {
            let more = buffer.filled_mut().get_mut(before..).unwrap_or_default();
            let added = this.spoken.add(more, now);
            this.whole.set(this.spoken.due(now));
            match added {
                Ok(passed) => buffer.set_filled(before + passed),
                Err(flood) => {
                    this.cut(flood);
                    // Who gets an error is not to have read anything.
                    buffer.set_filled(before);
                    return Poll::Ready(Err(error(flood)));
                }
            }
            return outcome;
        }
        // What has begun may have become whole, and nobody read since.
        this.whole.set(this.spoken.due(now));
        ready!(this.whole.poll(context));
        this.cut(Flood::Unfinished);
        Poll::Ready(Err(error(Flood::Unfinished)))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Watched<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.io).poll_write(context, bytes);
        this.written(outcome, context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.io).poll_write_vectored(context, bytes);
        this.written(outcome, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Beneath TLS this is what waits: to write is to keep it, until there is too much of it.
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.io).poll_flush(context);
        this.written(outcome, context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(context)
    }
}

impl Timer {
    fn is_set(&self) -> bool {
        self.until.is_some()
    }

    /// Lets it run until then, or not at all. Most of what it is set for is over before anybody has
    /// to be woken, so that is seen to only then.
    fn set(&mut self, until: Option<Instant>) {
        if until.is_none() {
            self.sleep = None;
        }
        self.until = until;
    }

    /// Ready when the time is over.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(until) = self.until else {
            return Poll::Pending;
        };
        let sleep = self
            .sleep
            .get_or_insert_with(|| Box::pin(sleep_until(until)));
        if sleep.deadline() != until {
            sleep.as_mut().reset(until);
        }
        sleep.as_mut().poll(context)
    }
}

fn error(flood: Flood) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, flood)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
    use tokio::time::sleep;

    use super::super::http2::{PREFACE, WHOLE};
    use super::*;

    /// The beginning of a frame of headers.
    const HALF: [u8; 9] = [0, 0, 9, 1, 4, 0, 0, 0, 1];

    #[tokio::test(start_paused = true)]
    async fn a_frame_that_stops_in_the_middle_ends_the_connection() {
        for trickle in [false, true] {
            let (mut peer, ours) = duplex(1 << 16);
            let begun = Instant::now();
            let sending = tokio::spawn(async move {
                peer.write_all(&[&PREFACE[..], &HALF].concat())
                    .await
                    .unwrap();
                for _ in 0..7 {
                    sleep(WHOLE / 5).await;
                    if trickle && peer.write_u8(0).await.is_err() {
                        break;
                    }
                }
                sleep(WHOLE * 9).await;
            });
            let mut watched = Watched::http2(ours, Requests::default());
            let error = watched.read_to_end(&mut Vec::new()).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidData, "{error}");
            assert!(
                (WHOLE..WHOLE * 5 / 4).contains(&begun.elapsed()),
                "{trickle}"
            );
            assert!(watched.read_u8().await.is_err());
            sending.abort();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_ends_the_connection() {
        let (mut peer, ours) = duplex(1 << 16);
        let pings = [0, 0, 0, 6, 0, 0, 0, 0, 0].repeat(2000);
        peer.write_all(&[&PREFACE[..], &pings].concat())
            .await
            .unwrap();
        let read = Watched::http2(ours, Requests::default())
            .read_to_end(&mut Vec::new())
            .await;
        assert_eq!(read.unwrap_err().kind(), ErrorKind::InvalidData);
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_read_is_not_written_to_for_ever() {
        const PATIENCE: Duration = Duration::from_secs(70);
        let (mut peer, ours) = duplex(1 << 10);
        let mut watched = Watched::either(ours, Requests::default(), WHOLE, PATIENCE);
        let begun = Instant::now();
        // Slowly is well.
        let reading = tokio::spawn(async move {
            let mut read = 0;
            for _ in 0..5 {
                sleep(PATIENCE * 9 / 10).await;
                read += peer.read(&mut [0; 1 << 9]).await.unwrap();
            }
            sleep(PATIENCE * 9).await;
            read
        });
        let error = watched.write_all(&[7; 1 << 13]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
        let expected = PATIENCE * 9 / 10 * 5 + PATIENCE;
        assert!(begun.elapsed() >= expected, "{:?}", begun.elapsed());
        assert!(
            begun.elapsed() < expected + PATIENCE / 10,
            "{:?}",
            begun.elapsed()
        );
        reading.abort();
    }

    /// A head of HTTP/1 that comes byte by byte; a body may come as slowly.
    #[tokio::test(start_paused = true)]
    async fn a_head_that_does_not_become_whole_ends_the_connection() {
        for is_whole in [false, true] {
            let (mut peer, ours) = duplex(1 << 16);
            let begun = Instant::now();
            let sending = tokio::spawn(async move {
                for byte in b"POST /v1/traces HTTP/1.1\r\n" {
                    if peer.write_u8(*byte).await.is_err() {
                        break;
                    }
                    sleep(Duration::from_secs(1)).await;
                }
            });
            let requests = Requests::default();
            let mut watched = Watched::either(ours, requests.clone(), WHOLE, UNREAD);
            watched.read_exact(&mut [0; 5]).await.unwrap();
            let under_way = is_whole.then(|| requests.begin());
            let read = watched.read_to_end(&mut Vec::new()).await;
            assert_eq!(read.is_ok(), is_whole);
            let expected = if is_whole { 26 } else { WHOLE.as_secs() };
            assert_eq!(begun.elapsed().as_secs(), expected);
            drop(under_way);
            sending.abort();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_between_frames_is_no_harm() {
        let (mut peer, ours) = duplex(1 << 16);
        let sending = tokio::spawn(async move {
            peer.write_all(&[&PREFACE[..], &HALF, &[0; 9]].concat())
                .await
                .unwrap();
            sleep(WHOLE * 9).await;
            peer.write_all(&[0, 0, 0, 4, 1, 0, 0, 0, 0]).await.unwrap();
        });
        let mut read = Vec::new();
        Watched::http2(ours, Requests::default())
            .read_to_end(&mut read)
            .await
            .unwrap();
        assert_eq!(read.len(), 24 + 18 + 9);
        sending.await.unwrap();
    }
}
