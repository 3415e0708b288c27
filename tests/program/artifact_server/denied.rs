//! What `slimspan doctor` says of a bucket that denies something, loses something, or has another time.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tokio::net::TcpListener;

use crate::support::config;
use crate::support::slimspan::{Ended, run};

/// What is asked of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Put,
    Get,
    List,
    Delete,
    Rules,
    Uploads,
    Parts,
}

/// What is wrong with a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Nothing,
    Denies(Action),
    /// The same for keys that begin like this.
    DeniesBelow(&'static str, Action),
    /// It gives other bytes than it got.
    Changes,
    /// It lists nothing.
    Hides,
    /// Its clock is so many seconds ahead.
    Ahead(i64),
}

struct Bucket {
    fault: Fault,
    objects: Mutex<BTreeMap<String, Bytes>>,
}

impl Bucket {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let query = head.uri.query().unwrap_or_default();
        let action = match head.method {
            _ if query.contains("uploadId") => Action::Parts,
            Method::POST if query.contains("uploads") => Action::Parts,
            Method::PUT => Action::Put,
            Method::GET if query.contains("list-type") => Action::List,
            Method::GET if query.contains("lifecycle") => Action::Rules,
            Method::GET if query.contains("uploads=") => Action::Uploads,
            Method::GET => Action::Get,
            Method::DELETE => Action::Delete,
            Method::POST if query.contains("delete") => Action::Delete,
            other => panic!("{other} {}", head.uri),
        };
        let key = head.uri.path().trim_start_matches("/media/").to_owned();
        let is_denied = match self.fault {
            Fault::Denies(denied) => denied == action,
            Fault::DeniesBelow(below, denied) => denied == action && key.starts_with(below),
            _ => false,
        };
        if is_denied {
            let denied = "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>";
            return told(StatusCode::FORBIDDEN, denied);
        }
        let mut objects = self.objects.lock().unwrap();
        match action {
            Action::Put => {
                objects.insert(key, body);
                told(StatusCode::OK, "")
            }
            Action::Get if self.fault == Fault::Changes => told(StatusCode::OK, "something else"),
            Action::Get => match objects.get(&key) {
                Some(bytes) => told(StatusCode::OK, bytes.clone()),
                None => told(StatusCode::NOT_FOUND, ""),
            },
            Action::List => {
                let ahead = match self.fault {
                    Fault::Ahead(seconds) => seconds,
                    _ => 0,
                };
                let time = Timestamp::now() + SignedDuration::from_secs(ahead);
                let contents = objects.iter().map(|(key, bytes)| {
                    format!(
                        "<Contents><Key>{key}</Key><LastModified>{time:.3}</LastModified>\
                         <ETag>\"e\"</ETag><Size>{}</Size></Contents>",
                        bytes.len()
                    )
                });
                let contents: Vec<String> = contents.collect();
                let contents = if self.fault == Fault::Hides {
                    String::new()
                } else {
                    contents.concat()
                };
                let list = format!("<ListBucketResult>{contents}</ListBucketResult>");
                told(StatusCode::OK, list)
            }
            Action::Delete => {
                // One is named by the path, or by the body if it could be several.
                let text = String::from_utf8_lossy(&body).into_owned();
                objects.retain(|known, _| *known != key && !text.contains(known.as_str()));
                let done = "<DeleteResult><Deleted><Key>x</Key></Deleted></DeleteResult>";
                told(StatusCode::OK, done)
            }
            Action::Rules => {
                let none = "<Error><Code>NoSuchLifecycleConfiguration</Code></Error>";
                told(StatusCode::NOT_FOUND, none)
            }
            Action::Uploads => told(StatusCode::OK, "<ListMultipartUploadsResult/>"),
            Action::Parts if head.method == Method::POST && query.contains("uploads") => {
                let begun = "<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>";
                told(StatusCode::OK, begun)
            }
            // What it comes to is there already.
            Action::Parts => {
                let done = "<CompleteMultipartUploadResult><ETag>\"e\"</ETag></CompleteMultipartUploadResult>";
                told(StatusCode::OK, done)
            }
        }
    }
}

fn told(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let response = Response::builder()
        .status(status)
        .header("etag", "\"e\"")
        .header("last-modified", "Fri, 20 Nov 2026 12:00:00 GMT");
    response.body(Full::new(body.into())).unwrap()
}

/// What is said of such a bucket, and how many objects are left in it.
async fn doctor(fault: Fault) -> (Ended, usize) {
    let bucket = Arc::new(Bucket {
        fault,
        objects: Mutex::default(),
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answering = Arc::clone(&bucket);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let bucket = Arc::clone(&answering);
            let service = service_fn(move |request| {
                let bucket = Arc::clone(&bucket);
                async move { Ok::<_, Infallible>(bucket.answer(request).await) }
            });
            let connection = http1::Builder::new().serve_connection(TokioIo::new(socket), service);
            tokio::spawn(connection);
        }
    });
    let mut config = config::with_s3(address, address);
    // It is about answers, and not about how soon they come.
    config["extensions"]["artifact_store"]["timeout"] = json!("20s");
    if let Fault::DeniesBelow(..) = fault {
        config["extensions"]["artifact_store"]["catalog"]["enabled"] = json!(true);
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("c.yaml"), config.to_string()).unwrap();
    let ended = run(folder.path(), &["doctor", "--config", "c.yaml"]).await;
    let left = bucket.objects.lock().unwrap().len();
    (ended, left)
}

