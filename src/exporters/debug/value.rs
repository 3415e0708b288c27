//! Attribute values and times as text.

use std::fmt::Write as _;

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};

use crate::terminal::{Page, Piece, Reference, bytes_excerpt, excerpt, replace_references};

/// How many characters of a value the brief form shows.
const BRIEF: usize = 160;

/// `key = value`, the value cut and its references on lines of their own.
pub(super) fn brief_line(page: &mut Page, depth: usize, key: &str, value: Option<&AnyValue>) {
    let mut text = String::new();
    let mut references = Vec::new();
    write_value(&mut text, value, false, &mut |string, text| {
        let (replaced, mut found) = replace_references(string);
        text.push_str(&replaced);
        references.append(&mut found);
    });
    page.line(
        depth,
        [
            Piece::label(excerpt(key, BRIEF)),
            Piece::text(" = "),
            Piece::text(excerpt(&text, BRIEF)),
        ],
    );
    reference_lines(page, depth + 1, &references);
}

/// A data point's attributes in braces and a space, or nothing when there are none.
pub(super) fn braces(attributes: &[KeyValue]) -> String {
    if attributes.is_empty() {
        return String::new();
    }
    let mut text = String::new();
    write_map(&mut text, attributes, &mut |string, text| {
        text.push_str(string);
    });
    format!("{} ", excerpt(&text, BRIEF))
}

/// `-> key: Type(value)`, the value in full and its references on lines of their own.
pub(super) fn full_line(page: &mut Page, depth: usize, key: &str, value: Option<&AnyValue>) {
    let mut text = String::new();
    let mut references = Vec::new();
    write_value(&mut text, value, false, &mut |string, text| {
        text.push_str(string);
        references.append(&mut replace_references(string).1);
    });
    page.line(
        depth,
        [
            Piece::aside("-> "),
            Piece::label(key),
            Piece::text(format!(": {}({text})", type_name(value))),
        ],
    );
    reference_lines(page, depth + 2, &references);
}

/// A point in time (nanoseconds since 1970) in UTC, or a dash when it is not set.
pub(super) fn time(nanoseconds: u64) -> String {
    if nanoseconds == 0 {
        return "-".to_owned();
    }
    jiff::Timestamp::from_nanosecond(nanoseconds.into())
        .map_or_else(|_| nanoseconds.to_string(), |time| time.to_string())
}

fn reference_lines(page: &mut Page, depth: usize, references: &[Reference]) {
    for reference in references {
        page.line(
            depth,
            [Piece::artifact("↳ "), Piece::artifact(reference.summary())],
        );
    }
}

/// The names that the Collector's debug exporter gives to types.
fn type_name(value: Option<&AnyValue>) -> &'static str {
    match value.and_then(|value| value.value.as_ref()) {
        None => "Empty",
        Some(Value::StringValue(_) | Value::StringValueStrindex(_)) => "Str",
        Some(Value::BoolValue(_)) => "Bool",
        Some(Value::IntValue(_)) => "Int",
        Some(Value::DoubleValue(_)) => "Double",
        Some(Value::ArrayValue(_)) => "Slice",
        Some(Value::KvlistValue(_)) => "Map",
        Some(Value::BytesValue(_)) => "Bytes",
    }
}

/// Writes a value the way JSON looks; how a string is written is the caller's choice.
fn write_value(
    text: &mut String,
    value: Option<&AnyValue>,
    quoted: bool,
    write_string: &mut impl FnMut(&str, &mut String),
) {
    // Writing to a String cannot fail.
    let _ = match value.and_then(|value| value.value.as_ref()) {
        None => Ok(()),
        Some(Value::BoolValue(flag)) => write!(text, "{flag}"),
        Some(Value::IntValue(number)) => write!(text, "{number}"),
        Some(Value::DoubleValue(number)) => write!(text, "{number:?}"),
        Some(Value::StringValueStrindex(index)) => write!(text, "string {index} of the dictionary"),
        Some(Value::StringValue(string)) => {
            let mark = if quoted { "\"" } else { "" };
            text.push_str(mark);
            write_string(string, text);
            text.push_str(mark);
            Ok(())
        }
        Some(Value::BytesValue(bytes)) => {
            text.push_str(&bytes_excerpt(bytes));
            Ok(())
        }
        Some(Value::ArrayValue(array)) => {
            text.push('[');
            for (position, element) in array.values.iter().enumerate() {
                if position > 0 {
                    text.push_str(", ");
                }
                write_value(text, Some(element), true, write_string);
            }
            text.push(']');
            Ok(())
        }
        Some(Value::KvlistValue(map)) => {
            write_map(text, &map.values, write_string);
            Ok(())
        }
    };
}

fn write_map(
    text: &mut String,
    entries: &[KeyValue],
    write_string: &mut impl FnMut(&str, &mut String),
) {
    text.push('{');
    for (position, entry) in entries.iter().enumerate() {
        if position > 0 {
            text.push_str(", ");
        }
        text.push_str(&entry.key);
        text.push_str(": ");
        write_value(text, entry.value.as_ref(), true, write_string);
    }
    text.push('}');
}
