//! What the extractor moves, and how it refers to it.

use std::collections::BTreeSet;

use crate::Digest;
use crate::pattern::Pattern;

/// What the extractor moves, and how it refers to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Smallest artifact that is moved, in decoded bytes.
    pub threshold: usize,
    /// The length in bytes from which a text is moved whole, if ever.
    pub text_threshold: Option<usize>,
    /// How many bytes of a text that is moved stay in its reference, at most.
    pub preview: usize,
    /// How references look.
    pub form: Form,
    /// What becomes of bytes values that stay.
    pub bytes_values: BytesValues,
    /// Where references point to.
    pub location: Location,
    /// Exceptions for attributes by their key: the first that fits holds.
    pub rules: Vec<Rule>,
    /// Which files are moved by what they are.
    pub media_types: MediaTypes,
    /// Keys of values that nobody may take apart, beside those that are never taken.
    pub deny_keys: Vec<Pattern>,
    /// Artifacts whose bytes are given up: their references say so and point nowhere.
    pub dropped: BTreeSet<Digest>,
}

/// How a reference looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Form {
    /// What the place calls for: in a provider's message part that provider's own form of a link,
    /// a URI where a string stood, an object where a text was moved whole.
    #[default]
    Native,
    /// An object that says everything there is to say.
    Object,
    /// A URI and nothing else.
    Uri,
    /// `<attribute>_ref` with a URI, in place of the attribute.
    Semconv,
    /// The object with the type `logfire.artifact`.
    Logfire,
}

/// What becomes of bytes values that no reference comes in place of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum BytesValues {
    /// They stay bytes.
    #[default]
    Keep,
    /// They become texts that hold them, whatever their keys and lengths are: for backends that lose
    /// what is around a bytes value.
    Text,
}

/// Where the artifacts are to be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// In the store itself, under this URL: `<url>/<first two hex digits>/<digest>`.
    Store(String),
    /// At an address for people and browsers: `<url>/artifacts/<digest>.<extension>`.
    Public(String),
}

/// An exception for attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The keys it is for; a log body has the empty key.
    pub attributes: Vec<Pattern>,
    /// What happens to the files in them.
    pub action: Action,
    /// In place of [`Policy::threshold`].
    pub threshold: Option<usize>,
    /// In place of [`Policy::text_threshold`].
    pub text_threshold: Option<usize>,
}

/// What happens to files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Action {
    /// They are moved.
    #[default]
    Move,
    /// They stay.
    Keep,
    /// Their bytes are given up: a reference that says so stays.
    Drop,
}

/// Which files are moved by what they are: all, or some.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MediaTypes {
    /// Only these, if there are any.
    pub include: Vec<Pattern>,
    /// Not these.
    pub exclude: Vec<Pattern>,
}

/// What holds for one attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Treatment {
    pub(crate) action: Action,
    pub(crate) threshold: usize,
    pub(crate) text_threshold: Option<usize>,
}

impl Policy {
    /// Moves every file of at least `threshold` bytes, in native form.
    pub fn new(threshold: usize, location: Location) -> Self {
        Self {
            threshold,
            text_threshold: None,
            preview: 256,
            form: Form::default(),
            bytes_values: BytesValues::default(),
            location,
            rules: Vec::new(),
            media_types: MediaTypes::default(),
            deny_keys: Vec::new(),
            dropped: BTreeSet::new(),
        }
    }

    /// No value shorter than this is moved.
    pub fn smallest(&self) -> usize {
        let rules = self.rules.iter().filter(|rule| rule.action != Action::Keep);
        rules
            .flat_map(|rule| [rule.threshold, rule.text_threshold])
            .chain([self.text_threshold])
            .flatten()
            .chain([self.threshold])
            .min()
            .unwrap_or_default()
    }

    /// The same with no file moved.
    #[must_use]
    pub fn leaving_files(&self) -> Self {
        let all = Rule {
            attributes: vec![Pattern::new("*")],
            action: Action::Keep,
            threshold: None,
            text_threshold: None,
        };
        Self {
            rules: vec![all],
            ..self.clone()
        }
    }

