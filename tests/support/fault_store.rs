//! An S3 server in memory with everything that can be wrong with one, by chance or by command.
//!
//! Which fault a request meets follows from the seed, from its key and from how often that key was
//! asked for, so the order in which concurrent requests come changes nothing.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use slimspan_artifact::Digest;
use slimspan_generators::Random;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::catalogued::OBJECT;
use super::soon;
use super::verifying::Fetch;

/// What may go wrong with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// 500, and nothing is done.
    Error,
    /// It is done, and the answer is 500.
    ErrorAfter,
    /// Nothing is done, and there is no answer.
    Hang,
    /// It is done, and there is no answer.
    HangAfter,
    /// It takes so long.
    Delay(Duration),
    /// 409, as S3 answers to writes that meet.
    Conflict,
    /// 503 SlowDown.
    SlowDown,
    /// 403.
    Forbidden,
    /// 403 RequestTimeTooSkewed: one of the two clocks is wrong.
    Skewed,
    /// 200, with an error in its body and nothing done.
    ErrorInBody,
    /// It is done, and the answer has the ETag of something else.
    WrongEtag,
    /// The connection ends in the middle of the request.
    Reset,
    /// 200, and nothing is done.
    Lie,
    /// A read gets other bytes.
    WrongBytes,
    /// A read gets 404.
    Stale,
}

/// A bucket that lives as long as the test's runtime.
pub(crate) struct FaultStore {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    objects: Mutex<HashMap<String, Bytes>>,
    /// What it said it kept, and did not.
    lied: Mutex<HashMap<String, Bytes>>,
    /// Their names in the order in which they came, and when.
    order: Mutex<Vec<(String, Instant)>>,
    seed: u64,
    /// With the chance of each, in a thousand.
    faults: Mutex<Vec<(Fault, usize)>>,
    /// What comes in at most in a second, if that is limited.
    rate: Mutex<Option<u64>>,
    /// When what has come in is through.
    through: Mutex<Instant>,
    /// As much of it was part of an object that is stored now.
    bytes: AtomicU64,
    /// How often each key was asked for.
    asked: Mutex<HashMap<String, u64>>,
    puts: watch::Sender<usize>,
    stored: watch::Sender<usize>,
    /// Puts that are not answered yet, and the most that there were.
    going: AtomicUsize,
    most: AtomicUsize,
}

/// A put that is not answered yet.
struct Going(Arc<Shared>);

impl FaultStore {
    pub(crate) async fn start(seed: u64, faults: &[(Fault, usize)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            objects: Mutex::default(),
            lied: Mutex::default(),
            order: Mutex::default(),
            seed,
            faults: Mutex::new(faults.to_vec()),
            rate: Mutex::default(),
            through: Mutex::new(Instant::now()),
            bytes: AtomicU64::new(0),
            asked: Mutex::default(),
            puts: watch::Sender::new(0),
            stored: watch::Sender::new(0),
            going: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
        });
        let serving = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let shared = Arc::clone(&serving);
                let service = service_fn(move |request| answer(Arc::clone(&shared), request));
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(socket), service),
                );
            }
        });
        Self { address, shared }
    }

    /// From now on these go wrong; what hangs, hangs on.
    pub(crate) fn set(&self, faults: &[(Fault, usize)]) {
        *self.shared.faults.lock().unwrap() = faults.to_vec();
    }

    /// From now on nothing goes wrong.
    pub(crate) fn heal(&self) {
        self.set(&[]);
    }

    /// From now on so many bytes come in a second, of all requests together.
    pub(crate) fn throttle(&self, bytes_per_second: u64) {
        *self.shared.rate.lock().unwrap() = Some(bytes_per_second);
    }

    /// The bytes that were stored, repetitions included.
    pub(crate) fn bytes(&self) -> u64 {
        self.shared.bytes.load(Ordering::Relaxed)
    }

    /// Reads past all faults.
    pub(crate) fn fetch(&self) -> Fetch {
        let shared = Arc::clone(&self.shared);
        Arc::new(move |digest: &Digest| {
            let name = digest.to_string();
            shared.objects.lock().unwrap().get(&name).cloned()
        })
    }

    /// The same for who believes what it says: it has what it lied about, too, from when it did.
    pub(crate) fn fetch_as_told(&self) -> Fetch {
        let (stored, shared) = (self.fetch(), Arc::clone(&self.shared));
        Arc::new(move |digest: &Digest| {
            let name = digest.to_string();
            let lied = || shared.lied.lock().unwrap().get(&name).cloned();
            stored(digest).or_else(lied)
        })
    }

    /// How many objects it said it kept, and does not have.
    pub(crate) fn lies(&self) -> usize {
        let objects = self.shared.objects.lock().unwrap();
        let lied = self.shared.lied.lock().unwrap();
        lied.keys()
            .filter(|name| !objects.contains_key(*name))
            .count()
    }

    /// Has this no more, and has never had it: what was asked for for hours would be too much for a test.
    pub(crate) fn forget(&self, digest: &Digest) {
        let name = digest.to_string();
        self.shared.asked.lock().unwrap().remove(&name);
        let mut objects = self.shared.objects.lock().unwrap();
        if objects.remove(&name).is_some() {
            let mut order = self.shared.order.lock().unwrap();
            order.retain(|(one, _)| *one != name);
        }
    }

    /// The names of all artifacts, without what stands before them.
    pub(crate) fn objects(&self) -> Vec<String> {
        let objects = self.shared.objects.lock().unwrap();
        let names = objects.keys().filter(|name| !name.ends_with(OBJECT));
        names.cloned().collect()
    }

    /// The objects with entries of a catalog.
    pub(crate) fn catalog(&self) -> Vec<Bytes> {
        let objects = self.shared.objects.lock().unwrap();
        let objects = objects.iter().filter(|(name, _)| name.ends_with(OBJECT));
        objects.map(|(_, object)| object.clone()).collect()
    }

    /// The names of all objects in the order in which they came, and when.
    pub(crate) fn order(&self) -> Vec<(String, Instant)> {
        self.shared.order.lock().unwrap().clone()
    }

    /// How many puts have come in, repetitions included.
    pub(crate) fn puts(&self) -> usize {
        *self.shared.puts.borrow()
    }

    /// How many puts were under way at a time at most.
    pub(crate) fn most_at_a_time(&self) -> usize {
        self.shared.most.load(Ordering::SeqCst)
    }

    /// Waits until there are as many objects.
    pub(crate) async fn stored(&self, count: usize) {
        let mut stored = self.shared.stored.subscribe();
        let stored = stored.wait_for(|stored| *stored >= count);
        soon("the store has it", stored).await.unwrap();
    }

    /// Waits until as many puts have come in.
    pub(crate) async fn begun(&self, count: usize) {
        let mut puts = self.shared.puts.subscribe();
        let begun = puts.wait_for(|puts| *puts >= count);
        soon("the store gets a put", begun).await.unwrap();
    }
}

