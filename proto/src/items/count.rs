use std::ops::Range;

use crate::Signal;
use crate::message::Message;
use crate::wire::{Field, Fields, WireType};

/// How many items a request has: spans, log records, data points of metrics, or profiles. Where it is not
/// sound, those before that.
pub fn count(signal: Signal, request: &[u8]) -> usize {
    let mut count = 0;
    for_each_item(request, |item| {
        count += match signal {
            Signal::Metrics => points(request, item),
            Signal::Traces | Signal::Logs | Signal::Profiles => 1,
        };
    });
    count
}

fn for_each_item(request: &[u8], mut visit: impl FnMut(Range<usize>)) {
    let inner = |number, range| {
        messages(request, range).filter(move |field: &Field| field.number == number)
    };
    for resource in inner(1, 0..request.len()) {
        for scope in inner(2, resource.body) {
            for item in inner(2, scope.body) {
                visit(item.body);
            }
        }
    }
}

/// The data points of the metric in `metric`. One that is not sound has one at least: whoever is told
/// that it was rejected has lost something.
pub(crate) fn points(request: &[u8], metric: Range<usize>) -> usize {
    let mut points = 0;
    let mut sound = true;
    for field in Fields::new(request, metric) {
        let Ok(field) = field else {
            sound = false;
            break;
        };
        let data = Message::Metric.child(field.number);
        if field.wire_type != WireType::Len || !matches!(data, Some(Message::MetricData(_))) {
            continue;
        }
        for point in Fields::new(request, field.body) {
            match point {
                Ok(point) if point.number == 1 => points += 1,
                Ok(_) => {}
                Err(_) => sound = false,
            }
        }
    }
    if sound { points } else { points.max(1) }
}

/// The fields with a length, up to the first that is not sound.
fn messages(request: &[u8], range: Range<usize>) -> impl Iterator<Item = Field> {
    Fields::new(request, range)
        .map_while(Result::ok)
        .filter(|field| field.wire_type == WireType::Len)
}
