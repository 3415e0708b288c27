//! What a store that goes away costs, and how it is taken up again.

use std::time::Duration;

use futures::future::join_all;
use slimspan::storage::{StoreConfig, StoreError};
use slimspan_artifact::Artifact;
use tokio::time::{Instant, advance, timeout};

use super::backend::{Opened, artifact, open};
use super::faults::Away;

/// Half of the time that a sender waits, unless it says another.
const SENDERS_HALF: Duration = Duration::from_secs(5);

fn opened() -> Opened {
    open(&StoreConfig::new("memory://"))
}

/// New artifacts, one for each of so many requests.
fn artifacts(from: u32, count: u32) -> Vec<Artifact> {
    (from..from + count)
        .map(|seed| artifact(seed, 1_000))
        .collect()
}

/// Puts each in a request of its own, all at a time, and gives each the time that the pipeline does.
async fn put_each(opened: &Opened, artifacts: &[Artifact]) -> Vec<Option<StoreError>> {
    let puts = artifacts.iter().map(|artifact| async move {
        let one = std::slice::from_ref(artifact);
        match timeout(SENDERS_HALF, opened.store.put_all(one)).await {
            Ok(Ok(_)) => None,
            Ok(Err(error)) => Some(error),
            Err(late) => panic!("waited for all the time that there was: {late}"),
        }
    });
    join_all(puts).await
}

fn is_not_asked(outcome: Option<&StoreError>) -> bool {
    matches!(outcome, Some(StoreError::NotAsked { .. }))
}

#[tokio::test(start_paused = true)]
async fn a_silent_store_is_soon_not_asked_any_more() {
    let opened = opened();
    let known = artifacts(0, 1);
    opened.store.put_all(&known).await.unwrap();
    opened.faults.go_away(Away::Silent);
    let begun = Instant::now();
    let outcomes = put_each(&opened, &artifacts(1, 64)).await;
    assert!(outcomes.iter().all(Option::is_some));
    let waited = begun.elapsed();
    assert!(waited <= Duration::from_secs(3), "{waited:?}");
    // From now on nobody waits at all, and nothing reaches the store.
    let puts = opened.faults.begun();
    let begun = Instant::now();
    for outcome in put_each(&opened, &artifacts(100, 1_000)).await {
        let error = outcome.unwrap();
        let text = error.to_string();
        assert!(matches!(error, StoreError::NotAsked { .. }), "{text}");
        assert!(text.contains("does not work since 20"), "{text}");
        assert!(text.contains("asked again in "), "{text}");
        assert!(text.contains("was silent for 2.0"), "{text}");
        assert!(error.retry_after().unwrap() <= Duration::from_secs(5));
    }
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert_eq!(opened.faults.begun(), puts);
    // What is stored already does not need the store.
    assert_eq!(opened.store.put_all(&known).await.unwrap().known, 1);
}

/// With one sender there are never many failures.
#[tokio::test(start_paused = true)]
async fn one_sender_finds_out_too() {
    for away in [Away::Silent, Away::Reset] {
        let opened = opened();
        opened.faults.go_away(away);
        for seed in 0..2 {
            let one = artifacts(seed, 1);
            // Its time may end while an attempt is under way.
            let _ = timeout(SENDERS_HALF, opened.store.put_all(&one)).await;
        }
        let outcome = &put_each(&opened, &artifacts(9, 1)).await[0];
        assert!(is_not_asked(outcome.as_ref()), "{away:?}: {outcome:?}");
    }
}

/// A store that is slow with what is large works, however little time some senders have.
#[tokio::test(start_paused = true)]
async fn senders_with_little_time_and_large_files_do_not_stop_the_others() {
    let opened = opened();
    opened.faults.slow(Duration::from_secs(1));
    for seed in 0..20 {
        let large = [artifact(seed, 4 << 20)];
        let put = opened.store.put_all(&large);
        // Half of a sender's 600 ms.
        assert!(timeout(Duration::from_millis(300), put).await.is_err());
    }
    let outcomes = put_each(&opened, &artifacts(100, 8)).await;
    assert!(outcomes.iter().all(Option::is_none), "{outcomes:?}");
}

#[tokio::test(start_paused = true)]
async fn one_request_in_five_seconds_shows_whether_it_works_again() {
    let opened = opened();
    opened.faults.go_away(Away::Silent);
    put_each(&opened, &artifacts(0, 64)).await;
    let mut seed = 1_000;
    for _ in 0..5 {
        let puts = opened.faults.begun();
        advance(Duration::from_secs(5)).await;
        let outcomes = put_each(&opened, &artifacts(seed, 64)).await;
        seed += 64;
        let failed_fast = outcomes
            .iter()
            .filter(|one| is_not_asked(one.as_ref()))
            .count();
        assert_eq!(opened.faults.begun(), puts + 1, "one only");
        assert_eq!(failed_fast, 64);
    }
    opened.faults.heal();
    advance(Duration::from_secs(5)).await;
    let probe = put_each(&opened, &artifacts(seed, 1)).await;
    assert!(probe[0].is_none(), "{probe:?}");
    let all = put_each(&opened, &artifacts(seed + 1, 64)).await;
    assert!(all.iter().all(Option::is_none), "{all:?}");
}

/// The request that happened to begin it may not wait for it.
#[tokio::test(start_paused = true)]
async fn the_attempt_that_shows_it_outlives_its_request() {
    let opened = opened();
    opened.faults.go_away(Away::Reset);
    put_each(&opened, &artifacts(0, 64)).await;
    opened.faults.heal();
    advance(Duration::from_secs(5)).await;
    let gone = opened.store.clone();
    let one = artifacts(100, 1);
    let begun = opened.faults.begun();
    let mut request = Box::pin(gone.put_all(&one));
    assert!(futures::poll!(&mut request).is_pending());
    drop(request);
    opened.faults.arrived(begun + 1).await;
    let all = async {
        while put_each(&opened, &artifacts(101, 1)).await[0].is_some() {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(1), all).await.unwrap();
    assert_eq!(opened.store.put_all(&one).await.unwrap().known, 1);
}

/// A store that is away for a moment is asked again, and the sender need not know.
#[tokio::test(start_paused = true)]
async fn a_moment_passes_unseen() {
    let opened = opened();
    opened.faults.go_away(Away::Reset);
    let one = artifacts(0, 1);
    let (stored, ()) = futures::join!(opened.store.put_all(&one), async {
        opened.faults.arrived(2).await;
        opened.faults.heal();
    });
    assert_eq!(stored.unwrap().written, 1);
}
