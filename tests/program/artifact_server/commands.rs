//! Commands for people: an artifact comes and goes by a line in a terminal.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};
use slimspan_artifact::Digest;
use tempfile::TempDir;

use super::{with_catalog, with_server};
use crate::support::otlp;
use crate::support::references::{files, path_in};
use crate::support::slimspan::{Ended, command, run};
use crate::support::soon;

fn folder() -> TempDir {
    folder_with(with_server())
}

/// The same with what there is in that one.
fn folder_with(mut config: Value) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    config["extensions"]["artifact_server"]["public_url"] = json!("https://files.example.com");
    config["extensions"]["artifact_server"]["open_to_everybody"] = json!(true);
    config["extensions"]["artifact_server"]["pages"]["public_url"] =
        json!("https://pages.example.net");
    fs::write(folder.path().join("c.yaml"), config.to_string()).unwrap();
    folder
}

async fn ask(folder: &Path, arguments: &[&str]) -> Ended {
    let (name, others) = arguments.split_first().unwrap();
    run(folder, &[&[*name, "--config", "c.yaml"], others].concat()).await
}

/// The same, where what it tells goes elsewhere.
async fn ask_into(folder: &Path, stdout: impl Into<Stdio>, arguments: &[&str]) -> Ended {
    let (name, others) = arguments.split_first().unwrap();
    let asked = command()
        .args([&[*name, "--config", "c.yaml"], others].concat())
        .current_dir(folder)
        .stdout(stdout)
        .spawn()
        .unwrap();
    let output = soon("the program ends", asked.wait_with_output()).await;
    let output = output.unwrap();
    Ended {
        code: output.status.code(),
        stdout: String::new(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Files of the sizes at which something else happens.
fn samples() -> [Vec<u8>; 4] {
    let long: Vec<u8> = (0..12_000_000_u32).map(|at| (at % 251) as u8).collect();
    [
        Vec::new(),
        b"a text\n".to_vec(),
        otlp::photo(1, otlp::PHOTO),
        long,
    ]
}

#[tokio::test]
async fn what_is_put_is_got() {
    let home = folder();
    let path = |name: &str| home.path().join(name);
    for (number, bytes) in samples().iter().enumerate() {
        let name = format!("{number}.bin");
        fs::write(path(&name), bytes).unwrap();
        let put = ask(home.path(), &["put", &name]).await;
        assert_eq!(put.code, Some(0), "{put:?}");
        let uri = put.stdout.trim();
        let digest = Digest::of(bytes).to_string();
        assert!(uri.starts_with(&format!("https://files.example.com/artifacts/{digest}.")));
        for artifact in [digest.as_str(), uri] {
            let got = ask(home.path(), &["get", "-o", "got", artifact]).await;
            assert_eq!(got.code, Some(0), "{got:?}");
            assert!(&fs::read(path("got")).unwrap() == bytes);
            let piped = command()
                .args(["get", "--config", "c.yaml", "-o", "-", artifact])
                .current_dir(home.path())
                .output();
            let piped = soon("the program ends", piped).await.unwrap();
            assert!(piped.status.success() && &piped.stdout == bytes);
        }
        let named = ask(home.path(), &["get", &digest]).await;
        assert_eq!(named.code, Some(0), "{named:?}");
        let again = ask(home.path(), &["get", &digest]).await;
        assert_eq!(again.code, Some(1));
        assert!(again.stderr.contains("is there already"), "{again:?}");
        // Nothing wrong ever gets its name, nor down a pipe.
        let mut damaged = bytes.clone();
        damaged.push(1);
        fs::write(path_in(&path("artifacts"), &digest), &damaged).unwrap();
        for output in ["wrong", "-"] {
            let got = ask(home.path(), &["get", "-o", output, &digest]).await;
            assert_eq!((got.code, got.stdout.as_str()), (Some(1), ""));
            assert!(got.stderr.contains("damaged"), "{got:?}");
        }
        assert!(!path("wrong").exists());
    }
    let nothing = Digest::of(b"nothing").to_string();
    let got = ask(home.path(), &["get", &nothing]).await;
    assert_eq!(got.code, Some(1));
    assert!(got.stderr.contains("has no artifact"), "{got:?}");
    assert_eq!(ask(home.path(), &["get", "nothing"]).await.code, Some(2));
}

/// `| head` reads no further: what was begun is done all the same, and nothing is said of it.
#[tokio::test]
async fn what_was_begun_is_done_where_nobody_reads_on() {
    let home = folder_with(with_catalog());
    let names = ["a", "b", "c"];
    for name in names {
        fs::write(home.path().join(name), name).unwrap();
    }
    let unread = || {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        writer
    };
    let heard = ask(home.path(), &["put", "a"]).await;
    let put = ask_into(home.path(), unread(), &["put", "a", "b", "c"]).await;
    assert_eq!((put.code, &put.stderr), (Some(0), &heard.stderr));
    let digests = names.map(|name| Digest::of(name.as_bytes()).to_string());
    let artifacts = home.path().join("artifacts");
    for digest in &digests {
        assert!(path_in(&artifacts, digest).exists(), "{digest}");
    }
    let listed = ask(home.path(), &["ls", "--json"]).await;
    assert_eq!(listed.stdout.lines().count(), names.len(), "{listed:?}");
    let digest = digests[2].as_str();
    for arguments in [
        &["ls"][..],
        &["ls", "--json"],
        &["stat", digest],
        &["get", "-o", "-", digest],
    ] {
        let heard = ask(home.path(), arguments).await;
        let ended = ask_into(home.path(), unread(), arguments).await;
        assert_eq!(ended.code, Some(0), "{arguments:?}: {ended:?}");
        assert_eq!(ended.stderr, heard.stderr, "{arguments:?}");
    }
    // What cannot be told although somebody wants to know is told elsewhere, once.
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let listed = ask_into(home.path(), full, &["ls", "--json"]).await;
    assert_eq!(listed.code, Some(1), "{listed:?}");
    let times = listed.stderr.matches("standard output").count();
    assert_eq!(times, 1, "{listed:?}");
}

#[tokio::test]
async fn a_store_is_read_again_and_what_is_wrong_is_told() {
    let home = folder();
    for (number, bytes) in samples().iter().enumerate() {
        let name = format!("{number}.bin");
        fs::write(home.path().join(&name), bytes).unwrap();
        let tenant = if number == 1 { "acme" } else { "default" };
        let put = ask(home.path(), &["put", "--tenant", tenant, &name]).await;
        assert_eq!(put.code, Some(0), "{put:?}");
    }
    let report = async |arguments: &[&str]| -> (Option<i32>, Value) {
        let ended = ask(home.path(), &[&["verify", "--json"], arguments].concat()).await;
        let report = serde_json::from_str(&ended.stdout);
        (ended.code, report.unwrap_or_else(|_| panic!("{ended:?}")))
    };
    let (code, all) = report(&[]).await;
    assert_eq!((code, &all["right"]), (Some(0), &json!(4)), "{all}");
    let (_, of_acme) = report(&["--tenant", "acme"]).await;
    assert_eq!(of_acme["right"], 1);
    let photo = Digest::of(&samples()[2]).to_string();
    let (_, of_prefix) = report(&["--prefix", &photo[..6]]).await;
    assert_eq!(of_prefix["right"], 1);

    let artifacts = home.path().join("artifacts");
    let file = path_in(&artifacts, &photo);
    let mut damaged = fs::read(&file).unwrap();
    damaged[100_000] ^= 4;
    fs::write(&file, &damaged).unwrap();
    // An artifact, too, where none belongs.
    let astray = format!("default/sha256/{photo}");
    let strays = [
        "default/sha256/00/stray",
        "default/sha256/zz/stray",
        astray.as_str(),
    ];
    for stray in strays {
        let stray = artifacts.join(stray);
        fs::create_dir_all(stray.parent().unwrap()).unwrap();
        fs::write(&stray, "x").unwrap();
    }
    let before = files(&artifacts);
    let (code, told) = report(&[]).await;
    assert_eq!(code, Some(1));
    assert_eq!(told["right"], 3, "{told}");
    let keys = |findings: &str| {
        let findings = told[findings].as_array().unwrap().iter();
        let mut keys: Vec<_> = findings.map(|of| of["key"].as_str().unwrap()).collect();
        keys.sort_unstable();
        keys
    };
    assert!(keys("damaged")[0].ends_with(&photo), "{told}");
    let (misplaced, mut strays) = (keys("misplaced"), strays);
    strays.sort_unstable();
    assert_eq!(misplaced.len(), strays.len(), "{told}");
    for (key, stray) in misplaced.iter().zip(strays) {
        assert!(key.ends_with(stray), "{told}");
    }
    assert_eq!(files(&artifacts), before, "nothing is moved");
    let told = ask(home.path(), &["verify"]).await;
    assert_eq!(told.code, Some(1));
    assert!(told.stdout.contains("3 artifacts of"), "{told:?}");
    assert!(told.stdout.contains("1 damaged\n3 misplaced\n"), "{told:?}");
    assert!(told.stderr.contains(&photo), "{told:?}");
    let wrong = ask(home.path(), &["verify", "--sample", "much"]).await;
    assert_eq!(wrong.code, Some(2));
}

/// A name that nobody has may be mistyped; digits with which no artifact begins are no mistake.
#[tokio::test]
async fn that_there_is_nothing_to_read_is_told() {
    let home = folder();
    fs::create_dir(home.path().join("artifacts")).unwrap();
    let none = ask(home.path(), &["verify"]).await;
    assert_eq!(none.code, Some(0), "{none:?}");
    assert!(none.stdout.contains("nothing is stored there"), "{none:?}");
    fs::write(home.path().join("a.txt"), "a text").unwrap();
    for tenant in ["acme", "beta"] {
        let put = ask(home.path(), &["put", "--tenant", tenant, "a.txt"]).await;
        assert_eq!(put.code, Some(0), "{put:?}");
    }
    let typo = ask(home.path(), &["verify", "--tenant", "acne"]).await;
    assert_eq!((typo.code, typo.stdout.as_str()), (Some(1), ""), "{typo:?}");
    let told = "nothing is stored for the tenant acne, but for acme, beta\n";
    assert!(typo.stderr.ends_with(told), "{typo:?}");
    let nothing = Digest::of(b"nothing").to_string();
    let others = ask(home.path(), &["verify", "--prefix", &nothing]).await;
    assert_eq!(others.code, Some(0), "{others:?}");
    let told = format!("no artifact begins with {nothing}\n");
    assert!(others.stdout.ends_with(&told), "{others:?}");
    let of_acme = ["verify", "--tenant", "acme", "--prefix", &nothing];
    let of_acme = ask(home.path(), &of_acme).await;
    assert_eq!(of_acme.code, Some(0), "{of_acme:?}");
}

/// Of so many it is all or none by chance once in 2^63 times.
#[tokio::test]
async fn a_sample_is_a_part_of_a_store() {
    const ALL: u64 = 64;
    let home = folder();
    let names: Vec<String> = (0..ALL).map(|number| format!("{number}.txt")).collect();
    for name in &names {
        fs::write(home.path().join(name), name).unwrap();
    }
    let put: Vec<&str> = ["put"]
        .into_iter()
        .chain(names.iter().map(String::as_str))
        .collect();
    let put = ask(home.path(), &put).await;
    assert_eq!(put.code, Some(0), "{put:?}");
    for part in ["50%", "0.5"] {
        let ended = ask(home.path(), &["verify", "--json", "--sample", part]).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let report: Value = serde_json::from_str(&ended.stdout).unwrap();
        let count = |of: &str| report[of].as_u64().unwrap();
        assert_eq!(count("right") + count("left_out"), ALL, "{report}");
        assert!(count("right") > 0 && count("left_out") > 0, "{report}");
    }
    let told = ask(home.path(), &["verify", "--sample", "50%"]).await;
    assert!(told.stdout.contains(" were not chosen\n"), "{told:?}");
    let all = ask(home.path(), &["verify", "--json", "--sample", "100%"]).await;
    let all: Value = serde_json::from_str(&all.stdout).unwrap();
    assert_eq!((&all["right"], &all["left_out"]), (&json!(ALL), &json!(0)));
}

#[tokio::test]
async fn the_page_of_an_artifact_is_named() {
    let home = folder();
    let digest = Digest::of(b"x");
    let in_store = format!("s3://bucket/acme/sha256/2d/{digest}");
    for (artifact, page) in [
        (digest.to_string(), format!("/artifacts/{digest}")),
        (in_store, format!("/acme/artifacts/{digest}")),
    ] {
        let open = ask(home.path(), &["open", "--print", &artifact]).await;
        assert_eq!(open.code, Some(0), "{open:?}");
        assert_eq!(open.stdout, format!("https://pages.example.net{page}\n"));
    }
}

/// A reference that somebody has is listed: before that it is not told.
#[tokio::test]
async fn what_is_not_in_the_catalog_is_not_said_to_be_stored() {
    let home = folder();
    let mut config = with_catalog();
    fs::write(home.path().join("c.yaml"), config.to_string()).unwrap();
    fs::write(home.path().join("a.txt"), "a text").unwrap();
    // In the way of its folder.
    fs::create_dir(home.path().join("artifacts")).unwrap();
    fs::write(home.path().join("artifacts/catalog"), "").unwrap();
    for json in [&[][..], &["--json"]] {
        let put = ask(home.path(), &[&["put", "a.txt"], json].concat()).await;
        assert_eq!((put.code, put.stdout.as_str()), (Some(1), ""), "{put:?}");
        let told = "a.txt is stored, but it is not in the catalog";
        assert!(put.stderr.contains(told), "{put:?}");
    }
    config["extensions"]["artifact_store"]["catalog"]["enabled"] = json!(false);
    fs::write(home.path().join("c.yaml"), config.to_string()).unwrap();
    let put = ask(home.path(), &["put", "a.txt"]).await;
    assert_eq!(put.code, Some(0), "{put:?}");
    assert!(put.stdout.contains(&Digest::of(b"a text").to_string()));
}

/// For programs: what was stored, read and opened, whichever way the bytes went.
#[tokio::test]
async fn what_was_done_is_told_as_json() {
    let home = folder();
    let json_of = |ended: &Ended| -> Value {
        assert_eq!(ended.code, Some(0), "{ended:?}");
        serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("{ended:?}"))
    };
    let files = [otlp::photo(1, otlp::PHOTO), b"a text".to_vec(), Vec::new()];
    for (name, bytes) in ["a.png", "b.txt", "empty"].into_iter().zip(&files) {
        fs::write(home.path().join(name), bytes).unwrap();
    }
    let put = [
        "put", "--json", "--tenant", "acme", "a.png", "b.txt", "empty",
    ];
    let put = ask(home.path(), &put).await;
    assert_eq!(put.code, Some(0), "{put:?}");
    let lines: Vec<Value> = put
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), files.len());
    let names = [
        ("a.png", "image/png"),
        ("b.txt", "text/plain"),
        ("empty", "application/octet-stream"),
    ];
    for ((line, bytes), (name, content_type)) in lines.iter().zip(&files).zip(names) {
        let digest = Digest::of(bytes).to_string();
        let uri = line["uri"].as_str().unwrap();
        let start = format!("https://files.example.com/acme/artifacts/{digest}.");
        assert!(uri.starts_with(&start), "{line}");
        let facts = json!({
            "sha256": digest, "tenant": "acme", "content_type": content_type,
            "size_bytes": bytes.len(),
        });
        let mut expected = facts.clone();
        expected["file"] = json!(name);
        expected["uri"] = json!(uri);
        assert_eq!(*line, expected);

        let got = ask(home.path(), &["get", "--json", "-o", "got", uri]).await;
        let mut expected = facts;
        let path = home.path().join("got").canonicalize().unwrap();
        assert_eq!(&fs::read(&path).unwrap(), bytes);
        let told = json_of(&got);
        expected["file"] = told["file"].clone();
        assert_eq!(told, expected);
        // As it was said, or where that leads.
        let file = home.path().join(told["file"].as_str().unwrap());
        assert_eq!(file.canonicalize().unwrap(), path);

        let open = ask(home.path(), &["open", "--json", "--print", uri]).await;
        let url = format!("https://pages.example.net/acme/artifacts/{digest}");
        let expected = json!({ "sha256": digest, "tenant": "acme", "url": url });
        assert_eq!(json_of(&open), expected);
    }
    // Both cannot come out of one pipe.
    let uri = lines[1]["uri"].as_str().unwrap();
    let both = ask(home.path(), &["get", "--json", "-o", "-", uri]).await;
    assert_eq!((both.code, both.stdout.as_str()), (Some(2), ""));
    assert!(both.stderr.contains("--output -"), "{both:?}");
}

