//! The catalog: every reference that leaves is written down in the bucket, and telemetry never fails for it.

mod duckdb;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use slimspan::catalog::{Catalog, Entry, Filter, Reach, State};
use slimspan::storage::{Store, StoreConfig};
use slimspan_artifact::Digest;
use slimspan_proto::Signal;
use tempfile::TempDir;
use tokio::sync::Semaphore;
use tonic::Code;

use crate::support::backend::Backend;
use crate::support::references::files;
use crate::support::slimspan::{Slimspan, run};
use crate::support::{config, otlp, soon};

/// The standard configuration with a catalog that is put soon.
fn with_catalog(backend: &Backend, interval: &str) -> Value {
    let mut config = config::standard(backend.address);
    config["extensions"]["artifact_store"]["catalog"] = json!({
        "directory": "./catalog",
        "interval": interval,
    });
    config
}

fn catalog(artifacts: &Path) -> Catalog {
    let config = StoreConfig::new(artifacts.to_str().unwrap());
    Catalog::open_temporary(&Store::open(&config).unwrap()).unwrap()
}

/// All entries, each once, newest first.
async fn entries(artifacts: &Path) -> Vec<Entry> {
    let catalog = catalog(artifacts);
    let synced = catalog.sync(Reach::All).await.unwrap();
    assert_eq!(synced.unreadable, 0);
    let (mut entries, mut after) = (Vec::new(), None);
    loop {
        let filter = Filter::default();
        let page = catalog.index().page(&filter, 500, after).await.unwrap();
        entries.extend(page.entries);
        after = page.next;
        if after.is_none() {
            return entries;
        }
    }
}

