//! `slimspan doctor` says what is wrong, and what to change.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};

use serde_json::{Value, json};

use super::with_server;
use crate::support::references::files;
use crate::support::slimspan::{Slimspan, run};

/// Somebody who answers the same to everybody.
fn answering(answer: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    address
}

/// What it says of a configuration, and whether that is all well.
async fn doctor(config: &Value) -> (bool, String) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("c.yaml"), config.to_string()).unwrap();
    let ended = run(folder.path(), &["doctor", "--config", "c.yaml"]).await;
    assert!(matches!(ended.code, Some(0 | 1)), "{ended:?}");
    let left = files(&folder.path().join("artifacts"));
    assert!(left.is_empty(), "{left:?}");
    (ended.code == Some(0), ended.stdout)
}

fn public(url: &str) -> Value {
    let mut config = with_server();
    config["extensions"]["artifact_store"]["public_url"] = json!(url);
    config
}

#[tokio::test]
async fn what_is_well_is_said_to_be() {
    let slimspan = Slimspan::start(&with_server()).await;
    let [artifacts, pages] = super::addresses(&slimspan);
    let (is_well, told) = doctor(&public(&format!("http://{artifacts}"))).await;
    assert!(is_well, "{told}");
    for part in [
        "takes objects",
        "can be read",
        "can be listed",
        "can be deleted",
        "clock",
        "an artifact_server answers",
    ] {
        let line = told.lines().find(|line| line.contains(part));
        let line = line.unwrap_or_else(|| panic!("{part}: {told}"));
        assert!(line.starts_with("ok "), "{line}");
    }
    // Pages are not where files are.
    let (is_well, told) = doctor(&public(&format!("http://{pages}"))).await;
    assert!(!is_well, "{told}");
}

#[tokio::test]
async fn references_that_lead_nowhere_are_found() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = free.local_addr().unwrap();
    drop(free);
    let page = answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    let bare = answering("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    let unknown = answering("HTTP/1.1 421 Misdirected Request\r\nContent-Length: 0\r\n\r\n");
    for (address, part) in [
        (nobody, "where nobody answers"),
        (page, "is no artifact_server: HTTP 200"),
        (bare, "a file could run in that origin"),
        (unknown, "add it to allowed_hosts"),
    ] {
        let (is_well, told) = doctor(&public(&format!("http://{address}"))).await;
        assert!(!is_well, "{told}");
        let line = told.lines().find(|line| line.contains(part));
        let line = line.unwrap_or_else(|| panic!("{part}: {told}"));
        assert!(line.starts_with("WRONG "), "{line}");
    }
    let (is_well, told) = doctor(&with_server()).await;
    assert!(
        is_well && told.contains("references lead into the store"),
        "{told}"
    );
}
