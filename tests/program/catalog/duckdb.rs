//! What reads the catalog without slimspan: the SQL that docs/catalog.md publishes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use slimspan::catalog::{Compaction, Entry};
use slimspan_artifact::Digest;
use slimspan_proto::Signal;
use tokio::process::Command;

use super::{catalog, entries, wait_for, with_catalog};
use crate::support::backend::Backend;
use crate::support::references::files;
use crate::support::slimspan::{Slimspan, run};
use crate::support::tools::tool;
use crate::support::{otlp, soon};

/// As an earlier version wrote it, and as a later one may.
const EARLIER: &str = "0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f";
const LATER: &str = "1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f";

/// What other programs take for a UUID.
const TENANT: &str = "01234567-89ab-cdef-0123-456789abcdef";

/// Of what stays.
const TRACE: &str = "0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a";

/// The statements of the document, word for word but for their bucket.
fn published(artifacts: &Path) -> String {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/catalog.md");
    let text = std::fs::read_to_string(document).unwrap();
    let blocks = text.split("```sql\n").skip(1);
    let blocks: Vec<&str> = blocks
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    assert_eq!(blocks.len(), 2);
    let bucket = "s3://media/prefix/";
    for block in &blocks {
        assert!(block.contains(bucket), "{block}");
    }
    let folder = format!("{}/", artifacts.display());
    blocks.concat().replace(bucket, &folder)
}

async fn ask(python: &Path, artifacts: &Path) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/catalog.py");
    let script = Command::new(python)
        .arg(script)
        .arg(published(artifacts))
        .kill_on_drop(true)
        .output();
    let output = soon("the script ends", script).await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn ids(entries: &[Entry]) -> BTreeSet<String> {
    entries.iter().map(|entry| entry.id.to_string()).collect()
}

/// Those of the rows of a view, which are in their order.
fn ids_of(rows: &Value) -> BTreeSet<String> {
    let rows = rows.as_array().unwrap().iter();
    let ids: Vec<_> = rows
        .map(|row| row["id"].as_str().unwrap().to_owned())
        .collect();
    let each_once: BTreeSet<_> = ids.iter().cloned().collect();
    assert_eq!(each_once.len(), ids.len(), "{ids:?}");
    each_once
}

fn row<'r>(rows: &'r Value, id: &str) -> &'r Value {
    let mut rows = rows.as_array().unwrap().iter();
    rows.find(|row| row["id"] == id).unwrap()
}

/// Writes what other versions write beside slimspan's own objects, in each of their days: so there are several that can
/// be merged, also where midnight was between them.
fn write_as_others(artifacts: &Path, entry: &Entry) {
    let mut earlier = serde_json::to_value(entry).unwrap();
    earlier["trace_id"] = json!(TRACE);
    let mut spooled = earlier.clone();
    earlier["id"] = json!(EARLIER);
    let members = earlier.as_object_mut().unwrap();
    for added in ["position", "carrier_index", "event_name", "path"] {
        assert!(members.remove(added).is_some(), "{added}");
    }
    spooled["id"] = json!(LATER);
    spooled["tenant"] = json!(TENANT);
    spooled["added"] = json!({ "later": [1] });
    spooled["state"] = json!("spooled");
    let mut stored = spooled.clone();
    stored["settled"] = stored["recorded"].clone();
    stored["state"] = json!("stored");
    let lines = format!("{earlier}\n{stored}\n{spooled}\n");
    let objects = files(&artifacts.join("catalog"));
    let days: BTreeSet<PathBuf> = objects
        .iter()
        .map(|object| object.ancestors().nth(2).unwrap().to_owned())
        .collect();
    assert!(!days.is_empty());
    for day in days {
        let hour = day.join("00");
        std::fs::create_dir_all(&hour).unwrap();
        std::fs::write(hour.join("0.jsonl"), &lines).unwrap();
    }
}

