//! The message of a unary call: a flag, a length of four bytes, the bytes.

use std::pin::pin;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http_body::Body;

use crate::admission::Lease;
use crate::arriving::{ArriveError, Arriving, Gathered};

/// Flag and length.
pub const PREFIX: usize = 5;

const CUT_SHORT: &str = "the call ends before its message does";
const TWO_MESSAGES: &str = "more than one message in a unary call";

/// A message as it came over the wire.
#[derive(Debug, PartialEq, Eq)]
pub struct Message {
    /// Whether it is compressed, in the way that the headers name.
    pub compressed: bool,
    /// Its bytes.
    pub bytes: Bytes,
}

/// Why there is no message.
#[derive(Debug)]
pub enum ReadError {
    /// This is not one gRPC message.
    Malformed(&'static str),
    /// It announces more bytes than are allowed.
    TooLarge {
        /// As many.
        announced: usize,
    },
    /// It did not come whole.
    Arriving(ArriveError),
}

/// Reads the only message of `body`, of at most `limit` bytes. Bytes are charged to `lease` before
/// they are kept.
pub async fn read<B>(body: B, limit: usize, lease: &mut Lease) -> Result<Message, ReadError>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut body = pin!(body);
    let buffers = lease.buffers();
    let mut arriving = Arriving::new(body.as_mut(), lease);
    let mut head = BytesMut::new();
    let mut announced: Option<(bool, usize, Gathered)> = None;
    while let Some(mut data) = arriving.next().await.map_err(ReadError::Arriving)? {
        if announced.is_none() {
            if !head.is_empty() || data.len() < PREFIX {
                head.put(data);
                data = head.split().freeze();
                if data.len() < PREFIX {
                    head.put(data);
                    continue;
                }
            }
            let (compressed, len) = prefix(&data, limit)?;
            if compressed {
                arriving.is_compressed();
            }
            data.advance(PREFIX);
            announced = Some((compressed, len, Gathered::of(Some(len), buffers.clone())));
        }
        if let Some((_, len, gathered)) = &mut announced {
            if gathered.len() + data.len() > *len {
                return Err(ReadError::Malformed(TWO_MESSAGES));
            }
            gathered.add(data);
        }
    }
    match announced {
        Some((compressed, len, gathered)) if gathered.len() == len => Ok(Message {
            compressed,
            bytes: gathered.whole(),
        }),
        _ => Err(ReadError::Malformed(CUT_SHORT)),
    }
}

/// The only message in a body that is all there.
pub fn parse(body: &Bytes, limit: usize) -> Result<Message, ReadError> {
    let (compressed, len) = prefix(body, limit)?;
    if body.len() != PREFIX + len {
        return Err(ReadError::Malformed(CUT_SHORT));
    }
    Ok(Message {
        compressed,
        bytes: body.slice(PREFIX..),
    })
}

/// The announcement at the start of a message.
fn prefix(bytes: &[u8], limit: usize) -> Result<(bool, usize), ReadError> {
    let Some([flag, a, b, c, d]) = bytes.first_chunk() else {
        return Err(ReadError::Malformed(CUT_SHORT));
    };
    let compressed = match flag {
        0 => false,
        1 => true,
        _ => return Err(ReadError::Malformed("a compression flag is 0 or 1")),
    };
    let announced = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
    if announced > limit {
        return Err(ReadError::TooLarge { announced });
    }
    Ok((compressed, announced))
}

/// The announcement of a message of `len` bytes; `None` where four bytes cannot hold it.
pub fn announce(compressed: bool, len: usize) -> Option<Bytes> {
    let mut prefix = BytesMut::with_capacity(PREFIX);
    prefix.put_u8(u8::from(compressed));
    prefix.put_u32(u32::try_from(len).ok()?);
    Some(prefix.freeze())
}

#[cfg(test)]
#[expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]
mod tests {
    use std::convert::Infallible;
    use std::time::Duration;

    use futures::{StreamExt as _, stream};
    use http_body::Frame;
    use http_body_util::StreamBody;
    use tokio::time::Instant;

    use super::*;
    use crate::admission::{Budget, Limits};
    use crate::arriving::WINDOW;

    fn budget() -> Budget {
        Budget::new(Limits {
            limit_mib: 1,
            spike_mib: 0,
        })
    }

    async fn read_frames(frames: Vec<&'static [u8]>, limit: usize) -> Result<Message, ReadError> {
        let frames = frames
            .into_iter()
            .map(|frame| Ok::<_, Infallible>(Frame::data(Bytes::from_static(frame))));
        let body = StreamBody::new(stream::iter(frames));
        read(body, limit, &mut budget().lease()).await
    }

