//! The index against a model: a list that is gone through.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::cmp::Reverse;
use std::collections::BTreeMap;

use jiff::Timestamp;
use proptest::collection::{btree_set, vec};
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;
use slimspan_artifact::Digest;

use super::*;
use crate::catalog::{Deleted, EntryId, SpanId, State, TypePattern};

const TYPES: [&str; 4] = ["image/png", "image/jpeg", "audio/wav", "imagery/png"];
const NAMES: [&str; 4] = ["chat", "Chat completion", "tool%_call", ""];

fn tenant(number: u8) -> TenantId {
    format!("tenant-{number}").parse().unwrap()
}

fn id(number: u8) -> EntryId {
    EntryId::new(&[number; 16]).unwrap()
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_760_000_000 + seconds).unwrap()
}

fn digest(number: u8) -> Digest {
    Digest::of(&[number])
}

/// An entry that is all in its number, but for when it was recorded and its state; lines about it may have another time.
fn entry(number: u8, recorded: i64, state: State) -> Entry {
    let pick = |of: usize| usize::from(number.wrapping_mul(89)) / 3 % of;
    Entry {
        id: id(number),
        recorded: at(recorded),
        settled: None,
        // Several have the same time.
        time: at(i64::from(number / 4)),
        tenant: tenant(number % 3),
        signal: [Some("traces"), Some("logs"), None][pick(3)].map(str::to_owned),
        service: format!("service-{}", number % 2),
        trace: TraceId::new(&[number % 5; 16]),
        span: SpanId::new(&[number % 10; 8]),
        span_name: NAMES[pick(4)].to_owned(),
        carrier: "span".to_owned(),
        carrier_index: number.is_multiple_of(4).then(|| u32::from(number)),
        event_name: number.is_multiple_of(4).then(|| format!("event {number}")),
        attribute: "input".to_owned(),
        path: number.is_multiple_of(2).then(|| format!("[{number}].data")),
        position: u32::from(number % 3),
        shape: "base64".to_owned(),
        digest: (!number.is_multiple_of(7)).then(|| digest(number % 7)),
        content_type: TYPES[usize::from(number % 4)].to_owned(),
        size: u64::from(number) * 100,
        file_name: number
            .is_multiple_of(6)
            .then(|| format!("CHART-{number}.png")),
        state,
    }
}

fn entries() -> impl Strategy<Value = Vec<Entry>> {
    let times = (0..40i64, of(0..40i64), of(0..30i64));
    let line = (1..120u8, times, select(&State::ALL[..]));
    let line = line.prop_map(|(number, (recorded, settled, time), state)| {
        let line = entry(number, recorded, state);
        Entry {
            settled: settled.map(at),
            // What is put again has the time at which it was, and everything else the one that it had.
            time: time.map_or(line.time, at),
            ..line
        }
    });
    vec(line, 0..150)
}

fn tombstones() -> impl Strategy<Value = Vec<Tombstone>> {
    let deleted = prop_oneof![
        4 => (1..7u8).prop_map(|number| Deleted::Artifact { digest: digest(number) }),
        2 => (1..5u8).prop_map(|number| Deleted::Trace { trace: TraceId::new(&[number; 16]).unwrap() }),
        1 => Just(Deleted::Tenant),
    ];
    let tombstone = (200..250u8, 0..40i64, of(1..9i64), 0..3u8, deleted);
    let tombstone = tombstone.prop_map(|(number, time, kept, of, deleted)| Tombstone {
        id: id(number),
        time: at(time),
        tenant: tenant(of),
        deleted,
        reason: "asked for".to_owned(),
        up_to: kept.map(|kept| at(time - kept)),
    });
    vec(tombstone, 0..4)
}

fn tenants() -> impl Strategy<Value = Tenants> {
    prop_oneof![
        Just(Tenants::All),
        btree_set((0..4u8).prop_map(tenant), 0..3).prop_map(Tenants::These),
    ]
}

