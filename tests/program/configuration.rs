//! What the program says of configurations, and what of itself.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use slimspan_generators::mistakes::{Mutant, mutants, with_backend};

use crate::support::canaries::CANARY;
use crate::support::measured::{bound, measured, strict};
use crate::support::seed::Seed;
use crate::support::slimspan::{Ended, run};

const SHIPPED: &str = include_str!("../../collector.yaml");
const SECOND: Duration = Duration::from_secs(1);
const SCHEMA: &str = include_str!("../../docs/collector.schema.json");

async fn run_with(yaml: &str, arguments: &[&str]) -> Ended {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("collector.yaml"), yaml).unwrap();
    run(folder.path(), arguments).await
}

/// What holds is printed with its defaults, and without its secrets unless somebody asks for them.
#[tokio::test]
async fn what_holds_is_printed() {
    let yaml = SHIPPED.replace("options: {}", "options: {aws_secret_access_key: hunter2}");
    let print = [
        "print-config",
        "--config",
        "collector.yaml",
        "--set",
        "exporters.debug=",
    ];
    let ended = run_with(&yaml, &print).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for told in [
        "aws_secret_access_key: \"[REDACTED]\"\n",
        "verbosity: basic\n",
        "threshold: 8KiB\n",
        "refresh: 24h\n",
    ] {
        assert!(ended.stdout.contains(told), "{told}: {}", ended.stdout);
    }
    assert!(!ended.stdout.contains("hunter2"), "{ended:?}");

    let as_json = [&print[..], &["--format", "json", "--mode", "unredacted"]].concat();
    let ended = run_with(&yaml, &as_json).await;
    let printed: Value = serde_json::from_str(&ended.stdout).unwrap();
    let options = &printed["extensions"]["artifact_store"]["options"];
    assert_eq!(options["aws_secret_access_key"], "hunter2");
    // What was printed means the same.
    let again = run_with(&ended.stdout, &as_json).await;
    assert_eq!(again.stdout, ended.stdout);

    let apart = yaml.replace("exporters: [debug]", "exporters: [other]");
    let initial = ["print-initial-config", "--config", "collector.yaml"];
    assert_eq!(run_with(&apart, &initial).await.code, Some(2));
    let unchecked = [&initial[..], &["--validate=false"]].concat();
    let ended = run_with(&apart, &unchecked).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("- other\n"), "{ended:?}");
}

/// A source that is the text itself is called by its scheme, whether it is right or wrong: such a text holds secrets.
#[tokio::test]
async fn what_stands_on_the_command_line_is_not_repeated() {
    let text = format!(
        "yaml:exporters: {{otlp_grpc: {{endpoint: 'localhost:4317', headers: {{token: {CANARY}}}}}}}"
    );
    for (setting, code, told) in [
        (
            "exporters.debug=",
            0,
            "collector.yaml, yaml: valid; pipelines: ",
        ),
        (
            "extensions.artifact_store.url=ftp://host/artifacts",
            2,
            "collector.yaml, yaml: extensions.artifact_store.url: ",
        ),
        ("exporters.otlp_grpc.tokn=1", 2, "has invalid keys: tokn"),
    ] {
        let files = [
            "validate",
            "--config",
            "collector.yaml",
            "--config",
            text.as_str(),
        ];
        let ended = run_with(SHIPPED, &[&files[..], &["--set", setting]].concat()).await;
        assert_eq!(ended.code, Some(code), "{setting}: {ended:?}");
        let said = ended.stdout + &ended.stderr;
        assert!(said.contains(told), "{setting}: {said}");
        assert!(!said.contains(CANARY), "{setting}: {said}");
    }
}

/// What `service.extensions` does not name is not started, whatever it would need; nor is what is not for this program.
#[tokio::test]
async fn an_extension_that_nobody_starts_keeps_nobody_from_starting() {
    const LISTED: &str = "[artifact_store, artifact_server, health_check]";
    let more = "\nextensions:\n  pprof: {endpoint: \"localhost:1777\"}\n  \
                bearertokenauth/x: {filename: /no/such/token}\n  zpages:\n";
    let yaml = SHIPPED.replacen("\nextensions:\n", more, 1);
    let yaml = yaml.replace(LISTED, &LISTED.replace('[', "[pprof, "));
    let ended = run_with(&yaml, &["validate", "--config", "collector.yaml"]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let told: Vec<_> = ended.stderr.lines().collect();
    assert_eq!(told.len(), 3, "{ended:?}");
    for (told, id) in told.iter().zip(["bearertokenauth/x", "pprof", "zpages"]) {
        assert!(told.starts_with("warning: collector.yaml:"), "{told}");
        assert!(
            told.contains(&format!("extensions.{id}: does nothing")),
            "{told}"
        );
    }
    let needed = yaml.replace(
        "    protocols:\n      grpc:\n",
        "    protocols:\n      grpc:\n        auth: { authenticator: bearertokenauth/x }\n",
    );
    let needed = needed.replacen("        auth: null\n", "", 1);
    let ended = run_with(&needed, &["validate", "--config", "collector.yaml"]).await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("would not be started"), "{ended:?}");
}

