//! Where artifacts are kept.

pub mod config;
