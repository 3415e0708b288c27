//! What was found to be too old, and when: objects in the bucket, so that any machine may go on.

use std::collections::HashMap;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use slimspan_artifact::Digest;

use super::super::{layout, text};
use super::{Expired, GcError};
use crate::storage::Bucket;
use crate::tenant::TenantId;

/// What goes into one object.
const BYTES: usize = 4 << 20;

/// A line of such an object.
#[derive(Debug, Serialize, Deserialize)]
struct Mark {
    #[serde(with = "text::time")]
    marked: Timestamp,
    tenant: TenantId,
    #[serde(rename = "sha256", with = "text")]
    digest: Digest,
}

/// The marks of earlier runs.
#[derive(Debug, Default)]
pub(super) struct Marks {
    /// When each was marked last.
    pub(super) times: HashMap<(TenantId, Digest), Timestamp>,
    /// The objects that they stand in.
    pub(super) objects: Vec<String>,
}

impl Marks {
    pub(super) async fn read(bucket: &Bucket) -> Result<Self, GcError> {
        let mut marks = Self::default();
        for object in bucket.list(layout::MARKS, None).await? {
            let Some(body) = bucket.get(&object.key).await? else {
                continue;
            };
            // One that cannot be read is no mark: its file waits for another one.
            let lines = body.split(|byte| *byte == b'\n');
            for mark in lines.filter_map(|line| serde_json::from_slice::<Mark>(line).ok()) {
                let key = (mark.tenant, mark.digest);
                let latest = marks.times.entry(key).or_insert(mark.marked);
                *latest = mark.marked.max(*latest);
            }
            marks.objects.push(object.key);
        }
        Ok(marks)
    }
}

/// Writes all marks anew, then removes the objects that they stood in before.
pub(super) async fn write(
    bucket: &Bucket,
    expired: &[Expired],
    now: Timestamp,
    before: &[String],
) -> Result<(), GcError> {
    let mut part = Vec::new();
    for file in expired {
        let mark = Mark {
            marked: file.marked.unwrap_or(now),
            tenant: file.tenant.clone(),
            digest: file.digest,
        };
        // There is nothing in it that JSON does not have.
        part.extend(serde_json::to_vec(&mark).unwrap_or_default());
        part.push(b'\n');
        if part.len() >= BYTES {
            let full = std::mem::take(&mut part);
            bucket.put(&layout::marks(now), Bytes::from(full)).await?;
        }
    }
    if !part.is_empty() {
        bucket.put(&layout::marks(now), Bytes::from(part)).await?;
    }
    for key in before {
        bucket.delete(key).await?;
    }
    Ok(())
}
