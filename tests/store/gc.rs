//! The end of files that nothing refers to any more, against a model of replicas that do as replicas do.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use jiff::{SignedDuration, Timestamp};
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use proptest::collection::vec;
use proptest::prelude::*;
use slimspan::admission::{Budget, Limits};
use slimspan::catalog::config::{Age, CatalogConfig, RetentionConfig};
use slimspan::catalog::gc::{Expired, GcError, Local, Swept};
use slimspan::catalog::{Catalog, Entry, EntryId, Gc, PutFile, Reach, Recorder};
use slimspan::config::Delivery;
use slimspan::journal::{self, Journal, Options};
use slimspan::storage::spool::config::SpoolConfig;
use slimspan::storage::{Bucket, Spool, Store, StoreConfig};
use slimspan::telemetry::Counters;
use slimspan::tenant::TenantId;
use slimspan_artifact::{Artifact, Digest};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::backend::{age, artifact, entries_of};
use crate::support::measured::cases;

/// The hours for which files of each tenant are kept; of the last one for ever.
const TENANTS: [(&str, u64); 3] = [("usual", 100), ("short", 40), ("ever", 0)];
const DIGESTS: u8 = 3;
const REPLICAS: usize = 3;
/// The one on whose machine gc runs: its spool and its journal are real, and are read there.
const HERE: usize = 0;
const REFRESH: u64 = 24;
const GRACE: u64 = 48;
/// How long an entry may wait for the bucket: by so much the grace is longer than refresh.
const DELAY: u64 = GRACE - REFRESH;

/// A clock that goes when it is told to.
#[derive(Debug, Clone)]
struct Clock(Arc<Mutex<Timestamp>>);

impl Clock {
    fn new() -> Self {
        let begin = "2026-01-01T00:00:00Z".parse().unwrap();
        Self(Arc::new(Mutex::new(begin)))
    }

    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }

    fn set(&self, time: Timestamp) {
        let mut now = self.0.lock().unwrap();
        assert!(time >= *now);
        *now = time;
    }
}

/// A store whose objects are as old as that clock says.
#[derive(Debug)]
struct Clocked {
    inner: Arc<dyn ObjectStore>,
    clock: Clock,
    written: Arc<Mutex<HashMap<Path, SystemTime>>>,
}

impl fmt::Display for Clocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "clocked {}", self.inner)
    }
}

fn dated(written: &Mutex<HashMap<Path, SystemTime>>, meta: ObjectMeta) -> ObjectMeta {
    let written = written.lock().unwrap()[&meta.location];
    ObjectMeta {
        last_modified: written.into(),
        ..meta
    }
}