fn filters() -> impl Strategy<Value = Filter> {
    let ids = (of(1..5u8), of(1..10u8), of(1..7u8));
    let times = (of(-5..35i64), of(-5..35i64));
    let sizes = (of(0..13_000u64), of(0..13_000u64));
    let texts = (
        of(select(vec!["service-0", "service-1", "service-2"])),
        of(select(vec![
            "image/png",
            "IMAGE/*",
            "audio/*",
            "image/",
            "text/*",
        ])),
        of(select(vec!["traces", "logs"])),
        of(select(vec!["chat", "CHAT", "%_", "chart-1", "absent"])),
    );
    let state = of(select(&State::ALL[..]));
    (tenants(), ids, times, sizes, texts, state).prop_map(
        |(tenants, (trace, span, of), (since, until), (min_size, max_size), texts, state)| {
            let (service, content_type, signal, name) = texts;
            Filter {
                tenants,
                trace: trace.and_then(|number| TraceId::new(&[number; 16])),
                span: span.and_then(|number| SpanId::new(&[number; 8])),
                digest: of.map(digest),
                service: service.map(str::to_owned),
                content_type: content_type.map(TypePattern::new),
                since: since.map(at),
                until: until.map(at),
                min_size,
                max_size,
                signal: signal.map(str::to_owned),
                name: name.map(str::to_owned),
                state,
            }
        },
    )
}

/// The filter as its documentation has it.
fn fits(filter: &Filter, entry: &Entry) -> bool {
    let contains = |text: &str, name: &str| {
        text.to_ascii_lowercase()
            .contains(&name.to_ascii_lowercase())
    };
    filter.tenants.include(&entry.tenant)
        && filter.trace.is_none_or(|trace| entry.trace == Some(trace))
        && filter.span.is_none_or(|span| entry.span == Some(span))
        && filter
            .digest
            .is_none_or(|digest| entry.digest == Some(digest))
        && filter
            .service
            .as_ref()
            .is_none_or(|service| entry.service == *service)
        && filter
            .content_type
            .as_ref()
            .is_none_or(|of| of.fits(&entry.content_type))
        && filter.since.is_none_or(|since| entry.time >= since)
        && filter.until.is_none_or(|until| entry.time < until)
        && filter.min_size.is_none_or(|size| entry.size >= size)
        && filter.max_size.is_none_or(|size| entry.size <= size)
        && filter
            .signal
            .as_ref()
            .is_none_or(|signal| entry.signal.as_ref() == Some(signal))
        && filter.state.is_none_or(|state| entry.state == state)
        && filter.name.as_ref().is_none_or(|name| {
            contains(&entry.span_name, name)
                || entry
                    .file_name
                    .as_ref()
                    .is_some_and(|file| contains(file, name))
        })
}

/// What is left of lines and deletions, newest first.
fn model(lines: &[Entry], tombstones: &[Tombstone]) -> Vec<Entry> {
    // An id is used once; of several with it the first holds.
    let mut by_id: BTreeMap<EntryId, &Tombstone> = BTreeMap::new();
    for tombstone in tombstones {
        by_id.entry(tombstone.id).or_insert(tombstone);
    }
    let mut left: BTreeMap<EntryId, Entry> = BTreeMap::new();
    for line in lines {
        let deleted = |tombstone: &&Tombstone| {
            tombstone.tenant == line.tenant
                && line.recorded <= tombstone.up_to.unwrap_or(tombstone.time)
                && match tombstone.deleted {
                    Deleted::Artifact { digest } => line.digest == Some(digest),
                    Deleted::Trace { trace } => line.trace == Some(trace),
                    Deleted::Tenant => true,
                }
        };
        if by_id.values().any(deleted) {
            continue;
        }
        match left.get_mut(&line.id) {
            Some(known) if line.replaces(known) => *known = line.clone(),
            Some(_) => {}
            None => {
                left.insert(line.id, line.clone());
            }
        }
    }
    let mut left: Vec<_> = left.into_values().collect();
    left.sort_by_key(newest_first);
    left
}

/// The same entry as it is shown: of what its sender stores, what is known of that otherwise.
fn shown(left: &[Entry], entry: &Entry) -> Entry {
    let others = left.iter().filter(|other| {
        let is_same = other.digest == entry.digest && other.tenant == entry.tenant;
        is_same && other.state > State::Referred
    });
    let known = others.max_by_key(|other| (other.state, Reverse(newest_first(other))));
    match known {
        Some(known) if entry.state == State::Referred && entry.digest.is_some() => Entry {
            content_type: known.content_type.clone(),
            size: known.size,
            state: known.state,
            ..entry.clone()
        },
        _ => entry.clone(),
    }
}

/// The order of pages: newest first, and of one time what stands first.
fn newest_first(entry: &Entry) -> impl Ord + use<> {
    Reverse((entry.time, Reverse(entry.position), entry.id))
}

