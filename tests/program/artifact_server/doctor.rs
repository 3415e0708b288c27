//! `slimspan doctor` says what is wrong, and what to change.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};

use serde_json::{Value, json};

use super::with_server;
use crate::support::references::files;
use crate::support::refusing::Refusing;
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
    let mut config = public(&format!("http://{artifacts}"));
    // Of another store it has nothing.
    let (is_well, told) = doctor(&config).await;
    let part = "does not have what was just put here (HTTP 404): it reads from another store";
    let line = told.lines().find(|line| line.contains(part));
    let line = line.unwrap_or_else(|| panic!("{part}: {told}"));
    assert!(!is_well && line.starts_with("WRONG "), "{told}");
    config["extensions"]["artifact_store"]["url"] = json!(slimspan.artifacts());
    config["extensions"]["artifact_store"]["catalog"]["enabled"] = json!(true);
    let (is_well, told) = doctor(&config).await;
    assert!(is_well, "{told}");
    let left = files(&slimspan.artifacts());
    assert!(left.is_empty(), "{left:?}");
    for part in [
        "takes objects",
        "can be read",
        "can be listed",
        "can be deleted",
        "clock",
        "they can be put in parts",
        "default/sha256/: they can be deleted",
        "catalog/: they can be deleted",
        "an artifact_server answers",
        "what is put here can be read there",
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
    let nobody = Refusing::start();
    let page = answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    let bare = answering("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    let unknown = answering("HTTP/1.1 421 Misdirected Request\r\nContent-Length: 0\r\n\r\n");
    for (address, part) in [
        (nobody.address, "where nobody answers"),
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

/// Where people are sent has to be where pages are.
#[tokio::test]
async fn pages_that_nobody_comes_to_are_found() {
    let slimspan = Slimspan::start(&with_server()).await;
    let [artifacts, pages] = super::addresses(&slimspan);
    let nobody = Refusing::start();
    let other = answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
    let unknown = answering("HTTP/1.1 421 Misdirected Request\r\nContent-Length: 0\r\n\r\n");
    for (address, verdict, part) in [
        (pages, "ok ", "where the artifact_server answers"),
        (nobody.address, "WRONG ", "where nobody answers"),
        (artifacts, "WRONG ", "where files are, and no pages"),
        (
            other,
            "WRONG ",
            "where no artifact_server answers: HTTP 200",
        ),
        (unknown, "WRONG ", "add it to allowed_hosts"),
    ] {
        let mut config = public(&format!("http://{artifacts}"));
        config["extensions"]["artifact_store"]["url"] = json!(slimspan.artifacts());
        let server = &mut config["extensions"]["artifact_server"];
        server["pages"]["public_url"] = json!(format!("http://{address}"));
        let (is_well, told) = doctor(&config).await;
        let place =
            format!("extensions.artifact_server.pages: people are sent to http://{address}");
        let line = told.lines().find(|line| line.contains(&place));
        let line = line.unwrap_or_else(|| panic!("{part}: {told}"));
        assert!(line.starts_with(verdict) && line.contains(part), "{line}");
        assert_eq!(is_well, verdict == "ok ", "{told}");
    }
}

/// A bucket with these rules; everything else that is asked of it fails.
fn with_rules(rules: &'static str) -> Value {
    let address = bucket_with(rules);
    let mut config = crate::support::config::with_s3(address, address);
    config["extensions"]["artifact_store"]["refresh"] = json!("48h");
    config
}

fn bucket_with(rules: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            std::thread::spawn(move || answer_with(&mut stream, rules));
        }
    });
    address
}

/// A store that takes one object, gives it back, and knows its rules.
fn answer_with(stream: &mut std::net::TcpStream, rules: &str) {
    let mut request = Vec::new();
    let mut some = [0; 4096];
    // The bodies here are shorter than what one read gives.
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut some) {
            Ok(read) if read > 0 => request.extend_from_slice(&some[..read]),
            _ => return,
        }
    }
    let text = String::from_utf8_lossy(&request);
    let line = text.lines().next().unwrap().to_owned();
    let (status, body) = if line.starts_with("GET /media") && line.contains("lifecycle=") {
        rules.split_once(' ').unwrap()
    } else if line.starts_with("PUT ") {
        ("200", "")
    } else {
        ("404", "")
    };
    let answer = format!(
        "HTTP/1.1 {status} X\r\nETag: \"e\"\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let _ = stream.write_all(answer.as_bytes());
}

