//! How bodies and messages are compressed, whatever carries them.

mod lz4;
mod snappy;

use std::fmt;
use std::io::{self, Read};

use bytes::Bytes;
use flate2::bufread::ZlibDecoder;
use flate2::read::{GzEncoder, MultiGzDecoder, ZlibEncoder};
use zstd::zstd_safe;

/// How a message is compressed; the names are those that headers have for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// `gzip` (RFC 1952).
    Gzip,
    /// `zstd` (RFC 8878).
    Zstd,
    /// `deflate` as HTTP means it: the zlib format (RFC 1950). No gRPC header has it here.
    Deflate,
    /// `snappy`: a block as it is written, and a stream as well where it is read.
    Snappy,
    /// `x-snappy-framed`: a stream.
    SnappyFramed,
    /// `lz4`: frames. No gRPC header has it here.
    Lz4,
}

/// The windows that a zstd stream may ask for: 8 MiB, what RFC 8878 says everybody should support.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// What is read at a time while a message expands.
const STEP: usize = 64 * 1024;

/// The size that is expected of a message that does not tell its own, and that is believed of any.
const UNTOLD: usize = 1 << 20;

/// How often its compressed size a message is believed to have: text seldom shrinks more, and what
/// does is measured quickly.
const BELIEVED: usize = 8;

/// The code of zstd's error for a window above the limit, as its functions return it.
const WINDOW_TOO_LARGE: usize = 16_usize.wrapping_neg();

/// Why a message could not be decompressed.
#[derive(Debug)]
pub enum DecompressError<E> {
    /// It is not compressed as it says.
    Malformed(io::Error),
    /// It becomes larger than it may.
    TooLarge,
    /// To decompress it takes a window of more memory than anybody has to give.
    WindowTooLarge,
    /// The consumer of the bytes does not want more.
    Refused(E),
}

impl Compression {
    /// The value of `grpc-accept-encoding`: what [`Self::of_header`] understands.
    pub const ACCEPTED: &'static str = "gzip,zstd,snappy,identity";

    /// The compression that a header such as `grpc-encoding` names; `Ok(None)` is `identity`.
    pub fn of_header(name: &[u8]) -> Result<Option<Self>, UnknownCompression> {
        match name {
            b"identity" => Ok(None),
            b"gzip" => Ok(Some(Self::Gzip)),
            b"zstd" => Ok(Some(Self::Zstd)),
            b"snappy" => Ok(Some(Self::Snappy)),
            _ => Err(UnknownCompression),
        }
    }

