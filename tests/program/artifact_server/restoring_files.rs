//! The files that a request to restore asks for: what one may have looked for, how that is done, and what is
//! written down of it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::join_all;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use slimspan::compression::Compression;
use slimspan_artifact::Digest;
use tokio::net::TcpListener;
use tokio::sync::{Barrier, watch};

use super::{Served, with_server, with_tenants};
use crate::support::http::HttpAnswer;
use crate::support::{config, otlp, soon};

/// Files that a request may refer to.
const FILES: usize = 10_000;

/// Files that are asked for at a time.
const AT_A_TIME: usize = 16;

fn with_url() -> Value {
    let mut config = with_server();
    let server = &mut config["extensions"]["artifact_server"];
    server["public_url"] = json!("https://files.example.com");
    server["open_to_everybody"] = json!(true);
    config
}

/// A request that refers to these, one behind the other.
fn request(digests: impl IntoIterator<Item = Digest>) -> Bytes {
    let uri = |digest| format!("https://files.example.com/artifacts/{digest}.png ");
    let text: String = digests.into_iter().map(uri).collect();
    otlp::span([("a", otlp::text(text))])
}

/// Digests of nothing that there is.
fn made_up(count: usize) -> impl Iterator<Item = Digest> + Clone {
    (0..count).map(|number| Digest::of(&number.to_le_bytes()))
}

async fn restore(served: &Served, request: Bytes) -> HttpAnswer {
    let client = (served.pages).with("content-type", "application/x-protobuf");
    client
        .ask(Method::POST, "/v1/restore/traces", request)
        .await
}

#[tokio::test]
async fn a_request_that_refers_to_too_many_files_is_refused() {
    let served = Served::start(&with_url()).await;
    let answer = restore(&served, request(made_up(FILES + 1))).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    let told = answer.json()["error"].to_string();
    assert!(told.contains("more than 10000 files"), "{told}");
    // However often it refers to them.
    let few = request(made_up(10).cycle().take(FILES + 1));
    let answer = restore(&served, few.clone()).await;
    assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.headers);
    let left = (FILES + 1).to_string();
    assert_eq!(answer.headers["slimspan-references-left"], left.as_str());
    assert!(answer.body == few);
}

/// Each of them takes several times its length while it is looked for, also where it is always the same.
#[tokio::test]
async fn references_that_take_too_much_memory_are_refused() {
    let served = Served::start(&with_url()).await;
    // Some 22 MiB of references, of which gzip makes next to nothing.
    let many = request(made_up(1).cycle().take(200_000));
    let client = (served.pages).with("content-type", "application/x-protobuf");
    let client = client.with("content-encoding", "gzip");
    let body = Compression::Gzip.compress(&many).unwrap();
    let answer = client.ask(Method::POST, "/v1/restore/traces", body).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE, "{answer:?}");
    let told = answer.json()["error"].to_string();
    assert!(told.contains("memory_limiter.limit_mib"), "{told}");
    assert!(told.contains("slimspan restore"), "{told}");
}

/// A digest that somebody made up tells nothing of who read what.
#[tokio::test]
async fn what_was_given_back_is_written_down_and_nothing_else() {
    let mut config = with_url();
    config["extensions"]["artifact_server"]["audit_log"] = json!("./audit.jsonl");
    let served = Served::start(&config).await;
    let log = served.slimspan.folder().join("audit.jsonl");
    let answer = restore(&served, request(made_up(3))).await;
    assert_eq!(answer.headers["slimspan-references-left"], "3");
    assert!(!log.exists());

    let photos = [1, 2].map(|seed| Bytes::from(otlp::photo(seed, 20_000)));
    let mut expected = Vec::new();
    for photo in &photos {
        served.put(photo.clone()).await;
        expected.push(Digest::of(photo).to_string());
    }
    expected.sort();
    let there = photos.iter().map(|photo| Digest::of(photo));
    let answer = restore(&served, request(made_up(3).chain(there))).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    assert_eq!(answer.headers["slimspan-references-left"], "3");
    let text = std::fs::read_to_string(&log).unwrap();
    let mut told = Vec::new();
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["action"], "restore");
        assert_eq!(line["status"], 200);
        assert_eq!(line["tenant"], "default");
        told.push(line["sha256"].as_str().unwrap().to_owned());
    }
    told.sort();
    assert_eq!(told, expected);

    // What cannot be written down is not given.
    std::fs::remove_file(&log).unwrap();
    std::fs::create_dir(&log).unwrap();
    let there = photos.iter().map(|photo| Digest::of(photo));
    let answer = restore(&served, request(there)).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
}