/// Azure needs no rule for them, Google does, and neither is asked what only S3 answers.
#[tokio::test]
async fn what_ends_unfinished_uploads_is_said_of_each_kind_of_store() {
    let address = bucket_with("501 <Error/>");
    let here = format!("http://{address}");
    let account = json!({
        "gcs_base_url": here,
        "disable_oauth": true,
        "client_email": "",
        "private_key": "",
        "private_key_id": "",
    });
    for (url, options, verdict, part) in [
        (
            "az://media/x",
            json!({
                "azure_endpoint": here,
                "azure_allow_http": "true",
                "azure_skip_signature": "true",
                "azure_storage_account_name": "account",
            }),
            "ok ",
            "Azure discards unfinished uploads after a week by itself",
        ),
        (
            "gs://media/x",
            json!({ "google_service_account_key": account.to_string(), "allow_http": "true" }),
            "advice ",
            "Google keeps and bills them until one does",
        ),
    ] {
        let mut config = crate::support::config::with_s3(address, address);
        let store = &mut config["extensions"]["artifact_store"];
        store["url"] = json!(url);
        store["timeout"] = json!("10s");
        store["options"] = options;
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("c.yaml"), config.to_string()).unwrap();
        let ended = run(folder.path(), &["doctor", "--config", "c.yaml"]).await;
        let lines = ended.stdout.lines();
        let told: Vec<_> = lines.filter(|line| line.contains("unfinished")).collect();
        let [line] = told[..] else {
            panic!("{url}: {ended:?}")
        };
        assert!(line.starts_with(verdict) && line.contains(part), "{line}");
        assert!(!line.contains("s3:"), "{line}");
    }
}

/// Nobody has to ask for it: what deletes files that references lead to is told at the start, and no other rule.
#[tokio::test]
async fn a_rule_that_deletes_too_early_is_told_at_the_start() {
    const RULES: &str = "200 <Rule><ID>late</ID><Filter/><Status>Enabled</Status>\
        <Expiration><Days>33</Days></Expiration></Rule>\
        <Rule><ID>elsewhere</ID><Filter><Prefix>y/</Prefix></Filter><Status>Enabled</Status>\
        <Expiration><Days>1</Days></Expiration></Rule>\
        <Rule><ID>early</ID><Filter/><Status>Enabled</Status>\
        <Expiration><Days>32</Days></Expiration></Rule>\
        <Rule><ID>too-early</ID><Filter/><Status>Enabled</Status>\
        <Expiration><Days>2</Days></Expiration></Rule>";
    for (retention, early, days) in [("0s", false, 3), ("720h", true, 33)] {
        let mut config = with_rules(RULES);
        config["extensions"]["artifact_store"]["catalog"] = json!({
            "enabled": false,
            "retention": { "max_age": retention, "grace": "72h" },
        });
        let mut slimspan = Slimspan::start(&config).await;
        // It is the last one.
        slimspan.logs("the rule \"too-early\" of the bucket").await;
        let log = slimspan.stop().await.stderr;
        let told = |rule: &str, after: u64| {
            log.contains(&format!(
                "extensions.artifact_store: the rule \"{rule}\" of the bucket deletes objects after \
                 {after} days, and with them files to which references lead: make it {days} days"
            ))
        };
        assert!(told("too-early", 2), "{log}");
        assert_eq!(told("early", 32), early, "{log}");
        assert!(
            !log.contains("\"late\"") && !log.contains("\"elsewhere\""),
            "{log}"
        );
    }
}

#[tokio::test]
async fn rules_of_a_bucket_are_looked_at() {
    const OLD: &str = "200 <Rule><ID>old</ID><Filter><Prefix></Prefix></Filter><Status>Enabled</Status>\
        <Expiration><Days>2</Days></Expiration></Rule>";
    for (rules, verdict, part) in [
        (
            "200 <LifecycleConfiguration/>",
            "ok ",
            "no rule of the bucket deletes objects",
        ),
        (
            "404 <Error><Code>NoSuchLifecycleConfiguration</Code></Error>",
            "advice ",
            "no rule of the bucket ends unfinished uploads",
        ),
        (
            OLD,
            "WRONG ",
            "\"old\" of the bucket deletes objects after 2 days: files that are still in use",
        ),
        (
            "403 <Error/>",
            "advice ",
            "that needs the permission s3:GetLifecycleConfiguration",
        ),
        (
            "501 <Error/>",
            "advice ",
            "rules of the bucket were not looked at: the store answers HTTP 501",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let config = with_rules(rules);
        std::fs::write(folder.path().join("c.yaml"), config.to_string()).unwrap();
        let ended = run(folder.path(), &["doctor", "--config", "c.yaml"]).await;
        let line = ended.stdout.lines().find(|line| line.contains(part));
        let line = line.unwrap_or_else(|| panic!("{part}: {ended:?}"));
        assert!(line.starts_with(verdict), "{line}");
        assert!(!ended.stdout.contains("X-Amz-Signature"), "{ended:?}");
    }
}