impl Shared {
    /// All of a request, as fast as it may come.
    async fn read(&self, mut body: Incoming) -> io::Result<Bytes> {
        let mut bytes = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(io::Error::other)?.into_data() else {
                continue;
            };
            let wait = self.takes(data.len());
            bytes.extend_from_slice(&data);
            tokio::time::sleep(wait).await;
        }
        Ok(bytes.freeze())
    }

    /// How long it takes until so many more have come in.
    fn takes(&self, bytes: usize) -> Duration {
        let Some(rate) = *self.rate.lock().unwrap() else {
            return Duration::ZERO;
        };
        let now = Instant::now();
        let mut through = self.through.lock().unwrap();
        *through = (*through).max(now) + Duration::from_secs_f64(bytes as f64 / rate as f64);
        *through - now
    }

    fn fault(&self, key: &str) -> Option<Fault> {
        let faults = self.faults.lock().unwrap();
        let mut asked = self.asked.lock().unwrap();
        let times = asked.entry(key.to_owned()).or_default();
        *times += 1;
        let key = key.bytes().fold(0_u64, |hash, byte| {
            hash.wrapping_mul(31).wrapping_add(byte.into())
        });
        let mut left = Random::new(self.seed ^ key ^ (*times << 32)).below(1000);
        for (fault, chance) in faults.iter() {
            match left.checked_sub(*chance) {
                None => return Some(*fault),
                Some(rest) => left = rest,
            }
        }
        None
    }
}

impl Going {
    fn begin(shared: &Arc<Shared>) -> Self {
        let going = 1 + shared.going.fetch_add(1, Ordering::SeqCst);
        shared.most.fetch_max(going, Ordering::SeqCst);
        Self(Arc::clone(shared))
    }
}

