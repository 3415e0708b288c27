//! Messages with their length before them.

use std::io::{self, BufRead, Read as _};

use bytes::Bytes;

use super::compression::decompressed;

/// The next message of `reader`, without its length and decompressed; `None` at the end.
pub(super) fn next(reader: &mut impl BufRead) -> io::Result<Option<Bytes>> {
    if reader.fill_buf()?.is_empty() {
        return Ok(None);
    }
    let mut length = [0; 4];
    reader.read_exact(&mut length).map_err(cut_off)?;
    let length = u32::from_be_bytes(length);
    // What is announced costs nothing: the buffer grows with what is there.
    let mut frame = Vec::new();
    reader.take(u64::from(length)).read_to_end(&mut frame)?;
    if frame.len() < length as usize {
        return Err(cut_off(io::ErrorKind::UnexpectedEof.into()));
    }
    let mut message = Vec::new();
    decompressed(frame.as_slice())?.read_to_end(&mut message)?;
    Ok(Some(message.into()))
}

/// `message` after its length.
pub(super) fn frame(message: &[u8]) -> io::Result<Bytes> {
    let length = u32::try_from(message.len())
        .map_err(|_| io::Error::other("the request is larger than 4 GiB, which no length says"))?;
    Ok([&length.to_be_bytes(), message].concat().into())
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
    use crate::grpc::compression::Compression;

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
            assert_eq!(next(&mut reader).unwrap().unwrap(), expected);
        }
        assert_eq!(next(&mut reader).unwrap(), None);
    }

    #[test]
    fn a_file_that_ends_early_says_so() {
        for file in [&b"\0"[..], b"\0\0\0\x05spa", b"\xff\xff\xff\xffspans"] {
            let error = next(&mut &*file).unwrap_err();
            assert!(error.to_string().contains("ends in the middle"), "{error}");
        }
    }
}
