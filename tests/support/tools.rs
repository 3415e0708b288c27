//! Programs that are not built here.

use std::path::{Path, PathBuf};

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
