//! Scalars of the configuration and what type they are.

/// A scalar as it was written, and where its text comes from.
#[derive(Clone)]
pub(super) struct Scalar {
    /// The text: unquoted, escapes resolved, substitutions made.
    pub(super) text: String,
    /// Decides whether the text can be anything but a string.
    pub(super) origin: Origin,
}

/// Where the text of a scalar comes from.
#[derive(Clone)]
pub(super) enum Origin {
    /// Plain YAML: typed by what it looks like.
    Plain,
    /// Quoted or a block: always a string.
    Quoted,
    /// The value of an environment variable: typed by what it looks like, but its exact text
    /// where a string is wanted.
    Variable,
    /// The environment variable of this name, which is not set: null.
    UnsetVariable(String),
    /// Something that is as if nothing were written: null.
    Unwritten,
}

/// The type of a scalar by the core schema of YAML 1.2.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Typed<'t> {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Str(&'t str),
}

impl Scalar {
    /// What the scalar is where any type would do.
    pub(super) fn typed(&self) -> Typed<'_> {
        match self.origin {
            Origin::Quoted => Typed::Str(&self.text),
            Origin::UnsetVariable(_) | Origin::Unwritten => Typed::Null,
            Origin::Plain | Origin::Variable => core_schema(&self.text),
        }
    }

    /// What the scalar is where a string is wanted: its text, or nothing if it is null.
    ///
    /// Numbers and booleans count as their text, because people write `password: 1234`.
    pub(super) fn text(&self) -> Option<&str> {
        match (&self.origin, self.typed()) {
            (Origin::Quoted | Origin::Variable, _) => Some(&self.text),
            (_, Typed::Null) => None,
            _ => Some(&self.text),
        }
    }
}

fn core_schema(text: &str) -> Typed<'_> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Typed::Null,
        "true" | "True" | "TRUE" => Typed::Bool(true),
        "false" | "False" | "FALSE" => Typed::Bool(false),
        ".nan" | ".NaN" | ".NAN" => Typed::Float(f64::NAN),
        _ => integer(text)
            .map(Typed::Int)
            .or_else(|| float(text).map(Typed::Float))
            .unwrap_or(Typed::Str(text)),
    }
}

fn integer(text: &str) -> Option<i128> {
    let (digits, radix) = if let Some(digits) = text.strip_prefix("0x") {
        (digits, 16)
    } else if let Some(digits) = text.strip_prefix("0o") {
        (digits, 8)
    } else {
        return text.parse().ok();
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    i128::from_str_radix(digits, radix).ok()
}

fn float(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") {
        let sign = if text.starts_with('-') { -1.0 } else { 1.0 };
        return Some(sign * f64::INFINITY);
    }
    // Rust also reads words such as `inf` and `nan`, which are strings in YAML.
    if !unsigned.starts_with(|c: char| c == '.' || c.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_is_typed_by_the_core_schema() {
        let table = [
            ("", Typed::Null),
            ("~", Typed::Null),
            ("null", Typed::Null),
            ("nUll", Typed::Str("nUll")),
            ("True", Typed::Bool(true)),
            ("false", Typed::Bool(false)),
            ("yes", Typed::Str("yes")),
            ("0", Typed::Int(0)),
            ("-7", Typed::Int(-7)),
            ("+7", Typed::Int(7)),
            ("0123", Typed::Int(123)),
            ("0x1F", Typed::Int(31)),
            ("0o17", Typed::Int(15)),
            ("0x-1", Typed::Str("0x-1")),
            ("1_000", Typed::Str("1_000")),
            ("1.5", Typed::Float(1.5)),
            (".5", Typed::Float(0.5)),
            ("1e3", Typed::Float(1000.0)),
            ("-.inf", Typed::Float(f64::NEG_INFINITY)),
            ("inf", Typed::Str("inf")),
            ("nan", Typed::Str("nan")),
            (".", Typed::Str(".")),
            ("1.2.3", Typed::Str("1.2.3")),
            ("5s", Typed::Str("5s")),
        ];
        for (text, typed) in table {
            assert_eq!(core_schema(text), typed, "{text:?}");
        }
        assert!(
            matches!(core_schema(&"9".repeat(60)), Typed::Float(_)),
            "beyond every integer"
        );
    }
}