    /// The name in headers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Deflate => "deflate",
            Self::Snappy => "snappy",
            Self::SnappyFramed => "x-snappy-framed",
            Self::Lz4 => "lz4",
        }
    }

    /// Compresses with the fastest level: what is left of a slim span is text that any level
    /// shrinks well, and higher levels cost a multiple for little.
    pub fn compress(self, message: &[u8]) -> io::Result<Vec<u8>> {
        self.compress_at(1, message)
    }

    /// Compresses with a level: from 1 to 9, of zstd to 19. Snappy and LZ4 have none.
    pub fn compress_at(self, level: u8, message: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        let of_zlib = flate2::Compression::new(u32::from(level));
        match self {
            Self::Zstd => return zstd::bulk::compress(message, i32::from(level)),
            Self::Snappy => return snappy::compress_block(message),
            Self::SnappyFramed => return snappy::compress_stream(message),
            Self::Lz4 => return lz4::compress(message),
            Self::Gzip => {
                out.reserve(message.len() / 4 + 64);
                GzEncoder::new(message, of_zlib).read_to_end(&mut out)?;
            }
            Self::Deflate => {
                out.reserve(message.len() / 4 + 64);
                ZlibEncoder::new(message, of_zlib).read_to_end(&mut out)?;
            }
        }
        Ok(out)
    }

    /// Decompresses `message`, which may become `limit` bytes at most. `charge` is told the number
    /// of bytes before each step of expansion is kept and may end it, so that a small message cannot
    /// become a large one unnoticed.
    ///
    /// What is kept has its place from the beginning, so that it is never there twice. What says that
    /// it becomes large from little, or turns out to be larger than it says, is measured before it is
    /// kept: a bomb takes next to nothing.
    pub fn decompress<E>(
        self,
        message: &[u8],
        limit: usize,
        mut charge: impl FnMut(usize) -> Result<(), E>,
    ) -> Result<Bytes, DecompressError<E>> {
        if self == Self::Snappy && !snappy::is_stream(message) {
            // It cannot be had in steps, but tells its size, which is no lie that costs more than the message.
            let size = snappy::size_of_block(message).map_err(DecompressError::Malformed)?;
            if size > limit {
                return Err(DecompressError::TooLarge);
            }
            charge(size).map_err(DecompressError::Refused)?;
            return snappy::expand_block(message, size).map_err(DecompressError::Malformed);
        }
        let told = match self {
            Self::Gzip => size_of_last_member(message),
            Self::Zstd => size_of_frames(message).map_err(DecompressError::Malformed)?,
            Self::Deflate => None,
            Self::Snappy | Self::SnappyFramed => snappy::size_of_stream(message),
            Self::Lz4 => lz4::size_of_frames(message).map_err(DecompressError::Malformed)?,
        };
        let mut charged = 0;
        let mut expand = |size| {
            let mut out = Vec::with_capacity(size);
            let whole = self.read(message, |bytes| {
                let after = out.len() + bytes.len();
                if after > size {
                    return Ok(false);
                }
                if after > charged {
                    charge(after - charged).map_err(DecompressError::Refused)?;
                    charged = after;
                }
                out.extend_from_slice(bytes);
                Ok(true)
            })?;
            Ok(whole.then(|| Bytes::from(out)))
        };
        let believed = message
            .len()
            .saturating_mul(BELIEVED)
            .max(UNTOLD)
            .min(limit);
        let expected = told.unwrap_or_else(|| UNTOLD.min(limit));
        if expected <= believed
            && let Some(expanded) = expand(expected)?
        {
            return Ok(expanded);
        }
        let mut size = 0;
        let measured = self.read(message, |bytes| {
            size += bytes.len();
            Ok(size <= limit)
        })?;
        if !measured {
            return Err(DecompressError::TooLarge);
        }
        expand(size)?.ok_or(DecompressError::TooLarge)
    }

    /// Lets `take` have what `message` becomes, step by step, until it wants no more; returns whether
    /// it had all.
    fn read<E>(
        self,
        message: &[u8],
        mut take: impl FnMut(&[u8]) -> Result<bool, DecompressError<E>>,
    ) -> Result<bool, DecompressError<E>> {
        let mut decoder: Box<dyn Read> = match self {
            // A gzip file may have several members, one after the other.
            Self::Gzip => Box::new(MultiGzDecoder::new(message)),
            Self::Deflate => Box::new(OneStream(ZlibDecoder::new(message))),
            Self::Snappy | Self::SnappyFramed => Box::new(snappy::decoder(message)),
            Self::Lz4 => Box::new(lz4::decoder(message)),
            Self::Zstd => {
                let mut decoder =
                    zstd::Decoder::with_buffer(message).map_err(DecompressError::Malformed)?;
                decoder
                    .window_log_max(ZSTD_WINDOW_LOG_MAX)
                    .map_err(DecompressError::Malformed)?;
                Box::new(decoder)
            }
        };
        let mut step = vec![0; STEP];
        loop {
            let read = match decoder.read(&mut step) {
                Ok(0) => return Ok(true),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if is_window(&error) => return Err(DecompressError::WindowTooLarge),
                Err(error) => return Err(DecompressError::Malformed(error)),
            };
            if !take(step.get(..read).unwrap_or_default())? {
                return Ok(false);
            }
        }
    }
}

/// What a zlib stream holds; an error where anything follows it.
struct OneStream<'m>(ZlibDecoder<&'m [u8]>);

impl Read for OneStream<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.0.read(into)? {
            0 if !into.is_empty() && !self.0.get_ref().is_empty() => {
                Err(io::Error::other("something follows its end"))
            }
            read => Ok(read),
        }
    }
}

/// The size that the end of a gzip file tells, of its last member: mostly the only one.
fn size_of_last_member(message: &[u8]) -> Option<usize> {
    let size = message.last_chunk::<4>()?;
    usize::try_from(u32::from_le_bytes(*size)).ok()
}