/// All pages, one after the other.
async fn all_pages(index: &Index, filter: &Filter, limit: usize) -> Vec<Entry> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = index.page(filter, limit, after).await.unwrap();
        assert!(page.entries.len() <= limit);
        all.extend(page.entries);
        let Some(next) = page.next else { return all };
        // It goes through an address of the API.
        after = Some(next.to_string().parse().unwrap());
    }
}

/// Whatever was asked for, every page after the other has each entry once, and no other.
async fn agrees(lines: &[Entry], tombstones: &[Tombstone], filters: &[Filter], limit: usize) {
    let index = Index::temporary("memory").unwrap();
    // In two parts, the second with what the first had, too, as replicas read them.
    let half = lines.len() / 2;
    for (lines, tombstones) in [(&lines[..half], &[][..]), (lines, tombstones)] {
        let (lines, tombstones) = (lines.to_vec(), tombstones.to_vec());
        index.apply(lines, tombstones, Vec::new()).await.unwrap();
    }
    let left = model(lines, tombstones);
    for filter in filters {
        let fitting: Vec<_> = left
            .iter()
            .filter(|entry| fits(filter, entry))
            .map(|entry| shown(&left, entry))
            .collect();
        assert_eq!(
            all_pages(&index, filter, limit).await,
            fitting,
            "{filter:?}"
        );
        let count = index.count(filter).await.unwrap();
        assert_eq!(count as usize, fitting.len());
        let visible = |entry: &&Entry| filter.tenants.include(&entry.tenant);
        let menus = index.menus(&filter.tenants).await.unwrap();
        assert_eq!(menus.entries as usize, left.iter().filter(visible).count());
        for service in menus.services {
            let of = |entry: &&Entry| visible(entry) && entry.service == service.value;
            assert_eq!(service.entries as usize, left.iter().filter(of).count());
        }
        for number in 1..7 {
            let places: Vec<_> = left
                .iter()
                .filter(visible)
                .filter(|entry| entry.digest == Some(digest(number)))
                .collect();
            let facts = index
                .artifact(&filter.tenants, &digest(number))
                .await
                .unwrap();
            assert_eq!(facts.is_some(), !places.is_empty());
            let Some(facts) = facts else { continue };
            assert_eq!(facts.references as usize, places.len());
            assert_eq!(facts.last, places[0].time);
            assert_eq!(Some(facts.first), places.last().map(|of| of.time));
            let known = places.iter().find(|of| of.state > State::Referred);
            let known = known.unwrap_or(&places[0]);
            assert_eq!(facts.size, known.size);
            assert_eq!(facts.content_type, known.content_type);
            let mut named = places.iter().filter_map(|of| of.file_name.clone());
            assert_eq!(facts.file_name, named.next());
            assert_eq!(Some(facts.state), places.iter().map(|of| of.state).max());
        }
        for number in 1..5 {
            let trace = TraceId::new(&[number; 16]).unwrap();
            let found = index.trace(&filter.tenants, trace).await.unwrap();
            let spans = found.map(|found| found.spans).unwrap_or_default();
            for span in &spans {
                let in_order = |entry: &Entry| (entry.time, entry.position);
                assert!(span.entries.is_sorted_by_key(in_order), "{span:?}");
            }
            let mut found: Vec<_> = spans.into_iter().flat_map(|span| span.entries).collect();
            found.sort_by_key(newest_first);
            let of = |entry: &&Entry| visible(entry) && entry.trace == Some(trace);
            let of_trace = left.iter().filter(of).map(|entry| shown(&left, entry));
            assert_eq!(found, of_trace.collect::<Vec<_>>());
        }
    }
    for number in 1..7 {
        for of in (0..3).map(tenant) {
            let buried = tombstones.iter().any(|tombstone| {
                tombstone.tenant == of
                    && match tombstone.deleted {
                        Deleted::Artifact { digest: deleted } => deleted == digest(number),
                        Deleted::Trace { .. } => false,
                        Deleted::Tenant => true,
                    }
            });
            let still_used = left.iter().any(|entry| {
                let is_it = entry.tenant == of && entry.digest == Some(digest(number));
                // To refer to it brings no bytes back.
                is_it && entry.state > State::Referred
            });
            let tombstone = index.tombstone(&of, &digest(number)).await.unwrap();
            // Two with one id are one.
            let ids: std::collections::BTreeSet<_> = tombstones.iter().map(|of| of.id).collect();
            if ids.len() == tombstones.len() {
                assert_eq!(tombstone.is_some(), buried && !still_used);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_answers_as_a_list_that_is_gone_through(
        lines in entries(),
        tombstones in tombstones(),
        filters in vec(filters(), 1..8),
        limit in 1..20usize,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(agrees(&lines, &tombstones, &filters, limit));
    }
}

/// What is put again is listed at the time at which it was, wherever that is looked for: as by who reads that line alone,
/// after it was merged.
#[tokio::test]
async fn what_is_written_again_has_the_time_of_its_latest_line() {
    let line = |recorded: i64, time: i64| Entry {
        time: at(time),
        ..entry(6, recorded, State::Stored)
    };
    let other = Entry {
        time: at(10),
        ..entry(48, 10, State::Stored)
    };
    let lines = [line(1, 1), other, line(20, 20)];
    assert_eq!(lines[0].digest, lines[1].digest);
    let expected = [lines[2].clone(), lines[1].clone()];
    for order in [[0, 1, 2], [2, 1, 0]] {
        let index = Index::temporary("memory").unwrap();
        // Each in a transaction of its own, as they come from the bucket.
        for number in order {
            let line = vec![lines[number].clone()];
            let applied = index.apply(line, Vec::new(), Vec::new()).await;
            applied.unwrap();
        }
        let since = |seconds| Filter {
            since: Some(at(seconds)),
            ..Filter::default()
        };
        let of_it = Filter {
            digest: lines[0].digest,
            trace: lines[0].trace,
            span: lines[0].span,
            ..since(15)
        };
        assert_eq!(all_pages(&index, &Filter::default(), 1).await, expected);
        assert_eq!(all_pages(&index, &since(15), 1).await, expected[..1]);
        assert_eq!(all_pages(&index, &of_it, 1).await, expected[..1]);
        let facts = index.artifact(&Tenants::All, &digest(6)).await;
        let facts = facts.unwrap().unwrap();
        assert_eq!((facts.first, facts.last), (at(10), at(20)));
        assert_eq!(index.menus(&Tenants::All).await.unwrap().entries, 2);
    }
}

/// Both ways to go through many facets: one by one where few entries fit, and in the order of time.
#[tokio::test]
async fn many_services_are_listed_in_order() {
    let index = Index::temporary("memory").unwrap();
    let lines: Vec<Entry> = (0..3_000u16)
        .map(|number| {
            let mut id = [1; 16];
            id[..2].copy_from_slice(&number.to_be_bytes());
            Entry {
                id: EntryId::new(&id).unwrap(),
                time: at(i64::from(number % 700)),
                service: format!("service-{}", number % 40),
                content_type: if number % 300 < 8 {
                    "video/mp4"
                } else {
                    "image/png"
                }
                .to_owned(),
                ..entry(1, 0, State::Stored)
            }
        })
        .collect();
    index
        .apply(lines.clone(), Vec::new(), Vec::new())
        .await
        .unwrap();
    let left = model(&lines, &[]);
    for content_type in ["video/*", "image/png"] {
        let filter = Filter {
            content_type: Some(TypePattern::new(content_type)),
            ..Filter::default()
        };
        let fitting: Vec<_> = left
            .iter()
            .filter(|entry| fits(&filter, entry))
            .cloned()
            .collect();
        assert!(!fitting.is_empty());
        assert_eq!(all_pages(&index, &filter, 7).await, fitting);
    }
}

#[tokio::test]
async fn an_index_outlives_its_process_and_no_change_of_bucket_or_format() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("catalog/index.sqlite");
    let count = async |index: &Index| index.menus(&Tenants::All).await.unwrap().entries;
    let index = Index::open(&path, "s3://one").unwrap();
    let object = vec!["catalog/2026-01-01/00/a.jsonl".to_owned()];
    let lines = vec![entry(1, 0, State::Stored)];
    index
        .apply(lines.clone(), Vec::new(), object.clone())
        .await
        .unwrap();
    // Another process of the machine has it open at the same time.
    let beside = Index::open(&path, "s3://one").unwrap();
    assert_eq!(count(&beside).await, 1);
    let more = vec![entry(2, 0, State::Stored)];
    beside.apply(more, Vec::new(), Vec::new()).await.unwrap();
    assert_eq!(count(&index).await, 2);
    drop((index, beside));

    let again = Index::open(&path, "s3://one").unwrap();
    assert_eq!(count(&again).await, 2);
    assert!(again.missing(object.clone()).await.unwrap().is_empty());
    drop(again);

    let other = Index::open(&path, "s3://two").unwrap();
    assert_eq!(count(&other).await, 0);
    assert_eq!(other.missing(object.clone()).await.unwrap(), object);
    other
        .apply(lines.clone(), Vec::new(), Vec::new())
        .await
        .unwrap();
    drop(other);

    let raw = Connection::open(&path).unwrap();
    raw.execute("UPDATE about SET format = format + 1", [])
        .unwrap();
    drop(raw);
    let later = Index::open(&path, "s3://two").unwrap();
    assert_eq!(count(&later).await, 0);
    drop(later);

    std::fs::write(
        &path,
        b"this is no database, but long enough to look like a file of one".repeat(99),
    )
    .unwrap();
    let anew = Index::open(&path, "s3://two").unwrap();
    assert_eq!(count(&anew).await, 0);
}

/// Whichever version has one open keeps it, and another one is told so.
#[tokio::test]
async fn an_index_that_is_used_is_not_thrown_away() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("index.sqlite");
    let open = || Index::open(&path, "s3://one");
    let count = async |index: &Index| index.count(&Filter::default()).await.unwrap();
    let change = |by: &str| {
        let raw = Connection::open(&path).unwrap();
        let change = format!("UPDATE about SET format = format {by}");
        raw.execute(&change, []).unwrap();
    };
    let used = open().unwrap();
    let lines = vec![entry(1, 0, State::Stored)];
    used.apply(lines, Vec::new(), Vec::new()).await.unwrap();
    change("+ 1");
    let refused = open().unwrap_err();
    assert!(matches!(refused, CatalogError::InUse { .. }), "{refused}");
    assert_eq!(count(&used).await, 1);
    change("- 1");
    assert_eq!(count(&open().unwrap()).await, 1, "it is as it was");
    change("+ 1");
    drop(used);
    assert_eq!(count(&open().unwrap()).await, 0);
}

/// While very much is read it answers as well, only slower; and where that broke off, it is made good.
#[tokio::test]
async fn it_answers_while_very_much_is_read() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("index.sqlite");
    let index = Index::open(&path, "s3://one").unwrap();
    let lines: Vec<Entry> = (1..120).map(|of| entry(of, 0, State::Spooled)).collect();
    let left = model(&lines, &[]);
    let filters = [
        Filter::default(),
        Filter {
            name: Some("chat".to_owned()),
            ..Filter::default()
        },
        Filter {
            min_size: Some(10_000),
            state: Some(State::Spooled),
            ..Filter::default()
        },
        Filter {
            trace: TraceId::new(&[1; 16]),
            ..Filter::default()
        },
    ];
    let answers = async |index: &Index| {
        for filter in &filters {
            let fitting: Vec<_> = left.iter().filter(|of| fits(filter, of)).cloned().collect();
            assert_eq!(all_pages(index, filter, 7).await, fitting, "{filter:?}");
        }
    };
    let indexes = || {
        let raw = Connection::open(&path).unwrap();
        let all = "SELECT count(*) FROM sqlite_master WHERE name LIKE 'entry_by_%'";
        raw.query_row(all, [], |row| row.get::<_, i64>(0)).unwrap()
    };
    let all = indexes();
    index.begin_load().await.unwrap();
    assert!(indexes() < all);
    index
        .apply(lines.clone(), Vec::new(), Vec::new())
        .await
        .unwrap();
    answers(&index).await;
    // As after a kill.
    drop(index);
    let again = Index::open(&path, "s3://one").unwrap();
    assert_eq!(indexes(), all);
    answers(&again).await;
    // One that has something keeps them.
    again.begin_load().await.unwrap();
    assert_eq!(indexes(), all);
    again.end_load().await.unwrap();
    answers(&again).await;
}

