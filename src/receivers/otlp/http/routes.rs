//! Which request leads where, and what it is answered.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, StatusCode, Version, header};
use http_body::Body as _;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use slimspan_proto::Signal;
use tokio::time::{Instant, timeout_at};

use super::answer::{Declined, failure, success};
use super::config::ContentCoding;
use super::content::{Form, coding};
use super::json;
use crate::answer::Answer;
use crate::arriving::{ArriveError, Arriving, Gathered};
use crate::compression::Compression;
use crate::pipeline::Received;
use crate::receivers::connections::{Introduction, Stalled};
use crate::receivers::heads::TooLarge;
use crate::receivers::inflow::Flood;
use crate::receivers::otlp::intake::Intake;
use crate::refusal::{Culprit, Refusal};

/// How long the rest of a request is read that is refused already.
const LINGER: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Routes {
    pub(super) intake: Intake,
    /// By the paths that lead to them.
    pub(super) signals: BTreeMap<String, Signal>,
    pub(super) codings: Vec<ContentCoding>,
    /// What every answer has.
    pub(super) headers: HeaderMap,
    /// How long a request may take to come.
    pub(super) read_timeout: Option<Duration>,
}

impl Routes {
    /// What a request is answered, which had been taken by then if it is to be.
    pub(super) async fn respond(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, mut body) = request.into_parts();
        let form = Form::of(&head.headers);
        let version = head.version;
        // Who has asked first sends nothing after an answer.
        let is_held_back = head.headers.contains_key(header::EXPECT);
        // What is known of a request by its bytes is caught closer to them.
        let taken = async { Ok(self.take(head, form, &mut body).await) };
        let what = || "reading".to_owned();
        let taken = self.intake.panics().guard(what, None, taken);
        let taken = taken.await.unwrap_or_else(|refusal| Err(refusal.into()));
        let mut response = match taken {
            Ok((form, signal, answer)) => success(form, signal, answer),
            Err(declined) => {
                let (status, refusal) = (declined.status, &declined.refusal);
                // Without its path: there are those who put keys into it.
                let culprit = refusal.culprit();
                tracing::debug!(%culprit, "{status}: {}", refusal.in_log());
                // One of HTTP/2 ends by itself.
                if version < Version::HTTP_2 && !is_held_back {
                    self.read_on(body);
                }
                // Who speaks neither can at least read this.
                let mut response = failure(form.unwrap_or(Form::Json), &declined);
                // A connection of HTTP/1 ends with this answer anyhow, when that could be read.
                if refusal.is_stalled() && version >= Version::HTTP_2 {
                    response.extensions_mut().insert(Stalled);
                }
                if let Some(challenge) = self.intake.gate.challenge(&declined.refusal) {
                    let headers = response.headers_mut();
                    headers.insert(header::WWW_AUTHENTICATE, challenge);
                }
                response
            }
        };
        for (name, value) in &self.headers {
            let headers = response.headers_mut();
            headers.entry(name).or_insert_with(|| value.clone());
        }
        response
    }

    async fn take(
        &self,
        head: Parts,
        form: Option<Form>,
        body: &mut Incoming,
    ) -> Result<(Form, Signal, Answer), Declined> {
        let path = head.uri.path();
        let Some(&signal) = self.signals.get(path) else {
            let known: Vec<_> = self.signals.keys().map(String::as_str).collect();
            return Err(Declined::from(Refusal::unimplemented(format!(
                "nothing is taken at this path; there are {}",
                known.join(", ")
            ))));
        };
        if head.method != Method::POST {
            return Err(Declined {
                status: StatusCode::METHOD_NOT_ALLOWED,
                refusal: Refusal::unimplemented("requests are sent with POST"),
            });
        }
        TooLarge::check(&head.extensions).map_err(|refusal| Declined {
            status: StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            refusal: self.intake.turn_away(signal, refusal),
        })?;
        let client = self.intake.gate.admit(&head.headers).await;
        let client = client.map_err(|refusal| self.intake.turn_away(signal, refusal))?;
        let unsupported = |message: String| Declined {
            status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
            refusal: Refusal::malformed(message),
        };
        let form = form.ok_or_else(|| {
            let [one, other] = Form::ALL.map(Form::media_type);
            unsupported(format!(
                "the content type is neither {one} nor {other} in UTF-8"
            ))
        })?;
        if form == Form::Json && !Signal::READ.contains(&signal) {
            return Err(unsupported(format!(
                "{signal} are taken as {} only: their JSON is not read",
                Form::Protobuf.media_type()
            )));
        }
        let compression = coding(&head.headers, &self.codings).map_err(unsupported)?;
        let span = self.intake.begin(signal, &head.headers);
        let introduction = head.extensions.get::<Introduction>().cloned();
        // A body may take long to come, and many may take long at once.
        drop(head);
        let begun = Instant::now();
        let arrival = async {
            let read = self.read(signal, form, compression, body);
            let Some(longest) = self.read_timeout else {
                return read.await;
            };
            timeout_at(begun + longest, read).await.unwrap_or_else(|_| {
                Err(Refusal::unavailable(
                    Culprit::Sender,
                    format!("the request did not come within the {longest:?} of read_timeout"),
                ))
            })
        };
        let introduction = introduction.as_ref();
        let taken = self
            .intake
            .take(signal, client, introduction, None, span, arrival);
        let answer = taken.await?;
        Ok((form, signal, answer))
    }

    /// The request, which has its share of the budget as long as it is in memory.
    async fn read(
        &self,
        signal: Signal,
        form: Form,
        compression: Option<Compression>,
        body: &mut Incoming,
    ) -> Result<Received, Refusal> {
        let limit = self.intake.limit;
        let announced = body.size_hint().exact();
        if let Some(announced) = announced
            && announced > limit as u64
        {
            return Err(self.intake.too_large(announced));
        }
        let announced = announced.and_then(|announced| usize::try_from(announced).ok());
        let mut lease = self.intake.lease();
        let mut gathered = Gathered::of(announced, lease.buffers());
        if compression.is_some() {
            lease.is_compressed();
        }
        let mut arriving = Arriving::new(Pin::new(body), &mut lease);
        while let Some(data) = arriving.next().await.map_err(not_arrived)? {
            if gathered.len() + data.len() > limit {
                return Err(self.intake.too_large(format_args!("more than {limit}")));
            }
            gathered.add(data);
        }
        let bytes = lease.hold(gathered.whole());
        let bytes = match compression {
            None => bytes,
            Some(compression) => self.intake.decompress(compression, bytes).await?,
        };
        match form {
            Form::Protobuf => Ok(bytes.into()),
            Form::Json => {
                let read = json::read(&self.intake, signal, bytes.clone());
                let panics = self.intake.panics();
                let what = || format!("reading JSON ({signal})");
                panics.guard(what, Some(&bytes), read).await
            }
        }
    }

    /// Reads the rest of a request that is refused, and forgets it: a sender of HTTP/1 that is not done
    /// when its connection closes may never read its answer, and then it sends everything again.
    fn read_on(&self, mut body: Incoming) {
        if body.is_end_stream() {
            return;
        }
        let mut left = 2 * self.intake.limit;
        tokio::spawn(async move {
            let until = Instant::now() + LINGER;
            while let Ok(Some(Ok(frame))) = timeout_at(until, body.frame()).await {
                let data = frame.data_ref().map_or(0, Bytes::len);
                let Some(rest) = left.checked_sub(data) else {
                    break;
                };
                left = rest;
            }
        });
    }
}

/// Why a body did not arrive. One that breaks the rules of HTTP comes no better a second time.
fn not_arrived(error: ArriveError) -> Refusal {
    if let ArriveError::Connection(error) = &error
        && let Some(error) = error.downcast_ref::<hyper::Error>()
        && let Some(cause) = error.source().and_then(|cause| cause.downcast_ref::<io::Error>())
        && matches!(
            cause.kind(),
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData
        )
        // What is cut off for its pace has the same kind, and may come again.
        && cause.get_ref().is_none_or(|cause| !cause.is::<Flood>())
    {
        return Refusal::malformed(format!("the body breaks the rules of HTTP: {cause}"));
    }
    error.into()
}
