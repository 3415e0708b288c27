//! What the store does not have yet.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Instant;

use jiff::Timestamp;
use slimspan_artifact::Digest;

use super::record::Key;
use crate::journal::Entry;
use crate::tenant::TenantId;

/// So many artifacts that have left are known, and so many uploads since it was looked for deletions.
const REMEMBERED: usize = 50_000;

/// What the store does not have yet, and what has become of the latest that it has.
#[derive(Default)]
pub(super) struct Waiting {
    pub(super) by_key: HashMap<Key, Entry>,
    /// That of each tenant who has some.
    pub(super) by_tenant: HashMap<TenantId, OfTenant>,
    /// Oldest first. By more than their numbers: where a disk failed, two records may have the same one.
    since: BTreeMap<Entry, Since>,
    /// Uploads that are under way, and those that have ended since it was looked for deletions.
    uploads: BTreeMap<Entry, Upload>,
    left: HashMap<Key, Fate>,
    left_in_order: VecDeque<Key>,
    pub(super) artifacts: usize,
    pub(super) bytes: u64,
}

/// What waits of one tenant.
#[derive(Default)]
pub(super) struct OfTenant {
    /// Oldest first.
    pub(super) in_order: BTreeMap<Entry, Digest>,
    pub(super) bytes: u64,
}

/// Since when an artifact waits.
#[derive(Clone, Copy)]
struct Since {
    /// As far as this process knows.
    here: Instant,
    /// When a request last had it kept, by the clock that deletions have, too.
    wanted: Timestamp,
}

/// An upload, under way or not long ago.
struct Upload {
    key: Key,
    wanted: Timestamp,
    ended: Option<Instant>,
}

/// What became of an artifact that has left the spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The store has it.
    Stored,
    /// It was deleted before the store had it, or cannot be read.
    GivenUp,
}

impl Waiting {
    /// An artifact waits that a request had kept at `wanted`.
    pub(super) fn add(&mut self, key: Key, entry: Entry, wanted: Timestamp) {
        self.by_key.insert(key.clone(), entry);
        self.left.remove(&key);
        let (tenant, digest) = key;
        let of_tenant = self.by_tenant.entry(tenant).or_default();
        of_tenant.in_order.insert(entry, digest);
        of_tenant.bytes += entry.len() as u64;
        let since = Since {
            here: Instant::now(),
            wanted,
        };
        self.since.insert(entry, since);
        self.artifacts += 1;
        self.bytes += entry.len() as u64;
    }

    /// A request relies on an artifact; whether it waits here.
    pub(super) fn relies(&mut self, key: &Key, now: Timestamp) -> bool {
        let Some(entry) = self.by_key.get(key) else {
            return false;
        };
        if let Some(since) = self.since.get_mut(entry) {
            since.wanted = since.wanted.max(now);
        }
        true
    }

    /// When a request last had an artifact kept that waits.
    pub(super) fn wanted(&self, key: &Key) -> Option<Timestamp> {
        let entry = self.by_key.get(key)?;
        let since = self.since.get(entry)?;
        Some(since.wanted)
    }

