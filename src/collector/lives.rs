//! One collector after the other: a reload ends the one that runs and starts another, and no request
//! that was acknowledged, or is under way, is lost by that.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinHandle, JoinSet, spawn_blocking};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

use super::run::Remains;
use super::spools::refuse_to_leave;
use super::{Collector, StartError, extensions, receivers, rehearse, servers};
use crate::config::{Config, ExtensionConfig};
use crate::listeners::{Listeners, Wanted};
use crate::shutdown::{GRACE, Signals};
use crate::telemetry::{Counters, logs};

/// How long folders that the one before had open may still be locked: what it was reading or writing
/// ends first.
const RELEASE: Duration = Duration::from_secs(5);

/// How often it is looked at whether a collector still runs.
const CHECK: Duration = Duration::from_secs(1);

/// How often they are tried meanwhile.
const PAUSE: Duration = Duration::from_millis(20);

/// Runs collectors until a signal to stop: first `config`, then what `load` gives with each signal to
/// reload. An error is also that a collector ended without such a signal. Where `load` gives nothing, which it has told, and where nothing comes of what it gives, the
/// one before goes on. `started` is told of the first.
pub async fn run(
    mut config: Config,
    mut signals: Signals,
    load: impl Fn() -> Option<Config> + Clone + Send + 'static,
    started: impl FnOnce(&[(String, String)]),
) -> Result<(), StartError> {
    let stop = signals.stop.clone();
    let counters = Arc::new(Counters::default());
    let mut listeners = Listeners::default();
    let patience = others_release(&config);
    let collector = tokio::select! {
        biased;
        () = stop.cancelled() => return Ok(()),
        collector = start(&config, &mut listeners, &counters, patience) => collector?,
    };
    started(collector.summary());
    let mut life = Life::of(collector, &stop);
    // Of those before, to who still reads.
    let mut answers = JoinSet::new();
    let (remains, ended) = loop {
        let next = loop {
            tokio::select! {
                // A stop has the last word.
                biased;
                () = stop.cancelled() => break None,
                () = life.ended() => break None,
                () = signals.reload() => {}
            }
            tracing::info!("reloading the configuration");
            let loaded = spawn_blocking(load.clone()).await.ok().flatten();
            let Some(next) = loaded else {
                tracing::error!("the configuration is wrong: going on with the one before");
                continue;
            };
            match prepare(&config, &next, &mut listeners).await {
                Ok(must_wait) => break Some((next, must_wait)),
                Err(error) => {
                    tracing::error!("{error}: going on with the configuration before");
                }
            }
        };
        let Some((next, must_wait)) = next else {
            // Whoever connects now is to be told at once that nobody is here.
            listeners.retain(&[]);
            listeners.connections.keep(&BTreeMap::new());
            let ended = Instant::now();
            break (life.end().await, ended);
        };
        let ended = Instant::now();
        // Who sends over these does not notice.
        let staying = receivers::staying(&config, &next);
        listeners.connections.keep(&staying);
        let mut ending = pin!(life.end());
        let remains = tokio::select! {
            biased;
            () = stop.cancelled() => None,
            remains = &mut ending => Some(remains),
        };
        let Some(remains) = remains else {
            // Here, too, nobody is to wait for who does not come any more: neither who connects, nor who did before.
            listeners.connections.nobody_comes();
            listeners.retain(&[]);
            break (ending.await, ended);
        };
        drop(remains.exporters);
        while answers.try_join_next().is_some() {}
        let last = remains.answers;
        if servers::are_same(&config, &next) {
            answers.spawn(last.sent());
        } else {
            answers.spawn(last.sent_until(ended + GRACE));
        }
        if must_wait {
            listeners.retain(&wanted(&next));
        }
        let collector = match follow(&config, &next, &mut listeners, &counters).await {
            Ok(collector) => {
                config = next;
                logs::set_level(&config.service.telemetry.logs);
                tracing::info!("reloaded the configuration");
                collector
            }
            Err(error) => {
                tracing::error!(
                    "{error}: the new configuration cannot run, back to the one before"
                );
                let staying = receivers::staying(&next, &config);
                listeners.connections.keep(&staying);
                let collector = start(&config, &mut listeners, &counters, RELEASE).await?;
                tracing::info!("the configuration before runs again");
                collector
            }
        };
        listeners.retain(&wanted(&config));
        life = Life::of(collector, &stop);
    };
    let is_over = stop.is_cancelled();
    let until = ended + GRACE;
    // What stayed for a configuration that does not run any more, or not yet.
    let _ = timeout_at(until, listeners.connections.end()).await;
    remains.answers.sent_until(until).await;
    let before = async { while answers.join_next().await.is_some() {} };
    if timeout_at(until, before).await.is_err() {
        answers.shutdown().await;
    }
    for line in counters.items.lines().chain(counters.tenant_lines()) {
        tracing::info!("{line}");
    }
    tracing::info!("stopped: {counters}");
    drop(remains.exporters);
    if is_over {
        Ok(())
    } else {
        Err(StartError::Ended)
    }
}

