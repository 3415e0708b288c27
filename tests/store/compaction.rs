//! Objects with deletions are merged at any time, and nobody who looks notices it, whenever they do.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use proptest::collection::vec;
use proptest::prelude::*;
use slimspan::catalog::{
    Catalog, Compaction, Deleted, Entry, EntryId, Filter, Reach, State, Tenants, Tombstone, TraceId,
};
use slimspan::storage::{Store, StoreConfig};
use slimspan::tenant::TenantId;
use slimspan_artifact::Digest;

use super::deletions::entry;
use crate::support::measured::cases;

/// So many hours everything happens in.
const HOURS: i64 = 48;

/// What may happen.
#[derive(Debug, Clone)]
enum Event {
    /// Something is deleted at that hour, which hides what was recorded up to an hour, its own if there is none. Some
    /// are told twice, and some are not finished.
    Told {
        tenant: u8,
        deleted: Deleted,
        at: i64,
        up_to: Option<i64>,
        is_twice: bool,
        is_finished: bool,
    },
    /// A reference comes into the bucket that was recorded at that hour, however late.
    Recorded {
        tenant: u8,
        digest: u8,
        trace: u8,
        at: i64,
    },
    /// Objects are merged into ones of so many bytes.
    Compacted(u64),
    /// Somebody who follows all of it looks.
    Looked,
}

fn hour(at: i64) -> Timestamp {
    let begin: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    begin + SignedDuration::from_hours(at)
}

fn tenant(number: u8) -> TenantId {
    format!("tenant-{number}").parse().unwrap()
}

fn digest(number: u8) -> Digest {
    Digest::of(&[number])
}

fn trace(number: u8) -> TraceId {
    TraceId::new(&[number + 1; 16]).unwrap()
}

fn event() -> impl Strategy<Value = Event> {
    let deleted = prop_oneof![
        3 => (0..3u8).prop_map(|number| Deleted::Artifact { digest: digest(number) }),
        2 => (0..2u8).prop_map(|number| Deleted::Trace { trace: trace(number) }),
        1 => Just(Deleted::Tenant),
    ];
    let up_to = prop::option::weighted(0.3, 0..HOURS);
    let told = (
        0..2u8,
        deleted,
        0..HOURS,
        up_to,
        any::<bool>(),
        any::<bool>(),
    );
    let told = told.prop_map(
        |(tenant, deleted, at, up_to, is_twice, is_unfinished)| Event::Told {
            tenant,
            deleted,
            at,
            up_to,
            is_twice,
            is_finished: !is_unfinished || is_twice,
        },
    );
    let recorded = (0..2u8, 0..3u8, 0..2u8, 0..HOURS);
    let recorded = recorded.prop_map(|(tenant, digest, trace, at)| Event::Recorded {
        tenant,
        digest,
        trace,
        at,
    });
    prop_oneof![
        5 => told,
        4 => recorded,
        2 => prop_oneof![Just(2_000), Just(16 << 20)].prop_map(Event::Compacted),
        1 => Just(Event::Looked),
    ]
}

/// A bucket, what was put into it, and somebody who follows that.
struct World {
    store: Store,
    follower: Catalog,
    told: Vec<Tombstone>,
    recorded: Vec<Entry>,
    number: u32,
}

impl World {
    fn new() -> Self {
        let store = Store::open(&StoreConfig::new("memory://")).unwrap();
        Self {
            follower: Catalog::open_temporary(&store).unwrap(),
            store,
            told: Vec::new(),
            recorded: Vec::new(),
            number: 0,
        }
    }

    /// Puts lines into an object that is named at `at`.
    async fn put(&mut self, folder: &str, at: i64, ending: &str, line: String) {
        self.number += 1;
        let stamp = hour(at)
            .to_zoned(TimeZone::UTC)
            .strftime("%Y%m%dT%H%M%S%.6fZ");
        let key = format!(
            "catalog/{folder}/{stamp}-00000001-{:08x}{ending}",
            self.number
        );
        self.store.bucket().put(&key, line.into()).await.unwrap();
    }

    fn id(&self) -> EntryId {
        let mut id = [1; 16];
        id[..4].copy_from_slice(&self.number.to_be_bytes());
        EntryId::new(&id).unwrap()
    }

    async fn happens(&mut self, event: &Event) {
        match *event {
            Event::Told {
                tenant: of,
                deleted,
                at,
                up_to,
                is_twice,
                is_finished,
            } => {
                let tombstone = Tombstone {
                    id: self.id(),
                    time: hour(at),
                    tenant: tenant(of),
                    deleted,
                    reason: format!("deleted at {at}"),
                    up_to: up_to.map(hour).filter(|up_to| *up_to != hour(at)),
                };
                let line = format!("{}\n", serde_json::to_string(&tombstone).unwrap());
                let ending = if is_finished {
                    ".json"
                } else {
                    "-until-1900000000.json"
                };
                for _ in 0..=usize::from(is_twice) {
                    let folder = "tombstones";
                    self.put(folder, at, ending, line.clone()).await;
                }
                self.told.push(tombstone);
            }
            Event::Recorded {
                tenant: of,
                digest: file,
                trace,
                at,
            } => {
                let entry = Entry {
                    id: self.id(),
                    recorded: hour(at),
                    ..entry(&tenant(of), digest(file), trace + 1, State::Stored)
                };
                let line = format!("{}\n", serde_json::to_string(&entry).unwrap());
                let folder = hour(at).to_zoned(TimeZone::UTC).strftime("%Y-%m-%d/%H");
                let folder = folder.to_string();
                self.put(&folder, at, ".jsonl", line).await;
                self.recorded.push(entry);
            }
            Event::Compacted(target) => self.compact(target).await,
            Event::Looked => {
                self.follower.sync(Reach::All).await.unwrap();
            }
        }
    }

