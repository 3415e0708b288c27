//! A key with nothing behind it is as if it were not there, as in the Collector: the default holds, if there is one.

use super::node::{Node, Value};
use super::path::{KeyPath, Step};
use super::scalar::{Origin, Scalar};
use super::{Told, de};

/// Reads the part of the configuration at `path`; tells of keys that count as not written. What has no default needs
/// something behind it.
pub(super) fn read<T>(
    node: &Node,
    path: &KeyPath,
    read: impl Fn(&Node) -> Result<T, de::Error>,
    told: &mut Vec<Told>,
) -> Result<T, de::Error> {
    let mut error = match read(node) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    let mut nulls = Vec::new();
    let mut rest = node.clone();
    while let Some(steps) = error.null_key() {
        if !rest.take_away(&steps) {
            break;
        }
        let next = match read(&rest) {
            Ok(value) => {
                nulls.push(steps);
                told.extend(nulls.iter().filter_map(|steps| tell(node, path, steps)));
                return Ok(value);
            }
            Err(next) => next,
        };
        let is_needed = match (steps.last(), next.missing()) {
            (Some(Step::Key(key)), Some(missing)) => key == missing,
            _ => false,
        };
        if is_needed {
            break;
        }
        nulls.push(steps);
        error = next;
    }
    Err(error)
}

/// What is told of a null that somebody wrote. Variables that are not set are told of themselves.
pub(super) fn tell(node: &Node, path: &KeyPath, steps: &[Step]) -> Option<Told> {
    match &node.at(steps)?.value {
        Value::Scalar(Scalar {
            origin: Origin::Plain,
            ..
        }) => {
            let message = "has nothing behind it, so that its default holds".to_owned();
            Some((path.join(steps.iter().cloned()), message))
        }
        _ => None,
    }
}