impl Drop for Going {
    fn drop(&mut self) {
        self.0.going.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn answer(
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> io::Result<Response<Full<Bytes>>> {
    let (head, mut body) = request.into_parts();
    let name = head.uri.path().rsplit('/').next().unwrap().to_owned();
    let is_put = head.method == Method::PUT;
    let _going = is_put.then(|| Going::begin(&shared));
    if is_put {
        shared.puts.send_modify(|puts| *puts += 1);
    }
    let fault = shared.fault(&name);
    match fault {
        Some(Fault::Error) => return Ok(status(StatusCode::INTERNAL_SERVER_ERROR)),
        Some(Fault::Conflict) => return Ok(status(StatusCode::CONFLICT)),
        Some(Fault::SlowDown) => {
            let text = "Reduce your request rate.";
            return Ok(error(StatusCode::SERVICE_UNAVAILABLE, "SlowDown", text));
        }
        Some(Fault::Forbidden) => return Ok(status(StatusCode::FORBIDDEN)),
        Some(Fault::Skewed) => {
            let text =
                "The difference between the request time and the server's time is too large.";
            return Ok(error(StatusCode::FORBIDDEN, "RequestTimeTooSkewed", text));
        }
        Some(Fault::ErrorInBody) if is_put => {
            let text = "We encountered an internal error. Please try again.";
            return Ok(error(StatusCode::OK, "InternalError", text));
        }
        Some(Fault::Hang) => std::future::pending().await,
        Some(Fault::Delay(delay)) => tokio::time::sleep(delay).await,
        Some(Fault::Reset) => {
            let _ = body.frame().await;
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Some(Fault::Lie) if is_put => {
            // It takes all of it, as one that keeps it does.
            let bytes = shared.read(body).await?;
            shared.lied.lock().unwrap().insert(name, bytes);
            return Ok(found(Bytes::new()));
        }
        Some(Fault::Stale) if !is_put => return Ok(status(StatusCode::NOT_FOUND)),
        // Those that come later or concern the other kind of request.
        None | Some(_) => {}
    }
    let query = head.uri.query().unwrap_or_default();
    if head.method == Method::POST && query.contains("uploads") {
        let xml =
            "<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>";
        return Ok(found(Bytes::from(xml)));
    }
    if query.contains("list-type=2") {
        // It knows no folders: nobody finds anything.
        let xml = "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>";
        return Ok(found(Bytes::from(xml)));
    }
    if is_put && query.contains("partNumber") {
        shared.read(body).await?;
        return Ok(found(Bytes::new()));
    }
    if head.method == Method::DELETE {
        // Nobody may delete here.
        return Ok(status(StatusCode::FORBIDDEN));
    }
    // A sender that goes away in the middle has stored nothing.
    let bytes = shared.read(body).await?;
    let response = if is_put {
        shared
            .bytes
            .fetch_add(bytes.len() as u64, Ordering::Relaxed);
        let count = {
            let mut objects = shared.objects.lock().unwrap();
            if objects.insert(name.clone(), bytes).is_none() {
                let mut order = shared.order.lock().unwrap();
                order.push((name, Instant::now()));
            }
            objects.len()
        };
        shared.stored.send_replace(count);
        found(Bytes::new())
    } else {
        let object = shared.objects.lock().unwrap().get(&name).cloned();
        match object {
            None => status(StatusCode::NOT_FOUND),
            Some(bytes) if fault == Some(Fault::WrongBytes) => {
                let mut wrong = bytes.to_vec();
                let middle = wrong.len() / 2;
                wrong[middle] ^= 1;
                found(wrong.into())
            }
            Some(bytes) => match part(&head.headers, bytes.len()) {
                Some(part) => found_part(&bytes, part),
                None => found(bytes),
            },
        }
    };
    match fault {
        Some(Fault::ErrorAfter) => Ok(status(StatusCode::INTERNAL_SERVER_ERROR)),
        Some(Fault::WrongEtag) => {
            let mut response = response;
            let other = http::HeaderValue::from_static("\"other\"");
            response.headers_mut().insert("etag", other);
            Ok(response)
        }
        Some(Fault::HangAfter) => std::future::pending().await,
        _ => Ok(response),
    }
}

fn status(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

/// As S3 says what is wrong.
fn error(code: StatusCode, name: &str, message: &str) -> Response<Full<Bytes>> {
    let xml = format!("<Error><Code>{name}</Code><Message>{message}</Message></Error>");
    let mut response = status(code);
    *response.body_mut() = Full::from(xml);
    response
}

/// The part that is asked for.
fn part(headers: &HeaderMap, len: usize) -> Option<Range<usize>> {
    let range = headers.get(header::RANGE)?.to_str().unwrap();
    let (start, end) = range.strip_prefix("bytes=")?.split_once('-')?;
    let end = end.parse::<usize>().unwrap() + 1;
    Some(start.parse().unwrap()..end.min(len))
}

fn found_part(bytes: &Bytes, part: Range<usize>) -> Response<Full<Bytes>> {
    let (start, end, len) = (part.start, part.end - 1, bytes.len());
    let mut response = found(bytes.slice(part));
    *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    let told = format!("bytes {start}-{end}/{len}");
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_RANGE, told.parse().unwrap());
    response
}

fn found(bytes: Bytes) -> Response<Full<Bytes>> {
    let response = Response::builder()
        .header("etag", "\"etag\"")
        .header("last-modified", "Fri, 20 Nov 2026 12:00:00 GMT");
    response.body(Full::new(bytes)).unwrap()
}
