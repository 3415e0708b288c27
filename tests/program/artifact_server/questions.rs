//! Places at the API and the pages: what one takes of them is not the others'.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::future::join_all;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use slimspan_artifact::Digest;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::client::{Announced, Client};
use super::{Served, with_tenants};
use crate::support::http::HttpAnswer;
use crate::support::{config, soon};

/// Requests that are answered at a time, of which one may have half.
const PLACES: usize = 32;

/// A file of which the bucket tells at once that it is not there.
const OTHER: usize = 1000;

/// A bucket with nothing in it, which says so when it may, and of [`OTHER`] at once.
struct SlowBucket {
    address: SocketAddr,
    /// How often it was asked.
    asked: Arc<Semaphore>,
    /// How often it may answer.
    answers: Arc<Semaphore>,
}

impl SlowBucket {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let [asked, answers] = [0, 0].map(|none| Arc::new(Semaphore::new(none)));
        let bucket = Self {
            address,
            asked: Arc::clone(&asked),
            answers: Arc::clone(&answers),
        };
        let other = digest(OTHER).to_string();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (asked, answers) = (Arc::clone(&asked), Arc::clone(&answers));
                let other = other.clone();
                let service = service_fn(move |request: Request<Incoming>| {
                    let (asked, answers) = (Arc::clone(&asked), Arc::clone(&answers));
                    let path = request.uri().path();
                    let is_held = path.contains("/sha256/") && !path.ends_with(&other);
                    async move {
                        if is_held {
                            asked.add_permits(1);
                            answers.acquire().await.unwrap().forget();
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
        bucket
    }

    /// Waits until it was asked so often.
    async fn asked(&self, times: usize) {
        let asked = self.asked.acquire_many(times.try_into().unwrap());
        soon("the bucket is asked", asked).await.unwrap().forget();
    }

    /// Lets it answer everybody from now on.
    fn answer(&self) {
        self.answers.add_permits(1000);
    }
}

fn with_bucket(bucket: &SlowBucket) -> Value {
    let mut config = with_tenants();
    let of_s3 = config::with_s3(([127, 0, 0, 1], 9).into(), bucket.address);
    config["extensions"]["artifact_store"] = of_s3["extensions"]["artifact_store"].clone();
    config["extensions"]["artifact_store"]["timeout"] = json!("5m");
    let server = &mut config["extensions"]["artifact_server"];
    server["public_url"] = json!("https://files.example.com");
    config
}

/// Another one for each number.
fn digest(number: usize) -> Digest {
    Digest::of(&number.to_le_bytes())
}

/// What says that there is such a file.
fn claim(number: usize) -> String {
    json!({ "sha256": digest(number).to_string(), "size_bytes": 8 }).to_string()
}

async fn register(client: &Client, number: usize) -> HttpAnswer {
    let claim = claim(number);
    client.ask(Method::POST, "/v1/artifacts", claim).await
}

#[tokio::test]
async fn one_who_asks_for_much_leaves_the_others_their_places() {
    let bucket = SlowBucket::start().await;
    let served = Served::start(&with_bucket(&bucket)).await;
    let [acme, beta] =
        ["acme", "beta"].map(|name| served.pages.bearer(&format!("token-of-{name}")));
    // Each has a place while it is waited for.
    let asking: Vec<_> = (0..PLACES / 2)
        .map(|number| {
            let acme = acme.clone();
            tokio::spawn(async move { register(&acme, number).await })
        })
        .collect();
    bucket.asked(PLACES / 2).await;

    let person = STANDARD.encode("anybody:token-of-acme");
    let person = served
        .pages
        .with("authorization", format!("Basic {person}"));
    let (one_more, page, others) = tokio::join!(
        register(&acme, OTHER),
        person.get("/"),
        register(&beta, OTHER)
    );
    assert_eq!(others.status, StatusCode::CREATED, "{others:?}");
    for refused in [&one_more, &page] {
        let status = refused.status;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{refused:?}");
        assert_eq!(refused.headers["retry-after"], "1");
    }
    let told = one_more.json()["error"].to_string();
    assert!(told.contains("all places are taken that one"), "{told}");

    // What was taken is given back.
    bucket.answer();
    for one in asking {
        let answer = soon("an answer comes", one).await.unwrap();
        assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
    }
    let again = register(&acme, OTHER).await;
    assert_eq!(again.status, StatusCode::CREATED, "{again:?}");
}

/// What has not come yet has no place.
#[tokio::test]
async fn who_describes_files_slowly_takes_no_places() {
    let bucket = SlowBucket::start().await;
    bucket.answer();
    let served = Served::start(&with_bucket(&bucket)).await;
    let acme = served.pages.bearer("token-of-acme");
    let claims: Vec<_> = (0..PLACES).map(claim).collect();
    let announcing = claims
        .iter()
        .map(|claim| acme.announce(Method::POST, "/v1/artifacts", claim.len()));
    let mut announced = join_all(announcing).await;
    let told = join_all(announced.iter_mut().map(Announced::is_wanted)).await;
    assert!(told.iter().all(|is_wanted| *is_wanted), "{told:?}");
    let other = register(&acme, OTHER).await;
    assert_eq!(other.status, StatusCode::CREATED, "{other:?}");
}
