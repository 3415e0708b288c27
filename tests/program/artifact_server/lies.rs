//! Stores that do not tell the truth: nobody is given what they make of an artifact.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use slimspan_artifact::Digest;
use tokio::net::TcpListener;

use super::{Served, with_server};
use crate::support::config;

/// What is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lie {
    None,
    /// It says that there are so many bytes more.
    Longer(u64),
    /// It says that there are so many bytes less.
    Shorter(u64),
    /// Of every part one byte is another.
    OtherBytes,
    /// Of parts that do not begin at the beginning one byte is another.
    OtherEnd,
    /// Parts are shorter than what was asked for.
    Cut,
    /// Where a part is asked for, it is the one before.
    Shifted,
}

/// A bucket with one object under every name.
#[derive(Clone)]
struct Liar {
    object: Bytes,
    lie: Arc<Mutex<Lie>>,
}

impl Liar {
    async fn start(object: Bytes) -> (SocketAddr, Arc<Mutex<Lie>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let liar = Self {
            object,
            lie: Arc::new(Mutex::new(Lie::None)),
        };
        let lie = Arc::clone(&liar.lie);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let liar = liar.clone();
                let service = service_fn(move |request| {
                    let answer = liar.answer(&request);
                    async move { Ok::<_, Infallible>(answer) }
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(socket), service),
                );
            }
        });
        (address, lie)
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let lie = *self.lie.lock().unwrap();
        let real = self.object.len() as u64;
        let size = match lie {
            Lie::Longer(more) => real + more,
            Lie::Shorter(less) => real - less,
            _ => real,
        };
        let response = Response::builder()
            .header("etag", "\"etag\"")
            .header("last-modified", "Fri, 20 Nov 2026 12:00:00 GMT");
        if request.method() == Method::HEAD {
            let response = response.header("content-length", size.to_string());
            return response.body(Full::default()).unwrap();
        }
        let range = request.headers()["range"].to_str().unwrap();
        let (_, range) = range.split_once('=').unwrap();
        let (start, end) = range.split_once('-').unwrap();
        let (start, end): (u64, u64) = (start.parse().unwrap(), end.parse().unwrap());
        let shift = match lie {
            Lie::Shifted if start > 0 => 1,
            _ => 0,
        };
        let from = ((start - shift).min(real)) as usize;
        let to = (end + 1 - shift).min(real) as usize;
        let mut part = self.object[from..to.max(from)].to_vec();
        // What it does not have it makes up.
        part.resize((end + 1 - start) as usize, 0);
        match lie {
            Lie::OtherBytes => part[0] ^= 1,
            Lie::OtherEnd if start > 0 => *part.last_mut().unwrap() ^= 1,
            Lie::Cut => {
                part.pop();
            }
            _ => {}
        }
        let told = format!("bytes {start}-{end}/{size}");
        response
            .status(StatusCode::PARTIAL_CONTENT)
            .header("content-range", told)
            .body(Full::new(part.into()))
            .unwrap()
    }
}

fn object(size: usize) -> Bytes {
    (0..size).map(|at| (at % 251) as u8).collect()
}

#[tokio::test]
async fn no_lie_of_a_store_is_an_answer() {
    let lies = [
        Lie::Longer(1),
        Lie::Longer(1 << 20),
        Lie::Shorter(1),
        Lie::OtherBytes,
        Lie::OtherEnd,
        Lie::Cut,
        Lie::Shifted,
    ];
    for size in [5_000, (3 << 20) + 7, (9 << 20) + 7] {
        let object = object(size);
        let digest = Digest::of(&object);
        let (address, lie) = Liar::start(object.clone()).await;
        let of_s3 = config::with_s3(([127, 0, 0, 1], 9).into(), address);
        let mut config = with_server();
        config["extensions"]["artifact_store"] = of_s3["extensions"]["artifact_store"].clone();
        config["extensions"]["artifact_store"]["timeout"] = "20s".into();
        let path = format!("/artifacts/{digest}");
        // Before anybody knows it, and after it was right once.
        for is_known in [false, true] {
            for one in lies {
                if size < 1 << 20 && matches!(one, Lie::OtherEnd | Lie::Shifted) {
                    continue;
                }
                *lie.lock().unwrap() = Lie::None;
                let served = Served::start(&config).await;
                if is_known {
                    let answer = served.artifacts.get(&path).await;
                    assert!(answer.status == StatusCode::OK && answer.body == object);
                }
                *lie.lock().unwrap() = one;
                for range in ["", "bytes=0-", "bytes=-1", "bytes=4000-4500"] {
                    let client = if range.is_empty() {
                        served.artifacts.clone()
                    } else {
                        served.artifacts.with("range", range)
                    };
                    let Some(answer) = client.try_get(&path).await else {
                        continue;
                    };
                    if !answer.status.is_success() {
                        continue;
                    }
                    // A part that is right may be given, and nothing else.
                    let (of, is_part) = match range {
                        "bytes=4000-4500" => (&object[4000..=4500], true),
                        "bytes=-1" => (&object[size - 1..], true),
                        _ => (&object[..], false),
                    };
                    assert!(
                        is_part && answer.body == of,
                        "{size} {one:?} {range:?} {is_known}: {} bytes",
                        answer.body.len()
                    );
                }
            }
        }
    }
}
