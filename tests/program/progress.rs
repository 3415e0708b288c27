//! The bars that show how far the work on large files has come.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::{Value, json};
use slimspan_artifact::Digest;
use tempfile::TempDir;

use crate::support::references::{files, path_in};
use crate::support::slimspan::command;
use crate::support::{config, otlp, soon};

/// Longer than what is done before anybody wonders.
const LONG: usize = 20 << 20;

/// What a command that works shows on a terminal.
async fn shown(folder: &Path, arguments: &[&str]) -> String {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
    let terminal = openpt(flags).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap();
    let side = File::options()
        .read(true)
        .write(true)
        .open(name.to_str().unwrap())
        .unwrap();
    let child = command()
        .args(arguments)
        .current_dir(folder)
        .env("TERM", "xterm")
        .stderr(Stdio::from(side))
        .spawn()
        .unwrap();
    // Read at once, or a full terminal would stop the program.
    let reading = tokio::task::spawn_blocking(move || {
        let mut shown = Vec::new();
        let mut terminal = File::from(terminal);
        let mut buffer = [0; 4096];
        loop {
            match terminal.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => shown.extend_from_slice(&buffer[..count]),
                // That is how a terminal ends when nobody has it open any more.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        String::from_utf8_lossy(&shown).into_owned()
    });
    let ended = soon("the program ends", child.wait_with_output())
        .await
        .unwrap();
    let shown = soon("the terminal ends", reading).await.unwrap();
    assert_eq!(ended.status.code(), Some(0), "{arguments:?}: {shown:?}");
    assert!(!ended.stdout.is_empty(), "{arguments:?}");
    shown
}

/// What is seen on a terminal line by line, without what steers it.
fn lines(shown: &str) -> Vec<&str> {
    let mut lines = Vec::new();
    for (number, part) in shown.split('\u{1b}').enumerate() {
        let text = if number == 0 {
            part
        } else {
            let end = part.find(|c: char| c.is_ascii_alphabetic());
            end.and_then(|end| part.get(end + 1..)).unwrap_or_default()
        };
        lines.extend(text.split(['\r', '\n']).map(str::trim_end));
    }
    lines.retain(|line| !line.is_empty());
    lines
}

/// There was a bar that told these words, in a line of its own, and it is gone at the end.
fn has_bar(shown: &str, words: &[&str]) {
    let told = lines(shown);
    let is_bar = |line: &&str| words.iter().all(|word| line.contains(word));
    assert!(told.iter().any(is_bar), "{words:?}: {shown:?}");
    for line in told {
        assert!(line.chars().count() <= 80, "{line:?} are two lines");
    }
    let last = shown.rfind(words[words.len() - 1]).unwrap();
    assert!(shown[last..].contains("\u{1b}[2K"), "{shown:?}");
}

#[tokio::test]
async fn a_terminal_shows_how_far_a_large_file_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("spans");
    let span = otlp::plain_span(1);
    let length = u32::try_from(span.len()).unwrap().to_be_bytes();
    let frame = [&length[..], &span].concat();
    let inspect = ["inspect", "--input-format", "length-prefixed", "spans"];

    fs::write(&file, frame.repeat(LONG / frame.len())).unwrap();
    let bar = shown(folder.path(), &inspect).await;
    has_bar(&bar, &[" of 20.00 MiB, ", " left"]);

    fs::write(&file, &frame).unwrap();
    assert_eq!(shown(folder.path(), &inspect).await, "");
}

/// A store beside the configuration, with a catalog.
fn home() -> TempDir {
    let home = tempfile::tempdir().unwrap();
    let mut config = config::standard(([127, 0, 0, 1], 9).into());
    config["extensions"]["artifact_store"]["catalog"] = json!({
        "directory": "./catalog",
        "retention": { "max_age": "240h", "grace": "25h" },
    });
    fs::write(home.path().join("c.yaml"), config.to_string()).unwrap();
    home
}

