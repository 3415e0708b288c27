//! Replaces `${env:NAME}` by the value of the environment variable.
//!
//! What comes out of a variable is not expanded again and never becomes a list or a mapping, so
//! that the environment cannot change the shape of the configuration.

use super::node::{Node, Value};
use super::path::KeyPath;
use super::problem::Problem;
use super::scalar::{Origin, Scalar};

/// What the expansion of a configuration met.
#[derive(Debug, Default)]
pub(super) struct Expansion {
    /// Uses of variables that are not set and have no default.
    pub(super) unset: Vec<Unset>,
    /// Substitutions that cannot be read.
    pub(super) problems: Vec<Problem>,
}

/// The use of a variable that is not set.
#[derive(Debug, PartialEq)]
pub(super) struct Unset {
    pub(super) path: KeyPath,
    pub(super) variable: String,
}

/// Expands every scalar under `root`; keys stay as they are.
pub(super) fn expand(root: &mut Node, env: &dyn Fn(&str) -> Option<String>) -> Expansion {
    let mut expansion = Expansion::default();
    expand_node(root, &KeyPath::default(), env, &mut expansion);
    expansion
}

fn expand_node(
    node: &mut Node,
    path: &KeyPath,
    env: &dyn Fn(&str) -> Option<String>,
    expansion: &mut Expansion,
) {
    match &mut node.value {
        Value::Scalar(scalar) => expand_scalar(scalar, path, env, expansion),
        Value::Sequence(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                expand_node(item, &path.index(index), env, expansion);
            }
        }
        Value::Mapping(entries) => {
            for entry in entries {
                expand_node(&mut entry.value, &path.key(&entry.key), env, expansion);
            }
        }
    }
}

fn expand_scalar(
    scalar: &mut Scalar,
    path: &KeyPath,
    env: &dyn Fn(&str) -> Option<String>,
    expansion: &mut Expansion,
) {
    if !scalar.text.contains('$') {
        return;
    }
    let pieces = match split(&scalar.text) {
        Ok(pieces) => pieces,
        Err(message) => {
            expansion.problems.push(Problem::at(path.clone(), message));
            return;
        }
    };
    let mut value = |variable: &Variable<'_>| {
        let value = env(variable.name).or_else(|| variable.default.map(str::to_owned));
        if value.is_none() {
            expansion.unset.push(Unset {
                path: path.clone(),
                variable: variable.name.to_owned(),
            });
        }
        value
    };
    let (text, origin) = if let [Piece::Variable(variable)] = pieces.as_slice() {
        match value(variable) {
            Some(text) => (text, Origin::Variable),
            None => (
                String::new(),
                Origin::UnsetVariable(variable.name.to_owned()),
            ),
        }
    } else {
        let mut text = String::with_capacity(scalar.text.len());
        for piece in &pieces {
            match piece {
                Piece::Text(piece) => text.push_str(piece),
                Piece::Variable(variable) => text.push_str(&value(variable).unwrap_or_default()),
            }
        }
        (text, scalar.origin.clone())
    };
    let origin = match origin {
        // An empty value is the empty string; only what stands empty in the file is null.
        Origin::Plain | Origin::Variable if text.is_empty() => Origin::Quoted,
        origin => origin,
    };
    *scalar = Scalar { text, origin };
}

#[derive(Debug, PartialEq)]
enum Piece<'t> {
    Text(&'t str),
    Variable(Variable<'t>),
}

#[derive(Debug, PartialEq)]
struct Variable<'t> {
    name: &'t str,
    default: Option<&'t str>,
}

/// Splits a scalar into text and variables. A `$` that starts neither `$$` nor `${` is text.
fn split(text: &str) -> Result<Vec<Piece<'_>>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        if !before.is_empty() {
            pieces.push(Piece::Text(before));
        }
        rest = if let Some(after) = after.strip_prefix('$') {
            pieces.push(Piece::Text("$"));
            after
        } else if let Some(after) = after.strip_prefix('{') {
            let Some((inside, after)) = after.split_once('}') else {
                return Err("`${` has no closing `}`; a literal `${` is written `$${`".to_owned());
            };
            pieces.push(Piece::Variable(variable(inside)?));
            after
        } else {
            pieces.push(Piece::Text("$"));
            after
        };
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest));
    }
    Ok(pieces)
}

fn variable(inside: &str) -> Result<Variable<'_>, String> {
    if inside.contains("${") {
        return Err(format!(
            "`${{{inside}}}`: a substitution must not stand inside another"
        ));
    }
    let (name, default) = match inside.split_once(':') {
        None => (inside, None),
        Some(("env", variable)) => match variable.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (variable, None),
        },
        Some((scheme, _)) => {
            return Err(format!(
                "`${{{inside}}}`: unknown scheme \"{scheme}\"; supported are ${{env:NAME}}, \
                 ${{env:NAME:-default}} and ${{NAME}}"
            ));
        }
    };
    if !is_variable_name(name) {
        return Err(format!(
            "`${{{inside}}}`: \"{name}\" is not the name of an environment variable: use letters, \
             digits and _, and no digit first"
        ));
    }
    Ok(Variable { name, default })
}

fn is_variable_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
#[expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a panic is a failed test"
)]
mod tests {
    use super::super::scalar::Typed;
    use super::super::yaml;
    use super::*;

    fn env(name: &str) -> Option<String> {
        let value = match name {
            "HOST" => "example.org",
            "PORT" => "4317",
            "OCTAL" => "0123",
            "YES" => "true",
            "EMPTY" => "",
            "NULL" => "null",
            "MAPPING" => "{a: 1}",
            "LOOP" => "${env:LOOP}",
            "DOLLARS" => "a$$b",
            _ => return None,
        };
        Some(value.to_owned())
    }

