//! Where in the configuration something stands.

use std::fmt;

/// One step into the tree of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Into the value of a key of a mapping.
    Key(String),
    /// Into an item of a list, counted from 0.
    Index(usize),
}

/// The way from the top of the configuration to a value, shown as
/// `service.pipelines.traces.receivers[0]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct KeyPath(Vec<Step>);

impl KeyPath {
    /// The path that follows these keys from the top.
    pub(super) fn of<'k>(keys: impl IntoIterator<Item = &'k str>) -> Self {
        Self(
            keys.into_iter()
                .map(|key| Step::Key(key.to_owned()))
                .collect(),
        )
    }

    /// This path and one key more.
    pub(super) fn key(&self, key: impl fmt::Display) -> Self {
        self.join([Step::Key(key.to_string())])
    }

    /// This path and one list item more.
    pub(super) fn index(&self, index: usize) -> Self {
        self.join([Step::Index(index)])
    }

    /// This path and more steps.
    pub(super) fn join(&self, steps: impl IntoIterator<Item = Step>) -> Self {
        Self(self.0.iter().cloned().chain(steps).collect())
    }

    /// Without its last step.
    pub(super) fn parent(&self) -> Self {
        let steps = self.0.split_last();
        Self(steps.map(|(_, steps)| steps.to_vec()).unwrap_or_default())
    }

    /// As the Collector writes it: `service::pipelines::traces`.
    pub(super) fn with_colons(&self) -> String {
        let steps = self.0.iter().map(|step| match step {
            Step::Key(key) => key.clone(),
            Step::Index(index) => index.to_string(),
        });
        steps.collect::<Vec<_>>().join("::")
    }

    /// The steps from the top.
    pub(super) fn steps(&self) -> &[Step] {
        &self.0
    }
}

impl From<Vec<Step>> for KeyPath {
    fn from(steps: Vec<Step>) -> Self {
        Self(steps)
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if position == 0 => f.write_str(key)?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_like_the_path_a_person_would_write() {
        let path = KeyPath::of(["service", "pipelines"])
            .key("traces/a")
            .key("receivers")
            .index(1);
        assert_eq!(path.to_string(), "service.pipelines.traces/a.receivers[1]");
        assert_eq!(
            path.parent().with_colons(),
            "service::pipelines::traces/a::receivers"
        );
        assert_eq!(KeyPath::default().to_string(), "");
        assert_eq!(KeyPath::default().parent(), KeyPath::default());
    }
}