/// Links to artifacts and to their pages, where the URL has a path that could be a tenant, too.
#[tokio::test]
async fn a_link_says_whose_artifact_it_is() {
    let home = folder();
    let mut config = with_server();
    let server = &mut config["extensions"]["artifact_server"];
    server["public_url"] = json!("https://files.example.com/kept");
    server["pages"]["public_url"] = json!("https://pages.example.net");
    server["open_to_everybody"] = json!(true);
    fs::write(home.path().join("c.yaml"), config.to_string()).unwrap();
    for (tenant, in_url) in [("default", ""), ("acme", "/acme")] {
        let bytes = format!("of {tenant}");
        let digest = Digest::of(bytes.as_bytes());
        fs::write(home.path().join("file"), &bytes).unwrap();
        let put = ask(home.path(), &["put", "--tenant", tenant, "file"]).await;
        let link = put.stdout.trim();
        let start = format!("https://files.example.com/kept{in_url}/artifacts/{digest}.");
        assert!(link.starts_with(&start), "{put:?}");
        let page = format!("https://pages.example.net{in_url}/artifacts/{digest}");
        for reference in [link, &page] {
            let got = ask(home.path(), &["get", "-o", "-", reference]).await;
            assert_eq!((got.code, &got.stdout), (Some(0), &bytes), "{got:?}");
            let open = ask(home.path(), &["open", "--print", reference]).await;
            assert_eq!(open.stdout.trim(), page, "{open:?}");
            // Who says it otherwise is taken at the word.
            let other = ["get", "-o", "-", "--tenant", "beta", reference];
            let other = ask(home.path(), &other).await;
            assert_eq!(other.code, Some(1), "{other:?}");
        }
    }
}

