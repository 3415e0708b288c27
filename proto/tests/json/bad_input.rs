use std::fmt::Write as _;
use std::time::{Duration, Instant};

use slimspan_generators::Request;
use slimspan_proto::json::{JsonError, Limits, Problem, Read, Reason, read, read_charging};
use slimspan_proto::{Signal, Verdict};

use super::{from_json, to_json};

fn traces(text: &str) -> Result<Read, JsonError> {
    read(Signal::Traces, text.as_bytes(), Limits::default())
}

/// A request with three spans, of which the second is `span`.
fn among(span: &str) -> String {
    format!(
        r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{"name":"first"}},{span},{{"name":"last"}}]}}]}}]}}"#
    )
}

/// The same with an attribute.
fn with_value(value: &str) -> String {
    among(&format!(
        r#"{{"attributes":[{{"key":"k","value":{value}}}]}}"#
    ))
}

/// Only the second span is gone, for this reason.
#[track_caller]
fn rejected(text: &str, field: &str, reason: Reason) {
    let read = traces(text).unwrap();
    let neighbours = among("{}").replace(",{},", ",");
    assert_eq!(
        to_json(Signal::Traces, &read.request),
        neighbours.as_bytes(),
        "{text:.200}"
    );
    assert_eq!((read.rejected, read.items), (1, 2), "{text:.200}");
    let [cause] = &read.causes[..] else {
        panic!("{:?}", read.causes);
    };
    assert_eq!(
        (cause.field, cause.reason, cause.items),
        (field, reason, 1),
        "{text:.200}"
    );
    assert!(cause.at < text.len());
}

/// Everything is there, and reads as `expected` does.
#[track_caller]
fn forwarded(text: &str, expected: &str) {
    let read = traces(text).unwrap();
    assert_eq!(
        (read.rejected, read.items),
        (0, 3),
        "{text:.200}: {:?}",
        read.causes
    );
    let text = to_json(Signal::Traces, &read.request);
    assert_eq!(String::from_utf8(text).unwrap(), expected);
}

#[track_caller]
fn refused(text: impl AsRef<[u8]>, problem: Problem) {
    let text = text.as_ref();
    let error = read(Signal::Traces, text, Limits::default()).unwrap_err();
    assert_eq!(
        error.problem,
        problem,
        "{}",
        text.escape_ascii()
            .to_string()
            .get(..200)
            .unwrap_or_default()
    );
    assert!(error.at <= text.len());
}

#[test]
fn a_member_that_stands_twice() {
    refused(
        r#"{"resourceSpans":[],"resourceSpans":[]}"#,
        Problem::Duplicate("resourceSpans"),
    );
    refused(
        r#"{"resourceSpans":null,"resource\u0053pans":[]}"#,
        Problem::Duplicate("resourceSpans"),
    );
    refused(
        among(r#"{"name":"a","name":"a"}"#),
        Problem::Duplicate("name"),
    );
    refused(with_value(r#"{},"key":"k""#), Problem::Duplicate("key"));
    // In a value, both are there: decoders read the last, and nothing is taken out of it.
    let twice = with_value(r#"{"stringValue":"a","stringValue":"b"}"#);
    let read = traces(&twice).unwrap();
    assert_eq!(read.rejected, 0);
    let both = b"\x12\x06\x0a\x01a\x0a\x01b";
    assert!(
        read.request
            .windows(both.len())
            .any(|window| window == both)
    );
}

#[test]
fn two_members_that_exclude_each_other() {
    rejected(
        &with_value(r#"{"stringValue":"a","intValue":"1"}"#),
        "intValue",
        Reason::SecondValue,
    );
    forwarded(
        &with_value(r#"{"stringValue":null,"intValue":"1"}"#),
        &with_value(r#"{"intValue":"1"}"#),
    );
    for (metric, field) in [
        (r#"{"gauge":{},"sum":{}}"#, "sum"),
        (
            r#"{"gauge":{"dataPoints":[{"asInt":"1","asDouble":1},{}]}}"#,
            "asDouble",
        ),
    ] {
        let text = format!(
            r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{metric},{{"gauge":{{"dataPoints":[{{}}]}}}}]}}]}}]}}"#
        );
        let read = from_json(Signal::Metrics, text.as_bytes());
        assert_eq!(read.items, 1);
        // As many as its data points, and one at least.
        assert_eq!(
            read.rejected,
            metric.matches("asInt").count().max(1) + metric.matches("{}]").count()
        );
        assert_eq!(
            (read.causes[0].field, read.causes[0].reason),
            (field, Reason::SecondValue)
        );
    }
}

