//! What a killed process leaves in a folder is removed when the next one starts.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::json;
use slimspan_artifact::Digest;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::support::backend::Backend;
use crate::support::measured::{measured, number};
use crate::support::references::files;
use crate::support::slimspan::Slimspan;
use crate::support::{config, soon};

/// More than a process leaves that is killed once.
const OLD: usize = 500;

#[tokio::test]
async fn unfinished_files_of_a_killed_process_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let shard = folder.path().join("artifacts/default/sha256/ba");
    fs::create_dir_all(&shard).unwrap();
    let old: Vec<_> = (1..=OLD)
        .map(|number| shard.join(format!("{digest}#{number}")))
        .collect();
    let young = shard.join(format!("{digest}#{}", OLD + 1));
    let whole = shard.join(digest);
    let hours_ago = SystemTime::now() - Duration::from_hours(2);
    let all = old.iter().map(|path| (path, true));
    for (path, is_old) in all.chain([(&young, false), (&whole, true)]) {
        let file = File::create(path).unwrap();
        if is_old {
            file.set_modified(hours_ago).unwrap();
        }
    }
    let backend = Backend::start().await;
    let mut slimspan = Slimspan::start_in(folder, &config::standard(backend.address)).await;
    let removed = format!("removed {OLD} unfinished files");
    slimspan.logs(&removed).await;
    assert!(old.iter().all(|path| !path.exists()));
    assert!(young.exists() && whole.exists());
    measured(
        "P24",
        "program::leftovers",
        "0 older than an hour after a start",
        format_args!("0 of {OLD} left; what is younger or whole stays"),
    );
    slimspan.stop_well().await;
}

/// The same with files that processes have really left, in the middle of what was uploaded to them.
#[tokio::test]
async fn what_kills_in_the_middle_of_uploads_leave_is_removed() {
    let kills = number("SLIMSPAN_KILLS", 5);
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let backend = Backend::start().await;
    let mut config = config::standard(backend.address);
    config["extensions"]["artifact_server"] = json!({
        "endpoint": "127.0.0.1:0",
        "pages": { "endpoint": "127.0.0.1:0" },
    });
    config["service"]["extensions"] = json!(["artifact_store", "artifact_server"]);
    let unfinished = |folder: &Path| {
        let mut files = files(&folder.join("artifacts"));
        files.retain(|path| path.to_string_lossy().contains('#'));
        files
    };
    for number in 1..=kills {
        let mut slimspan = Slimspan::spawn(Arc::clone(&folder), &config.to_string());
        assert!(slimspan.ready().await, "{}", slimspan.stderr());
        let pages = slimspan.places("artifact_server")[1];
        let mut stream = TcpStream::connect(pages).await.unwrap();
        let digest = Digest::of(&number.to_le_bytes());
        let head = format!(
            "PUT /v1/artifacts/{digest}/blob HTTP/1.1\r\nhost: {pages}\r\ncontent-length: {}\r\n\r\n",
            20 << 20
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&vec![7; 11 << 20]).await.unwrap();
        let is_begun = async {
            while unfinished(folder.path()).len() < number {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        soon("a part is in the folder", is_begun).await;
        slimspan.kill().await;
        // Hundreds of them would take the disk.
        for path in unfinished(folder.path()) {
            let file = File::options().write(true).open(path).unwrap();
            file.set_len(0).unwrap();
        }
    }
    let left = unfinished(folder.path());
    assert_eq!(left.len(), kills);
    let hours_ago = SystemTime::now() - Duration::from_hours(2);
    for path in &left {
        let file = File::options().write(true).open(path).unwrap();
        file.set_modified(hours_ago).unwrap();
    }
    let mut slimspan = Slimspan::spawn(Arc::clone(&folder), &config.to_string());
    assert!(slimspan.ready().await, "{}", slimspan.stderr());
    slimspan
        .logs(&format!("removed {kills} unfinished files"))
        .await;
    assert_eq!(unfinished(folder.path()), [] as [PathBuf; 0]);
    measured(
        "P24",
        "program::leftovers, kills",
        "0 older than an hour after a start",
        format_args!("0 left of {kills} kills in the middle of an upload"),
    );
}