/// Each command that moves or reads whole files shows how much there is, and how much of it is done.
#[tokio::test]
async fn a_terminal_shows_how_far_a_transfer_is() {
    let home = home();
    let on = async |arguments: &[&str]| {
        let (name, rest) = arguments.split_first().unwrap();
        let arguments = [&[*name, "--config", "c.yaml"], rest].concat();
        shown(home.path(), &arguments).await
    };
    let long = vec![7_u8; LONG];
    let digest = Digest::of(&long).to_string();
    fs::write(home.path().join("long"), &long).unwrap();
    // It is read twice.
    let bar = on(&["put", "long"]).await;
    has_bar(&bar, &["storing ", " of 40.00 MiB, ", "/s, ", " left"]);
    let bar = on(&["get", "-o", "got", &digest]).await;
    has_bar(&bar, &["reading ", " of 20.00 MiB, ", "/s, ", " left"]);
    assert!(fs::read(home.path().join("got")).unwrap() == long);
    // All of it is checked before the first byte goes down a pipe.
    let bar = on(&["get", "-o", "-", &digest]).await;
    has_bar(&bar, &["checking ", " of 20.00 MiB, ", "/s, ", " left"]);
    has_bar(&bar, &["reading ", " of 20.00 MiB, ", "/s, ", " left"]);
    let bar = on(&["verify"]).await;
    has_bar(&bar, &["looking for artifacts: 1"]);
    has_bar(&bar, &["reading ", " of 20.00 MiB, ", "/s, ", " left"]);

    // What is done at once is not worth a bar.
    fs::write(home.path().join("short"), "a text").unwrap();
    assert_eq!(on(&["put", "short"]).await, "");
    let short = Digest::of(b"a text").to_string();
    assert_eq!(on(&["get", "-o", "got", &short]).await, "");
}

/// To look through a store takes as long as it is large, which is not known before.
#[tokio::test]
async fn a_terminal_shows_how_far_the_removal_of_old_files_is() {
    let home = home();
    let gc = async |arguments: &[&str]| {
        let arguments = [&["gc", "--config", "c.yaml"], arguments].concat();
        shown(home.path(), &arguments).await
    };
    let artifacts = home.path().join("artifacts");
    let old = b"nobody refers to it";
    let path = path_in(&artifacts, &Digest::of(old).to_string());
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, old).unwrap();
    let days_ago = |days: u64| SystemTime::now() - Duration::from_hours(24 * days);
    let file = File::options().write(true).open(&path).unwrap();
    file.set_modified(days_ago(60)).unwrap();

    let looked = ["reading the catalog and the store: 1"];
    has_bar(&gc(&[]).await, &looked);
    has_bar(&gc(&["--yes"]).await, &looked);
    let [marks] = &files(&artifacts.join("catalog/gc"))[..] else {
        panic!("one object has the marks");
    };
    let mut mark: Value = serde_json::from_str(&fs::read_to_string(marks).unwrap()).unwrap();
    mark["marked"] = json!(jiff::Timestamp::try_from(days_ago(2)).unwrap().to_string());
    fs::write(marks, format!("{mark}\n")).unwrap();
    let bar = gc(&["--yes"]).await;
    has_bar(&bar, &looked);
    has_bar(&bar, &["removing ", " 1 of 1, ", " left"]);
    assert!(!path.exists());
}

/// Also that of everything of a tenant, which is as long as it has files; that of one file is not worth a bar.
#[tokio::test]
async fn a_terminal_shows_how_far_a_deletion_is() {
    let home = home();
    let on = async |arguments: &[&str]| {
        let (name, rest) = arguments.split_first().unwrap();
        let arguments = [&[*name, "--config", "c.yaml"], rest].concat();
        shown(home.path(), &arguments).await
    };
    for name in ["one", "two", "three"] {
        fs::write(home.path().join(name), name).unwrap();
    }
    assert_eq!(on(&["put", "one", "two", "three"]).await, "");
    let one = Digest::of(b"one").to_string();
    assert_eq!(on(&["rm", "--artifact", &one, "--yes"]).await, "");
    let bar = on(&["rm", "--all", "--yes"]).await;
    has_bar(&bar, &["deleting ", " 2 of 2, ", " left"]);
    assert_eq!(on(&["rm", "--all"]).await, "", "it only looks");
}
