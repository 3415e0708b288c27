use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _, PutMultipartOptions, PutPayload};
use tokio::time::timeout;

use super::error::one_line;

/// What a store holds beside artifacts, by keys below its prefix. Clones share the client.
#[derive(Clone)]
pub struct Bucket {
    client: Arc<dyn ObjectStore>,
    prefix: Path,
    place: Arc<str>,
    /// What each step may take.
    patience: Duration,
}

/// An object that was listed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listed {
    /// Its key below the store's prefix.
    pub key: String,
    /// Its bytes.
    pub size: u64,
    /// When it was written, by the store's clock.
    pub written: SystemTime,
}

/// The store did not do it. Trying again can help.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{place} did not {action} {key}: {cause}")]
pub struct BucketError {
    place: Arc<str>,
    action: &'static str,
    key: String,
    cause: String,
}

impl Bucket {
    pub(super) fn new(
        client: Arc<dyn ObjectStore>,
        prefix: Path,
        place: Arc<str>,
        patience: Duration,
    ) -> Self {
        Self {
            client,
            prefix,
            place,
            patience,
        }
    }

    /// Writes an object, in place of one with that key if there is one.
    pub async fn put(&self, key: &str, bytes: Bytes) -> Result<(), BucketError> {
        let path = self.path(key);
        let put = self.client.put(&path, PutPayload::from(bytes));
        self.within("put", key, put).await.map(drop)
    }

    /// Writes an object as what is large is written, in parts, of which this one has one.
    pub async fn put_in_parts(&self, key: &str, bytes: Bytes) -> Result<(), BucketError> {
        let path = self.path(key);
        let put = async {
            let options = PutMultipartOptions::default();
            let mut upload = self.client.put_multipart_opts(&path, options).await?;
            let done = match upload.put_part(PutPayload::from(bytes)).await {
                Ok(()) => upload.complete().await.map(drop),
                Err(error) => Err(error),
            };
            if done.is_err() {
                // Parts that nobody puts together are paid for; why they were not is what is told.
                let _ = upload.abort().await;
            }
            done
        };
        self.within("put, in parts,", key, put).await
    }

    /// Reads an object; none where there is none.
    pub async fn get(&self, key: &str) -> Result<Option<Bytes>, BucketError> {
        let path = self.path(key);
        let get = async {
            match self.client.get(&path).await {
                Err(object_store::Error::NotFound { .. }) => Ok(None),
                got => Ok(Some(got?.bytes().await?)),
            }
        };
        self.within("get", key, get).await
    }

    /// Whether there is such an object.
    pub async fn has(&self, key: &str) -> Result<bool, BucketError> {
        let path = self.path(key);
        let head = async {
            match self.client.head(&path).await {
                Err(object_store::Error::NotFound { .. }) => Ok(false),
                found => found.map(|_| true),
            }
        };
        self.within("look for", key, head).await
    }

    /// Deletes an object, if there is one.
    pub async fn delete(&self, key: &str) -> Result<(), BucketError> {
        let path = self.path(key);
        let delete = async {
            match self.client.delete(&path).await {
                Err(object_store::Error::NotFound { .. }) => Ok(()),
                done => done,
            }
        };
        self.within("delete", key, delete).await
    }

    /// When an object was written, by the store's clock; none where there is none.
    pub async fn written(&self, key: &str) -> Result<Option<SystemTime>, BucketError> {
        let path = self.path(key);
        let head = async {
            match self.client.head(&path).await {
                Err(object_store::Error::NotFound { .. }) => Ok(None),
                found => found.map(|found| Some(found.last_modified.into())),
            }
        };
        self.within("look for", key, head).await
    }

    /// The objects whose keys begin with the folder `prefix`, sorted; only those behind the key `after`.
    pub async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
    ) -> Result<Vec<Listed>, BucketError> {
        let mut listed: Vec<Listed> = self.stream(prefix, after).try_collect().await?;
        listed.sort_unstable();
        Ok(listed)
    }

    /// The same in the order in which the store gives them, and one by one: there may be many.
    pub fn stream(
        &self,
        prefix: &str,
        after: Option<&str>,
    ) -> impl Stream<Item = Result<Listed, BucketError>> + Send + use<> {
        let within = self.path(prefix);
        let stream = match after {
            None => self.client.list(Some(&within)),
            Some(after) => self
                .client
                .list_with_offset(Some(&within), &self.path(after)),
        };
        let begun = (self.clone(), prefix.to_owned(), stream);
        stream::try_unfold(begun, |(bucket, prefix, mut stream)| async move {
            loop {
                let next = async { stream.next().await.transpose() };
                let Some(object) = bucket.within("list", &prefix, next).await? else {
                    return Ok(None);
                };
                let Some(key) = bucket.key(&object.location) else {
                    continue;
                };
                let listed = Listed {
                    key,
                    size: object.size,
                    written: object.last_modified.into(),
                };
                return Ok(Some((listed, (bucket, prefix, stream))));
            }
        })
    }

    fn path(&self, key: &str) -> Path {
        let parts = key.split('/').filter(|part| !part.is_empty());
        parts.fold(self.prefix.clone(), Path::join)
    }

    fn key(&self, path: &Path) -> Option<String> {
        let parts = path.prefix_match(&self.prefix)?;
        let parts: Vec<String> = parts.map(|part| part.as_ref().to_owned()).collect();
        Some(parts.join("/"))
    }

    async fn within<T>(
        &self,
        action: &'static str,
        key: &str,
        work: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T, BucketError> {
        let failed = |cause| BucketError {
            place: Arc::clone(&self.place),
            action,
            key: key.to_owned(),
            cause,
        };
        match timeout(self.patience, work).await {
            Ok(done) => done.map_err(|error| failed(one_line(boxed(error)))),
            Err(_) => Err(failed(format!(
                "no answer within {:?}, the timeout of its artifact_store",
                self.patience
            ))),
        }
    }
}

/// Where the objects are, for people.
impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place)
    }
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Bucket").field(&self.place).finish()
    }
}

fn boxed(error: object_store::Error) -> Box<dyn std::error::Error + Send + Sync> {
    Box::new(error)
}
