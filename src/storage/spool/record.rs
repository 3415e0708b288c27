//! An artifact as a record of the spool: a version, the digest in hex, the length of the media type,
//! the media type, and the bytes.

use bytes::{BufMut as _, Bytes, BytesMut};
use slimspan_artifact::{Artifact, Digest};

const VERSION: u8 = 1;

/// The length of a digest in hex.
const DIGEST: usize = 64;

/// What stands before the media type; it tells the digest.
pub(super) const HEAD: usize = 1 + DIGEST + 2;

/// The record of an artifact, without a copy of its bytes.
pub(super) fn parts(artifact: &Artifact) -> [Bytes; 2] {
    // One that is longer is no header of any store, either.
    let fits = u16::try_from(artifact.media_type.len());
    let (len, media_type) = fits.map_or((0, ""), |len| (len, artifact.media_type.as_str()));
    let mut head = BytesMut::with_capacity(HEAD + media_type.len());
    head.put_u8(VERSION);
    head.put_slice(artifact.digest.to_string().as_bytes());
    head.put_u16_le(len);
    head.put_slice(media_type.as_bytes());
    [head.freeze(), artifact.bytes.clone()]
}

/// The digest that a record begins with.
pub(super) fn digest(head: &[u8]) -> Option<Digest> {
    let head = head.get(..HEAD)?;
    if head.first() != Some(&VERSION) {
        return None;
    }
    let digest = std::str::from_utf8(head.get(1..=DIGEST)?).ok()?;
    digest.parse().ok()
}

/// The artifact of a whole record.
pub(super) fn artifact(record: &Bytes) -> Option<Artifact> {
    let digest = digest(record)?;
    let len = record.get(1 + DIGEST..HEAD)?;
    let end = HEAD + usize::from(u16::from_le_bytes(*len.first_chunk()?));
    let media_type = std::str::from_utf8(record.get(HEAD..end)?).ok()?;
    Some(Artifact {
        digest,
        media_type: media_type.to_owned(),
        bytes: record.slice(end..),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_artifact_comes_back() {
        for (media_type, comes_back) in [
            ("image/png", true),
            ("", true),
            (&"x".repeat(70_000), false),
        ] {
            let artifact = Artifact {
                digest: Digest::of(b"bytes"),
                media_type: media_type.to_owned(),
                bytes: Bytes::from_static(b"bytes"),
            };
            let record = Bytes::from(parts(&artifact).concat());
            assert_eq!(digest(&record), Some(artifact.digest));
            let found = super::artifact(&record);
            let expected = Artifact {
                media_type: if comes_back {
                    media_type.to_owned()
                } else {
                    String::new()
                },
                ..artifact
            };
            assert_eq!(found.as_ref().map(|of| of.digest), Some(expected.digest));
            assert_eq!(found.as_ref().map(|of| &of.bytes), Some(&expected.bytes));
            assert_eq!(found.map(|of| of.media_type), Some(expected.media_type));
        }
    }

    #[test]
    fn what_is_no_artifact_is_none() {
        for record in [&b""[..], &[1; HEAD], &[2; 200]] {
            assert!(artifact(&Bytes::copy_from_slice(record)).is_none());
        }
    }
}
