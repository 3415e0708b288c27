//! How large a picture becomes where it is decoded, by its first bytes.
//!
//! One of nothing but zeros has a few KiB, and takes gigabytes of the browser that shows it. So this says the most that
//! a browser may make of a file by what that says of itself, and nothing where that is not to be seen: what is likely
//! is not enough. The frames of an AVIF are taken to be no larger than it says.

/// The width and the height of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pixels {
    pub(crate) width: u32,
    pub(crate) height: u32,
}

impl Pixels {
    /// Those of a file of this type that begins so.
    pub(super) fn of(shown: &str, head: &[u8]) -> Option<Self> {
        match shown {
            "image/png" => png(head),
            "image/jpeg" => jpeg(head),
            "image/gif" => gif(head),
            "image/webp" => webp(head),
            "image/avif" => avif(head),
            "image/bmp" => bmp(head),
            _ => None,
        }
    }

    /// All of them.
    pub(crate) fn count(self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }

    fn new([width, height]: [impl Into<u32>; 2]) -> Self {
        Self {
            width: width.into(),
            height: height.into(),
        }
    }
}

/// Some bytes that begin there.
fn at<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

fn png(bytes: &[u8]) -> Option<Pixels> {
    match &at(bytes, 12)? {
        b"IHDR" => {}
        // Some go on to what they know, behind what they do not.
        name if name.iter().all(u8::is_ascii_alphabetic) => return None,
        // Nothing reads one that begins without a name.
        _ => return Some(Pixels::new([0_u32; 2])),
    }
    let [width, height] = [at(bytes, 16)?, at(bytes, 20)?];
    Some(Pixels::new([width, height].map(u32::from_be_bytes)))
}

/// What comes before its frame are segments, each with its length.
fn jpeg(bytes: &[u8]) -> Option<Pixels> {
    let mut segment = 2;
    loop {
        let [0xff, kind] = at(bytes, segment)? else {
            return None;
        };
        match kind {
            // There may be more than one in front of a kind.
            0xff => {
                segment += 1;
                continue;
            }
            0xc4 | 0xcc | 0xdb | 0xdd | 0xe0..=0xef | 0xfe => {}
            0xc0..=0xcf => {
                let [height, width] = [at(bytes, segment + 5)?, at(bytes, segment + 7)?];
                let [width, height] = [width, height].map(u16::from_be_bytes);
                // It may be told behind the lines.
                return (height > 0).then(|| Pixels::new([width, height]));
            }
            _ => return None,
        }
        let len = u16::from_be_bytes(at(bytes, segment + 2)?);
        if len < 2 {
            return None;
        }
        segment += 2 + usize::from(len);
    }
}

/// Browsers make its screen as large as its first frame.
fn gif(bytes: &[u8]) -> Option<Pixels> {
    let colours = |flags: u8| match flags >> 7 {
        0 => 0,
        _ => 3 << ((flags & 7) + 1),
    };
    let side = |place| Some(u32::from(u16::from_le_bytes(at(bytes, place)?)));
    let screen = [side(6)?, side(8)?];
    let [flags] = at(bytes, 10)?;
    let mut block = 13 + colours(flags);
    while at(bytes, block)? == [0x21] {
        block += 2;
        loop {
            let [len] = at(bytes, block)?;
            block += 1 + usize::from(len);
            if len == 0 {
                break;
            }
        }
    }
    match at(bytes, block)? {
        // Nothing is in it.
        [0x3b] => Some(Pixels::new(screen)),
        [0x2c] => {
            let right = side(block + 1)? + side(block + 5)?;
            let bottom = side(block + 3)? + side(block + 7)?;
            let [width, height] = screen;
            Some(Pixels::new([width.max(right), height.max(bottom)]))
        }
        _ => None,
    }
}

fn webp(bytes: &[u8]) -> Option<Pixels> {
    const SIDE: u32 = (1 << 14) - 1;
    let sides = match &at(bytes, 12)? {
        b"VP8X" => {
            let sides = [at(bytes, 24)?, at(bytes, 27)?];
            sides.map(|[low, middle, high]| u32::from_le_bytes([low, middle, high, 0]) + 1)
        }
        b"VP8L" => {
            let sides = u32::from_le_bytes(at(bytes, 21)?);
            [sides, sides >> 14].map(|side| (side & SIDE) + 1)
        }
        b"VP8 " => {
            let sides = [at(bytes, 26)?, at(bytes, 28)?];
            sides.map(|side| u32::from(u16::from_le_bytes(side)) & SIDE)
        }
        _ => return None,
    };
    Some(Pixels::new(sides))
}

/// The largest that anything in its one box of facts has. Of a film the facts stand elsewhere.
fn avif(bytes: &[u8]) -> Option<Pixels> {
    const NAME: &[u8] = b"ispe";
    if at(bytes, 8)? == *b"avis" {
        return None;
    }
    let mut begin = 0_usize;
    let facts = loop {
        let len = u32::from_be_bytes(at(bytes, begin)?);
        let end = begin.checked_add(usize::try_from(len).ok()?)?;
        // What has its length elsewhere is no box that stands before.
        if len < 8 {
            return None;
        }
        if at(bytes, begin + 4)? == *b"meta" {
            break bytes.get(begin..end)?;
        }
        begin = end;
    };
    let named = facts.windows(NAME.len()).enumerate();
    let places = named.filter(|(_, name)| *name == NAME);
    let mut most: Option<Pixels> = None;
    for (place, _) in places {
        let sides = [at(facts, place + 8)?, at(facts, place + 12)?];
        let [width, height] = sides.map(u32::from_be_bytes);
        let so_far = most.unwrap_or_else(|| Pixels::new([0_u32; 2]));
        most = Some(Pixels::new([
            so_far.width.max(width),
            so_far.height.max(height),
        ]));
    }
    most
}

