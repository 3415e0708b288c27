//! The slimspan binary.

fn main() {}
