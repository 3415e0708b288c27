//! The bytes of a request as they arrive: charged before they are kept, and not for ever.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http_body::Body;
use http_body_util::BodyExt as _;
use tokio::time::{Instant, timeout_at};

use crate::admission::Lease;
use crate::buffers::{Buffer, Buffers};
use crate::refusal::{Culprit, Refusal};

/// What the other side has to send in each [`WINDOW`] until all is there, so that memory cannot be
/// held by sending next to nothing.
const PACE: usize = 160 * 1024;
/// See [`PACE`].
pub const WINDOW: Duration = Duration::from_secs(10);

/// The longest that it may take.
const LONGEST: Duration = Duration::from_mins(1);

/// Memory that is set aside because of an announcement alone.
const BELIEVED: usize = 1 << 20;

/// A body of which nothing more comes.
#[derive(Debug)]
pub enum ArriveError {
    /// It came too slowly, or not at all.
    Stalled,
    /// The connection failed.
    Connection(Box<dyn std::error::Error + Send + Sync>),
    /// There is no memory for it.
    Refused(Refusal),
}

/// A body that arrives.
#[derive(Debug)]
pub struct Arriving<'a, B> {
    body: Pin<&'a mut B>,
    lease: &'a mut Lease,
    start: Instant,
    window: (Instant, usize),
}

impl<'a, B> Arriving<'a, B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    /// Nothing of it is there yet. What comes is charged to `lease`.
    pub fn new(body: Pin<&'a mut B>, lease: &'a mut Lease) -> Self {
        let start = Instant::now();
        Self {
            body,
            lease,
            start,
            window: (start, 0),
        }
    }

    /// It is compressed, and so nothing is made of it but what it expands to.
    pub fn is_compressed(&mut self) {
        self.lease.is_compressed();
    }

    /// The next of its bytes; `None` at its end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ArriveError> {
        loop {
            let until = (self.window.0 + WINDOW).min(self.start + LONGEST);
            let frame = timeout_at(until, self.body.frame()).await;
            let now = Instant::now();
            if (frame.is_err() || now >= until) && self.window.1 < PACE
                || self.start.elapsed() >= LONGEST
            {
                return Err(ArriveError::Stalled);
            }
            if now >= until {
                self.window = (now, 0);
            }
            let Ok(frame) = frame else { continue };
            let Some(frame) = frame else { return Ok(None) };
            let frame = frame.map_err(|error| ArriveError::Connection(error.into()))?;
            let Ok(data) = frame.into_data() else {
                continue;
            };
            self.window.1 += data.len();
            let charged = self.lease.charge(data.len()).await;
            charged.map_err(ArriveError::Refused)?;
            return Ok(Some(data));
        }
    }
}

impl From<ArriveError> for Refusal {
    fn from(error: ArriveError) -> Self {
        match error {
            ArriveError::Stalled => Self::stalled(),
            ArriveError::Connection(error) => Self::unavailable(
                Culprit::Sender,
                format!("the connection failed while the request arrived: {error}"),
            ),
            ArriveError::Refused(refusal) => refusal,
        }
    }
}

/// What comes in parts and becomes one: nothing is copied that comes all at once.
#[derive(Debug)]
pub struct Gathered {
    /// As many as there will be, if that was said.
    announced: Option<usize>,
    only: Bytes,
    parts: Buffer,
    buffers: Buffers,
}

impl Gathered {
    /// Nothing yet of what was announced to be so long, and comes into one of these buffers.
    pub fn of(announced: Option<usize>, buffers: Buffers) -> Self {
        Self {
            announced,
            only: Bytes::new(),
            parts: Buffer::default(),
            buffers,
        }
    }

    /// As many bytes are there.
    pub fn len(&self) -> usize {
        self.only.len() + self.parts.len()
    }

    /// Whether nothing is there.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One part more.
    pub fn add(&mut self, part: Bytes) {
        if self.is_empty() && Some(part.len()) == self.announced {
            self.only = part;
            return;
        }
        let only = std::mem::take(&mut self.only);
        let needed = self.parts.len() + only.len() + part.len();
        if self.parts.capacity() < needed {
            let whole = self.announced.unwrap_or_default().max(needed);
            let larger = if self.parts.is_empty() {
                // Memory that is there already may be held for nothing: it is little.
                let idle = self.buffers.idle(whole);
                idle.unwrap_or_else(|| self.buffers.take(whole.min(BELIEVED).max(needed)))
            } else {
                // So much of it is there that the rest is believed: one growth, not many.
                self.buffers.take(whole.max(2 * self.parts.len()))
            };
            let parts = std::mem::replace(&mut self.parts, larger);
            self.parts.add(parts.as_ref());
        }
        self.parts.add(&only);
        self.parts.add(&part);
    }

    /// All of it.
    pub fn whole(self) -> Bytes {
        if self.parts.is_empty() {
            self.only
        } else {
            self.parts.freeze()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_become_one_whatever_was_announced() {
        let whole: Vec<u8> = (0..=255).cycle().take(3 << 20).collect();
        let whole = Bytes::from(whole);
        for announced in [None, Some(0), Some(7), Some(whole.len()), Some(1 << 26)] {
            for size in [1000, 1 << 20, whole.len()] {
                let mut gathered = Gathered::of(announced, Buffers::default());
                for start in (0..whole.len()).step_by(size) {
                    gathered.add(whole.slice(start..(start + size).min(whole.len())));
                }
                assert_eq!(gathered.len(), whole.len());
                assert!(gathered.whole() == whole, "{announced:?} {size}");
            }
        }
        assert!(Gathered::of(Some(3), Buffers::default()).whole().is_empty());
    }

    #[test]
    fn what_comes_at_once_is_not_copied() {
        let part = Bytes::from(vec![7; 100]);
        let mut gathered = Gathered::of(Some(100), Buffers::default());
        gathered.add(part.clone());
        assert_eq!(gathered.whole().as_ptr(), part.as_ptr());
        // More than was announced is kept, too: whose fault it is others say.
        let mut gathered = Gathered::of(Some(100), Buffers::default());
        gathered.add(part.clone());
        gathered.add(part);
        assert_eq!(gathered.whole().len(), 200);
    }

    #[test]
    fn an_announcement_is_believed_when_much_of_it_is_there() {
        let mut gathered = Gathered::of(Some(64 << 20), Buffers::default());
        gathered.add(Bytes::from_static(b"x"));
        assert!(gathered.parts.capacity() <= 2 * BELIEVED);
        for _ in 0..2 {
            gathered.add(Bytes::from(vec![7; BELIEVED]));
        }
        assert!(gathered.parts.capacity() >= 64 << 20);
    }

    #[tokio::test]
    async fn what_lies_idle_is_used_at_once() {
        let buffers = Buffers::within(64);
        drop(buffers.take(3 << 20));
        let mut gathered = Gathered::of(Some((3 << 20) - 1), buffers.clone());
        gathered.add(Bytes::from_static(b"x"));
        assert_eq!(gathered.parts.capacity(), 3 << 20);
        assert!(buffers.idle(3 << 20).is_none());
        drop(gathered.whole());
        assert!(buffers.idle(3 << 20).is_some());
    }
}
