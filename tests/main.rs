//! Tests of slimspan against the real world: sockets, processes, disks.

mod layers;
mod store;
