//! The direction of dependencies inside the collector, which the compiler does not check.

use std::fs;
use std::path::Path;

/// A crate or module, and the only places in `src` whose code may name it.
const RULES: [(&str, &[&str]); 15] = [
    ("prometheus_client", &["src/telemetry/metrics/"]),
    (
        "extensions",
        &[
            "src/extensions/",
            "src/collector/",
            "src/config/",
            "src/server/",
        ],
    ),
    (
        "tonic",
        &[
            "src/receivers/",
            "src/exporters/",
            "src/refusal.rs",
            "src/refusal/",
        ],
    ),
    ("object_store", &["src/storage/"]),
    ("rusqlite", &["src/catalog/index/", "src/catalog/error.rs"]),
    (
        "catalog",
        &[
            "src/catalog/",
            "src/pipeline/",
            "src/collector/",
            "src/server/",
            "src/cli/",
            // Of its store's configuration it is a part.
            "src/storage/config.rs",
        ],
    ),
    ("rustls", &["src/tls/"]),
    (
        "auth",
        &[
            "src/auth/",
            "src/receivers/",
            "src/exporters/",
            "src/collector/",
            "src/config/",
            "src/server/",
            "src/cli/demo/",
            // Receivers before an exporter with faults.
            "src/pipeline/tests.rs",
        ],
    ),
    (
        "tls",
        &[
            "src/tls/",
            "src/receivers/",
            "src/exporters/",
            "src/collector/",
            "src/config/",
            "src/server/",
            "src/cli/demo/",
            "src/extensions/",
        ],
    ),
    (
        "journal",
        &[
            "src/journal/",
            "src/catalog/",
            "src/storage/",
            "src/exporters/",
            "src/config/",
        ],
    ),
    (
        "storage",
        &[
            "src/storage/",
            "src/catalog/",
            "src/pipeline/",
            "src/collector/",
            "src/config/",
            "src/server/",
            "src/cli/",
        ],
    ),
    (
        "exporters",
        &[
            "src/exporters/",
            "src/pipeline/",
            "src/collector/",
            "src/config/",
            "src/cli/",
            // A way in that a test has lead to an exporter with faults.
            "src/receivers/otlp/intake.rs",
        ],
    ),
    (
        "joining",
        &["src/exporters/", "src/pipeline/", "src/isolation.rs"],
    ),
    (
        "pipeline",
        &["src/pipeline/", "src/collector/", "src/receivers/"],
    ),
    (
        // Where a request passes, and what it leaves on a disk.
        "crash",
        &[
            "src/receivers/otlp/",
            "src/pipeline/",
            "src/storage/",
            "src/exporters/",
            "src/journal/",
        ],
    ),
];

#[test]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
fn every_layer_names_only_what_it_may_know() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = Vec::new();
    collect(&root.join("src"), &mut sources);
    assert!(
        sources.len() > 30,
        "the sources are where they are expected"
    );
    for source in sources {
        let text = fs::read_to_string(&source).unwrap();
        let name = source.strip_prefix(root).unwrap().display().to_string();
        for (known, places) in RULES {
            let named = text.lines().any(|line| {
                let code = line.split("//").next().unwrap_or_default();
                let word =
                    |at: usize| !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
                let path = format!("{known}::");
                let mut named = code.match_indices(&path);
                named.any(|(at, _)| word(at)) && !code.contains("opentelemetry_proto::")
            });
            assert!(
                !named || places.iter().any(|place| name.starts_with(place)),
                "{name} names {known}, which only {places:?} may"
            );
        }
    }
}

#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
pub(crate) fn collect(folder: &Path, sources: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.push(path);
        }
    }
}
