//! Numbers, sizes and durations as people write them.
//!
//! Each type here is a way to write a value, for `#[serde(with = "...")]`: it reads and writes it, and
//! describes it in the schema. Errors quote the value and show a correct one.

mod duration;
mod header;
mod number;
mod permissions;
mod size;
#[cfg(test)]
mod tests;

pub(crate) use duration::{AnyDuration, AnyDurationOrNone, PositiveDuration};
pub(crate) use header::{Header, HeaderOrNone};
pub(crate) use number::{AtLeastOne, Between, BetweenOrNone, Fraction};
pub(crate) use permissions::PermissionsOrNone;
pub(crate) use size::{PositiveSize, PositiveSizeOrNone, SizeBetween, SizeUpTo};
