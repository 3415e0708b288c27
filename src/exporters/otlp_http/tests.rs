//! What a request costs before it is sent.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use slimspan_generators::wire::nested;
use slimspan_proto::Signal;

use super::OtlpHttpExporter;
use super::config::{Compression, Encoding, OtlpHttpConfig};
use crate::admission::{Budget, Limits};

/// A span whose name is as long, and six times as long in JSON.
fn controls(len: usize) -> Bytes {
    nested(&[1, 2, 2, 5], vec![1; len]).into()
}

/// Three MiB for requests.
fn budget() -> Budget {
    Budget::new(Limits {
        limit_mib: 4,
        spike_mib: 1,
    })
}

fn exporter(encoding: Encoding, budget: &Budget) -> OtlpHttpExporter {
    let config = OtlpHttpConfig {
        encoding,
        compression: Compression::None,
        ..OtlpHttpConfig::new("http://127.0.0.1:1".parse().unwrap())
    };
    let exporter = OtlpHttpExporter::new("otlp_http", &config);
    exporter.unwrap().charging(budget)
}

/// Both on this thread and on those for what takes longer.
#[tokio::test]
async fn a_text_is_charged_as_long_as_it_is_kept() {
    for len in [1_000, 150_000] {
        let budget = budget();
        let json = exporter(Encoding::Json, &budget);
        let prepared = json.prepare(Signal::Traces, controls(len)).await.unwrap();
        let charged = budget.in_flight();
        assert!(charged >= 6 * len as u64, "{charged} of {len}");
        let again = prepared.clone();
        drop(prepared);
        assert_eq!(budget.in_flight(), charged, "it is still there");
        drop(again);
        assert_eq!(budget.in_flight(), 0);
        // Nothing is made of it otherwise.
        let proto = exporter(Encoding::Proto, &budget);
        let _prepared = proto.prepare(Signal::Traces, controls(len)).await.unwrap();
        assert_eq!(budget.in_flight(), 0);
    }
}

/// What fits when others have ended is for later, and what never fits goes in parts.
#[tokio::test]
async fn without_memory_there_is_no_text() {
    let budget = budget();
    let json = exporter(Encoding::Json, &budget);
    let mut others = budget.lease_for_copy();
    others.charge_ahead(5 << 19).await.unwrap();
    let refused = json.prepare(Signal::Traces, controls(150_000)).await;
    let refused = refused.unwrap_err();
    assert!(refused.is_retryable(), "{refused}");
    drop(others);
    json.prepare(Signal::Traces, controls(150_000))
        .await
        .unwrap();
    let refused = json.prepare(Signal::Traces, controls(600_000)).await;
    let refused = refused.unwrap_err();
    assert!(!refused.is_retryable(), "{refused}");
    let told = refused.to_string();
    assert!(told.contains("memory_limiter.limit_mib, as JSON"), "{told}");
    assert_eq!(budget.in_flight(), 0);
}
