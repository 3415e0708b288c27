//! What can be wrong with OTLP/JSON, told without a word of what it holds.

use std::fmt;

/// A text that is no request: all of it is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{problem}, at byte {at}")]
pub struct JsonError {
    /// Where in the text.
    pub at: usize,
    /// What is wrong there.
    pub problem: Problem,
}

/// What is wrong with a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// It is not UTF-8.
    NotUtf8,
    /// It begins with a byte order mark.
    ByteOrderMark,
    /// It ends too early.
    Ends,
    /// Something else has to stand there.
    Expected(&'static str),
    /// There is more behind the request.
    Trailing,
    /// A control character in a string.
    ControlCharacter,
    /// A backslash with something behind it that JSON does not have.
    Escape,
    /// A number with more characters than any that is meant has.
    LongNumber,
    /// The same for the name of a member.
    LongName,
    /// A member that stands twice in an object.
    Duplicate(&'static str),
    /// Something around the items is not what OTLP says.
    Field(&'static str, Reason),
    /// There are more entries than are allowed.
    TooMany,
    /// There is no memory for the message, which would have so many bytes and more.
    NoMemory(usize),
    /// Its signal is not read as JSON.
    NoSchema,
}

impl Problem {
    pub(super) fn at(self, at: usize) -> JsonError {
        JsonError { at, problem: self }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotUtf8 => f.write_str("the text is not UTF-8"),
            Self::ByteOrderMark => f.write_str("the text begins with a byte order mark"),
            Self::Ends => f.write_str("the text ends too early"),
            Self::Expected(what) => write!(f, "no JSON: expected {what}"),
            Self::Trailing => f.write_str("there is more text behind the request"),
            Self::ControlCharacter => {
                f.write_str("no JSON: a control character in a string is not escaped")
            }
            Self::Escape => f.write_str("no JSON: a string has an escape that does not exist"),
            Self::LongNumber => f.write_str("a number is too long"),
            Self::LongName => f.write_str("the name of a member is too long"),
            Self::Duplicate(name) => write!(f, "{name} stands twice in an object"),
            Self::Field(name, reason) => write!(f, "{name} {reason}"),
            Self::TooMany => f.write_str("too many entries"),
            Self::NoMemory(bytes) => write!(
                f,
                "there is no memory for the message, which has {bytes} bytes and more"
            ),
            Self::NoSchema => f.write_str("this signal is not read as JSON"),
        }
    }
}

/// Why a field is not what OTLP says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// JSON of another type.
    Type,
    /// A number that the field cannot hold exactly.
    Number,
    /// An enum by its name.
    EnumName,
    /// Digits that are not hexadecimal, or an odd number of them.
    Hex,
    /// No base64.
    Base64,
    /// Half of a surrogate pair, which no text can hold.
    LoneSurrogate,
    /// A second value beside one that excludes it.
    SecondValue,
    /// Messages inside each other deeper than the limit.
    TooDeep,
    /// One of those that are not told one by one.
    Other,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Type => "has JSON of another type than OTLP gives it",
            Self::Number => "is no number that it can hold exactly",
            Self::EnumName => "is an enum written as a name, and OTLP/JSON has them as integers",
            Self::Hex => "is not written in pairs of hexadecimal digits",
            Self::Base64 => "is no base64",
            Self::LoneSurrogate => "has half of a surrogate pair, which is no character",
            Self::SecondValue => "stands beside a value that excludes it",
            Self::TooDeep => "nests deeper than the limit",
            Self::Other => "is not what OTLP says, in one way or another",
        })
    }
}

/// Why items were left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cause {
    /// The field that is not sound.
    pub field: &'static str,
    /// What is wrong with it.
    pub reason: Reason,
    /// Where that was seen first.
    pub at: usize,
    /// How many items it cost.
    pub items: usize,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {}, first at byte {}",
            self.field, self.reason, self.at
        )
    }
}

/// How many causes are told one by one.
const MOST: usize = 16;

/// The causes in `causes` of one kind are one.
pub(super) fn note(
    causes: &mut Vec<Cause>,
    mut field: &'static str,
    mut reason: Reason,
    at: usize,
) -> usize {
    if let Some(known) = causes
        .iter()
        .position(|cause| cause.field == field && cause.reason == reason)
    {
        return known;
    }
    if causes.len() == MOST {
        return MOST - 1;
    }
    if causes.len() == MOST - 1 {
        (field, reason) = ("another field", Reason::Other);
    }
    causes.push(Cause {
        field,
        reason,
        at,
        items: 0,
    });
    causes.len() - 1
}
