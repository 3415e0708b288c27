//! MPEG audio (ISO 11172-3, 2.4.1), with or without an ID3v2 tag in front.

/// Frames that follow each other before bytes are taken for MPEG audio: one header is met by chance.
const ENOUGH: usize = 3;

/// Whether the tag, or the last frame, goes on beyond the end. What comes behind the frames, such
/// as a tag, tells nothing.
pub(super) fn is_cut(bytes: &[u8]) -> Option<bool> {
    let mut at = id3(bytes)?;
    if at > bytes.len() {
        return Some(true);
    }
    let mut kind = None;
    let mut frames = 0;
    while let Some(frame) = bytes.get(at..).and_then(Frame::read) {
        if *kind.get_or_insert(frame.kind) != frame.kind {
            return None;
        }
        frames += 1;
        at += frame.len;
    }
    // A tag does not begin like a frame.
    let is_header = |rest: &[u8]| rest.len() < 4 && rest.starts_with(b"\xff");
    let goes_on = at > bytes.len() || bytes.get(at..).is_some_and(is_header);
    Some(frames > ENOUGH && goes_on)
}

/// The length of the tag at the start, none if there is no tag.
fn id3(bytes: &[u8]) -> Option<usize> {
    let Some(rest) = bytes.strip_prefix(b"ID3") else {
        return Some(0);
    };
    let [major, revision, flags, size @ ..] = *rest.first_chunk::<7>()?;
    // ID3v2.4, 3.1: none of these is ever otherwise.
    if !(2..=4).contains(&major)
        || revision == 0xff
        || flags & 0x0f != 0
        || size.iter().any(|byte| *byte >= 0x80)
    {
        return None;
    }
    let size = size
        .iter()
        .fold(0, |size, byte| size << 7 | usize::from(*byte));
    let footer = if flags & 0x10 == 0 { 0 } else { 10 };
    Some(10 + size + footer)
}

struct Frame {
    /// Version, layer and sampling rate, which are those of all frames.
    kind: [u8; 2],
    len: usize,
}

impl Frame {
    fn read(bytes: &[u8]) -> Option<Self> {
        const V1_L3: [usize; 14] = [
            32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320,
        ];
        const V1_L2: [usize; 14] = [
            32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384,
        ];
        const V2: [usize; 14] = [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];
        let [0xff, kind, rates, _] = *bytes.first_chunk::<4>()? else {
            return None;
        };
        if kind & 0xe0 != 0xe0 {
            return None;
        }
        let (version, layer) = (kind >> 3 & 3, kind >> 1 & 3);
        let (table, samples) = match (version, layer) {
            (3, 1) => (V1_L3, 1152),
            (3, 2) => (V1_L2, 1152),
            (0 | 2, 1) => (V2, 576),
            (0 | 2, 2) => (V2, 1152),
            // Layer I is nowhere any more, and the rest are reserved.
            _ => return None,
        };
        // Free format has no rate, and 15 is none.
        let rate = table.get(usize::from(rates >> 4).checked_sub(1)?)?;
        let frequency = [44_100, 48_000, 32_000].get(usize::from(rates >> 2 & 3))?;
        let frequency = match version {
            3 => *frequency,
            2 => frequency / 2,
            _ => frequency / 4,
        };
        let padding = usize::from(rates >> 1 & 1);
        Some(Self {
            kind: [kind & 0xfe, rates & 0x0c],
            len: samples / 8 * rate * 1000 / frequency + padding,
        })
    }
}
