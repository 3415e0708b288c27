use std::fmt;

use wildmatch::WildMatch;

/// A pattern for keys or media types: `*` stands for any text, `?` for one character.
#[derive(Debug, Clone)]
pub struct Pattern {
    text: String,
    glob: WildMatch,
    any_case: bool,
}

impl Pattern {
    /// Fits texts that are written as it is.
    pub fn new(glob: &str) -> Self {
        Self {
            text: glob.to_owned(),
            glob: WildMatch::new(glob),
            any_case: false,
        }
    }

    /// Fits texts in upper and lower case.
    pub fn any_case(glob: &str) -> Self {
        Self {
            text: glob.to_owned(),
            glob: WildMatch::new(&glob.to_ascii_lowercase()),
            any_case: true,
        }
    }

    /// Whether `text` fits as a whole.
    pub fn matches(&self, text: &str) -> bool {
        if self.any_case {
            self.glob.matches(&text.to_ascii_lowercase())
        } else {
            self.glob.matches(text)
        }
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        (&self.text, self.any_case) == (&other.text, other.any_case)
    }
}

impl Eq for Pattern {}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