/// What a version before wrote, which knew less of an entry.
#[test]
fn lines_of_earlier_versions_are_read() {
    let expected = Entry {
        position: 0,
        carrier_index: None,
        event_name: None,
        path: None,
        ..entry(4, 0, State::Stored)
    };
    let mut line = serde_json::to_value(entry(4, 0, State::Stored)).unwrap();
    let members = line.as_object_mut().unwrap();
    for later in ["position", "settled", "carrier_index", "event_name", "path"] {
        assert!(members.remove(later).is_some(), "{later}");
    }
    let read = super::super::recorder::from_lines(line.to_string().as_bytes());
    assert_eq!(read, (vec![expected], 0));
}

/// Objects that a whole listing did not show are forgotten, and no others: deletions are not read anew.
#[tokio::test]
async fn objects_that_are_gone_are_forgotten() {
    let index = Index::temporary("memory").unwrap();
    let keys = [
        "catalog/2026-01-01/00/a.jsonl",
        "catalog/2026-01-01/00/b.jsonl",
    ]
    .map(str::to_owned);
    let deletion = "catalog/tombstones/a.json".to_owned();
    let all = [keys.to_vec(), vec![deletion.clone()]].concat();
    index
        .apply(Vec::new(), Vec::new(), all.clone())
        .await
        .unwrap();
    let listing = index.begin_listing().await.unwrap();
    let [first, second] = keys;
    let new = "catalog/2026-01-01/00/c.jsonl".to_owned();
    let listed = vec![first.clone(), new.clone()];
    let missing = index.missing_in(listing, listed).await.unwrap();
    assert_eq!(missing, std::slice::from_ref(&new));
    index
        .apply(Vec::new(), Vec::new(), vec![new])
        .await
        .unwrap();
    let forgotten = index
        .end_listing(listing, super::super::layout::ENTRIES_BETWEEN)
        .await;
    assert_eq!(forgotten.unwrap(), 1);
    assert_eq!(index.missing(all).await.unwrap(), [second]);
}

