use std::fmt;
use std::str::FromStr;

/// The text is not as many hexadecimal digits as the id has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an id is {0} hexadecimal digits, not all of them 0")]
pub struct InvalidId(usize);

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name([u8; $len]);

        impl $name {
            /// The id in these bytes; none if they are too few or too many, or all 0.
            pub fn new(bytes: &[u8]) -> Option<Self> {
                let bytes: [u8; $len] = bytes.try_into().ok()?;
                bytes.iter().any(|byte| *byte != 0).then_some(Self(bytes))
            }

            /// Its bytes.
            pub fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let invalid = InvalidId(2 * $len);
                let (pairs, rest) = text.as_bytes().as_chunks::<2>();
                if pairs.len() != $len || !rest.is_empty() {
                    return Err(invalid);
                }
                let digit = |digit: u8| char::from(digit).to_digit(16).ok_or(invalid);
                let mut bytes = [0; $len];
                for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
                    *byte = (digit(*high)? << 4 | digit(*low)?) as u8;
                }
                Self::new(&bytes).ok_or(invalid)
            }
        }
    };
}

id!(
    /// The id of a trace, in OTLP's 16 bytes.
    TraceId,
    16
);
id!(
    /// The id of a span, in OTLP's 8 bytes.
    SpanId,
    8
);
id!(
    /// What tells one reference from every other: the same however often, and by whichever replica, it is
    /// written down.
    EntryId,
    16
);

impl EntryId {
    /// One that nothing else has.
    pub(super) fn random() -> Self {
        loop {
            if let Some(id) = Self::new(&rand::random::<[u8; 16]>()) {
                return id;
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn ids_are_printed_and_read() {
        let text = "00112233445566778899aabbccddeeff";
        let trace: TraceId = text.parse().unwrap();
        assert_eq!(trace.to_string(), text);
        assert_eq!(text.to_uppercase().parse::<TraceId>().unwrap(), trace);
        assert_eq!(TraceId::new(trace.as_bytes()), Some(trace));
    }

    #[test]
    fn what_is_no_id() {
        for text in [
            "",
            "0",
            "0000000000000000",
            "00112233445566xy",
            "0011223344556677889",
        ] {
            assert_eq!(text.parse::<SpanId>(), Err(InvalidId(16)), "{text}");
        }
        assert_eq!(SpanId::new(&[1; 7]), None);
        assert_eq!(SpanId::new(&[0; 8]), None);
    }
}
