//! What holds for every backend that is a process.

use std::time::{Duration, Instant};

use futures::future::join_all;
use slimspan::storage::{Store, StoreError};
use slimspan_artifact::Artifact;
use tokio::sync::{mpsc, watch};

use super::backend::{Backend, Process, artifact};

/// Checks all properties, one after the other.
pub(super) async fn check(backend: &Backend) {
    let process = backend.process.as_ref().unwrap();
    eprintln!("{}: a wrong bucket and wrong keys", backend.name);
    refusals(backend, process).await;
    eprintln!("{}: a server that hangs", backend.name);
    a_server_that_hangs(backend, process).await;
    eprintln!("{}: many senders and a server that hangs", backend.name);
    many_senders_and_a_server_that_hangs(backend, process).await;
    eprintln!("{}: a server killed and started again", backend.name);
    a_server_killed_and_started_again(backend, process).await;
}

async fn refusals(backend: &Backend, process: &Process) {
    let one = [artifact(1, 1_000)];
    if process.checks_buckets {
        let mut config = backend.config("refusals");
        config.url = config.url.replace("://media/", "://no-such-bucket/");
        let store = Store::open(&config).unwrap();
        let error = store.put_all(&one).await.unwrap_err();
        assert!(matches!(error, StoreError::Misconfigured { .. }), "{error}");
    }
    if process.checks_keys {
        let mut config = backend.config("refusals");
        for name in ["secret_access_key", "access_key"] {
            if config.options.contains_key(name) {
                let wrong = slimspan::config::Secret::new("d3Jvbmc=".to_owned());
                config.options.insert(name.to_owned(), wrong);
            }
        }
        let store = Store::open(&config).unwrap();
        let error = store.put_all(&one).await.unwrap_err();
        assert!(matches!(error, StoreError::Denied { .. }), "{error}");
        assert!(!error.to_string().contains("d3Jvbmc="), "{error}");
    }
}

async fn a_server_that_hangs(backend: &Backend, process: &Process) {
    let limit = Duration::from_secs(2);
    let opened = backend.open_with_timeout("stopped", limit);
    let before = [artifact(2, 10_000)];
    opened.store.put_all(&before).await.unwrap();
    process.signal("STOP");
    let one = [artifact(3, 10_000)];
    let begun = Instant::now();
    let error = opened.store.put_all(&one).await.unwrap_err();
    let waited = begun.elapsed();
    process.signal("CONT");
    assert!(matches!(error, StoreError::TimedOut { .. }), "{error}");
    assert!(waited >= limit && waited < limit * 3, "{waited:?}");
    until_stored(&opened.store, &one[0], &mpsc::unbounded_channel().0).await;
    let [one] = one;
    assert_eq!(opened.store.get(&one.digest).await.unwrap(), one.bytes);
}

/// They are told so at once, and all of them work again soon after it does.
async fn many_senders_and_a_server_that_hangs(backend: &Backend, process: &Process) {
    let opened = backend.open("breaker");
    let each = async |from: u32| {
        let puts = (from..from + 64).map(|seed| {
            let store = opened.store.clone();
            async move { store.put_all(&[artifact(seed, 1_000)]).await }
        });
        join_all(puts).await
    };
    process.signal("STOP");
    let begun = Instant::now();
    let outcomes = each(10_000).await;
    let waited = begun.elapsed();
    let begun = Instant::now();
    let at_once = each(20_000).await;
    let waited_then = begun.elapsed();
    process.signal("CONT");
    assert!(outcomes.iter().all(Result::is_err));
    assert!(waited < Duration::from_secs(8), "{waited:?}");
    for outcome in at_once {
        let error = outcome.unwrap_err();
        assert!(matches!(error, StoreError::NotAsked { .. }), "{error}");
    }
    // Who asks it waits for two seconds.
    assert!(
        waited_then < Duration::from_millis(1_500),
        "{waited_then:?}"
    );
    let healed = Instant::now();
    let mut seed = 30_000;
    while each(seed).await.iter().any(Result::is_err) {
        let elapsed = healed.elapsed();
        assert!(elapsed < Duration::from_secs(20), "{elapsed:?}");
        seed += 64;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Event {
    Stored,
    Failed,
}

async fn a_server_killed_and_started_again(backend: &Backend, process: &Process) {
    let opened = backend.open("killed");
    let (events, mut heard) = mpsc::unbounded_channel();
    let (stop, stopped) = watch::channel(false);
    let uploads = tokio::spawn({
        let store = opened.store.clone();
        async move {
            let mut uploaded = Vec::new();
            while !*stopped.borrow() {
                let artifact = artifact(100 + uploaded.len() as u32, 50_000);
                until_stored(&store, &artifact, &events).await;
                uploaded.push(artifact);
            }
            uploaded
        }
    });
    let mut before = 0;
    while before < 20 {
        assert_eq!(heard.recv().await, Some(Event::Stored));
        before += 1;
    }
    process.kill();
    while heard.recv().await.unwrap() == Event::Stored {
        before += 1;
    }
    process.restart();
    let mut after = 0;
    while after < 20 {
        if heard.recv().await.unwrap() == Event::Stored {
            after += 1;
        }
    }
    stop.send_replace(true);
    let uploaded = uploads.await.unwrap();
    let forgotten = if process.remembers { 0 } else { before };
    for artifact in &uploaded[forgotten..] {
        let bytes = opened.store.get(&artifact.digest).await.unwrap();
        assert!(bytes == artifact.bytes);
    }
}

/// Does what a sender does: tries again until it works.
async fn until_stored(store: &Store, artifact: &Artifact, events: &mpsc::UnboundedSender<Event>) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while let Err(error) = store.put_all(std::slice::from_ref(artifact)).await {
        assert!(Instant::now() < deadline, "{error}");
        let _ = events.send(Event::Failed);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let _ = events.send(Event::Stored);
}
