//! What a killed process leaves in a folder or a bucket is removed when the next one starts.

use std::convert::Infallible;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use serde_json::json;
use slimspan_artifact::Digest;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::support::backend::Backend;
use crate::support::measured::{measured, number};
use crate::support::pages::get;
use crate::support::references::files;
use crate::support::slimspan::Slimspan;
use crate::support::{config, soon};

/// More than a process leaves that is killed once.
const OLD: usize = 500;

#[tokio::test]
async fn unfinished_files_of_a_killed_process_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let shard = folder.path().join("artifacts/default/sha256/ba");
    fs::create_dir_all(&shard).unwrap();
    let old: Vec<_> = (1..=OLD)
        .map(|number| shard.join(format!("{digest}#{number}")))
        .collect();
    let young = shard.join(format!("{digest}#{}", OLD + 1));
    let whole = shard.join(digest);
    let hours_ago = SystemTime::now() - Duration::from_hours(2);
    let all = old.iter().map(|path| (path, true));
    for (path, is_old) in all.chain([(&young, false), (&whole, true)]) {
        let file = File::create(path).unwrap();
        if is_old {
            file.set_modified(hours_ago).unwrap();
        }
    }
    let catalog = folder.path().join("artifacts/catalog");
    let [of_catalog, stays] = of_catalog(&catalog, hours_ago);
    let backend = Backend::start().await;
    let mut slimspan = Slimspan::start_in(folder, &config::standard(backend.address)).await;
    let removed = format!("removed {OLD} unfinished files");
    slimspan.logs(&removed).await;
    assert!(old.iter().all(|path| !path.exists()));
    assert!(young.exists() && whole.exists());
    let removed = format!("catalog: removed {} unfinished files", of_catalog.len());
    slimspan.logs(&removed).await;
    assert!(of_catalog.iter().all(|path| !path.exists()));
    assert!(stays.iter().all(|path| path.exists()));
    measured(
        "P24",
        "program::leftovers",
        "0 older than an hour after a start",
        format_args!(
            "0 of {OLD} and of {} of the catalog left; what is younger or whole stays",
            of_catalog.len()
        ),
    );
    slimspan.stop_well().await;
}

/// What writes of the catalog's objects left that were cut off `long_ago`, and what has to stay: younger
/// ones, and whole objects.
fn of_catalog(catalog: &Path, long_ago: SystemTime) -> [Vec<PathBuf>; 2] {
    let [mut leftovers, mut others] = [Vec::new(), Vec::new()];
    for object in [
        "2026-11-21/19/20261121T194305.000120Z-000000ab-0badcafe.jsonl",
        "tombstones/20261121T194305.000120Z-000000ab-0badcafe.json",
        "gc/20261121T194305.000120Z-0badcafe.jsonl",
    ] {
        let whole = catalog.join(object);
        fs::create_dir_all(whole.parent().unwrap()).unwrap();
        let beside = |number: u32| catalog.join(format!("{object}#{number}"));
        let (old, young) = (beside(1), beside(2));
        for (path, is_old) in [(&whole, true), (&old, true), (&young, false)] {
            let file = File::create(path).unwrap();
            if is_old {
                file.set_modified(long_ago).unwrap();
            }
        }
        leftovers.push(old);
        others.extend([young, whole]);
    }
    [leftovers, others]
}

