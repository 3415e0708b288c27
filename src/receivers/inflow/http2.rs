//! The frames that come in, as far as their heads tell.

use std::time::Duration;

use tokio::time::Instant;

/// What every connection begins with, before its first frame.
pub(super) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Length, type, flags and stream.
const HEAD: usize = 9;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;

/// Frames that bring nothing, which a peer may send at once, and more in each second.
const IDLE: Allowance = Allowance::new(1000, 100);

/// What a request adds to these: frames that go with it and with its answer.
const WITH_REQUEST: u32 = 10;

/// A frame of data is worth itself from this size on.
const WORTHWHILE: u32 = 256;

/// Requests that a peer may take back at once, and more in each second: a sender whose backend hangs
/// takes back all of them, but only as often as it loses patience.
const RESETS: Allowance = Allowance::new(1000, 20);

/// How long a frame that is no data, or the headers of a request, may take to come.
pub(super) const WHOLE: Duration = Duration::from_secs(10);

/// Why a connection is not worth keeping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::receivers) enum Flood {
    #[error("too many frames that bring nothing")]
    Idle,
    #[error("too many requests that were taken back")]
    Resets,
    #[error("nobody knows where its next request begins")]
    Lost,
    #[error("headers, or a frame, did not become whole in time")]
    Unfinished,
}

/// What has come in over one connection.
#[derive(Debug)]
pub(super) struct Frames {
    /// Bytes that are still to come before the head of the next frame.
    skip: usize,
    /// The part of that head that is there.
    head: Vec<u8>,
    /// Whether these bytes are data, which may take their time.
    in_data: bool,
    /// Whether the headers of a request go on in the next frame.
    in_headers: bool,
    /// Since when something has to become whole.
    unfinished: Option<Instant>,
    idle: Allowance,
    resets: Allowance,
}

/// What may be done at once, and what of it comes back with time.
#[derive(Debug, Clone, Copy)]
struct Allowance {
    most: u32,
    in_a_second: u32,
    left: u32,
    since: Option<Instant>,
}

impl Frames {
    pub(super) fn new() -> Self {
        Self {
            skip: PREFACE.len(),
            head: Vec::with_capacity(HEAD),
            // The beginning has a limit of its own: that of the first request.
            in_data: true,
            in_headers: false,
            unfinished: None,
            idle: IDLE,
            resets: RESETS,
        }
    }

    /// More bytes have come.
    pub(super) fn add(&mut self, mut bytes: &[u8], now: Instant) -> Result<(), Flood> {
        while !bytes.is_empty() {
            if self.skip > 0 {
                let skipped = self.skip.min(bytes.len());
                bytes = bytes.get(skipped..).unwrap_or_default();
                self.skip -= skipped;
            } else {
                let missing = (HEAD - self.head.len()).min(bytes.len());
                let (more, rest) = bytes.split_at(missing);
                self.head.extend_from_slice(more);
                bytes = rest;
                self.in_data = false;
                if let &[a, b, c, kind, flags, ..] = self.head.as_slice()
                    && self.head.len() == HEAD
                {
                    self.head.clear();
                    self.frame(kind, flags, u32::from_be_bytes([0, a, b, c]), now)?;
                }
            }
        }
        let whole = self.in_data || (self.skip == 0 && self.head.is_empty());
        if whole && !self.in_headers {
            self.unfinished = None;
        } else {
            let since = *self.unfinished.get_or_insert(now);
            if now >= since + WHOLE {
                return Err(Flood::Unfinished);
            }
        }
        Ok(())
    }

    /// When something that has begun must have become whole.
    pub(super) fn due(&self) -> Option<Instant> {
        self.unfinished.map(|since| since + WHOLE)
    }

    /// The head of a frame has come.
    fn frame(&mut self, kind: u8, flags: u8, len: u32, now: Instant) -> Result<(), Flood> {
        self.skip = len as usize;
        self.in_data = kind == DATA;
        if !self.in_headers {
            // Whatever came before this frame is whole.
            self.unfinished = None;
        }
        if matches!(kind, HEADERS | CONTINUATION) {
            self.in_headers = flags & END_HEADERS == 0;
        }
        match kind {
            RST_STREAM => self.resets.take(now).ok_or(Flood::Resets),
            HEADERS => {
                self.idle.give(WITH_REQUEST);
                Ok(())
            }
            DATA if len >= WORTHWHILE => {
                self.idle.give(len / WORTHWHILE - 1);
                Ok(())
            }
            _ => self.idle.take(now).ok_or(Flood::Idle),
        }
    }
}

impl Allowance {
    const fn new(most: u32, in_a_second: u32) -> Self {
        Self {
            most,
            in_a_second,
            left: most,
            since: None,
        }
    }

    fn take(&mut self, now: Instant) -> Option<()> {
        let since = *self.since.get_or_insert(now);
        let seconds = (now - since).as_secs();
        if seconds > 0 {
            let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
            self.give(self.in_a_second.saturating_mul(seconds));
            self.since = Some(now);
        }
        self.left = self.left.checked_sub(1)?;
        Some(())
    }

