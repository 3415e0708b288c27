//! What the fuzz targets have in common: inputs made of bytes, and the oracle.
//!
//! The first bytes of an input choose a [`policy`](choices::Choices::policy), the others are what is
//! extracted from, so that libFuzzer varies both at once.

#![forbid(unsafe_code)]

pub mod choices;
pub mod json;
pub mod oracle;
pub mod place;
