//! Where chance comes from: another number in every run, told when a test fails.

use std::hash::{BuildHasher as _, RandomState};

use slimspan_generators::Random;

/// The origin of all that is left to chance in a test. When the test fails, it says how to have
/// the same again.
pub(crate) struct Seed(u64);

impl Seed {
    /// What `SLIMSPAN_SEED` says, else any.
    pub(crate) fn any() -> Self {
        let given = std::env::var("SLIMSPAN_SEED").ok();
        // The standard library's only source of randomness.
        let any = || RandomState::new().hash_one(0) >> 32;
        Self(given.map_or_else(any, |seed| seed.parse().unwrap()))
    }

    pub(crate) fn number(&self) -> u64 {
        self.0
    }

    pub(crate) fn random(&self) -> Random {
        Random::new(self.0)
    }
}

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("to have the same again: SLIMSPAN_SEED={}", self.0);
        }
    }
}
