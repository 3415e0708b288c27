//! Any bytes, as a request.

#![no_main]

use libfuzzer_sys::fuzz_target;
use slimspan_artifact_fuzz::choices::Choices;
use slimspan_artifact_fuzz::oracle::check;

fuzz_target!(|input: &[u8]| {
    let mut choices = Choices::of(input);
    let signal = choices.signal();
    let policy = choices.policy();
    check(signal, choices.rest(), &policy);
});
