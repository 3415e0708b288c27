//! Work that keeps a core busy for longer than other requests should wait.
//!
//! It runs on as many threads as there are cores, and not on tokio's threads for blocking calls:
//! those are meant to wait, so there may be hundreds of them, and each would keep some of the
//! memory that requests of many mebibytes took.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tokio::sync::oneshot;

/// The work panicked; the log tells where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it panicked")]
pub struct Panicked;

/// Runs `work` as soon as a thread is free, and to its end even where the future is dropped
/// meanwhile; work that nobody waits for any more is not begun.
pub async fn run<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Panicked> {
    let (sender, receiver) = oneshot::channel();
    rayon::spawn(move || {
        if sender.is_closed() {
            return;
        }
        // A panic that got out of here would end the process. What the work has left half done is
        // dropped with it.
        if let Ok(outcome) = catch_unwind(AssertUnwindSafe(work)) {
            // Fails only where nobody waits any more.
            let _ = sender.send(outcome);
        }
    });
    receiver.await.map_err(|_| Panicked)
}

#[cfg(test)]
#[expect(clippy::panic, reason = "a test of what happens then")]
mod tests {
    use std::collections::HashSet;
    use std::thread;

    use futures::future::join_all;

    use super::*;

    #[tokio::test]
    async fn a_panic_ends_its_own_work_only() {
        let panicked = run(|| panic!("as the test wants it")).await;
        assert_eq!(panicked, Err::<(), _>(Panicked));
        assert_eq!(run(|| 1 + 1).await, Ok(2));
    }

    #[tokio::test]
    async fn much_work_takes_no_more_threads_than_cores() {
        let work = (0..1000).map(|_| run(|| thread::current().id()));
        let threads: HashSet<_> = join_all(work).await.into_iter().flatten().collect();
        assert!(!threads.is_empty());
        assert!(threads.len() <= rayon::current_num_threads());
    }
}
