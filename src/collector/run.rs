//! From the first request to the last word.

use std::io::{self, Write as _};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::task::JoinSet;
use tokio::time::{sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::Collector;
use super::receivers::Receiver;
use super::servers::LastAnswers;
use crate::catalog::{KEEPING, Recorder};
use crate::exporters::Exporter;
use crate::residue;
use crate::shutdown::{self, Stages};
use crate::storage::Store;
use crate::telemetry::Phase;

/// What telling those who still wait has, when the time of requests under way is over.
const LAST_REFUSALS: Duration = Duration::from_millis(250);

/// What exporters have at the end to deliver what is in their queues, or to keep it.
const LAST_DELIVERIES: Duration = Duration::from_millis(1500);

/// The same where what is in a queue is nowhere else. Who still waits for an answer meanwhile sends
/// again, and the senders of what is in the queue do not.
const LAST_DELIVERIES_FROM_MEMORY: Duration = Duration::from_secs(4);

/// What uploads from a spool have at the end; what is left waits there for the next start.
const LAST_UPLOADS: Duration = Duration::from_millis(250);

/// What sending slimspan's own spans and metrics has at the end.
const LAST_TELEMETRY: Duration = Duration::from_millis(500);

/// What entries of the catalog have at the end to be put; what is left waits there for the next start.
const LAST_ENTRIES: Duration = Duration::from_millis(500);

/// The same where some are in memory: the disk is asked for them once more, and they would be lost if that were
/// cut off.
const LAST_ENTRIES_FROM_MEMORY: Duration = KEEPING.saturating_add(LAST_ENTRIES);

/// What telling of the end has.
const LAST_WORDS: Duration = Duration::from_millis(250);

/// What a collector that has ended leaves behind.
#[derive(Debug, Default)]
pub(super) struct Remains {
    /// Requests may still wait in them: with them these are let go of.
    pub(super) exporters: Vec<Arc<Exporter>>,
    /// What is sent to who reads artifacts.
    pub(super) answers: LastAnswers,
}

impl Collector {
    /// Serves until `stop` is cancelled, then ends what is under way, but not for ever.
    pub(super) async fn run(self, stop: CancellationToken) -> Remains {
        let connections: Vec<_> = self.receivers.iter().map(Receiver::connections).collect();
        let servers = self.receivers.into_iter().map(|receiver| {
            let (budget, stop) = (self.budget.clone(), stop.clone());
            receiver.serve(budget, &self.counters, stop)
        });
        let mut servers = pin!(join_all(servers));
        let drain = CancellationToken::new();
        let last_telemetry = CancellationToken::new();
        let mut own_telemetry = JoinSet::new();
        self.own_spans.send(&last_telemetry, &mut own_telemetry);
        self.own_metrics.send(&last_telemetry, &mut own_telemetry);
        let mut uploads = JoinSet::new();
        for store in self.stores.values().filter(|store| store.spool().is_some()) {
            let (store, counters) = (store.clone(), Arc::clone(&self.counters));
            let (budget, drain) = (self.budget.clone(), drain.clone());
            uploads.spawn(async move {
                if let Some(spool) = store.spool() {
                    spool.upload(&store, &budget, &counters, drain).await;
                }
            });
        }
        let close = CancellationToken::new();
        let mut catalogs = JoinSet::new();
        for (id, recorder) in &self.recorders {
            if let Some(store) = self.stores.get(id).cloned() {
                let (recorder, close) = (recorder.clone(), close.clone());
                catalogs.spawn(async move { recorder.run(&store, close).await });
            }
        }
        let reports = self
            .dry_runs
            .values()
            .map(|dry_run| dry_run.report_every_minute(print));
        let reports = async {
            join_all(reports).await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            // First, because receivers end only after it, and are to be waited for below.
            biased;
            () = stop.cancelled() => {}
            _ = &mut servers => {}
            () = reports => {}
            never = residue::give_back() => match never {},
        }
        self.counters.enter(Phase::Stopping);
        // What is read takes as long as its reader, which is waited for at the very end.
        self.servers.stop();
        // A request is answered when its pipelines and exporters are done with it, so these end with
        // the receivers.
        let exporters = &self.exporters;
        let last_deliveries = if exporters.iter().any(|one| one.acknowledges_in_memory()) {
            LAST_DELIVERIES_FROM_MEMORY
        } else {
            LAST_DELIVERIES
        };
        let late = Stages::default()
            .then("receivers", Duration::ZERO, |until| async move {
                tokio::select! {
                    _ = &mut servers => return,
                    () = sleep_until(until - LAST_REFUSALS) => {}
                }
                for standing in &connections {
                    standing.refuse();
                }
                servers.await;
            })
            .then("exporters", last_deliveries, |until| async move {
                let ends = exporters.iter().map(|exporter| exporter.end(until));
                join_all(ends).await;
            })
            // What senders still brought is uploaded, too, as far as there is time.
            .then("spool", LAST_UPLOADS, |_| async {
                drain.cancel();
                while uploads.join_next().await.is_some() {}
                for spool in self.stores.values().filter_map(Store::spool) {
                    spool.settle().await;
                    let left = spool.left();
                    if left.artifacts > 0 {
                        tracing::info!("{spool}: {left} stay there for the next start");
                    }
                }
            })
            .then("catalog", LAST_ENTRIES_FROM_MEMORY, |_| async {
                let last_entries = if self.recorders.values().all(Recorder::is_durable) {
                    LAST_ENTRIES
                } else {
                    LAST_ENTRIES_FROM_MEMORY
                };
                close.cancel();
                let ended = async { while catalogs.join_next().await.is_some() {} };
                // A store that hangs holds up nobody: what is not put is in the journal.
                let _ = timeout(last_entries, ended).await;
            })
            .then("own telemetry", LAST_TELEMETRY, |_| async {
                last_telemetry.cancel();
                let ended = async { while own_telemetry.join_next().await.is_some() {} };
                // It is not worth a long end: spans that are not sent by then are dropped, and counted.
                let _ = timeout(LAST_TELEMETRY, ended).await;
            })
            .then("telemetry", LAST_WORDS, |_| async {
                for dry_run in self.dry_runs.values() {
                    print(&dry_run.to_text());
                }
            })
            .end(shutdown::GRACE)
            .await;
        // Those that were cut off have told nobody of what was in their memory.
        catalogs.abort_all();
        for recorder in self.recorders.values() {
            recorder.cut_off();
        }
        for stage in late {
            tracing::warn!(
                "{stage} did not end in their part of {:?} and were cut off; nothing was acknowledged by that",
                shutdown::GRACE
            );
        }
        // Until here it is told that slimspan stops.
        drop((self.extensions, self.sights));
        Remains {
            exporters: self.exporters,
            answers: self.servers.end(),
        }
    }
}

/// Prints a report for people to standard error, where the log goes, too.
fn print(text: &str) {
    // Who has closed it does not want to know.
    let _ = io::stderr().lock().write_all(text.as_bytes());
}