#[async_trait]
impl ObjectStore for Clocked {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let now = SystemTime::from(self.clock.now());
        self.written.lock().unwrap().insert(location.clone(), now);
        self.inner.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let mut got = self.inner.get_opts(location, options).await?;
        got.meta = dated(&self.written, got.meta);
        Ok(got)
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let written = Arc::clone(&self.written);
        let listed = self.inner.list(prefix);
        listed
            .map(move |meta| meta.map(|meta| dated(&written, meta)))
            .boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

/// What may happen.
#[derive(Debug, Clone)]
enum Event {
    /// A request with a file comes to a replica, whose entry is in the bucket so many hours later; in the
    /// background, its bytes are uploaded so many hours later.
    Sent {
        replica: usize,
        file: (usize, u8),
        entry: u64,
        upload: Option<u64>,
    },
    /// A reference comes to light that is not bound to when its file was stored, such as one of a replica whose
    /// `refresh` was longer, or one that a request which waited for its backend for days has left with. It is in the
    /// bucket, or in the journal of the machine on which gc runs for so many hours.
    Referred { file: File, waits: Option<u64> },
    /// So many hours pass.
    Passes(u64),
    /// It is found out what is too old.
    Planned,
    /// That is done, however long ago it was found out.
    CarriedOut,
}

type File = (usize, u8);

/// Replicas, with what each of them believes, beside one bucket.
struct World {
    home: TempDir,
    clock: Clock,
    store: Store,
    config: StoreConfig,
    /// When each replica put each file last: for a while it counts as stored.
    known: [BTreeMap<File, Timestamp>; REPLICAS],
    spooled: Vec<(Timestamp, usize, File)>,
    /// Where those wait that are spooled here, when there was one: the spool, and the store in front of which it is.
    spool: Option<(Spool, Store)>,
    /// Each with where it stands in the journal here, if it does.
    journaled: Vec<(Timestamp, Entry, Option<journal::Entry>)>,
    journal: Option<Journal>,
    /// The references that have left, when, and for how many hours after that their files are kept at least.
    handed_out: Vec<(File, Timestamp, u64)>,
    plan: Option<slimspan::catalog::gc::Plan>,
    /// What waited in the spool here when it was made.
    waited: BTreeSet<File>,
    number: u32,
}

fn hours(hours: u64) -> SignedDuration {
    SignedDuration::from_hours(i64::try_from(hours).unwrap())
}

fn tenant((of, _): File) -> TenantId {
    TENANTS[of].0.parse().unwrap()
}

fn kept((of, _): File) -> u64 {
    TENANTS[of].1
}

fn digest((_, number): File) -> Digest {
    Digest::of(&[number])
}

fn key(file: File) -> String {
    let name = digest(file).to_string();
    format!("{}/sha256/{}/{name}", tenant(file), &name[..2])
}

fn retention() -> RetentionConfig {
    let by_tenant = TENANTS.iter().skip(1).map(|(tenant, hours)| {
        let age = Age(Duration::from_hours(*hours));
        (tenant.parse().unwrap(), age)
    });
    RetentionConfig {
        max_age: Duration::from_hours(TENANTS[0].1),
        by_tenant: by_tenant.collect(),
        grace: Duration::from_hours(GRACE),
    }
}

fn config(url: &str) -> StoreConfig {
    StoreConfig {
        refresh: Duration::from_hours(REFRESH),
        catalog: CatalogConfig {
            retention: retention(),
            ..CatalogConfig::default()
        },
        ..StoreConfig::new(url)
    }
}

impl World {
    fn new() -> Self {
        let clock = Clock::new();
        let home = tempfile::tempdir().unwrap();
        let mut config = config("memory://");
        config.spool.directory = home.path().join("spool");
        config.catalog.directory = home.path().join("catalog");
        let of_store = clock.clone();
        let store = Store::open_with(&config, |inner| {
            Arc::new(Clocked {
                inner,
                clock: of_store,
                written: Arc::default(),
            })
        });
        Self {
            home,
            clock,
            store: store.unwrap(),
            config,
            known: Default::default(),
            spooled: Vec::new(),
            spool: None,
            journaled: Vec::new(),
            journal: None,
            handed_out: Vec::new(),
            plan: None,
            waited: BTreeSet::new(),
            number: 0,
        }
    }

    fn bucket(&self) -> Bucket {
        self.store.bucket()
    }

    fn gc(&self) -> Gc {
        let clock = self.clock.clone();
        let clock = Arc::new(move || clock.now());
        let local = Local::read(&self.store, &self.config).unwrap();
        Gc::with(self.store.clone(), &self.config, local, clock).unwrap()
    }

    async fn happens(&mut self, event: &Event) {
        let now = self.clock.now();
        match *event {
            Event::Sent {
                replica,
                file,
                entry,
                upload,
            } => {
                let is_known = self.known[replica]
                    .get(&file)
                    .is_some_and(|put| now.duration_since(*put) < hours(REFRESH));
                let waits = self.spooled.iter();
                let mut waits = waits.filter(|(_, of, waits)| (*of, *waits) == (replica, file));
                match upload {
                    _ if is_known => {}
                    // To have it wait already is enough for who does not wait himself.
                    Some(_) if waits.next().is_some() => {}
                    Some(hours_later) => {
                        if replica == HERE {
                            self.spool_here(file).await;
                        }
                        self.spooled.push((now + hours(hours_later), replica, file));
                    }
                    None => self.put(replica, file).await,
                }
                // Also where nothing of it comes into the bucket: no mark is younger than that.
                self.handed_out.push((file, now, kept(file) + GRACE));
                let written = self.entry(file, now);
                let due = now + hours(entry);
                if replica == HERE {
                    self.journal_here(due, written).await;
                } else {
                    self.journaled.push((due, written, None));
                }
            }
            Event::Referred { file, waits } => {
                // Between the look and the end only the file's own time is looked at.
                if self.plan.is_none() && self.files().await.contains(&file) {
                    self.handed_out.push((file, now, kept(file)));
                    let written = self.entry(file, now);
                    match waits {
                        Some(waits) => self.journal_here(now + hours(waits), written).await,
                        None => self.publish(&written).await,
                    }
                }
            }
            Event::Passes(passed) => self.pass(now + hours(passed)).await,
            Event::Planned => {
                self.waited = self.spooled_here();
                self.plan = Some(self.gc().plan(&|_| ()).await.unwrap());
            }
            Event::CarriedOut => {
                self.carry_out().await;
            }
        }
    }

