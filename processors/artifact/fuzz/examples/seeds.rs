//! Writes inputs to start from into a folder for each target: what the generators make, and what
//! real SDKs sent, with the files in it cut so short that libFuzzer can work on them.

#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use slimspan_generators::{Generator, Random, Request, files, noise};
use slimspan_proto::{Signal, json};

/// Longer inputs are not worth their time.
const LONGEST: usize = 16 * 1024;

/// How many inputs of each kind are generated.
const GENERATED: u64 = 400;

fn main() -> io::Result<()> {
    let Some(folder) = std::env::args_os().nth(1) else {
        return Err(io::Error::other("name the folder to write the inputs to"));
    };
    let mut requests = BTreeSet::new();
    let mut texts = BTreeSet::new();
    let mut choices = BTreeSet::new();
    for (signal, mut request) in captures()? {
        request.visit(&mut |_, _, _, value| match &mut value.value {
            Some(Value::StringValue(text)) => {
                *text = short_runs(text);
                texts.insert(text.clone().into_bytes());
            }
            Some(Value::BytesValue(bytes)) => bytes.truncate(300),
            _ => {}
        });
        requests.insert((signal, request.encode()));
    }
    for seed in 0..GENERATED {
        let mut random = Random::new(seed);
        let signal = random.pick(&[Signal::Traces, Signal::Logs]);
        let request = Generator::new(&mut random, 3, files::value).request(signal);
        let mut bytes = request.encode();
        if random.one_in(2) {
            bytes = noise::noisy(signal, &bytes, &mut random);
        }
        requests.insert((signal, bytes));
        if let Value::StringValue(text) = files::value(&mut random) {
            texts.insert(text.into_bytes());
        }
        let len = random.below(600);
        choices.insert(random.bytes(len));
    }
    let folder = Path::new(&folder);
    let texts_of_requests = requests.iter().map(|(signal, bytes)| {
        let written = json::write(*signal, bytes).map_err(io::Error::other)?;
        Ok([&[u8::from(*signal == Signal::Logs)], &*written.text].concat())
    });
    let texts_of_requests: Vec<_> = texts_of_requests.collect::<io::Result<_>>()?;
    write(&folder.join("json"), texts_of_requests)?;
    let mut random = Random::new(0);
    let requests = requests.into_iter().map(|(signal, bytes)| {
        let signal = u8::from(signal == Signal::Logs);
        [&[signal], &*policy(&mut random), &bytes].concat()
    });
    write(&folder.join("request"), requests)?;
    let mut random = Random::new(0);
    let texts = texts.into_iter().map(|text| {
        let place = random.bytes(3);
        [&*policy(&mut random), &place, &text].concat()
    });
    write(&folder.join("text"), texts)?;
    write(&folder.join("generated"), choices)
}

/// The bytes that choose a policy, mostly one without exceptions.
fn policy(random: &mut Random) -> Vec<u8> {
    let mut policy = random.bytes(5);
    policy.push(if random.one_in(4) { 8 } else { 0 });
    policy
}

/// The captured requests of `tests/captures`.
fn captures() -> io::Result<Vec<(Signal, Request)>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../tests/captures");
    let mut captures = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.to_string_lossy();
        let signal = Signal::READ
            .into_iter()
            .find(|signal| name.ends_with(&format!(".{signal}.pb")));
        if let Some(signal) = signal {
            let request = Request::decode(signal, &fs::read(&path)?);
            captures.push((signal, request.map_err(io::Error::other)?));
        }
    }
    Ok(captures)
}

/// `text` with the middle of every long run of base64 taken out, so that the rest is base64, too.
fn short_runs(text: &str) -> String {
    const KEPT: usize = 144;
    let is_digit = |c: char| c.is_ascii_alphanumeric() || "+/-_".contains(c);
    let mut short = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        let len = rest.find(|c| !is_digit(c)).unwrap_or(rest.len());
        let (run, after) = rest.split_at(len);
        if len > 2 * KEPT {
            short += &run[..KEPT];
            short += &run[len - len % 4..];
        } else {
            short += run;
        }
        let other = after.find(is_digit).unwrap_or(after.len());
        short += &after[..other];
        rest = &after[other..];
    }
    short
}

fn write(folder: &Path, inputs: impl IntoIterator<Item = Vec<u8>>) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let inputs = inputs.into_iter().filter(|input| input.len() <= LONGEST);
    for (number, input) in inputs.enumerate() {
        fs::write(folder.join(format!("{number:04}")), input)?;
    }
    Ok(())
}
