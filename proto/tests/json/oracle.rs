use std::path::Path;

use proptest::prelude::*;
use slimspan_generators::{Generator, Random, Request, files, noise};
use slimspan_proto::json::{Limits, read, write};
use slimspan_proto::{Signal, check};

use super::{from_json, serde, serde_text, to_json};

fn generate(signal: Signal, seed: u64) -> (Request, Random) {
    let mut random = Random::new(seed);
    let request = Generator::new(&mut random, 3, files::value).request(signal);
    (request, random)
}

fn signals() -> impl Strategy<Value = Signal> {
    prop::sample::select(Signal::READ.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// What is written, serde reads as what prost decodes; and it is read as the very bytes it was.
    #[test]
    fn what_is_written_is_what_was_there(signal in signals(), seed: u64) {
        let (request, mut random) = generate(signal, seed);
        let bytes = request.encode();
        let written = write(signal, &bytes).unwrap();
        prop_assert_eq!(written.unknown, 0);
        prop_assert_eq!(written.replaced, 0);
        prop_assert_eq!(&serde(signal, &written.text).unwrap(), &request);
        prop_assert_eq!(Request::decode(signal, &from_json(signal, &written.text).request).unwrap(), request);
        let read = from_json(signal, &written.text);
        if signal == Signal::Metrics {
            // Of fields that exclude each other, prost writes any in the place of the first.
            prop_assert_eq!(read.request.len(), bytes.len());
            prop_assert_eq!(to_json(signal, &read.request), &*written.text);
        } else {
            prop_assert_eq!(&read.request, &bytes);
        }
        prop_assert_eq!(read.items, slimspan_proto::count(signal, &bytes));
        prop_assert_eq!((read.rejected, read.unknown, read.snake_case), (0, 0, 0));
        // Whatever protobuf allows around it.
        let noisy = write(signal, &noise::noisy(signal, &bytes, &mut random)).unwrap();
        prop_assert_eq!(noisy.text, written.text);
    }

    /// What serde writes is read as prost encodes it.
    #[test]
    fn what_others_write_is_read(signal in signals(), seed: u64, pretty: bool) {
        let (request, _) = generate(signal, seed);
        let mut text = serde_text(&request);
        if pretty {
            let value: serde_json::Value = serde_json::from_slice(&text).unwrap();
            text = serde_json::to_vec_pretty(&value).unwrap();
        }
        let read = from_json(signal, &text);
        prop_assert_eq!((read.rejected, &read.causes, read.unknown), (0, &vec![], 0));
        prop_assert_eq!(Request::decode(signal, &read.request).unwrap(), request);
    }

    /// Of a text with anything changed in it comes a request that is sound, or an error.
    #[test]
    fn damage_is_an_error_or_costs_items(
        signal in signals(),
        seed: u64,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..4), 1..6),
    ) {
        let (request, _) = generate(signal, seed);
        let mut text = to_json(signal, &request.encode());
        for (at, from, kind) in changes {
            let at = at.index(text.len());
            let from = from.index(text.len());
            match kind {
                0 => text[at] = b"\"\\{}[],:0129eE+-.nt u"[from % 21],
                1 => { text.remove(at); }
                2 => { let c = text[from]; text.insert(at, c); }
                _ => text.truncate(at.max(1)),
            }
            if text.is_empty() {
                text.push(b'{');
            }
        }
        let is_json = serde_json::from_slice::<serde::de::IgnoredAny>(&text).is_ok();
        if let Ok(read) = read(signal, &text, Limits::default()) {
            prop_assert!(is_json);
            let checked = check(signal, &read.request, usize::MAX).unwrap();
            prop_assert_eq!(&checked.faults, &[]);
            prop_assert_eq!(checked.count, read.items);
            prop_assert!(Request::decode(signal, &read.request).is_ok());
            // Written and read again, it stays what it is.
            let once = from_json(signal, &to_json(signal, &read.request));
            prop_assert_eq!(once.rejected, 0);
            let twice = from_json(signal, &to_json(signal, &once.request));
            prop_assert_eq!(once.request, twice.request);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever prost reads of damaged bytes is what stands in the text that they become.
    #[test]
    fn what_decoders_read_is_written(signal in signals(), seed: u64, flips in 0..6_usize) {
        let (request, mut random) = generate(signal, seed);
        let mut bytes = noise::noisy(signal, &request.encode(), &mut random);
        for _ in 0..if bytes.is_empty() { 0 } else { flips } {
            let at = random.below(bytes.len());
            bytes[at] ^= 1 << random.below(8);
        }
        match (write(signal, &bytes), Request::decode(signal, &bytes)) {
            (Ok(written), decoded) => {
                let read = from_json(signal, &written.text);
                prop_assert_eq!((read.rejected, read.unknown), (0, 0));
                let again = Request::decode(signal, &read.request).unwrap();
                if let Ok(decoded) = decoded {
                    // Not a number is not equal to itself.
                    prop_assert_eq!(format!("{again:?}"), format!("{decoded:?}"));
                }
            }
            (Err(error), decoded) => prop_assert!(decoded.is_err(), "{error}"),
        }
    }
}

fn captures() -> impl Iterator<Item = (Signal, std::path::PathBuf)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/captures");
    std::fs::read_dir(folder).unwrap().filter_map(|entry| {
        let path = entry.unwrap().path();
        let name = path.to_string_lossy();
        let signal = |signal: &Signal| name.contains(&format!(".{signal}."));
        Some((Signal::READ.into_iter().find(signal)?, path))
    })
}

#[test]
fn what_sdks_send_survives() {
    let mut count = 0;
    for (signal, path) in captures().filter(|(_, path)| path.extension().unwrap() == "pb") {
        let bytes = std::fs::read(&path).unwrap();
        let decoded = Request::decode(signal, &bytes).unwrap();
        let text = to_json(signal, &bytes);
        assert_eq!(serde(signal, &text).unwrap(), decoded, "{}", path.display());
        assert_eq!(from_json(signal, &text).request, decoded.encode());
        count += 1;
    }
    assert!(count > 30, "the captures are where they are expected");
}

#[test]
fn what_an_sdk_sends_as_json_is_read_and_written_as_it_was() {
    let captures = captures().filter(|(_, path)| path.extension().unwrap() == "json");
    let captures: Vec<_> = captures.collect();
    assert_eq!(captures.len(), 1);
    for (signal, path) in captures {
        let text = std::fs::read(&path).unwrap();
        let read = from_json(signal, &text);
        assert_eq!((read.rejected, read.unknown), (0, 0));
        assert_eq!(
            Request::decode(signal, &read.request).unwrap(),
            serde(signal, &text).unwrap()
        );
        // That SDK writes some defaults out.
        let normal = |text: &[u8]| serde_text(&serde(signal, text).unwrap());
        assert_eq!(normal(&to_json(signal, &read.request)), normal(&text));
    }
}