    async fn compact(&self, target: u64) {
        let before = self.listed().await;
        let compaction = Compaction {
            target,
            older_than: Duration::ZERO,
            deletions_older_than: Duration::ZERO,
            grace: Duration::ZERO,
        };
        let catalog = Catalog::open_temporary(&self.store).unwrap();
        catalog.compact(compaction, |_| ()).await.unwrap();
        let after = self.listed().await;
        // Whoever lists names behind any time meets all that they would have met.
        for (hour, (before, after)) in before.iter().zip(&after).enumerate() {
            assert!(
                before.is_subset(after),
                "behind {hour}: {before:?} {after:?}"
            );
        }
        // And where there is room for all of them, one object has what is finished.
        let keys = self.keys().await;
        let finished = keys.iter().filter(|key| !key.contains("-until-"));
        assert!(target < 16 << 20 || finished.count() <= 1, "{keys:?}");
    }

    async fn keys(&self) -> Vec<String> {
        let listed = self.store.bucket().list("catalog/tombstones", None).await;
        listed
            .unwrap()
            .into_iter()
            .map(|object| object.key)
            .collect()
    }

    /// The deletions that stand in objects with names behind each hour.
    async fn listed(&self) -> Vec<BTreeSet<EntryId>> {
        let mut behind = vec![BTreeSet::new(); usize::try_from(HOURS).unwrap() + 1];
        for key in self.keys().await {
            let body = self.store.bucket().get(&key).await.unwrap().unwrap();
            let lines = std::str::from_utf8(&body).unwrap().lines();
            let ids: Vec<_> = lines
                .map(|line| serde_json::from_str::<Tombstone>(line).unwrap().id)
                .collect();
            for (at, behind) in (0..).zip(&mut behind) {
                let stamp = hour(at)
                    .to_zoned(TimeZone::UTC)
                    .strftime("%Y%m%dT%H%M%S%.6fZ");
                if key > format!("catalog/tombstones/{stamp}") {
                    behind.extend(&ids);
                }
            }
        }
        behind
    }

    /// The entries that no deletion hides.
    fn visible(&self) -> BTreeSet<EntryId> {
        let is_hidden = |entry: &Entry| {
            self.told.iter().any(|told| {
                told.tenant == entry.tenant
                    && entry.recorded <= told.hides_up_to()
                    && match told.deleted {
                        Deleted::Artifact { digest } => entry.digest == Some(digest),
                        Deleted::Trace { trace } => entry.trace == Some(trace),
                        Deleted::Tenant => true,
                    }
            })
        };
        let visible = self.recorded.iter().filter(|entry| !is_hidden(entry));
        visible.map(|entry| entry.id).collect()
    }

    async fn is_whole(&self, catalog: &Catalog, who: &str) {
        catalog.sync(Reach::All).await.unwrap();
        let index = catalog.index();
        let told = index.tombstones(&Tenants::All).await.unwrap();
        let told: BTreeSet<_> = told.iter().map(|of| of.id).collect();
        let expected: BTreeSet<_> = self.told.iter().map(|of| of.id).collect();
        assert_eq!(told, expected, "{who}");
        let page = index.page(&Filter::default(), 1_000, None).await.unwrap();
        let entries: BTreeSet<_> = page.entries.iter().map(|entry| entry.id).collect();
        assert_eq!(entries, self.visible(), "{who}");
    }
}

async fn holds(events: &[Event]) {
    let mut world = World::new();
    for event in events {
        world.happens(event).await;
    }
    let fresh = Catalog::open_temporary(&world.store).unwrap();
    world.is_whole(&fresh, "who comes new").await;
    world.is_whole(&world.follower, "who has followed").await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(64), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn merged_deletions_are_missed_by_nobody(events in vec(event(), 1..25)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(holds(&events));
    }
}

/// What a later version wrote is left as it is, and so is what is young.
#[tokio::test]
async fn what_cannot_be_read_or_is_young_is_not_merged() {
    let mut world = World::new();
    for at in [1, 2, 3] {
        let told = Event::Told {
            tenant: 0,
            deleted: Deleted::Tenant,
            at,
            up_to: None,
            is_twice: false,
            is_finished: true,
        };
        world.happens(&told).await;
    }
    let later = "{\"from\":\"later\"}\n".to_owned();
    world.put("tombstones", 2, ".json", later).await;
    let catalog = Catalog::open_temporary(&world.store).unwrap();
    let age = Timestamp::now().duration_since(hour(0));
    let compaction = Compaction {
        deletions_older_than: age.unsigned_abs(),
        grace: Duration::ZERO,
        ..Compaction::default()
    };
    let compacted = catalog.compact(compaction, |_| ()).await.unwrap();
    assert_eq!((compacted.deletions, world.keys().await.len()), (0, 4));
    let compaction = Compaction {
        deletions_older_than: Duration::ZERO,
        ..compaction
    };
    let compacted = catalog.compact(compaction, |_| ()).await.unwrap();
    assert_eq!((compacted.deletions, world.keys().await.len()), (3, 2));
}
