//! Artifacts that are stored while they arrive.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{Attribute, MultipartUpload, ObjectStore as _, PutMultipartOptions, PutPayload};
use slimspan_artifact::Digest;

use super::upload::content_type;
use super::{Limit, Shared, Store};
use crate::storage::error::{Action, StoreError};
use crate::storage::known::Moment;
use crate::storage::retry::patience;
use crate::telemetry::Action as Asked;

/// An artifact of which not all is there yet. Until it is finished the store has nothing of it; what is
/// given up leaves nothing.
pub struct Incoming {
    shared: Arc<Shared>,
    digest: Digest,
    began: Moment,
    upload: Option<Box<dyn MultipartUpload>>,
    bytes: usize,
}

impl Store {
    /// The smallest part of [`Incoming`] but for the last: what S3 wants.
    pub const PART: usize = 5 << 20;

    /// Begins to store an artifact.
    pub async fn incoming(&self, digest: Digest, media_type: &str) -> Result<Incoming, StoreError> {
        let shared = Arc::clone(&self.shared);
        let key: Path = shared.layout.key(&digest);
        let mut options = PutMultipartOptions::default();
        if shared.common.keeps_content_type {
            let content_type = content_type(media_type);
            options
                .attributes
                .insert(Attribute::ContentType, content_type.into());
        }
        let began = Moment::now();
        let opening = shared.common.client.put_multipart_opts(&key, options);
        let limit = Limit::All(shared.common.config.timeout);
        let upload = shared.within(limit, Action::Put, &digest, opening).await;
        let upload = upload.inspect_err(|error| {
            shared.common.counts.failed(Asked::Put, error.reason());
        })?;
        Ok(Incoming {
            shared,
            digest,
            began,
            upload: Some(upload),
            bytes: 0,
        })
    }

    /// How long what is stored counts as that without being stored again.
    pub fn refresh(&self) -> Duration {
        self.shared.common.config.refresh
    }
}

impl Incoming {
    /// Adds the next part.
    pub async fn add(&mut self, part: Bytes) -> Result<(), StoreError> {
        let Some(upload) = &mut self.upload else {
            return Ok(());
        };
        self.bytes += part.len();
        let time = self.shared.common.config.timeout + patience(part.len());
        let put = upload.put_part(PutPayload::from(part));
        let limit = Limit::All(time);
        let put = self.shared.within(limit, Action::Put, &self.digest, put);
        let counts = &self.shared.common.counts;
        put.await
            .inspect_err(|error| counts.failed(Asked::Put, error.reason()))
    }

    /// Ends it: the artifact is stored when this returns.
    pub async fn finish(mut self) -> Result<(), StoreError> {
        let Some(upload) = &mut self.upload else {
            return Ok(());
        };
        let counts = &self.shared.common.counts;
        let limit = Limit::All(self.shared.common.config.timeout);
        let complete = upload.complete();
        let complete = self
            .shared
            .within(limit, Action::Put, &self.digest, complete);
        complete
            .await
            .inspect_err(|error| counts.failed(Asked::Put, error.reason()))?;
        counts.put(self.bytes);
        self.shared.known.stored(self.digest, self.began);
        self.upload = None;
        Ok(())
    }
}

/// Whoever does not finish it gives it up, for whatever reason.
impl Drop for Incoming {
    fn drop(&mut self) {
        let Some(mut upload) = self.upload.take() else {
            return;
        };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let (shared, digest) = (Arc::clone(&self.shared), self.digest);
        runtime.spawn(async move {
            let limit = Limit::All(shared.common.config.timeout);
            let abort = upload.abort();
            if let Err(error) = shared.within(limit, Action::Put, &digest, abort).await {
                shared.common.counts.failed(Asked::Abort, error.reason());
                tracing::warn!(
                    "parts of an upload that was given up may be left behind, which a rule of the bucket \
                     for unfinished uploads removes (see slimspan doctor): {error}"
                );
            }
        });
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming")
            .field("digest", &self.digest)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}
