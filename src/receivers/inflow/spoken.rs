//! Which protocol comes in.

use std::time::Duration;

use tokio::time::Instant;

use super::http1::Heads;
use super::http2::{Flood, Frames, PREFACE};
use crate::receivers::connections::Requests;

/// What has come in over one connection, in the protocol that it turns out to be.
#[derive(Debug)]
pub(super) enum Spoken {
    /// As many bytes of what HTTP/2 begins with. Until more is known they are the head of a request.
    Undecided(usize, Heads),
    Http1(Heads),
    Http2(Frames),
}

impl Spoken {
    /// HTTP/2, or HTTP/1 whose heads may take as long.
    pub(super) fn either(requests: Requests, head: Duration) -> Self {
        Self::Undecided(0, Heads::new(requests, head))
    }

    /// More bytes have come. Returns how many of them may be read.
    pub(super) fn add(&mut self, bytes: &mut [u8], now: Instant) -> Result<usize, Flood> {
        match self {
            Self::Http1(heads) => heads.add(bytes, now),
            Self::Http2(frames) => frames.add(bytes, now).map(|()| bytes.len()),
            Self::Undecided(seen, heads) => {
                let rest = PREFACE.get(*seen..).unwrap_or_default();
                let same = rest
                    .iter()
                    .zip(&*bytes)
                    .take_while(|(one, other)| one == other);
                let same = same.count();
                *seen += same;
                if same == rest.len() {
                    let mut frames = Frames::new();
                    frames.add(PREFACE, now)?;
                    let added = frames.add(bytes.get(same..).unwrap_or_default(), now);
                    *self = Self::Http2(frames);
                    return added.map(|()| bytes.len());
                }
                let added = heads.add(bytes, now);
                if same < bytes.len() {
                    *self = Self::Http1(heads.clone());
                }
                added
            }
        }
    }

    /// When something that has begun must have become whole, as far as is known by now.
    pub(super) fn due(&mut self, now: Instant) -> Option<Instant> {
        match self {
            Self::Undecided(_, heads) | Self::Http1(heads) => heads.due(now),
            Self::Http2(frames) => frames.due(),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    const HEAD: Duration = Duration::from_secs(7);
    const PINGS: [u8; 17] = [0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];

    /// What is spoken after bytes that come in parts of some size.
    fn spoken(bytes: &[u8], size: usize) -> Spoken {
        let mut spoken = Spoken::either(Requests::default(), HEAD);
        for part in bytes.chunks(size) {
            spoken.add(&mut part.to_vec(), Instant::now()).unwrap();
        }
        spoken
    }

    #[test]
    fn the_first_bytes_tell_wherever_they_are_cut() {
        for size in 1..60 {
            let http2 = [&PREFACE[..], &PINGS].concat();
            let mut spoken_there = spoken(&http2, size);
            assert!(matches!(spoken_there, Spoken::Http2(_)), "{size}");
            assert_eq!(
                spoken_there.due(Instant::now()),
                None,
                "all frames are whole"
            );
            for other in [
                &b"POST /v1/traces HTTP/1.1\r\n"[..],
                b"PRI * HTTP/1.1\r\n\r\n",
                b"PUT",
            ] {
                assert!(matches!(spoken(other, size), Spoken::Http1(_)), "{size}");
            }
        }
        assert!(matches!(
            spoken(&PREFACE[..23], 5),
            Spoken::Undecided(23, _)
        ));
    }

    #[test]
    fn half_a_beginning_has_the_time_of_a_head() {
        for beginning in [&b"P"[..], b"PRI * HTTP/2.0\r\n", b"POST / HTTP/1.1\r\n"] {
            let begun = Instant::now();
            let mut spoken = Spoken::either(Requests::default(), HEAD);
            for byte in beginning {
                spoken.add(&mut [*byte], begun).unwrap();
            }
            assert_eq!(spoken.due(begun), Some(begun + HEAD));
            let late = spoken.add(&mut [b'x'], begun + HEAD);
            assert_eq!(late, Err(Flood::Unfinished));
        }
    }

    #[test]
    fn a_flood_is_one_right_after_the_beginning() {
        let mut spoken = Spoken::either(Requests::default(), HEAD);
        let mut flood = [&PREFACE[..], &PINGS.repeat(2000)].concat();
        assert_eq!(spoken.add(&mut flood, Instant::now()), Err(Flood::Idle));
    }
}
