//! Objects with deletions become few, too, and no line of them ever goes: it says why its files are not there, and
//! hides what comes late out of a journal. Only a line that stands twice stands once then.
//!
//! Whoever lists names behind some time, and would have met one of the objects, meets what they became, which has a
//! name behind theirs. What is not finished has a name that somebody looks for, and stays.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};
use tokio::time::sleep;

use super::super::error::CatalogError;
use super::super::follower::Catalog;
use super::super::layout;
use super::super::tombstone::Tombstone;
use super::{Compacted, Compaction, groups};
use crate::storage::Listed;

impl Catalog {
    pub(super) async fn compact_deletions(
        &self,
        compaction: Compaction,
        compacted: &mut Compacted,
    ) -> Result<(), CatalogError> {
        let age = SignedDuration::try_from(compaction.deletions_older_than).unwrap_or_default();
        let newest = layout::stamp(Timestamp::now() - age);
        let newest = format!("{}/{newest}", layout::TOMBSTONES);
        let listed = self.bucket().list(layout::TOMBSTONES, None).await?;
        let small = listed.into_iter().filter(|object| {
            layout::is_finished(&object.key)
                && object.key < newest
                && object.size < compaction.target / 2
        });
        let small: Vec<Listed> = small.collect();
        for group in groups(&small, compaction.target) {
            self.merge_deletions(&group, compaction, compacted).await?;
        }
        Ok(())
    }

    async fn merge_deletions(
        &self,
        objects: &[&Listed],
        compaction: Compaction,
        compacted: &mut Compacted,
    ) -> Result<(), CatalogError> {
        let [_, .., last] = objects else {
            return Ok(());
        };
        let (mut lines, mut known) = (Vec::new(), HashSet::new());
        let merged = self.read_to_merge(objects, |body| {
            let all = body.split(|byte| *byte == b'\n');
            let all = all.filter(|line| !line.is_empty());
            let parsed =
                all.map(|line| Some((serde_json::from_slice::<Tombstone>(line).ok()?, line)));
            let Some(parsed) = parsed.collect::<Option<Vec<_>>>() else {
                return false;
            };
            for (tombstone, line) in parsed {
                if known.insert(tombstone.id) {
                    lines.extend_from_slice(line);
                    lines.push(b'\n');
                }
            }
            true
        });
        let merged = merged.await?;
        if merged.len() < 2 {
            return Ok(());
        }
        let key = layout::merged_tombstones(&last.key);
        self.bucket().put(&key, lines.into()).await?;
        sleep(compaction.grace).await;
        for key in &merged {
            self.bucket().delete(key).await?;
        }
        compacted.deletions += merged.len();
        Ok(())
    }
}
