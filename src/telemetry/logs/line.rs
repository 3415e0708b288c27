use std::fmt::{self, Write as _};

use anstyle::{AnsiColor, Color, Style};
use jiff::Timestamp;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata};

use crate::config::TextOrFields;
use crate::terminal::is_unsafe;

/// What is told of an event.
pub(super) struct Line {
    at: Timestamp,
    level: Level,
    message: String,
    caller: Option<String>,
    fields: Vec<(String, Said)>,
}

/// The value of a field.
enum Said {
    Text(String),
    Number(serde_json::Number),
    Bool(bool),
    Fields(serde_json::Value),
}

impl Line {
    pub(super) fn of(event: &Event<'_>) -> Self {
        let mut line = Self {
            at: Timestamp::now(),
            level: *event.metadata().level(),
            message: String::new(),
            caller: None,
            fields: Vec::new(),
        };
        event.record(&mut line);
        line
    }

    /// Says where in the code it comes from.
    pub(super) fn say_caller(&mut self, metadata: &Metadata<'_>) {
        let place = metadata.file().zip(metadata.line());
        self.caller = place.map(|(file, line)| format!("{file}:{line}"));
    }

    /// Adds fields that do not come from the event.
    pub(super) fn add(&mut self, fields: &[(String, TextOrFields)]) {
        let fields = fields.iter().map(|(key, value)| {
            let said = match value {
                TextOrFields::Text(text) => Said::Text(text.clone()),
                TextOrFields::Fields(_) => Said::Fields(value.to_json()),
            };
            (key.clone(), said)
        });
        self.fields.extend(fields);
    }

    /// For people. What strangers say in it drives no terminal.
    pub(super) fn to_console(&self, in_colour: bool) -> String {
        let (dim, level) = if in_colour {
            (Style::new().dimmed(), self.style())
        } else {
            (Style::new(), Style::new())
        };
        let mut text = format!(
            "{dim}{:.6}{dim:#} {level}{:>5}{level:#} ",
            self.at, self.level
        );
        harmless(&mut text, &self.message);
        for (key, value) in &self.fields {
            text.push(' ');
            harmless(&mut text, key);
            text.push('=');
            harmless(&mut text, &value.to_string());
        }
        if let Some(caller) = &self.caller {
            let _ = write!(text, " {dim}{caller}{dim:#}");
        }
        text.push('\n');
        text
    }

    /// For programs: the keys of the Collector, and the fields beside them.
    pub(super) fn to_json(&self) -> String {
        let mut object = serde_json::Map::new();
        let level = self.level.as_str().to_ascii_lowercase();
        object.insert("level".to_owned(), level.into());
        object.insert("ts".to_owned(), format!("{:.6}", self.at).into());
        if let Some(caller) = &self.caller {
            object.insert("caller".to_owned(), caller.clone().into());
        }
        object.insert("msg".to_owned(), self.message.clone().into());
        for (key, value) in &self.fields {
            let value = match value {
                Said::Text(text) => text.clone().into(),
                Said::Number(number) => number.clone().into(),
                Said::Bool(bool) => (*bool).into(),
                Said::Fields(fields) => fields.clone(),
            };
            object.insert(key.clone(), value);
        }
        let json = serde_json::Value::Object(object).to_string();
        let mut line = String::with_capacity(json.len() + 1);
        for symbol in json.chars() {
            if is_unsafe(symbol) {
                let mut units = [0; 2];
                for unit in symbol.encode_utf16(&mut units) {
                    let _ = write!(line, "\\u{unit:04x}");
                }
            } else {
                line.push(symbol);
            }
        }
        line.push('\n');
        line
    }

    fn style(&self) -> Style {
        let colour = match self.level {
            Level::ERROR => AnsiColor::Red,
            Level::WARN => AnsiColor::Yellow,
            Level::INFO => AnsiColor::Green,
            Level::DEBUG => AnsiColor::Blue,
            Level::TRACE => AnsiColor::Magenta,
        };
        Style::new().fg_color(Some(Color::Ansi(colour)))
    }

    fn note(&mut self, field: &Field, value: Said) {
        match (field.name(), value) {
            ("message", Said::Text(message)) => self.message = message,
            (name, value) => self.fields.push((name.to_owned(), value)),
        }
    }
}

fn harmless(text: &mut String, word: &str) {
    for symbol in word.chars() {
        if is_unsafe(symbol) {
            text.extend(symbol.escape_default());
        } else {
            text.push(symbol);
        }
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.note(field, Said::Text(format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.note(field, Said::Text(value.to_owned()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.note(field, Said::Number(value.into()));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.note(field, Said::Number(value.into()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.note(field, Said::Bool(value));
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Number(number) => number.fmt(f),
            Self::Bool(bool) => bool.fmt(f),
            Self::Fields(fields) => fields.fmt(f),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn line() -> Line {
        Line {
            at: "2026-01-02T03:04:05.678Z".parse().unwrap(),
            level: Level::WARN,
            message: "one\n\u{1b}[31mtwo\u{202e}".to_owned(),
            caller: None,
            fields: vec![
                ("signal".to_owned(), Said::Text("traces".to_owned())),
                ("items".to_owned(), Said::Number(3.into())),
            ],
        }
    }

    #[test]
    fn a_line_for_people_is_one_line_that_drives_no_terminal() {
        assert_eq!(
            line().to_console(false),
            "2026-01-02T03:04:05.678000Z  WARN one\\n\\u{1b}[31mtwo\\u{202e} signal=traces items=3\n"
        );
    }

    #[test]
    fn mappings_of_the_configuration_are_objects() {
        let inside = TextOrFields::Text("eu".to_owned());
        let site = TextOrFields::Fields([("zone".to_owned(), inside.clone())].into());
        let mut line = line();
        line.add(&[("site".to_owned(), site), ("short".to_owned(), inside)]);
        let text = line.to_console(false);
        assert!(
            text.ends_with(" site={\"zone\":\"eu\"} short=eu\n"),
            "{text}"
        );
        let json: serde_json::Value = serde_json::from_str(&line.to_json()).unwrap();
        assert_eq!(json["site"], serde_json::json!({ "zone": "eu" }));
        assert_eq!(json["short"], "eu");
    }

    #[test]
    fn a_line_for_programs_is_an_object() {
        let text = line().to_json();
        assert_eq!(text.trim_end().lines().count(), 1);
        assert!(!text.trim_end().contains(is_unsafe), "{text}");
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "level": "warn",
                "ts": "2026-01-02T03:04:05.678000Z",
                "msg": "one\n\u{1b}[31mtwo\u{202e}",
                "signal": "traces",
                "items": 3,
            })
        );
    }
}
