//! Programs that are not built here.

use std::path::{Path, PathBuf};

/// Why `install.sh` cannot have something of this name on this machine, which is told; else it has it, or was not run.
pub(crate) fn cannot_be_had(name: &str) -> bool {
    let reason = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(".tools")
        .join(format!("{name}.unfit"));
    let Ok(reason) = std::fs::read_to_string(reason) else {
        return false;
    };
    eprintln!("SKIPPED: {}", reason.trim());
    true
}

/// A program of `.tools/`. Without it a test is skipped here and fails in CI.
pub(crate) fn tool(path: &str) -> Option<PathBuf> {
    let tool = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(".tools")
        .join(path);
    if tool.exists() {
        return Some(tool);
    }
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "{} is missing: run tests/tools/install.sh",
        tool.display()
    );
    eprintln!(
        "SKIPPED: {} is missing, run tests/tools/install.sh",
        tool.display()
    );
    None
}