/// What an earlier version could not read is read again by one that can, and counts as unread until it is.
#[tokio::test]
async fn what_another_version_could_not_read_is_read_again() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("index.sqlite");
    let keys = [
        "catalog/2026-01-01/00/a.jsonl",
        "catalog/2026-01-01/00/b.jsonl",
    ]
    .map(str::to_owned);
    let [whole, part] = keys.clone();
    let index = Index::open(&path, "memory").unwrap();
    index
        .note_unreadable(vec![(part.clone(), 2)])
        .await
        .unwrap();
    index
        .apply(Vec::new(), Vec::new(), keys.to_vec())
        .await
        .unwrap();
    // The same version need not try again.
    assert!(index.missing(keys.to_vec()).await.unwrap().is_empty());
    assert_eq!(index.unreadable().await.unwrap(), Some((part.clone(), 2)));
    drop(index);

    let raw = Connection::open(&path).unwrap();
    raw.execute("UPDATE unreadable SET version = '0.0.1'", [])
        .unwrap();
    drop(raw);
    let later = Index::open(&path, "memory").unwrap();
    let unread = std::slice::from_ref(&part);
    assert_eq!(later.missing(keys.to_vec()).await.unwrap(), unread);
    let listing = later.begin_listing().await.unwrap();
    let missing = later.missing_in(listing, keys.to_vec()).await.unwrap();
    assert_eq!(missing, unread);
    // Nobody deletes anything in between.
    assert_eq!(later.unreadable().await.unwrap(), Some((part.clone(), 2)));
    // It is there, whether it can be read or not.
    let between = super::super::layout::ENTRIES_BETWEEN;
    assert_eq!(later.end_listing(listing, between).await.unwrap(), 0);

    // One line less, and still one.
    later
        .note_unreadable(vec![(part.clone(), 1)])
        .await
        .unwrap();
    let read = async || {
        later
            .apply(Vec::new(), Vec::new(), vec![part.clone()])
            .await
    };
    read().await.unwrap();
    assert_eq!(later.unreadable().await.unwrap(), Some((part.clone(), 1)));
    assert!(later.missing(keys.to_vec()).await.unwrap().is_empty());

    let raw = Connection::open(&path).unwrap();
    raw.execute("UPDATE unreadable SET version = '0.0.1'", [])
        .unwrap();
    drop(raw);
    read().await.unwrap();
    assert_eq!(later.unreadable().await.unwrap(), None);
    assert!(later.missing(vec![whole, part]).await.unwrap().is_empty());
}

