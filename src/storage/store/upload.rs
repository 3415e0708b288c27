use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use object_store::{Attribute, ObjectStore as _, PutMode, PutOptions, PutPayload};
use slimspan_artifact::Artifact;
use tokio::task::JoinError;

use super::{Limit, Outcome, Shared};
use crate::crash::{self, Point};
use crate::storage::breaker::Permit;
use crate::storage::error::{Action, StoreError};
use crate::storage::known::Moment;
use crate::storage::retry::{Attempts, patience};
use crate::telemetry::{Action as Asked, Reason, Watch};

/// Puts an artifact, in as many attempts as its time allows.
///
/// An attempt that has begun goes on where nobody waits for it any more: half an upload is nothing,
/// and whoever sends the artifact again finds it stored.
pub(super) async fn upload(shared: Arc<Shared>, artifact: Artifact) -> Result<Outcome, StoreError> {
    // An upload may have ended between the caller's look at `known` and now.
    if shared.known.has(&artifact.digest) {
        return Ok(Outcome::Known);
    }
    let patience = patience(artifact.bytes.len());
    let mut slot = shared.pace.slot(patience).await;
    // The time that it waits for others is not the store's.
    let mut attempts = Attempts::within(shared.common.config.timeout);
    loop {
        let permit = match shared.breaker.admit(patience) {
            Ok(permit) => permit,
            Err(refused) => {
                slot.failed();
                shared.common.counts.failed(Asked::Put, Reason::NotAsked);
                let store = Arc::clone(&shared.common.place);
                return Err(StoreError::not_asked(store, refused));
            }
        };
        let left = attempts.left();
        let attempt = attempt(Arc::clone(&shared), artifact.clone(), permit, left);
        let outcome = tokio::spawn(async move {
            let outcome = attempt.await;
            if outcome.is_err() {
                slot.failed();
            }
            outcome
        });
        let outcome = outcome.await.unwrap_or_else(|error: JoinError| {
            let store = Arc::clone(&shared.common.place);
            Err(StoreError::lost(store, Action::Put, artifact.digest, error))
        });
        let error = match outcome {
            Ok(()) => return Ok(Outcome::Written),
            Err(error) if error.is_outage() && attempts.again().await => error,
            Err(error) => return Err(error),
        };
        slot = shared.pace.slot(patience).await;
        // Its time may have ended while it waited for others. An attempt that is cut off as it begins would
        // count against a store that was never asked.
        if attempts.left().is_zero() {
            slot.failed();
            return Err(error);
        }
    }
}

/// Asks the store once. `left` is all the time that there is.
async fn attempt(
    shared: Arc<Shared>,
    artifact: Artifact,
    permit: Permit,
    left: Duration,
) -> Result<(), StoreError> {
    let began = Moment::now();
    let digest = artifact.digest;
    let mut options = PutOptions {
        // The same key always holds the same bytes, so overwriting is harmless and can be
        // repeated, whereas a store may answer "already exists" without having stored anything.
        mode: PutMode::Overwrite,
        ..PutOptions::default()
    };
    if shared.common.keeps_content_type {
        let content_type = content_type(&artifact.media_type);
        options
            .attributes
            .insert(Attribute::ContentType, content_type.into());
    }
    let key = shared.layout.key(&digest);
    let (size, watch) = (artifact.bytes.len(), Watch::start());
    let patience = patience(size);
    let bytes = if shared.common.keeps_memory {
        // The request's memory is free when the request is, whatever the store holds.
        Bytes::copy_from_slice(&artifact.bytes)
    } else {
        artifact.bytes
    };
    let put = shared
        .common
        .client
        .put_opts(&key, PutPayload::from(bytes), options);
    let put = crash::while_waiting(Point::Storing, put);
    let limit = if patience < left {
        Limit::Attempt(patience)
    } else {
        Limit::All(left)
    };
    let outcome = shared.within(limit, Action::Put, &digest, put).await;
    if outcome.is_ok() {
        crash::at(Point::Stored);
    }
    permit.ended(&outcome);
    let counts = &shared.common.counts;
    counts.latency.took(watch.read());
    match outcome {
        Ok(_) => counts.put(size),
        Err(error) => {
            counts.failed(Asked::Put, error.reason());
            return Err(error);
        }
    }
    shared.known.stored(digest, began);
    Ok(())
}

/// `media_type` where it can be a header. It may be a sender's word.
pub(super) fn content_type(media_type: &str) -> String {
    // Clouds sign headers, and not all of them agree on what becomes of a space.
    let compact = media_type.replace(' ', "");
    let fits = compact.len() <= 255
        && compact.contains('/')
        && compact.bytes().all(|byte| byte.is_ascii_graphic());
    if fits {
        compact
    } else {
        "application/octet-stream".to_owned()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::iter;

    use futures::FutureExt as _;
    use futures::future::join;
    use slimspan_artifact::Digest;
    use tokio::time::sleep;

    use super::*;
    use crate::storage::config::StoreConfig;
    use crate::storage::gated::{Ending, Gate};
    use crate::storage::store::Store;

    #[tokio::test(start_paused = true)]
    async fn who_waits_until_its_time_is_over_does_not_count_against_the_store() {
        const LONG: Duration = Duration::from_hours(1);
        let gate = Gate::default();
        let config = StoreConfig {
            timeout: Duration::from_secs(1),
            ..StoreConfig::new("memory:///prefix")
        };
        let store = Store::open_with(&config, |inner| gate.before(inner)).unwrap();
        let shared = &store.shared;
        // All places but one are taken.
        let slot = || shared.pace.slot(LONG).now_or_never();
        let mut going: Vec<_> = iter::from_fn(slot).collect();
        for slot in &mut going {
            slot.failed();
        }
        drop(going.pop());
        let artifact = Artifact {
            digest: Digest::of(b"one"),
            media_type: "image/png".to_owned(),
            bytes: Bytes::from_static(b"one"),
        };
        let upload = tokio::spawn(upload(Arc::clone(shared), artifact));
        while gate.waiting().is_empty() {
            tokio::task::yield_now().await;
        }
        // Somebody comes between its first attempt and the next one.
        let fails = async { gate.end(0, Ending::Reset) };
        let (mut between, ()) = join(shared.pace.slot(LONG), fails).await;
        sleep(Duration::from_secs(10)).await;
        between.failed();
        drop(between);
        let error = upload.await.unwrap().unwrap_err();
        assert!(matches!(error, StoreError::Unavailable { .. }), "{error}");
        assert!(shared.breaker.admit(LONG).is_ok(), "it failed once");
    }

    #[test]
    fn only_a_media_type_becomes_a_content_type() {
        let long = format!("text/{}", "x".repeat(300));
        for (media_type, header) in [
            ("image/png", "image/png"),
            ("text/plain; charset=utf-8", "text/plain;charset=utf-8"),
            ("", "application/octet-stream"),
            ("png", "application/octet-stream"),
            ("text/html\r\nx-evil: 1", "application/octet-stream"),
            ("bild/grün", "application/octet-stream"),
            (long.as_str(), "application/octet-stream"),
        ] {
            assert_eq!(content_type(media_type), header);
        }
    }
}
