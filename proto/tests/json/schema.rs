use slimspan_generators::Request;
use slimspan_generators::wire::{message, tagged};
use slimspan_proto::json::write;
use slimspan_proto::{Signal, check};

use super::{from_json, serde, to_json};

/// Every message of the schema has the same fields in the table of JSON as in that of the check,
/// written in the same ways.
#[test]
fn the_table_has_every_field_of_the_schema() {
    const FIELDS: u32 = 40;
    const DEEPEST: usize = 10;
    let mut fields = 0;
    for signal in Signal::READ {
        let mut open: Vec<Vec<u32>> = vec![vec![]];
        while let Some(path) = open.pop() {
            for number in (1..=FIELDS).chain([200, 18_999, 536_870_911]) {
                let probes = [
                    tagged(number, 0, &[1]),
                    tagged(number, 1, &[0; 8]),
                    tagged(number, 5, &[0; 4]),
                    message(number, b""),
                    message(number, &[0x0f]),
                    message(number, &[0xff, 0x01]),
                    message(number, &[0; 8]),
                ];
                let mut known = false;
                let mut accepted = [false; 7];
                for (probe, accepted) in probes.into_iter().zip(&mut accepted) {
                    let wrap = |body: Vec<u8>, number: &u32| message(*number, &body);
                    let request = path.iter().rev().fold(probe, wrap);
                    let sound = check(signal, &request, usize::MAX)
                        .is_ok_and(|checked| checked.faults.iter().all(is_about_text));
                    let written = write(signal, &request);
                    assert_eq!(
                        written.is_ok(),
                        sound,
                        "{signal}, {number} of {path:?}: {written:?}"
                    );
                    *accepted = sound;
                    known |= written.map_or(true, |written| written.unknown == 0);
                }
                fields += usize::from(known);
                let is_message = accepted[3] && !accepted[0] && !accepted[1] && !accepted[4];
                if is_message && path.len() < DEEPEST {
                    open.push([&path[..], &[number]].concat());
                }
            }
        }
    }
    assert!(fields > 500, "{fields}");
}

fn is_about_text(fault: &slimspan_proto::Fault) -> bool {
    fault.verdict == slimspan_proto::Verdict::Isolated
}

/// A request of each signal with every field in it, none of them a default, in the order of their
/// numbers and as short as JSON is.
const TRACES: &str = r#"{"resourceSpans":[{"resource":{"attributes":[{"key":"a","value":{"stringValue":"b"}}],"droppedAttributesCount":1,"entityRefs":[{"schemaUrl":"u","type":"t","idKeys":["i",""],"descriptionKeys":["d"]}]},"scopeSpans":[{"scope":{"name":"n","version":"v","attributes":[{"key":"a","value":{"boolValue":true}},{"key":"f","value":{"boolValue":false}}],"droppedAttributesCount":2},"spans":[{"traceId":"000102030405060708090a0b0c0d0e0f","spanId":"0001020304050607","traceState":"s=1","parentSpanId":"08090a0b0c0d0e0f","name":"n","kind":3,"startTimeUnixNano":"18446744073709551615","endTimeUnixNano":"9007199254740993","attributes":[{"key":"i","value":{"intValue":"-9223372036854775808"}},{"key":"d","value":{"doubleValue":-0.1}},{"key":"nan","value":{"doubleValue":"NaN"}},{"key":"inf","value":{"doubleValue":"Infinity"}},{"key":"-inf","value":{"doubleValue":"-Infinity"}},{"key":"big","value":{"doubleValue":1e300}},{"key":"array","value":{"arrayValue":{"values":[{"stringValue":"x"},{},{"arrayValue":{"values":[]}},{"kvlistValue":{"values":[{"key":"k"},{"key":""}]}}]}}},{"key":"bytes","value":{"bytesValue":"AAH/"}},{"key":"none","value":{}},{"key":"text","value":{"stringValue":"\" \\ / \n\r\t\u0000\u001f\u007f é 😀"}},{"key":"","value":{"stringValueStrindex":7},"keyStrindex":8}],"droppedAttributesCount":3,"events":[{"timeUnixNano":"1","name":"e","attributes":[{"key":"a"}],"droppedAttributesCount":4}],"droppedEventsCount":5,"links":[{"traceId":"ff","spanId":"fe","traceState":"l","attributes":[{"key":"a"}],"droppedAttributesCount":6,"flags":7}],"droppedLinksCount":8,"status":{"message":"m","code":2},"flags":4294967295}],"schemaUrl":"u"}],"schemaUrl":"u"}]}"#;

const LOGS: &str = r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":"1","severityNumber":-2,"severityText":"T","body":{"stringValue":""},"attributes":[{"key":"a","value":{"bytesValue":""}}],"droppedAttributesCount":1,"flags":2,"traceId":"01","spanId":"02","observedTimeUnixNano":"3","eventName":"e"}],"schemaUrl":"u"}],"schemaUrl":"u"}]}"#;

const METRICS: &str = r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"g","description":"d","unit":"u","gauge":{"dataPoints":[{"startTimeUnixNano":"1","timeUnixNano":"2","asDouble":0.0,"exemplars":[{"timeUnixNano":"1","asDouble":-0.0,"spanId":"01","traceId":"02","filteredAttributes":[{"key":"a"}]},{"asInt":"-1"}],"attributes":[{"key":"a"}],"flags":1},{"asInt":"0"}]},"metadata":[{"key":"m"}]},{"sum":{"dataPoints":[{"asInt":"-9223372036854775808"}],"aggregationTemporality":2,"isMonotonic":true}},{"histogram":{"dataPoints":[{"startTimeUnixNano":"1","timeUnixNano":"2","count":"3","sum":0.0,"bucketCounts":["1","0","18446744073709551615"],"explicitBounds":[0.0,1.5,1e300],"exemplars":[{}],"attributes":[{"key":"a"}],"flags":1,"min":-1.0,"max":0.0}],"aggregationTemporality":1}},{"exponentialHistogram":{"dataPoints":[{"attributes":[{"key":"a"}],"startTimeUnixNano":"1","timeUnixNano":"2","count":"3","sum":1.0,"scale":-2147483648,"zeroCount":"4","positive":{"offset":2147483647,"bucketCounts":["0","300","18446744073709551615"]},"negative":{"offset":-1},"flags":1,"exemplars":[{}],"min":1.0,"max":2.0,"zeroThreshold":0.5}],"aggregationTemporality":1}},{"summary":{"dataPoints":[{"startTimeUnixNano":"1","timeUnixNano":"2","count":"3","sum":1.0,"quantileValues":[{"quantile":0.5,"value":1.0},{}],"attributes":[{"key":"a"}],"flags":1}]}}]}]}]}"#;

#[test]
fn every_field_goes_both_ways() {
    for (signal, text) in [
        (Signal::Traces, TRACES),
        (Signal::Logs, LOGS),
        (Signal::Metrics, METRICS),
    ] {
        let read = from_json(signal, text.as_bytes());
        assert_eq!((read.rejected, read.unknown), (0, 0), "{:?}", read.causes);
        let again = String::from_utf8(to_json(signal, &read.request)).unwrap();
        assert_eq!(again, text.replace("\\u007f", "\u{7f}"));
        let decoded = Request::decode(signal, &read.request).unwrap();
        assert_eq!(decoded.encode(), read.request, "as prost encodes it");
        if signal != Signal::Traces {
            assert_eq!(serde(signal, text.as_bytes()).unwrap(), decoded);
        }
    }
}