/// While nobody looked, another trace may have come to refer to a file that went with one.
#[tokio::test]
async fn what_went_with_a_trace_is_not_kept_back_before_a_new_process_has_looked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index.sqlite");
    let of = tenant(0);
    let kept_back = async |index: &Index| {
        let told = index.kept_back(&of, vec![digest(1)]).await.unwrap();
        told.len()
    };
    let look = async |index: &Index| {
        let listing = index.begin_listing().await.unwrap();
        index.begin_load().await.unwrap();
        index.end_load().await.unwrap();
        let between = super::super::layout::ENTRIES_BETWEEN;
        index.end_listing(listing, between).await.unwrap();
    };
    let first = Index::open(&path, "s3://media").unwrap();
    let with_a_trace = Tombstone {
        id: id(1),
        time: at(100),
        tenant: of.clone(),
        deleted: Deleted::Artifact { digest: digest(1) },
        reason: String::new(),
        up_to: Some(Timestamp::UNIX_EPOCH),
    };
    let applied = first.apply(Vec::new(), vec![with_a_trace], Vec::new());
    applied.await.unwrap();
    look(&first).await;
    assert_eq!(kept_back(&first).await, 1);
    drop(first);
    let next = Index::open(&path, "s3://media").unwrap();
    assert_eq!(kept_back(&next).await, 0, "days may have passed");
    look(&next).await;
    assert_eq!(kept_back(&next).await, 1);
}