    #[tokio::test]
    async fn frames_may_end_anywhere() {
        let whole: &[u8] = &[1, 0, 0, 0, 4, b'a', b'b', b'c', b'd'];
        for first in 0..=whole.len() {
            for second in first..=whole.len() {
                let frames = vec![&whole[..first], &whole[first..second], &whole[second..]];
                let message = read_frames(frames, 4).await.unwrap();
                assert!(message.compressed);
                assert_eq!(message.bytes, "abcd");
            }
        }
    }

    #[tokio::test]
    async fn an_empty_message_is_a_message() {
        let message = read_frames(vec![&[0, 0, 0, 0, 0]], 4).await.unwrap();
        assert_eq!(message.bytes, "");
    }

    #[tokio::test]
    async fn what_is_no_single_message_is_malformed() {
        for frames in [
            vec![],
            vec![&[0u8][..]],
            vec![&[0, 0, 0, 0, 9, 1][..]],
            vec![&[2, 0, 0, 0, 0][..]],
            vec![&[0, 0, 0, 0, 1, 7, 0, 0, 0, 0, 0][..]],
            vec![&[0, 0, 0, 0, 1, 7][..], &[0, 0, 0, 0, 0][..]],
        ] {
            let outcome = read_frames(frames.clone(), 100).await;
            assert!(
                matches!(outcome, Err(ReadError::Malformed(_))),
                "{frames:?}"
            );
        }
    }

    #[tokio::test]
    async fn announcements_above_the_limit_end_it_at_once() {
        let outcome = read_frames(vec![&[0, 0x7f, 0xff, 0xff, 0xff, 1]], 100).await;
        let Err(ReadError::TooLarge { announced }) = outcome else {
            panic!("{outcome:?}");
        };
        assert_eq!(announced, 0x7fff_ffff);
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_are_charged_before_they_are_kept() {
        static LONG: [u8; 1 << 20] = [0; 1 << 20];
        let outcome = read_frames(vec![&LONG], 2 << 20).await;
        assert!(matches!(
            outcome,
            Err(ReadError::Arriving(ArriveError::Refused(_)))
        ));
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_trickles_ends() {
        let frames = stream::unfold(0, |sent| async move {
            let frame = if sent == 0 {
                // Nearly all of it at once, to look busy.
                Bytes::from([&[0, 0, 4, 0, 0][..], &vec![7; 200 * 1024]].concat())
            } else {
                tokio::time::sleep(Duration::from_secs(7)).await;
                Bytes::from_static(b"x")
            };
            Some((Ok::<_, Infallible>(Frame::data(frame)), sent + 1))
        });
        let start = Instant::now();
        let outcome = read(StreamBody::new(frames), 1 << 20, &mut budget().lease()).await;
        assert!(
            matches!(outcome, Err(ReadError::Arriving(ArriveError::Stalled))),
            "{outcome:?}"
        );
        assert!(start.elapsed() <= WINDOW * 2, "{:?}", start.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_is_merely_slow_is_read() {
        const STEPS: usize = 16;
        let frames = stream::unfold(0, |step| async move {
            let frame = match step {
                0 => Bytes::from_static(&[0, 0, 5, 0, 0]),
                1..=STEPS => {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    Bytes::from(vec![7; 5 * 64 * 1024 / STEPS])
                }
                _ => return None,
            };
            Some((Ok::<_, Infallible>(Frame::data(frame)), step + 1))
        });
        let message = read(StreamBody::new(frames), 1 << 20, &mut budget().lease()).await;
        assert_eq!(message.unwrap().bytes.len(), 5 * 64 * 1024);
    }

    /// Whether nothing of it has come, or some, which is given back then.
    #[tokio::test(start_paused = true)]
    async fn a_call_that_stalls_ends() {
        let begun = Bytes::from([&[0, 0, 4, 0, 0][..], &vec![7; 200 * 1024]].concat());
        for (first, windows) in [(None, 1), (Some(begun), 2)] {
            let budget = budget();
            let came = first.as_ref().map_or(0, Bytes::len) as u64;
            let frames = stream::iter(first.map(|data| Ok::<_, Infallible>(Frame::data(data))));
            let body = StreamBody::new(frames.chain(stream::pending()));
            let start = Instant::now();
            let reading = async {
                let mut lease = budget.lease();
                read(body, 1 << 20, &mut lease).await
            };
            let meanwhile = async {
                tokio::time::sleep(WINDOW / 2).await;
                budget.in_flight()
            };
            let (outcome, taken) = tokio::join!(reading, meanwhile);
            assert!(
                matches!(outcome, Err(ReadError::Arriving(ArriveError::Stalled))),
                "{outcome:?}"
            );
            // The last window is one in which nothing comes.
            let took = start.elapsed();
            assert!(took < WINDOW * windows + WINDOW / 2, "{took:?}");
            assert!(taken >= came && (taken > 0) == (came > 0), "{taken}");
            assert_eq!(budget.in_flight(), 0);
        }
    }
}
