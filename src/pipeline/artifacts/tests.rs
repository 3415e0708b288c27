#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use bytes::Bytes;
use slimspan_artifact::Location;
use slimspan_generators::wire::nested;
use tokio::time::{Instant, timeout};

use super::*;
use crate::admission::Limits;
use crate::client::Client;
use crate::exporters::{Departure, Divided, Oversize};
use crate::storage::spool::FaultyDisk;
use crate::storage::spool::config::SpoolConfig;
use crate::storage::{Spool, StoreConfig};
use crate::tally::Ticket;
use crate::telemetry::traces::{Onward, Trace};

/// A disk of a spool may hang for as long as it likes: its sender is told in half of the time that it
/// waits, so that the other half is left for what becomes of the request then.
#[tokio::test(start_paused = true)]
async fn a_spool_that_hangs_holds_nobody_beyond_its_share() {
    const PATIENCE: Duration = Duration::from_secs(8);
    let (folder, disk) = (tempfile::tempdir().unwrap(), FaultyDisk::default());
    let config = SpoolConfig {
        directory: folder.path().to_owned(),
        ..SpoolConfig::default()
    };
    let spool = Spool::open_on(&disk, &config).unwrap();
    let store = Store::open(&StoreConfig::new("memory://")).unwrap();
    let policy = Policy::new(8192, Location::Store("memory://x".to_owned()));
    let file = nested(&[2, 7], vec![7; 20_000]);
    let attribute = [nested(&[1], b"file"), file].concat();
    let request = Bytes::from(nested(&[1, 2, 2, 9], attribute));
    let sifted = Sifted {
        request: request.clone(),
        count: 1,
        rejected: None,
        isolated: Vec::new(),
        indices: 0,
    };
    let budget = Budget::new(Limits {
        limit_mib: 128,
        spike_mib: 0,
    });
    for on_failure in [OnStoreFailure::Refuse, OnStoreFailure::Forward] {
        let keeping = Keeping {
            store: store.clone().with_spool(spool.clone()),
            delivery: Delivery::Background,
            on_failure,
            tenancy: None,
            recorder: None,
        };
        let artifacts = Artifacts::new(
            &policy,
            &[Wanted::default()],
            Fate::Kept(Box::new(keeping)),
            budget.clone(),
        );
        let held = disk.hold_syncs();
        let begun = Instant::now();
        let counters = Arc::<Counters>::default();
        let terms = Terms {
            client: Arc::new(Client::unknown()),
            tenants: Arc::default(),
            alone: false,
            deadline: begun + PATIENCE,
            oversize: Oversize::Kept,
            divided: Divided::Never,
            tickets: Ticket::new(Arc::clone(&counters), Signal::Traces).into(),
            trace: Trace::default(),
            onward: Onward::default(),
            departure: Departure::default(),
        };
        let process = artifacts.process(Signal::Traces, &sifted, &terms, &counters);
        let processed = timeout(PATIENCE * 100, process).await;
        let processed = processed.unwrap();
        assert_eq!(begun.elapsed().as_secs(), PATIENCE.as_secs() / 2);
        if on_failure == OnStoreFailure::Refuse {
            assert!(processed.is_err_and(|refusal| refusal.is_retryable()));
        } else {
            assert!(processed.is_ok_and(|processed| processed.is_forwarded));
        }
        drop(held);
    }
    assert_eq!(spool.left().artifacts, 0, "nobody has waited for it");
}
