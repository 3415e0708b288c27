//! An artifact as a record of the spool: a version, the digest in hex, the length of the tenant, when it was
//! kept in microseconds, the length of the media type, the tenant, the media type, and the bytes. The second
//! version has no time, and the first no tenant either: all was that of the default one.

use bytes::{BufMut as _, Bytes, BytesMut};
use jiff::Timestamp;
use slimspan_artifact::{Artifact, Digest};

use crate::tenant::TenantId;

const WITHOUT_TENANT: u8 = 1;
const WITHOUT_TIME: u8 = 2;
const VERSION: u8 = 3;

/// The length of a digest in hex.
const DIGEST: usize = 64;

/// The longest name of a tenant.
const TENANT: usize = 64;

/// No longer is what stands before the media type; it tells the key.
pub(super) const HEAD: usize = 1 + DIGEST + 1 + 8 + 2 + TENANT;

/// Whose artifact it is, and which.
pub(super) type Key = (TenantId, Digest);

/// The record of an artifact that is kept now, without a copy of its bytes.
pub(super) fn parts(tenant: &TenantId, artifact: &Artifact) -> [Bytes; 2] {
    // One that is longer is no header of any store, either.
    let fits = u16::try_from(artifact.media_type.len());
    let (len, media_type) = fits.map_or((0, ""), |len| (len, artifact.media_type.as_str()));
    let tenant = tenant.as_str();
    let mut head = BytesMut::with_capacity(HEAD + media_type.len());
    head.put_u8(VERSION);
    head.put_slice(artifact.digest.to_string().as_bytes());
    head.put_u8(tenant.len() as u8);
    head.put_i64_le(Timestamp::now().as_microsecond());
    head.put_u16_le(len);
    head.put_slice(tenant.as_bytes());
    head.put_slice(media_type.as_bytes());
    [head.freeze(), artifact.bytes.clone()]
}

/// What stands before the media type.
struct Head {
    key: Key,
    kept: Option<Timestamp>,
    media_type_len: usize,
    len: usize,
}

fn head(record: &[u8]) -> Option<Head> {
    let (version, rest) = record.split_first()?;
    let (digest, rest) = rest.split_at_checked(DIGEST)?;
    let digest = std::str::from_utf8(digest).ok()?.parse().ok()?;
    let (tenant_len, rest) = match *version {
        WITHOUT_TENANT => (0, rest),
        WITHOUT_TIME | VERSION => {
            let (len, rest) = rest.split_first()?;
            (usize::from(*len), rest)
        }
        _ => return None,
    };
    let (kept, rest) = match *version {
        VERSION => {
            let (kept, rest) = rest.split_first_chunk()?;
            let kept = Timestamp::from_microsecond(i64::from_le_bytes(*kept)).ok();
            (kept, rest)
        }
        _ => (None, rest),
    };
    let (media_type_len, rest) = rest.split_first_chunk()?;
    let tenant = match *version {
        WITHOUT_TENANT => TenantId::default(),
        _ => std::str::from_utf8(rest.get(..tenant_len)?)
            .ok()?
            .parse()
            .ok()?,
    };
    Some(Head {
        key: (tenant, digest),
        kept,
        media_type_len: usize::from(u16::from_le_bytes(*media_type_len)),
        len: record.len() - rest.len() + tenant_len,
    })
}

/// The key of a record of which at least the first [`HEAD`] bytes are there, or all; and when it was kept.
pub(super) fn key(record: &[u8]) -> Option<(Key, Option<Timestamp>)> {
    head(record).map(|head| (head.key, head.kept))
}

/// Where the artifact begins in a record of which at least the first [`HEAD`] bytes are there, or all.
pub(super) fn start(record: &[u8]) -> Option<usize> {
    head(record).map(|head| head.len + head.media_type_len)
}

/// The artifact of a whole record, and whose it is.
pub(super) fn artifact(record: &Bytes) -> Option<(TenantId, Artifact)> {
    let Head {
        key: (tenant, digest),
        media_type_len,
        len,
        ..
    } = head(record)?;
    let end = len + media_type_len;
    let media_type = std::str::from_utf8(record.get(len..end)?).ok()?;
    let artifact = Artifact {
        digest,
        media_type: media_type.to_owned(),
        bytes: record.slice(end..),
    };
    Some((tenant, artifact))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn made(media_type: &str) -> Artifact {
        Artifact {
            digest: Digest::of(b"bytes"),
            media_type: media_type.to_owned(),
            bytes: Bytes::from_static(b"bytes"),
        }
    }

    #[test]
    fn an_artifact_comes_back() {
        let begun = Timestamp::now().as_microsecond();
        let longest: TenantId = "x".repeat(64).parse().unwrap_or_default();
        for tenant in [TenantId::default(), longest] {
            for (media_type, back) in [
                ("image/png", "image/png"),
                ("", ""),
                (&"x".repeat(70_000), ""),
            ] {
                let artifact = made(media_type);
                let record = Bytes::from(parts(&tenant, &artifact).concat());
                let expected = (tenant.clone(), artifact.digest);
                for record in [&record[..], &record[..HEAD.min(record.len())]] {
                    let (key, kept) = key(record).unwrap();
                    assert_eq!(key, expected);
                    assert!(kept.unwrap().as_microsecond() >= begun);
                }
                assert_eq!(super::artifact(&record), Some((tenant.clone(), made(back))));
            }
        }
    }

    #[test]
    fn what_older_versions_wrote_is_read() {
        let artifact = made("image/png");
        let digest = artifact.digest.to_string();
        let first = [&[1][..], digest.as_bytes(), &[9, 0], b"image/pngbytes"].concat();
        let head = [&[2][..], digest.as_bytes(), &[4, 9, 0]].concat();
        let second = [&head[..], b"acmeimage/pngbytes"].concat();
        for (record, tenant) in [(first, "default"), (second, "acme")] {
            let tenant: TenantId = tenant.parse().unwrap();
            let key = key(&record).unwrap();
            assert_eq!(key, ((tenant.clone(), artifact.digest), None));
            let read = super::artifact(&record.into());
            assert_eq!(read, Some((tenant, artifact.clone())));
        }
    }

    #[test]
    fn what_is_no_artifact_is_none() {
        let odd_tenant = [&[2][..], &[b'0'; DIGEST], &[2, 0, 0], b"..", b"bytes"].concat();
        for record in [
            &b""[..],
            &[1; HEAD],
            &[2; 300],
            &[3; 300],
            &[4; 300],
            &odd_tenant,
        ] {
            assert_eq!(artifact(&Bytes::copy_from_slice(record)), None);
        }
    }
}
