//! Deletions that nobody has finished are gone on with here, beside everything else: none of it is urgent.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::super::INDEX;
use super::super::erase::{Outcome, unfinished};
use super::super::error::CatalogError;
use super::super::follower::Catalog;
use super::super::tombstone::{Deleted, Tombstone};
use super::Shared;
use super::warnings::Matter;
use crate::storage::Store;

/// When it is first looked for them, or a little later: replicas that start together do not look together.
const FIRST: Duration = Duration::from_secs(5);

/// How often after that.
const LOOK: Duration = Duration::from_mins(30);

/// How soon it is looked again where there is more than is gone on with at once.
const AT_ONCE: Duration = Duration::from_mins(1);

/// Deletions that are gone on with at a time, after which it is looked anew what refers to files.
const TOGETHER: usize = 100;

/// For so long a replica without an index leaves them to those that have one: it reads all of the catalog first.
const FOR_OTHERS: SignedDuration = SignedDuration::from_hours(2);

pub(super) async fn run(shared: Arc<Shared>, store: &Store, end: CancellationToken) {
    let mut finishing = Finishing::default();
    let mut pause = FIRST;
    loop {
        let spread = pause.mul_f64(1.0 + rand::random::<f64>());
        let looked = async {
            sleep(spread).await;
            finishing.look(&shared, store, Timestamp::now()).await
        };
        let looked = tokio::select! {
            () = end.cancelled() => return,
            looked = looked => looked,
        };
        pause = match looked {
            Ok(true) => AT_ONCE,
            Ok(false) => LOOK,
            Err(error) => {
                let what =
                    format!("deletions that are not finished cannot be gone on with: {error}");
                shared.warn(Matter::Unfinished, &what);
                LOOK
            }
        };
    }
}

/// What is known of deletions that somebody is to go on with.
#[derive(Debug, Default)]
pub(super) struct Finishing {
    /// Those with which it makes no sense before then, whatever their names say.
    postponed: BTreeMap<String, Timestamp>,
}

impl Finishing {
    /// Goes on with what is due at `now`; whether there is more of it.
    pub(super) async fn look(
        &mut self,
        shared: &Shared,
        store: &Store,
        now: Timestamp,
    ) -> Result<bool, CatalogError> {
        let all = unfinished(&shared.bucket).await?;
        self.postponed
            .retain(|key, _| all.iter().any(|(of, _)| of == key));
        let has_index = store.is_in_memory() || shared.folder.join(INDEX).is_file();
        let waits = if has_index {
            SignedDuration::ZERO
        } else {
            FOR_OTHERS
        };
        let mut due: Vec<String> = Vec::new();
        for (key, until) in all {
            let postponed = self.postponed.get(&key);
            let until = postponed.map_or(until, |postponed| until.max(*postponed));
            if now.duration_since(until) >= waits {
                due.push(key);
            }
        }
        let is_more = due.len() > TOGETHER;
        due.truncate(TOGETHER);
        if due.is_empty() {
            return Ok(false);
        }
        let catalog = Catalog::open(store, &shared.config.directory).await?;
        for (key, outcome) in catalog.go_on(store, &due, now).await? {
            self.tell(shared, key, outcome);
        }
        Ok(is_more)
    }

    fn tell(&mut self, shared: &Shared, key: String, outcome: Outcome) {
        match outcome {
            Outcome::Finished(deletion, files) => {
                shared.counts.catalog.finished();
                let told = Told(&deletion);
                tracing::info!("{told} is finished: {files} files more are gone");
            }
            Outcome::Waits(deletion, files, until) => {
                let told = Told(&deletion);
                tracing::info!(
                    "{told}: {files} files more are gone, and others wait until {until:.0}"
                );
            }
            Outcome::Unchanged(until) => drop(self.postponed.insert(key, until)),
            Outcome::Failed(deletion, until, error) => {
                let told = Told(&deletion);
                tracing::warn!("{told} is not finished, and tried again at {until:.0}: {error}");
                self.postponed.insert(key, until);
            }
            Outcome::Broken(until, error) => {
                tracing::warn!("{key}: this deletion is tried again at {until:.0}: {error}");
                self.postponed.insert(key, until);
            }
            Outcome::ByOthers => {}
        }
    }
}

/// A deletion, for people.
struct Told<'t>(&'t Tombstone);

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tombstone {
            time,
            tenant,
            deleted,
            ..
        } = self.0;
        f.write_str("the deletion of ")?;
        match deleted {
            Deleted::Artifact { digest } => write!(f, "the artifact {digest}")?,
            Deleted::Trace { trace } => write!(f, "the trace {trace}")?,
            Deleted::Tenant => f.write_str("everything")?,
        }
        write!(f, " of the tenant {tenant}, asked for at {time:.0},")
    }
}
