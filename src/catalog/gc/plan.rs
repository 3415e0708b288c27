//! What is too old, and what is to be done about it.

use std::collections::BTreeMap;

use futures::TryStreamExt as _;
use jiff::Timestamp;
use slimspan_artifact::Digest;

use super::marks::Marks;
use super::{Expired, Gc, GcError, after, before};
use crate::tenant::TenantId;

/// How far a run has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// So many more lines of the catalog were read.
    Read(u64),
    /// So many more files were looked at.
    Looked(u64),
    /// So many more files are gone.
    Removed(u64),
}

/// What a run would do.
#[derive(Debug)]
pub struct Plan {
    /// When it was found out.
    pub(super) now: Timestamp,
    /// All that is too old: with marks that are old enough, it goes.
    pub(super) expired: Vec<Expired>,
    /// The objects in which earlier marks stand.
    pub(super) objects: Vec<String>,
    /// What is to be done about each tenant's.
    pub by_tenant: BTreeMap<TenantId, Stepped>,
    grace: std::time::Duration,
}

/// Files and their bytes, by what is to be done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stepped {
    /// All that the tenant has.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// To be marked.
    pub new: (u64, u64),
    /// Marked, in their grace.
    pub waiting: (u64, u64),
    /// Marked, to be removed.
    pub due: (u64, u64),
}

impl Gc {
    /// Finds out what is too old. Changes nothing; `told` hears how far it is.
    pub async fn plan(&self, told: &(dyn Fn(Step) + Sync)) -> Result<Plan, GcError> {
        // What comes from here on is no part of what is read.
        let now = self.now();
        let bucket = self.store.bucket();
        let marks = Marks::read(&bucket).await?;
        let references = self.references(told).await?;
        let mut plan = Plan {
            now,
            expired: Vec::new(),
            objects: marks.objects,
            by_tenant: BTreeMap::new(),
            grace: self.retention.grace,
        };
        for tenant in self.store.tenants().await? {
            let Some(age) = self.retention.of(&tenant) else {
                continue;
            };
            let cutoff = before(now, age);
            let folder = format!("{tenant}/sha256");
            let mut listed = Box::pin(bucket.stream(&folder, None));
            let mut stepped = Stepped::default();
            while let Some(object) = listed.try_next().await? {
                let name = object.key.rsplit('/').next();
                let Some(digest) = name.and_then(|name| name.parse::<Digest>().ok()) else {
                    continue;
                };
                told(Step::Looked(1));
                stepped.files += 1;
                stepped.bytes += object.size;
                // Whoever stored a file counts it as stored for that long, and refers to it without storing it
                // again. What says so may still wait in a journal that cannot be read here.
                let stored = Timestamp::try_from(object.written).unwrap_or(now);
                let counted = after(stored, self.refresh);
                let referred = references.last(&tenant, &digest);
                let last = referred.map_or(counted, |referred| referred.max(counted));
                if last > cutoff {
                    continue;
                }
                let marked = marks.times.get(&(tenant.clone(), digest)).copied();
                let file = Expired {
                    tenant: tenant.clone(),
                    digest,
                    size: object.size,
                    last,
                    // One that was seen since is marked anew.
                    marked: marked.filter(|marked| last <= *marked),
                };
                let of = match file.marked {
                    None => &mut stepped.new,
                    Some(_) if plan.is_due(&file) => &mut stepped.due,
                    Some(_) => &mut stepped.waiting,
                };
                of.0 += 1;
                of.1 += object.size;
                plan.expired.push(file);
            }
            plan.by_tenant.insert(tenant, stepped);
        }
        Ok(plan)
    }
}

impl Plan {
    /// Whether the grace of a file has passed.
    pub(super) fn is_due(&self, file: &Expired) -> bool {
        let since = before(self.now, self.grace);
        file.marked.is_some_and(|marked| marked <= since)
    }

    /// What would be removed now.
    pub fn due(&self) -> impl Iterator<Item = &Expired> {
        self.expired.iter().filter(|file| self.is_due(file))
    }
}
