//! `delivery: background`: the answer comes when the files are in the spool, and the store has them
//! when it can.

use std::path::{Path, PathBuf};
use std::time::Instant;

use bytes::Bytes;
use serde_json::{Value, json};
use slimspan_artifact::Digest;
use slimspan_proto::Signal;
use tokio::sync::watch;
use tonic::{Code, Status};

use crate::support::backend::Backend;
use crate::support::fault_store::{Fault, FaultStore};
use crate::support::measured::{bound, measured, seconds};
use crate::support::mounted::{Disk, Mounted};
use crate::support::pages::Metrics;
use crate::support::references::{files, references};
use crate::support::sender::retry_after;
use crate::support::slimspan::{Slimspan, run};
use crate::support::{config, otlp, soon};

const DOWN: &[(Fault, usize)] = &[(Fault::Error, 1000)];

/// A bucket, a backend, and a configuration with a spool in front of the bucket.
struct Rig {
    store: FaultStore,
    backend: Backend,
    config: Value,
}

impl Rig {
    async fn start(faults: &[(Fault, usize)]) -> Self {
        let store = FaultStore::start(7, faults).await;
        let backend = Backend::start().await;
        let mut config = config::with_s3(backend.address, store.address);
        config["processors"]["artifact"]["delivery"] = json!("background");
        config["extensions"]["artifact_store"]["spool"] = json!({ "directory": "./spool" });
        Self {
            store,
            backend,
            config,
        }
    }

    /// Lets the spool take little.
    fn limit(&mut self, on_full: &str) {
        config::limit_requests(&mut self.config, 1);
        self.config["extensions"]["artifact_store"]["spool"] = json!({
            "directory": "./spool",
            "max_bytes": "2MiB",
            "on_full": on_full,
        });
    }

    /// Starts with a spool in `home`, where an earlier one may have been.
    async fn start_in(&self, home: &Path) -> Slimspan {
        let mut config = self.config.clone();
        config["extensions"]["artifact_store"]["spool"]["directory"] = json!(home.join("spool"));
        Slimspan::start(&config).await
    }

    /// Its configuration with the store at `url`, and the spool in a folder in `home`.
    fn configured(&self, home: &Path, url: &str, spool: &str) -> Value {
        let mut config = self.config.clone();
        let store = &mut config["extensions"]["artifact_store"];
        store["url"] = json!(url);
        store["spool"]["directory"] = json!(home.join(spool));
        config
    }

    fn has(&self, file: &[u8]) -> bool {
        let fetched = (self.store.fetch())(&Digest::of(file));
        fetched.is_some_and(|bytes| bytes == file)
    }
}

/// Sends spans with these files, one after the other; each has to be accepted.
async fn deliver(slimspan: &Slimspan, files: &[Vec<u8>]) {
    let sender = slimspan.sender().await;
    for file in files {
        let request = otlp::span_with(file);
        sender.send(Signal::Traces, &request).await.unwrap();
    }
}

fn photos(count: u64) -> Vec<Vec<u8>> {
    (0..count).map(|seed| otlp::photo(seed, 20_000)).collect()
}

/// The segments of the spool in `folder`.
fn segments(folder: &Path) -> Vec<PathBuf> {
    let mut files = files(&folder.join("spool"));
    files.retain(|file| file.extension().is_some_and(|of| of == "segment"));
    files.sort();
    files
}

/// Damages a record of the spool: the one with these bytes in it.
fn damage(folder: &Path, file: &[u8]) {
    for segment in segments(folder) {
        let mut bytes = std::fs::read(&segment).unwrap();
        let found = bytes
            .windows(64)
            .position(|window| window == &file[100..164]);
        if let Some(at) = found {
            bytes[at] ^= 1;
            // In place: a process may have it open.
            return std::fs::write(&segment, bytes).unwrap();
        }
    }
    panic!("the spool has no such file");
}