#[test]
fn members_that_otlp_does_not_have() {
    let text = with_value(r#"{"fooValue":{"a":[1,{"b":null}],"c":"\ud800"}}"#);
    assert_eq!(traces(&text).unwrap().unknown, 1);
    forwarded(&text, &with_value("{}"));
    let read = traces(r#"{"resource_spans":[{"scopeSpans":[{"spans":[{}]}]}],"x_y":1}"#).unwrap();
    assert_eq!(
        (read.unknown, read.snake_case, read.rejected, read.items),
        (2, 1, 0, 0)
    );
    assert_eq!(read.request, b"");
    for name in [
        "start_time_unix_nano",
        "trace_id",
        "dropped_attributes_count",
    ] {
        let read = traces(&among(&format!(r#"{{"{name}":"1"}}"#))).unwrap();
        assert_eq!((read.unknown, read.snake_case), (1, 1), "{name}");
    }
    for name in [
        "_",
        "trace_",
        "trace__id",
        "_name",
        "name_",
        "",
        "traceid",
        "\\ud800",
    ] {
        let read = traces(&among(&format!(r#"{{"{name}":"1"}}"#))).unwrap();
        assert_eq!((read.unknown, read.snake_case), (1, 0), "{name}");
    }
}

#[test]
fn base64_in_every_variant() {
    for text in ["_-8=", "_-8", "/+8=", "/+8", r"\/+8", r"\u002f+8=", "/+9"] {
        forwarded(
            &with_value(&format!(r#"{{"bytesValue":"{text}"}}"#)),
            &with_value(r#"{"bytesValue":"/+8="}"#),
        );
    }
    for text in [
        "_+8=", "a", "aGk==", "aG=k", "aGk=aGk=", "a Gk", "ä", r"\ud800", "!",
    ] {
        let reason = if text == r"\ud800" {
            Reason::LoneSurrogate
        } else {
            Reason::Base64
        };
        rejected(
            &with_value(&format!(r#"{{"bytesValue":"{text}"}}"#)),
            "bytesValue",
            reason,
        );
    }
    rejected(
        &with_value(r#"{"bytesValue":[1]}"#),
        "bytesValue",
        Reason::Type,
    );
}

#[test]
fn doubles() {
    for (text, written) in [
        (r#""NaN""#, r#""NaN""#),
        (r#""Infinity""#, r#""Infinity""#),
        (r#""-Infinity""#, r#""-Infinity""#),
        (r#""1.50""#, "1.5"),
        ("1e2", "100.0"),
        ("0", "0.0"),
        ("-0", "-0.0"),
        ("1e-400", "0.0"),
        ("9007199254740993", "9007199254740992.0"),
    ] {
        let value = |text: &str| with_value(&format!(r#"{{"doubleValue":{text}}}"#));
        forwarded(&value(text), &value(written));
    }
    for (text, reason) in [
        ("1e400", Reason::Number),
        (r#""nan""#, Reason::Number),
        (r#""inf""#, Reason::Number),
        (r#""""#, Reason::Number),
        ("true", Reason::Type),
        ("{}", Reason::Type),
    ] {
        rejected(
            &with_value(&format!(r#"{{"doubleValue":{text}}}"#)),
            "doubleValue",
            reason,
        );
    }
}

#[test]
fn what_is_no_json() {
    for text in [
        r#"{"a":NaN}"#,
        r#"{"a":1,}"#,
        r#"{"a":[1,]}"#,
        r#"{"resourceSpans":[{},]}"#,
        r#"{,"a":1}"#,
        r#"{"a":1 "b":2}"#,
        r#"{"a" 1}"#,
        r#"{"a":[1 2]}"#,
        "{/* a */}",
        "{} // a",
        "{'a':1}",
        "{a:1}",
        r#"{"a":01}"#,
        r#"{"a":+1}"#,
        r#"{"a":1.}"#,
        r#"{"a":.5}"#,
        r#"{"a":1e}"#,
        r#"{"a":-}"#,
        r#"{"a":truth}"#,
        r#"{"a":nul}"#,
        r#"{"a":"\x"}"#,
        r#"{"a":"\u12"}"#,
        r#"{"a":"\u12g4"}"#,
        "{\"a\":\"\n\"}",
        "{\"a\":\"\0\"}",
        r#"{"a":[}"#,
        r#"{"a":{]}"#,
        r#"{"a":"#,
        r#"{"a":""#,
        r#"{"a":"\"#,
        "{",
        "",
        " ",
        "{}{}",
        "{}\n{}",
        "{}x",
        "{}\0",
        "\u{feff}{}",
        "{\u{a0}}",
        "[]",
        "null",
        "\"x\"",
        "7",
        "true",
    ] {
        assert!(traces(text).is_err(), "{text}");
        let serde = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text);
        assert!(serde.is_err(), "{text}");
        // Nor is it in the place of a value.
        let inside = with_value(&format!(r#"{{"fooValue":{text}}}"#));
        let is_value = ["[]", "null", "\"x\"", "7", "true"].contains(&text);
        assert_eq!(traces(&inside).is_ok(), is_value, "{inside}");
    }
    let utf16: Vec<u8> = "{}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert!(read(Signal::Traces, &utf16, Limits::default()).is_err());
    refused(b"{\"a\":\"\xff\"}", Problem::NotUtf8);
    refused(b"{\"a\":\"\xed\xa0\x80\"}", Problem::NotUtf8);
    for text in [
        "{}",
        " {\n\t} \r\n",
        r#"{"resourceSpans":null}"#,
        r#"{"resourceSpans":[]}"#,
    ] {
        assert_eq!(traces(text).unwrap().request, b"", "{text}");
    }
}

#[test]
fn surrogates() {
    for text in [
        r"\ud800",
        r"\udc00",
        r"\ud800\ud800",
        r"\udc00\ud800",
        r"\ud83dx",
        r"a\ud83d\n",
        r"\ud83d\",
    ] {
        let text = if text.ends_with('\\') {
            format!("{text}\"")
        } else {
            text.to_owned()
        };
        let value = with_value(&format!(r#"{{"stringValue":"{text}"}}"#));
        rejected(&value, "stringValue", Reason::LoneSurrogate);
    }
    forwarded(
        &with_value(r#"{"stringValue":"\ud83d\uDE00\u0000\u00e9\b\f\/"}"#),
        &with_value("{\"stringValue\":\"😀\\u0000é\\u0008\\u000c/\"}"),
    );
    rejected(
        &among(r#"{"name":"\ud800"}"#),
        "name",
        Reason::LoneSurrogate,
    );
}

#[test]
fn integers() {
    for (text, written) in [
        ("9007199254740993", "9007199254740993"),
        (r#""9007199254740993""#, "9007199254740993"),
        ("-9223372036854775808", "-9223372036854775808"),
        (r#""1e3""#, "1000"),
        ("1e3", "1000"),
        ("1.0", "1"),
        ("-0", "0"),
        (r#""\u0031""#, "1"),
    ] {
        forwarded(
            &with_value(&format!(r#"{{"intValue":{text}}}"#)),
            &with_value(&format!(r#"{{"intValue":"{written}"}}"#)),
        );
    }
    for (text, reason) in [
        ("9223372036854775808", Reason::Number),
        (r#""-9223372036854775809""#, Reason::Number),
        ("1.5", Reason::Number),
        ("1e99999999999999999999", Reason::Number),
        (r#""""#, Reason::Number),
        (r#"" 1""#, Reason::Number),
        (r#""0x1""#, Reason::Number),
        ("true", Reason::Type),
        ("[1]", Reason::Type),
    ] {
        rejected(
            &with_value(&format!(r#"{{"intValue":{text}}}"#)),
            "intValue",
            reason,
        );
    }
    rejected(
        &among(r#"{"startTimeUnixNano":-1}"#),
        "startTimeUnixNano",
        Reason::Number,
    );
    rejected(&among(r#"{"flags":4294967296}"#), "flags", Reason::Number);
    rejected(&among(r#"{"kind":2147483648}"#), "kind", Reason::Number);
    forwarded(&among(r#"{"kind":99}"#), &among(r#"{"kind":99}"#));
    rejected(
        &among(r#"{"kind":"SPAN_KIND_SERVER"}"#),
        "kind",
        Reason::EnumName,
    );
}

#[test]
fn ids() {
    let lower = among(r#"{"traceId":"abcdefabcdefabcdefabcdefabcdefab","spanId":"ab"}"#);
    forwarded(&lower.replace("abcdef", "ABCdEF"), &lower);
    forwarded(&among(r#"{"traceId":"","spanId":""}"#), &among("{}"));
    for id in ["abc", "xx", "0x", "ä", "+1", "AAAAAAAAAAAAAAAAAAAAAA=="] {
        rejected(
            &among(&format!(r#"{{"traceId":"{id}"}}"#)),
            "traceId",
            Reason::Hex,
        );
    }
}

#[test]
fn values_of_another_type() {
    for span in ["7", "null", "\"x\"", "[]", "[[[{}]]]"] {
        rejected(&among(span), "spans", Reason::Type);
    }
    for (span, field) in [
        (r#"{"name":7}"#, "name"),
        (r#"{"name":{}}"#, "name"),
        (r#"{"attributes":{}}"#, "attributes"),
        (r#"{"attributes":[7]}"#, "attributes"),
        (r#"{"attributes":[null]}"#, "attributes"),
        (r#"{"status":[]}"#, "status"),
        (
            r#"{"events":[{"attributes":[{"value":{"arrayValue":[]}}]}]}"#,
            "arrayValue",
        ),
    ] {
        rejected(&among(span), field, Reason::Type);
    }
    // Of what holds items, all of them.
    let text = r#"{"resourceSpans":[
        {"scopeSpans":[{"spans":[{},{},{"name":7}]}],"resource":{"attributes":7}},
        {"scopeSpans":[{"spans":[{"name":"kept"}]},{"spans":[{},{}],"schemaUrl":7},{"spans":7}]},
        {"scopeSpans":[{"spans":[{}]},7]}]}"#;
    let read = traces(text).unwrap();
    let expected = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"kept"}]}]}]}"#;
    assert_eq!(to_json(Signal::Traces, &read.request), expected.as_bytes());
    assert_eq!((read.rejected, read.items), (6, 1));
    let causes: Vec<_> = read
        .causes
        .iter()
        .map(|cause| (cause.field, cause.items))
        .collect();
    assert_eq!(
        causes,
        [
            ("name", 1),
            ("attributes", 2),
            ("schemaUrl", 2),
            ("spans", 0),
            ("scopeSpans", 1)
        ]
    );
    // Without anything that could be told apart, the request.
    refused(
        r#"{"resourceSpans":{}}"#,
        Problem::Field("resourceSpans", Reason::Type),
    );
    refused(
        r#"{"resourceSpans":[7]}"#,
        Problem::Field("resourceSpans", Reason::Type),
    );
}

#[test]
fn depth() {
    let nested = |levels: usize| {
        let open = r#"{"arrayValue":{"values":["#.repeat(levels);
        with_value(&format!("{open}{}", "]}}".repeat(levels)))
    };
    // Request, resource, scope, span, attribute; two messages a level; the innermost has one.
    let all_read = (100 - 5) / 2;
    let deepest = (slimspan_proto::DEEPEST - 5) / 2;
    for (levels, faults) in [(all_read, 0), (all_read + 1, 1), (deepest, 1)] {
        let read = traces(&nested(levels)).unwrap();
        assert_eq!(read.rejected, 0, "{levels}");
        let checked = slimspan_proto::check(Signal::Traces, &read.request, usize::MAX).unwrap();
        let apart = checked
            .faults
            .iter()
            .filter(|fault| fault.verdict == Verdict::Isolated);
        assert_eq!(
            (apart.count(), checked.faults.len()),
            (faults, faults),
            "{levels}"
        );
    }
    for levels in [deepest + 1, 10_000, 200_000] {
        let read = traces(&nested(levels)).unwrap();
        assert_eq!((read.rejected, read.items), (1, 2));
        assert_eq!(read.causes[0].reason, Reason::TooDeep);
    }
    let lists = r#"{"kvlistValue":{"values":[{"value":"#.repeat(40) + "{}" + &"}]}}".repeat(40);
    assert_eq!(
        traces(&with_value(&lists)).unwrap().causes[0].reason,
        Reason::TooDeep
    );
    // What OTLP does not have may nest as it likes.
    let unknown = format!(
        r#"{{"x":{}{}}}"#,
        r#"[{"a":"#.repeat(500_000),
        "1".to_owned() + &"}]".repeat(500_000)
    );
    assert_eq!(traces(&unknown).unwrap().unknown, 1);
    assert!(traces(&"[".repeat(1_000_000)).is_err());
    assert!(traces(&format!(r#"{{"x":{}"#, "[{\"a\":".repeat(500_000))).is_err());
}

#[test]
fn entries_have_a_limit() {
    let limits = Limits {
        max_entries: 100_000,
        ..Limits::default()
    };
    let bounded = |text: &str| read(Signal::Traces, text.as_bytes(), limits);
    let spans = |count: usize| {
        format!(
            r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{}{{}}]}}]}}]}}"#,
            "{},".repeat(count)
        )
    };
    let error = bounded(&spans(4 << 20)).unwrap_err();
    assert_eq!(error.problem, Problem::TooMany);
    assert!(error.at < 400_000, "no more is read: {}", error.at);
    let read = bounded(&spans(99_000)).unwrap();
    assert_eq!(read.items, 99_001);
    // As the check counts them.
    let count = |entries| slimspan_proto::check(Signal::Traces, &read.request, entries).is_ok();
    assert!(count(99_003) && !count(99_002));
    let limit = |max_entries| {
        let limits = Limits {
            max_entries,
            ..limits
        };
        slimspan_proto::json::read(Signal::Traces, spans(99_000).as_bytes(), limits).is_ok()
    };
    assert!(limit(99_003) && !limit(99_002));
    for text in [
        with_value(&format!(
            r#"{{"arrayValue":{{"values":[{}{{}}]}}}}"#,
            "{},".repeat(2 << 20)
        )),
        among(&format!(
            r#"{{"attributes":[{}{{}}]}}"#,
            "{},".repeat(2 << 20)
        )),
        among(&format!("7{}", ",7".repeat(1 << 20))),
    ] {
        assert_eq!(bounded(&text).unwrap_err().problem, Problem::TooMany);
    }
}

#[test]
fn what_is_long_takes_time_in_proportion() {
    let long = "1".repeat(1 << 20);
    refused(
        with_value(&format!(r#"{{"intValue":{long}}}"#)),
        Problem::LongNumber,
    );
    refused(
        with_value(&format!(r#"{{"doubleValue":1e{long}}}"#)),
        Problem::LongNumber,
    );
    refused(
        with_value(&format!(r#"{{"fooValue":0.{long}}}"#)),
        Problem::LongNumber,
    );
    refused(format!(r#"{{"{long}":1}}"#), Problem::LongName);
    rejected(
        &with_value(&format!(r#"{{"intValue":"{long}"}}"#)),
        "intValue",
        Reason::Number,
    );
    let value = with_value(&format!(r#"{{"stringValue":"{long}"}}"#));
    forwarded(&value, &value);
    let escapes = with_value(&format!(
        r#"{{"stringValue":"{}"}}"#,
        r"\u00e9\n".repeat(1 << 18)
    ));
    let read = traces(&escapes).unwrap();
    assert!(Request::decode(Signal::Traces, &read.request).is_ok());
    // Ever other causes do not make a list without an end.
    let mut spans = String::new();
    for reason in ["7", "\"\\ud800\"", "{}", "[]"] {
        for field in [
            "traceId",
            "spanId",
            "name",
            "kind",
            "traceState",
            "parentSpanId",
            "flags",
            "status",
            "links",
            "events",
        ] {
            write!(spans, r#"{{"{field}":{reason}}},{{"{field}":"x"}},"#).unwrap();
        }
    }
    let read = traces(&among(&format!("{spans}7"))).unwrap();
    assert_eq!(read.causes.len(), 16);
    assert_eq!(
        read.causes.iter().map(|cause| cause.items).sum::<usize>(),
        read.rejected
    );
}

/// One value that is an array again and again is one array of all of them, as decoders join them, and takes
/// time in proportion: half a million of them would take minutes otherwise, to be read or to be written.
#[test]
fn an_array_that_comes_again_and_again_takes_time_in_proportion() {
    const TIMES: usize = 1 << 19;
    let begun = Instant::now();
    let again = format!(
        r#"{{{}"arrayValue":{{"values":[{{}}]}}}}"#,
        r#""arrayValue":{"values":[{"boolValue":true}]},"#.repeat(TIMES - 1)
    );
    let read = traces(&with_value(&again)).unwrap();
    assert_eq!(read.rejected, 0);
    let joined = format!(
        r#"{{"arrayValue":{{"values":[{}{{}}]}}}}"#,
        r#"{"boolValue":true},"#.repeat(TIMES - 1)
    );
    let written = slimspan_proto::json::write(Signal::Traces, &read.request).unwrap();
    let written = String::from_utf8(written.text).unwrap();
    assert!(written.contains(&joined));
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(30), "{took:?}");
}

#[test]
fn memory_is_asked_for_where_a_message_takes_more_than_its_text() {
    let zeros = vec!["0"; 100_000].join(",");
    let text = format!(
        r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{{"histogram":{{"dataPoints":[{{"bucketCounts":[{zeros}]}}]}}}}]}}]}}]}}"#
    );
    let read = |more: &mut dyn FnMut(usize) -> bool| {
        read_charging(Signal::Metrics, text.as_bytes(), Limits::default(), more)
    };
    let mut asked = 0;
    let whole = read(&mut |more| {
        asked += more;
        true
    });
    let request = whole.unwrap().request;
    assert!(request.len() > 8 * 100_000);
    assert!(asked + text.len() >= request.len(), "{asked}");
    assert!(asked < 2 * request.len(), "{asked}");
    let refused = read(&mut |_| false).unwrap_err();
    assert!(matches!(refused.problem, Problem::NoMemory(_)), "{refused}");
}