/// The size that the frames of a zstd file tell, if they do. An error where there is none but such
/// as hold no message, or where they are broken.
fn size_of_frames(mut message: &[u8]) -> io::Result<Option<usize>> {
    /// What a frame that is to be skipped begins with, but for the last four bits.
    const SKIPPABLE: u32 = 0x184d_2a50;
    let mut size = Some(0_usize);
    let mut any = false;
    while let Some(magic) = message.first_chunk::<4>() {
        let len = zstd_safe::find_frame_compressed_size(message)
            .map_err(|code| io::Error::other(zstd_safe::get_error_name(code)))?;
        let (frame, rest) = message.split_at_checked(len).unwrap_or_default();
        if u32::from_le_bytes(*magic) & !0xf != SKIPPABLE {
            any = true;
            let told = zstd_safe::get_frame_content_size(frame).ok().flatten();
            let told = told.and_then(|told| usize::try_from(told).ok());
            size = size
                .zip(told)
                .and_then(|(size, told)| size.checked_add(told));
        }
        message = rest;
    }
    if any && message.is_empty() {
        Ok(size)
    } else {
        Err(io::Error::other("it has no frame, or ends within one"))
    }
}

/// Whether zstd gives up because of its window.
fn is_window(error: &io::Error) -> bool {
    error
        .get_ref()
        .is_some_and(|error| error.to_string() == zstd_safe::get_error_name(WINDOW_TOO_LARGE))
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A compression that is not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownCompression;

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    const ALL: [Compression; 6] = [
        Compression::Gzip,
        Compression::Zstd,
        Compression::Deflate,
        Compression::Snappy,
        Compression::SnappyFramed,
        Compression::Lz4,
    ];

    fn decompress(compression: Compression, message: &[u8]) -> Option<Bytes> {
        let outcome = compression.decompress(message, 1 << 26, |_| Ok::<(), ()>(()));
        outcome.ok()
    }

    #[test]
    fn every_compression_comes_back() {
        let message = b"slim spans, fat spans".repeat(10_000);
        for compression in ALL {
            for message in [&b""[..], &message] {
                let compressed = compression.compress(message).unwrap();
                let decompressed = decompress(compression, &compressed).unwrap();
                assert_eq!(decompressed, message, "{compression}");
            }
        }
    }

    #[test]
    fn several_members_are_one_message_and_garbage_is_none() {
        for compression in [Compression::Gzip, Compression::Zstd, Compression::Lz4] {
            let member = compression.compress(b"half").unwrap();
            let two = [member.clone(), member.clone()].concat();
            assert_eq!(decompress(compression, &two).unwrap(), "halfhalf");
            for broken in [
                &member[..member.len() - 1],
                &[&member[..], b"garbage"].concat(),
                b"garbage",
            ] {
                assert_eq!(decompress(compression, broken), None, "{compression}");
            }
        }
        for (compression, sum) in [
            (Compression::Gzip, 8),
            (Compression::Deflate, 4),
            (Compression::Lz4, 4),
        ] {
            let mut wrong_sum = compression.compress(b"text").unwrap();
            let at = wrong_sum.len() - sum;
            wrong_sum[at] ^= 1;
            assert_eq!(decompress(compression, &wrong_sum), None);
        }
        let stream = Compression::Deflate.compress(b"whole").unwrap();
        for broken in [
            &stream[..stream.len() - 1],
            &[&stream[..], &stream].concat(),
            b"garbage",
            b"",
        ] {
            assert_eq!(decompress(Compression::Deflate, broken), None);
        }
    }

    #[test]
    fn expansion_ends_where_it_is_refused() {
        for compression in ALL {
            let bomb = compression.compress(&vec![0; 16 << 20]).unwrap();
            let (mut asked, mut taken) = (0, 0);
            let outcome = compression.decompress(&bomb, 64 << 20, |bytes| {
                asked += bytes;
                if asked > 1 << 20 {
                    return Err("enough");
                }
                taken = asked;
                Ok(())
            });
            assert!(matches!(outcome, Err(DecompressError::Refused("enough"))));
            assert!(taken <= 1 << 20, "{compression}: {taken}");
            // A block is asked for whole, before there is any place for it.
            let step = if compression == Compression::Snappy {
                15 << 20
            } else {
                STEP
            };
            assert!(asked <= (1 << 20) + step, "{compression}: {asked}");
        }
    }

    /// Frames without a message in them are no message, however many there are, and soon told.
    #[test]
    fn frames_to_be_skipped_are_no_message() {
        let skipped = [0x5f, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 7, 7];
        let message = Compression::Zstd.compress(b"text").unwrap();
        let between = [&skipped, &message[..], &skipped].concat();
        assert_eq!(decompress(Compression::Zstd, &between).unwrap(), "text");
        for none in [&b""[..], &skipped, &skipped.repeat(1 << 20)] {
            assert_eq!(decompress(Compression::Zstd, none), None);
        }
        let cut = [&message[..], &skipped[..9]].concat();
        assert_eq!(decompress(Compression::Zstd, &cut), None);
    }

    /// What a sender says of the size is believed as far as it costs nothing.
    #[test]
    fn a_size_that_is_not_told_right_is_found_out() {
        const LIMIT: usize = 1 << 26;
        let mut lie = Compression::Gzip.compress(&[7; 1000]).unwrap();
        for told in [0, 999, 1000, 1001, LIMIT, LIMIT + 1, u32::MAX as usize] {
            let at = lie.len() - 4;
            lie[at..].copy_from_slice(&u32::try_from(told).unwrap().to_le_bytes());
            let is_whole = decompress(Compression::Gzip, &lie).is_some();
            assert_eq!(is_whole, told == 1000, "{told}");
        }
        for compression in [Compression::Gzip, Compression::Zstd, Compression::Lz4] {
            // Of gzip only the last member's size is told.
            let member = compression.compress(&vec![7; 3_000_000]).unwrap();
            let several = [&member[..], &member, &compression.compress(b"end").unwrap()].concat();
            for (limit, fits) in [(6_000_003, true), (6_000_002, false)] {
                let mut charged = 0;
                let outcome = compression.decompress(&several, limit, |bytes| {
                    charged += bytes;
                    Ok::<(), ()>(())
                });
                match outcome {
                    Ok(expanded) => {
                        assert!(fits, "{compression}");
                        assert_eq!((expanded.len(), charged), (6_000_003, 6_000_003));
                    }
                    Err(DecompressError::TooLarge) => {
                        assert!(!fits && charged <= UNTOLD, "{compression}: {charged}");
                    }
                    Err(error) => unreachable!("{compression}: {error:?}"),
                }
            }
        }
        let mut untold = zstd::Encoder::new(Vec::new(), 1).unwrap();
        untold.include_contentsize(false).unwrap();
        io::Write::write_all(&mut untold, &vec![7; 3_000_000]).unwrap();
        let expanded = decompress(Compression::Zstd, &untold.finish().unwrap());
        assert_eq!(expanded.unwrap().len(), 3_000_000);
    }

    /// As Go's library for gRPC and older Collectors write it, and as others do over HTTP.
    #[test]
    fn snappy_is_a_block_or_a_stream() {
        let message = b"slim spans, fat spans".repeat(10_000);
        let block = Compression::Snappy.compress(&message).unwrap();
        let stream = Compression::SnappyFramed.compress(&message).unwrap();
        assert!(stream.starts_with(b"\xff\x06\x00\x00sNaPpY"));
        assert!(!block.starts_with(b"\xff\x06\x00\x00"));
        for (compression, compressed, is_read) in [
            (Compression::Snappy, &block, true),
            (Compression::Snappy, &stream, true),
            (Compression::SnappyFramed, &stream, true),
            (Compression::SnappyFramed, &block, false),
        ] {
            let read = decompress(compression, compressed);
            assert_eq!(
                read.is_some_and(|read| read == message),
                is_read,
                "{compression}"
            );
            for broken in [
                &compressed[..compressed.len() - 1],
                &[&compressed[..], b"garbage"].concat(),
                b"garbage",
                b"\xff",
            ] {
                assert_eq!(decompress(compression, broken), None, "{compression}");
            }
        }
        let two = stream.repeat(2);
        assert_eq!(
            decompress(Compression::Snappy, &two).unwrap(),
            message.repeat(2)
        );
        let mut wrong_sum = Compression::SnappyFramed.compress(b"text").unwrap();
        let last = wrong_sum.len() - 1;
        wrong_sum[last] ^= 1;
        assert_eq!(decompress(Compression::SnappyFramed, &wrong_sum), None);
    }

    /// A block says how large it becomes: what cannot be so is told before anything is charged or taken, and
    /// what is too large before it is charged.
    #[test]
    fn a_block_of_snappy_is_not_believed_beyond_what_it_can_become() {
        let outcome = |message: &[u8], limit| {
            let mut charged = 0;
            let outcome = Compression::Snappy.decompress(message, limit, |bytes| {
                charged += bytes;
                Ok::<(), ()>(())
            });
            (outcome, charged)
        };
        // Four gibibytes less one, and not a byte of them.
        for lie in [
            &b"\xff\xff\xff\xff\x0f"[..],
            b"\xff\xff\xff\xff\x0f\x00a",
            b"\xe8\x07\x00a",
            b"\xff\xff\xff\xff\xff\xff",
        ] {
            let (outcome, charged) = outcome(lie, usize::MAX);
            assert!(
                matches!(outcome, Err(DecompressError::Malformed(_))),
                "{lie:?}"
            );
            assert_eq!(charged, 0, "{lie:?}");
        }
        let zeros = Compression::Snappy.compress(&vec![0; 3_000_000]).unwrap();
        assert!(zeros.len() < 3_000_000 / 20);
        let (whole, charged) = outcome(&zeros, 3_000_000);
        assert_eq!((whole.unwrap().len(), charged), (3_000_000, 3_000_000));
        let (too_large, charged) = outcome(&zeros, 2_999_999);
        assert!(matches!(too_large, Err(DecompressError::TooLarge)));
        assert_eq!(charged, 0);
        // A stream is measured before it is kept, as anything that says that it becomes large.
        let zeros = Compression::SnappyFramed
            .compress(&vec![0; 3_000_000])
            .unwrap();
        let (whole, charged) = outcome(&zeros, 3_000_000);
        assert_eq!((whole.unwrap().len(), charged), (3_000_000, 3_000_000));
        let (too_large, charged) = outcome(&zeros, 2_999_999);
        assert!(matches!(too_large, Err(DecompressError::TooLarge)));
        assert_eq!(charged, 0);
    }

    /// Whatever a byte of it becomes, it is an error or a message within the limit.
    #[test]
    fn what_is_damaged_is_told_or_read() {
        const LIMIT: usize = 16 << 10;
        let bytes: Vec<u8> = (0..=255).collect();
        let message = [b"slim spans, fat spans".repeat(50), vec![0; 5000], bytes].concat();
        for compression in [
            Compression::Snappy,
            Compression::SnappyFramed,
            Compression::Lz4,
        ] {
            let sound = compression.compress(&message).unwrap();
            let mut told = 0;
            for (at, mask) in (0..sound.len()).flat_map(|at| [1, 8, 128].map(|mask| (at, mask))) {
                let mut damaged = sound.clone();
                damaged[at] ^= mask;
                match compression.decompress(&damaged, LIMIT, |_| Ok::<(), ()>(())) {
                    Ok(read) => assert!(read.len() <= LIMIT, "{compression} {at} {mask}"),
                    Err(_) => told += 1,
                }
            }
            assert!(told > 0, "{compression}");
        }
    }

    #[test]
    fn a_zstd_window_has_a_limit() {
        for (log, allowed) in [(23, true), (24, false), (27, false)] {
            let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
            encoder.window_log(log).unwrap();
            encoder.include_contentsize(false).unwrap();
            io::Write::write_all(&mut encoder, &vec![0; 1 << 25]).unwrap();
            let message = encoder.finish().unwrap();
            let outcome = Compression::Zstd.decompress(&message, 1 << 25, |_| Ok::<(), ()>(()));
            match outcome {
                Ok(expanded) => assert!(allowed && expanded.len() == 1 << 25, "{log}"),
                Err(DecompressError::WindowTooLarge) => assert!(!allowed, "{log}"),
                Err(error) => unreachable!("{log}: {error:?}"),
            }
        }
    }
}
