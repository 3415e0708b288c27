//! The configuration of the `artifact` processor.

use std::fmt;

use bytesize::ByteSize;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use slimspan_artifact::{Action, BytesValues, Form, Location, MediaTypes, Pattern, Policy, Rule};

use super::glob::{AnyCaseGlob, KeyGlob, MediaTypeGlob};
use super::id::ComponentId;
use super::preset::Preset;
use super::tenant::TenantConfig;
use super::units::{PositiveSize, PositiveSizeOrNone, SizeUpTo};

/// `artifact`: moves files out of telemetry into a store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ArtifactConfig {
    /// The `artifact_store` extension that keeps the files. Required.
    pub store: ComponentId,
    /// The backend whose limits hold where nothing else is said; that of all exporters behind it if
    /// it is not given.
    #[serde(default)]
    pub preset: Option<Preset>,
    /// The decoded size in bytes from which a value is moved; at least 1.
    #[serde(default = "default_threshold", with = "PositiveSize")]
    pub threshold: ByteSize,
    /// The size from which a text that is no file is moved; never if there is none.
    #[serde(default, with = "PositiveSizeOrNone")]
    pub text_threshold: Option<ByteSize>,
    /// How much of a text that is moved stays in its reference; from 0 to 1 KiB.
    #[serde(default = "default_text_preview", with = "SizeUpTo::<1024>")]
    pub text_preview: ByteSize,
    /// How references look.
    #[serde(default)]
    pub reference: ReferenceForm,
    /// What becomes of bytes values that are not moved: they stay if nothing is said.
    #[serde(default)]
    pub bytes_values: Option<BytesForm>,
    /// The media types of the files that are moved; all if empty.
    #[serde(default)]
    pub media_types: Vec<MediaTypeGlob>,
    /// The media types of files that stay.
    #[serde(default)]
    pub exclude_media_types: Vec<MediaTypeGlob>,
    /// Keys of values that nobody may take apart, beside those that are never taken.
    #[serde(default)]
    pub deny_keys: Vec<AnyCaseGlob>,
    /// Whether it only reports what it would move.
    #[serde(default)]
    pub dry_run: bool,
    /// When a sender gets its answer.
    #[serde(default)]
    pub delivery: Delivery,
    /// What happens to a request whose files cannot be stored.
    #[serde(default)]
    pub on_store_failure: OnStoreFailure,
    /// Exceptions for attributes: the first whose keys fit holds.
    #[serde(default)]
    pub rules: Vec<RuleConfig>,
    /// Whose files they are; all are one tenant's if nothing is said.
    #[serde(default)]
    pub tenant: Option<TenantConfig>,
}

impl ArtifactConfig {
    /// The defaults of everything but the store.
    pub fn new(store: ComponentId) -> Self {
        Self {
            store,
            preset: None,
            threshold: default_threshold(),
            text_threshold: None,
            text_preview: default_text_preview(),
            reference: ReferenceForm::default(),
            bytes_values: None,
            media_types: Vec::new(),
            exclude_media_types: Vec::new(),
            deny_keys: Vec::new(),
            dry_run: false,
            delivery: Delivery::default(),
            on_store_failure: OnStoreFailure::default(),
            rules: Vec::new(),
            tenant: None,
        }
    }

    /// Whether a sender gets its answer before the store has its files.
    pub fn is_in_background(&self) -> bool {
        self.delivery == Delivery::Background && !self.dry_run
    }

    /// What the extractor is to do for artifacts at `location`.
    pub fn policy(&self, location: Location) -> Policy {
        Policy {
            text_threshold: self.text_threshold.map(bytes),
            preview: bytes(self.text_preview),
            form: self.reference.into(),
            bytes_values: self.bytes_values.unwrap_or_default().into(),
            rules: self.rules.iter().map(Rule::from).collect(),
            media_types: MediaTypes {
                include: patterns(&self.media_types),
                exclude: patterns(&self.exclude_media_types),
            },
            deny_keys: patterns(&self.deny_keys),
            ..Policy::new(bytes(self.threshold), location)
        }
    }
}

/// What it moves and how, in a line.
impl fmt::Display for ArtifactConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = if self.dry_run { "would move" } else { "moves" };
        write!(f, "{verb} files of {} and more", self.threshold)?;
        if let Some(size) = self.text_threshold {
            write!(f, ", texts of {size} and more")?;
        }
        for (word, globs) in [
            ("only", &self.media_types),
            ("not", &self.exclude_media_types),
        ] {
            if !globs.is_empty() {
                let globs: Vec<String> = globs.iter().map(ToString::to_string).collect();
                write!(f, ", {word} {}", globs.join(" "))?;
            }
        }
        match self.rules.len() {
            0 => {}
            1 => write!(f, ", 1 rule")?,
            rules => write!(f, ", {rules} rules")?,
        }
        write!(f, ", {} references", self.reference)?;
        if self.bytes_values == Some(BytesForm::Text) {
            f.write_str(", other bytes as text")?;
        }
        if self.tenant.is_some() {
            f.write_str(", by tenant")?;
        }
        if self.is_in_background() {
            f.write_str(", in the background")?;
        }
        Ok(())
    }
}