/// Waits for entries of which `is_it` is true.
async fn wait_for(artifacts: &Path, is_it: impl Fn(&[Entry]) -> bool) -> Vec<Entry> {
    soon("the catalog tells of it", async {
        loop {
            let entries = entries(artifacts).await;
            if is_it(&entries) {
                return entries;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await
}

#[tokio::test]
async fn every_reference_is_written_down_where_it_stands() {
    let backend = Backend::start().await;
    let mut config = with_catalog(&backend, "100ms");
    config["processors"]["artifact"]["rules"] =
        json!([{ "attributes": ["given.up"], "action": "drop" }]);
    let slimspan = Slimspan::start(&config).await;
    let sender = slimspan.sender().await;
    let photo = otlp::photo(1, 40_000);
    let part = |name: &str| {
        let file = String::from_utf8(match otlp::data_uri(&photo) {
            opentelemetry_proto::tonic::common::v1::any_value::Value::StringValue(text) => {
                text.into_bytes()
            }
            _ => Vec::new(),
        });
        let base64 = file.unwrap().split_once(',').unwrap().1.to_owned();
        otlp::text(format!(
            r#"{{"type":"file","filename":"{name}","mime_type":"image/png","data":"{base64}"}}"#
        ))
    };
    let span = otlp::span([
        ("picture", otlp::bytes(otlp::PICTURE)),
        ("again", otlp::data_uri(otlp::PICTURE)),
        ("chat", part("chart.png")),
        ("given.up", otlp::bytes(&otlp::photo(2, 30_000))),
        ("plain", otlp::text("nothing")),
    ]);
    // A sender that heard nothing sends it again, which is no new reference.
    for _ in 0..2 {
        sender.send(Signal::Traces, &span).await.unwrap();
    }
    let log = otlp::log(otlp::data_uri(otlp::PICTURE), []);
    sender.send(Signal::Logs, &log).await.unwrap();
    // Nothing of what has no files.
    sender
        .send(Signal::Traces, &otlp::plain_span(1))
        .await
        .unwrap();

    let found = wait_for(&slimspan.artifacts(), |entries| entries.len() >= 5).await;
    let by_attribute: BTreeMap<(&str, &str), &Entry> = found
        .iter()
        .map(|entry| ((entry.carrier.as_str(), entry.attribute.as_str()), entry))
        .collect();
    let places: Vec<_> = by_attribute.keys().copied().collect();
    assert_eq!(
        places,
        [
            ("log", "(body)"),
            ("span", "again"),
            ("span", "chat"),
            ("span", "given.up"),
            ("span", "picture"),
        ]
    );
    assert_eq!(found.len(), 5);
    // As they stand in the span.
    for (position, attribute) in ["picture", "again", "chat", "given.up"].iter().enumerate() {
        let entry = by_attribute[&("span", *attribute)];
        assert_eq!(entry.position as usize, position, "{attribute}");
    }
    let picture = Digest::of(otlp::PICTURE);
    for (place, shape, digest, size, state, file_name) in [
        (
            ("log", "(body)"),
            "data_uri",
            picture,
            otlp::PICTURE.len(),
            State::Stored,
            None,
        ),
        (
            ("span", "again"),
            "data_uri",
            picture,
            otlp::PICTURE.len(),
            State::Stored,
            None,
        ),
        (
            ("span", "picture"),
            "bytes",
            picture,
            otlp::PICTURE.len(),
            State::Stored,
            None,
        ),
        (
            ("span", "chat"),
            "base64",
            Digest::of(&photo),
            40_000,
            State::Stored,
            Some("chart.png"),
        ),
        (
            ("span", "given.up"),
            "bytes",
            Digest::of(&otlp::photo(2, 30_000)),
            30_000,
            State::Dropped,
            None,
        ),
    ] {
        let entry = by_attribute[&place];
        assert_eq!(entry.shape, shape, "{place:?}");
        assert_eq!(entry.digest, Some(digest), "{place:?}");
        assert_eq!(entry.size, size as u64, "{place:?}");
        assert_eq!(entry.state, state, "{place:?}");
        assert_eq!(entry.file_name.as_deref(), file_name, "{place:?}");
        assert_eq!(entry.content_type, "image/png", "{place:?}");
        assert_eq!(entry.tenant.as_str(), "default");
        assert_eq!(entry.time.as_second(), 1_700_000_000);
        let is_span = place.0 == "span";
        let ids = (
            entry.trace.map(|id| id.to_string()),
            entry.span.map(|id| id.to_string()),
        );
        let expected = is_span.then(|| ("07".repeat(16), "08".repeat(8))).unzip();
        assert_eq!(ids, expected, "{place:?}");
        assert_eq!(
            entry.signal.as_deref(),
            Some(if is_span { "traces" } else { "logs" })
        );
        assert_eq!(entry.span_name, if is_span { "chat gpt-4o" } else { "" });
    }
    assert_eq!(slimspan.stop().await.code, Some(0));
}

/// What was acknowledged is in the catalog, whenever the process is killed: while it waits in the journal, and
/// while it is put.
#[tokio::test]
async fn a_kill_loses_no_entry() {
    let backend = Backend::start().await;
    let home = Arc::new(TempDir::new().unwrap());
    let mut acknowledged = BTreeSet::new();
    let mut number = 0;
    for life in 0..8_u64 {
        // Every other one puts each entry at once, and is killed in the midst of that.
        let mut config = with_catalog(&backend, if life % 2 == 0 { "1h" } else { "1ms" });
        config["extensions"]["artifact_store"]["catalog"]["max_batch"] = json!("1KiB");
        let yaml = serde_json::to_string(&config).unwrap();
        let mut slimspan = Slimspan::spawn(Arc::clone(&home), &yaml);
        assert!(slimspan.ready().await, "{}", slimspan.stderr());
        let sender = slimspan.sender().await;
        for _ in 0..5 + life {
            let photo = otlp::photo(number, 20_000);
            number += 1;
            sender
                .send(Signal::Traces, &otlp::span_with(&photo))
                .await
                .unwrap();
            acknowledged.insert(Digest::of(&photo));
        }
        slimspan.kill().await;
    }
    let yaml = serde_json::to_string(&with_catalog(&backend, "100ms")).unwrap();
    let mut slimspan = Slimspan::spawn(Arc::clone(&home), &yaml);
    assert!(slimspan.ready().await, "{}", slimspan.stderr());
    let artifacts = home.path().join("artifacts");
    let found = wait_for(&artifacts, |entries| entries.len() >= acknowledged.len()).await;
    let digests: BTreeSet<_> = found.iter().filter_map(|entry| entry.digest).collect();
    assert_eq!(digests, acknowledged);
    assert_eq!(found.len(), acknowledged.len(), "each once");
}

/// A sender that goes away while the backend has its request takes no entry along: nobody may ever send it
/// again, and the backend has the reference.
#[tokio::test]
async fn what_has_left_is_written_down_also_where_its_sender_goes_away() {
    let gate = Arc::new(Semaphore::new(0));
    let backend = Backend::gated(&gate).await;
    let slimspan = Slimspan::start(&with_catalog(&backend, "50ms")).await;
    let sender = slimspan.sender().await;
    let request = otlp::span_with(otlp::PICTURE);
    let call = tokio::spawn(async move { sender.send(Signal::Traces, &request).await });
    backend.arrived(1).await;
    // With it goes its connection.
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    let found = wait_for(&slimspan.artifacts(), |entries| !entries.is_empty()).await;
    let digests: Vec<_> = found.iter().map(|entry| entry.digest).collect();
    assert_eq!(digests, [Some(Digest::of(otlp::PICTURE))]);
    // Until here it was not answered.
    assert_eq!(gate.available_permits(), 0);
}

/// What waits in a queue on disk leaves in a later life, and is listed also where the one that took it could write
/// nothing down.
#[tokio::test]
async fn what_a_queue_on_disk_sends_later_is_listed_whoever_took_it() {
    let gate = Arc::new(Semaphore::new(0));
    let backend = Backend::gated(&gate).await;
    let home = Arc::new(TempDir::new().unwrap());
    let artifacts = home.path().join("artifacts");
    std::fs::create_dir(&artifacts).unwrap();
    // Its entries are in memory, and gone with the process.
    let in_the_way = [artifacts.join("catalog"), home.path().join("catalog")];
    for path in &in_the_way {
        std::fs::write(path, "in the way").unwrap();
    }
    let mut config = with_catalog(&backend, "50ms");
    config["extensions"]["artifact_store"]["catalog"]["on_failure"] = json!("forward");
    config["exporters"]["otlp_grpc"]["sending_queue"] = json!({ "storage": "file_storage" });
    config["extensions"]["file_storage"] = json!({});
    config["service"]["extensions"] = json!(["artifact_store", "file_storage"]);
    let yaml = serde_json::to_string(&config).unwrap();
    let mut slimspan = Slimspan::spawn(Arc::clone(&home), &yaml);
    assert!(slimspan.ready().await, "{}", slimspan.stderr());
    let sender = slimspan.sender().await;
    let request = otlp::span_with(otlp::PICTURE);
    sender.send(Signal::Traces, &request).await.unwrap();
    slimspan.kill().await;

    for path in &in_the_way {
        std::fs::remove_file(path).unwrap();
    }
    gate.add_permits(100);
    let mut successor = Slimspan::spawn(Arc::clone(&home), &yaml);
    assert!(successor.ready().await, "{}", successor.stderr());
    let found = wait_for(&artifacts, |entries| !entries.is_empty()).await;
    let [entry] = &found[..] else {
        panic!("{found:?}");
    };
    assert_eq!(entry.digest, Some(Digest::of(otlp::PICTURE)));
    assert_eq!(entry.span_name, "chat gpt-4o");
    assert_eq!(entry.state, State::Stored);
}

/// A folder in which a catalog has neither a place to wait nor one to be put into.
fn without_a_place() -> TempDir {
    let folder = TempDir::new().unwrap();
    std::fs::create_dir(folder.path().join("artifacts")).unwrap();
    std::fs::write(folder.path().join("artifacts/catalog"), "in the way").unwrap();
    std::fs::write(folder.path().join("catalog"), "in the way").unwrap();
    folder
}

/// What is acknowledged is in the catalog: where nobody can write down what refers to a file, its sender keeps it. When
/// that is known, the backend does not get it once more each time.
#[tokio::test]
async fn what_nobody_can_write_down_is_refused_until_somebody_can() {
    let backend = Backend::start().await;
    let home = Arc::new(without_a_place());
    let artifacts = home.path().join("artifacts");
    let yaml = serde_json::to_string(&with_catalog(&backend, "50ms")).unwrap();
    let mut slimspan = Slimspan::spawn(Arc::clone(&home), &yaml);
    assert!(slimspan.ready().await, "{}", slimspan.stderr());
    let sender = slimspan.sender().await;
    let request = otlp::span_with(otlp::PICTURE);
    for round in 0..3 {
        let refused = sender.send(Signal::Traces, &request).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unavailable, "{round}: {refused}");
        assert!(
            refused.message().contains("catalog.on_failure"),
            "{refused}"
        );
        slimspan.logs("the catalog waits for the store").await;
    }
    assert_eq!(backend.received().len(), 1);
    // What refers to nothing is no matter of the catalog.
    let plain = otlp::plain_span(1);
    sender.send(Signal::Traces, &plain).await.unwrap();
    std::fs::remove_file(artifacts.join("catalog")).unwrap();
    soon("it is taken", async {
        while sender.send(Signal::Traces, &request).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let log = slimspan.kill().await;
    assert_eq!(entries(&artifacts).await.len(), 1, "{log}");
}

/// A catalog that cannot be written costs no telemetry where that is preferred, is told, and is made good when it can.
#[tokio::test]
async fn telemetry_does_not_fail_for_its_catalog() {
    let backend = Backend::start().await;
    let folder = without_a_place();
    let mut config = with_catalog(&backend, "50ms");
    config["extensions"]["artifact_store"]["catalog"]["on_failure"] = json!("forward");
    // Nor one for the index of a server.
    config["extensions"]["artifact_server"] =
        json!({ "endpoint": "127.0.0.1:0", "pages": { "endpoint": "127.0.0.1:0" } });
    config["service"]["extensions"] = json!(["artifact_store", "artifact_server"]);
    let mut slimspan = Slimspan::start_in(folder, &config).await;
    slimspan
        .logs("extensions.artifact_store.catalog.directory")
        .await;
    slimspan.logs("is read anew at each start").await;
    let sender = slimspan.sender().await;
    let request = otlp::span_with(otlp::PICTURE);
    sender.send(Signal::Traces, &request).await.unwrap();
    slimspan.logs("the catalog waits for the store").await;
    sender
        .send(Signal::Traces, &otlp::span_with(&otlp::photo(1, 20_000)))
        .await
        .unwrap();
    std::fs::remove_file(slimspan.artifacts().join("catalog")).unwrap();
    let found = wait_for(&slimspan.artifacts(), |entries| entries.len() >= 2).await;
    assert_eq!(found.len(), 2);
}

/// What neither a disk nor the store took is lost with a reload, and with a stop, but not in silence.
#[tokio::test]
async fn entries_that_nobody_took_are_told_at_the_end() {
    let backend = Backend::start().await;
    let mut config = with_catalog(&backend, "50ms");
    config["extensions"]["artifact_store"]["catalog"]["on_failure"] = json!("forward");
    let mut slimspan = Slimspan::start_in(without_a_place(), &config).await;
    let told = "1 entries are missing in the catalog";
    let request = otlp::span_with(otlp::PICTURE);
    let sender = slimspan.sender().await;
    sender.send(Signal::Traces, &request).await.unwrap();
    slimspan.signal("HUP");
    slimspan.logs("reloaded the configuration").await;
    assert!(slimspan.stderr().contains(told), "{}", slimspan.stderr());
    let sender = slimspan.sender().await;
    sender.send(Signal::Traces, &request).await.unwrap();
    let ended = slimspan.stop().await;
    assert_eq!(ended.code, Some(0));
    assert_eq!(ended.stderr.matches(told).count(), 2, "{}", ended.stderr);
}

/// Where no disk takes an entry, the store has it before its sender is told that the request was taken.
#[tokio::test]
async fn a_kill_loses_no_entry_that_no_disk_takes() {
    let backend = Backend::start().await;
    let home = Arc::new(TempDir::new().unwrap());
    let artifacts = home.path().join("artifacts");
    std::fs::create_dir(&artifacts).unwrap();
    std::fs::write(home.path().join("catalog"), "in the way").unwrap();
    let yaml = serde_json::to_string(&with_catalog(&backend, "1h")).unwrap();
    let mut slimspan = Slimspan::spawn(Arc::clone(&home), &yaml);
    assert!(slimspan.ready().await, "{}", slimspan.stderr());
    let sender = slimspan.sender().await;
    let request = otlp::span_with(otlp::PICTURE);
    sender.send(Signal::Traces, &request).await.unwrap();
    let log = slimspan.kill().await;
    assert_eq!(entries(&artifacts).await.len(), 1, "{log}");
}

/// An artifact that waits in the spool is told as that, and as stored when it is.
#[tokio::test]
async fn what_is_spooled_is_told_to_be_stored_when_it_is() {
    let backend = Backend::start().await;
    let home = Arc::new(TempDir::new().unwrap());
    let artifacts = home.path().join("artifacts");
    std::fs::create_dir(&artifacts).unwrap();
    std::fs::write(artifacts.join("default"), "in the way").unwrap();
    let mut config = with_catalog(&backend, "50ms");
    config["processors"]["artifact"]["delivery"] = json!("background");
    let yaml = serde_json::to_string(&config).unwrap();
    let mut slimspan = Slimspan::spawn(Arc::clone(&home), &yaml);
    assert!(slimspan.ready().await, "{}", slimspan.stderr());
    let sender = slimspan.sender().await;
    let request = otlp::span_with(otlp::PICTURE);
    sender.send(Signal::Traces, &request).await.unwrap();
    let has = |state| move |entries: &[Entry]| matches!(entries, [one] if one.state == state);
    wait_for(&artifacts, has(State::Spooled)).await;
    // A kill between the two does not matter.
    slimspan.kill().await;
    std::fs::remove_file(artifacts.join("default")).unwrap();
    let mut successor = Slimspan::spawn(Arc::clone(&home), &yaml);
    assert!(successor.ready().await, "{}", successor.stderr());
    wait_for(&artifacts, has(State::Stored)).await;
}

/// The commands, beside a slimspan that runs.
#[tokio::test]
async fn files_are_listed_shown_and_deleted_from_the_command_line() {
    let backend = Backend::start().await;
    let slimspan = Slimspan::start(&with_catalog(&backend, "50ms")).await;
    let sender = slimspan.sender().await;
    let photo = otlp::photo(1, 30_000);
    let both = otlp::span([
        ("picture", otlp::bytes(otlp::PICTURE)),
        ("photo", otlp::chat_with(&photo)),
    ]);
    sender.send(Signal::Traces, &both).await.unwrap();
    // So that there are two objects.
    wait_for(&slimspan.artifacts(), |entries| entries.len() == 2).await;
    let log = otlp::log(otlp::data_uri(otlp::PICTURE), []);
    sender.send(Signal::Logs, &log).await.unwrap();
    wait_for(&slimspan.artifacts(), |entries| entries.len() == 3).await;
    let slimspan_does = async |arguments: &[&str]| {
        let config = ["--config", "collector.yaml"];
        let arguments = [arguments, &config].concat();
        run(slimspan.folder(), &arguments).await
    };
    let listed = async |arguments: &[&str]| {
        let ended = slimspan_does(&[&["ls", "--json"], arguments].concat()).await;
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        let lines = ended.stdout.lines();
        let entries = lines.map(|line| serde_json::from_str::<Entry>(line).unwrap());
        entries.collect::<Vec<_>>()
    };
    let (trace, picture) = ("07".repeat(16), Digest::of(otlp::PICTURE).to_string());
    let size = format!("{}B", photo.len());
    for (arguments, count) in [
        (&[][..], 3),
        (&["--limit", "2"], 2),
        (&["--trace", &trace], 2),
        (&["--artifact", &picture], 2),
        (&["--signal", "logs"], 1),
        (&["--type", "image/*"], 3),
        (&["--type", "audio/*"], 0),
        (&["--name", "GPT"], 2),
        (&["--min-size", &size], 1),
        (&["--until", "2020-01-01T00:00:00Z"], 0),
        (&["--tenant", "acme"], 0),
        (&["--state", "spooled"], 0),
    ] {
        assert_eq!(listed(arguments).await.len(), count, "{arguments:?}");
    }
    let all = listed(&[]).await;
    let paths = all.iter().filter_map(|of| of.path.as_deref());
    let path = "[0].content[0].image_url.url";
    assert_eq!(paths.collect::<Vec<_>>(), [path]);
    let table = slimspan_does(&["ls"]).await;
    assert!(table.stdout.contains("picture") && table.stdout.contains(&picture));
    assert!(table.stdout.contains(path), "{}", table.stdout);
    assert_eq!(table.stdout.lines().count(), 4, "{}", table.stdout);

    let shown = slimspan_does(&["stat", "--json", &picture]).await;
    let shown: Value = serde_json::from_str(&shown.stdout).unwrap();
    assert_eq!(shown["references"], json!(2));
    assert_eq!(shown["in_store"], json!(true));
    assert_eq!(shown["size_bytes"], json!(otlp::PICTURE.len()));
    assert_eq!(shown["places"].as_array().unwrap().len(), 2);

    // Nothing goes before somebody says so.
    let told = slimspan_does(&["rm", "--trace", &trace]).await;
    let of_others = "files that were put by themselves";
    assert!(told.stderr.contains(of_others), "{}", told.stderr);
    assert!(told.stdout.contains("with 2 references"), "{}", told.stdout);
    assert_eq!(listed(&[]).await.len(), 3);
    let rm = ["rm", "--trace", &trace, "--yes", "--reason", "a face"];
    let early = slimspan_does(&rm).await;
    assert_eq!(early.code, Some(0), "{}", early.stderr);
    let photo_is = Digest::of(&photo).to_string();
    assert!(
        early.stdout.contains("1 files were stored lately and stay"),
        "{}",
        early.stdout
    );
    assert!(early.stdout.contains(&photo_is), "{}", early.stdout);
    let stat = slimspan_does(&["stat", &photo_is]).await;
    assert!(
        stat.stderr.contains("the store still has it"),
        "{}",
        stat.stderr
    );
    for file in files(&slimspan.artifacts().join("default")) {
        let file = std::fs::File::options().write(true).open(file).unwrap();
        let days_ago = SystemTime::now() - Duration::from_hours(72);
        file.set_modified(days_ago).unwrap();
    }
    let done = slimspan_does(&rm).await;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert!(done.stdout.contains(": 1 files\n"), "{}", done.stdout);
    assert_eq!(
        listed(&[]).await.len(),
        1,
        "the log refers to its picture still"
    );
    let gone = slimspan_does(&["stat", &Digest::of(&photo).to_string()]).await;
    assert_eq!(gone.code, Some(1));
    assert!(gone.stderr.contains("a face"), "{}", gone.stderr);
    let again = ["rm", "--artifact", &photo_is, "--yes"];
    let told = slimspan_does(&again).await.stdout;
    assert!(
        told.contains(": 0 files, and 1 that were not there\n"),
        "{told}"
    );
    let told = slimspan_does(&[&again[..], &["--json"]].concat())
        .await
        .stdout;
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(
        (&told["artifacts"], &told["absent"]),
        (&json!(0), &json!(1)),
        "{told}"
    );
    let there = slimspan_does(&["stat", &picture]).await;
    assert!(there.stdout.contains("in store    yes"), "{}", there.stdout);
    let unknown = slimspan_does(&["stat", &"ab".repeat(32)]).await;
    assert_eq!(unknown.code, Some(1));

    let compacted = slimspan_does(&["catalog", "compact", "--json", "--older-than", "0"]).await;
    let compacted: Value = serde_json::from_str(&compacted.stdout).unwrap();
    // Those of two days are not merged, where midnight was between them.
    let merged = [json!([2, 1, 3, 1]), json!([0, 0, 0, 0])];
    let counts = ["merged", "written", "lines", "entries"].map(|count| &compacted[count]);
    assert!(merged.contains(&json!(counts)), "{compacted}");
    assert_eq!(listed(&[]).await.len(), 1);
}

/// Where nobody writes down what refers to files, none goes with a trace: another one may refer to it.
#[tokio::test]
async fn without_a_catalog_no_trace_is_deleted() {
    let backend = Backend::start().await;
    let mut config = with_catalog(&backend, "50ms");
    config["extensions"]["artifact_store"]["catalog"]["enabled"] = json!(false);
    let slimspan = Slimspan::start(&config).await;
    let sender = slimspan.sender().await;
    let request = otlp::span_with(otlp::PICTURE);
    sender.send(Signal::Traces, &request).await.unwrap();
    let trace = "07".repeat(16);
    let rm = async |arguments: &[&str]| {
        let rest = ["--yes", "--config", "collector.yaml"];
        run(slimspan.folder(), &[&["rm"], arguments, &rest].concat()).await
    };
    let refused = rm(&["--trace", &trace]).await;
    assert_ne!(refused.code, Some(0), "{}", refused.stdout);
    let why = "extensions.artifact_store.catalog.enabled is false";
    assert!(refused.stderr.contains(why), "{}", refused.stderr);
    assert!(!slimspan.artifacts().join("catalog").exists());
    // To delete a file is another wish.
    let picture = Digest::of(otlp::PICTURE).to_string();
    let done = rm(&["--artifact", &picture]).await;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert!(files(&slimspan.artifacts().join("default")).is_empty());
}

/// Two runs and the grace between them remove what nothing has referred to for too long, and say so.
#[tokio::test]
async fn files_that_nothing_refers_to_any_more_are_removed_in_two_runs() {
    let home = TempDir::new().unwrap();
    let mut config = config::standard(([127, 0, 0, 1], 9).into());
    config["extensions"]["artifact_store"]["catalog"] = json!({
        "directory": "./catalog",
        "retention": { "max_age": "240h", "by_tenant": { "ever": "0" }, "grace": "25h" },
    });
    let yaml = serde_json::to_string(&config).unwrap();
    std::fs::write(home.path().join("collector.yaml"), yaml).unwrap();
    let artifacts = home.path().join("artifacts");
    let days_ago = |days: u64| SystemTime::now() - Duration::from_hours(24 * days);
    let mut lines = String::new();
    for (number, (tenant, days)) in [("default", 30), ("default", 5), ("ever", 30)]
        .into_iter()
        .enumerate()
    {
        let photo = otlp::photo(number as u64, 20_000);
        let digest = Digest::of(&photo).to_string();
        let folder = artifacts.join(tenant).join("sha256").join(&digest[..2]);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(&digest), &photo).unwrap();
        let file = std::fs::File::options()
            .write(true)
            .open(folder.join(&digest));
        file.unwrap().set_modified(days_ago(30)).unwrap();
        let time = jiff::Timestamp::try_from(days_ago(days)).unwrap();
        let entry = json!({
            "id": format!("{:032x}", number + 1), "recorded": time.to_string(), "time": time.to_string(), "tenant": tenant,
            "signal": "traces", "service": "chat", "trace_id": "07".repeat(16), "span_id": null,
            "span_name": "", "carrier": "span", "attribute": "input", "shape": "bytes", "sha256": digest,
            "content_type": "image/png", "size_bytes": 20_000, "filename": null, "state": "stored",
        });
        lines.extend([entry.to_string(), "\n".to_owned()]);
    }
    let objects = artifacts.join("catalog/2026-01-01/00");
    std::fs::create_dir_all(&objects).unwrap();
    let object = "20260101T000000.000000Z-00000001-00000001.jsonl";
    std::fs::write(objects.join(object), &lines).unwrap();
    let gc = async |arguments: &[&str]| {
        let gc = ["gc", "--config", "collector.yaml"];
        let ended = run(home.path(), &[&gc[..], arguments].concat()).await;
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        ended.stdout
    };
    let stored = || files(&artifacts.join("default")).len() + files(&artifacts.join("ever")).len();
    let told = gc(&[]).await;
    assert!(told.contains("nothing is changed"), "{told}");
    assert!(files(&artifacts.join("catalog/gc")).is_empty());
    let told = gc(&["--yes"]).await;
    assert!(told.contains("marked 1, removed 0"), "{told}");
    let told = gc(&["--yes"]).await;
    assert!(told.contains("marked 0, removed 0"), "in its grace: {told}");
    assert_eq!(stored(), 3);

    let [marks] = &files(&artifacts.join("catalog/gc"))[..] else {
        panic!("one object has the marks");
    };
    let text = std::fs::read_to_string(marks).unwrap();
    let mut mark: Value = serde_json::from_str(&text).unwrap();
    mark["marked"] = json!(jiff::Timestamp::try_from(days_ago(2)).unwrap().to_string());
    std::fs::write(marks, format!("{mark}\n")).unwrap();
    let told: Value = serde_json::from_str(&gc(&["--yes", "--json"]).await).unwrap();
    assert_eq!(told["done"]["removed"], json!(1), "{told}");
    assert_eq!(told["done"]["removed_bytes"], json!(20_000), "{told}");
    assert_eq!(stored(), 2);
    let gone = Digest::of(&otlp::photo(0, 20_000)).to_string();
    let stat = ["stat", &gone, "--config", "collector.yaml"];
    let ended = run(home.path(), &stat).await;
    assert!(
        ended.stderr.contains("expired by retention"),
        "{}",
        ended.stderr
    );
    let told = gc(&["--yes"]).await;
    assert!(told.contains("marked 0, removed 0"), "{told}");
}
