//! A slim request as it comes.

use std::pin::Pin;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body::Body as _;
use slimspan_proto::Signal;
use slimspan_proto::json::{Limits, Problem, read_charging};

use super::room::Room;
use super::{ROUNDED, size, work};
use crate::arriving::{ArriveError, Arriving, Gathered};
use crate::compression::Compression;
use crate::expanding::expand;
use crate::receivers::otlp::{ContentCoding, Form, coding};
use crate::refusal::Refusal;
use crate::server::api::ApiError;

/// The largest request that is taken, before and after decompression.
const LARGEST: usize = 64 << 20;

/// What such a limit is called.
const KEY: &str = "the artifact_server, which is 64 MiB at most, and a quarter of what memory_limiter.limit_mib \
     leaves for requests";

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
            unsupported("the content encoding is none of gzip, zstd, zlib, deflate, snappy and x-snappy-framed")
        })?;
        Ok(How { form, compression })
    }

    /// Reads one.
    pub(super) async fn read(
        room: &Room,
        signal: Signal,
        how: How,
        mut body: Body,
    ) -> Result<Self, ApiError> {
        let announced = body.size_hint().exact();
        let largest = LARGEST.min(size(room.of_one));
        if let Some(announced) = announced.filter(|announced| *announced > largest as u64) {
            return Err(Refusal::too_large(announced, largest, KEY).into());
        }
        let too_large = || Refusal::too_large(format_args!("more than {largest}"), largest, KEY);
        let announced = announced.and_then(|announced| usize::try_from(announced).ok());
        let mut lease = room.coming();
        let mut gathered = Gathered::of(announced, lease.buffers());
        let mut arriving = Arriving::new(Pin::new(&mut body), &mut lease);
        while let Some(data) = arriving.next().await.map_err(not_arrived)? {
            if gathered.len() + data.len() > largest {
                return Err(too_large().into());
            }
            gathered.add(data);
        }
        let came = lease.hold(gathered.whole());
        let came = match how.compression {
            None => came,
            Some(compression) => {
                // Both are there for a moment.
                let room_left = size(room.of_one.saturating_sub(came.len() as u64 + ROUNDED));
                let limit = largest.min(room_left);
                expand(compression, came, limit, room.read(), too_large).await?
            }
        };
        let request = match how.form {
            Form::Protobuf => came,
            Form::Json => of_json(room, signal, came).await?,
        };
        Ok(Self { request })
    }
}

async fn of_json(room: &Room, signal: Signal, text: Bytes) -> Result<Bytes, ApiError> {
    let (mut lease, of_one) = (room.read(), room.of_one);
    let converted = work((), move || {
        // A message is mostly shorter than its text, but for numbers that have few digits.
        let mut charged = text.len();
        let mut refused = lease.try_charge(charged).err();
        if let Some(refused) = refused.take() {
            return Err(no_memory(&text, charged, of_one, refused));
        }
        let mut more = |bytes| {
            charged += bytes;
            refused = lease.try_charge(bytes).err();
            refused.is_none()
        };
        let converted = read_charging(signal, &text, Limits::default(), &mut more);
        let converted = converted.map_err(|error| match (error.problem, refused.take()) {
            (Problem::NoMemory(_), Some(refused)) => no_memory(&text, charged, of_one, refused),
            _ => ApiError::bad(format!("it is no OTLP/JSON: {error}")),
        })?;
        if let Some(cause) = converted.causes.first() {
            return Err(ApiError::bad(format!("it is no OTLP/JSON: {cause}")));
        }
        let mut message = converted.request;
        lease.try_charge(message.len().saturating_sub(charged))?;
        message.shrink_to_fit();
        lease.settle(message.len());
        Ok(lease.hold(message.into()))
    });
    converted.await?
}

/// There is none for the message of a text, or there never is as much.
fn no_memory(text: &Bytes, charged: usize, of_one: u64, refused: Refusal) -> ApiError {
    let needed = (text.len() as u64).saturating_add(charged as u64);
    if needed.saturating_add(ROUNDED) <= of_one {
        return refused.into();
    }
    let told = format!(
        "the request has {} bytes of JSON, and takes more memory than one may have while it comes, which is {of_one} \
         bytes, a quarter of what memory_limiter.limit_mib leaves for requests: send protobuf, or fewer at once",
        text.len()
    );
    ApiError::Told(StatusCode::PAYLOAD_TOO_LARGE, told)
}

fn not_arrived(error: ArriveError) -> ApiError {
    match error {
        ArriveError::Stalled => ApiError::Told(
            StatusCode::REQUEST_TIMEOUT,
            "the request stopped arriving".to_owned(),
        ),
        ArriveError::Connection(error) => {
            ApiError::bad(format!("the request did not arrive: {error}"))
        }
        ArriveError::Refused(refusal) => refusal.into(),
    }
}
