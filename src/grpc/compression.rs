//! The compressions of gRPC messages.

use std::fmt;
use std::io::{self, Read};

use bytes::Bytes;
use flate2::read::{GzEncoder, MultiGzDecoder};

/// How a gRPC message is compressed; the names are those of the `grpc-encoding` header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// `gzip` (RFC 1952).
    Gzip,
    /// `zstd` (RFC 8878).
    Zstd,
}

/// The windows that a zstd stream may ask for: 8 MiB, what RFC 8878 says everybody should support.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// What is read at a time while a message expands.
const STEP: usize = 64 * 1024;

/// Why a message could not be decompressed.
#[derive(Debug)]
pub enum DecompressError<E> {
    /// It is not compressed as it says.
    Malformed(io::Error),
    /// The consumer of the bytes does not want more.
    Refused(E),
}

impl Compression {
    /// The value of `grpc-accept-encoding`: what [`Self::of_header`] understands.
    pub const ACCEPTED: &'static str = "gzip,zstd,identity";

    /// The compression that a `grpc-encoding` header names; `Ok(None)` is `identity`.
    pub fn of_header(name: &[u8]) -> Result<Option<Self>, UnknownCompression> {
        match name {
            b"identity" => Ok(None),
            b"gzip" => Ok(Some(Self::Gzip)),
            b"zstd" => Ok(Some(Self::Zstd)),
            _ => Err(UnknownCompression),
        }
    }

    /// The name in headers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    /// Compresses with the fastest level: what is left of a slim span is text that any level
    /// shrinks well, and higher levels cost a multiple for little.
    pub fn compress(self, message: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Self::Gzip => {
                let mut out = Vec::with_capacity(message.len() / 4 + 64);
                GzEncoder::new(message, flate2::Compression::fast()).read_to_end(&mut out)?;
                Ok(out)
            }
            Self::Zstd => zstd::bulk::compress(message, 1),
        }
    }

    /// Decompresses `message`. `charge` is told the number of bytes before each step of expansion
    /// is kept and may end it, so that a small message cannot become a large one unnoticed.
    pub fn decompress<E>(
        self,
        message: &[u8],
        mut charge: impl FnMut(usize) -> Result<(), E>,
    ) -> Result<Bytes, DecompressError<E>> {
        let mut decoder: Box<dyn Read> = match self {
            // A gzip file may have several members, one after the other.
            Self::Gzip => Box::new(MultiGzDecoder::new(message)),
            Self::Zstd => {
                let mut decoder =
                    zstd::Decoder::with_buffer(message).map_err(DecompressError::Malformed)?;
                decoder
                    .window_log_max(ZSTD_WINDOW_LOG_MAX)
                    .map_err(DecompressError::Malformed)?;
                Box::new(decoder)
            }
        };
        let mut out = Vec::with_capacity(message.len() * 2);
        let mut step = vec![0; STEP];
        loop {
            let read = match decoder.read(&mut step) {
                Ok(0) => return Ok(out.into()),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(DecompressError::Malformed(error)),
            };
            charge(read).map_err(DecompressError::Refused)?;
            out.extend_from_slice(step.get(..read).unwrap_or_default());
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A `grpc-encoding` that is not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownCompression;

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn decompress(compression: Compression, message: &[u8]) -> Option<Bytes> {
        let outcome = compression.decompress(message, |_| Ok::<(), ()>(()));
        outcome.ok()
    }

    #[test]
    fn every_compression_comes_back() {
        let message = b"slim spans, fat spans".repeat(10_000);
        for compression in [Compression::Gzip, Compression::Zstd] {
            for message in [&b""[..], &message] {
                let compressed = compression.compress(message).unwrap();
                let decompressed = decompress(compression, &compressed).unwrap();
                assert_eq!(decompressed, message, "{compression}");
            }
        }
    }

    #[test]
    fn several_members_are_one_message_and_garbage_is_none() {
        for compression in [Compression::Gzip, Compression::Zstd] {
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
        let mut wrong_sum = Compression::Gzip.compress(b"text").unwrap();
        let at = wrong_sum.len() - 8;
        wrong_sum[at] ^= 1;
        assert_eq!(decompress(Compression::Gzip, &wrong_sum), None);
    }

    #[test]
    fn expansion_ends_where_it_is_refused() {
        for compression in [Compression::Gzip, Compression::Zstd] {
            let bomb = compression.compress(&vec![0; 64 << 20]).unwrap();
            let mut taken = 0;
            let outcome = compression.decompress(&bomb, |bytes| {
                taken += bytes;
                if taken > 1 << 20 {
                    Err("enough")
                } else {
                    Ok(())
                }
            });
            assert!(matches!(outcome, Err(DecompressError::Refused("enough"))));
            assert!(taken <= (1 << 20) + STEP, "{taken}");
        }
    }

    #[test]
    fn a_zstd_window_has_a_limit() {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(27).unwrap();
        encoder.include_contentsize(false).unwrap();
        io::Write::write_all(&mut encoder, &vec![0; 1 << 24]).unwrap();
        let message = encoder.finish().unwrap();
        assert_eq!(decompress(Compression::Zstd, &message), None);
    }
}