    fn give(&mut self, more: u32) {
        self.left = self.left.saturating_add(more).min(self.most);
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    const PING: u8 = 6;
    const SETTINGS: u8 = 4;
    const PRIORITY: u8 = 2;
    const WINDOW_UPDATE: u8 = 8;
    const UNKNOWN: u8 = 0xfa;

    fn frame(kind: u8, flags: u8, len: usize) -> Vec<u8> {
        let [_, a, b, c] = u32::try_from(len).unwrap().to_be_bytes();
        let mut frame = vec![a, b, c, kind, flags, 0, 0, 0, 1];
        frame.resize(HEAD + len, 7);
        frame
    }

    fn begun() -> Frames {
        let mut received = Frames::new();
        received.add(PREFACE, Instant::now()).unwrap();
        received
    }

    /// Sends the frame until it is too much; how often that was.
    fn how_often(frames: &[u8]) -> Option<(u32, Flood)> {
        let (mut received, now) = (begun(), Instant::now());
        (0..20_000).find_map(|times| Some((times, received.add(frames, now).err()?)))
    }

    #[test]
    fn frames_that_bring_nothing_have_an_end() {
        for (what, frame) in [
            ("settings", frame(SETTINGS, 0, 6)),
            ("ping", frame(PING, 0, 8)),
            ("priority", frame(PRIORITY, 0, 5)),
            ("window update", frame(WINDOW_UPDATE, 0, 4)),
            ("unknown", frame(UNKNOWN, 0, 1000)),
            ("no data", frame(DATA, 0, 0)),
            ("a byte", frame(DATA, 0, 1)),
        ] {
            assert_eq!(how_often(&frame), Some((IDLE.most, Flood::Idle)), "{what}");
        }
        let taken_back = [frame(HEADERS, END_HEADERS, 20), frame(RST_STREAM, 0, 4)].concat();
        assert_eq!(how_often(&taken_back), Some((RESETS.most, Flood::Resets)));
    }

    #[test]
    fn requests_with_what_belongs_to_them_have_none() {
        let small = [
            frame(HEADERS, END_HEADERS, 100),
            frame(DATA, 0, 5),
            frame(DATA, 0, 90),
            frame(DATA, 1, 0),
            frame(WINDOW_UPDATE, 0, 4),
            frame(WINDOW_UPDATE, 0, 4),
            frame(PING, 0, 8),
            frame(PING, 1, 8),
        ];
        assert_eq!(how_often(&small.concat()), None);
        let large = [
            frame(HEADERS, END_HEADERS, 100),
            frame(DATA, 0, 16_384).repeat(4),
            frame(WINDOW_UPDATE, 0, 4).repeat(100),
        ];
        assert_eq!(how_often(&large.concat()), None);
    }

    #[test]
    fn an_allowance_comes_back_with_time() {
        let (mut received, mut now) = (begun(), Instant::now());
        for _ in 0..60 {
            for _ in 0..IDLE.in_a_second {
                received.add(&frame(PING, 0, 8), now).unwrap();
            }
            for _ in 0..RESETS.in_a_second {
                received.add(&frame(RST_STREAM, 0, 4), now).unwrap();
            }
            now += Duration::from_secs(1);
        }
    }

    #[test]
    fn frames_may_be_cut_anywhere() {
        let bytes = [
            PREFACE.to_vec(),
            frame(HEADERS, END_HEADERS, 3),
            frame(PING, 0, 8),
            frame(DATA, 0, 300),
            frame(DATA, 0, 0),
        ]
        .concat();
        let now = Instant::now();
        for size in 1..bytes.len() {
            let mut received = Frames::new();
            for part in bytes.chunks(size) {
                received.add(part, now).unwrap();
            }
            assert_eq!((received.skip, received.head.len()), (0, 0), "{size}");
            assert_eq!(received.idle.left, IDLE.most - 2, "{size}");
            assert_eq!(received.due(), None, "{size}");
        }
    }

    #[test]
    fn what_has_begun_has_to_become_whole() {
        let second = Duration::from_secs(1);
        let late = |parts: &mut dyn Iterator<Item = Vec<u8>>| {
            let (mut received, begun) = (begun(), Instant::now());
            let mut now = begun;
            for part in parts.take(100) {
                if received.add(&part, now) == Err(Flood::Unfinished) {
                    return Some(now - begun);
                }
                now += second;
            }
            None
        };
        // Headers that never end, byte by byte or frame by frame; a frame; the head of one.
        let one_byte = |_| vec![0];
        let headers = frame(HEADERS, 0, 4);
        let go_on = frame(CONTINUATION, 0, 4);
        let open = std::iter::once(headers.clone()).chain(std::iter::repeat(go_on));
        assert_eq!(late(&mut { open }), Some(WHOLE));
        let head = frame(PING, 0, 200)[..HEAD].to_vec();
        let trickle = std::iter::once(head).chain((0..).map(one_byte));
        assert_eq!(late(&mut { trickle }), Some(WHOLE));
        // Data may take longer, and so may whatever is whole each time.
        let head = frame(DATA, 0, 200)[..HEAD].to_vec();
        let data = std::iter::once(head).chain((0..).map(one_byte));
        assert_eq!(late(&mut { data }), None);
        let rest = frame(CONTINUATION, END_HEADERS, 4);
        let requests = std::iter::repeat([headers, rest].concat());
        assert_eq!(late(&mut { requests }), None);

        let mut received = begun();
        let now = Instant::now();
        received.add(&[0, 0], now).unwrap();
        assert_eq!(received.due(), Some(now + WHOLE));
    }
}
