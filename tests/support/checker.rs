//! Holds what senders were told against what arrived, after a scenario has come to rest.
//!
//! - Every item of an acknowledged request arrived and was taken, but for as many as the answer
//!   said were rejected.
//! - What arrived is what was sent: the files of an item, each of them whole, behind a reference
//!   or in its place.
//! - No reference arrived before its file, and none leads nowhere at the end.
//! - A request arrives again only for an attempt that ended without a clear answer, on either side.
//! - The store holds each file under its own digest, and nothing that nobody refers to.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::ops::AddAssign;

use slimspan_artifact::Digest;

use super::arrivals::{Arrived, File};
use super::ledger::{Entry, Outcome};
use super::verifying::{Fetch, Receipt, Verdict, dangling};
use super::workload::{Item, ItemId};

/// All that is known when a scenario has come to rest.
pub(crate) struct Scenario<'a> {
    pub(crate) entries: &'a [Entry],
    pub(crate) receipts: &'a [Receipt],
    /// Fetches files by another way than slimspan's.
    pub(crate) fetch: &'a Fetch,
    /// The names of the objects in the store.
    pub(crate) objects: &'a [String],
    pub(crate) rules: Rules,
}

/// What differs between scenarios.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rules {
    /// A file may stay in its item however large it is: the store was not always there.
    pub(crate) may_stay: bool,
    /// From which size files are moved where they may not stay.
    pub(crate) threshold: usize,
    /// Objects may be there to which no item refers: it arrived without being slimmed.
    pub(crate) orphans: bool,
    /// The backend's answers may be lost on their way, so that a refusal does not say that a
    /// request was not taken.
    pub(crate) lost_answers: bool,
    /// A queue outlives its process, and sends again what was under way when that was killed.
    pub(crate) sent_again: bool,
}

impl Rules {
    /// The store was always there.
    pub(crate) const STRICT: Self = Self {
        may_stay: false,
        threshold: 8 << 10,
        orphans: false,
        lost_answers: false,
        sent_again: false,
    };
    /// The store was not always there, and requests went on as they came.
    pub(crate) const FORWARDED: Self = Self {
        may_stay: true,
        orphans: true,
        ..Self::STRICT
    };
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Complaint {
    /// Acknowledged, and it never arrived.
    Lost(ItemId),
    /// More items of its request were turned away than its sender was told.
    Untold(ItemId),
    /// Nobody told its sender anything in the end.
    Unanswered(ItemId),
    /// It arrived, and nobody sent it.
    Unknown(ItemId),
    /// It arrived with other files than it was sent with.
    Altered(ItemId),
    /// A file that was to be moved was not.
    NotMoved(ItemId, Digest),
    /// A reference arrived before its file.
    Early(ItemId, Digest),
    /// A reference leads nowhere, or to other bytes.
    Dangling(ItemId, Digest),
    /// It arrived more often than attempts could explain.
    Repeated {
        id: ItemId,
        arrived: usize,
        explained: usize,
    },
    /// An object has a name that its bytes do not have.
    WrongObject(String),
    /// An object to which nothing refers.
    Orphan(String),
    /// One file is there more than once.
    Twice(String),
}

/// What there was to check.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Checked {
    pub(crate) requests: usize,
    pub(crate) items: usize,
    pub(crate) references: usize,
    pub(crate) objects: usize,
    /// Requests that arrived again, as often as they did.
    pub(crate) duplicates: usize,
}

