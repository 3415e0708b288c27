//! Replaces `${env:NAME}`, `${file:PATH}` and `${yaml:TEXT}` by what they stand for.
//!
//! What they give is read by the same rules as the text around it: there may be more of them in it, and
//! a `$$` in it is a `$`. A value that is nothing but one of them becomes whatever its text is in YAML,
//! a list or a mapping, too; inside of a longer text it is text.

mod pieces;

use std::path::Path;
use std::sync::Arc;

use self::pieces::{Piece, split, split_default};
use super::node::{Node, Place, Value};
use super::path::KeyPath;
use super::problem::Problem;
use super::scalar::{Origin, Scalar};
use super::source::{self, SCHEMES, read_file};
use super::yaml::{self, MAX_LEVELS, MAX_NODES};

/// Substitutions in a configuration, those in what others give included.
const MAX_SUBSTITUTIONS: usize = 10_000;
/// What substitutions give, in bytes.
const MAX_BYTES: usize = 8 << 20;

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
    let mut expander = Expander {
        env,
        expansion: Expansion::default(),
        under_way: Vec::new(),
        substitutions: 0,
        bytes: 0,
        nodes: root.extent().nodes,
    };
    expander.node(root, &KeyPath::default(), 1);
    expander.expansion
}

struct Expander<'e> {
    env: &'e dyn Fn(&str) -> Option<String>,
    expansion: Expansion,
    /// The substitutions in whose values the one at hand stands.
    under_way: Vec<String>,
    substitutions: usize,
    bytes: usize,
    nodes: usize,
}

/// What a substitution gives.
struct Given {
    text: String,
    /// A file has places of its own.
    file: Option<String>,
}

