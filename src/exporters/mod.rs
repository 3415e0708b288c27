//! Where requests leave the pipeline.

pub mod debug;