#[tokio::test]
async fn a_sender_does_not_wait_for_a_store_that_is_down() {
    let rig = Rig::start(DOWN).await;
    let home = tempfile::tempdir().unwrap();
    let mut slimspan = rig.start_in(home.path()).await;
    let sender = slimspan.sender().await;
    let request = otlp::span_with(otlp::PICTURE);
    // The second one finds it in the spool.
    for _ in 0..2 {
        sender.send(Signal::Traces, &request).await.unwrap();
    }
    let slim = rig.backend.received()[0].message.clone();
    let [reference] = <[_; 1]>::try_from(references(Signal::Traces, &slim)).unwrap();
    assert_eq!(reference.sha256, Digest::of(otlp::PICTURE).to_string());
    assert!(reference.uri.unwrap().starts_with("s3://media/x/"));
    assert!(rig.store.objects().is_empty());
    slimspan.logs("1 artifact of").await;

    // It can be read from the spool, beside the process that owns it.
    std::fs::write(slimspan.folder().join("slim.pb"), &slim).unwrap();
    let arguments = [
        "restore",
        "--config",
        "collector.yaml",
        "slim.pb",
        "-o",
        "whole.pb",
    ];
    let restored = run(slimspan.folder(), &arguments).await;
    assert_eq!(restored.code, Some(0), "{}", restored.stderr);
    let whole = std::fs::read(slimspan.folder().join("whole.pb")).unwrap();
    assert!(whole == request);
    // Also where the store says that it cannot tell.
    let get = [
        "get",
        "--config",
        "collector.yaml",
        &reference.sha256,
        "-o",
        "got.png",
    ];
    let got = run(slimspan.folder(), &get).await;
    assert_eq!(got.code, Some(0), "{}", got.stderr);
    let got = std::fs::read(slimspan.folder().join("got.png")).unwrap();
    assert!(got == otlp::PICTURE);

    rig.store.heal();
    rig.store.stored(1).await;
    assert!(rig.has(otlp::PICTURE));
    let ended = slimspan.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let log = ended.stderr;
    assert!(
        log.contains("artifacts spooled 1, of these uploaded 1"),
        "{log}"
    );
    assert_eq!(segments(home.path()), [] as [PathBuf; 0]);
}

#[tokio::test]
async fn a_kill_loses_nothing_and_neither_does_one_while_that_is_made_good() {
    let rig = Rig::start(DOWN).await;
    let home = tempfile::tempdir().unwrap();
    let photos = photos(20);
    let slimspan = rig.start_in(home.path()).await;
    deliver(&slimspan, &photos).await;
    assert_eq!(rig.backend.received().len(), 20);
    slimspan.kill().await;

    // Some are stored and not told so, some are not stored, when the second one is killed.
    rig.store
        .set(&[(Fault::HangAfter, 300), (Fault::Hang, 300)]);
    let before = rig.store.puts();
    let mut slimspan = rig.start_in(home.path()).await;
    slimspan.logs("20 artifacts of").await;
    rig.store.begun(before + 10).await;
    slimspan.kill().await;

    rig.store.heal();
    let slimspan = rig.start_in(home.path()).await;
    rig.store.stored(20).await;
    for photo in &photos {
        assert!(rig.has(photo));
    }
    let ended = slimspan.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(segments(home.path()), [] as [PathBuf; 0]);
    // Nobody sends them again.
    assert_eq!(rig.backend.received().len(), 20);
}

/// A spool that is not used any more is emptied all the same.
#[tokio::test]
async fn what_is_left_is_uploaded_by_a_synchronous_successor() {
    let mut rig = Rig::start(DOWN).await;
    let home = tempfile::tempdir().unwrap();
    let slimspan = rig.start_in(home.path()).await;
    deliver(&slimspan, &photos(3)).await;
    let ended = slimspan.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let log = ended.stderr;
    assert!(
        log.contains("3 artifacts of 58.9 KiB stay there for the next start"),
        "{log}"
    );
    rig.config["processors"]["artifact"]["delivery"] = json!("sync");
    rig.store.heal();
    let slimspan = rig.start_in(home.path()).await;
    rig.store.stored(3).await;
    slimspan.stop().await;
    assert_eq!(segments(home.path()), [] as [PathBuf; 0]);
}