/// Each column has the type that its member has, whatever its values look like, and each member has a column.
fn are_of_their_types(types: &Value, entry: &Entry) {
    let members = serde_json::to_value(entry).unwrap();
    let members: BTreeSet<_> = members.as_object().unwrap().keys().cloned().collect();
    let types = types.as_object().unwrap();
    let columns: BTreeSet<_> = types.keys().cloned().collect();
    assert_eq!(columns, members);
    for (column, found) in types {
        let expected = match column.as_str() {
            "recorded" | "settled" | "time" => "TIMESTAMP WITH TIME ZONE",
            "carrier_index" | "position" => "UINTEGER",
            "size_bytes" => "UBIGINT",
            _ => "VARCHAR",
        };
        assert_eq!(found, expected, "{column}");
    }
}

/// What is there and what was deleted, before and after objects are merged.
#[tokio::test]
async fn the_sql_of_the_documentation_shows_what_is_listed() {
    let Some(python) = tool("duckdb/bin/python") else {
        return;
    };
    let backend = Backend::start().await;
    let slimspan = Slimspan::start(&with_catalog(&backend, "50ms")).await;
    let artifacts = slimspan.artifacts();
    let sender = slimspan.sender().await;
    let [first, second, third] = [1, 2, 3].map(|seed| otlp::photo(seed, 20_000));
    // The first two go with their trace, and the third by its digest.
    let spans = otlp::span([
        ("picture", otlp::bytes(&first)),
        ("chat", otlp::chat_with(&second)),
    ]);
    sender.send(Signal::Traces, &spans).await.unwrap();
    for file in [&third[..], otlp::PICTURE] {
        let log = otlp::log(otlp::data_uri(file), []);
        sender.send(Signal::Logs, &log).await.unwrap();
    }
    let found = wait_for(&artifacts, |entries| entries.len() == 4).await;
    let chat = found.iter().find(|entry| entry.path.is_some()).unwrap();
    write_as_others(&artifacts, chat);
    let all = ids(&entries(&artifacts).await);
    assert_eq!(all.len(), 6);

    let rm = async |arguments: &[&str]| {
        let rest = ["--yes", "--config", "collector.yaml"];
        let ended = run(slimspan.folder(), &[&["rm"], arguments, &rest].concat()).await;
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    };
    let [gone, trace] = [Digest::of(&third).to_string(), "07".repeat(16)];
    rm(&["--artifact", &gone]).await;
    rm(&["--trace", &trace]).await;
    let listed = ids(&entries(&artifacts).await);
    assert_eq!(listed.len(), 3);
    let told = ask(&python, &artifacts).await;
    are_of_their_types(&told["types"], chat);
    // Until its object is merged, a line of what was deleted is shown to who does not look at deletions.
    assert_eq!(ids_of(&told["entries"]), all);
    assert_eq!(ids_of(&told["listed"]), listed);
    let earlier = row(&told["entries"], EARLIER);
    for added in ["position", "carrier_index", "event_name", "path"] {
        assert!(earlier[added].is_null(), "{added}: {earlier}");
    }
    assert_eq!(earlier["trace_id"], TRACE);
    assert_eq!(earlier["microseconds"], 1_700_000_000_000_000_u64);
    let later = row(&told["entries"], LATER);
    assert_eq!(later["tenant"], TENANT);
    assert_eq!(later["state"], "stored");
    assert_eq!(later["path"], "[0].content[0].image_url.url");

    // As `catalog compact` does it, but for the ten seconds that it leaves to those who have listed objects before.
    let compaction = Compaction {
        older_than: Duration::ZERO,
        grace: Duration::ZERO,
        ..Compaction::default()
    };
    let compacted = catalog(&artifacts).compact(compaction, |_| ()).await;
    let compacted = compacted.unwrap();
    assert_eq!(compacted.hidden, 2, "{compacted:?}");
    let told = ask(&python, &artifacts).await;
    // Of the third file no line is left; of the trace two are, which say nothing and are not shown.
    assert_eq!(ids_of(&told["entries"]), listed);
    assert_eq!(ids_of(&told["listed"]), listed);
    assert_eq!(ids(&entries(&artifacts).await), listed);
    let size = otlp::PICTURE.len() + 40_000;
    assert_eq!(told["summary"], json!([["shop", "image/png", 3, size]]));
}
