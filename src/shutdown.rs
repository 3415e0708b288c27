//! The end: what stops a collector, and how long it may take.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// How long requests under way may take after the first signal.
pub const GRACE: Duration = Duration::from_secs(10);

/// What a process that was stopped by a second signal exits with: 128 + SIGINT, as shells say.
const IMPATIENT: i32 = 130;

/// Cancels the returned token on the first SIGTERM or SIGINT, and ends the process on the second.
pub fn on_signals() -> std::io::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    tokio::spawn(async move {
        either(&mut terminate, &mut interrupt).await;
        tracing::info!("stopping: no new requests, up to {GRACE:?} for those under way");
        stopped.cancel();
        either(&mut terminate, &mut interrupt).await;
        // Nothing acknowledged lives in this process alone, so there is nothing to save.
        std::process::exit(IMPATIENT);
    });
    Ok(stop)
}

async fn either(one: &mut Signal, other: &mut Signal) {
    tokio::select! {
        _ = one.recv() => {}
        _ = other.recv() => {}
    }
}

/// Waits for `work`, after `stop` only for [`GRACE`] more; returns whether it ended.
pub async fn within_grace(stop: &CancellationToken, work: impl Future) -> bool {
    let deadline = async {
        stop.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        _ = work => true,
        () = deadline => false,
    }
}
