//! A slim request as it comes.

use std::pin::Pin;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body::Body as _;
use slimspan_proto::Signal;
use slimspan_proto::json::{Limits, read};

use super::{bad, work};
use crate::admission::Budget;
use crate::arriving::{ArriveError, Arriving, Gathered};
use crate::compression::Compression;
use crate::expanding::expand;
use crate::receivers::otlp::{ContentCoding, Form, coding};
use crate::refusal::Refusal;
use crate::server::api::ApiError;

/// The largest request that is taken, before and after decompression.
const LARGEST: usize = 64 << 20;

/// What such a limit is called.
const KEY: &str = "the artifact_server";

/// A request in protobuf. Its memory is charged as long as it is there.
pub(super) struct Slim {
    pub(super) request: Bytes,
}

/// How a request is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct How {
    pub(super) form: Form,
    compression: Option<Compression>,
}

impl Slim {
    /// What the headers of a request say of its body.
    pub(super) fn how(headers: &HeaderMap) -> Result<How, ApiError> {
        let unsupported =
            |told: &str| ApiError::Told(StatusCode::UNSUPPORTED_MEDIA_TYPE, told.to_owned());
        let form = Form::of(headers).ok_or_else(|| {
            unsupported(
                "the content type is neither application/x-protobuf nor application/json in UTF-8",
            )
        })?;
        let compression = coding(headers, &ContentCoding::ALL);
        let compression = compression.map_err(|_| {
            unsupported("the content encoding is none of gzip, zstd, zlib and deflate")
        })?;
        Ok(How { form, compression })
    }

    /// Reads one.
    pub(super) async fn read(
        budget: &Budget,
        signal: Signal,
        how: How,
        mut body: Body,
    ) -> Result<Self, ApiError> {
        let announced = body.size_hint().exact();
        if let Some(announced) = announced.filter(|announced| *announced > LARGEST as u64) {
            return Err(Refusal::too_large(announced, LARGEST, KEY).into());
        }
        let too_large = || Refusal::too_large(format_args!("more than {LARGEST}"), LARGEST, KEY);
        let announced = announced.and_then(|announced| usize::try_from(announced).ok());
        let mut gathered = Gathered::of(announced);
        let mut lease = budget.lease();
        if how.compression.is_some() {
            lease.is_compressed();
        }
        let mut arriving = Arriving::new(Pin::new(&mut body), &mut lease);
        while let Some(data) = arriving.next().await.map_err(not_arrived)? {
            if gathered.len() + data.len() > LARGEST {
                return Err(too_large().into());
            }
            gathered.add(data);
        }
        let came = lease.hold(gathered.whole());
        let came = match how.compression {
            None => came,
            Some(compression) => {
                let lease = budget.lease_for_more();
                expand(compression, came, LARGEST, lease, too_large).await?
            }
        };
        let request = match how.form {
            Form::Protobuf => came,
            Form::Json => of_json(budget, signal, came).await?,
        };
        Ok(Self { request })
    }
}

async fn of_json(budget: &Budget, signal: Signal, text: Bytes) -> Result<Bytes, ApiError> {
    let mut lease = budget.lease_for_copy();
    let converted = work(move || {
        // A message is mostly shorter than its text, but for numbers that have few digits.
        lease.try_charge(text.len())?;
        let converted = read(signal, &text, Limits::default())
            .map_err(|error| bad(format!("it is no OTLP/JSON: {error}")))?;
        if let Some(cause) = converted.causes.first() {
            return Err(bad(format!("it is no OTLP/JSON: {cause}")));
        }
        let message = Bytes::from(converted.request);
        lease.try_charge(message.len().saturating_sub(text.len()))?;
        Ok(lease.hold(message))
    });
    converted.await?
}

fn not_arrived(error: ArriveError) -> ApiError {
    match error {
        ArriveError::Stalled => ApiError::Told(
            StatusCode::REQUEST_TIMEOUT,
            "the request stopped arriving".to_owned(),
        ),
        ArriveError::Connection(error) => bad(format!("the request did not arrive: {error}")),
        ArriveError::Refused(refusal) => refusal.into(),
    }
}
