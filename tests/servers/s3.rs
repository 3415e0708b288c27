//! An S3 server over a folder, for tests: `s3-server <folder> <port> <access key> <secret key> [tell]`.
//!
//! Buckets are folders. Says `listening on http://<address>` when it does; port 0 takes any. With `tell` it
//! also says the method and the path of each request that comes.

use std::error::Error;

use hyper::Request;
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use s3s_fs::FileSystem;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, port, access_key, secret_key, tell @ ..] = arguments.as_slice() else {
        return Err("usage: s3-server <folder> <port> <access key> <secret key> [tell]".into());
    };
    let tells = tell.first().is_some_and(|word| word == "tell");
    let files = FileSystem::new(folder).map_err(|error| format!("{error:?}"))?;
    let mut service = S3ServiceBuilder::new(files);
    service.set_auth(SimpleAuth::from_single(access_key, secret_key.as_str()));
    let service = service.build();
    let listener = TcpListener::bind(("127.0.0.1", port.parse()?)).await?;
    announce(&format!("listening on http://{}", listener.local_addr()?));
    loop {
        let (socket, _) = listener.accept().await?;
        let service = service.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            if tells {
                announce(&format!("{} {}", request.method(), request.uri().path()));
            }
            Service::call(&service, request)
        });
        tokio::spawn(async move {
            // A client that goes away is its own affair.
            let _ = Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(socket), service)
                .await;
        });
    }
}

#[expect(clippy::print_stdout, reason = "whoever starts this reads it there")]
fn announce(line: &str) {
    println!("{line}");
}
