//! Google Cloud Storage as far as slimspan uses it, because no emulator speaks its XML API.
//!
//! Written from the published description and from what the client sends: it shows that our
//! requests reach the right bucket and key with the right headers, and that our reading of the
//! answers is right. It cannot show that Google agrees: no authentication, quotas, redirects,
//! checksums or errors other than 404, and one page of every listing.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, LAST_MODIFIED, RANGE};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use object_store::path::Path;
use tokio::net::TcpListener;

use super::backend::{Backend, Kind};

/// The rules of the bucket.
const RULES: &str = r#"{ "lifecycle": { "rule": [
    { "action": { "type": "Delete" }, "condition": { "age": 2, "matchesPrefix": ["kept/"] } },
    { "action": { "type": "AbortIncompleteMultipartUpload" }, "condition": { "age": 1 } }
] } }"#;

#[derive(Default)]
struct Bucket {
    objects: BTreeMap<String, Object>,
}

#[derive(Clone)]
struct Object {
    bytes: Bytes,
    content_type: String,
}

/// Serves the bucket `media` until the test's runtime ends.
pub(super) async fn start() -> Backend {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let bucket = Arc::new(Mutex::new(Bucket::default()));
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let bucket = Arc::clone(&bucket);
            let service = service_fn(move |request| answer(Arc::clone(&bucket), request));
            tokio::spawn(
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(socket), service),
            );
        }
    });
    let account = serde_json::json!({
        "gcs_base_url": format!("http://{address}"),
        "disable_oauth": true,
        "client_email": "",
        "private_key": "",
        "private_key_id": "",
    });
    Backend {
        name: "gcs by stub",
        url: "gs://media".to_owned(),
        options: vec![
            ("service_account_key", account.to_string()),
            ("allow_http", "true".to_owned()),
        ],
        kind: Kind::Bucket,
        process: None,
        _folder: None,
    }
}

async fn answer(
    bucket: Arc<Mutex<Bucket>>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    let header = |name| head.headers.get(name).and_then(|value| value.to_str().ok());
    let mut bucket = bucket.lock().unwrap();
    // The client writes the slashes of a key as %2F.
    let Some(key) = head.uri.path().strip_prefix("/media/").map(decoded) else {
        return Ok(match head.uri.path() {
            "/media" => response(StatusCode::OK, listing(&bucket)),
            // The one question of the JSON API.
            "/storage/v1/b/media"
                if head.uri.query() == Some("fields=lifecycle,storageClass,autoclass") =>
            {
                response(StatusCode::OK, RULES)
            }
            _ => response(StatusCode::NOT_FOUND, "NoSuchBucket"),
        });
    };
    if head.method == Method::PUT {
        assert_eq!(
            header(CONTENT_LENGTH),
            Some(bytes.len().to_string().as_str())
        );
        let content_type = header(CONTENT_TYPE).unwrap_or_default().to_owned();
        let object = Object {
            bytes,
            content_type,
        };
        bucket.objects.insert(key, object);
        return Ok(response(StatusCode::OK, ""));
    }
    let Some(object) = bucket.objects.get(&key).cloned() else {
        return Ok(response(StatusCode::NOT_FOUND, "NoSuchKey"));
    };
    let size = object.bytes.len();
    let mut found = match header(RANGE) {
        Some(range) => {
            let (first, last) = range
                .strip_prefix("bytes=")
                .unwrap()
                .split_once('-')
                .unwrap();
            let first: usize = first.parse().unwrap();
            let last: usize = last.parse().unwrap();
            let part = object.bytes.slice(first..=last);
            let mut found = response(StatusCode::PARTIAL_CONTENT, part);
            let range = format!("bytes {first}-{last}/{size}").parse().unwrap();
            found.headers_mut().insert(CONTENT_RANGE, range);
            found
        }
        None => response(StatusCode::OK, object.bytes),
    };
    if head.method == Method::HEAD {
        found.headers_mut().insert(CONTENT_LENGTH, size.into());
        *found.body_mut() = Full::default();
    }
    let content_type = object.content_type.parse().unwrap();
    found.headers_mut().insert(CONTENT_TYPE, content_type);
    Ok(found)
}

fn decoded(key: &str) -> String {
    Path::from_url_path(key).unwrap().into()
}

fn response(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    Response::builder()
        .status(status)
        .header(ETAG, "\"1\"")
        .header(LAST_MODIFIED, "Fri, 20 Nov 2026 12:00:00 GMT")
        .header("x-goog-generation", "1")
        .body(Full::new(body.into()))
        .unwrap()
}

fn listing(bucket: &Bucket) -> String {
    let mut xml = "<ListBucketResult>".to_owned();
    for (key, object) in &bucket.objects {
        let size = object.bytes.len();
        write!(
            xml,
            "<Contents><Key>{key}</Key><Size>{size}</Size><ETag>1</ETag>\
             <LastModified>2026-11-20T12:00:00.000Z</LastModified></Contents>"
        )
        .unwrap();
    }
    xml + "</ListBucketResult>"
}
