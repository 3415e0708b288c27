//! The two formats of snappy: a block, which tells its size first, and a stream of chunks, each of which is a
//! block with its sum. In HTTP `snappy` is the one and `x-snappy-framed` the other; what gRPC calls `snappy` is
//! the stream, and so was what older Collectors called so over HTTP.

use std::io::{self, Read};

use bytes::Bytes;
use snap::raw;
use snap::read::{FrameDecoder, FrameEncoder};

/// What a stream begins with. No block does: it would copy from before its beginning.
const IDENTIFIER: &[u8] = b"\xff\x06\x00\x00sNaPpY";

/// The first byte of a chunk that is a block, and of one that is not compressed.
const COMPRESSED: u8 = 0;
const UNCOMPRESSED: u8 = 1;

/// What stands in such a chunk before its bytes.
const SUM: usize = 4;

/// More than a byte of a block can become: three bytes copy 64.
const MOST: usize = 22;

/// Whether a message is a stream; one of nothing has no chunk.
pub(super) fn is_stream(message: &[u8]) -> bool {
    message.is_empty() || message.starts_with(IDENTIFIER)
}

/// The size that a stream tells, if its chunks do.
pub(super) fn size_of_stream(mut message: &[u8]) -> Option<usize> {
    let mut size = 0_usize;
    while let Some((&[kind, low, middle, high], rest)) = message.split_first_chunk::<4>() {
        let len = usize::try_from(u32::from_le_bytes([low, middle, high, 0])).ok()?;
        let (chunk, rest) = rest.split_at_checked(len)?;
        size = size.checked_add(match kind {
            COMPRESSED => raw::decompress_len(chunk.get(SUM..)?).ok()?,
            UNCOMPRESSED => len.checked_sub(SUM)?,
            _ => 0,
        })?;
        message = rest;
    }
    message.is_empty().then_some(size)
}

/// The size that a block tells. An error where none of its length has that.
pub(super) fn size_of_block(message: &[u8]) -> io::Result<usize> {
    let size = raw::decompress_len(message)?;
    if size > message.len().saturating_mul(MOST) {
        return Err(io::Error::other(
            "it says that it becomes more than so few bytes can",
        ));
    }
    Ok(size)
}

/// What a block becomes that tells `size`, all at once: its parts refer to each other.
pub(super) fn expand_block(message: &[u8], size: usize) -> io::Result<Bytes> {
    let mut out = vec![0; size];
    let len = raw::Decoder::new().decompress(message, &mut out)?;
    out.truncate(len);
    Ok(Bytes::from(out))
}

/// What a stream becomes, step by step.
pub(super) fn decoder(message: &[u8]) -> impl Read {
    FrameDecoder::new(message)
}

pub(super) fn compress_block(message: &[u8]) -> io::Result<Vec<u8>> {
    Ok(raw::Encoder::new().compress_vec(message)?)
}

pub(super) fn compress_stream(message: &[u8]) -> io::Result<Vec<u8>> {
    let mut out = Vec::with_capacity(message.len() / 2 + 64);
    FrameEncoder::new(message).read_to_end(&mut out)?;
    Ok(out)
}
