//! Deletions that have not come to their end: somebody goes on with them.
//!
//! Any process may, and several at once do no harm: what is removed twice is gone, what is told twice is known, and
//! whoever comes last finds nothing to do. It is the deletion that was asked for, with its own time, so what came
//! after that stays: references, and files that were stored again.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};
use slimspan_artifact::Digest;

use super::super::error::CatalogError;
use super::super::follower::Catalog;
use super::super::layout;
use super::super::tombstone::{self, Deleted, Tombstone};
use super::of_trace::{Known, with};
use super::{Removed, delete, later, to_lines};
use crate::storage::{Bucket, BucketError, Store};

/// The pauses between attempts at a deletion: a part of how long ago it was asked for, but between these.
const SOONEST: SignedDuration = SignedDuration::from_hours(1);
const LATEST: SignedDuration = SignedDuration::from_hours(24);

/// What became of a deletion that was not finished.
#[derive(Debug)]
pub(in super::super) enum Outcome {
    /// All of it is gone, so many files this time.
    Finished(Tombstone, usize),
    /// So many files went, and the rest waits until then.
    Waits(Tombstone, usize, Timestamp),
    /// Nothing went, and nothing changed. The same again not before then.
    Unchanged(Timestamp),
    /// The same, because the store did not let something go.
    Failed(Tombstone, Timestamp, CatalogError),
    /// It cannot be gone on with before then.
    Broken(Timestamp, CatalogError),
    /// Somebody else has gone on with it.
    ByOthers,
}

/// The objects with deletions that somebody is to go on with, and when.
pub(in super::super) async fn unfinished(
    bucket: &Bucket,
) -> Result<Vec<(String, Timestamp)>, BucketError> {
    // There are few, and their names are enough.
    let listed = bucket.list(layout::TOMBSTONES, None).await?;
    let keys = listed.into_iter().map(|object| object.key);
    let until = |key: String| layout::is_unfinished(&key).map(|(_, until)| (key, until));
    Ok(keys.filter_map(until).collect())
}

impl Catalog {
    /// Goes on with the deletions in these objects; what became of each.
    pub(in super::super) async fn go_on(
        &self,
        store: &Store,
        due: &[String],
        now: Timestamp,
    ) -> Result<Vec<(String, Outcome)>, CatalogError> {
        // Once for all of them.
        let known = self.known(store, now).await?;
        let mut outcomes = Vec::with_capacity(due.len());
        for key in due {
            let outcome = self.go_on_with(store, key, &known, now).await;
            // One with which nobody can go on does not keep the others.
            let broken = |error| Outcome::Broken(later(now, SOONEST), error);
            outcomes.push((key.clone(), outcome.unwrap_or_else(broken)));
        }
        Ok(outcomes)
    }

    async fn go_on_with(
        &self,
        store: &Store,
        key: &str,
        known: &Known,
        now: Timestamp,
    ) -> Result<Outcome, CatalogError> {
        let named = layout::is_unfinished(key);
        let (Some(body), Some((finished, _))) = (self.bucket().get(key).await?, named) else {
            return Ok(Outcome::ByOthers);
        };
        let (mut tombstones, unreadable) = tombstone::from_lines(&body);
        let first = tombstones.first().filter(|_| unreadable == 0).cloned();
        let Some(asked) = first else {
            // A later version wrote it, which goes on with it, too.
            return Ok(Outcome::Unchanged(later(now, LATEST)));
        };
        let soonest = later(now, pause(now.duration_since(asked.time)));
        let (removed, last) = match asked.deleted {
            Deleted::Trace { trace } => {
                let hidden = asked.hides_up_to();
                let only_in = self.index().only_in(&asked.tenant, trace, hidden);
                let artifacts = only_in.await?;
                let told: HashSet<Digest> = tombstones.iter().filter_map(of_artifact).collect();
                // What was in a journal when the trace was deleted.
                let new = artifacts.iter().filter(|digest| !told.contains(*digest));
                tombstones.extend(new.map(|digest| with(&asked, *digest)));
                let (of_tenant, terms) = (store.of_tenant(&asked.tenant), known.terms(now));
                let remove = move |digest| terms.remove(of_tenant.clone(), digest, false);
                let last = later(asked.time, known.settles);
                (Removed::of(artifacts, remove, &|_| {}).await, Some(last))
            }
            Deleted::Artifact { .. } | Deleted::Tenant => {
                let artifacts = self.artifacts_of(&asked).await?;
                let (of_tenant, time) = (store.of_tenant(&asked.tenant), asked.time);
                let remove = move |digest| delete(of_tenant.clone(), digest, time);
                (Removed::of(artifacts, remove, &|_| {}).await, None)
            }
        };
        let last = last.filter(|last| *last > now);
        let until = removed.next(soonest).or(last);
        let gone = removed.gone;
        match (until, removed.failed) {
            (Some(until), Some(error)) if gone == 0 => {
                return Ok(Outcome::Failed(asked, until, error.into()));
            }
            (Some(until), None) if gone == 0 => {
                return Ok(match &known.doubt {
                    Some(doubt) if !removed.waiting.is_empty() => {
                        Outcome::Failed(asked, until, doubt.clone())
                    }
                    _ => Outcome::Unchanged(until),
                });
            }
            (None, _) if gone == 0 => {
                // Nothing went that anybody could have stored meanwhile, so one name is enough.
                self.bucket().put(&finished, to_lines(&tombstones)).await?;
                self.bucket().delete(key).await?;
            }
            _ => {
                let lines = to_lines(&tombstones);
                self.tell_again(key, lines, Timestamp::now(), until).await?;
            }
        }
        Ok(match until {
            Some(until) => Outcome::Waits(asked, gone, until),
            None => Outcome::Finished(asked, gone),
        })
    }
}

fn of_artifact(tombstone: &Tombstone) -> Option<Digest> {
    match tombstone.deleted {
        Deleted::Artifact { digest } => Some(digest),
        _ => None,
    }
}

/// How long a deletion that was asked for so long ago is left alone.
fn pause(age: SignedDuration) -> SignedDuration {
    (age / 4).clamp(SOONEST, LATEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_end_is_tried_less_and_less() {
        let hours = SignedDuration::from_hours;
        for (age, expected) in [(-5, 1), (0, 1), (3, 1), (20, 5), (96, 24), (10_000, 24)] {
            assert_eq!(pause(hours(age)), hours(expected), "{age}");
        }
    }
}
