//! Who reads while the configuration changes, or while slimspan stops, reads to the end.

use bytes::BytesMut;
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::{Served, with_server};
use crate::support::{otlp, soon};

/// More than what connections take on the way.
const SIZE: usize = 30 << 20;

/// The beginning of an artifact, and the rest of it to come.
struct Begun {
    read: BytesMut,
    body: Incoming,
}

async fn begin(served: &Served, path: &str) -> Begun {
    let answer = served.artifacts.begin(Method::GET, path, "").await;
    assert_eq!(answer.status(), StatusCode::OK);
    let mut body = answer.into_body();
    let first = soon("its beginning", body.frame()).await.unwrap().unwrap();
    let read = BytesMut::from(&first.into_data().unwrap()[..]);
    Begun { read, body }
}

impl Begun {
    async fn end(mut self) -> BytesMut {
        let rest = soon("its end", self.body.collect()).await.unwrap();
        self.read.extend_from_slice(&rest.to_bytes());
        self.read
    }
}

async fn reloaded(config: &Value, change: impl FnOnce(&mut Value)) {
    let mut served = Served::start(config).await;
    let photo = otlp::photo(1, SIZE);
    let path = served.put(photo.clone()).await;
    let begun = begin(&served, &path).await;
    let mut next = config.clone();
    change(&mut next);
    served.slimspan.write(&next.to_string());
    served.slimspan.signal("HUP");
    served.slimspan.logs("reloaded the configuration").await;
    // The next one answers where the one before did.
    let again = served.artifacts.get(&path).await;
    assert_eq!(again.status, StatusCode::OK);
    assert!(begun.end().await == photo[..]);
    let ended = served.slimspan.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

#[tokio::test]
async fn who_reads_while_others_change_reads_to_the_end() {
    reloaded(&with_server(), |config| {
        config["processors"]["artifact"]["threshold"] = json!("9KiB");
    })
    .await;
}

#[tokio::test]
async fn who_reads_while_the_server_changes_has_time_to_end() {
    reloaded(&with_server(), |config| {
        config["extensions"]["artifact_server"]["max_requests_per_second"] = json!(999);
    })
    .await;
}

/// The folder of the spool belongs to the next one, also while somebody reads what the one before serves.
#[tokio::test]
async fn who_reads_keeps_no_folder_from_the_next_one() {
    let mut config = with_server();
    config["processors"]["artifact"]["delivery"] = json!("background");
    config["extensions"]["artifact_store"]["spool"] = json!({ "directory": "./spool" });
    reloaded(&config, |config| {
        config["processors"]["artifact"]["threshold"] = json!("9KiB");
    })
    .await;
}

#[tokio::test]
async fn who_reads_while_it_stops_reads_to_the_end() {
    let served = Served::start(&with_server()).await;
    let photo = otlp::photo(2, SIZE);
    let path = served.put(photo.clone()).await;
    let begun = begin(&served, &path).await;
    // A connection without a request is no reason to wait.
    let _idle = tokio::net::TcpStream::connect(served.pages.address)
        .await
        .unwrap();
    let address = served.artifacts.address;
    served.slimspan.signal("TERM");
    soon("nobody is let in any more", async {
        while tokio::net::TcpStream::connect(address).await.is_ok() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await;
    assert!(begun.end().await == photo[..]);
    let ended = served.slimspan.end().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(!ended.stderr.contains("were cut off"), "{}", ended.stderr);
}