/// Programs that know the Collector find what it says, where it says it.
#[tokio::test]
async fn components_are_listed() {
    let ended = run(Path::new("/"), &["components"]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for told in [
        "buildinfo:\n  command: slimspan\n",
        "receivers:\n",
        "- name: otlp\n",
        "- name: otlp_grpc\n",
        "alias: otlphttp\n",
        "traces: Beta\n",
        "- name: artifact_store\n",
        "extension: Beta\n",
        "- scheme: env\n",
    ] {
        assert!(ended.stdout.contains(told), "{told}: {}", ended.stdout);
    }
}

#[tokio::test]
async fn the_schema_is_that_of_the_docs() {
    for name in ["schema", "print-schema"] {
        let ended = run(Path::new("/"), &[name]).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let printed: Value = serde_json::from_str(&ended.stdout).unwrap();
        assert_eq!(printed, serde_json::from_str::<Value>(SCHEMA).unwrap());
    }
}

/// P32: what is wrong never starts, and `validate` says the same about it.
#[tokio::test]
async fn what_is_wrong_ends_with_2_at_once_and_validate_agrees() {
    let table = [
        (
            "threshold: 8KiB",
            "treshold: 8KiB",
            "did you mean \"threshold\"?",
        ),
        ("threshold: 8KiB", "threshold: -8KiB", "is negative"),
        ("timeout: 10s", "timeout: 10 parsecs", "is not a duration"),
        (
            "max_recv_msg_size_mib: 64",
            "max_recv_msg_size_mib: 4398046511104",
            "must be from 1",
        ),
        (
            "refresh: 24h",
            "refresh: 24h\n    refresh: 1h",
            "already stands in line",
        ),
        ("    timeout: 10s", "\ttimeout: 10s", "not valid YAML"),
        ("options: {}", "options: &a [*a]", "must not stand inside"),
        (
            "exporters: [debug]",
            "exporters: [debgu]",
            "did you mean \"debug\"?",
        ),
    ];
    for (right, wrong, told) in table {
        let yaml = SHIPPED.replacen(right, wrong, 1);
        assert_ne!(yaml, SHIPPED, "{right}");
        let begun = Instant::now();
        let ended = run_with(&yaml, &["--config", "collector.yaml"]).await;
        let took = begun.elapsed();
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(took < bound(SECOND, 10 * SECOND), "{took:?}");
        let line = ended.stderr.strip_prefix("collector.yaml:");
        let line = line.and_then(|rest| rest.split(':').next()?.parse::<usize>().ok());
        assert!(line.is_some_and(|line| line > 0), "{ended:?}");
        assert!(ended.stderr.contains(told), "{ended:?}");
        let begun = Instant::now();
        let validated = run_with(&yaml, &["validate", "--config", "collector.yaml"]).await;
        let took = begun.elapsed();
        assert!(took < bound(SECOND, 10 * SECOND), "validate: {took:?}");
        assert_eq!(validated.code, Some(2));
        assert_eq!(validated.stderr, ended.stderr);
    }
}

/// P32: no mistake in any line of the shipped file starts, and `validate` says the same about it.
#[tokio::test]
async fn every_mistake_in_a_line_ends_with_2_at_once_and_validate_agrees() {
    let mutants = mutants(&with_backend(SHIPPED));
    // Everyday one of each of so many parts.
    let sample = if strict() { mutants.len() } else { 16 };
    assert!(sample >= 16 && mutants.len() > 200, "{}", mutants.len());
    let part = mutants.len() / sample;
    let seed = Seed::any();
    let mut random = seed.random();
    let (mut slowest, longest) = (Duration::ZERO, bound(SECOND, 10 * SECOND));
    for part in mutants.chunks_exact(part).take(sample) {
        let Mutant {
            text,
            changed,
            line,
        } = &part[random.number() as usize % part.len()];
        let mut told = Vec::new();
        for arguments in [
            &["--config", "collector.yaml"][..],
            &["validate", "--config", "collector.yaml"],
        ] {
            let begun = Instant::now();
            let ended = run_with(text, arguments).await;
            let took = begun.elapsed();
            slowest = slowest.max(took);
            assert!(took < longest, "{changed}: {took:?}");
            assert_eq!(ended.code, Some(2), "{changed}: {ended:?}");
            told.push(ended.stderr);
        }
        assert_eq!(told[0], told[1], "{changed}");
        let lines = told[0].lines().filter_map(|told| {
            let (_, rest) = told.split_once("collector.yaml:")?;
            rest.split(':').next()?.parse::<usize>().ok()
        });
        let lines: Vec<_> = lines.collect();
        assert!(
            line.map_or(!lines.is_empty(), |line| lines.contains(&line)),
            "{changed} in line {line:?}: {}",
            told[0]
        );
    }
    measured(
        "P32",
        "program::configuration",
        "each mutant ends with 2 and its line within 1 s, and validate agrees",
        format_args!("{sample} mutants, the slowest {slowest:.1?}"),
    );
}

/// Sources are merged in their order, for every subcommand.
#[tokio::test]
async fn several_sources_are_one_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("collector.yaml", SHIPPED);
    write(
        "overlay.yaml",
        "processors:\n  artifact:\n    threshold: ${file:threshold}\n",
    );
    write("threshold", "16KiB\n");
    let both = ["--config", "collector.yaml", "--config", "overlay.yaml"];
    let ended = run(folder.path(), &[&["validate"][..], &both].concat()).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        ended.stdout.contains("moves files of 16.0 KiB"),
        "{ended:?}"
    );
    let setting = ["--set", "processors.artifact.threshold=32KiB"];
    let ended = run(
        folder.path(),
        &[&["validate"][..], &both, &setting].concat(),
    )
    .await;
    assert!(
        ended.stdout.contains("moves files of 32.0 KiB"),
        "{ended:?}"
    );

    write("threshold", "much");
    let ended = run(folder.path(), &[&["validate"][..], &both].concat()).await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    let told = "overlay.yaml:3: processors.artifact.threshold: \"much\" is not a size";
    assert!(ended.stderr.starts_with(told), "{ended:?}");
    let ended = run(folder.path(), &["--config", "https://example.org/c.yaml"]).await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("curl -o"), "{ended:?}");
}
