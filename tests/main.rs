//! Tests of slimspan against the real world: sockets, processes, disks.

mod delivery;
mod layers;
mod links;
mod program;
mod promises;
mod store;
mod support;