/// A request without an answer is the sender's, and its files are stored once all the same.
/// One that shares its store with another one whose senders do not wait.
#[tokio::test]
async fn who_waits_for_the_store_waits_for_what_is_in_the_spool() {
    let mut rig = Rig::start(DOWN).await;
    let home = tempfile::tempdir().unwrap();
    rig.config["processors"]["artifact/sync"] = json!({
        "store": "artifact_store",
        "delivery": "sync",
        "on_store_failure": "refuse",
    });
    rig.config["service"]["pipelines"]["logs"]["processors"] =
        json!(["memory_limiter", "artifact/sync"]);
    let slimspan = rig.start_in(home.path()).await;
    let sender = slimspan.sender().await;
    let photo = otlp::photo(1, otlp::PHOTO);
    // From the third time on the value is recalled.
    deliver(&slimspan, &vec![photo.clone(); 4]).await;
    assert!(!rig.has(&photo));
    let log = otlp::log(otlp::data_uri(&photo), []);
    let refused = sender.send(Signal::Logs, &log).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    rig.store.heal();
    soon("the store works again", async {
        while sender.send(Signal::Logs, &log).await.is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    })
    .await;
    assert!(rig.has(&photo));
    slimspan.stop_well().await;
}

/// Nobody knows which of two stores it is for, so somebody has to say so.
#[tokio::test]
async fn what_is_left_for_one_of_two_stores_is_told() {
    let mut rig = Rig::start(DOWN).await;
    let home = tempfile::tempdir().unwrap();
    let slimspan = rig.start_in(home.path()).await;
    deliver(&slimspan, &photos(3)).await;
    slimspan.stop().await;
    rig.store.heal();
    rig.config["processors"]["artifact"]["delivery"] = json!("sync");
    let mut other = rig.config["extensions"]["artifact_store"].clone();
    other["spool"]["directory"] = json!(home.path().join("spool"));
    rig.config["extensions"]["artifact_store/other"] = other;
    rig.config["service"]["extensions"] = json!(["artifact_store", "artifact_store/other"]);
    let mut slimspan = rig.start_in(home.path()).await;
    slimspan
        .logs("spool is the spool.directory of extensions.artifact_store and")
        .await;
    let log = slimspan.stop().await.stderr;
    assert!(log.contains("3 artifacts of 58.9 KiB"), "{log}");
    // So it is, once that is done.
    rig.config["extensions"]["artifact_store/other"]["spool"]["directory"] =
        json!(home.path().join("other"));
    let slimspan = rig.start_in(home.path()).await;
    rig.store.stored(3).await;
    let log = slimspan.stop().await.stderr;
    assert!(!log.contains("spool.directory"), "{log}");
}

/// References to it are with the backend: they lead to the store that it was kept for.
#[tokio::test]
async fn what_waits_for_one_store_goes_to_no_other() {
    let rig = Rig::start(DOWN).await;
    let home = tempfile::tempdir().unwrap();
    let photos = photos(3);
    let slimspan = rig.start_in(home.path()).await;
    deliver(&slimspan, &photos).await;
    slimspan.stop().await;
    rig.store.heal();

    let folder = tempfile::tempdir().unwrap();
    let other = rig.configured(home.path(), "s3://media/y", "spool");
    std::fs::write(folder.path().join("collector.yaml"), other.to_string()).unwrap();
    let refused = run(folder.path(), &["--config", "collector.yaml"]).await;
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    let spool = home.path().join("spool").display().to_string();
    let told = format!(
        "extensions.artifact_store.spool.directory: {spool} holds 3 artifacts of 58.9 KiB for s3://media/x, where \
         references to them lead, and the url is s3://media/y now: set the url back to s3://media/x until"
    );
    assert!(refused.stderr.contains(&told), "{}", refused.stderr);

    // With a spool of its own it starts, and tells of the one that it leaves.
    let moved = rig.configured(home.path(), "s3://media/y", "other");
    let mut slimspan = Slimspan::start(&moved).await;
    let told = "spool holds 3 artifacts of 58.9 KiB for s3://media/x, and nothing uploads them";
    slimspan.logs(told).await;
    slimspan.stop_well().await;
    assert_eq!(rig.store.objects(), [""; 0]);

    let slimspan = rig.start_in(home.path()).await;
    rig.store.stored(3).await;
    for photo in &photos {
        assert!(rig.has(photo));
    }
    let log = slimspan.stop().await.stderr;
    assert!(!log.contains("holds"), "{log}");
    // Where nothing waits, it is anybody's.
    let other = Slimspan::start(&other).await;
    other.stop_well().await;
}

