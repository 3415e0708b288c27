//! What stands in one span comes in the order in which it stands there, however often its catalog is made anew.

use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::span::Event;
use prost::Message as _;
use serde_json::json;
use slimspan::catalog::{Catalog, Compaction};
use slimspan_artifact::Digest;
use slimspan_proto::Signal;

use super::{Sent, Viewed, request, text};
use crate::program::artifact_server::{Served, with_catalog};
use crate::support::{otlp, soon};

/// The artifacts of the span, as they stand in it.
const FILES: u64 = 7;

/// Files on a span and on its event, and two of them in one attribute.
fn sent() -> bytes::Bytes {
    let file = |seed| otlp::photo(seed, 10_000);
    let uri = |seed| match otlp::data_uri(&file(seed)) {
        opentelemetry_proto::tonic::common::v1::any_value::Value::StringValue(uri) => uri,
        other => panic!("{other:?}"),
    };
    let pair = json!({ "first": uri(2), "second": uri(3) }).to_string();
    let span = Sent {
        trace: 5,
        span: 6,
        name: "compare",
        service: "eyes",
        second: 0,
        attributes: vec![
            ("zoom", otlp::bytes(&file(0))),
            ("angle", otlp::data_uri(&file(1))),
            ("pair", otlp::text(pair)),
            ("mask", otlp::bytes(&file(4))),
            ("crop", otlp::bytes(&file(5))),
        ],
    };
    let mut request = ExportTraceServiceRequest::decode(request(&[span])).unwrap();
    let span = &mut request.resource_spans[0].scope_spans[0].spans[0];
    span.events.push(Event {
        // Before the span itself, as no event is: nothing but the place in the span counts.
        time_unix_nano: 1,
        attributes: vec![KeyValue {
            key: "shown".to_owned(),
            value: Some(AnyValue {
                value: Some(otlp::bytes(&file(6))),
            }),
            ..KeyValue::default()
        }],
        ..Event::default()
    });
    request.encode_to_vec().into()
}

/// Which artifact is which.
fn numbers<'a>(digests: impl Iterator<Item = &'a str>) -> Vec<u64> {
    let number = |digest: &str| {
        let is_it = |seed: &u64| Digest::of(&otlp::photo(*seed, 10_000)).to_string() == digest;
        (0..FILES).find(is_it).unwrap()
    };
    digests.map(number).collect()
}

/// On the page of the trace, and in pages of the list, a few at a time.
async fn is_in_order(served: &Served, what: &str) {
    let in_order: Vec<u64> = (0..FILES).collect();
    let trace = "05".repeat(16);
    let page = text(&served.pages.get(&format!("/traces/{trace}")).await);
    let cards = page.split("<a class=\"tile image\" href=\"/artifacts/");
    let cards = cards.skip(1);
    assert_eq!(numbers(cards.map(|card| &card[..64])), in_order, "{what}");

    let (mut listed, mut cursor) = (Vec::new(), String::new());
    loop {
        let ask = format!("/v1/artifacts?trace_id={trace}&limit=3{cursor}");
        let answer = served.pages.get(&ask).await.json();
        let references = answer["references"].as_array().unwrap();
        let digests = references.iter().map(|one| one["sha256"].as_str().unwrap());
        listed.extend(numbers(digests));
        match answer["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(listed, in_order, "{what}");
}

#[tokio::test]
async fn what_stands_in_a_span_comes_in_its_order() {
    let viewed = Viewed::start().await;
    let sender = viewed.served.slimspan.sender().await;
    sender.send(Signal::Traces, &sent()).await.unwrap();
    let in_all = format!("{FILES} artifacts in 1 span");
    viewed
        .page_with(&format!("/traces/{}", "05".repeat(16)), &in_all)
        .await;
    is_in_order(&viewed.served, "as it came").await;

    // In another object: what is merged is sorted anew.
    let other = otlp::span_with(otlp::PICTURE);
    sender.send(Signal::Traces, &other).await.unwrap();
    viewed
        .page_with(
            &format!("/traces/{}", "07".repeat(16)),
            "1 artifact in 1 span",
        )
        .await;
    let catalog = Catalog::open_temporary(&viewed.served.store).unwrap();
    let compaction = Compaction {
        older_than: Duration::ZERO,
        grace: Duration::ZERO,
        ..Compaction::default()
    };
    let compacted = soon("it is merged", catalog.compact(compaction, |_| ()));
    let compacted = compacted.await.unwrap();
    // Those of two days are not, where midnight was between them.
    assert!([2, 0].contains(&compacted.merged), "{compacted:?}");
    is_in_order(&viewed.served, "merged").await;

    // Somebody else, whose index is new.
    let mut config = with_catalog();
    let artifacts = viewed.served.slimspan.artifacts();
    config["extensions"]["artifact_store"]["url"] = json!(artifacts);
    let anew = Served::start(&config).await;
    soon("the catalog is read", async {
        let all = format!("/v1/artifacts?trace_id={}", "05".repeat(16));
        loop {
            let answer = anew.pages.get(&all).await.json();
            if answer["references"].as_array().map(Vec::len) == Some(FILES as usize) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    is_in_order(&anew, "read anew").await;
}
