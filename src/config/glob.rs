//! Patterns for keys and media types.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use slimspan_artifact::Pattern;

/// A pattern for the keys of attributes, in the case they are written in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("minLength" = 1))]
pub struct KeyGlob(Pattern);

/// A pattern for keys, in upper and lower case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("minLength" = 1))]
pub struct AnyCaseGlob(Pattern);

/// A pattern for media types, in upper and lower case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("pattern" = "[/*]"))]
pub struct MediaTypeGlob(Pattern);

/// A pattern that fits nothing.
#[derive(Debug, thiserror::Error)]
pub enum InvalidGlob {
    /// There is nothing in it.
    #[error("must not be empty: * stands for any text, ? for one character")]
    Empty,
    /// It has no slash, nor a star that could stand for one.
    #[error("\"{0}\" fits no media type: write type/subtype, such as image/png or image/*")]
    NoMediaType(String),
}

impl TryFrom<String> for KeyGlob {
    type Error = InvalidGlob;

    fn try_from(glob: String) -> Result<Self, InvalidGlob> {
        not_empty(&glob)?;
        Ok(Self(Pattern::new(&glob)))
    }
}

impl TryFrom<String> for AnyCaseGlob {
    type Error = InvalidGlob;

    fn try_from(glob: String) -> Result<Self, InvalidGlob> {
        not_empty(&glob)?;
        Ok(Self(Pattern::any_case(&glob)))
    }
}

impl TryFrom<String> for MediaTypeGlob {
    type Error = InvalidGlob;

    fn try_from(glob: String) -> Result<Self, InvalidGlob> {
        not_empty(&glob)?;
        if !glob.contains(['/', '*']) {
            return Err(InvalidGlob::NoMediaType(glob));
        }
        Ok(Self(Pattern::any_case(&glob)))
    }
}

fn not_empty(glob: &str) -> Result<(), InvalidGlob> {
    if glob.trim().is_empty() {
        Err(InvalidGlob::Empty)
    } else {
        Ok(())
    }
}

impl fmt::Display for MediaTypeGlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<KeyGlob> for String {
    fn from(glob: KeyGlob) -> Self {
        glob.0.to_string()
    }
}

impl AsRef<Pattern> for KeyGlob {
    fn as_ref(&self) -> &Pattern {
        &self.0
    }
}

impl From<AnyCaseGlob> for String {
    fn from(glob: AnyCaseGlob) -> Self {
        glob.0.to_string()
    }
}

impl AsRef<Pattern> for AnyCaseGlob {
    fn as_ref(&self) -> &Pattern {
        &self.0
    }
}

impl From<MediaTypeGlob> for String {
    fn from(glob: MediaTypeGlob) -> Self {
        glob.0.to_string()
    }
}

impl AsRef<Pattern> for MediaTypeGlob {
    fn as_ref(&self) -> &Pattern {
        &self.0
    }
}
