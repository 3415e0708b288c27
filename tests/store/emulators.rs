//! Servers that speak a cloud's protocol. The bucket is always called `media`.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::backend::{Backend, Kind, Process};

/// S3 by s3s-fs, which checks signatures, keeps buckets as folders and makes them when needed.
pub(super) fn s3(server: PathBuf) -> Backend {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().to_owned();
    std::fs::create_dir(root.join("media")).unwrap();
    let mut process = Process::start(
        move |port| {
            let mut command = Command::new(&server);
            let port = port.to_string();
            command.arg(&root).args([&port, "access", "secret"]);
            command
        },
        |_| (),
    );
    process.checks_buckets = false;
    Backend {
        name: "s3 by s3s-fs",
        url: "s3://media".to_owned(),
        options: s3_options(process.address),
        kind: Kind::Bucket,
        process: Some(process),
        _folder: Some(folder),
    }
}

/// S3 by moto, which believes every signature and forgets everything when it ends.
pub(super) fn moto(server: PathBuf) -> Backend {
    let mut process = Process::start(
        move |port| {
            let mut command = Command::new(&server);
            command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
            // Python holds back what it prints into a pipe.
            command.env("PYTHONUNBUFFERED", "1");
            command
        },
        |address| request(address, "PUT /media", &[]),
    );
    process.remembers = false;
    process.checks_keys = false;
    Backend {
        name: "s3 by moto",
        url: "s3://media".to_owned(),
        options: s3_options(process.address),
        kind: Kind::Bucket,
        process: Some(process),
        _folder: None,
    }
}

fn s3_options(address: SocketAddr) -> Vec<(&'static str, String)> {
    vec![
        ("endpoint", format!("http://{address}")),
        ("allow_http", "true".to_owned()),
        ("access_key_id", "access".to_owned()),
        ("secret_access_key", "secret".to_owned()),
        ("region", "us-east-1".to_owned()),
    ]
}

/// The account that every Azurite has, published by its makers.
const ACCOUNT: &str = "devstoreaccount1";
const ACCOUNT_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// Azure Blob Storage by Azurite, which checks signatures. It writes its index down every few
/// seconds, so a killed one forgets what it answered for last.
pub(super) fn azurite(server: PathBuf) -> Backend {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().to_owned();
    let mut process = Process::start(
        move |port| {
            let mut command = Command::new(&server);
            command.args(["--blobHost", "127.0.0.1", "--blobPort", &port.to_string()]);
            command.arg("--location").arg(&root);
            command.args(["--skipApiVersionCheck", "--disableTelemetry"]);
            command
        },
        make_container,
    );
    process.remembers = false;
    let endpoint = format!("http://{}/{ACCOUNT}", process.address);
    Backend {
        name: "azure by azurite",
        url: "az://media".to_owned(),
        options: vec![
            ("endpoint", endpoint),
            ("allow_http", "true".to_owned()),
            ("account_name", ACCOUNT.to_owned()),
            ("access_key", ACCOUNT_KEY.to_owned()),
        ],
        kind: Kind::Bucket,
        process: Some(process),
        _folder: Some(folder),
    }
}

fn make_container(address: SocketAddr) {
    let date = "Fri, 20 Nov 2026 12:00:00 GMT";
    let version = "2023-11-03";
    // The twelve standard headers are all absent or empty; the account stands twice because it
    // is also part of an emulator's path.
    let to_sign = format!(
        "PUT{}x-ms-date:{date}\nx-ms-version:{version}\n/{ACCOUNT}/{ACCOUNT}/media\nrestype:container",
        "\n".repeat(12)
    );
    let key = STANDARD.decode(ACCOUNT_KEY).unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    mac.update(to_sign.as_bytes());
    let signature = STANDARD.encode(mac.finalize().into_bytes());
    request(
        address,
        &format!("PUT /{ACCOUNT}/media?restype=container"),
        &[
            ("x-ms-date", date),
            ("x-ms-version", version),
            ("authorization", &format!("SharedKey {ACCOUNT}:{signature}")),
        ],
    );
}

/// Sends a request without a body. What the request makes may already be there.
fn request(address: SocketAddr, target: &str, headers: &[(&str, &str)]) {
    let mut connection = TcpStream::connect(address).unwrap();
    let mut head = format!("{target} HTTP/1.1\r\nhost: {address}\r\ncontent-length: 0\r\n");
    for (name, value) in headers {
        write!(head, "{name}: {value}\r\n").unwrap();
    }
    head += "connection: close\r\n\r\n";
    connection.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap_or_default();
    assert!(["200", "201", "409"].contains(&status), "{answer}");
}