fn bmp(bytes: &[u8]) -> Option<Pixels> {
    // The oldest have short numbers.
    if u32::from_le_bytes(at(bytes, 14)?) == 12 {
        let sides = [at(bytes, 18)?, at(bytes, 20)?];
        return Some(Pixels::new(sides.map(u16::from_le_bytes)));
    }
    let sides = [at(bytes, 18)?, at(bytes, 22)?];
    let sides = sides.map(|side| i32::from_le_bytes(side).unsigned_abs());
    Some(Pixels::new(sides))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(shown: &str, parts: &[&[u8]]) -> Option<[u32; 2]> {
        let pixels = Pixels::of(shown, &parts.concat());
        pixels.map(|of| [of.width, of.height])
    }

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR";
    const JPEG: &[u8] = b"\xff\xd8\xff\xe0\0\x06JFIF";
    const FRAME: &[u8] = b"\xff\xc2\0\x11\x08\x4e\x20\x75\x30\x03";
    const FACTS: &[u8] = b"\0\0\0\x0cftypavif\0\0\0\x3cmeta\0\0\0\0";
    const SMALL: &[u8] = b"\0\0\0\x14ispe\0\0\0\0\0\0\0\x10\0\0\0\x20";
    const LARGE: &[u8] = b"\0\0\0\x14ispe\0\0\0\0\0\0\x4e\x20\0\0\0\x08";

    #[test]
    fn each_kind_says_how_large_it_is() {
        for (shown, parts, expected) in [
            (
                "image/png",
                &[PNG, b"\0\0\x4e\x20\0\0\0\x07"][..],
                [20_000, 7],
            ),
            ("image/png", &[b"\x89PNG\r\n\x1a\n\0\0\0\x0dI\0AT"], [0, 0]),
            (
                "image/jpeg",
                &[JPEG, b"\xff\xff\xdb\0\x03.", FRAME],
                [30_000, 20_000],
            ),
            ("image/gif", &[b"GIF89a\x05\0\x06\0\0\0\0;"], [5, 6]),
            (
                "image/gif",
                &[
                    b"GIF89a\x05\0\x06\0\x80\0\0......!\xfe\x03abc\0",
                    b",\x01\0\x02\0\x20\x4e\x03\0",
                ],
                [20_001, 6],
            ),
            (
                "image/webp",
                &[b"RIFF....WEBPVP8X\x0a\0\0\0....\x1f\x4e\0\0\0\x01"],
                [20_000, 65_537],
            ),
            (
                "image/webp",
                &[b"RIFF....WEBPVP8L....\x2f\xff\xff\xff\x0f"],
                [16_384, 16_384],
            ),
            (
                "image/webp",
                &[b"RIFF....WEBPVP8 .......\x9d\x01\x2a\x10\x40\x20\x80"],
                [16, 32],
            ),
            ("image/avif", &[FACTS, SMALL, LARGE, &[0; 8]], [20_000, 32]),
            (
                "image/bmp",
                &[b"BM............\x0c\0\0\0\x02\0\x03\0"],
                [2, 3],
            ),
            (
                "image/bmp",
                &[b"BM............\x28\0\0\0\x02\0\0\0\xfd\xff\xff\xff"],
                [2, 3],
            ),
        ] {
            assert_eq!(of(shown, parts), Some(expected), "{shown} {parts:?}");
        }
        assert_eq!(Pixels::new([20_000_u32; 2]).count(), 400_000_000);
    }

    #[test]
    fn what_is_not_to_be_seen_is_not_guessed() {
        for (shown, parts) in [
            ("image/png", &[PNG, &b"\0\0\x4e\x20"[..]][..]),
            // Behind a part that may be passed over.
            (
                "image/png",
                &[
                    b"\x89PNG\r\n\x1a\n\0\0\0\x01abCd.....\0\0\0\x0dIHDR",
                    b"\0\0\x4e\x20\0\0\x4e\x20",
                ],
            ),
            // Behind what nobody looks at, behind the lines, and after what is no segment.
            ("image/jpeg", &[JPEG, b"\xff\xe1\xff\xff"]),
            ("image/jpeg", &[JPEG, b"\xff\xc0\0\x11\x08\0\0\x75\x30"]),
            ("image/jpeg", &[JPEG, b"..", FRAME]),
            ("image/jpeg", &[JPEG, b"\xff\xe1\0\0", FRAME]),
            ("image/gif", &[b"GIF89a\x05\0\x06\0\0\0\0?"]),
            ("image/gif", &[b"GIF89a\x05\0\x06\0\0\0\0!\xfe\x03ab"]),
            ("image/webp", &[b"RIFF....WEBPEXIF............"]),
            // All of its facts are not there, and those of a film are elsewhere.
            ("image/avif", &[FACTS, SMALL]),
            ("image/avif", &[b"\0\0\0\x0cftypavis", &FACTS[12..], SMALL]),
            ("image/avif", &[b"\0\0\0\0ftypavif", &FACTS[12..], SMALL]),
            ("image/bmp", &[b"BM"]),
            ("application/pdf", &[b"%PDF-1.7"]),
        ] {
            assert_eq!(of(shown, parts), None, "{shown} {parts:?}");
        }
    }
}
