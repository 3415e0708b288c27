//! Senders that come to an end by themselves.

use std::time::Duration;

use futures::future::join_all;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::support::insistent::{Insistent, PATIENCE, Place, Whereabouts};
use crate::support::ledger::Ledger;
use crate::support::workload::Workload;

/// How much is sent to how few.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    pub(super) senders: u64,
    /// Of each sender, one after the other.
    pub(super) requests: usize,
    pub(super) workload: Workload,
}

impl Load {
    /// Small files, most of them large enough to be moved.
    pub(super) fn small(seed: u64, senders: u64, requests: usize) -> Self {
        Self {
            senders,
            requests,
            workload: Workload {
                seed,
                smallest: 4 << 10,
                largest: 64 << 10,
            },
        }
    }

    /// Sends everything as often as it takes.
    pub(super) async fn send(&self, to: impl Into<Place>) -> Ledger {
        let (_here, whereabouts) = watch::channel(Some(to.into()));
        self.begin(&whereabouts).rest().await
    }

    /// Begins to send to wherever slimspan is.
    pub(super) fn begin(&self, whereabouts: &Whereabouts) -> Sending {
        self.begin_patiently(whereabouts, PATIENCE)
    }

    /// The same with senders that try for longer.
    pub(super) fn begin_patiently(&self, whereabouts: &Whereabouts, patience: Duration) -> Sending {
        let ledger = Ledger::default();
        let (stop, stopped) = watch::channel(false);
        let senders = (0..self.senders).map(|number| {
            let whereabouts = whereabouts.clone();
            let ledger = ledger.clone();
            let mut sender = Insistent::new(number, self.workload, ledger, whereabouts, patience);
            let (requests, stopped) = (self.requests, stopped.clone());
            tokio::spawn(async move {
                for _ in 0..requests {
                    if *stopped.borrow() {
                        return;
                    }
                    sender.send_next().await;
                }
            })
        });
        Sending {
            senders: senders.collect(),
            ledger,
            stop,
        }
    }
}

/// Senders at work.
pub(super) struct Sending {
    pub(super) ledger: Ledger,
    senders: Vec<JoinHandle<()>>,
    stop: watch::Sender<bool>,
}

impl Sending {
    /// Waits until everything is sent and answered.
    pub(super) async fn rest(self) -> Ledger {
        for sender in join_all(self.senders).await {
            sender.unwrap();
        }
        self.ledger
    }

    /// Waits until what was begun is answered.
    pub(super) async fn stop(self) -> Ledger {
        self.stop.send_replace(true);
        self.rest().await
    }
}
