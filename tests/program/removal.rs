//! `slimspan rm`: what goes, what stays, and what is told of it to programs.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use slimspan_artifact::Digest;
use tempfile::TempDir;

use crate::support::config;
use crate::support::references::files;
use crate::support::slimspan::{Ended, run};

/// A store beside the configuration, with a catalog and the files of two tenants.
async fn home() -> TempDir {
    let home = tempfile::tempdir().unwrap();
    let mut config = config::standard(([127, 0, 0, 1], 9).into());
    config["extensions"]["artifact_store"]["catalog"] = json!({ "directory": "./catalog" });
    fs::write(home.path().join("c.yaml"), config.to_string()).unwrap();
    for name in ["a", "b", "c"] {
        fs::write(home.path().join(name), bytes(name)).unwrap();
    }
    for (tenant, names) in [("acme", &["a", "b", "c"][..]), ("beta", &["a"])] {
        let put = ask(home.path(), &[&["put", "--tenant", tenant], names].concat()).await;
        assert_eq!(put.code, Some(0), "{put:?}");
    }
    home
}

fn bytes(name: &str) -> String {
    format!("what is in {name}")
}

fn digest(name: &str) -> String {
    Digest::of(bytes(name).as_bytes()).to_string()
}

async fn ask(folder: &Path, arguments: &[&str]) -> Ended {
    let (name, others) = arguments.split_first().unwrap();
    run(folder, &[&[*name, "--config", "c.yaml"], others].concat()).await
}

/// What a command tells as JSON.
async fn told(folder: &Path, arguments: &[&str]) -> Value {
    let ended = ask(folder, &[arguments, &["--json"]].concat()).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.stderr, "");
    serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("{ended:?}"))
}

/// How many files the store has of a tenant.
fn stored(folder: &Path, tenant: &str) -> usize {
    files(&folder.join("artifacts").join(tenant)).len()
}