    fn expanded(yaml: &str) -> (Scalar, Expansion) {
        let mut root = yaml::parse(yaml).unwrap();
        let expansion = expand(&mut root, &env);
        match root.value {
            Value::Scalar(scalar) => (scalar, expansion),
            Value::Sequence(_) | Value::Mapping(_) => panic!("{yaml} is no scalar"),
        }
    }

    #[test]
    fn expands_by_the_table() {
        // What was written, its type where any would do, its text where a string is wanted.
        let table = [
            (
                "${env:HOST}",
                Typed::Str("example.org"),
                Some("example.org"),
            ),
            ("${HOST}", Typed::Str("example.org"), Some("example.org")),
            ("${env:PORT}", Typed::Int(4317), Some("4317")),
            ("\"${env:PORT}\"", Typed::Int(4317), Some("4317")),
            ("${env:OCTAL}", Typed::Int(123), Some("0123")),
            ("${env:YES}", Typed::Bool(true), Some("true")),
            ("${env:EMPTY}", Typed::Str(""), Some("")),
            ("${env:NULL}", Typed::Null, Some("null")),
            ("${env:MAPPING}", Typed::Str("{a: 1}"), Some("{a: 1}")),
            (
                "${env:LOOP}",
                Typed::Str("${env:LOOP}"),
                Some("${env:LOOP}"),
            ),
            ("${env:DOLLARS}", Typed::Str("a$$b"), Some("a$$b")),
            ("${env:NONE}", Typed::Null, None),
            ("${env:NONE:-8KiB}", Typed::Str("8KiB"), Some("8KiB")),
            ("${env:NONE:-5}", Typed::Int(5), Some("5")),
            ("${env:NONE:-}", Typed::Str(""), Some("")),
            ("${env:NONE:-a:-b}", Typed::Str("a:-b"), Some("a:-b")),
            ("${env:PORT:-1}", Typed::Int(4317), Some("4317")),
            ("${env:EMPTY:-1}", Typed::Str(""), Some("")),
            (
                "${env:HOST}:${PORT}",
                Typed::Str("example.org:4317"),
                Some("example.org:4317"),
            ),
            ("a${env:NONE}b", Typed::Str("ab"), Some("ab")),
            (
                "$${env:HOST}",
                Typed::Str("${env:HOST}"),
                Some("${env:HOST}"),
            ),
            ("$$$${HOST}", Typed::Str("$${HOST}"), Some("$${HOST}")),
            (
                "$$${HOST}",
                Typed::Str("$example.org"),
                Some("$example.org"),
            ),
            (
                "$HOST and $",
                Typed::Str("$HOST and $"),
                Some("$HOST and $"),
            ),
            ("1${env:EMPTY}2", Typed::Int(12), Some("12")),
            ("${env:EMPTY}${env:NONE}", Typed::Str(""), Some("")),
            ("'1${env:EMPTY}2'", Typed::Str("12"), Some("12")),
        ];
        for (yaml, typed, text) in table {
            let (scalar, expansion) = expanded(yaml);
            assert_eq!(scalar.typed(), typed, "{yaml}");
            assert_eq!(scalar.text(), text, "{yaml}");
            assert!(expansion.problems.is_empty(), "{yaml}: {expansion:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_an_error() {
        let table = [
            (
                "${file:/etc/x}",
                "`${file:/etc/x}`: unknown scheme \"file\"; supported are ${env:NAME}, \
                 ${env:NAME:-default} and ${NAME}",
            ),
            (
                "${HOST:-x}",
                "`${HOST:-x}`: unknown scheme \"HOST\"; supported are ${env:NAME}, \
                 ${env:NAME:-default} and ${NAME}",
            ),
            (
                "${env:1A}",
                "`${env:1A}`: \"1A\" is not the name of an environment variable: use letters, \
                 digits and _, and no digit first",
            ),
            (
                "${}",
                "`${}`: \"\" is not the name of an environment variable: use letters, digits and \
                 _, and no digit first",
            ),
            (
                "a ${env:HOST",
                "`${` has no closing `}`; a literal `${` is written `$${`",
            ),
            (
                "${env:A:-${env:B}}",
                "`${env:A:-${env:B}`: a substitution must not stand inside another",
            ),
        ];
        for (yaml, message) in table {
            let (_, expansion) = expanded(&format!("'{yaml}'"));
            let messages: Vec<_> = expansion
                .problems
                .iter()
                .map(|problem| problem.message.as_str())
                .collect();
            assert_eq!(messages, [message], "{yaml}");
        }
    }

    #[test]
    fn unset_variables_are_told_with_their_place() {
        let mut root = yaml::parse("a:\n  - ${env:ONE}\n  - x${TWO}y\n  - ${env:HOST}\n").unwrap();
        let unset: Vec<_> = expand(&mut root, &env)
            .unset
            .into_iter()
            .map(|unset| (unset.path.to_string(), unset.variable))
            .collect();
        assert_eq!(
            unset,
            [("a[0]", "ONE"), ("a[1]", "TWO")].map(|(path, name)| (path.into(), name.into()))
        );
    }

    #[test]
    fn keys_are_not_expanded() {
        let mut root = yaml::parse("'${HOST}': 1\n").unwrap();
        expand(&mut root, &env);
        assert!(root.get("${HOST}").is_some());
    }
}
