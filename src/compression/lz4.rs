//! The frames of LZ4: blocks of up to 4 MiB, each of which may refer to the 64 KiB before it, and sums.
//!
//! A library expands the blocks. Its reader of frames takes one that was cut for a whole one, and clears
//! megabytes for each frame, of which a small message may have many: what stands around the blocks is read here.

use std::hash::Hasher as _;
use std::io::{self, Read, Write as _};

use lz4_flex::block::decompress_into_with_dict;
use lz4_flex::frame::{FrameEncoder, FrameInfo};
use twox_hash::XxHash32;

/// What a frame begins with.
const MAGIC: u32 = 0x184d_2204;

/// What a frame begins with that is to be skipped, but for the last four bits.
const SKIPPABLE: u32 = 0x184d_2a50;

/// How far back a block may refer.
const WINDOW: usize = 64 << 10;

/// More than a byte of a block can become.
const MOST: usize = 255;

/// What stands in the length of a block that is not compressed.
const UNCOMPRESSED: u32 = 1 << 31;

/// The size that the frames tell, if they do. An error where there is none but such as are to be skipped, or
/// where they are broken: what is cut is told before anything is expanded.
pub(super) fn size_of_frames(mut message: &[u8]) -> io::Result<Option<usize>> {
    let mut size = Some(0_usize);
    let mut any = false;
    while !message.is_empty() {
        let Some(header) = Header::read(&mut message)? else {
            continue;
        };
        any = true;
        while header.block(&mut message)?.is_some() {}
        if header.has_sum {
            array::<4>(&mut message)?;
        }
        let told = header.size.and_then(|told| usize::try_from(told).ok());
        size = size
            .zip(told)
            .and_then(|(size, told)| size.checked_add(told));
    }
    if any {
        Ok(size)
    } else {
        Err(io::Error::other("it has no frame"))
    }
}

/// What frames become, step by step.
pub(super) fn decoder(message: &[u8]) -> impl Read {
    Frames {
        message,
        open: None,
        room: Vec::new(),
        from: 0,
        to: 0,
    }
}

/// One frame that tells its size, with a sum.
pub(super) fn compress(message: &[u8]) -> io::Result<Vec<u8>> {
    let size = u64::try_from(message.len()).map_err(io::Error::other)?;
    let info = FrameInfo::new()
        .content_size(Some(size))
        .content_checksum(true);
    let out = Vec::with_capacity(message.len() / 2 + 64);
    let mut encoder = FrameEncoder::with_frame_info(info, out);
    encoder.write_all(message)?;
    Ok(encoder.finish()?)
}

/// What a frame says of itself.
#[derive(Clone, Copy)]
struct Header {
    /// What a block of it becomes at most.
    largest: usize,
    /// Whether blocks refer to those before them.
    is_linked: bool,
    /// Whether each block has a sum.
    has_sums: bool,
    /// Whether what all of it becomes has one.
    has_sum: bool,
    /// How much that is.
    size: Option<u64>,
}

/// A block, as it stands in its frame.
struct Block<'m> {
    bytes: &'m [u8],
    is_compressed: bool,
    sum: Option<u32>,
}

impl Header {
    /// The header that `message` begins with; nothing where that was a frame to be skipped, which is left out.
    fn read(message: &mut &[u8]) -> io::Result<Option<Self>> {
        let magic = number(message)?;
        if magic & !0xf == SKIPPABLE {
            let len = length(number(message)?)?;
            bytes(message, len)?;
            return Ok(None);
        }
        if magic != MAGIC {
            return Err(io::Error::other("it has no frame, or something follows it"));
        }
        let described = *message;
        let [flags, sizes] = array(message)?;
        if flags >> 6 != 1 || flags & 0b10 != 0 || sizes & 0b1000_1111 != 0 {
            return Err(io::Error::other("its frame is of another version"));
        }
        if flags & 0b1 != 0 {
            return Err(io::Error::other(
                "its frame needs a dictionary, which is not here",
            ));
        }
        let largest = match sizes >> 4 {
            log @ 4..=7 => 1 << (2 * log + 8),
            _ => return Err(io::Error::other("no frame has blocks of such a size")),
        };
        let size = if flags & 0b1000 == 0 {
            None
        } else {
            Some(u64::from_le_bytes(array(message)?))
        };
        let len = described.len() - message.len();
        let described = described.get(..len).unwrap_or_default();
        let [_, sum, ..] = XxHash32::oneshot(0, described).to_le_bytes();
        if [sum] != array::<1>(message)? {
            return Err(io::Error::other("the sum of its header is wrong"));
        }
        Ok(Some(Self {
            largest,
            is_linked: flags & 0b10_0000 == 0,
            has_sums: flags & 0b1_0000 != 0,
            has_sum: flags & 0b100 != 0,
            size,
        }))
    }

