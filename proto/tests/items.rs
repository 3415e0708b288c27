//! The items of a request against prost, which decodes what they leave encoded.

#![allow(clippy::unwrap_used, missing_docs)]

use bytes::Bytes;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;
use proptest::prelude::*;
use prost::Message as _;
use slimspan_generators::{Generator, Random, Request, files, noise};
use slimspan_proto::{Items, Signal, count};

/// A decoded item: the index of its resource and scope, what these are, and the item, encoded by
/// prost.
#[derive(Debug, Clone, PartialEq)]
struct Flat {
    resource: Option<Resource>,
    resource_url: String,
    scope: Option<InstrumentationScope>,
    scope_url: String,
    item: Vec<u8>,
    weight: usize,
}

macro_rules! flatten {
    ($request:expr, $resources:ident, $scopes:ident, $items:ident, $weight:expr) => {
        $request
            .$resources
            .iter()
            .flat_map(|resource| {
                resource.$scopes.iter().flat_map(move |scope| {
                    scope.$items.iter().map(move |item| Flat {
                        resource: resource.resource.clone(),
                        resource_url: resource.schema_url.clone(),
                        scope: scope.scope.clone(),
                        scope_url: scope.schema_url.clone(),
                        item: item.encode_to_vec(),
                        weight: $weight(item),
                    })
                })
            })
            .collect()
    };
}

fn data_points(metric: &opentelemetry_proto::tonic::metrics::v1::Metric) -> usize {
    use opentelemetry_proto::tonic::metrics::v1::metric::Data;
    match &metric.data {
        None => 0,
        Some(Data::Gauge(data)) => data.data_points.len(),
        Some(Data::Sum(data)) => data.data_points.len(),
        Some(Data::Histogram(data)) => data.data_points.len(),
        Some(Data::ExponentialHistogram(data)) => data.data_points.len(),
        Some(Data::Summary(data)) => data.data_points.len(),
    }
}

fn flatten(signal: Signal, bytes: &[u8]) -> Vec<Flat> {
    match Request::decode(signal, bytes).unwrap() {
        Request::Traces(request) => {
            flatten!(request, resource_spans, scope_spans, spans, |_| 1)
        }
        Request::Logs(request) => {
            flatten!(request, resource_logs, scope_logs, log_records, |_| 1)
        }
        Request::Metrics(request) => {
            flatten!(
                request,
                resource_metrics,
                scope_metrics,
                metrics,
                data_points
            )
        }
    }
}

fn generate(signal: Signal, seed: u64) -> Bytes {
    let mut random = Random::new(seed);
    let request = Generator::new(&mut random, 4, files::value).request(signal);
    noise::noisy(signal, &request.encode(), &mut random).into()
}

fn signals() -> impl Strategy<Value = Signal> {
    prop::sample::select(Signal::READ.to_vec())
}

/// The bytes of each item, tags and lengths included.
fn raw(signal: Signal, request: &Bytes) -> Vec<Bytes> {
    let items = Items::read(signal, request).unwrap();
    items
        .iter()
        .map(|item| request.slice(item.range.clone()))
        .collect()
}

fn choose<T: Clone>(all: &[T], keep: impl Fn(usize) -> bool) -> Vec<T> {
    let chosen = all.iter().enumerate().filter(|(index, _)| keep(*index));
    chosen.map(|(_, one)| one.clone()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// The items are those that prost decodes, and count as many.
    #[test]
    fn finds_what_prost_decodes(signal in signals(), seed: u64) {
        let request = generate(signal, seed);
        let flat = flatten(signal, &request);
        let items = Items::read(signal, &request).unwrap();
        prop_assert_eq!(items.len(), flat.len());
        for (index, flat) in flat.iter().enumerate() {
            prop_assert_eq!(items.weight(index), flat.weight);
        }
        prop_assert_eq!(count(signal, &request), flat.iter().map(|flat| flat.weight).sum::<usize>());
    }

    /// Chosen items stay as they were, byte for byte, with what they stood in; no others stay.
    #[test]
    fn carves_the_chosen_items(signal in signals(), seed: u64, salt: u64) {
        let request = generate(signal, seed);
        let keep = |index: usize| (salt >> (index % 64)) & 1 == 1;
        let carved = Items::read(signal, &request).unwrap().carve(keep);
        prop_assert_eq!(flatten(signal, &carved), choose(&flatten(signal, &request), keep));
        prop_assert_eq!(raw(signal, &carved), choose(&raw(signal, &request), keep));
        let again = Items::read(signal, &carved).unwrap().carve(|_| true);
        prop_assert_eq!(again, &carved, "nothing is left without items");
        let items = Items::read(signal, &request).unwrap();
        let chosen: Vec<_> = (0..items.len()).filter(|index| keep(*index)).collect();
        prop_assert_eq!(items.len_of(&chosen), carved.len());
        prop_assert_eq!(items.of(&chosen), carved);
    }

    /// All parts are small enough, and in order they have every item that could fit; none could have
    /// had the first item of the next as well.
    #[test]
    fn splits_into_as_few_parts_as_can_be(signal in signals(), seed: u64, divisor in 1_usize..40) {
        let request = generate(signal, seed);
        let max = request.len() / divisor + 1;
        let items = Items::read(signal, &request).unwrap();
        let split = items.parts(0..items.len(), max);
        let fits = |index: usize| items.carve(|one| one == index).len() <= max;
        let oversize: Vec<_> = (0..items.len()).filter(|index| !fits(*index)).collect();
        prop_assert_eq!(split.oversize, oversize);

        let parts: Vec<_> = split.fitting.iter().map(|part| items.of(part)).collect();
        let mut flat = Vec::new();
        let mut bytes = Vec::new();
        for part in &parts {
            prop_assert!(part.len() <= max, "{} of {max}", part.len());
            flat.extend(flatten(signal, part));
            bytes.extend(raw(signal, part));
        }
        prop_assert_eq!(flat, choose(&flatten(signal, &request), fits));
        prop_assert_eq!(bytes, choose(&raw(signal, &request), fits));

        let fitting: Vec<_> = (0..items.len()).filter(|index| fits(*index)).collect();
        let mut taken = 0;
        for part in parts.iter().take(parts.len().saturating_sub(1)) {
            let next = taken + raw(signal, part).len();
            let with_next = &fitting[taken..=next];
            prop_assert!(items.carve(|index| with_next.contains(&index)).len() > max);
            taken = next;
        }
    }
}

/// A hundred thousand items in one scope, in parts of five each.
#[test]
fn parts_may_be_many() {
    let item = [0x12, 0x00];
    let prefixed = |tag: u8, body: &[u8]| {
        let mut out = vec![tag];
        prost::encode_length_delimiter(body.len(), &mut out).unwrap();
        out.extend_from_slice(body);
        out
    };
    let items = item.repeat(100_000);
    let request: Bytes = prefixed(0x0a, &prefixed(0x12, &items)).into();
    let items = Items::read(Signal::Traces, &request).unwrap();
    let split = items.parts(0..items.len(), 14);
    assert!(split.oversize.is_empty());
    let mut rest = 100_000;
    for part in &split.fitting {
        assert_eq!(count(Signal::Traces, &items.of(part)), rest.min(5));
        rest -= rest.min(5);
    }
    assert_eq!(rest, 0);
}
