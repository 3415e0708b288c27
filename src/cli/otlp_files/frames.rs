//! Messages with their length before them.

use std::io::{self, BufRead, Read as _};

use bytes::Bytes;

use super::compression::decompressed;

/// The next message of `reader`, without its length and decompressed, as long as it is not larger
/// than `limit`; `None` at the end.
pub(super) fn next(reader: &mut impl BufRead, limit: usize) -> io::Result<Option<Bytes>> {
    if reader.fill_buf()?.is_empty() {
        return Ok(None);
    }
    let mut length = [0; 4];
    reader.read_exact(&mut length).map_err(cut_off)?;
    let length = u32::from_be_bytes(length);
    if length as usize > limit {
        return Err(too_large(limit));
    }
    // What is announced costs nothing: the buffer grows with what is there.
    let mut frame = Vec::new();
    reader.take(u64::from(length)).read_to_end(&mut frame)?;
    if frame.len() < length as usize {
        return Err(cut_off(io::ErrorKind::UnexpectedEof.into()));
    }
    let mut message = Vec::new();
    let decompressed = decompressed(frame.as_slice())?;
    decompressed
        .take(limit as u64 + 1)
        .read_to_end(&mut message)?;
    if message.len() > limit {
        return Err(too_large(limit));
    }
    Ok(Some(message.into()))
}

/// `message` after its length.
pub(super) fn frame(message: &[u8]) -> io::Result<Bytes> {
    let length = u32::try_from(message.len())
        .map_err(|_| io::Error::other("the request is larger than 4 GiB, which no length says"))?;
    Ok([&length.to_be_bytes(), message].concat().into())
}

fn too_large(limit: usize) -> io::Error {
    let message = format!(
        "a request is larger than {limit} bytes, which no request in protobuf can be, or the file \
         does not hold requests after their lengths"
    );
    io::Error::new(io::ErrorKind::InvalidData, message)
}

fn cut_off(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        io::Error::new(error.kind(), "the file ends in the middle of a request")
    } else {
        error
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::compression::Compression;

    #[test]
    fn frames_are_read_as_they_are_written() {
        let zstd = Compression::Zstd.compress(b"three").unwrap();
        let file = [
            frame(b"one").unwrap(),
            frame(b"").unwrap(),
            frame(&zstd).unwrap(),
        ]
        .concat();
        let mut reader = file.as_slice();
        for expected in ["one", "", "three"] {
            assert_eq!(next(&mut reader, 100).unwrap().unwrap(), expected);
        }
        assert_eq!(next(&mut reader, 100).unwrap(), None);
    }

    #[test]
    fn a_message_has_a_limit_also_behind_a_compression() {
        let plain = vec![b'a'; 10_000];
        for compression in [Compression::Gzip, Compression::Zstd] {
            let small = compression.compress(&plain).unwrap();
            assert!(small.len() < 5_000);
            let file = frame(&small).unwrap();
            let read = |limit| next(&mut &*file, limit);
            assert_eq!(read(10_000).unwrap().unwrap(), plain);
            let error = read(9_999).unwrap_err().to_string();
            assert!(error.contains("larger than 9999 bytes"), "{error}");
        }
        let file = frame(&plain).unwrap();
        let error = next(&mut &*file, 9_999).unwrap_err().to_string();
        assert!(error.contains("larger than 9999 bytes"), "{error}");
    }

    #[test]
    fn a_file_that_ends_early_says_so() {
        for file in [&b"\0"[..], b"\0\0\0\x05spa", b"\xff\xff\xff\xffspans"] {
            let error = next(&mut &*file, usize::MAX >> 1).unwrap_err();
            assert!(error.to_string().contains("ends in the middle"), "{error}");
        }
    }
}