/// A reload cannot have it forgotten, either.
#[tokio::test]
async fn what_waits_is_not_left_behind_by_a_reload() {
    let rig = Rig::start(DOWN).await;
    let home = tempfile::tempdir().unwrap();
    let config = |url, spool| rig.configured(home.path(), url, spool);
    let of_it = config("s3://media/x", "spool");
    let mut slimspan = Slimspan::start(&of_it).await;
    deliver(&slimspan, &photos(3)).await;
    let holds = "spool holds 3 artifacts of 58.9 KiB for s3://media/x, ";
    for (times, (config, why)) in (1..).zip([
        (
            config("s3://media/y", "spool"),
            "where references to them lead, and the url is s3://media/y now",
        ),
        (
            config("s3://media/x", "other"),
            "and no store of the new configuration has that folder",
        ),
    ]) {
        slimspan.write(&config.to_string());
        slimspan.signal("HUP");
        let again = "the configuration before runs again";
        slimspan.logs_times(again, times).await;
        slimspan.logs(&format!("{holds}{why}")).await;
    }
    assert!(!slimspan.stderr().contains("reloaded the"));

    let mut dry_run = of_it.clone();
    dry_run["processors"]["artifact"]["dry_run"] = json!(true);
    slimspan.write(&dry_run.to_string());
    slimspan.signal("HUP");
    slimspan.logs("reloaded the configuration").await;
    let told = "and nothing uploads them, so references to them lead nowhere: all that use extensions.artifact_store";
    slimspan.logs(&format!("{holds}{told}")).await;

    rig.store.heal();
    slimspan.write(&of_it.to_string());
    slimspan.signal("HUP");
    rig.store.stored(3).await;
    slimspan.stop_well().await;
}

#[tokio::test]
async fn a_backend_that_is_down_is_for_the_sender_to_wait_for() {
    for delivery in ["sync", "background"] {
        let mut rig = Rig::start(&[]).await;
        let (up, is_up) = watch::channel(false);
        rig.backend = Backend::answering(move |_| {
            let up = *is_up.borrow();
            up.then(Bytes::new)
                .ok_or_else(|| Status::unavailable("down"))
        })
        .await;
        rig.config["exporters"]["otlp_grpc"] = config::exporter(rig.backend.address);
        rig.config["exporters"]["otlp_grpc"]["retry_on_failure"] = json!({ "enabled": false });
        rig.config["processors"]["artifact"]["delivery"] = json!(delivery);
        rig.config["extensions"]["artifact_store"]["timeout"] = json!("20s");
        let home = tempfile::tempdir().unwrap();
        let slimspan = rig.start_in(home.path()).await;
        let sender = slimspan.sender().await;
        let request = otlp::span_with(otlp::PICTURE);
        let status = sender.send(Signal::Traces, &request).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable, "{status}");
        rig.store.stored(1).await;
        up.send_replace(true);
        sender.send(Signal::Traces, &request).await.unwrap();
        let ended = slimspan.stop().await;
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert_eq!(rig.store.puts(), 1, "{delivery}");
    }
}

/// Sends photos until one is not accepted as all before.
async fn fill(rig: &Rig, slimspan: &Slimspan) -> (Bytes, Result<Bytes, Status>) {
    let sender = slimspan.sender().await;
    for number in 0.. {
        let request = otlp::span_with(&otlp::photo(number, 300_000));
        let answer = sender.send(Signal::Traces, &request).await;
        let passed = rig.backend.received().len() as u64 > number
            && rig.backend.received().last().unwrap().message.len() < 1000;
        let dropped = || {
            let last = rig.backend.received().last().unwrap().message.clone();
            references(Signal::Traces, &last)
                .iter()
                .any(|of| of.dropped)
        };
        if answer.is_err() || !passed || dropped() {
            return (request, answer);
        }
    }
    unreachable!("numbers do not end")
}

