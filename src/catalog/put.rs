//! Artifacts that were put by themselves: no span refers to them, and they are listed all the same.

use jiff::Timestamp;
use slimspan_artifact::Digest;

use super::entry::{Entry, State};
use super::ids::EntryId;
use super::{layout, places, recorder};
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
        let name = self.name.as_deref();
        // Before it is part of the id: names that read the same in a listing are one.
        let name = name.map(|name| places::text(name.as_bytes()).into_owned());
        let mut hash = blake3::Hasher::new();
        // Neither of them has a line break in it.
        let which = format!("{}\n{}\n", self.tenant, self.digest);
        hash.update(which.as_bytes());
        hash.update(name.as_deref().unwrap_or_default().as_bytes());
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
            file_name: name,
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

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_is_cut_as_the_texts_of_telemetry_are() {
        let entry = |name: &str| {
            let file = PutFile {
                tenant: TenantId::default(),
                digest: Digest::of(b"a"),
                size: 1,
                content_type: "text/plain".to_owned(),
                name: Some(name.to_owned()),
                is_spooled: false,
            };
            file.entry().unwrap()
        };
        let long = entry(&"é".repeat(30_000));
        assert_eq!(long.file_name, Some("é".repeat(127)));
        // A thousand names with one beginning are one line of a listing, and not a thousand.
        assert_eq!(entry(&format!("{}.pdf", "é".repeat(128))).id, long.id);
        assert_ne!(entry(&format!("{}.pdf", "é".repeat(100))).id, long.id);
        assert_eq!(entry("chart.png").file_name.as_deref(), Some("chart.png"));
    }
}