/// What the opener of this system is called, and a program in its place: it writes down what it was asked to open.
fn opener(folder: &Path, code: u8) -> PathBuf {
    let name = if cfg!(target_os = "macos") {
        "open"
    } else {
        "xdg-open"
    };
    let script = folder.join("script");
    let text = format!("#!/bin/sh\nprintf '%s\\n' \"$@\" > opened\nexit {code}\n");
    fs::write(&script, text).unwrap();
    let programs = folder.join(format!("programs-{code}"));
    fs::create_dir(&programs).unwrap();
    // By another process: what is written by this one may be open in a child of it, and is not run then.
    let copied = std::process::Command::new("install")
        .args(["-m", "755"])
        .args([&script, &programs.join(name)])
        .status();
    assert!(copied.unwrap().success());
    programs
}

/// The browser gets the URL that is printed, and nothing else; where there is none, that is said.
#[tokio::test]
async fn the_page_of_an_artifact_is_opened() {
    let home = folder();
    let digest = Digest::of(b"x").to_string();
    let url = format!("https://pages.example.net/artifacts/{digest}\n");
    let open = async |programs: &Path, more: &[&str]| {
        let arguments = [&["open", "--config", "c.yaml"], more, &[&*digest]].concat();
        let ended = command()
            .args(arguments)
            .current_dir(home.path())
            .env("PATH", programs)
            .output();
        let ended = soon("the program ends", ended).await.unwrap();
        let told = String::from_utf8(ended.stderr).unwrap();
        let printed = String::from_utf8(ended.stdout).unwrap();
        (ended.status.code(), printed, told)
    };
    let opened = home.path().join("opened");
    let good = opener(home.path(), 0);
    let ended = open(&good, &["--print"]).await;
    assert_eq!(ended, (Some(0), url.clone(), String::new()));
    assert!(!opened.exists());
    let ended = open(&good, &[]).await;
    assert_eq!(ended, (Some(0), url.clone(), String::new()));
    assert_eq!(fs::read_to_string(&opened).unwrap(), url);
    let (code, told, _) = open(&good, &["--json"]).await;
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((code, &told["url"]), (Some(0), &json!(url.trim())));

    for (programs, why) in [
        (opener(home.path(), 4), "exit status: 4"),
        (home.path().join("nowhere"), "No such file"),
    ] {
        let (code, printed, told) = open(&programs, &[]).await;
        assert_eq!((code, &printed), (Some(1), &url), "{told}");
        let is_told = told.contains(why) && told.contains("opened no browser");
        assert!(is_told, "{told}");
    }
}