    /// The block that `message` begins with; nothing where the last one was before it.
    fn block<'m>(&self, message: &mut &'m [u8]) -> io::Result<Option<Block<'m>>> {
        let told = number(message)?;
        if told == 0 {
            return Ok(None);
        }
        let len = length(told & !UNCOMPRESSED)?;
        if len > self.largest {
            return Err(io::Error::other("a block is larger than its frame says"));
        }
        let bytes = bytes(message, len)?;
        let sum = self.has_sums.then(|| number(message)).transpose()?;
        Ok(Some(Block {
            bytes,
            is_compressed: told & UNCOMPRESSED == 0,
            sum,
        }))
    }
}

/// A frame that is being read.
struct Open {
    header: Header,
    sum: XxHash32,
    size: u64,
}

impl Open {
    /// Holds what it became against what it says at its end.
    fn end(&self, message: &mut &[u8]) -> io::Result<()> {
        if self.header.size.is_some_and(|size| size != self.size) {
            return Err(io::Error::other("it becomes another size than it says"));
        }
        if self.header.has_sum && u64::from(number(message)?) != self.sum.finish() {
            return Err(io::Error::other("its sum is wrong"));
        }
        Ok(())
    }
}

/// Frames, one after the other.
struct Frames<'m> {
    message: &'m [u8],
    open: Option<Open>,
    /// What was expanded: first what later blocks may refer to, then what was not taken yet. It is never
    /// cleared again, so that no small block costs more than its bytes.
    room: Vec<u8>,
    from: usize,
    to: usize,
}

impl Frames<'_> {
    /// Reads a header, a block or an end; whether there was one.
    fn step(&mut self) -> io::Result<bool> {
        let Some(open) = &mut self.open else {
            if self.message.is_empty() {
                return Ok(false);
            }
            if let Some(header) = Header::read(&mut self.message)? {
                self.open = Some(Open {
                    header,
                    sum: XxHash32::with_seed(0),
                    size: 0,
                });
                (self.from, self.to) = (0, 0);
            }
            return Ok(true);
        };
        let header = open.header;
        let Some(block) = header.block(&mut self.message)? else {
            open.end(&mut self.message)?;
            self.open = None;
            return Ok(true);
        };
        if block
            .sum
            .is_some_and(|sum| sum != XxHash32::oneshot(0, block.bytes))
        {
            return Err(io::Error::other("the sum of a block is wrong"));
        }
        let most = if block.is_compressed {
            header.largest.min(block.bytes.len().saturating_mul(MOST))
        } else {
            block.bytes.len()
        };
        if !header.is_linked {
            self.to = 0;
        }
        make_room(&mut self.room, &mut self.to, most);
        self.from = self.to;
        let (before, after) = self.room.split_at_mut(self.to);
        let before = before.get(before.len().saturating_sub(WINDOW)..);
        let after = after.get_mut(..most).unwrap_or_default();
        let len = if block.is_compressed {
            decompress_into_with_dict(block.bytes, after, before.unwrap_or_default())
                .map_err(io::Error::other)?
        } else {
            after.copy_from_slice(block.bytes);
            most
        };
        let expanded = after.get(..len).unwrap_or_default();
        if header.has_sum {
            open.sum.write(expanded);
        }
        open.size = open.size.saturating_add(expanded.len() as u64);
        self.to += expanded.len();
        Ok(true)
    }
}

impl Read for Frames<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.from == self.to {
            if !self.step()? {
                return Ok(0);
            }
        }
        let mut ready = self.room.get(self.from..self.to).unwrap_or_default();
        let read = ready.read(into)?;
        self.from += read;
        Ok(read)
    }
}

/// Makes room for so many bytes behind the first `to`, the last of which stay before it. What stays is moved
/// only after as much was expanded.
fn make_room(room: &mut Vec<u8>, to: &mut usize, most: usize) {
    if room.len() < *to + most && *to >= 2 * WINDOW {
        room.copy_within(*to - WINDOW..*to, 0);
        *to = WINDOW;
    }
    if room.len() < *to + most {
        room.resize(*to + most, 0);
    }
}

fn bytes<'m>(message: &mut &'m [u8], len: usize) -> io::Result<&'m [u8]> {
    let (bytes, rest) = message.split_at_checked(len).ok_or_else(cut)?;
    *message = rest;
    Ok(bytes)
}

fn array<const N: usize>(message: &mut &[u8]) -> io::Result<[u8; N]> {
    let (bytes, rest) = message.split_first_chunk().ok_or_else(cut)?;
    *message = rest;
    Ok(*bytes)
}

fn number(message: &mut &[u8]) -> io::Result<u32> {
    Ok(u32::from_le_bytes(array(message)?))
}

fn length(told: u32) -> io::Result<usize> {
    usize::try_from(told).map_err(io::Error::other)
}