/// The same with files that processes have really left, in the middle of what was uploaded to them.
#[tokio::test]
async fn what_kills_in_the_middle_of_uploads_leave_is_removed() {
    let kills = number("SLIMSPAN_KILLS", 5);
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let backend = Backend::start().await;
    let mut config = config::standard(backend.address);
    config["extensions"]["artifact_server"] = json!({
        "endpoint": "127.0.0.1:0",
        "pages": { "endpoint": "127.0.0.1:0" },
    });
    config["service"]["extensions"] = json!(["artifact_store", "artifact_server"]);
    let unfinished = |folder: &Path| {
        let mut files = files(&folder.join("artifacts"));
        files.retain(|path| path.to_string_lossy().contains('#'));
        files
    };
    for number in 1..=kills {
        let mut slimspan = Slimspan::spawn(Arc::clone(&folder), &config.to_string());
        assert!(slimspan.ready().await, "{}", slimspan.stderr());
        let pages = slimspan.places("artifact_server")[1];
        let mut stream = TcpStream::connect(pages).await.unwrap();
        let digest = Digest::of(&number.to_le_bytes());
        let head = format!(
            "PUT /v1/artifacts/{digest}/blob HTTP/1.1\r\nhost: {pages}\r\ncontent-length: {}\r\n\r\n",
            20 << 20
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&vec![7; 11 << 20]).await.unwrap();
        let is_begun = async {
            while unfinished(folder.path()).len() < number {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        soon("a part is in the folder", is_begun).await;
        slimspan.kill().await;
        // Hundreds of them would take the disk.
        for path in unfinished(folder.path()) {
            let file = File::options().write(true).open(path).unwrap();
            file.set_len(0).unwrap();
        }
    }
    let left = unfinished(folder.path());
    assert_eq!(left.len(), kills);
    let hours_ago = SystemTime::now() - Duration::from_hours(2);
    for path in &left {
        let file = File::options().write(true).open(path).unwrap();
        file.set_modified(hours_ago).unwrap();
    }
    let mut slimspan = Slimspan::spawn(Arc::clone(&folder), &config.to_string());
    assert!(slimspan.ready().await, "{}", slimspan.stderr());
    slimspan
        .logs(&format!("removed {kills} unfinished files"))
        .await;
    assert_eq!(unfinished(folder.path()), [] as [PathBuf; 0]);
    measured(
        "P24",
        "program::leftovers, kills",
        "0 older than an hour after a start",
        format_args!("0 left of {kills} kills in the middle of an upload"),
    );
}

/// A bucket on S3 with these uploads, a page each: key, id, and for how many hours they have been there.
/// The one of the id `kept` it does not give up. Tells what it was asked to give up.
async fn bucket_with(uploads: Vec<(String, &'static str, u64)>) -> (SocketAddr, Aborts) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (aborts, seen) = watch::channel(Vec::new());
    let (uploads, aborts) = (Arc::new(uploads), Arc::new(aborts));
    let answer = move |request: Request<Incoming>| {
        let query = request.uri().query().unwrap_or_default().to_owned();
        let of = |name: &str| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            let value = pairs.find(|(key, _)| *key == name).map(|(_, value)| value);
            value.map(str::to_owned)
        };
        let (status, text) = if request.method() == Method::DELETE {
            let id = of("uploadId").unwrap();
            let status = if id == "kept" { 403 } else { 204 };
            let path = request.uri().path().to_owned();
            aborts.send_modify(|aborts| aborts.push((path, id)));
            (status, String::new())
        } else if query.contains("lifecycle") {
            (501, String::new())
        } else {
            assert_eq!(of("prefix").as_deref(), Some("x"));
            let after = of("upload-id-marker");
            let number = uploads
                .iter()
                .position(|(_, id, _)| Some(*id) == after.as_deref());
            let number = number.map_or(0, |number| number + 1);
            (200, page(&uploads, number))
        };
        let answer = Response::builder()
            .status(StatusCode::from_u16(status).unwrap())
            .body(Full::new(Bytes::from(text)));
        std::future::ready(Ok::<_, Infallible>(answer.unwrap()))
    };
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let service = service_fn(answer.clone());
            tokio::spawn(
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(socket), service),
            );
        }
    });
    (address, seen)
}

type Aborts = watch::Receiver<Vec<(String, String)>>;

fn page(uploads: &[(String, &str, u64)], number: usize) -> String {
    let (key, id, hours) = &uploads[number];
    let began = Timestamp::now() - Duration::from_hours(*hours);
    let more = number + 1 < uploads.len();
    format!(
        "<ListMultipartUploadsResult><IsTruncated>{more}</IsTruncated><NextKeyMarker>{key}</NextKeyMarker>\
         <NextUploadIdMarker>{id}</NextUploadIdMarker><Upload><Key>{key}</Key><UploadId>{id}</UploadId>\
         <Initiated>{began}</Initiated></Upload></ListMultipartUploadsResult>"
    )
}

/// Of uploads in parts only artifacts of this store are given up, and only after a day.
#[tokio::test]
async fn uploads_that_nobody_finishes_are_given_up() {
    let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let ours = format!("x/default/sha256/ba/{digest}");
    let (store, mut aborts) = bucket_with(vec![
        (ours.clone(), "old", 25),
        (ours.clone(), "young", 23),
        ("x/backup.tar".to_owned(), "of-others", 25),
        (ours.clone(), "kept", 25),
        (ours.replace("default", "acme"), "of-a-tenant", 2500),
    ])
    .await;
    let backend = Backend::start().await;
    let mut config = config::with_s3(backend.address, store);
    config["extensions"]["artifact_store"]["timeout"] = json!("20s");
    config["service"]["telemetry"]["metrics"] = json!({
        "readers": [{ "pull": { "exporter": { "prometheus": { "port": 0 } } } }],
    });
    let mut slimspan = Slimspan::start(&config).await;
    slimspan
        .logs("gave up 2 uploads that nobody finished within a day")
        .await;
    let given_up = aborts.borrow_and_update().clone();
    let expected = [
        (format!("/media/{ours}"), "old"),
        (format!("/media/{ours}"), "kept"),
        (
            format!("/media/{}", ours.replace("default", "acme")),
            "of-a-tenant",
        ),
    ];
    assert_eq!(
        given_up,
        expected.map(|(path, id)| (path, id.to_owned())),
        "young ones and those of others stay"
    );
    slimspan.logs("cannot be given up").await;
    let page = get(slimspan.page("telemetry"), "/metrics").await;
    let line = r#"action="abort",reason="denied"} 1"#;
    assert!(page.body.contains(line), "{}", page.body);
    measured(
        "P24",
        "program::leftovers, S3",
        "uploads older than a day given up, and those that cannot be counted",
        "2 given up, 1 counted; 1 young and 1 of others stay",
    );
    slimspan.stop_well().await;
}
