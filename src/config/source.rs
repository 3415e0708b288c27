//! Where a configuration comes from: files, variables and what stands on the command line.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;

use super::error::ConfigError;
use super::merge::{merge, unfold};
use super::node::{Node, Place, Value};
use super::path::KeyPath;
use super::yaml;

/// The schemes of `--config`, and of `${...}`.
pub(super) const SCHEMES: [&str; 3] = ["env", "file", YAML];

/// The scheme of a location that is the text itself.
const YAML: &str = "yaml";

/// The largest file, which is far more than a configuration ever needs.
const MAX_BYTES: u64 = 4 << 20;

/// What a configuration is made of: later sources are merged over earlier ones, and the settings over
/// all of them.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// Paths, or `file:PATH`, `env:NAME` or `yaml:TEXT`.
    pub locations: Vec<String>,
    /// `key=value`, the keys of a path joined by dots, or by `::` where a key holds a dot.
    pub settings: Vec<String>,
}

impl Sources {
    /// What the locations are called where people read it, as mistakes in them are.
    pub fn names(&self) -> String {
        let names: Vec<&str> = self.locations.iter().map(|at| name_of(at)).collect();
        names.join(", ")
    }

    /// Reads and merges them all. What is wrong with any of them is told.
    pub(super) fn read(
        &self,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Node, Vec<ConfigError>> {
        let locations = self.locations.iter().map(|at| read_location(at, env));
        let settings = self.settings.iter().map(|setting| read_setting(setting));
        join(locations.chain(settings))
    }
}

/// Merges sources in their order.
pub(super) fn join(
    sources: impl Iterator<Item = Result<Node, ConfigError>>,
) -> Result<Node, Vec<ConfigError>> {
    let mut all: Option<Node> = None;
    let mut errors = Vec::new();
    for source in sources {
        match source {
            Err(error) => errors.push(error),
            Ok(source) => match &mut all {
                None => all = Some(source),
                // A source in which nothing stands changes nothing.
                Some(_) if source.is_null() => {}
                Some(all) => merge(all, source),
            },
        }
    }
    if errors.is_empty() {
        Ok(all.unwrap_or_else(|| Node::null(Place::unknown("--config"))))
    } else {
        Err(errors)
    }
}

/// The scheme of a location, if it has one; a single letter is a drive.
pub(super) fn scheme(location: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = location.split_once(':')?;
    let well_formed = scheme.len() > 1
        && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '.' | '-'));
    well_formed.then_some((scheme, rest))
}

/// What a location is called. One that is the text itself is not repeated: there may be secrets in it.
fn name_of(location: &str) -> &str {
    match scheme(location) {
        Some((YAML, _)) => YAML,
        _ => location,
    }
}

/// Why a scheme is not supported.
pub(super) fn unsupported(scheme: &str) -> String {
    if matches!(scheme, "http" | "https") {
        return format!(
            "{scheme}: is not supported: slimspan fetches no configuration over a network, where it \
             could change or be missing at the next start; fetch it before, such as with curl -o \
             collector.yaml URL, and give the file"
        );
    }
    format!(
        "unknown scheme \"{scheme}\"; known are {}",
        SCHEMES.join(", ")
    )
}

fn read_location(
    location: &str,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Node, ConfigError> {
    match scheme(location) {
        None => read_path(location),
        Some(("file", path)) => read_path(path),
        Some((YAML, text)) => parse(text, name_of(location)),
        Some(("env", name)) => match env(name) {
            Some(text) => parse(&text, name_of(location)),
            None => Err(ConfigError::whole(
                "--config",
                format!("the environment variable {name} is not set"),
            )),
        },
        Some((scheme, _)) => Err(ConfigError::whole(
            "--config",
            match unsupported(scheme) {
                message if scheme.starts_with("http") => message,
                message => format!("{message}; a path with a colon is written file:PATH"),
            },
        )),
    }
}

fn read_path(path: &str) -> Result<Node, ConfigError> {
    let text = read_file(Path::new(path))
        .map_err(|error| ConfigError::whole(path, format!("cannot be read: {error}")))?;
    parse(&text, path)
}

/// The text of a file that is not too large to be a configuration.
pub(super) fn read_file(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(io::Error::other(format!(
            "it is larger than {} MiB",
            MAX_BYTES >> 20
        )));
    }
    String::from_utf8(bytes).map_err(|_| io::Error::other("it is not UTF-8 text"))
}

/// Reads a YAML text that came from a source of this name.
pub(super) fn parse(text: &str, name: &str) -> Result<Node, ConfigError> {
    let source: Arc<str> = name.into();
    let mut root = yaml::parse(text, &source).map_err(|error| ConfigError {
        file: name.to_owned(),
        line: Some(error.line),
        path: error.path.to_string(),
        message: error.message,
    })?;
    let is_mapping = matches!(root.value, Value::Mapping(_));
    if !is_mapping && !root.is_null() {
        return Err(ConfigError {
            file: name.to_owned(),
            line: root.place.line,
            path: String::new(),
            message: "expected a mapping".to_owned(),
        });
    }
    unfold(&mut root);
    Ok(root)
}

/// One `--set key=value`.
fn read_setting(setting: &str) -> Result<Node, ConfigError> {
    const NAME: &str = "--set";
    // The value may be a secret, so it is not repeated.
    let Some((key, value)) = setting.split_once('=') else {
        return Err(ConfigError::whole(
            NAME,
            "a setting has no =: write key=value, such as exporters.debug.verbosity=detailed",
        ));
    };
    let keys: Vec<&str> = if key.contains("::") {
        key.trim().split("::").collect()
    } else {
        key.trim().split('.').collect()
    };
    if keys.iter().any(|key| key.is_empty()) {
        return Err(ConfigError::whole(
            NAME,
            format!("\"{key}\" is not a path of keys, such as exporters.debug.verbosity"),
        ));
    }
    let source: Arc<str> = NAME.into();
    let value = yaml::parse(value.trim(), &source).map_err(|error| ConfigError {
        file: NAME.to_owned(),
        line: None,
        path: KeyPath::of(keys.iter().copied()).to_string(),
        message: error.message,
    })?;
    let mut root = Node::under(&keys, value);
    root.move_to(&Place::unknown(NAME));
    Ok(root)
}
