//! Tests of slimspan against the real world: sockets, processes, disks.

mod program;
mod store;
mod support;
