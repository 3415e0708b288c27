//! The bar that shows how far the reading of large files has come.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;
use std::process::Stdio;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::support::slimspan::command;
use crate::support::{otlp, soon};

/// What `slimspan inspect` shows on a terminal while it reads the file.
async fn shown(file: &Path) -> String {
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
        .args(["inspect", "--input-format", "length-prefixed"])
        .arg(file)
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
    let ended = soon("inspect ends", child.wait_with_output())
        .await
        .unwrap();
    assert_eq!(ended.status.code(), Some(0));
    assert!(!ended.stdout.is_empty());
    soon("the terminal ends", reading).await.unwrap()
}

#[tokio::test]
async fn a_terminal_shows_how_far_a_large_file_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("spans");
    let span = otlp::plain_span(1);
    let length = u32::try_from(span.len()).unwrap().to_be_bytes();
    let frame = [&length[..], &span].concat();

    fs::write(&file, frame.repeat((20 << 20) / frame.len())).unwrap();
    let bar = shown(&file).await;
    assert!(bar.contains(" of 20.00 MiB, "), "{bar:?}");
    // It is gone at the end.
    let last = bar.rfind(" of 20.00 MiB, ").unwrap();
    assert!(bar[last..].contains("\u{1b}[2K"), "{bar:?}");

    fs::write(&file, &frame).unwrap();
    assert_eq!(shown(&file).await, "");
}
