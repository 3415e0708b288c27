//! Requests that can be told apart: each span and log record has an id, and files that follow from
//! it, so that a sender repeats the same bytes and a checker knows what has to arrive.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

use bytes::Bytes;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use slimspan_artifact::Digest;
use slimspan_generators::{Random, fake_file};
use slimspan_proto::Signal;

use super::otlp;

/// The attribute that holds an id.
pub(crate) const ID: &str = "ledger.id";

/// A span or log record: who sent it, and as which of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ItemId {
    pub(crate) sender: u64,
    pub(crate) number: u64,
}

/// What has to arrive of a span or log record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) id: ItemId,
    /// Of the files that it was sent with.
    pub(crate) blobs: Vec<Digest>,
}

/// A request and what is in it.
#[derive(Debug, Clone)]
pub(crate) struct Numbered {
    pub(crate) signal: Signal,
    pub(crate) items: Vec<Item>,
    pub(crate) message: Bytes,
}

/// What senders send.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Workload {
    pub(crate) seed: u64,
    /// Of files, in bytes.
    pub(crate) smallest: usize,
    pub(crate) largest: usize,
}

/// In how many doublings of the smallest size there are equally many files. In each beyond them there
/// are half as many, so that together they have about as many bytes.
const COMMON: usize = 6;

/// One file in four is one of so many that all senders share.
const SHARED: usize = 8;

impl Workload {
    /// The request of `sender` whose first item is its `first`: one to three items with one to
    /// four files between them. Every fourth sender sends logs, the others traces.
    pub(crate) fn request(&self, sender: u64, first: u64) -> Numbered {
        let mut random = Random::new(self.seed ^ (sender << 40) ^ first.wrapping_mul(0x9e37_79b9));
        let signal = if sender % 4 == 3 {
            Signal::Logs
        } else {
            Signal::Traces
        };
        let count = 1 + random.below(3);
        let mut items: Vec<_> = (first..)
            .take(count)
            .map(|number| {
                let id = ItemId { sender, number };
                let attributes = vec![(ID.to_owned(), otlp::text(id.to_string()))];
                let blobs = Vec::new();
                (Item { id, blobs }, attributes)
            })
            .collect();
        for number in 0..=random.below(4) {
            let file = self.file(&mut random);
            let (item, attributes) = &mut items[random.below(count)];
            item.blobs.push(Digest::of(&file));
            attributes.push((format!("file.{number}"), shape(&mut random, &file)));
        }
        let (items, attributes) = items.into_iter().unzip();
        Numbered {
            signal,
            items,
            message: otlp::request(signal, attributes),
        }
    }

    fn file(&self, random: &mut Random) -> Vec<u8> {
        if random.one_in(4) {
            let seed = self.seed ^ random.below(SHARED) as u64;
            let mut shared = Random::new(seed);
            let size = self.size(&mut shared);
            return fake_file(&mut shared, size);
        }
        let size = self.size(random);
        fake_file(random, size)
    }

    fn size(&self, random: &mut Random) -> usize {
        let doublings = (self.largest / self.smallest).ilog2() as usize;
        let mut size = self.smallest << random.below(doublings.min(COMMON) + 1);
        while size >= self.smallest << COMMON && size < self.largest && random.one_in(2) {
            size *= 2;
        }
        (size + random.below(size)).min(self.largest)
    }
}

/// One of the ways in which SDKs send files.
fn shape(random: &mut Random, file: &[u8]) -> Value {
    match random.below(3) {
        0 => otlp::bytes(file),
        1 => otlp::data_uri(file),
        _ => otlp::chat_with(file),
    }
}

impl fmt::Display for ItemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.sender, self.number)
    }
}

impl FromStr for ItemId {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (sender, number) = text.split_once('/').unwrap_or((text, ""));
        Ok(Self {
            sender: sender.parse()?,
            number: number.parse()?,
        })
    }
}