/// A bucket with nothing in it, which says so of a file when what `held` gives for its path has come to its end.
async fn empty_bucket<F>(held: impl Fn(String) -> F + Clone + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let held = held.clone();
            let service = service_fn(move |request: Request<Incoming>| {
                let path = request.uri().path().to_owned();
                let is_file = path.contains("/sha256/") && request.method() == Method::HEAD;
                let held = is_file.then(|| held(path));
                async move {
                    if let Some(held) = held {
                        held.await;
                    }
                    let nothing = Response::builder().status(StatusCode::NOT_FOUND);
                    Ok::<_, Infallible>(nothing.body(Full::<Bytes>::default()).unwrap())
                }
            });
            tokio::spawn(
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(socket), service),
            );
        }
    });
    address
}

/// One whose store is the bucket at `bucket`.
async fn of_bucket(mut config: Value, bucket: SocketAddr) -> Served {
    let of_s3 = config::with_s3(([127, 0, 0, 1], 9).into(), bucket);
    config["extensions"]["artifact_store"] = of_s3["extensions"]["artifact_store"].clone();
    config["extensions"]["artifact_store"]["timeout"] = json!("5m");
    Served::start(&config).await
}

/// One whose bucket answers when it is asked by as many as are waited for.
async fn of_patient_bucket() -> Served {
    let all = Arc::new(Barrier::new(AT_A_TIME));
    let held = move |_| {
        let all = Arc::clone(&all);
        async move {
            all.wait().await;
        }
    };
    of_bucket(with_url(), empty_bucket(held).await).await
}

/// A store that is far away takes its time for each.
#[tokio::test]
async fn several_files_are_looked_for_at_a_time() {
    let served = of_patient_bucket().await;
    let slim = request(made_up(2 * AT_A_TIME));
    let answer = restore(&served, slim.clone()).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let left = (2 * AT_A_TIME).to_string();
    assert_eq!(answer.headers["slimspan-references-left"], left.as_str());
    assert_eq!(answer.body, slim);
}

/// Neither is answered before the files of both are looked for.
#[tokio::test]
async fn who_waits_for_what_the_store_knows_has_no_turn() {
    let served = of_patient_bucket().await;
    let most = request(made_up(AT_A_TIME - 1));
    let last = request(made_up(AT_A_TIME).skip(AT_A_TIME - 1));
    let both = [most, last].map(|slim| restore(&served, slim));
    for answer in join_all(both).await {
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    }
}

async fn restore_for(served: &Served, tenant: &str, digests: &[Digest]) -> HttpAnswer {
    let uri = |digest| format!("https://files.example.com/{tenant}/artifacts/{digest}.png ");
    let text: String = digests.iter().map(uri).collect();
    let client = served.pages.bearer(&format!("token-of-{tenant}"));
    let client = client.with("content-type", "application/x-protobuf");
    let slim = otlp::span([("a", otlp::text(text))]);
    client.ask(Method::POST, "/v1/restore/traces", slim).await
}

/// How many files a bucket is asked for.
#[derive(Debug, Clone, Copy, Default)]
struct Asked {
    now: usize,
    most: usize,
}

/// Each request may ask for many files, and there may be many requests.
#[tokio::test]
async fn what_all_requests_ask_the_store_for_at_a_time_is_limited() {
    const REQUESTS: usize = 20;
    // Four of one tenant are looked for at a time.
    const OF_ONE: usize = 4 * AT_A_TIME;
    let asked = Arc::new(watch::Sender::new(Asked::default()));
    let may_go = Arc::new(watch::Sender::new(false));
    let (counting, going) = (Arc::clone(&asked), Arc::clone(&may_go));
    let held = move |path: String| {
        let (asked, mut may_go) = (Arc::clone(&counting), going.subscribe());
        async move {
            if path.contains("/beta/") {
                return;
            }
            asked.send_modify(|asked| {
                asked.now += 1;
                asked.most = asked.most.max(asked.now);
            });
            let _ = may_go.wait_for(|may_go| *may_go).await;
            asked.send_modify(|asked| asked.now -= 1);
        }
    };
    let mut config = with_tenants();
    config["extensions"]["artifact_server"]["public_url"] = json!("https://files.example.com");
    let served = of_bucket(config, empty_bucket(held).await).await;
    let digests: Vec<Digest> = made_up(REQUESTS * AT_A_TIME).collect();
    let of_acme = digests.chunks(AT_A_TIME);
    let of_acme = join_all(of_acme.map(|digests| restore_for(&served, "acme", digests)));
    let others = async {
        let mut asked = asked.subscribe();
        let all = asked.wait_for(|asked| asked.now >= OF_ONE);
        soon("as many are asked for as may be", all).await.unwrap();
        // One who has that many on the way leaves others theirs.
        let answer = restore_for(&served, "beta", &digests[..1]).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        assert_eq!(answer.headers["slimspan-references-left"], "1");
        may_go.send_replace(true);
    };
    let (of_acme, ()) = tokio::join!(of_acme, others);
    for answer in of_acme {
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        let left = &answer.headers["slimspan-references-left"];
        assert_eq!(left, AT_A_TIME.to_string().as_str());
    }
    assert_eq!(asked.borrow().most, OF_ONE);
}