#[tokio::test]
async fn a_full_spool_refuses_until_the_store_takes_something() {
    let mut rig = Rig::start(DOWN).await;
    rig.limit("refuse");
    let slimspan = Slimspan::start(&rig.config).await;
    let (request, answer) = fill(&rig, &slimspan).await;
    let status = answer.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert!(retry_after(&status).is_some(), "{status}");
    let key = "extensions.artifact_store.spool.max_bytes";
    assert!(status.message().contains(key), "{status}");
    let accepted = rig.backend.received().len();
    assert!((5..=7).contains(&accepted), "{accepted}");
    let plain = otlp::plain_span(1);
    let sender = slimspan.sender().await;
    sender.send(Signal::Traces, &plain).await.unwrap();

    rig.store.heal();
    rig.store.stored(accepted).await;
    let accepts = async { while sender.send(Signal::Traces, &request).await.is_err() {} };
    soon("it has room again", accepts).await;
    rig.store.stored(accepted + 1).await;
    slimspan.stop_well().await;
}

#[tokio::test]
async fn a_full_spool_lets_requests_pass_if_it_is_told_so() {
    let mut rig = Rig::start(DOWN).await;
    rig.limit("forward");
    let slimspan = Slimspan::start(&rig.config).await;
    let (request, answer) = fill(&rig, &slimspan).await;
    answer.unwrap();
    assert!(rig.backend.received().last().unwrap().message == request);
    let log = slimspan.stop().await.stderr;
    assert!(log.contains("requests forwarded unmodified 1"), "{log}");
}

#[tokio::test]
async fn a_full_spool_drops_files_if_it_is_told_so() {
    let mut rig = Rig::start(DOWN).await;
    rig.limit("drop");
    let slimspan = Slimspan::start(&rig.config).await;
    let (_, answer) = fill(&rig, &slimspan).await;
    answer.unwrap();
    let last = rig.backend.received().last().unwrap().message.clone();
    let [mark] = <[_; 1]>::try_from(references(Signal::Traces, &last)).unwrap();
    assert!(mark.dropped && mark.uri.is_none());
    let log = slimspan.stop().await.stderr;
    assert!(log.contains("artifacts dropped 1"), "{log}");
}