impl Expander<'_> {
    fn node(&mut self, node: &mut Node, path: &KeyPath, level: usize) {
        match &mut node.value {
            Value::Scalar(scalar) => {
                if !scalar.text.contains('$') {
                    return;
                }
                match self.scalar(scalar, &node.place, path, level) {
                    Ok(None) => {}
                    Ok(Some(replaced)) => *node = replaced,
                    Err(message) => {
                        let problem = Problem::at(path, message);
                        self.expansion.problems.push(problem);
                    }
                }
            }
            Value::Sequence(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    self.node(item, &path.index(index), level + 1);
                }
            }
            Value::Mapping(entries) => {
                for entry in entries {
                    self.node(&mut entry.value, &path.key(&entry.key), level + 1);
                }
            }
        }
    }

    /// Expands a scalar in place, or returns what stands for it.
    fn scalar(
        &mut self,
        scalar: &mut Scalar,
        place: &Place,
        path: &KeyPath,
        level: usize,
    ) -> Result<Option<Node>, String> {
        let text = std::mem::take(&mut scalar.text);
        let pieces = split(&text)?;
        let [Piece::Substitution(inside)] = pieces.as_slice() else {
            let origin = std::mem::replace(&mut scalar.origin, Origin::Plain);
            let expanded = self.text(&text, path)?;
            *scalar = Scalar {
                // An empty value is the empty string; only what stands empty in the file is null.
                origin: if expanded.is_empty() {
                    Origin::Quoted
                } else {
                    origin
                },
                text: expanded,
            };
            return Ok(None);
        };
        let (name, given) = self.value(inside, path)?;
        let Some(Given { text, file }) = given else {
            *scalar = Scalar {
                text: String::new(),
                origin: Origin::UnsetVariable(name),
            };
            return Ok(None);
        };
        self.within(name, |expander| {
            if let Some(node) = expander.collection(&text, file, place, path, level)? {
                return Ok(Some(node));
            }
            let text = expander.text(&text, path)?;
            *scalar = Scalar {
                origin: if text.is_empty() {
                    Origin::Quoted
                } else {
                    Origin::Variable
                },
                text,
            };
            Ok(None)
        })
    }

    /// The list or mapping that a value is in YAML, if it is one.
    fn collection(
        &mut self,
        text: &str,
        file: Option<String>,
        place: &Place,
        path: &KeyPath,
        level: usize,
    ) -> Result<Option<Node>, String> {
        let is_file = file.is_some();
        let source: Arc<str> = file.map_or_else(|| Arc::clone(&place.source), Into::into);
        let Ok(mut node) = yaml::parse(text, &source) else {
            return Ok(None);
        };
        if matches!(node.value, Value::Scalar(_)) {
            return Ok(None);
        }
        if !is_file {
            node.move_to(place);
        }
        let extent = node.extent();
        self.nodes += extent.nodes;
        if self.nodes > MAX_NODES {
            return Err(yaml::too_large());
        }
        if level + extent.levels - 1 > MAX_LEVELS {
            return Err(yaml::too_deep());
        }
        self.node(&mut node, path, level);
        // Where a string is wanted, it is the text.
        node.written = (!text.contains('$')).then(|| text.into());
        Ok(Some(node))
    }

    /// A text with all that is replaced in it.
    fn text(&mut self, text: &str, path: &KeyPath) -> Result<String, String> {
        if !text.contains('$') {
            return Ok(text.to_owned());
        }
        let mut expanded = String::with_capacity(text.len());
        for piece in split(text)? {
            match piece {
                Piece::Text(piece) => expanded.push_str(piece),
                Piece::Substitution(inside) => {
                    let (name, given) = self.value(inside, path)?;
                    if let Some(Given { text, .. }) = given {
                        let text = self.within(name, |expander| expander.text(&text, path))?;
                        expanded.push_str(&text);
                    }
                }
            }
        }
        Ok(expanded)
    }

    /// The name of what stands between the braces, and its value if it has one.
    fn value(&mut self, inside: &str, path: &KeyPath) -> Result<(String, Option<Given>), String> {
        self.substitutions += 1;
        if self.substitutions > MAX_SUBSTITUTIONS {
            return Err(format!(
                "too many substitutions: a configuration has at most {MAX_SUBSTITUTIONS}, those in \
                 what others give included"
            ));
        }
        let (scheme, rest) = match source::scheme(inside) {
            Some(parts) => parts,
            None => ("env", inside),
        };
        let given = match scheme {
            "env" => {
                // Only after the scheme: the Collector has no default for a bare name.
                let (name, default) = split_default(rest);
                let name = self.text(name, path)?;
                check_name(inside, &name)?;
                let text = match (self.env)(&name) {
                    Some(text) => Some(text),
                    None => default.map(|text| self.text(text, path)).transpose()?,
                };
                if text.is_none() {
                    self.expansion.unset.push(Unset {
                        path: path.clone(),
                        variable: name.clone(),
                    });
                }
                (name, text.map(|text| Given { text, file: None }))
            }
            "file" => {
                let path = self.text(rest, path)?;
                let mut text = read_file(Path::new(&path))
                    .map_err(|error| format!("`${{file:{path}}}` cannot be read: {error}"))?;
                // Editors end a file with a line break, which no secret has.
                if text.ends_with('\n') {
                    text.pop();
                    if text.ends_with('\r') {
                        text.pop();
                    }
                }
                let file = Some(path.clone());
                (path, Some(Given { text, file }))
            }
            "yaml" => {
                let text = self.text(rest, path)?;
                ("yaml".to_owned(), Some(Given { text, file: None }))
            }
            "http" | "https" => {
                return Err(format!(
                    "`${{{scheme}:…}}`: {}",
                    source::unsupported(scheme)
                ));
            }
            _ => return Err(unknown_scheme(inside, scheme, rest)),
        };
        let (name, given) = given;
        if let Some(given) = &given {
            self.bytes += given.text.len();
            if self.bytes > MAX_BYTES {
                return Err(format!(
                    "`${{{inside}}}`: substitutions give more than {} MiB",
                    MAX_BYTES >> 20
                ));
            }
        }
        // A file may have the name of a variable.
        let name = match scheme {
            "file" => format!("{scheme}:{name}"),
            _ => name,
        };
        Ok((name, given))
    }

    /// Goes on inside of what `name` gave.
    fn within<T>(
        &mut self,
        name: String,
        go_on: impl FnOnce(&mut Self) -> Result<T, String>,
    ) -> Result<T, String> {
        if name != "yaml" && self.under_way.contains(&name) {
            let way: Vec<&str> = self.under_way.iter().map(String::as_str).collect();
            return Err(format!(
                "`${{{name}}}` stands in what it stands for: {} -> {name}",
                way.join(" -> ")
            ));
        }
        if self.under_way.len() >= MAX_LEVELS {
            return Err(format!(
                "substitutions stand in each other more than {MAX_LEVELS} levels deep"
            ));
        }
        self.under_way.push(name);
        let outcome = go_on(self);
        self.under_way.pop();
        outcome
    }
}

fn check_name(inside: &str, name: &str) -> Result<(), String> {
    let well_formed = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if well_formed {
        return Ok(());
    }
    Err(format!(
        "`${{{inside}}}`: \"{name}\" is not the name of an environment variable: use letters, \
         digits and _, and no digit first"
    ))
}

fn unknown_scheme(inside: &str, scheme: &str, rest: &str) -> String {
    let hint = if rest.starts_with('-') {
        format!("a default needs the scheme, as in ${{env:{inside}}}")
    } else {
        format!("known are {}, and ${{NAME}} for env", SCHEMES.join(", "))
    };
    format!("`${{{inside}}}`: unknown scheme \"{scheme}\"; {hint}")
}

#[cfg(test)]
mod tests;
