//! Artifacts that were put by themselves: no span refers to them, and they are listed all the same.

use jiff::Timestamp;
use slimspan_artifact::Digest;

use super::entry::{Entry, State};
use super::ids::EntryId;
use super::{layout, recorder};
use crate::storage::{Bucket, BucketError};
use crate::tenant::TenantId;

/// A file that somebody put.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PutFile {
    /// Whose it is.
    pub tenant: TenantId,
    /// Which.
    pub digest: Digest,
    /// How many bytes it has.
    pub size: u64,
    /// What they show to be.
    pub content_type: String,
    /// What its sender calls it.
    pub name: Option<String>,
    /// Whether the store does not have it yet.
    pub is_spooled: bool,
}

impl PutFile {
    /// As it stands in the catalog. Who puts it again under the same name says that it is still in use.
    pub fn entry(self) -> Option<Entry> {
        let now = Timestamp::now();
        let mut hash = blake3::Hasher::new();
        // Neither of them has a line break in it.
        let which = format!("{}\n{}\n", self.tenant, self.digest);
        hash.update(which.as_bytes());
        hash.update(self.name.as_deref().unwrap_or_default().as_bytes());
        let id = hash
            .finalize()
            .as_bytes()
            .get(..16)
            .and_then(EntryId::new)?;
        Some(Entry {
            id,
            recorded: now,
            settled: None,
            time: now,
            tenant: self.tenant,
            signal: None,
            service: String::new(),
            trace: None,
            span: None,
            span_name: String::new(),
            carrier: String::new(),
            carrier_index: None,
            event_name: None,
            attribute: String::new(),
            path: None,
            position: 0,
            shape: "file".to_owned(),
            digest: Some(self.digest),
            content_type: self.content_type,
            size: self.size,
            file_name: self.name,
            state: if self.is_spooled {
                State::Spooled
            } else {
                State::Stored
            },
        })
    }

    /// Writes it into the catalog of `bucket`, beside a slimspan that may run.
    pub async fn put_down(self, bucket: &Bucket) -> Result<(), BucketError> {
        let Some(entry) = self.entry() else {
            return Ok(());
        };
        let key = layout::entries(entry.recorded, rand::random());
        bucket.put(&key, recorder::to_lines(&[entry])).await
    }
}