    async fn carry_out(&mut self) -> Swept {
        let Some(plan) = self.plan.take() else {
            return Swept::default();
        };
        let before = self.files().await;
        let failed = |error: &_| panic!("{error}");
        let swept = self.gc().carry_out(&plan, &|_| (), &failed).await;
        let after = self.files().await;
        for file in self.waited.intersection(&before) {
            assert!(after.contains(file), "{file:?} waits in the spool");
        }
        swept.unwrap()
    }

    /// A file comes into the spool of the machine on which gc runs.
    async fn spool_here(&mut self, file: File) {
        let (_, behind) = self.spool.get_or_insert_with(|| {
            let of = &self.config.spool;
            let spool = Spool::open(of, "spool".to_owned(), &self.store).unwrap();
            let behind = self.store.clone().with_spool(spool.clone());
            (spool, behind)
        });
        let of_tenant = behind.of_tenant(&tenant(file));
        let artifact = Artifact {
            digest: digest(file),
            media_type: "image/png".to_owned(),
            bytes: Bytes::copy_from_slice(&[file.1]),
        };
        // By the clock of the model it may be days since it was stored.
        of_tenant.forget(&artifact.digest);
        let one = std::slice::from_ref(&artifact);
        let kept = of_tenant.keep_all(one, Delivery::Background).await;
        kept.unwrap();
        assert!(of_tenant.is_spooled(&artifact.digest));
    }

    /// What waits in that spool.
    fn spooled_here(&self) -> BTreeSet<File> {
        let here = self
            .spooled
            .iter()
            .filter(|(_, replica, _)| *replica == HERE);
        here.map(|(_, _, file)| *file).collect()
    }

    /// All that waits there is uploaded.
    async fn upload_here(&mut self) {
        let (spool, behind) = self.spool.as_ref().unwrap();
        let drain = CancellationToken::new();
        drain.cancel();
        let budget = Budget::new(Limits {
            limit_mib: 512,
            spike_mib: 100,
        });
        let counters = Counters::default();
        Box::pin(spool.upload(behind, &budget, &counters, drain)).await;
        spool.settle().await;
        assert_eq!(spool.left().artifacts, 0);
        for file in self.spooled_here() {
            self.known[HERE].insert(file, self.clock.now());
        }
        self.spooled.retain(|(_, replica, _)| *replica != HERE);
    }

    /// An entry waits in the journal of the machine on which gc runs.
    async fn journal_here(&mut self, due: Timestamp, entry: Entry) {
        let journal = self.journal.get_or_insert_with(|| {
            // Where it is looked for.
            let bucket = self.store.bucket().to_string();
            let folder = blake3::hash(bucket.as_bytes()).to_hex();
            let folder = self.home.path().join("catalog").join(&folder[..16]);
            let options = Options {
                segment_bytes: 1 << 20,
                max_bytes: 1 << 20,
                max_damaged_bytes: 1 << 20,
                fsync: false,
            };
            Journal::open(&folder.join("journal-0"), options).unwrap().0
        });
        let line = format!("{}\n", serde_json::to_string(&entry).unwrap());
        let stands = journal.append(&[line.into()]).await.unwrap();
        self.journaled.push((due, entry, Some(stands)));
    }

