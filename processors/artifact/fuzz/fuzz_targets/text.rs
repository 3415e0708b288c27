//! Any bytes, as the one text of a request.

#![no_main]

use libfuzzer_sys::fuzz_target;
use slimspan_artifact_fuzz::choices::Choices;
use slimspan_artifact_fuzz::oracle::check;
use slimspan_artifact_fuzz::place::Place;

fuzz_target!(|input: &[u8]| {
    let mut choices = Choices::of(input);
    let policy = choices.policy();
    let place = Place::chosen(&mut choices);
    let (signal, request) = place.request_of(choices.rest());
    check(signal, &request, &policy);
});