/// Every address that `config` listens on.
fn wanted(config: &Config) -> Vec<Wanted> {
    let mut wanted = receivers::wanted(config);
    wanted.extend(extensions::wanted(config));
    wanted.extend(servers::wanted(config));
    wanted
}

/// What can be done while the one before runs: finding out whether `next` could, and listening where it
/// will. True if it has to wait for a port of the one before.
async fn prepare(
    config: &Config,
    next: &Config,
    listeners: &mut Listeners,
) -> Result<bool, StartError> {
    rehearse(next)?;
    match listeners.open(&wanted(next)).await {
        Ok(must_wait) => Ok(must_wait),
        Err((taken, reason)) => {
            listeners.retain(&wanted(config));
            Err(StartError::Bind {
                owner: taken.owner,
                endpoint: taken.socket.to_string(),
                reason,
            })
        }
    }
}

/// How long another process may hold on to the folders of queues.
fn others_release(config: &Config) -> Duration {
    let storages = config
        .started_extensions()
        .filter_map(|(_, extension)| match extension {
            ExtensionConfig::FileStorage(storage) => Some(storage.timeout),
            _ => None,
        });
    storages.max().unwrap_or_default()
}

/// Starts a collector when the one before has let go of its folders, for which it waits so long.
async fn start(
    config: &Config,
    listeners: &mut Listeners,
    counters: &Arc<Counters>,
    patience: Duration,
) -> Result<Collector, StartError> {
    let until = Instant::now() + patience;
    loop {
        match Collector::start(config, listeners, Arc::clone(counters)).await {
            Err(error) if error.is_in_use() && Instant::now() < until => sleep(PAUSE).await,
            outcome => return outcome,
        }
    }
}

/// Starts the one after `before`, which has ended, unless that would leave something to nobody.
async fn follow(
    before: &Config,
    next: &Config,
    listeners: &mut Listeners,
    counters: &Arc<Counters>,
) -> Result<Collector, StartError> {
    refuse_to_leave(before, next)?;
    start(next, listeners, counters, RELEASE).await
}

/// A collector that runs.
struct Life {
    stop: CancellationToken,
    running: JoinHandle<Remains>,
}

impl Life {
    fn of(collector: Collector, stop: &CancellationToken) -> Self {
        let stop = stop.child_token();
        Self {
            running: tokio::spawn(collector.run(stop.clone())),
            stop,
        }
    }

    /// Ends it, and what is under way in it. What waits in its exporters is counted as long as they are held.
    async fn end(self) -> Remains {
        self.stop.cancel();
        self.running.await.unwrap_or_else(|error| {
            tracing::error!("the collector ended: {error}");
            Remains::default()
        })
    }

    /// Waits until it has ended by itself, which it does only where something panics.
    async fn ended(&self) {
        while !self.running.is_finished() {
            sleep(CHECK).await;
        }
    }
}
