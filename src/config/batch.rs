//! The configuration of the `batch` processor.

use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};

use super::units::{AnyDuration, Between};

/// `batch`: joins requests of several senders into larger ones. The keys are the Collector's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BatchConfig {
    /// The items after which a batch is sent; up to a hundred million. 0 sends each request at once.
    #[serde(with = "Between::<0, 100_000_000>")]
    pub send_batch_size: usize,
    /// The time after which a batch is sent, however small it is; 0 sends each request at once.
    #[serde(with = "AnyDuration")]
    pub timeout: Duration,
    /// The most items of a batch; 0 is no limit.
    #[serde(with = "Between::<0, 100_000_000>")]
    pub send_batch_max_size: usize,
    /// Requests are joined only where these headers are equal.
    #[serde(deserialize_with = "header_names")]
    pub metadata_keys: Vec<String>,
    /// The combinations of their values that may wait at a time; from 1 to a million.
    #[serde(with = "Between::<1, 1_000_000>")]
    pub metadata_cardinality_limit: usize,
}

impl Default for BatchConfig {
    fn default() -> Self {
        Self {
            send_batch_size: 8192,
            timeout: Duration::from_millis(200),
            send_batch_max_size: 0,
            metadata_keys: Vec::new(),
            metadata_cardinality_limit: 1000,
        }
    }
}

impl BatchConfig {
    /// Whether a batch of so many items waits for no others. As in the Collector any is large enough for a size
    /// of 0, and without a timeout none waits, whatever the size is.
    pub(crate) fn goes_at_once(&self, items: usize) -> bool {
        self.timeout.is_zero() || items >= self.send_batch_size
    }

    /// The key that is wrong, if one is, and what is wrong.
    pub(super) fn mistake(&self) -> Option<(&'static str, String)> {
        let Self {
            send_batch_size: size,
            send_batch_max_size: most,
            ..
        } = self;
        (*most > 0 && most < size).then(|| {
            let message = format!("must be 0 or at least send_batch_size, which is {size}");
            ("send_batch_max_size", message)
        })
    }
}

/// What it does, in a few words.
impl fmt::Display for BatchConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.goes_at_once(0) {
            return f.write_str("joins nothing: each request goes at once");
        }
        write!(
            f,
            "batches of {} items, after {:?} at the latest",
            self.send_batch_size, self.timeout
        )
    }
}

/// The names of headers, in lower case and each once.
pub(crate) fn header_names<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<String>, D::Error> {
    let mut names: Vec<String> = Vec::new();
    for name in Vec::<String>::deserialize(deserializer)? {
        let header = http::HeaderName::try_from(name.as_str())
            .map_err(|_| D::Error::custom(format!("\"{name}\" is not a header name")))?;
        if names.iter().any(|known| known == header.as_str()) {
            return Err(D::Error::custom(format!("\"{header}\" is given twice")));
        }
        names.push(header.as_str().to_owned());
    }
    Ok(names)
}