    async fn put(&mut self, replica: usize, file: File) {
        let bytes = Bytes::copy_from_slice(&[file.1]);
        self.bucket().put(&key(file), bytes).await.unwrap();
        self.known[replica].insert(file, self.clock.now());
    }

    fn entry(&mut self, file: File, now: Timestamp) -> Entry {
        self.number += 1;
        let mut id = [1; 16];
        id[..4].copy_from_slice(&self.number.to_be_bytes());
        let put = PutFile {
            tenant: tenant(file),
            digest: digest(file),
            size: 1,
            content_type: "image/png".to_owned(),
            name: None,
            is_spooled: false,
        };
        Entry {
            id: EntryId::new(&id).unwrap(),
            recorded: now,
            time: now,
            ..put.entry().unwrap()
        }
    }

    /// What was to come by then comes, each at its time.
    async fn pass(&mut self, until: Timestamp) {
        loop {
            let uploads = self.spooled.iter().map(|(due, ..)| *due).min();
            let entries = self.journaled.iter().map(|(due, ..)| *due).min();
            let next = uploads.into_iter().chain(entries).min();
            let Some(next) = next.filter(|next| *next <= until) else {
                break;
            };
            self.clock.set(next.max(self.clock.now()));
            if let Some(number) = self.spooled.iter().position(|(due, ..)| *due == next) {
                if self.spooled[number].1 == HERE {
                    self.upload_here().await;
                } else {
                    let (_, replica, file) = self.spooled.remove(number);
                    self.put(replica, file).await;
                }
            } else if let Some(number) = self.journaled.iter().position(|(due, ..)| *due == next) {
                let (_, entry, stands) = self.journaled.remove(number);
                self.publish(&entry).await;
                if let (Some(stands), Some(journal)) = (stands, &self.journal) {
                    journal.remove(&stands);
                    journal.settle().await;
                }
            }
        }
        self.clock.set(until);
    }

    /// An entry comes into the bucket.
    async fn publish(&mut self, entry: &Entry) {
        self.number += 1;
        let time = self.clock.now().to_zoned(jiff::tz::TimeZone::UTC);
        let stamp = time.strftime("catalog/%Y-%m-%d/%H/%Y%m%dT%H%M%S%.6fZ");
        let key = format!("{stamp}-{:08x}-00000000.jsonl", self.number);
        let line = format!("{}\n", serde_json::to_string(entry).unwrap());
        self.bucket().put(&key, line.into()).await.unwrap();
    }

    async fn files(&self) -> BTreeSet<File> {
        let mut files = BTreeSet::new();
        for of in 0..TENANTS.len() {
            for number in 0..DIGESTS {
                let file = (of, number);
                if self.bucket().has(&key(file)).await.unwrap() {
                    files.insert(file);
                }
            }
        }
        files
    }

    /// Every reference that is not too old leads to its bytes: in the bucket, or where they wait for it.
    async fn is_sound(&self, why: &dyn fmt::Debug) {
        let (now, files) = (self.clock.now(), self.files().await);
        for (file, at, kept) in &self.handed_out {
            let for_ever = TENANTS[file.0].1 == 0;
            if !for_ever && now.duration_since(*at) >= hours(*kept) {
                continue;
            }
            let waits = self.spooled.iter().any(|(_, replica, waits)| {
                let is_there = *replica != HERE
                    || (self.spool.as_ref()).is_some_and(|(_, behind)| {
                        behind.of_tenant(&tenant(*file)).is_spooled(&digest(*file))
                    });
                waits == file && is_there
            });
            assert!(
                files.contains(file) || waits,
                "after {why:?} at {now}: {file:?} of {at} leads nowhere"
            );
        }
    }
}

fn file() -> impl Strategy<Value = File> {
    (0..TENANTS.len(), 0..DIGESTS)
}

fn sent() -> impl Strategy<Value = Event> {
    let upload = prop::option::weighted(0.3, 0..200u64);
    // Some wait for the bucket for longer than the grace allows for.
    let entry = prop_oneof![Just(0), 0..DELAY, 0..400u64];
    (0..REPLICAS, file(), entry, upload).prop_map(|(replica, file, entry, upload)| Event::Sent {
        replica,
        file,
        entry,
        upload,
    })
}

fn referred() -> impl Strategy<Value = Event> {
    let waits = prop::option::of(0..400u64);
    (file(), waits).prop_map(|(file, waits)| Event::Referred { file, waits })
}

/// Anything, in any order.
fn anything() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        6 => sent(),
        2 => referred(),
        3 => prop_oneof![1..REFRESH, Just(GRACE), 1..120u64].prop_map(Event::Passes),
        2 => Just(Event::Planned),
        2 => Just(Event::CarriedOut),
    ];
    vec(event, 1..16)
}

