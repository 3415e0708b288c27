//! Bytes of an artifact, as they arrive.

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::StatusCode;
use sha2::{Digest as _, Sha256};
use slimspan_artifact::{Artifact, Digest};

use super::answer::ApiError;
use super::steady::Steady;
use crate::server::media::Media;
use crate::storage::{Incoming, Store};

/// Stores what arrives, if it is what was said.
pub(super) async fn receive(
    store: &Store,
    digest: Digest,
    body: Body,
    limit: u64,
    said: Option<u64>,
) -> Result<(u64, Media), ApiError> {
    let (mut hasher, mut size) = (Sha256::new(), 0_u64);
    let (mut waiting, mut incoming) = (BytesMut::new(), None::<Incoming>);
    let mut media = None;
    let mut body = Steady::new(body);
    while let Some(data) = body.next().await? {
        size += data.len() as u64;
        if size > limit {
            let told = format!("there are more than {limit} bytes");
            let status = match said {
                Some(_) => StatusCode::UNPROCESSABLE_ENTITY,
                None => StatusCode::PAYLOAD_TOO_LARGE,
            };
            return Err(ApiError::Told(status, told));
        }
        hasher.update(&data);
        waiting.extend_from_slice(&data);
        if waiting.len() >= Store::PART {
            let part = waiting.split().freeze();
            let media = media.get_or_insert_with(|| Media::of(&part));
            let upload = match &mut incoming {
                Some(upload) => upload,
                None => incoming.insert(store.incoming(digest, media.shown).await?),
            };
            upload.add(part).await?;
        }
    }
    let found = Digest::from(<[u8; 32]>::from(hasher.finalize()));
    if let Some(said) = said
        && said != size
    {
        return Err(not_as_said(format!(
            "there are {size} bytes, not the {said} that size_bytes says"
        )));
    }
    if found != digest {
        return Err(not_as_said(format!(
            "the SHA-256 of the bytes is {found}, not {digest}"
        )));
    }
    let last: Bytes = waiting.freeze();
    let media = media.unwrap_or_else(|| Media::of(&last));
    if let Some(mut upload) = incoming {
        if !last.is_empty() {
            upload.add(last).await?;
        }
        upload.finish().await?;
    } else {
        let artifact = Artifact {
            digest,
            media_type: media.shown.to_owned(),
            bytes: last,
        };
        // Its bytes were asked for, or sent anyway: what was stored lately may have been deleted or have vanished
        // since, or lie there damaged.
        store.forget(&digest);
        store.put_all(&[artifact]).await?;
    }
    Ok((size, media))
}

fn not_as_said(told: String) -> ApiError {
    ApiError::Told(StatusCode::UNPROCESSABLE_ENTITY, told)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::convert::Infallible;

    use futures::stream;

    use super::*;
    use crate::storage::StoreConfig;

    /// A body of which nobody knows how long it will be.
    #[tokio::test]
    async fn what_has_no_length_is_taken_up_to_the_limit() {
        let store = Store::open(&StoreConfig::new("memory://")).unwrap();
        let all: Bytes = (0..Store::PART + 2000).map(|at| (at % 251) as u8).collect();
        for len in [1000, Store::PART + 1000] {
            let digest = Digest::of(&all[..len]);
            for (limit, is_taken) in [(len - 1, false), (len, true)] {
                let pieces = all[..len].chunks(999).map(Bytes::copy_from_slice);
                let pieces: Vec<_> = pieces.map(Ok::<_, Infallible>).collect();
                let body = Body::from_stream(stream::iter(pieces));
                let received = receive(&store, digest, body, limit as u64, None).await;
                if is_taken {
                    assert_eq!(received.unwrap().0, len as u64);
                } else {
                    let refused = received.unwrap_err();
                    let large = StatusCode::PAYLOAD_TOO_LARGE;
                    let is_told = matches!(refused, ApiError::Told(status, _) if status == large);
                    assert!(is_told, "{refused:?}");
                }
                assert_eq!(store.has(&digest).await.unwrap(), is_taken, "{len} {limit}");
            }
        }
    }
}
