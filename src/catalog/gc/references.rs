//! When each file was last referred to, from the objects of all replicas as they are in the bucket now.

use std::collections::{HashMap, HashSet};

use futures::{StreamExt as _, stream};
use jiff::Timestamp;
use slimspan_artifact::Digest;

use super::super::layout;
use super::super::recorder::from_lines;
use super::{Gc, GcError, Step};
use crate::tenant::TenantId;

/// Objects that are read at a time.
const READS: usize = 8;

/// How often what disappears while it is read is looked for where it was merged into.
const LISTINGS: usize = 5;

/// When each file of each tenant was last referred to, in microseconds.
#[derive(Debug, Default)]
pub(super) struct References {
    by_tenant: HashMap<TenantId, HashMap<Digest, i64>>,
}

impl References {
    pub(super) fn last(&self, tenant: &TenantId, digest: &Digest) -> Option<Timestamp> {
        let last = self.by_tenant.get(tenant)?.get(digest)?;
        Timestamp::from_microsecond(*last).ok()
    }

    fn add(&mut self, tenant: TenantId, digest: Digest, at: Timestamp) {
        let of_tenant = self.by_tenant.entry(tenant).or_default();
        let last = of_tenant.entry(digest).or_insert(i64::MIN);
        *last = at.as_microsecond().max(*last);
    }
}

impl Gc {
    /// Reads all of the catalog. Entries that a deletion hides count, too: what they lead to is gone or kept a
    /// little longer. What cannot be read may lead anywhere, and ends it.
    pub(super) async fn references(
        &self,
        told: &(dyn Fn(Step) + Sync),
    ) -> Result<References, GcError> {
        let bucket = self.store.bucket();
        let mut references = References::default();
        let mut read = HashSet::new();
        for _ in 0..LISTINGS {
            let listed = bucket.list(layout::FOLDER, None).await?;
            let new = listed.into_iter().map(|object| object.key);
            let new: Vec<String> = new
                .filter(|key| layout::has_entries(key) && !read.contains(key))
                .collect();
            let gets = new.into_iter().map(|key| {
                let bucket = bucket.clone();
                async move {
                    let body = bucket.get(&key).await;
                    (key, body)
                }
            });
            let mut gets = stream::iter(gets).buffer_unordered(READS);
            let mut vanished = false;
            while let Some((key, body)) = gets.next().await {
                let Some(body) = body? else {
                    // Merged meanwhile, into one that has another name.
                    vanished = true;
                    continue;
                };
                let parsed = tokio::task::spawn_blocking(move || from_lines(&body)).await;
                let (entries, lines) = parsed.unwrap_or((Vec::new(), 1));
                if lines > 0 {
                    return Err(GcError::Unreadable { key, lines });
                }
                told(Step::Read(entries.len() as u64));
                for entry in entries {
                    if let Some(digest) = entry.digest {
                        references.add(entry.tenant, digest, entry.recorded);
                    }
                }
                read.insert(key);
            }
            if !vanished {
                for ((tenant, digest), at) in &self.local.references {
                    references.add(tenant.clone(), *digest, *at);
                }
                return Ok(references);
            }
        }
        Err(GcError::Restless)
    }
}