/// The line that says this.
fn line<'a>(ended: &'a Ended, part: &str) -> &'a str {
    let mut lines = ended.stdout.lines();
    let line = lines.find(|line| line.contains(part));
    line.unwrap_or_else(|| panic!("{part}: {ended:?}"))
}

const WELL: [&str; 7] = [
    "takes objects",
    "they can be read",
    "they can be listed",
    "its clock and the one of this machine agree",
    "they can be deleted",
    "it sees them, and gives up those of artifacts after a day",
    "they can be put in parts",
];

#[tokio::test]
async fn a_bucket_that_does_everything_is_well() {
    let (ended, left) = doctor(Fault::Nothing).await;
    assert_eq!((ended.code, left), (Some(0), 0), "{ended:?}");
    for part in WELL {
        assert!(line(&ended, part).starts_with("ok "), "{ended:?}");
    }
}

/// Each says which permission is missing, or what is to be changed; what works is said to do so all the same.
#[tokio::test]
async fn what_a_bucket_does_not_do_is_said() {
    for (fault, verdict, part, well) in [
        (
            Fault::Denies(Action::Put),
            "WRONG ",
            "(s3:PutObject)",
            &[][..],
        ),
        (
            Fault::Denies(Action::Get),
            "WRONG ",
            "(s3:GetObject)",
            &[0, 2, 3, 4, 5, 6],
        ),
        (
            Fault::Denies(Action::List),
            "advice ",
            "(s3:ListBucket)",
            &[0, 1, 4, 5, 6],
        ),
        (
            Fault::Denies(Action::Delete),
            "advice ",
            "(s3:DeleteObject)",
            &[0, 1, 2, 3, 5, 6],
        ),
        (
            Fault::Denies(Action::Rules),
            "advice ",
            "s3:GetLifecycleConfiguration",
            &[0, 1, 2, 3, 4, 5, 6],
        ),
        (
            Fault::Denies(Action::Uploads),
            "advice ",
            "s3:ListBucketMultipartUploads. Add one",
            &[0, 1, 2, 3, 4, 6],
        ),
        (
            Fault::Denies(Action::Parts),
            "advice ",
            "s3:AbortMultipartUpload)",
            &[0, 1, 2, 3, 4, 5],
        ),
        (
            Fault::Changes,
            "WRONG ",
            "the store loses or changes objects",
            &[0, 2, 3, 4, 5, 6],
        ),
        (
            Fault::Hides,
            "WRONG ",
            "what was put is not listed",
            &[0, 1, 4, 5, 6],
        ),
        (
            Fault::Ahead(600),
            "WRONG ",
            "seconds apart: set the clock",
            &[0, 1, 2, 4, 5, 6],
        ),
        (
            Fault::Ahead(-600),
            "WRONG ",
            "seconds apart: set the clock",
            &[0, 1, 2, 4, 5, 6],
        ),
    ] {
        let (ended, left) = doctor(fault).await;
        assert!(
            line(&ended, part).starts_with(verdict),
            "{fault:?}: {ended:?}"
        );
        let code = i32::from(verdict == "WRONG ");
        assert_eq!(ended.code, Some(code), "{fault:?}: {ended:?}");
        for (number, part) in WELL.into_iter().enumerate() {
            let is_told = ended.stdout.contains(part);
            assert_eq!(
                is_told,
                well.contains(&number),
                "{fault:?}: {part}: {ended:?}"
            );
        }
        let is_left = fault == Fault::Denies(Action::Delete);
        assert_eq!(left, usize::from(is_left), "{fault:?}");
        assert_eq!(ended.stdout.contains("is left there"), is_left);
    }
}

/// A policy may be about some of the folders, and each is tried.
#[tokio::test]
async fn what_one_folder_does_not_do_is_said_of_that() {
    const FOLDERS: [&str; 2] = ["default/sha256/", "catalog/"];
    for (below, denied, other) in [
        ("x/default/", FOLDERS[0], FOLDERS[1]),
        ("x/catalog/", FOLDERS[1], FOLDERS[0]),
    ] {
        let (ended, left) = doctor(Fault::DeniesBelow(below, Action::Put)).await;
        assert_eq!((ended.code, left), (Some(1), 0), "{below}: {ended:?}");
        let of = |folder: &str| format!("extensions.artifact_store: {folder}: ");
        let refused = line(&ended, "(s3:PutObject)");
        let is_said = refused.starts_with("WRONG ") && refused.contains(&of(denied));
        assert!(is_said, "{below}: {ended:?}");
        let taken = line(&ended, "takes objects");
        let is_said = taken.starts_with("ok ") && taken.contains(&of(other));
        assert!(is_said, "{below}: {ended:?}");
    }
}
