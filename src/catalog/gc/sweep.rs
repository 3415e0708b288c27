//! What is done about what is too old.

use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::super::ids::EntryId;
use super::super::layout;
use super::super::tombstone::{Deleted, Tombstone, to_line};
use super::{Expired, Gc, GcError, Plan, Step, before, marks};
use crate::storage::BucketError;

/// Files that are told of together, and removed then: so few that telling and removing are close together.
const TOGETHER: usize = 500;

/// Files that are removed at a time.
const CONCURRENT: usize = 16;

/// What a run did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Files that were marked.
    pub marked: u64,
    /// Files that are gone.
    pub removed: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that were stored again since it was looked, and stay.
    pub kept: u64,
    /// Files that the store did not remove.
    pub failed: u64,
}

/// What became of one file.
enum Fate {
    Removed(u64),
    Kept,
    Failed(BucketError),
}

impl Gc {
    /// Marks what is to be marked, and removes what is to be removed. What the store does not remove stays
    /// marked, for the next run; `failed` hears of it.
    pub async fn carry_out(
        &self,
        plan: &Plan,
        told: &(dyn Fn(Step) + Sync),
        failed: &(dyn Fn(&BucketError) + Sync),
    ) -> Result<Swept, GcError> {
        let bucket = self.store.bucket();
        let mut swept = Swept::default();
        // First, so that a run that breaks off costs no grace.
        if !(plan.expired.is_empty() && plan.objects.is_empty()) {
            marks::write(&bucket, &plan.expired, plan.now, &plan.objects).await?;
        }
        let new = plan.expired.iter().filter(|file| file.marked.is_none());
        swept.marked = new.count() as u64;
        let due: Vec<&Expired> = plan.due().collect();
        for files in due.chunks(TOGETHER) {
            let lines = self.tombstones(plan, files);
            let first = layout::tombstones(self.now(), rand::random());
            // First what says so: then whoever asks for one hears why it is not there.
            bucket.put(&first, lines.clone()).await?;
            let removals = files.iter().map(|file| self.remove((*file).clone()));
            let removals: Vec<_> = removals.collect();
            let mut removals = stream::iter(removals).buffer_unordered(CONCURRENT);
            while let Some(fate) = removals.next().await {
                match fate {
                    Fate::Removed(bytes) => {
                        swept.removed += 1;
                        swept.bytes += bytes;
                    }
                    Fate::Kept => swept.kept += 1,
                    Fate::Failed(error) => {
                        swept.failed += 1;
                        failed(&error);
                    }
                }
                told(Step::Removed(1));
            }
            // A replica that put one of them in the very moment in which it was removed counts it as stored.
            // Under a new name it is noticed once more, and the file is stored when it next comes.
            let again = layout::tombstones(self.now(), rand::random());
            bucket.put(&again, lines).await?;
            bucket.delete(&first).await?;
        }
        Ok(swept)
    }

    /// Removes a file, unless somebody has stored it since it was marked.
    async fn remove(&self, file: Expired) -> Fate {
        let store = self.store.of_tenant(&file.tenant);
        let written = match store.written(&file.digest).await {
            Ok(Some(written)) => written,
            // It is gone already.
            Ok(None) => return Fate::Removed(0),
            Err(error) => return Fate::Failed(error),
        };
        let stored = Timestamp::try_from(written).unwrap_or(Timestamp::MAX);
        if file.marked.is_none_or(|marked| stored > marked) {
            return Fate::Kept;
        }
        match store.remove(&file.digest).await {
            Ok(()) => Fate::Removed(file.size),
            Err(error) => Fate::Failed(error),
        }
    }

    fn tombstones(&self, plan: &Plan, files: &[&Expired]) -> Bytes {
        let lines = files.iter().flat_map(|file| {
            let age = self.retention.of(&file.tenant).unwrap_or_default();
            let last = file.last.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d");
            to_line(&Tombstone {
                id: EntryId::random(),
                time: self.now(),
                tenant: file.tenant.clone(),
                deleted: Deleted::Artifact {
                    digest: file.digest,
                },
                reason: format!(
                    "expired by retention: nothing has referred to it since {last}, and files are kept for \
                     {} after that",
                    in_words(age)
                ),
                // What refers to it since then waits in a journal, and has stored it again.
                up_to: Some(before(plan.now, age)),
            })
        });
        Bytes::from(lines.collect::<Vec<u8>>())
    }
}

/// A duration in days, or in what it has.
fn in_words(time: Duration) -> String {
    let hours = time.as_secs() / 3600;
    match (hours, time.as_secs() % 3600) {
        (24, 0) => "a day".to_owned(),
        (hours, 0) if hours > 0 && hours.is_multiple_of(24) => format!("{} days", hours / 24),
        (hours, 0) if hours > 0 => format!("{hours} hours"),
        _ => format!("{time:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_told_in_days() {
        for (hours, told) in [(24, "a day"), (2160, "90 days"), (36, "36 hours")] {
            assert_eq!(in_words(Duration::from_hours(hours)), told);
        }
        assert_eq!(in_words(Duration::from_secs(90)), "90s");
    }
}
