//! Arguments, exit codes, and what is said where.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::json;
use slimspan_artifact::Digest;
use slimspan_proto::Signal;
use tokio::net::TcpListener;

use crate::support::backend::Backend;
use crate::support::slimspan::{Ended, Slimspan, run};
use crate::support::{config, otlp, soon};

const SHIPPED: &str = include_str!("../../collector.yaml");

async fn run_with(yaml: &str, arguments: &[&str]) -> Ended {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("collector.yaml"), yaml).unwrap();
    run(folder.path(), arguments).await
}

/// `validate` says whether a configuration would run, and where it would not.
#[tokio::test]
async fn validate_tells_right_from_wrong() {
    let validate = ["validate", "--config", "collector.yaml"];
    let ended = run_with(SHIPPED, &validate).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("collector.yaml: valid"), "{ended:?}");
    assert_eq!(ended.stderr, "");
    let told = "artifact: moves files of 8.0 KiB and more, native references\n";
    assert!(ended.stdout.contains(told), "{ended:?}");
    let told = "artifact_store: references lead to http://127.0.0.1:4319\n";
    assert!(ended.stdout.contains(told), "{ended:?}");

    let readable = SHIPPED.replacen(
        "public_url: null",
        "public_url: https://files.example.com/",
        1,
    );
    let ended = run_with(&readable, &validate).await;
    let told = "references lead to https://files.example.com\n";
    assert!(ended.stdout.contains(told), "{ended:?}");

    let nowhere = SHIPPED.replace("url: ./data/artifacts", "url: ftp://host/artifacts");
    let ended = run_with(&nowhere, &validate).await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert_eq!(ended.stdout, "");
    let told =
        "collector.yaml: extensions.artifact_store.url: \"ftp://host/artifacts\" cannot be used";
    assert!(ended.stderr.starts_with(told), "{ended:?}");

    let wrong = SHIPPED.replace("threshold: 8KiB", "threshold: much");
    let line = wrong
        .lines()
        .position(|line| line.contains("much"))
        .unwrap()
        + 1;
    let ended = run_with(&wrong, &validate).await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert_eq!(ended.stdout, "");
    let place = format!("collector.yaml:{line}");
    assert!(ended.stderr.contains(&place), "{ended:?}");
    assert!(
        ended.stderr.contains("processors.artifact.threshold"),
        "{ended:?}"
    );

    let ended = run(Path::new("/"), &["validate", "--config", "/no/such/file"]).await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("/no/such/file"), "{ended:?}");
}

/// The arguments of a Collector's container can stay as they are.
#[tokio::test]
async fn feature_gates_are_taken_and_told_to_do_nothing() {
    for (gates, told) in [
        (&["--feature-gates=a.b,-c"][..], &["a.b,-c"][..]),
        (&["--feature-gates", "-a.b"], &["-a.b"]),
        (&["--feature-gates=+a", "--feature-gates=b"], &["+a", "b"]),
    ] {
        let validate = ["validate", "--config", "collector.yaml"];
        let ended = run_with(SHIPPED, &[&validate[..], gates].concat()).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let told = told.iter().map(|gates| {
            format!(
                "warning: --feature-gates {gates}: does nothing here: there are no such gates\n"
            )
        });
        assert_eq!(ended.stderr, told.collect::<String>());
    }
}

