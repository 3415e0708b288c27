//! The end: what stops a collector, and how long it may take.

use std::time::Duration;

use futures::future::BoxFuture;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

/// How long everything may take after the first signal.
pub const GRACE: Duration = Duration::from_secs(10);

/// What a process that was stopped by a second signal exits with: 128 + SIGINT, as shells say.
const IMPATIENT: i32 = 130;

/// What somebody outside asks for.
#[derive(Debug)]
pub struct Signals {
    /// Cancelled by the first SIGTERM or SIGINT.
    pub stop: CancellationToken,
    hang_up: Signal,
}

impl Signals {
    /// Waits until somebody asks for a reload, with SIGHUP. Several before this are one.
    pub async fn reload(&mut self) {
        if self.hang_up.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

/// Listens for signals; the second SIGTERM or SIGINT ends the process.
pub fn on_signals() -> std::io::Result<Signals> {
    let hang_up = signal(SignalKind::hangup())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    tokio::spawn(async move {
        either(&mut terminate, &mut interrupt).await;
        tracing::info!("stopping: no new requests, and all is over in {GRACE:?}");
        stopped.cancel();
        either(&mut terminate, &mut interrupt).await;
        // Nothing acknowledged lives in this process alone, but in a queue in memory: who asks twice
        // gives that up.
        std::process::exit(IMPATIENT);
    });
    Ok(Signals { stop, hang_up })
}

async fn either(one: &mut Signal, other: &mut Signal) {
    tokio::select! {
        _ = one.recv() => {}
        _ = other.recv() => {}
    }
}

/// What has to end, in this order: each is begun when the one before it has ended, or was given up.
///
/// The order is that of the way of a request: receivers, pipelines, exporters, spool, telemetry. What
/// comes in must have stopped before what passes it on may, and what tells of all that goes last.
#[derive(Default)]
pub struct Stages<'a> {
    stages: Vec<Stage<'a>>,
}

struct Stage<'a> {
    name: &'static str,
    /// What it has at least, whatever those before it took.
    least: Duration,
    end: Box<dyn FnOnce(Instant) -> BoxFuture<'a, ()> + Send + 'a>,
}

impl<'a> Stages<'a> {
    /// Adds a stage, which is told when it has to have ended, and has `least` for that whatever those
    /// before it took. It is dropped where it does not end in time.
    #[must_use]
    pub fn then<F>(
        mut self,
        name: &'static str,
        least: Duration,
        end: impl FnOnce(Instant) -> F + Send + 'a,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'a,
    {
        self.stages.push(Stage {
            name,
            least,
            end: Box::new(move |until| Box::pin(end(until))),
        });
        self
    }

    /// Ends them all within `grace`; returns the names of those that did not end in time.
    pub async fn end(self, grace: Duration) -> Vec<&'static str> {
        let deadline = Instant::now() + grace;
        let mut reserved: Duration = self.stages.iter().map(|stage| stage.least).sum();
        let mut late = Vec::new();
        for stage in self.stages {
            reserved -= stage.least;
            let until = deadline - reserved.min(grace);
            if timeout_at(until, (stage.end)(until)).await.is_err() {
                late.push(stage.name);
            }
        }
        late
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::time::sleep;

    use super::*;

    const LEAST: Duration = Duration::from_millis(250);

    /// Stages that take as long, in the order in which they end.
    async fn end(take: &[(&'static str, Duration)]) -> (Vec<&'static str>, Vec<&'static str>) {
        let ended = Mutex::new(Vec::new());
        let stages = take
            .iter()
            .fold(Stages::default(), |stages, &(name, time)| {
                let ended = &ended;
                stages.then(name, LEAST, move |_| async move {
                    sleep(time).await;
                    if let Ok(mut ended) = ended.lock() {
                        ended.push(name);
                    }
                })
            });
        let late = stages.end(GRACE).await;
        (ended.into_inner().unwrap_or_default(), late)
    }

    #[tokio::test(start_paused = true)]
    async fn stages_end_in_their_order() {
        let begun = Instant::now();
        let slow_first = [("a", GRACE / 2), ("b", GRACE / 4), ("c", Duration::ZERO)];
        assert_eq!(end(&slow_first).await, (vec!["a", "b", "c"], vec![]));
        assert_eq!(begun.elapsed(), GRACE * 3 / 4);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_hangs_leaves_the_least_to_those_after_it() {
        let least = LEAST;
        let begun = Instant::now();
        let first_hangs = [("a", GRACE * 9), ("b", least), ("c", Duration::ZERO)];
        assert_eq!(end(&first_hangs).await, (vec!["b", "c"], vec!["a"]));
        assert_eq!(begun.elapsed() + least, GRACE);

        let begun = Instant::now();
        let all_hang = [("a", GRACE * 9), ("b", GRACE * 9), ("c", GRACE * 9)];
        assert_eq!(end(&all_hang).await, (vec![], vec!["a", "b", "c"]));
        assert_eq!(begun.elapsed(), GRACE);
    }
}
