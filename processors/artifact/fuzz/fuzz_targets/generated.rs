//! Requests from the generators of the property tests, whose random choices the bytes make; and the
//! same damaged.

#![no_main]

use libfuzzer_sys::fuzz_target;
use slimspan_artifact_fuzz::choices::Choices;
use slimspan_artifact_fuzz::oracle::check;
use slimspan_generators::{Generator, Random, files, noise};

fuzz_target!(|input: &[u8]| {
    let mut choices = Choices::of(input);
    let signal = choices.signal();
    let policy = choices.policy();
    let (flips, noisy) = (choices.byte() % 4, choices.byte() % 2 == 1);
    let mut random = Random::directed(choices.rest());
    let request = Generator::new(&mut random, 3, files::value).request(signal);
    let mut request = request.encode();
    if noisy {
        request = noise::noisy(signal, &request, &mut random);
    }
    for _ in 0..if request.is_empty() { 0 } else { flips } {
        let at = random.below(request.len());
        request[at] ^= 1 << random.below(8);
    }
    check(signal, &request, &policy);
});