    /// The shortest value that is looked at.
    pub(crate) fn shortest(&self) -> usize {
        match self.bytes_values {
            BytesValues::Keep => self.smallest(),
            BytesValues::Text => 0,
        }
    }

    /// Where the artifact is to be found, unless its bytes are given up.
    pub fn address(&self, digest: Digest, media_type: &str) -> Option<String> {
        let dropped = self.dropped.contains(&digest);
        (!dropped).then(|| self.location.address(digest, media_type))
    }

    /// What holds for the attribute `key`.
    pub(crate) fn treatment(&self, key: &[u8]) -> Treatment {
        let rule = if self.rules.is_empty() {
            None
        } else {
            let key = String::from_utf8_lossy(key);
            let fits = |rule: &&Rule| rule.attributes.iter().any(|glob| glob.matches(&key));
            self.rules.iter().find(fits)
        };
        Treatment {
            action: rule.map_or(Action::Move, |rule| rule.action),
            threshold: rule
                .and_then(|rule| rule.threshold)
                .unwrap_or(self.threshold),
            text_threshold: rule
                .and_then(|rule| rule.text_threshold)
                .or(self.text_threshold),
        }
    }
}

impl MediaTypes {
    /// Whether files of the type are moved.
    pub(crate) fn admit(&self, media_type: &str) -> bool {
        let one_of =
            |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.matches(media_type));
        (self.include.is_empty() || one_of(&self.include)) && !one_of(&self.exclude)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(attributes: &[&str], action: Action, threshold: Option<usize>) -> Rule {
        Rule {
            attributes: attributes.iter().map(|glob| Pattern::new(glob)).collect(),
            action,
            threshold,
            text_threshold: None,
        }
    }

    #[test]
    fn the_first_rule_that_fits_holds() {
        let mut policy = Policy::new(8, Location::Store(String::new()));
        policy.rules = vec![
            rule(&["http.request.body*"], Action::Move, Some(64)),
            rule(&["*password*", "*secret*"], Action::Keep, None),
            rule(&["http.*"], Action::Drop, None),
        ];
        for (key, action, threshold) in [
            ("http.request.body.text", Action::Move, 64),
            ("http.request.body.secret", Action::Move, 64),
            ("my.password.1", Action::Keep, 8),
            ("http.response.body.text", Action::Drop, 8),
            ("input.value", Action::Move, 8),
            ("", Action::Move, 8),
        ] {
            let treatment = policy.treatment(key.as_bytes());
            assert_eq!(
                (treatment.action, treatment.threshold),
                (action, threshold),
                "{key}"
            );
        }
    }

    #[test]
    fn what_is_smaller_than_every_threshold_is_not_looked_at() {
        let mut policy = Policy::new(800, Location::Store(String::new()));
        assert_eq!(policy.smallest(), 800);
        policy.rules = vec![rule(&["a"], Action::Move, Some(64))];
        assert_eq!(policy.smallest(), 64);
        policy.rules.push(rule(&["b"], Action::Keep, Some(6)));
        assert_eq!(policy.smallest(), 64);
        policy.text_threshold = Some(5);
        assert_eq!(policy.smallest(), 5);
    }

    #[test]
    fn media_types_are_admitted_by_lists() {
        let list = |globs: &[&str]| globs.iter().map(|glob| Pattern::any_case(glob)).collect();
        let types = MediaTypes {
            include: list(&["image/*", "application/pdf"]),
            exclude: list(&["image/svg+xml"]),
        };
        for (media_type, admitted) in [
            ("image/png", true),
            ("IMAGE/PNG", true),
            ("image/svg+xml", false),
            ("application/pdf", true),
            ("audio/wav", false),
        ] {
            assert_eq!(types.admit(media_type), admitted, "{media_type}");
        }
        assert!(MediaTypes::default().admit("audio/wav"));
    }
}
