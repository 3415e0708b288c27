//! What answers questions about slimspan itself, each on a small listener of its own.

pub mod health_check;
pub mod hosts;
pub mod listener;
pub mod prometheus;
pub mod zpages;
