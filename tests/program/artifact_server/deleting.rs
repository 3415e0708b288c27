//! What is listed, and what is deleted, on every replica.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::{Method, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use serde_json::{Value, json};
use slimspan_artifact::Digest;
use slimspan_proto::Signal;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

use super::{Served, client::Client, with_catalog, with_server};
use crate::support::backend::Backend;
use crate::support::proxy::{Conditions, Proxy};
use crate::support::references::files;
use crate::support::{config, otlp, soon};

/// Two of them with one bucket and nothing else in common.
struct Replicas {
    both: [Served; 2],
    /// Where the artifacts of the bucket lie in the end.
    artifacts: PathBuf,
    _bucket: TempDir,
}

#[derive(Debug, Clone, Copy)]
enum Bucket {
    Folder,
    S3,
}

impl Replicas {
    async fn start(backend: &Backend, bucket: Bucket) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = with_server();
        config["exporters"]["otlp_grpc"] = config::exporter(backend.address);
        let prefix = match bucket {
            Bucket::Folder => {
                config["extensions"]["artifact_store"]["url"] = json!(folder.path());
                folder.path().to_owned()
            }
            Bucket::S3 => {
                std::fs::create_dir(folder.path().join("media")).unwrap();
                let address = s3_server(folder.path()).await;
                let of_s3 = config::with_s3(backend.address, address);
                config["extensions"]["artifact_store"] =
                    of_s3["extensions"]["artifact_store"].clone();
                config["extensions"]["artifact_store"]["timeout"] = json!("10s");
                folder.path().join("media/x")
            }
        };
        let store = &mut config["extensions"]["artifact_store"];
        store["public_url"] = json!("https://files.example.com");
        store["catalog"] = json!({ "directory": "./catalog", "interval": "50ms" });
        Self {
            both: [Served::start(&config).await, Served::start(&config).await],
            artifacts: prefix.join("default/sha256"),
            _bucket: folder,
        }
    }
}

/// A real S3 server over a folder, with the keys that the configuration has.
pub(super) async fn s3_server(folder: &Path) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    serve_s3(listener, folder);
    address
}

/// The same for those who connect to `listener`.
pub(super) fn serve_s3(listener: TcpListener, folder: &Path) {
    let files = s3s_fs::FileSystem::new(folder).unwrap();
    let mut service = S3ServiceBuilder::new(files);
    service.set_auth(SimpleAuth::from_single("access", "secret"));
    let service = service.build();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let service = service.clone();
            tokio::spawn(async move {
                let _ = Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(socket), service)
                    .await;
            });
        }
    });
}

async fn list(client: &Client, query: &str) -> Vec<Value> {
    let answer = client.get(&format!("/v1/artifacts{query}")).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    answer.json()["references"].as_array().unwrap().clone()
}

/// Waits until a replica lists so many.
async fn lists(client: &Client, query: &str, count: usize) -> Vec<Value> {
    soon("the catalog comes by", async {
        loop {
            let listed = list(client, query).await;
            if listed.len() == count {
                return listed;
            }
            sleep(Duration::from_millis(50)).await;
        }
    })
    .await
}

async fn answers(client: &Client, path: &str, status: StatusCode) -> String {
    soon("the deletion comes by", async {
        loop {
            let answer = client.get(path).await;
            if answer.status == status {
                return String::from_utf8_lossy(&answer.body).into_owned();
            }
            sleep(Duration::from_millis(50)).await;
        }
    })
    .await
}

#[tokio::test]
async fn in_a_folder_what_one_stores_the_other_lists_and_what_one_deletes_is_gone_on_both() {
    on_both(Bucket::Folder).await;
}

#[tokio::test]
async fn on_s3_what_one_stores_the_other_lists_and_what_one_deletes_is_gone_on_both() {
    on_both(Bucket::S3).await;
}

