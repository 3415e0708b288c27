//! The files that a request refers to.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use http::StatusCode;
use slimspan_artifact::Digest;

use super::room::Room;
use super::{RESTORED, size};
use crate::admission::Lease;
use crate::server::api::ApiError;
use crate::storage::{Store, StoreError};

/// Those that can be had.
pub(super) struct Files {
    bytes: HashMap<Digest, Bytes>,
    /// How many bytes they have together.
    pub(super) size: u64,
    /// How many they have as base64 wherever they stand, which is how most do.
    pub(super) written: u64,
    /// What they take of the memory for requests.
    _lease: Lease,
}

impl Files {
    /// Fetches them, as long as they fit into the room. Memory for each is charged before it is there.
    pub(super) async fn fetch(
        room: &Room,
        store: &Store,
        needed: &BTreeMap<Digest, u64>,
    ) -> Result<Self, ApiError> {
        let most = room.limit.min(RESTORED);
        let mut lease = room.fetched();
        let (mut bytes, mut all, mut written) = (HashMap::new(), 0_u64, 0_u64);
        for (digest, times) in needed {
            let of_this = match store.spooled_size(digest).await? {
                Some(size) => size,
                None => match store.facts(digest).await {
                    Ok(facts) => facts.size,
                    Err(StoreError::NotFound { .. }) => continue,
                    Err(error) => return Err(error.into()),
                },
            };
            all = all.saturating_add(of_this);
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
            lease.charge_ahead(size(of_this)).await?;
            match store.get(digest).await {
                // What has grown since is another file.
                Ok(got) if got.len() as u64 <= of_this => {
                    written = written.saturating_add(times.saturating_mul(of_this / 3 * 4 + 4));
                    bytes.insert(*digest, got);
                }
                Ok(_) | Err(StoreError::NotFound { .. } | StoreError::Corrupt { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Self {
            bytes,
            size: all,
            written,
            _lease: lease,
        })
    }

    pub(super) fn of(&self, digest: &Digest) -> Option<Bytes> {
        self.bytes.get(digest).cloned()
    }
}
