//! The lines of docs/python.md do what they say.

use std::path::Path;

use serde_json::json;
use slimspan_proto::Signal;
use tokio::process::Command;

use super::{Served, with_server};
use crate::support::backend::Backend;
use crate::support::references::strings;
use crate::support::tools::tool;
use crate::support::{config, otlp, soon};

#[tokio::test]
async fn the_lines_of_the_documentation_get_the_file() {
    let Some(python) = tool("python/bin/python") else {
        return;
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("docs/python.md")).unwrap();
    let blocks = text.split("```python\n").skip(1);
    let blocks: Vec<&str> = blocks
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    assert_eq!(blocks.len(), 2);
    for block in &blocks {
        let lines = block.lines().filter(|line| !line.trim().is_empty());
        assert!(lines.count() <= 11, "{block}");
    }
    let backend = Backend::start().await;
    // A port that is known before it is listened on, so that references lead to it.
    let places = [0, 0].map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let [artifacts, pages] = places.each_ref().map(|place| place.local_addr().unwrap());
    drop(places);
    let mut config = with_server();
    config["exporters"]["otlp_grpc"] = config::exporter(backend.address);
    config["extensions"]["artifact_server"]["endpoint"] = json!(artifacts);
    config["extensions"]["artifact_server"]["pages"]["endpoint"] = json!(pages);
    let served = Served::start(&config).await;
    let photo = otlp::photo(1, otlp::PHOTO);
    let sender = served.slimspan.sender().await;
    let request = otlp::span([
        ("a", otlp::data_uri(&photo)),
        ("b", otlp::chat_with(&photo)),
    ]);
    sender.send(Signal::Traces, &request).await.unwrap();
    let received = backend.received();
    let store = served.slimspan.artifacts();
    let file = served.slimspan.folder().join("photo");
    std::fs::write(&file, &photo).unwrap();
    let mut tried = 0;
    for value in strings(Signal::Traces, &received[0].message) {
        if !value.contains("/artifacts/") {
            continue;
        }
        tried += 1;
        let script = format!(
            "{}\n{}\nimport sys\nvalue, photo, store = sys.argv[1:]\nphoto = open(photo, 'rb').read()\n\
             assert file_of(value) == (photo, 'image/png'), file_of(value)[1]\n\
             assert file_of({{'image': value}})[0] == photo\n\
             assert stored_file_of(value, store) == photo\n",
            blocks[0], blocks[1]
        );
        let script = Command::new(&python)
            .args(["-c", &script, &value])
            .arg(&file)
            .arg(&store)
            .env_remove("http_proxy")
            .env("NO_PROXY", "127.0.0.1")
            .kill_on_drop(true)
            .output();
        let output = soon("the script ends", script).await.unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
    }
    assert_eq!(tried, 2);
}
