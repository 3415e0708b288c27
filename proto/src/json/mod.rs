//! OTLP/JSON to and from the wire form, without structs in between.
//!
//! One table of messages and fields drives both directions. Neither calls itself, whatever the depth
//! of an input; both take time in proportion to it. The mapping is that of protobuf with what OTLP
//! says otherwise: ids in hex, enums as integers, names in lowerCamelCase and no others.

mod number;
mod output;
mod problem;
mod read;
mod scalar;
mod table;
mod text;
mod write;

pub use problem::{Cause, JsonError, Problem, Reason};
pub use read::{Limits, Read, read, read_charging};
pub use write::{WriteError, Written, write, write_charging};

use std::sync::LazyLock;

use base64::engine::{DecodePaddingMode, GeneralPurposeConfig, Simd};

/// Base64 as the JSON mapping of protobuf takes it: with padding or without. What it writes has the
/// standard alphabet and padding.
static STANDARD: LazyLock<Simd> = LazyLock::new(|| Simd::standard(LENIENT));
static URL_SAFE: LazyLock<Simd> = LazyLock::new(|| Simd::url_safe(LENIENT));
const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