/// A disk without room is a full spool, for as long as that is so, and heals without a restart: by room, and by a store
/// that takes what is in the way.
#[tokio::test]
async fn a_full_disk_is_a_full_spool() {
    let Some(disk) = Mounted::memory(2 << 20) else {
        return;
    };
    let filler = disk.path().join("filler");
    std::fs::write(&filler, vec![1; 1 << 20]).unwrap();
    let rig = Rig::start(DOWN).await;
    let slimspan = rig.start_in(disk.path()).await;
    let (request, answer) = fill(&rig, &slimspan).await;
    assert_no_room(&answer.unwrap_err());
    let accepted = rig.backend.received().len();
    assert!((2..=3).contains(&accepted), "{accepted}");
    let sender = slimspan.sender().await;
    let held = seconds("SLIMSPAN_FULL_SECONDS", std::time::Duration::ZERO);
    let (full, mut refused) = (Instant::now(), 1);
    while full.elapsed() < held {
        assert_no_room(&sender.send(Signal::Traces, &request).await.unwrap_err());
        refused += 1;
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let freed = Instant::now();
    std::fs::remove_file(&filler).unwrap();
    let accepts = async |request: &Bytes| {
        while sender.send(Signal::Traces, request).await.is_err() {}
    };
    soon("it has room again", accepts(&request)).await;
    let healed = freed.elapsed();
    let most = std::time::Duration::from_secs(bound(2, 15));
    assert!(healed < most, "{healed:?}");

    // All the room that is left, but for some KiB.
    let _ = std::fs::write(&filler, vec![1; 2 << 20]);
    let whole = std::fs::metadata(&filler).unwrap().len();
    let filler = std::fs::File::options().write(true).open(&filler);
    filler.unwrap().set_len(whole - (64 << 10)).unwrap();
    let file = otlp::photo(1000, 300_000);
    let request = otlp::span_with(&file);
    assert_no_room(&sender.send(Signal::Traces, &request).await.unwrap_err());
    rig.store.heal();
    rig.store.stored(accepted + 1).await;
    soon("what waited is gone", accepts(&request)).await;
    rig.store.stored(accepted + 2).await;
    let photos = (0..=accepted as u64).map(|number| otlp::photo(number, 300_000));
    let lost = photos.chain([file]).filter(|file| !rig.has(file));
    assert_eq!(lost.count(), 0);
    slimspan.stop_well().await;
    measured(
        "P8",
        "program::background, a full disk",
        "0 acknowledged lost, all refusals retryable, serving 2 s after freeing",
        format_args!(
            "0 of {} files lost, full for {held:?}: {refused} refusals, all retryable, serving {healed:.1?} after \
             freeing",
            accepted + 2
        ),
    );
}

/// The sender is asked to come back, and told what has no room.
fn assert_no_room(status: &Status) {
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert!(retry_after(status).is_some(), "{status}");
    let key = "extensions.artifact_store.spool.directory";
    assert!(status.message().contains(key), "{status}");
}

/// Whatever the store does, what is not acknowledged before it is stored is nowhere else.
#[tokio::test]
async fn with_delivery_sync_nothing_waits_on_disk() {
    for faults in [&[][..], DOWN] {
        let mut rig = Rig::start(faults).await;
        rig.config["processors"]["artifact"]["delivery"] = json!("sync");
        let home = tempfile::tempdir().unwrap();
        let slimspan = rig.start_in(home.path()).await;
        deliver(&slimspan, &photos(3)).await;
        let stored = if faults.is_empty() { 3 } else { 0 };
        assert_eq!(rig.store.objects().len(), stored);
        assert_eq!(segments(home.path()), [] as [PathBuf; 0]);
        let log = slimspan.stop().await.stderr;
        assert!(log.contains("artifacts spooled 0"), "{log}");
    }
}

#[tokio::test]
async fn two_processes_do_not_share_a_spool() {
    let rig = Rig::start(DOWN).await;
    let home = tempfile::tempdir().unwrap();
    let first = rig.start_in(home.path()).await;
    let folder = tempfile::tempdir().unwrap();
    let mut config = rig.config.clone();
    config["extensions"]["artifact_store"]["spool"]["directory"] = json!(home.path().join("spool"));
    std::fs::write(folder.path().join("collector.yaml"), config.to_string()).unwrap();
    let second = run(folder.path(), &["--config", "collector.yaml"]).await;
    assert_eq!(second.code, Some(1), "{}", second.stderr);
    let told = "extensions.artifact_store.spool.directory: the folder";
    assert!(second.stderr.contains(told), "{}", second.stderr);
    assert!(
        second.stderr.contains("is in use by another process"),
        "{}",
        second.stderr
    );
    deliver(&first, &photos(1)).await;
}

#[tokio::test]
async fn a_damaged_entry_is_put_into_quarantine_and_the_others_are_uploaded() {
    let rig = Rig::start(DOWN).await;
    let home = tempfile::tempdir().unwrap();
    let photos = photos(3);
    let slimspan = rig.start_in(home.path()).await;
    deliver(&slimspan, &photos).await;
    slimspan.kill().await;
    damage(home.path(), &photos[1]);
    rig.store.heal();
    let mut slimspan = rig.start_in(home.path()).await;
    slimspan.logs("damaged places 1").await;
    slimspan.logs("quarantine").await;
    rig.store.stored(2).await;
    assert!(rig.has(&photos[0]) && rig.has(&photos[2]));
    assert_eq!(files(&home.path().join("spool/quarantine")).len(), 1);
    slimspan.stop().await;
    assert_eq!(segments(home.path()), [] as [PathBuf; 0]);
    // It is told for as long as it takes room.
    let mut slimspan = rig.start_in(home.path()).await;
    slimspan.logs("quarantine takes 1").await;
    slimspan.stop_well().await;
}

/// What was spooled counts as stored only once the store has it.
#[tokio::test]
async fn what_the_spool_lost_is_taken_from_the_next_request() {
    let rig = Rig::start(DOWN).await;
    let home = tempfile::tempdir().unwrap();
    let mut slimspan = rig.start_in(home.path()).await;
    let photos = photos(1);
    deliver(&slimspan, &photos).await;
    damage(home.path(), &photos[0]);
    slimspan
        .logs("is lost, references to it lead nowhere")
        .await;
    deliver(&slimspan, &photos).await;
    rig.store.heal();
    rig.store.stored(1).await;
    assert!(rig.has(&photos[0]));
    slimspan.stop_well().await;
}

/// What waits, for how long, and what becomes of it is told while the store is down and when it is back.
#[tokio::test]
async fn what_is_in_a_spool_is_told() {
    const LIMIT: u64 = 256 << 20;
    let mut rig = Rig::start(DOWN).await;
    rig.config["extensions"]["artifact_store"]["spool"]["max_bytes"] = json!("256MiB");
    config::tell_metrics(&mut rig.config);
    let slimspan = Slimspan::start(&rig.config).await;
    let metrics = async || Metrics::of(slimspan.page("telemetry")).await;
    let counted = |metrics: &Metrics| {
        let count = |name: &str| metrics.count(&format!("slimspan_spool_{name}"), &[]);
        [
            count("artifacts"),
            count("limit_bytes"),
            count("added_total"),
            count("uploaded_total"),
        ]
    };
    let oldest = |metrics: &Metrics| {
        let store = ["store=\"artifact_store\""];
        metrics.sum("slimspan_spool_oldest_seconds", &store)
    };
    assert_eq!(counted(&metrics().await), [0, LIMIT, 0, 0]);
    let photos = photos(3);
    let begun = Instant::now();
    deliver(&slimspan, &photos[..1]).await;
    soon("the first one has waited for some time", async {
        while oldest(&metrics().await) < 0.5 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await;
    // The first one again is no other one, and it is still the one that has waited longest.
    deliver(&slimspan, &photos[1..]).await;
    deliver(&slimspan, &photos[..1]).await;
    soon("an upload fails", async {
        let name = "slimspan_spool_uploads_failed_total";
        while metrics().await.count(name, &[]) == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await;
    let waiting = metrics().await;
    assert_eq!(counted(&waiting), [3, LIMIT, 3, 0]);
    let bytes = waiting.count("slimspan_spool_bytes", &[]);
    // With what a record has beside its file.
    assert!((60_000..61_000).contains(&bytes), "{bytes}");
    let longest = begun.elapsed().as_secs_f64();
    let oldest_now = oldest(&waiting);
    assert!((0.5..=longest).contains(&oldest_now), "{oldest_now}");

    rig.store.heal();
    rig.store.stored(3).await;
    assert_eq!(rig.store.objects().len(), 3);
    soon("and counted", async {
        while counted(&metrics().await) != [0, LIMIT, 3, 3] {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let empty = metrics().await;
    assert_eq!(empty.count("slimspan_spool_bytes", &[]), 0);
    assert!(oldest(&empty) <= 0.0, "{}", empty.0);
    slimspan.stop_well().await;
}

/// What a sender was told survives a power cut while the store is down.
#[tokio::test]
async fn a_power_cut_loses_nothing() {
    let Some(disk) = Disk::new(32 << 20) else {
        return;
    };
    let rig = Rig::start(DOWN).await;
    let photos = photos(10);
    let slimspan = rig.start_in(disk.path()).await;
    deliver(&slimspan, &photos).await;
    slimspan.signal("STOP");
    let left = disk.cut();
    slimspan.kill().await;
    rig.store.heal();
    let _slimspan = rig.start_in(left.path()).await;
    rig.store.stored(10).await;
    for photo in &photos {
        assert!(rig.has(photo));
    }
    measured(
        "P2",
        "program::background, the spool",
        "0 acknowledged lost",
        format_args!("0 of {} files lost that only the spool had", photos.len()),
    );
}

/// A store that is down is tried now and then, and when it is back it is not overrun.
#[tokio::test]
async fn a_store_that_is_down_is_not_flooded() {
    let rig = Rig::start(DOWN).await;
    let slimspan = Slimspan::start(&rig.config).await;
    deliver(&slimspan, &photos(100)).await;
    let (asked, begun) = (rig.store.puts(), Instant::now());
    tokio::time::sleep(std::time::Duration::from_secs(4)).await;
    let while_down = rig.store.puts() - asked;
    let in_a_second = while_down as f64 / begun.elapsed().as_secs_f64();
    assert!(
        in_a_second < 10.0,
        "{while_down} puts, {in_a_second} in a second"
    );
    let before = rig.store.puts();
    rig.store.heal();
    rig.store.stored(100).await;
    let needed = rig.store.puts() - before;
    assert!(needed <= 110, "{needed} puts for 100 artifacts");
    let log = slimspan.stop().await.stderr;
    let (_, failed) = log.rsplit_once("failed uploads ").unwrap();
    let failed: usize = failed.split_whitespace().next().unwrap().parse().unwrap();
    assert!((3..120).contains(&failed), "{failed}");
}
