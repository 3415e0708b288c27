//! TIFF 6.0.

/// Directories that are followed: the file of a picture with more pages is none of those that end
/// too early unseen.
const MAX_DIRECTORIES: usize = 64;

/// Whether a directory, or the data of a picture, starts beyond the end. Lengths are wrong in files
/// that are whole, so only that of data in one piece counts; and what is not compressed has to be
/// too short for the size of the picture as well, as readers go by that.
pub(super) fn is_cut(bytes: &[u8]) -> Option<bool> {
    let mut tiff = Tiff {
        bytes,
        is_little: bytes.starts_with(b"II"),
        budget: bytes.len() / 2,
    };
    let mut at = tiff.u32(4)?;
    let mut seen = Vec::new();
    while seen.len() < MAX_DIRECTORIES {
        if at == 0 {
            return Some(false);
        }
        if at >= bytes.len() {
            return Some(true);
        }
        if seen.contains(&at) {
            return None;
        }
        seen.push(at);
        let Some(entries) = tiff.u16(at) else {
            return Some(true);
        };
        let end = at + 2 + entries * 12;
        if end > bytes.len() {
            return Some(true);
        }
        let directory = (0..entries).map(|entry| at + 2 + entry * 12);
        if tiff.lacks_data(directory)? {
            return Some(true);
        }
        // Some leave out the end of the list.
        at = tiff.u32(end).unwrap_or(0);
    }
    Some(false)
}

struct Tiff<'a> {
    bytes: &'a [u8],
    is_little: bool,
    /// How many more entries and numbers are read. None takes less than two bytes, so this is
    /// enough for all of them once; entries that share theirs could have them read for ever.
    budget: usize,
}

impl Tiff<'_> {
    fn u16(&self, at: usize) -> Option<usize> {
        let number = *self.bytes.get(at..)?.first_chunk::<2>()?;
        let number = if self.is_little {
            u16::from_le_bytes(number)
        } else {
            u16::from_be_bytes(number)
        };
        Some(number.into())
    }

    fn u32(&self, at: usize) -> Option<usize> {
        let number = *self.bytes.get(at..)?.first_chunk::<4>()?;
        let number = if self.is_little {
            u32::from_le_bytes(number)
        } else {
            u32::from_be_bytes(number)
        };
        Some(number as usize)
    }

    fn spend(&mut self, numbers: usize) -> Option<()> {
        self.budget = self.budget.checked_sub(numbers)?;
        Some(())
    }

    /// Whether a strip or tile of the picture with these entries starts beyond the end.
    fn lacks_data(&mut self, entries: impl Iterator<Item = usize>) -> Option<bool> {
        let mut picture = Picture::default();
        let mut only = (None, None);
        for entry in entries {
            self.spend(1)?;
            let (tag, kind, count) = (self.u16(entry)?, self.u16(entry + 2)?, self.u32(entry + 4)?);
            let is_offset = matches!(tag, STRIP_OFFSETS | TILE_OFFSETS);
            let is_length = matches!(tag, STRIP_BYTE_COUNTS | TILE_BYTE_COUNTS);
            if !is_offset && !is_length && !Picture::TAGS.contains(&tag) {
                continue;
            }
            let width = match kind {
                3 => 2,
                4 => 4,
                _ => return None,
            };
            let len = count.checked_mul(width)?;
            let first = if len <= 4 {
                entry + 8
            } else {
                self.u32(entry + 8)?
            };
            if first.checked_add(len)? > self.bytes.len() {
                return Some(true);
            }
            self.spend(count)?;
            for number in 0..count {
                let at = first + number * width;
                let value = match width {
                    2 => self.u16(at)?,
                    _ => self.u32(at)?,
                };
                if is_offset && value > self.bytes.len() {
                    return Some(true);
                }
                match count {
                    1 if is_offset => only.0 = Some(value),
                    1 if is_length => only.1 = Some(value),
                    _ => picture.set(tag, value),
                }
            }
        }
        let (Some(start), Some(len)) = only else {
            return Some(false);
        };
        let end = start.saturating_add(len.min(picture.most()));
        Some(end > self.bytes.len())
    }
}

const STRIP_OFFSETS: usize = 273;
const STRIP_BYTE_COUNTS: usize = 279;
const TILE_OFFSETS: usize = 324;
const TILE_BYTE_COUNTS: usize = 325;

/// What tells how long the data of a picture is that is not compressed.
struct Picture {
    width: usize,
    height: usize,
    /// The fewest of any sample.
    bits: usize,
    samples: usize,
    is_compressed: bool,
    /// With fewer samples for the colours than for the brightness.
    is_subsampled: bool,
}

impl Default for Picture {
    /// As it is where its directory does not say.
    fn default() -> Self {
        Self {
            width: 0,
            height: 0,
            bits: usize::MAX,
            samples: 1,
            is_compressed: false,
            is_subsampled: false,
        }
    }
}

impl Picture {
    const TAGS: [usize; 6] = [256, 257, 258, 259, 262, 277];

    fn set(&mut self, tag: usize, value: usize) {
        match tag {
            256 => self.width = value,
            257 => self.height = value,
            258 => self.bits = self.bits.min(value),
            259 => self.is_compressed = value != 1,
            262 => self.is_subsampled = value == 6,
            277 => self.samples = value,
            _ => {}
        }
    }

    /// The most bytes of data that its readers ask for, whatever length it tells.
    fn most(&self) -> usize {
        if self.is_compressed {
            return usize::MAX;
        }
        if self.is_subsampled {
            return 0;
        }
        // One bit where nothing is said.
        let bits = if self.bits == usize::MAX {
            1
        } else {
            self.bits
        };
        let row = self.width.saturating_mul(bits).saturating_mul(self.samples);
        row.div_ceil(8).saturating_mul(self.height)
    }
}
