//! The files that a request refers to.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use http::StatusCode;
use slimspan_artifact::Digest;
use tokio::time::timeout;

use super::room::Room;
use super::{RESTORED, TIME, size};
use crate::admission::Lease;
use crate::server::api::ApiError;
use crate::storage::{Store, StoreError};

/// How many are asked for at a time, of each request.
const AT_A_TIME: usize = 16;

/// Those that can be had.
pub(super) struct Files {
    bytes: HashMap<Digest, Bytes>,
    /// How many bytes they have together.
    pub(super) size: u64,
    /// How many they have as base64 wherever they stand, which is how most do.
    pub(super) written: u64,
    /// How many are damaged, and none of these.
    pub(super) damaged: usize,
    /// What they take of the memory for requests.
    _lease: Lease,
}

/// Those that are there.
pub(super) struct Found {
    files: Vec<There>,
    /// How many bytes they have together.
    size: u64,
}

/// One that is there.
struct There {
    digest: Digest,
    size: u64,
    /// How often it is referred to.
    times: u64,
}

impl Found {
    /// Looks for files, which may have `most` bytes together. What is known of them is charged already, so this
    /// needs no turn in which something becomes whole: a store that is far away keeps nobody from that.
    pub(super) async fn look_for(
        store: &Store,
        files: BTreeMap<Digest, u64>,
        most: u64,
    ) -> Result<Self, ApiError> {
        in_time(Self::look_for_all(store, files, most)).await
    }

    async fn look_for_all(
        store: &Store,
        files: BTreeMap<Digest, u64>,
        most: u64,
    ) -> Result<Self, ApiError> {
        let most = most.min(RESTORED);
        let mut looked_for = stream::iter(files)
            .map(|(digest, times)| {
                let store = store.clone();
                async move { there(&store, digest, times).await }
            })
            .buffer_unordered(AT_A_TIME);
        let (mut files, mut all) = (Vec::new(), 0_u64);
        while let Some(there) = looked_for.try_next().await? {
            let Some(there) = there else { continue };
            all = all.saturating_add(there.size);
            if all > most {
                return Err(ApiError::Told(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    format!(
                        "the files of this request have more than the {most} bytes that there is room for, \
                         which is 256 MiB at most, and half of what memory_limiter leaves for requests: \
                         slimspan restore puts them back"
                    ),
                ));
            }
            files.push(there);
        }
        Ok(Self { files, size: all })
    }
}

impl Files {
    /// Fetches them, as long as they fit into the room, and the store gives them in time. Memory for them is
    /// charged before they are there.
    pub(super) async fn fetch(room: &Room, store: &Store, found: Found) -> Result<Self, ApiError> {
        in_time(Self::fetch_all(room, store, found)).await
    }

    async fn fetch_all(room: &Room, store: &Store, found: Found) -> Result<Self, ApiError> {
        let Found {
            files: found,
            size: all,
        } = found;
        let mut lease = room.fetched();
        lease.charge_ahead(size(all)).await?;
        let mut got = stream::iter(found)
            .map(|there| {
                let store = store.clone();
                async move { (store.get(&there.digest).await, there) }
            })
            .buffer_unordered(AT_A_TIME);
        let (mut bytes, mut written, mut damaged) = (HashMap::new(), 0_u64, 0);
        while let Some((got, there)) = got.next().await {
            match got {
                // What has grown since is another file.
                Ok(got) if got.len() as u64 <= there.size => {
                    let as_text = there.size / 3 * 4 + 4;
                    written = written.saturating_add(there.times.saturating_mul(as_text));
                    bytes.insert(there.digest, got);
                }
                Ok(_) | Err(StoreError::NotFound { .. }) => {}
                Err(error @ StoreError::Corrupt { .. }) => {
                    tracing::error!("{error}; references to it are not replaced");
                    damaged += 1;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Self {
            bytes,
            size: all,
            written,
            damaged,
            _lease: lease,
        })
    }

    /// Which they are.
    pub(super) fn digests(&self) -> Vec<Digest> {
        self.bytes.keys().copied().collect()
    }

    pub(super) fn of(&self, digest: &Digest) -> Option<Bytes> {
        self.bytes.get(digest).cloned()
    }
}

/// What the store does for a request, as long as others wait for that at most.
async fn in_time<T>(asking: impl Future<Output = Result<T, ApiError>>) -> Result<T, ApiError> {
    let told = || {
        ApiError::later(&format!(
            "the store did not give the files of this request within {} s",
            TIME.as_secs()
        ))
    };
    timeout(TIME, asking).await.map_err(|_| told())?
}

/// What is known of one before it is read, if it is there at all.
async fn there(store: &Store, digest: Digest, times: u64) -> Result<Option<There>, StoreError> {
    let size = match store.spooled_size(&digest).await? {
        Some(size) => size,
        None => match store.facts(&digest).await {
            Ok(facts) => facts.size,
            Err(StoreError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        },
    };
    Ok(Some(There {
        digest,
        size,
        times,
    }))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::time::Duration;

    use serde_json::json;
    use tokio::net::TcpListener;
    use tokio::time::Instant;

    use super::super::Rooms;
    use super::*;
    use crate::admission::{Budget, Limits};
    use crate::storage::StoreConfig;

    /// Neither for what it knows of them nor for their bytes: who has the turn keeps it from all others.
    #[tokio::test(start_paused = true)]
    async fn a_store_that_does_not_answer_is_not_waited_for() {
        // Connections are there, and nobody reads what comes.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let config: StoreConfig = serde_json::from_value(json!({
            "url": "s3://media/x",
            "timeout": "24h",
            "options": {
                "aws_endpoint": format!("http://{}", listener.local_addr().unwrap()),
                "aws_allow_http": "true",
                "aws_access_key_id": "access",
                "aws_secret_access_key": "secret",
                "aws_region": "us-east-1",
            },
        }))
        .unwrap();
        let store = Store::open(&config).unwrap();
        let budget = Budget::new(Limits {
            limit_mib: 64,
            spike_mib: 0,
        });
        let room = Rooms::of(budget).one("a");
        let digest = Digest::of(b"file");
        let files: BTreeMap<_, _> = [(digest, 1)].into();
        let there = There {
            digest,
            size: 4,
            times: 1,
        };
        let mut found = Some(Found {
            files: vec![there],
            size: 4,
        });
        for _ in 0..2 {
            let begun = Instant::now();
            let refused = match found.take() {
                Some(found) => Files::fetch(&room, &store, found).await.err(),
                None => Found::look_for(&store, files.clone(), 4).await.err(),
            };
            let later = StatusCode::SERVICE_UNAVAILABLE;
            let is_told = matches!(&refused, Some(ApiError::Told(status, told)) if *status == later
                && told.contains("60 s"));
            assert!(is_told, "{refused:?}");
            let took = begun.elapsed();
            assert!(took < TIME + Duration::from_secs(1), "{took:?}");
        }
    }
}
