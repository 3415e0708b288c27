//! How the section of a kind of component is read.

use std::collections::BTreeMap;

use super::components::Component;
use super::id::ComponentId;
use super::left_out;
use super::nearest::nearest;
use super::node::{Node, Value};
use super::path::KeyPath;
use super::problem::Problem;
use super::{Told, unsaid};

/// Reads the section of one kind of component, as far as it can be read.
pub(super) fn read_section<C: Component>(
    section: &Node,
    told: &mut Vec<Told>,
    problems: &mut Vec<Problem>,
) -> BTreeMap<ComponentId, C> {
    let path = KeyPath::of([C::SECTION]);
    let mut components = BTreeMap::new();
    let Value::Mapping(entries) = &section.value else {
        if !section.is_null() {
            problems.push(Problem::at(
                &path,
                format!(
                    "expected a mapping of {} ids to their configuration",
                    C::KIND
                ),
            ));
        }
        return components;
    };
    for entry in entries {
        let path = path.key(&entry.key);
        match read_component(&entry.key, &entry.value, &path, told) {
            Ok((id, component)) => {
                components.insert(id, component);
            }
            Err(problem) => problems.push(problem),
        }
    }
    components
}

fn read_component<C: Component>(
    id: &str,
    node: &Node,
    path: &KeyPath,
    told: &mut Vec<Told>,
) -> Result<(ComponentId, C), Problem> {
    let id: ComponentId = id
        .parse()
        .map_err(|error| Problem::at(path, format!("{error}")))?;
    let component_type = C::TYPES
        .iter()
        .find(|known| known.name == id.component_type() || known.alias == Some(id.component_type()))
        .ok_or_else(|| Problem::at(path, unknown_type::<C>(&id)))?;
    let component = unsaid::read(node, path, component_type.read, told)
        .map_err(|error| Problem::under(path, error))?;
    Ok((id, component))
}

fn unknown_type<C: Component>(id: &ComponentId) -> String {
    let wanted = id.component_type();
    if let Some(why) = left_out::why_type(wanted, C::KIND) {
        return format!("the {} type \"{wanted}\" is not supported: {why}", C::KIND);
    }
    let names = C::TYPES.iter().flat_map(|of| [Some(of.name), of.alias]);
    let did_you_mean = match nearest(wanted, names.flatten()) {
        Some(nearest) => format!("did you mean \"{nearest}\"? "),
        None => String::new(),
    };
    let known: Vec<String> = C::TYPES
        .iter()
        .map(|known| match known.alias {
            Some(alias) => format!("{} (alias {alias})", known.name),
            None => known.name.to_owned(),
        })
        .collect();
    format!(
        "unknown {} type \"{wanted}\"; {did_you_mean}known are {}",
        C::KIND,
        known.join(", ")
    )
}
