//! What the `slimspan` command does, one module a subcommand.

pub mod demo;