/// What goes with a trace may be referred to by lines that are not known: it is not kept back for a trace then, and
/// what was deleted by itself is.
#[tokio::test]
async fn what_goes_with_a_trace_is_kept_back_where_all_lines_are_known() {
    let index = Index::temporary("memory").unwrap();
    let of = tenant(0);
    let deleted = |number: u8, up_to| Tombstone {
        id: id(number),
        time: at(100),
        tenant: of.clone(),
        deleted: Deleted::Artifact {
            digest: digest(number),
        },
        reason: String::new(),
        up_to,
    };
    let (by_itself, with_trace) = (deleted(1, None), deleted(2, Some(Timestamp::UNIX_EPOCH)));
    let tombstones = vec![by_itself.clone(), with_trace.clone()];
    index
        .apply(Vec::new(), tombstones, Vec::new())
        .await
        .unwrap();
    let kept_back = async || {
        let digests = [1, 2, 3].map(digest).to_vec();
        index.kept_back(&of, digests).await.unwrap()
    };
    let of_digest = |number: u8, tombstone: &Tombstone, settled| {
        let tombstone = tombstone.clone();
        (digest(number), KeptBack { tombstone, settled })
    };
    let alone = vec![of_digest(1, &by_itself, None)];
    let both = [alone.clone(), vec![of_digest(2, &with_trace, None)]].concat();
    assert_eq!(kept_back().await, alone, "nothing was listed yet");
    let listing = index.begin_listing().await.unwrap();
    index.begin_load().await.unwrap();
    assert_eq!(kept_back().await, alone, "it is filled");
    index.end_load().await.unwrap();
    assert_eq!(
        kept_back().await,
        alone,
        "the store may have failed halfway"
    );
    let between = super::super::layout::ENTRIES_BETWEEN;
    index.end_listing(listing, between).await.unwrap();
    assert_eq!(kept_back().await, both);

    let key = "catalog/2026-01-01/00/a.jsonl".to_owned();
    let unread = vec![(key.clone(), 1)];
    index.note_unreadable(unread).await.unwrap();
    index
        .apply(Vec::new(), Vec::new(), vec![key])
        .await
        .unwrap();
    assert_eq!(kept_back().await, alone, "some lines cannot be read");
    // It is gone from the bucket.
    let forgotten = index.end_listing(listing + 1, between).await.unwrap();
    assert_eq!(forgotten, 1);
    assert_eq!(kept_back().await, both);

    // It is told later that a spool gave it to the store, for a trace that is deleted; and the latest of that counts.
    let trace = TraceId::new(&[8; 16]).unwrap();
    let of_trace = Tombstone {
        id: id(3),
        deleted: Deleted::Trace { trace },
        ..by_itself.clone()
    };
    index
        .apply(Vec::new(), vec![of_trace], Vec::new())
        .await
        .unwrap();
    for settled in [None, Some(at(300)), Some(at(200))] {
        let late = Entry {
            tenant: of.clone(),
            digest: Some(digest(2)),
            trace: Some(trace),
            settled,
            ..entry(2, 0, State::Stored)
        };
        let applied = index.apply(vec![late], Vec::new(), Vec::new()).await;
        assert_eq!(applied.unwrap().hidden, 1);
        let settled = settled.map(|_| at(300));
        let told = of_digest(2, &with_trace, settled);
        assert_eq!(kept_back().await, [alone.clone(), vec![told]].concat());
    }

    // Something else refers to it.
    let other = Entry {
        tenant: of.clone(),
        digest: Some(digest(2)),
        trace: TraceId::new(&[9; 16]),
        ..entry(1, 0, State::Stored)
    };
    index
        .apply(vec![other], Vec::new(), Vec::new())
        .await
        .unwrap();
    assert_eq!(kept_back().await, alone);
}