#[tokio::test]
async fn all_of_a_tenant_goes_and_nothing_of_others() {
    let home = home().await;
    let folder = home.path();
    let all = ["rm", "--tenant", "acme", "--all"];
    let ended = ask(folder, &all).await;
    let expected = "would delete everything of the tenant acme, with 3 references: --yes does it\n";
    assert_eq!((ended.code, &*ended.stdout), (Some(0), expected));
    let expected = json!({ "would_delete": "everything", "tenant": "acme", "references": 3 });
    assert_eq!(told(folder, &all).await, expected);
    assert_eq!((stored(folder, "acme"), stored(folder, "beta")), (3, 1));

    let yes = [
        "rm",
        "--tenant",
        "acme",
        "--all",
        "--yes",
        "--reason",
        "they left",
    ];
    let ended = ask(folder, &yes).await;
    let expected = "deleted everything of the tenant acme: 3 files\n";
    assert_eq!(
        (ended.code, &*ended.stdout),
        (Some(0), expected),
        "{ended:?}"
    );
    assert_eq!((stored(folder, "acme"), stored(folder, "beta")), (0, 1));
    let gone = ask(folder, &["stat", "--tenant", "acme", &digest("b")]).await;
    assert_eq!(gone.code, Some(1));
    assert!(gone.stderr.contains("they left"), "{gone:?}");
    let listed = ask(folder, &["ls", "--json"]).await;
    assert_eq!(listed.stdout.lines().count(), 1, "{listed:?}");
    assert!(listed.stdout.contains(r#""tenant":"beta""#), "{listed:?}");
    let got = ask(
        folder,
        &["get", "--tenant", "beta", "-o", "-", &digest("a")],
    )
    .await;
    assert_eq!(got.stdout, bytes("a"));
}

#[tokio::test]
async fn what_was_deleted_is_told_as_json() {
    let home = home().await;
    let folder = home.path();
    let one = ["rm", "--tenant", "acme", "--artifact", &digest("a")];
    let expected = json!({
        "would_delete": format!("the file {}", digest("a")), "tenant": "acme", "references": 1,
    });
    assert_eq!(told(folder, &one).await, expected);
    assert_eq!(stored(folder, "acme"), 3);

    let yes = [&one[..], &["--yes", "--reason", "asked for"]].concat();
    let done = told(folder, &yes).await;
    let facts = [&done["artifacts"], &done["waiting"], &done["until"]];
    assert_eq!(facts, [&json!(1), &json!([]), &Value::Null], "{done}");
    let [tombstone] = &done["tombstones"].as_array().unwrap()[..] else {
        panic!("{done}");
    };
    for (key, value) in [
        ("deleted", json!("artifact")),
        ("sha256", json!(digest("a"))),
        ("tenant", json!("acme")),
        ("reason", json!("asked for")),
    ] {
        assert_eq!(tombstone[key], value, "{done}");
    }
    assert_eq!((stored(folder, "acme"), stored(folder, "beta")), (2, 1));

    let all = ["rm", "--tenant", "acme", "--all", "--yes"];
    let done = told(folder, &all).await;
    assert_eq!(done["artifacts"], json!(2), "{done}");
    assert_eq!(done["tombstones"][0]["deleted"], json!("tenant"), "{done}");
    assert_eq!((stored(folder, "acme"), stored(folder, "beta")), (0, 1));
}

/// Somebody asks that a file goes, whoever has it: of each tenant the bytes go, and who asks is told why.
#[tokio::test]
async fn a_file_goes_from_every_tenant_at_once() {
    let home = home().await;
    let folder = home.path();
    let put = ask(folder, &["put", "--tenant", "gamma", "a"]).await;
    assert_eq!(put.code, Some(0), "{put:?}");
    // Its bytes are gone, and a reference is left.
    fs::remove_dir_all(folder.join("artifacts/gamma")).unwrap();
    let a = digest("a");
    let all = ["rm", "--artifact", &a, "--all-tenants"];
    let ended = ask(folder, &all).await;
    let expected = format!(
        "would delete the file {a} of the tenants acme, beta, gamma, with 3 references: --yes does it\n"
    );
    assert_eq!((ended.code, &ended.stdout), (Some(0), &expected));
    let expected = json!({
        "would_delete": format!("the file {a}"), "tenants": ["acme", "beta", "gamma"], "references": 3,
    });
    assert_eq!(told(folder, &all).await, expected);
    assert_eq!((stored(folder, "acme"), stored(folder, "beta")), (3, 1));

    let yes = [&all[..], &["--yes", "--reason", "asked for"]].concat();
    let done = told(folder, &yes).await;
    let facts = [&done["artifacts"], &done["absent"]];
    assert_eq!(facts, [&json!(2), &json!(1)], "{done}");
    let tombstones = done["tombstones"].as_array().unwrap().iter();
    let of: Vec<_> = tombstones.map(|of| of["tenant"].as_str()).collect();
    assert_eq!(of, ["acme", "beta", "gamma"].map(Some), "{done}");
    assert_eq!((stored(folder, "acme"), stored(folder, "beta")), (2, 0));
    for tenant in ["acme", "beta", "gamma"] {
        let gone = ask(folder, &["stat", "--tenant", tenant, &a]).await;
        assert_eq!(gone.code, Some(1), "{gone:?}");
        assert!(gone.stderr.contains("asked for"), "{gone:?}");
    }
    let again = ask(folder, &yes).await;
    let expected = format!("no tenant has the file {a}\n");
    assert_eq!((again.code, &again.stdout), (Some(0), &expected));
    for other in [&["--tenant", "acme"][..], &["--all"], &["--trace", "0a"]] {
        let mixed = ask(folder, &[&all[..], other].concat()).await;
        assert_eq!(mixed.code, Some(2), "{mixed:?}");
    }
}

/// Of a trace, what was stored lately waits, and programs are told what and how long.
#[tokio::test]
async fn what_waits_is_told_as_json() {
    let home = home().await;
    let folder = home.path();
    // To what was put, something else refers.
    let path = folder.join("artifacts/acme/sha256");
    let path = path.join(&digest("d")[..2]).join(digest("d"));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes("d")).unwrap();
    let (trace, now) = ("07".repeat(16), jiff::Timestamp::now().to_string());
    let entry = json!({
        "id": "1".repeat(32), "recorded": now, "time": now, "tenant": "acme", "signal": "traces",
        "service": "chat", "trace_id": trace, "span_id": null, "span_name": "", "carrier": "span",
        "attribute": "input", "shape": "bytes", "sha256": digest("d"), "content_type": "text/plain",
        "size_bytes": bytes("d").len(), "filename": null, "state": "stored",
    });
    let objects = folder.join("artifacts/catalog/2026-01-01/00");
    fs::create_dir_all(&objects).unwrap();
    let object = objects.join("20260101T000000.000000Z-00000001-00000001.jsonl");
    fs::write(object, format!("{entry}\n")).unwrap();

    let rm = ["rm", "--tenant", "acme", "--trace", &trace];
    let expected = json!({
        "would_delete": format!("the trace {trace}"), "tenant": "acme", "references": 1,
    });
    assert_eq!(told(folder, &rm).await, expected);
    let done = told(folder, &[&rm[..], &["--yes"]].concat()).await;
    assert_eq!(done["artifacts"], json!(0), "{done}");
    assert_eq!(done["waiting"], json!([digest("d")]), "{done}");
    let until: jiff::Timestamp = done["until"].as_str().unwrap().parse().unwrap();
    assert!(until > jiff::Timestamp::now(), "{done}");
    assert!(path.exists());
}

#[tokio::test]
async fn what_is_to_go_is_said_once() {
    let home = home().await;
    let digest = digest("a");
    for arguments in [
        &["rm", "--yes"][..],
        &["rm", "--yes", "--all", "--artifact", &digest],
        &["rm", "--yes", "--all", "--trace", &"07".repeat(16)],
        &["rm", "--yes", "--artifact", "a"],
        &["rm", "--yes", "--all", "--tenant", "../acme"],
    ] {
        let ended = ask(home.path(), arguments).await;
        assert_eq!(ended.code, Some(2), "{arguments:?}: {ended:?}");
    }
    assert_eq!(
        (stored(home.path(), "acme"), stored(home.path(), "beta")),
        (3, 1)
    );
}
