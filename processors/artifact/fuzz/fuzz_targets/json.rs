//! Any bytes, as a request in JSON, and as one in protobuf that is to be JSON.

#![no_main]

use libfuzzer_sys::fuzz_target;
use slimspan_artifact_fuzz::choices::Choices;
use slimspan_artifact_fuzz::json::check;

fuzz_target!(|input: &[u8]| {
    let mut choices = Choices::of(input);
    let signal = choices.signal();
    check(signal, choices.rest());
});
