//! Artifacts are put once, into the store or into its spool, and what was put is remembered.

use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use slimspan_artifact::{Artifact, Digest, Extraction, Recall};

use super::Store;
use super::kept::{KeepError, Kept, Outcome, Stored};
use super::upload::upload;
use crate::config::Delivery;
use crate::storage::error::StoreError;

impl Store {
    /// Makes `artifacts` durable: when this returns `Ok`, each of them is.
    ///
    /// Artifacts that this process stored lately are not uploaded again, and one that several
    /// requests carry at the same time is uploaded once. The first error ends the request's
    /// puts; what is stored by then stays. It is safe to try again, and to drop the future.
    pub async fn put_all(&self, artifacts: &[Artifact]) -> Result<Stored, StoreError> {
        stream::iter(artifacts.iter().cloned().map(|artifact| self.put(artifact)))
            .buffer_unordered(self.shared.common.config.max_concurrent_puts.max(1))
            .try_fold(Stored::default(), |mut stored, (outcome, size)| {
                match outcome {
                    Outcome::Written => {
                        stored.written += 1;
                        stored.written_bytes += size;
                    }
                    Outcome::Known => stored.known += 1,
                }
                std::future::ready(Ok(stored))
            })
            .await
    }

    /// Makes `artifacts` durable in the store or, with a delivery in the background, in its spool.
    /// What [`Store::put_all`] says of failures holds here, too.
    pub async fn keep_all(
        &self,
        artifacts: &[Artifact],
        delivery: Delivery,
    ) -> Result<Kept, KeepError> {
        if delivery == Delivery::Background
            && let Some(spool) = self.spool()
        {
            let known = |digest: &Digest| self.shared.known.has(digest);
            let spooled = spool
                .keep_all(&self.shared.tenant, artifacts, known)
                .await?;
            return Ok(Kept { stored: 0, spooled });
        }
        let stored = self.put_all(artifacts).await?.written;
        Ok(Kept { stored, spooled: 0 })
    }

    /// What is remembered of values that this store has the artifacts of.
    ///
    /// An artifact that is recalled by it may be gone by now, as [`Store::has_all`] tells.
    pub fn recall(&self) -> &dyn Recall {
        &self.shared.recollections
    }

    /// Whether all of the artifacts count as stored: this process put them less than `refresh` ago, or
    /// they wait in the spool. To those who wait for the store what only waits itself does not count.
    pub fn has_all(&self, digests: &[Digest], delivery: Delivery) -> bool {
        let spool = self.spool().filter(|_| delivery == Delivery::Background);
        let waits = |digest| {
            let spool = spool.as_ref();
            spool.is_some_and(|spool| spool.relies(&self.shared.tenant, digest))
        };
        let mut digests = digests.iter();
        digests.all(|digest| self.shared.known.has(digest) || waits(digest))
    }

    /// Remembers the values of an extraction. All of its artifacts have to be stored by now.
    pub fn remember(&self, extraction: &Extraction) {
        self.shared
            .recollections
            .learn(extraction.learned.iter().copied());
    }

    async fn put(&self, artifact: Artifact) -> Result<(Outcome, u64), StoreError> {
        let size = artifact.bytes.len() as u64;
        if self.shared.known.has(&artifact.digest) {
            return Ok((Outcome::Known, size));
        }
        let digest = artifact.digest;
        let upload = upload(Arc::clone(&self.shared), artifact);
        let passenger = self.shared.uploads.join(digest, upload);
        if !passenger.first {
            tracing::debug!("artifact {digest} is being put already, which is waited for");
        }
        match passenger.work.await? {
            Outcome::Written if passenger.first => Ok((Outcome::Written, size)),
            _ => Ok((Outcome::Known, size)),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;

    use super::*;
    use crate::storage::config::StoreConfig;

    fn config(refresh: Duration) -> StoreConfig {
        StoreConfig {
            refresh,
            ..StoreConfig::new("memory:///prefix")
        }
    }

    fn artifact(bytes: &'static [u8]) -> Artifact {
        Artifact {
            digest: Digest::of(bytes),
            media_type: "image/png".to_owned(),
            bytes: Bytes::from_static(bytes),
        }
    }

    fn stored(written: usize, written_bytes: u64, known: usize) -> Stored {
        Stored {
            written,
            written_bytes,
            known,
        }
    }

    #[tokio::test]
    async fn what_was_stored_lately_is_known() {
        let store = Store::open(&config(Duration::from_hours(1))).unwrap();
        let (one, two) = (artifact(b"one"), artifact(b"three"));
        let both = [one.clone(), two.clone(), one.clone()];
        assert_eq!(store.put_all(&both).await.unwrap(), stored(2, 8, 1));
        assert_eq!(
            store.clone().put_all(&[one]).await.unwrap(),
            stored(0, 0, 1)
        );
        assert_eq!(store.get(&two.digest).await.unwrap(), two.bytes);
        assert_eq!(store.put_all(&[]).await.unwrap(), Stored::default());
    }

    #[tokio::test]
    async fn what_was_stored_long_ago_is_stored_again() {
        for refresh in [Duration::ZERO, Duration::from_nanos(1)] {
            let store = Store::open(&config(refresh)).unwrap();
            for _ in 0..2 {
                let again = store.put_all(&[artifact(b"one")]).await.unwrap();
                assert_eq!(again, stored(1, 3, 0));
            }
        }
    }

    #[tokio::test]
    async fn an_upload_begun_too_late_uploads_nothing() {
        let store = Store::open(&config(Duration::from_hours(1))).unwrap();
        for expected in [Outcome::Written, Outcome::Known] {
            let upload = upload(Arc::clone(&store.shared), artifact(b"one"));
            assert_eq!(upload.await.unwrap(), expected);
        }
    }

    #[tokio::test]
    async fn limits_of_zero_do_not_hang() {
        let mut config = config(Duration::ZERO);
        config.known_digests = 0;
        config.max_concurrent_puts = 0;
        let store = Store::open(&config).unwrap();
        assert_eq!(
            store.put_all(&[artifact(b"one")]).await.unwrap(),
            stored(1, 3, 0)
        );
    }
}