/// Who says that they store a file deletes none with their trace, keeps none and brings none back: who has done so does.
/// It is shown as what is known of the file.
#[tokio::test]
async fn what_is_only_referred_to_neither_takes_a_file_nor_keeps_it() {
    let index = Index::temporary("memory").unwrap();
    let of = tenant(0);
    let [trace, other] = [1, 2].map(|number| TraceId::new(&[number; 16]).unwrap());
    let line = |number: u8, trace, wanted: u8, state| Entry {
        tenant: of.clone(),
        signal: Some("traces".to_owned()),
        digest: Some(digest(wanted)),
        trace: Some(trace),
        content_type: format!("said/{number}"),
        ..entry(number, 0, state)
    };
    let put = Entry {
        signal: None,
        trace: None,
        content_type: "image/png".to_owned(),
        size: 5,
        ..line(9, trace, 1, State::Spooled)
    };
    let lines = vec![
        line(1, trace, 1, State::Referred),
        line(2, trace, 2, State::Stored),
        line(3, other, 2, State::Referred),
        line(4, trace, 3, State::Stored),
        line(5, trace, 3, State::Referred),
        line(6, trace, 4, State::Referred),
        put,
    ];
    index.apply(lines, Vec::new(), Vec::new()).await.unwrap();
    // What was put and what nobody has seen stay; another trace does not keep what it only says to store.
    let both = async || {
        let only = index.only_in(&of, trace, Timestamp::MAX).await.unwrap();
        let only: std::collections::BTreeSet<_> = only.into_iter().collect();
        assert!(only == [digest(2), digest(3)].into(), "{only:?}");
    };
    both().await;
    let all = Filter::default();
    let shown = index.page(&all, 100, None).await.unwrap().entries;
    let shown = |number: u8| shown.iter().find(|entry| entry.id == id(number)).unwrap();
    let known = ("image/png", 5, State::Spooled);
    for (number, expected) in [
        (1, known),
        (3, ("said/2", 200, State::Stored)),
        (6, ("said/6", 600, State::Referred)),
    ] {
        let entry = shown(number);
        let told = (entry.content_type.as_str(), entry.size, entry.state);
        assert_eq!(told, expected, "{number}");
    }
    let facts = index.artifact(&Tenants::All, &digest(2)).await.unwrap();
    assert_eq!(
        facts.unwrap().content_type,
        "said/2",
        "its sender's word is the newer one"
    );

    let deleted = |number: u8, deleted, up_to| Tombstone {
        id: id(number),
        time: at(100),
        tenant: of.clone(),
        deleted,
        reason: String::new(),
        up_to,
    };
    let of_trace = deleted(1, Deleted::Trace { trace }, None);
    index
        .apply(Vec::new(), vec![of_trace], Vec::new())
        .await
        .unwrap();
    both().await;
    let late = line(7, trace, 4, State::Referred);
    let applied = index
        .apply(vec![late.clone()], Vec::new(), Vec::new())
        .await;
    assert_eq!(applied.unwrap().hidden, 1);
    both().await;
    let lasting = index.lasting(vec![late]).await.unwrap();
    assert_eq!((lasting.entries.len(), lasting.hidden.len()), (0, 0));

    // Whatever it was deleted with.
    for (number, up_to) in [(2, None), (3, Some(Timestamp::UNIX_EPOCH))] {
        let wanted = digest(number + 3);
        let of_file = deleted(number, Deleted::Artifact { digest: wanted }, up_to);
        index
            .apply(Vec::new(), vec![of_file], Vec::new())
            .await
            .unwrap();
        for state in [State::Referred, State::Dropped] {
            let reference = Entry {
                recorded: at(200),
                ..line(number + 20, other, number + 3, state)
            };
            index
                .apply(vec![reference], Vec::new(), Vec::new())
                .await
                .unwrap();
            let told = index.tombstone(&of, &wanted).await.unwrap();
            assert_eq!(told.is_some(), state == State::Referred, "{number}");
        }
    }
}