impl Scenario<'_> {
    /// Checks everything; the test fails with all that is wrong.
    pub(crate) fn assert(&self) -> Checked {
        let complaints = self.complaints();
        let shown: Vec<_> = complaints.iter().take(20).collect();
        assert!(
            complaints.is_empty(),
            "{} complaints, the first of them: {shown:#?}",
            complaints.len()
        );
        let arrivals = self.receipts.iter().map(|receipt| &receipt.item);
        let files = arrivals.clone().flat_map(|item| &item.files);
        let ids: BTreeSet<_> = arrivals.map(|item| item.id).collect();
        let mut kept: HashMap<ItemId, usize> = HashMap::new();
        for receipt in self.receipts {
            if receipt.verdict != Verdict::Refused {
                *kept.entry(receipt.item.id).or_default() += 1;
            }
        }
        let again = self.entries.iter().map(|entry| {
            let times = entry.items.iter().filter_map(|item| kept.get(&item.id));
            times.max().map_or(0, |times| times - 1)
        });
        Checked {
            requests: self.entries.len(),
            items: ids.len(),
            references: files.filter(|file| matches!(file, File::Moved(_))).count(),
            objects: self.objects.len(),
            duplicates: again.sum(),
        }
    }

    /// All that is wrong.
    pub(crate) fn complaints(&self) -> Vec<Complaint> {
        let mut arrivals: BTreeMap<ItemId, Vec<&Receipt>> = BTreeMap::new();
        for receipt in self.receipts {
            arrivals.entry(receipt.item.id).or_default().push(receipt);
        }
        let mut complaints = Vec::new();
        for entry in self.entries {
            self.request(entry, &arrivals, &mut complaints);
            for item in &entry.items {
                let of_item = arrivals.remove(&item.id).unwrap_or_default();
                self.item(item, &of_item, &mut complaints);
            }
        }
        complaints.extend(arrivals.keys().map(|id| Complaint::Unknown(*id)));
        self.store(&mut complaints);
        complaints.sort();
        complaints.dedup();
        complaints
    }

    /// What a request's sender was told, against what arrived of it.
    fn request(
        &self,
        entry: &Entry,
        arrivals: &BTreeMap<ItemId, Vec<&Receipt>>,
        complaints: &mut Vec<Complaint>,
    ) {
        let kept = |item: &Item, verdicts: &[Verdict]| {
            let of_item = arrivals.get(&item.id).into_iter().flatten();
            of_item
                .filter(|one| verdicts.contains(&one.verdict))
                .count()
        };
        let any = &[Verdict::Taken, Verdict::Untold];
        match entry.attempts.last() {
            Some(Outcome::Accepted { rejected }) => {
                let gone = entry.items.iter().filter(|item| kept(item, any) == 0);
                for (number, item) in gone.enumerate() {
                    if number < *rejected {
                        continue;
                    }
                    complaints.push(if arrivals.contains_key(&item.id) {
                        Complaint::Untold(item.id)
                    } else {
                        Complaint::Lost(item.id)
                    });
                }
            }
            Some(Outcome::Refused { .. }) => {}
            _ => {
                let ids = entry.items.iter().map(|item| item.id);
                complaints.extend(ids.map(Complaint::Unanswered));
            }
        }
        let unclear = entry.attempts.iter().filter(|one| match one {
            Outcome::Unanswered => true,
            Outcome::Postponed { .. } => self.rules.lost_answers,
            Outcome::Accepted { .. } | Outcome::Refused { .. } => false,
        });
        let unclear = unclear.count();
        for item in &entry.items {
            let arrived = kept(item, any);
            let explained = 1 + unclear + kept(item, &[Verdict::Untold]);
            if arrived > explained && !self.rules.sent_again {
                let id = item.id;
                complaints.push(Complaint::Repeated {
                    id,
                    arrived,
                    explained,
                });
            }
        }
    }

    fn item(&self, item: &Item, arrivals: &[&Receipt], complaints: &mut Vec<Complaint>) {
        for receipt in arrivals {
            let early = receipt.early.iter();
            complaints.extend(early.map(|digest| Complaint::Early(item.id, *digest)));
            if sorted(&item.blobs) != sorted(&digests(&receipt.item)) {
                complaints.push(Complaint::Altered(item.id));
            }
            if !self.rules.may_stay {
                self.stayed(&receipt.item, complaints);
            }
        }
        let mut kept = arrivals
            .iter()
            .filter(|one| one.verdict != Verdict::Refused);
        if let Some(kept) = kept.next_back() {
            let dangling = dangling(&kept.item, self.fetch).into_iter();
            complaints.extend(dangling.map(|digest| Complaint::Dangling(item.id, digest)));
        }
    }

    /// Files are moved by size, which nothing but the bytes tells: those below the threshold are
    /// not in the store.
    fn stayed(&self, item: &Arrived, complaints: &mut Vec<Complaint>) {
        for file in &item.files {
            if let File::Inline { digest, size } = file
                && *size >= self.rules.threshold
            {
                complaints.push(Complaint::NotMoved(item.id, *digest));
            }
        }
    }

    fn store(&self, complaints: &mut Vec<Complaint>) {
        let arrived = self.receipts.iter().flat_map(|one| &one.item.files);
        let referred: BTreeSet<String> = arrived
            .filter(|file| matches!(file, File::Moved(_)))
            .map(|file| file.digest().to_string())
            .collect();
        let mut seen = HashSet::new();
        for name in self.objects {
            let bytes = name.parse().ok().and_then(|digest| (self.fetch)(&digest));
            if bytes.is_none_or(|bytes| Digest::of(&bytes).to_string() != *name) {
                complaints.push(Complaint::WrongObject(name.clone()));
            }
            if !self.rules.orphans && !referred.contains(name) {
                complaints.push(Complaint::Orphan(name.clone()));
            }
            if !seen.insert(name) {
                complaints.push(Complaint::Twice(name.clone()));
            }
        }
    }
}

fn digests(item: &Arrived) -> Vec<Digest> {
    item.files.iter().map(|file| *file.digest()).collect()
}

fn sorted(digests: &[Digest]) -> Vec<String> {
    let mut names: Vec<_> = digests.iter().map(Digest::to_string).collect();
    names.sort();
    names
}

impl AddAssign for Checked {
    fn add_assign(&mut self, other: Self) {
        self.requests += other.requests;
        self.items += other.items;
        self.references += other.references;
        self.objects += other.objects;
        self.duplicates += other.duplicates;
    }
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} requests, {} items, {} references, {} objects, {} requests arrived again",
            self.requests, self.items, self.references, self.objects, self.duplicates
        )
    }
}
