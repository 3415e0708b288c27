//! TIFF 6.0.

/// Directories that are followed: the file of a picture with more pages is none of those that end
/// too early unseen.
const MAX_DIRECTORIES: usize = 64;

/// Whether a directory, or the data of a picture, starts beyond the end. Lengths are wrong in files
/// that are whole, so only that of data in one piece counts.
pub(super) fn is_cut(bytes: &[u8]) -> Option<bool> {
    let tiff = Tiff {
        bytes,
        is_little: bytes.starts_with(b"II"),
    };
    let mut at = tiff.u32(4)?;
    for _ in 0..MAX_DIRECTORIES {
        if at == 0 {
            return Some(false);
        }
        if at >= bytes.len() {
            return Some(true);
        }
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

    /// Whether a strip or tile of the picture with these entries starts beyond the end.
    fn lacks_data(&self, entries: impl Iterator<Item = usize>) -> Option<bool> {
        let mut only = (None, None);
        for entry in entries {
            let (tag, kind, count) = (self.u16(entry)?, self.u16(entry + 2)?, self.u32(entry + 4)?);
            // StripOffsets, StripByteCounts, TileOffsets, TileByteCounts; as short or long numbers.
            let is_offset = matches!(tag, 273 | 324);
            if !is_offset && !matches!(tag, 279 | 325) {
                continue;
            }
            let width = match kind {
                3 => 2,
                4 => 4,
                _ => return None,
            };
            let first = if count.checked_mul(width)? <= 4 {
                entry + 8
            } else {
                self.u32(entry + 8)?
            };
            if first.checked_add(count * width)? > self.bytes.len() {
                return Some(true);
            }
            for number in 0..count {
                let at = first + number * width;
                let value = match width {
                    2 => self.u16(at)?,
                    _ => self.u32(at)?,
                };
                if is_offset && value > self.bytes.len() {
                    return Some(true);
                }
                if count == 1 {
                    *if is_offset { &mut only.0 } else { &mut only.1 } = Some(value);
                }
            }
        }
        Some(match only {
            (Some(start), Some(len)) => start.saturating_add(len) > self.bytes.len(),
            _ => false,
        })
    }
}
