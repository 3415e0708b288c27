//! Many small objects become few large ones.

mod deletions;

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::sleep;

use super::entry::Entry;
use super::error::CatalogError;
use super::follower::{Catalog, Reach};
use super::ids::EntryId;
use super::layout;
use super::recorder::{from_lines, to_lines};
use crate::storage::Listed;

/// What is to be compacted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compaction {
    /// Objects that are smaller are merged.
    pub target: u64,
    /// Objects that were written later stay: they are still looked for by their names.
    pub older_than: Duration,
    /// The same of objects with deletions.
    pub deletions_older_than: Duration,
    /// The time between the new object and the end of the old ones, in which who has listed the old ones
    /// reads them.
    pub grace: Duration,
}

impl Default for Compaction {
    fn default() -> Self {
        Self {
            target: 16 << 20,
            older_than: Duration::from_mins(15),
            deletions_older_than: Duration::from_hours(24),
            grace: Duration::from_secs(10),
        }
    }
}

/// What was compacted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Compacted {
    /// Objects before.
    pub merged: usize,
    /// Objects that they became.
    pub written: usize,
    /// Lines before.
    pub lines: usize,
    /// Lines that are left: one for each entry that is not deleted.
    pub entries: usize,
    /// Lines that are left of what was deleted with a trace: one for each file of it.
    pub hidden: usize,
    /// Objects with deletions that were merged.
    pub deletions: usize,
}

impl Catalog {
    /// Merges small objects with deletions, and small objects of a day, and leaves out lines that a later one
    /// took the place of, and what was deleted, but for what has to be known of a trace that was. Readers miss nothing meanwhile: the new object is there before
    /// the old ones go, and stands behind them in the order of names. `told` hears of each that was written.
    pub async fn compact(
        &self,
        compaction: Compaction,
        mut told: impl FnMut(&Compacted),
    ) -> Result<Compacted, CatalogError> {
        // What is deleted is to be known.
        self.sync(Reach::All).await?;
        let mut compacted = Compacted::default();
        let now = Timestamp::now();
        let old = now - jiff::SignedDuration::try_from(compaction.older_than).unwrap_or_default();
        let newest = format!("{}/{}", layout::hour(old), layout::stamp(old));
        let listed = self.bucket().list(layout::FOLDER, None).await?;
        let small = listed.into_iter().filter(|object| {
            layout::has_entries(&object.key)
                && object.key < newest
                && object.size < compaction.target / 2
        });
        let small: Vec<Listed> = small.collect();
        let of_one_day = small.chunk_by(|one, other| day(&one.key) == day(&other.key));
        for objects in of_one_day {
            for group in groups(objects, compaction.target) {
                self.merge(&group, compaction, &mut compacted).await?;
                told(&compacted);
            }
        }
        self.compact_deletions(compaction, &mut compacted).await?;
        Ok(compacted)
    }

    async fn merge(
        &self,
        objects: &[&Listed],
        compaction: Compaction,
        compacted: &mut Compacted,
    ) -> Result<(), CatalogError> {
        let [_, .., last] = objects else {
            return Ok(());
        };
        let mut lines = 0;
        let mut latest: HashMap<EntryId, Entry> = HashMap::new();
        let merged = self.read_to_merge(objects, |body| {
            let (entries, unreadable) = from_lines(body);
            if unreadable > 0 {
                return false;
            }
            lines += entries.len();
            for entry in entries {
                match latest.get_mut(&entry.id) {
                    Some(known) if !entry.replaces(known) => {}
                    Some(known) => *known = entry,
                    None => {
                        latest.insert(entry.id, entry);
                    }
                }
            }
            true
        });
        let merged = merged.await?;
        if merged.len() < 2 {
            return Ok(());
        }
        let latest = latest.into_values().collect();
        let lasting = self.index().lasting(latest).await?;
        compacted.entries += lasting.entries.len();
        compacted.hidden += lasting.hidden.len();
        let mut left = lasting.entries;
        left.extend(lasting.hidden);
        left.sort_by_key(|entry| (entry.recorded, entry.id));
        let key = layout::merged(&last.key);
        if !left.is_empty() {
            self.bucket().put(&key, to_lines(&left)).await?;
            sleep(compaction.grace).await;
        }
        for key in &merged {
            self.bucket().delete(key).await?;
        }
        compacted.merged += merged.len();
        compacted.written += usize::from(!left.is_empty());
        compacted.lines += lines;
        Ok(())
    }

    /// Reads objects that are to become one, one after the other; returns the keys of those that `take`
    /// understood. What it did not a later version wrote, which may know more of it, and stays as it is.
    async fn read_to_merge<'o>(
        &self,
        objects: &[&'o Listed],
        mut take: impl FnMut(&[u8]) -> bool,
    ) -> Result<Vec<&'o str>, CatalogError> {
        let mut taken = Vec::new();
        for object in objects {
            // Another one may compact, too: what it has merged is not ours any more.
            let Some(body) = self.bucket().get(&object.key).await? else {
                continue;
            };
            if take(&body) {
                taken.push(object.key.as_str());
            }
        }
        Ok(taken)
    }
}

/// Objects that become one each, of so many bytes at most.
fn groups(objects: &[Listed], target: u64) -> Vec<Vec<&Listed>> {
    let mut groups = Vec::new();
    let (mut group, mut bytes) = (Vec::new(), 0);
    for object in objects {
        if bytes + object.size > target {
            groups.push(std::mem::take(&mut group));
            bytes = 0;
        }
        bytes += object.size;
        group.push(object);
    }
    groups.push(group);
    groups
}

/// The folder of the day of an object.
fn day(key: &str) -> &str {
    let mut slashes = key.match_indices('/').skip(1).map(|(at, _)| at);
    slashes.next().and_then(|at| key.get(..at)).unwrap_or(key)
}