fn cut() -> io::Error {
    io::Error::other("it ends within a frame")
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use lz4_flex::frame::{BlockMode, BlockSize};

    use super::*;

    fn read(message: &[u8]) -> io::Result<Vec<u8>> {
        size_of_frames(message)?;
        let mut out = Vec::new();
        decoder(message).read_to_end(&mut out)?;
        Ok(out)
    }

    fn frame(info: FrameInfo, message: &[u8]) -> Vec<u8> {
        let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
        encoder.write_all(message).unwrap();
        encoder.finish().unwrap()
    }

    /// Text that repeats itself at every distance, and some that does not.
    fn text() -> Vec<u8> {
        let mut seed = 7_u32;
        let noise = std::iter::repeat_with(|| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            seed.to_be_bytes()[0]
        });
        let noise: Vec<u8> = noise.take(50_000).collect();
        let words = b"slim spans, fat spans; ".repeat(20_000);
        [noise.repeat(6), words, vec![0; 700_000], noise.repeat(9)].concat()
    }

    /// Frames of every kind that there is come back, among them those whose blocks refer to others.
    #[test]
    fn frames_of_every_kind_come_back() {
        let text = text();
        for size in [
            BlockSize::Max64KB,
            BlockSize::Max256KB,
            BlockSize::Max1MB,
            BlockSize::Max4MB,
        ] {
            for mode in [BlockMode::Independent, BlockMode::Linked] {
                for told in [None, Some(text.len() as u64)] {
                    let info = FrameInfo::new()
                        .block_size(size)
                        .block_mode(mode)
                        .block_checksums(told.is_some())
                        .content_checksum(told.is_none())
                        .content_size(told);
                    let compressed = frame(info, &text);
                    assert!(compressed.len() < text.len(), "{size:?} {mode:?}");
                    let size_told = size_of_frames(&compressed).unwrap();
                    assert_eq!(size_told.map(|size| size as u64), told);
                    assert!(read(&compressed).unwrap() == text, "{size:?} {mode:?}");
                }
            }
        }
    }

    /// Written by hand, as the format is described.
    #[test]
    fn what_the_format_describes_is_read() {
        let header = [0x64, 0x40];
        let [_, sum, ..] = XxHash32::oneshot(0, &header).to_le_bytes();
        // 12 bytes as they are, 18 from 12 before, and five as they are.
        let block = b"\xceslim spans, \x0c\x00\x50pans\n";
        let expanded = b"slim spans, slim spans, slim spans\n";
        let message = [
            &MAGIC.to_le_bytes()[..],
            &header,
            &[sum],
            &u32::try_from(block.len()).unwrap().to_le_bytes(),
            block,
            &[0; 4],
            &XxHash32::oneshot(0, expanded).to_le_bytes(),
        ]
        .concat();
        assert_eq!(read(&message).unwrap(), expanded);
    }

    /// Wherever a frame is cut, it is told before anything is expanded, and so is what follows it and is none.
    #[test]
    fn what_is_cut_is_no_message() {
        let info = FrameInfo::new().block_checksums(true).content_size(Some(9));
        let whole = frame(info.content_checksum(true), b"some text");
        assert_eq!(read(&whole).unwrap(), b"some text");
        for len in 0..whole.len() {
            size_of_frames(&whole[..len]).unwrap_err();
        }
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            let read = read(&damaged);
            assert!(read.is_err(), "{at}: {read:?}");
        }
        let two = whole.repeat(2);
        assert_eq!(read(&two).unwrap(), b"some textsome text");
        for after in [&b"garbage"[..], b"\0", &whole[..whole.len() - 1]] {
            size_of_frames(&[&whole, after].concat()).unwrap_err();
        }
    }

    #[test]
    fn frames_to_be_skipped_are_no_message() {
        let skipped = [0x5f, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 7, 7];
        let whole = compress(b"text").unwrap();
        let between = [&skipped, &whole[..], &skipped].concat();
        assert_eq!(read(&between).unwrap(), b"text");
        for none in [&b""[..], &skipped, &skipped[..9]] {
            size_of_frames(none).unwrap_err();
        }
    }

    /// Many small frames and blocks take no more room than what they become, whatever they announce.
    #[test]
    fn small_frames_take_little_room() {
        let info = FrameInfo::new().block_size(BlockSize::Max4MB);
        let small = frame(info.block_mode(BlockMode::Linked), &[7; 100]);
        let many = small.repeat(10_000);
        let mut frames = Frames {
            message: &many,
            open: None,
            room: Vec::new(),
            from: 0,
            to: 0,
        };
        let mut out = Vec::new();
        frames.read_to_end(&mut out).unwrap();
        assert_eq!(out.len(), 1_000_000);
        assert!(
            frames.room.capacity() < 1 << 20,
            "{}",
            frames.room.capacity()
        );
    }

    /// What a block refers to is nothing but what its own frame became before it.
    #[test]
    fn nothing_of_another_frame_is_seen() {
        let secret = frame(
            FrameInfo::new().block_mode(BlockMode::Linked),
            &[b's'; 5000],
        );
        for flags in [0x40, 0x60] {
            let header = [flags, 0x40];
            let [_, sum, ..] = XxHash32::oneshot(0, &header).to_le_bytes();
            // A byte as it is, and ten from eight before it.
            let block = [0x16, b'a', 8, 0, 0x10, b'b'];
            let bad = [
                &MAGIC.to_le_bytes()[..],
                &header,
                &[sum],
                &[6, 0, 0, 0],
                &block,
                &[0; 4],
            ]
            .concat();
            read(&[&secret[..], &bad].concat()).unwrap_err();
        }
    }
}