async fn on_both(bucket: Bucket) {
    let backend = Backend::start().await;
    let replicas = Replicas::start(&backend, bucket).await;
    let [one, other] = &replicas.both;
    let [first, second] = [1, 2].map(|seed| otlp::photo(seed, otlp::PHOTO));
    let sender = one.slimspan.sender().await;
    for (attribute, photo) in [("a", &first), ("b", &second), ("c", &second)] {
        let request = otlp::span([(attribute, otlp::data_uri(photo))]);
        sender.send(Signal::Traces, &request).await.unwrap();
    }
    let [of_first, of_second] = [&first, &second].map(|photo| Digest::of(photo).to_string());
    let listed = lists(&other.pages, "", 3).await;
    for reference in &listed {
        assert_eq!(reference["signal"], "traces");
        assert_eq!(reference["state"], "stored");
        let uri = reference["uri"].as_str().unwrap();
        assert!(uri.contains(reference["sha256"].as_str().unwrap()), "{uri}");
    }
    let of_one = format!("?sha256={of_second}");
    assert_eq!(list(&other.pages, &of_one).await.len(), 2);
    assert_eq!(list(&other.pages, "?content_type=image/*").await.len(), 3);
    assert_eq!(list(&other.pages, "?content_type=audio/*").await.len(), 0);
    assert_eq!(list(&other.pages, "?min_size=10000000").await.len(), 0);
    assert_eq!(
        list(&other.pages, "?since=2999-01-01T00:00:00Z")
            .await
            .len(),
        0
    );
    // Page by page it is the same list.
    let mut pages = Vec::new();
    let mut cursor = String::new();
    loop {
        let answer = other
            .pages
            .get(&format!("/v1/artifacts?limit=2{cursor}"))
            .await
            .json();
        pages.extend(answer["references"].as_array().unwrap().clone());
        match answer["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(pages, listed);
    for wrong in [
        "?limit=x",
        "?since=yesterday",
        "?sha256=abc",
        "?cursor=x",
        "?trace_id=1",
    ] {
        let answer = other.pages.get(&format!("/v1/artifacts{wrong}")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
    let info = other
        .pages
        .get(&format!("/v1/artifacts/{of_second}"))
        .await
        .json();
    assert_eq!(info["size_bytes"], second.len());
    assert_eq!(info["places"]["references"].as_array().unwrap().len(), 2);

    let path = format!("/artifacts/{of_second}");
    assert_eq!(other.artifacts.get(&path).await.body, second);
    let delete = format!("/v1/artifacts/{of_second}?reason=a%20person%20asked");
    let answer = other.pages.ask(Method::DELETE, &delete, "").await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    assert_eq!(answer.json()["artifacts"], 1);
    assert_eq!(answer.json()["absent"], 0);
    for replica in [other, one] {
        let told = answers(&replica.artifacts, &path, StatusCode::GONE).await;
        assert!(told.contains("a person asked"), "{told}");
        let of_api = format!("/v1/artifacts/{of_second}");
        let told = replica.pages.get(&of_api).await;
        assert_eq!(told.status, StatusCode::GONE);
        lists(&replica.pages, "", 1).await;
        let kept = replica
            .artifacts
            .get(&format!("/artifacts/{of_first}"))
            .await;
        assert_eq!(kept.body, first);
    }
    assert_eq!(files(&replicas.artifacts).len(), 1);
    // What is gone already is told from what goes.
    let again = other.pages.ask(Method::DELETE, &delete, "").await.json();
    assert_eq!(
        (&again["artifacts"], &again["absent"]),
        (&json!(0), &json!(1)),
        "{again}"
    );
    // It may come again, and is there again, as soon as who takes it knows that it was deleted.
    soon("it is there again", async {
        loop {
            let request = otlp::span_with(&second);
            sender.send(Signal::Traces, &request).await.unwrap();
            if one.artifacts.get(&path).await.status == StatusCode::OK {
                return;
            }
            sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
    answers(&other.artifacts, &path, StatusCode::OK).await;

    let trace = list(&one.pages, &format!("?sha256={of_first}")).await;
    let trace = trace[0]["trace_id"].as_str().unwrap();
    let of_trace = list(&one.pages, &format!("?trace_id={trace}")).await;
    assert!(!of_trace.is_empty());
    let everything = one
        .pages
        .ask(
            Method::DELETE,
            "/v1/tenants/default?reason=the%20customer%20left",
            "",
        )
        .await;
    assert_eq!(everything.status, StatusCode::OK, "{everything:?}");
    assert_eq!(files(&replicas.artifacts).len(), 0);
    for replica in [one, other] {
        lists(&replica.pages, "", 0).await;
        // Whatever was said of one of them before.
        for digest in [&of_first, &of_second] {
            for (client, path) in [
                (&replica.artifacts, format!("/artifacts/{digest}")),
                (&replica.pages, format!("/v1/artifacts/{digest}")),
            ] {
                let told = answers(client, &path, StatusCode::GONE).await;
                assert!(told.contains("the customer left"), "{path}: {told}");
            }
        }
    }
}

#[tokio::test]
async fn what_is_put_by_itself_is_listed_with_its_name() {
    let backend = Backend::start().await;
    let replicas = Replicas::start(&backend, Bucket::Folder).await;
    let [one, other] = &replicas.both;
    let photo = otlp::photo(3, otlp::PHOTO);
    let digest = Digest::of(&photo);
    let path = format!("/v1/artifacts/{digest}/blob?filename=a%20b.png");
    let answer = one.pages.ask(Method::PUT, &path, photo).await;
    assert_eq!(answer.status, StatusCode::CREATED);
    for replica in [one, other] {
        let listed = lists(&replica.pages, "", 1).await;
        assert_eq!(listed[0]["filename"], "a b.png");
        assert!(listed[0]["signal"].is_null());
        assert_eq!(listed[0]["sha256"], digest.to_string());
    }
}

/// What has begun to be deleted is, also where who asked for it has gone away meanwhile.
#[tokio::test]
async fn a_deletion_outlives_who_asked_for_it() {
    let backend = Backend::start().await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("media")).unwrap();
    let network = Proxy::start(s3_server(folder.path()).await).await;
    let mut config = with_server();
    config["exporters"]["otlp_grpc"] = config::exporter(backend.address);
    let of_s3 = config::with_s3(backend.address, network.address);
    let store = of_s3["extensions"]["artifact_store"].clone();
    config["extensions"]["artifact_store"] = store;
    let store = &mut config["extensions"]["artifact_store"];
    store["timeout"] = json!("30s");
    store["public_url"] = json!("https://files.example.com");
    store["catalog"] = json!({ "directory": "./catalog", "interval": "50ms" });
    config["extensions"]["artifact_server"]["audit_log"] = json!("./audit.jsonl");
    let served = Served::start(&config).await;
    let sender = served.slimspan.sender().await;
    let request = otlp::span_with(otlp::PICTURE);
    sender.send(Signal::Traces, &request).await.unwrap();
    lists(&served.pages, "", 1).await;
    let artifacts = folder.path().join("media/x/default/sha256");
    assert_eq!(files(&artifacts).len(), 1);

    network.set(Conditions {
        silent: true,
        ..Conditions::default()
    });
    let digest = Digest::of(otlp::PICTURE);
    let ask = format!("DELETE /v1/artifacts/{digest} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    let mut client = TcpStream::connect(served.pages.address).await.unwrap();
    client.write_all(ask.as_bytes()).await.unwrap();
    let audit = served.slimspan.folder().join("audit.jsonl");
    let written = async {
        // It is written down immediately before it begins.
        while !std::fs::read_to_string(&audit).is_ok_and(|told| told.contains(&digest.to_string()))
        {
            sleep(Duration::from_millis(10)).await;
        }
    };
    soon("it is written down", written).await;
    drop(client);
    // So that it is known there.
    sleep(Duration::from_millis(500)).await;
    assert_eq!(files(&artifacts).len(), 1);
    network.set(Conditions::default());
    let gone = async {
        while !files(&artifacts).is_empty() {
            sleep(Duration::from_millis(50)).await;
        }
    };
    soon("it is gone", gone).await;
}

/// While nobody can say that something was deleted, nobody says that it never was there: who is told to come back is
/// told the truth then.
#[tokio::test]
async fn what_may_have_been_deleted_is_told_later() {
    let served = Served::start(&with_catalog()).await;
    let path = served.put("some text").await;
    let in_api = format!("/v1/artifacts/{}", Digest::of(b"some text"));
    let deleted = served.pages.ask(Method::DELETE, &in_api, "").await;
    assert_eq!(deleted.status, StatusCode::OK, "{deleted:?}");
    let both = [(&served.artifacts, &path), (&served.pages, &in_api)];
    for (client, path) in both {
        let answer = client.get(path).await;
        assert_eq!(answer.status, StatusCode::GONE, "{answer:?}");
    }
    let index = served.index();
    let is_told_later = async |(client, path): (&Client, &String)| {
        let answer = client.get(path).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
        assert!(answer.headers.contains_key("retry-after"), "{answer:?}");
    };
    index.execute_batch("DROP TABLE tombstone").unwrap();
    for one in both {
        is_told_later(one).await;
    }
    // Who asks first hears nothing, and gives up after a second; who asks why it is not there hears of a failure. What
    // time it is does not change while a statement runs.
    let until = jiff::Timestamp::now().as_millisecond() as f64 / 1000.0 + 1.0;
    let fails = "abs(-9223372036854775807 - n)";
    let columns = ["id", "time", "tenant", "digest", "trace", "reason", "hides"];
    let columns = columns.map(|column| format!("{fails} AS {column}"));
    let silent = format!(
        "CREATE VIEW tombstone AS WITH RECURSIVE counted (number) AS \
         (SELECT 1 UNION ALL SELECT number + 1 FROM counted WHERE unixepoch('now', 'subsec') < {until:.3}) \
         SELECT {} FROM (SELECT count(*) AS n FROM counted LIMIT 1)",
        columns.join(", ")
    );
    index.execute_batch(&silent).unwrap();
    let [first, second] = both;
    tokio::join!(is_told_later(first), is_told_later(second));
}