fn default_threshold() -> ByteSize {
    ByteSize::kib(8)
}

fn default_text_preview() -> ByteSize {
    ByteSize::b(256)
}

fn bytes(size: ByteSize) -> usize {
    usize::try_from(size.as_u64()).unwrap_or(usize::MAX)
}

fn patterns<G: AsRef<Pattern>>(globs: &[G]) -> Vec<Pattern> {
    globs.iter().map(|glob| glob.as_ref().clone()).collect()
}

/// How references look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReferenceForm {
    /// What the place calls for: links in message parts, URIs elsewhere.
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

impl fmt::Display for ReferenceForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Native => "native",
            Self::Object => "object",
            Self::Uri => "uri",
            Self::Semconv => "semconv",
            Self::Logfire => "logfire",
        })
    }
}

impl From<ReferenceForm> for Form {
    fn from(form: ReferenceForm) -> Self {
        match form {
            ReferenceForm::Native => Self::Native,
            ReferenceForm::Object => Self::Object,
            ReferenceForm::Uri => Self::Uri,
            ReferenceForm::Semconv => Self::Semconv,
            ReferenceForm::Logfire => Self::Logfire,
        }
    }
}

/// What becomes of bytes values that no reference comes in place of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BytesForm {
    /// They stay bytes.
    #[default]
    Keep,
    /// They become texts that hold them.
    Text,
}

impl From<BytesForm> for BytesValues {
    fn from(form: BytesForm) -> Self {
        match form {
            BytesForm::Keep => Self::Keep,
            BytesForm::Text => Self::Text,
        }
    }
}

/// When a sender gets its answer, as far as files are concerned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// When the store has them.
    #[default]
    Sync,
    /// When the spool has them.
    Background,
}

/// What happens to a request whose files cannot be stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnStoreFailure {
    /// The request goes on unmodified.
    #[default]
    Forward,
    /// The sender is asked to try again later.
    Refuse,
    /// The request goes on with a mark in place of every file in it, also of those that the store
    /// has.
    Drop,
}

/// An exception for attributes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleConfig {
    /// The keys it is for; at least one.
    #[schemars(length(min = 1))]
    pub attributes: Vec<KeyGlob>,
    /// What happens to files in their values; they are moved if nothing is said.
    #[serde(default)]
    pub action: Option<RuleAction>,
    /// In place of the processor's own.
    #[serde(default, with = "PositiveSizeOrNone")]
    pub threshold: Option<ByteSize>,
    /// In place of the processor's own.
    #[serde(default, with = "PositiveSizeOrNone")]
    pub text_threshold: Option<ByteSize>,
}

/// What happens to the files of an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RuleAction {
    /// They are moved.
    Move,
    /// They stay.
    Keep,
    /// Their bytes are given up.
    Drop,
}

impl RuleConfig {
    /// The key that is wrong, if it is one, and what is wrong. Where the rule `is_last`, none follows
    /// that it could be an exception from.
    pub(super) fn mistake(&self, is_last: bool) -> Option<(Option<&'static str>, &'static str)> {
        let sizes = [
            ("threshold", self.threshold),
            ("text_threshold", self.text_threshold),
        ];
        let size = sizes.iter().find(|(_, size)| size.is_some());
        match (self.action, size) {
            _ if self.attributes.is_empty() => Some((
                Some("attributes"),
                "must name at least one key, such as \"http.request.body*\"",
            )),
            (Some(RuleAction::Keep), Some((key, _))) => Some((
                Some(key),
                "has no effect beside action: keep, which leaves files of every size: remove one",
            )),
            (None, None) => Some((
                None,
                "changes nothing: give it an action (keep or drop), a threshold or a text_threshold",
            )),
            (Some(RuleAction::Move), None) if is_last => Some((
                Some("action"),
                "changes nothing: files are moved anyway, and no rule follows from which these \
                 attributes would be an exception",
            )),
            _ => None,
        }
    }
}

impl From<&RuleConfig> for Rule {
    fn from(rule: &RuleConfig) -> Self {
        Self {
            attributes: patterns(&rule.attributes),
            action: match rule.action {
                None | Some(RuleAction::Move) => Action::Move,
                Some(RuleAction::Keep) => Action::Keep,
                Some(RuleAction::Drop) => Action::Drop,
            },
            threshold: rule.threshold.map(bytes),
            text_threshold: rule.text_threshold.map(bytes),
        }
    }
}