/// The debug exporter prints to all of its places, and to no other.
#[tokio::test]
async fn what_arrives_is_printed_where_it_is_told_to() {
    let backend = Backend::start().await;
    let mut config = config::standard(backend.address);
    config["exporters"]["debug"] = json!({ "output_paths": ["shown.txt", "stderr"] });
    config["service"]["pipelines"]["traces"]["exporters"] = json!(["otlp_grpc", "debug"]);
    let mut slimspan = Slimspan::start(&config).await;
    let file = slimspan.folder().join("shown.txt");
    let sender = slimspan.sender().await;
    let span = otlp::plain_span(1);
    sender.send(Signal::Traces, &span).await.unwrap();
    let shown = soon("it is printed", async {
        loop {
            let shown = std::fs::read_to_string(&file).unwrap();
            if shown.ends_with('\n') {
                return shown;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(shown.starts_with("traces"), "{shown}");
    slimspan.logs(&shown).await;
    let ended = slimspan.stop().await;
    assert!(!ended.stdout.contains(&shown), "{ended:?}");

    config["exporters"]["debug"] = json!({ "output_paths": ["/no/such/folder/shown.txt"] });
    let ended = run_with(&config.to_string(), &["--config", "collector.yaml"]).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let told = "exporters.debug.output_paths: cannot write to /no/such/folder/shown.txt: ";
    assert!(ended.stderr.contains(told), "{ended:?}");
}

/// Who asks which gates there are gets the table that the Collector prints, with nothing in it.
#[tokio::test]
async fn no_feature_gate_is_listed() {
    let ended = run(Path::new("/"), &["featuregate"]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.stdout, "ID  Enabled  Stage  Description\n");
    let ended = run(Path::new("/"), &["featuregate", "a.b"]).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert_eq!(ended.stdout, "");
    let told = "feature \"a.b\" not found: there are no such gates\n";
    assert_eq!(ended.stderr, told);
}

/// A mistake is found before anything is started: not even a port that is taken is noticed.
#[tokio::test]
async fn a_wrong_configuration_binds_nothing() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let yaml = SHIPPED
        .replace("127.0.0.1:4317", &address)
        .replace("on_store_failure: forward", "on_store_failure: sometimes");
    let ended = run_with(&yaml, &["--config", "collector.yaml"]).await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("on_store_failure"), "{ended:?}");
    assert!(!ended.stderr.contains(&address), "{ended:?}");
    assert_eq!(ended.stdout, "");
}

/// Whoever has the port is to be looked for by its address.
#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    let mut config = config::standard(address);
    config["receivers"]["otlp"]["protocols"]["grpc"]["endpoint"] = address.to_string().into();
    let ended = run_with(&config.to_string(), &["--config", "collector.yaml"]).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains(&address.to_string()), "{ended:?}");
    assert!(ended.stderr.contains("receivers.otlp"), "{ended:?}");
    assert_eq!(ended.stdout, "");
}

/// The first five minutes: the shipped configuration, and the demo against it.
#[tokio::test]
async fn the_demo_shows_what_the_shipped_configuration_does() {
    let yaml = SHIPPED
        .replace("127.0.0.1:4317", "127.0.0.1:0")
        .replace("127.0.0.1:4318", "127.0.0.1:0")
        .replace("127.0.0.1:13133", "127.0.0.1:0")
        .replace("endpoint: 127.0.0.1:4319", "endpoint: 127.0.0.1:0")
        .replace("endpoint: 127.0.0.1:4320", "endpoint: 127.0.0.1:0")
        .replace("port: 8888", "port: 0");
    let slimspan = Slimspan::start_with_yaml(tempfile::tempdir().unwrap(), &yaml).await;
    let address = slimspan.addresses[0].to_string();
    let demo = ["demo", "--config", "collector.yaml", "--endpoint", &address];
    let ended = run(slimspan.folder(), &demo).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    // Each run sends files of its own, so what is stored was stored by this one.
    let digests: BTreeSet<&str> = ended
        .stdout
        .split_whitespace()
        .filter(|word| word.parse::<Digest>().is_ok())
        .collect();
    assert_eq!(digests.len(), 2, "{ended:?}");
    for digest in digests {
        let shard = Path::new("data/artifacts/default/sha256").join(&digest[..2]);
        let stored = std::fs::read(slimspan.folder().join(shard).join(digest)).unwrap();
        assert_eq!(Digest::of(&stored).to_string(), digest);
    }
    // The same by HTTP, where that is all there is.
    let only_http = yaml.replace("      grpc:\n", "      http:\n");
    let (before, rest) = only_http.split_once("      http:\n").unwrap();
    let (_, http) = rest.split_once("      http:\n").unwrap();
    let only_http = format!("{before}      http:\n{http}");
    std::fs::write(slimspan.folder().join("http.yaml"), only_http).unwrap();
    let address = slimspan.http_addresses[0].to_string();
    let by_http = ["demo", "--config", "http.yaml", "--endpoint", &address];
    let ended = run(slimspan.folder(), &by_http).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    // The debug exporter prints what went on.
    let printed = slimspan.stop().await.stdout;
    assert!(printed.contains("chat gpt-4o"), "{printed}");

    // Nobody there: it says so and fails.
    let ended = run_with(&yaml, &demo).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
}