/// Files become old and are marked, all sorts of things refer to them in their grace, and then it is swept.
fn turn() -> impl Strategy<Value = Vec<Event>> {
    let between = prop_oneof![
        2 => referred(),
        2 => sent(),
        2 => (1..REFRESH).prop_map(Event::Passes),
    ];
    let parts = (
        vec(sent(), 1..6),
        60..250u64,
        vec(between, 0..6),
        prop_oneof![1..GRACE, Just(GRACE)],
        prop::option::of(sent()),
    );
    parts.prop_map(|(sent, age, between, grace, late)| {
        let mut events = sent;
        events.extend([Event::Passes(age), Event::Planned, Event::CarriedOut]);
        events.extend(between);
        events.extend([Event::Passes(grace), Event::Planned]);
        events.extend(late);
        events.push(Event::CarriedOut);
        events
    })
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let parts = vec(prop_oneof![turn(), anything()], 1..6);
    parts.prop_map(|parts| parts.concat())
}

async fn holds(events: &[Event]) {
    let mut world = World::new();
    for event in events {
        world.happens(event).await;
        world.is_sound(event).await;
    }
    // Everything has come, nothing more comes, and two runs with the grace between them leave nothing.
    world.happens(&Event::Passes(1_000)).await;
    let before = world.files().await;
    world.happens(&Event::Planned).await;
    world.happens(&Event::CarriedOut).await;
    world.happens(&Event::Passes(GRACE)).await;
    world.happens(&Event::Planned).await;
    world.happens(&Event::CarriedOut).await;
    let left = world.files().await;
    let for_ever: BTreeSet<File> = before.iter().copied().filter(|file| file.0 == 2).collect();
    assert_eq!(left, for_ever);
    // What is gone is said to be, and is not listed.
    let catalog = Catalog::open_temporary(&world.store).unwrap();
    catalog.sync(Reach::All).await.unwrap();
    for file in before.difference(&left) {
        let (of, digest) = (tenant(*file), digest(*file));
        let tombstone = catalog.index().tombstone(&of, &digest).await;
        let tombstone = tombstone.unwrap().unwrap();
        assert!(tombstone.reason.starts_with("expired by retention"));
    }
    let menus = catalog
        .index()
        .menus(&slimspan::catalog::Tenants::All)
        .await;
    let tenants: Vec<_> = menus.unwrap().tenants;
    assert!(tenants.iter().all(|of| of.value == "ever"), "{tenants:?}");
    // And nothing stays behind of what was marked.
    let marks = world.bucket().list("catalog/gc", None).await.unwrap();
    let third = world.gc().plan(&|_| ()).await.unwrap();
    assert_eq!(third.due().count(), 0);
    assert!(marks.len() <= 1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(256), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_reference_dangles_and_nothing_stays(events in events()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(holds(&events));
    }
}

/// What may go wrong, one by one, where chance might miss it.
#[tokio::test]
async fn what_is_seen_between_mark_and_sweep_stays() {
    let file = (0, 0);
    let sent = |replica, entry, upload| Event::Sent {
        replica,
        file,
        entry,
        upload,
    };
    let old = [sent(0, 0, None), Event::Passes(REFRESH + 101)];
    let marked = [Event::Planned, Event::CarriedOut];
    for between in [
        // Put again by another replica, whose entry is late.
        vec![
            Event::Passes(40),
            sent(1, DELAY - 1, None),
            Event::Passes(10),
        ],
        // The same, and counted as stored by it since.
        vec![
            Event::Passes(30),
            sent(1, DELAY - 1, None),
            Event::Passes(REFRESH - 1),
            sent(1, DELAY - 1, None),
        ],
        // Put between the look and the end.
        vec![Event::Passes(GRACE), Event::Planned, sent(2, 5, None)],
        // Referred to without being stored, while its own time stays as it is.
        vec![
            Event::Passes(40),
            Event::Referred { file, waits: None },
            Event::Passes(10),
        ],
        // The same where what says so is in a journal of this machine, and not in the bucket.
        vec![
            Event::Passes(40),
            Event::Referred {
                file,
                waits: Some(300),
            },
            Event::Passes(10),
        ],
        // Waits in a spool for longer than all of that.
        vec![sent(1, 0, Some(300)), Event::Passes(GRACE)],
        vec![sent(HERE, 0, Some(300)), Event::Passes(GRACE)],
    ] {
        let mut world = World::new();
        let events = old.iter().chain(&marked).chain(&between);
        for event in events {
            world.happens(event).await;
            world.is_sound(event).await;
        }
        if world.plan.is_none() {
            world.happens(&Event::Planned).await;
        }
        world.happens(&Event::CarriedOut).await;
        world.is_sound(&between).await;
        world.happens(&Event::Passes(1)).await;
        world.is_sound(&between).await;
    }
    // And where nothing of that was, it goes.
    let mut world = World::new();
    for event in old.iter().chain(&marked) {
        world.happens(event).await;
    }
    assert_eq!(world.files().await.len(), 1, "it is only marked");
    world.happens(&Event::Passes(GRACE - 1)).await;
    world.happens(&Event::Planned).await;
    assert_eq!(world.carry_out().await.removed, 0, "in its grace");
    world.happens(&Event::Passes(1)).await;
    world.happens(&Event::Planned).await;
    let swept = world.carry_out().await;
    assert_eq!((swept.removed, swept.bytes, swept.kept), (1, 1, 0));
    assert!(world.files().await.is_empty());
}

/// Whoever stored a file refers to it for `refresh` after that, and what says so may never come into the bucket:
/// the file is as old as such a reference could be.
#[tokio::test]
async fn what_may_have_been_referred_to_is_as_old_as_that() {
    const NEVER: u64 = 10_000;
    let sent = Event::Sent {
        replica: 1,
        file: (0, 0),
        entry: NEVER,
        upload: None,
    };
    let mut world = World::new();
    for event in [
        sent.clone(),
        Event::Passes(REFRESH - 1),
        sent,
        Event::Passes(100),
    ] {
        world.happens(&event).await;
    }
    world.happens(&Event::Planned).await;
    assert_eq!(world.carry_out().await.marked, 0, "of 100 hours ago");
    world.happens(&Event::Passes(2)).await;
    world.happens(&Event::Planned).await;
    assert_eq!(world.carry_out().await.marked, 1);
}

/// What a later version may have written about is not removed.
#[tokio::test]
async fn what_cannot_be_read_ends_it() {
    let world = World::new();
    let key = "catalog/2026-01-01/00/20260101T000000.000000Z-00000000-00000000.jsonl";
    let line = Bytes::from_static(b"{\"from\":\"later\"}\n");
    world.bucket().put(key, line).await.unwrap();
    let error = world.gc().plan(&|_| ()).await.unwrap_err();
    assert!(
        matches!(error, GcError::Unreadable { lines: 1, .. }),
        "{error}"
    );
}

#[test]
fn a_grace_that_is_too_short_is_refused_and_so_is_none() {
    let store = Store::open(&StoreConfig::new("memory://")).unwrap();
    let mut config = StoreConfig::new("memory://");
    let gc = |config: &StoreConfig| Gc::new(store.clone(), config).err();
    assert!(matches!(gc(&config), Some(GcError::KeepsAll)));
    config.catalog.retention = retention();
    assert!(gc(&config).is_none());
    config.refresh = Duration::from_hours(GRACE);
    assert!(matches!(gc(&config), Some(GcError::Grace(_))));
}

/// Where nobody writes down what refers to files, all of them look as if nothing did.
#[test]
fn without_a_catalog_nothing_is_removed() {
    let store = Store::open(&StoreConfig::new("memory://")).unwrap();
    let mut config = config("memory://");
    assert!(Gc::new(store.clone(), &config).is_ok());
    config.catalog.enabled = false;
    let refused = Gc::new(store, &config).err();
    assert!(matches!(refused, Some(GcError::NoCatalog)), "{refused:?}");
}

/// A line in a journal of this machine that a later version wrote may refer to anything.
#[tokio::test]
async fn what_cannot_be_read_in_a_journal_ends_it() {
    let home = tempfile::tempdir().unwrap();
    let mut config = config(home.path().join("store").to_str().unwrap());
    config.spool.directory = home.path().join("spool");
    config.catalog.directory = home.path().join("catalog");
    let store = Store::open(&config).unwrap();
    // It knows where its journal is.
    drop(Recorder::open(&config.catalog, &store, Arc::default()));
    let [of_bucket] = &entries_of(&config.catalog.directory)[..] else {
        panic!("there is a folder for the bucket");
    };
    let options = Options {
        segment_bytes: 1 << 20,
        max_bytes: 1 << 20,
        max_damaged_bytes: 1 << 20,
        fsync: false,
    };
    let opened = Journal::open(&of_bucket.join("journal-0"), options);
    let (journal, found) = opened.unwrap();
    assert_eq!(found.entries.len(), 0);
    let readable = World::new().entry((0, 0), Timestamp::now());
    let readable = serde_json::to_string(&readable).unwrap();
    let append = async |line: &str| {
        let line = Bytes::from(format!("{line}\n"));
        journal.append(&[line]).await.unwrap();
    };
    append(&readable).await;
    assert!(Gc::new(store.clone(), &config).is_ok());
    append("{\"from\":\"later\"}").await;
    let refused = Gc::new(store, &config).err();
    assert!(
        matches!(refused, Some(GcError::LocalEntry { .. })),
        "{refused:?}"
    );
}

/// What waits in the spool or in a journal of this machine is needed, whoever runs here.
#[tokio::test]
async fn what_waits_on_this_machine_is_kept() {
    let home = tempfile::tempdir().unwrap();
    let mut config = config(home.path().join("store").to_str().unwrap());
    config.spool = SpoolConfig {
        directory: home.path().join("spool"),
        ..SpoolConfig::default()
    };
    config.catalog.directory = home.path().join("catalog");
    let store = Store::open(&config).unwrap();
    let [old, spooled, journaled] = [0, 1, 2].map(|seed| artifact(seed, 5_000));
    for artifact in [&old, &spooled, &journaled] {
        let one = std::slice::from_ref(artifact);
        store.put_all(one).await.unwrap();
    }
    let behind = Store::open(&config).unwrap();
    let spool = Spool::open(&config.spool, "spool".to_owned(), &behind).unwrap();
    let behind = behind.with_spool(spool);
    let one = std::slice::from_ref(&spooled);
    behind.keep_all(one, Delivery::Background).await.unwrap();
    let recorder = Recorder::open(&config.catalog, &store, Arc::default());
    let mut world = World::new();
    let entry = Entry {
        tenant: TenantId::default(),
        digest: Some(journaled.digest),
        ..world.entry((0, 0), Timestamp::now())
    };
    recorder.record(vec![entry]).await;

    let later = Timestamp::now() + hours(90);
    let plan = async |hours_later: u64| {
        let local = Local::read(&store, &config).unwrap();
        let at = later + hours(hours_later);
        let gc = Gc::with(store.clone(), &config, local, Arc::new(move || at)).unwrap();
        (gc.plan(&|_| ()).await.unwrap(), gc)
    };
    // The files themselves are older than what refers to them: that is from now.
    age(&home.path().join("store/default"), 50);
    let (first, gc) = plan(0).await;
    let failed = |error: &_| panic!("{error}");
    let swept = gc.carry_out(&first, &|_| (), &failed).await.unwrap();
    assert_eq!(swept.marked, 1);
    let (second, _) = plan(GRACE).await;
    let due: Vec<&Expired> = second.due().collect();
    let due: Vec<Digest> = due.iter().map(|file| file.digest).collect();
    assert_eq!(due, [old.digest]);
}
