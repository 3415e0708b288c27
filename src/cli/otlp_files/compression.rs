use std::io::{self, BufRead, BufReader, Cursor, Read};

use flate2::bufread::MultiGzDecoder;

/// The bytes that a gzip file begins with (RFC 1952).
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// The bytes that a zstd frame begins with (RFC 8878).
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// What `reader` holds, decompressed if it is gzip or zstd. Neither magic number can begin a
/// request.
pub(super) fn decompressed<'r>(reader: impl Read + 'r) -> io::Result<Box<dyn BufRead + 'r>> {
    let (head, reader) = peek(reader, ZSTD.len())?;
    if head.starts_with(&ZSTD) {
        return Ok(Box::new(BufReader::new(zstd::Decoder::with_buffer(
            reader,
        )?)));
    }
    if head.starts_with(&GZIP) {
        // A gzip file may have several members, one after the other.
        return Ok(Box::new(BufReader::new(MultiGzDecoder::new(reader))));
    }
    Ok(Box::new(reader))
}

/// The first bytes of `reader`, at most `count`, and a reader that still begins with them.
pub(super) fn peek<'r>(
    mut reader: impl Read + 'r,
    count: usize,
) -> io::Result<(Vec<u8>, impl BufRead + 'r)> {
    let mut head = Vec::with_capacity(count);
    reader.by_ref().take(count as u64).read_to_end(&mut head)?;
    let whole = Cursor::new(head.clone()).chain(BufReader::new(reader));
    Ok((head, whole))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::compression::Compression;

    fn read(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        decompressed(bytes)?.read_to_end(&mut all)?;
        Ok(all)
    }

    #[test]
    fn what_is_compressed_is_told_by_its_first_bytes() {
        let plain = b"{\"resourceSpans\":[]}\n".repeat(100);
        assert_eq!(read(&plain).unwrap(), plain);
        for compression in [Compression::Gzip, Compression::Zstd] {
            let member = compression.compress(&plain).unwrap();
            assert_eq!(read(&member).unwrap(), plain);
            let two = [member.clone(), member].concat();
            assert_eq!(read(&two).unwrap(), plain.repeat(2));
        }
    }

    #[test]
    fn short_files_are_whole() {
        for bytes in [&b""[..], b"\n", &GZIP[..1], &ZSTD[..3], b"{}"] {
            assert_eq!(read(bytes).unwrap(), bytes);
        }
    }

    #[test]
    fn a_file_that_was_cut_off_is_an_error() {
        for compression in [Compression::Gzip, Compression::Zstd] {
            let member = compression.compress(&b"spans".repeat(100)).unwrap();
            assert!(read(&member[..member.len() - 1]).is_err());
        }
    }
}
