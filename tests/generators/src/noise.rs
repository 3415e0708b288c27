//! What protobuf allows a sender to write, and no library writes: unknown fields of every wire
//! type, numbers in more bytes than they need, fields in any order. Decoders read the same.

use slimspan_proto::{Fields, MAX_SURPLUS, Message, Signal, WireType};

use crate::Random;

/// Writes `request`, which must be sound, again with noise in every message that leads to values.
pub fn noisy(signal: Signal, request: &[u8], random: &mut Random) -> Vec<u8> {
    let mut out = Vec::with_capacity(request.len() * 2);
    message(Message::Request(signal), request, 10, random, &mut out);
    out
}

/// The same where every message can still be edited: lengths have room to grow.
pub fn roomy(signal: Signal, request: &[u8], random: &mut Random) -> Vec<u8> {
    let mut out = Vec::with_capacity(request.len() * 2);
    message(
        Message::Request(signal),
        request,
        1 + MAX_SURPLUS,
        random,
        &mut out,
    );
    out
}

/// Lengths get up to `width` bytes.
fn message(kind: Message, bytes: &[u8], width: usize, random: &mut Random, out: &mut Vec<u8>) {
    let mut fields: Vec<_> = Fields::new(bytes, 0..bytes.len())
        .map(|field| field.expect("a sound request"))
        .collect();
    if random.one_in(4) {
        shuffle(&mut fields, random);
    }
    for field in fields {
        if random.one_in(6) {
            unknown(random, out);
        }
        let body = &bytes[field.body.clone()];
        if field.wire_type != WireType::Len {
            out.extend_from_slice(&bytes[field.range()]);
            continue;
        }
        let mut inner = Vec::new();
        match kind.child(field.number) {
            Some(child) => message(child, body, width, random, &mut inner),
            None => inner.extend_from_slice(body),
        }
        varint(u64::from(field.number) << 3 | 2, random, 5, out);
        varint(inner.len() as u64, random, width, out);
        out.extend_from_slice(&inner);
    }
    if random.one_in(6) {
        unknown(random, out);
    }
}

/// Changes the order of fields of different numbers; the elements of a list stay in theirs.
fn shuffle(fields: &mut [slimspan_proto::Field], random: &mut Random) {
    let salt = random.number();
    fields.sort_by_key(|field| (u64::from(field.number) ^ salt).wrapping_mul(0x9e37_79b9));
}

fn unknown(random: &mut Random, out: &mut Vec<u8>) {
    let number = random.pick(&[200, 1000, 5_000, 18_999, 536_870_911_u64]);
    match random.below(5) {
        0 => {
            varint(number << 3, random, 5, out);
            let value = random.number() >> random.below(64);
            varint(value, random, 10, out);
        }
        1 => {
            varint(number << 3 | 1, random, 5, out);
            out.extend_from_slice(&random.bytes(8));
        }
        2 => {
            varint(number << 3 | 2, random, 5, out);
            let len = random.below(40);
            varint(len as u64, random, 10, out);
            out.extend_from_slice(&random.bytes(len));
        }
        3 => {
            varint(number << 3 | 3, random, 5, out);
            if random.one_in(2) {
                unknown(random, out);
            }
            varint(number << 3 | 4, random, 5, out);
        }
        _ => {
            varint(number << 3 | 5, random, 5, out);
            out.extend_from_slice(&random.bytes(4));
        }
    }
}

/// A varint, one in eight times longer than it needs to be, up to `max` bytes.
fn varint(mut value: u64, random: &mut Random, max: usize, out: &mut Vec<u8>) {
    let shortest = ((64 - (value | 1).leading_zeros()) as usize).div_ceil(7);
    let surplus = if random.one_in(8) {
        random.below(max + 1 - shortest)
    } else {
        0
    };
    let width = shortest + surplus;
    for _ in 1..width {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8 & 0x7f);
}
