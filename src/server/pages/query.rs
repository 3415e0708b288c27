//! What a page is asked for, as the fields of its form have it.

use bytesize::ByteSize;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use url::form_urlencoded;

use crate::catalog::{Cursor, Filter, State, Tenants, TypePattern};

/// The parameter that says of which artifact references are wanted, as the API calls it.
pub(super) const DIGEST: &str = "sha256";

/// The parameters of a page; an empty one is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Query {
    pub(super) service: String,
    pub(super) content_type: String,
    pub(super) since: String,
    pub(super) until: String,
    pub(super) min_size: String,
    pub(super) max_size: String,
    pub(super) trace: String,
    pub(super) digest: String,
    pub(super) name: String,
    pub(super) state: String,
    pub(super) tenant: String,
    pub(super) after: String,
    /// What is looked for.
    pub(super) find: String,
}

impl Query {
    pub(super) fn parse(query: &str) -> Self {
        let mut parsed = Self::default();
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            if let Some(field) = parsed.field(&key) {
                value.trim().clone_into(field);
            }
        }
        parsed
    }

    fn field(&mut self, key: &str) -> Option<&mut String> {
        Some(match key {
            "service" => &mut self.service,
            "type" => &mut self.content_type,
            "since" => &mut self.since,
            "until" => &mut self.until,
            "min_size" => &mut self.min_size,
            "max_size" => &mut self.max_size,
            "trace" => &mut self.trace,
            DIGEST => &mut self.digest,
            "name" => &mut self.name,
            "state" => &mut self.state,
            "tenant" => &mut self.tenant,
            "after" => &mut self.after,
            "q" => &mut self.find,
            _ => return None,
        })
    }

    /// What a form has of a filter.
    fn of_filter(&self) -> [(&'static str, &str); 11] {
        [
            ("service", &self.service),
            ("type", &self.content_type),
            ("since", &self.since),
            ("until", &self.until),
            ("min_size", &self.min_size),
            ("max_size", &self.max_size),
            ("trace", &self.trace),
            (DIGEST, &self.digest),
            ("name", &self.name),
            ("state", &self.state),
            ("tenant", &self.tenant),
        ]
    }

    /// Whether it leaves anything out.
    pub(super) fn is_filtered(&self) -> bool {
        self.of_filter().iter().any(|(_, value)| !value.is_empty())
    }

    /// The same, behind `after`, as the query of a link.
    pub(super) fn with_after(&self, after: Option<Cursor>) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (key, value) in self.of_filter() {
            if !value.is_empty() {
                query.append_pair(key, value);
            }
        }
        if let Some(after) = after {
            query.append_pair("after", &after.to_string());
        }
        query.finish()
    }

    /// Where a page begins.
    pub(super) fn cursor(&self) -> Result<Option<Cursor>, String> {
        let after = Some(&self.after).filter(|after| !after.is_empty());
        let cursor = after.map(|after| after.parse());
        let cursor = cursor.transpose();
        cursor.map_err(|_| "This page begins nowhere: go to the newest artifacts.".to_owned())
    }

    /// As a filter; what is wrong with it in words.
    pub(super) fn filter(&self, tenants: Tenants) -> Result<Filter, String> {
        Ok(Filter {
            tenants,
            service: given(&self.service).map(str::to_owned),
            content_type: given(&self.content_type).map(TypePattern::new),
            since: moment("from", &self.since)?,
            until: moment("until", &self.until)?,
            min_size: bytes("at least", &self.min_size)?,
            max_size: bytes("at most", &self.max_size)?,
            trace: match given(&self.trace) {
                None => None,
                Some(text) => Some(
                    text.parse()
                        .map_err(|error| format!("“trace id” is none: {error}."))?,
                ),
            },
            digest: match given(&self.digest) {
                None => None,
                Some(text) => Some(
                    text.parse()
                        .map_err(|error| format!("“digest” is none: {error}."))?,
                ),
            },
            name: given(&self.name).map(str::to_owned),
            state: match given(&self.state) {
                None => None,
                Some(text) => Some(text.parse::<State>().map_err(|error| format!("{error}."))?),
            },
            ..Filter::default()
        })
    }
}

fn moment(label: &str, text: &str) -> Result<Option<Timestamp>, String> {
    let Some(text) = given(text) else {
        return Ok(None);
    };
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(Some(time));
    }
    let civil = text.parse::<DateTime>().ok();
    let time = civil.and_then(|civil| civil.to_zoned(TimeZone::UTC).ok());
    let time = time.map(|zoned| zoned.timestamp());
    time.map(Some).ok_or_else(|| {
        format!("“{label}” is no time: write it as 2026-11-21T19:30, which is in UTC.")
    })
}

fn given(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

fn bytes(label: &str, text: &str) -> Result<Option<u64>, String> {
    let size = given(text).map(str::parse::<ByteSize>);
    let size = size.transpose();
    let size = size.map_err(|_| format!("“{label}” is no size: write it as 100KiB or 2MB."))?;
    Ok(size.map(|size| size.as_u64()))
}