    /// Since when the first one waits.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.since.first_key_value().map(|(_, since)| since.here)
    }

    /// When the first of all that wait was kept.
    pub(super) fn kept_first(&self) -> Option<Timestamp> {
        self.since.values().map(|since| since.wanted).min()
    }

    /// An upload begins.
    pub(super) fn uploads(&mut self, key: &Key, entry: &Entry) {
        if self.uploads.len() >= REMEMBERED {
            // Nobody looks.
            self.uploads.pop_first();
        }
        let Some(since) = self.since.get(entry) else {
            return;
        };
        let upload = Upload {
            key: key.clone(),
            wanted: since.wanted,
            ended: None,
        };
        self.uploads.insert(*entry, upload);
    }

    /// An upload has ended, of which nothing came where there is no fate; whether the artifact was waiting
    /// still.
    pub(super) fn uploaded(&mut self, key: &Key, entry: &Entry, fate: Option<Fate>) -> bool {
        let wanted = self.since.get(entry).map(|since| since.wanted);
        match self.uploads.get_mut(entry) {
            // One that failed may have come to the store all the same.
            Some(upload) if fate != Some(Fate::GivenUp) => {
                upload.wanted = wanted.unwrap_or(upload.wanted);
                upload.ended = Some(Instant::now());
            }
            _ => {
                self.uploads.remove(entry);
            }
        }
        match fate {
            Some(fate) => self.forget(key, entry, fate),
            None => self.since.contains_key(entry),
        }
    }

    /// An artifact waits no more; whether it did.
    pub(super) fn forget(&mut self, key: &Key, entry: &Entry, fate: Fate) -> bool {
        let mut waited = false;
        if let Some(of_tenant) = self.by_tenant.get_mut(&key.0)
            && of_tenant.in_order.remove(entry).is_some()
        {
            waited = true;
            of_tenant.bytes -= entry.len() as u64;
            self.since.remove(entry);
            self.artifacts -= 1;
            self.bytes -= entry.len() as u64;
            if of_tenant.in_order.is_empty() {
                self.by_tenant.remove(&key.0);
            }
        }
        if self.by_key.get(key) == Some(entry) {
            self.by_key.remove(key);
            if self.left.insert(key.clone(), fate).is_none() {
                self.left_in_order.push_back(key.clone());
            }
            while self.left_in_order.len() > REMEMBERED {
                if let Some(oldest) = self.left_in_order.pop_front() {
                    self.left.remove(&oldest);
                }
            }
        }
        waited
    }

    /// What became of an artifact, if it has left lately.
    pub(super) fn fate(&self, key: &Key) -> Option<Fate> {
        self.left.get(key).copied()
    }

    /// Those that wait and that no request had kept later than at `until`: one, or all of a tenant.
    pub(super) fn deleted(
        &self,
        tenant: &TenantId,
        digest: Option<&Digest>,
        until: Timestamp,
    ) -> Vec<(Key, Entry)> {
        let is_old = |entry: &Entry| {
            let since = self.since.get(entry);
            since.is_some_and(|since| since.wanted <= until)
        };
        if let Some(digest) = digest {
            let key = (tenant.clone(), *digest);
            let entry = self.by_key.get(&key).filter(|entry| is_old(entry));
            return entry.map(|entry| (key, *entry)).into_iter().collect();
        }
        let of_tenant = self.by_tenant.get(tenant);
        let in_order = of_tenant.into_iter().flat_map(|of| &of.in_order);
        let old = in_order.filter(|(entry, _)| is_old(entry));
        old.map(|(entry, digest)| ((tenant.clone(), *digest), *entry))
            .collect()
    }

    /// Of the same, those whose uploads are under way or have ended lately.
    pub(super) fn deleted_late(
        &self,
        tenant: &TenantId,
        digest: Option<&Digest>,
        until: Timestamp,
    ) -> Vec<Digest> {
        let of = |upload: &&Upload| {
            upload.key.0 == *tenant
                && digest.is_none_or(|digest| upload.key.1 == *digest)
                && upload.wanted <= until
        };
        let late = self.uploads.values().filter(of);
        late.map(|upload| upload.key.1).collect()
    }

    /// Whether an artifact was kept later than at `since`, and waits or was uploaded; none while an earlier
    /// one is uploaded.
    pub(super) fn is_back(&self, key: &Key, since: Timestamp) -> Option<bool> {
        let waits = self.by_key.contains_key(key);
        let of_key = || self.uploads.values().filter(|upload| upload.key == *key);
        if of_key().any(|upload| upload.ended.is_none()) {
            return None;
        }
        Some(waits || of_key().any(|upload| upload.wanted > since))
    }

    /// Those whose uploads ended before `looked` were looked for among the deletions.
    pub(super) fn looked(&mut self, looked: Instant) {
        self.uploads
            .retain(|_, upload| upload.ended.is_none_or(|ended| ended >= looked));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a disk gives back after a power cut may have the number of what was written since.
    #[test]
    fn two_of_one_number_both_wait() {
        let mut waiting = Waiting::default();
        let tenant = TenantId::default();
        let one = |slot: u32| {
            let key = (tenant.clone(), Digest::of(&slot.to_le_bytes()));
            (key, Entry::numbered(7, slot))
        };
        for (key, entry) in [one(1), one(2)] {
            waiting.add(key, entry, Timestamp::UNIX_EPOCH);
        }
        let (key, entry) = one(1);
        assert!(waiting.forget(&key, &entry, Fate::Stored));
        let (key, entry) = one(2);
        assert!(waiting.wanted(&key).is_some(), "the other one waits");
        assert!(waiting.forget(&key, &entry, Fate::Stored));
        assert!(waiting.oldest().is_none() && waiting.by_tenant.is_empty());
    }
}
