//! P13: whatever a backend answers, the sender is told what it needs, and what was taken in part is
//! not sent whole again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tonic::Code;

use crate::support::checker::{Rules, Scenario};
use crate::support::config;
use crate::support::ledger::{Ledger, Outcome};
use crate::support::measured::{bound, measured};
use crate::support::seed::Seed;
use crate::support::sender::Sender;
use crate::support::slimspan::Slimspan;
use crate::support::verifying::{Reaction, Verifying, in_folder};
use crate::support::workload::Workload;

const DELAY: Duration = Duration::from_millis(1700);

/// So much more memory an answer may cost than a sound one: four times what is read of it.
const MORE: u64 = 16 << 20;

/// What the sender is told when the backend answers so.
fn is_told(reaction: Reaction, outcome: &Outcome) -> bool {
    match (reaction, outcome) {
        (Reaction::Accept | Reaction::Warn, Outcome::Accepted { rejected: 0 }) => true,
        (Reaction::Reject(some), Outcome::Accepted { rejected }) => some == *rejected,
        (Reaction::Exhausted(None), Outcome::Refused { code, .. }) => {
            *code == Code::ResourceExhausted
        }
        (Reaction::Exhausted(told), Outcome::Postponed { code, delay, .. }) => {
            *code == Code::ResourceExhausted && told == *delay
        }
        (Reaction::Unavailable(told), Outcome::Postponed { code, delay, .. }) => {
            *code == Code::Unavailable && Some(told) == *delay
        }
        (
            Reaction::Hang | Reaction::Reset | Reaction::Garbage | Reaction::Flood,
            Outcome::Postponed { code, delay, .. },
        ) => *code == Code::Unavailable && delay.is_some(),
        _ => false,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_of_a_backend_reaches_the_sender() {
    let seed = Seed::any();
    let reactions = [
        Reaction::Accept,
        Reaction::Reject(1),
        Reaction::Warn,
        Reaction::Exhausted(None),
        Reaction::Exhausted(Some(DELAY)),
        Reaction::Unavailable(DELAY),
        Reaction::Hang,
        Reaction::Reset,
        Reaction::Garbage,
        Reaction::Flood,
    ];
    let workload = Workload {
        seed: seed.number(),
        // All files are moved: what is left is too small to be tried again in parts.
        smallest: 8 << 10,
        largest: 64 << 10,
    };
    // What comes first takes what any answer does.
    let mut sound = None;
    for reaction in reactions {
        let folder = tempfile::tempdir().unwrap();
        let artifacts = folder.path().join("artifacts");
        let fetch = in_folder(artifacts);
        let backend = Verifying::reacting(Arc::clone(&fetch), move |_| reaction).await;
        let mut config = config::standard(backend.address);
        config["exporters"]["otlp_grpc"]["timeout"] = json!("2s");
        let slimspan = Slimspan::start_in(folder, &config).await;
        let request = workload.request(0, 0);
        let ledger = Ledger::default();
        let page = ledger.open(&request);
        let sender = Sender::connect(slimspan.addresses[0]).await;
        let begun = Instant::now();
        let answer = sender.send(request.signal, &request.message).await;
        let took = begun.elapsed();
        let outcome = Outcome::of(answer);
        assert!(is_told(reaction, &outcome), "{reaction:?}: {outcome:?}");
        assert!(took < Duration::from_secs(5), "{reaction:?}: {took:?}");
        page.note(outcome, took);

        // One request came of it, and no more than what the sender was told was turned away.
        let receipts = backend.receipts();
        assert_eq!(receipts.len(), request.items.len(), "{reaction:?}");
        if ledger.acknowledged() == 1 {
            let scenario = Scenario {
                entries: &ledger.entries(),
                receipts: &receipts,
                fetch: &fetch,
                objects: &[],
                rules: Rules::STRICT,
            };
            scenario.assert();
        }
        // An answer without end is not kept.
        let peak = slimspan.peak_memory();
        let more = peak.saturating_sub(*sound.get_or_insert(peak));
        assert!(
            more <= bound(MORE, 2 * MORE),
            "{reaction:?}: {} KiB more",
            more >> 10
        );
        slimspan.stop_well().await;
        measured(
            "P13",
            &format!("delivery::answers, {reaction:?}"),
            "as it is, or UNAVAILABLE with a delay; below 5 s, at most 16 MiB more than for a sound answer",
            format_args!(
                "after {took:.1?}, {} KiB more: peak {} MiB",
                more >> 10,
                peak >> 20
            ),
        );
    }
}
