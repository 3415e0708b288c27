//! Links in the documentation lead somewhere: to files that are there, and to headings that are in them.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

/// What there is to read, from the folder of the project on.
const DOCUMENTATION: [&str; 5] = [
    "README.md",
    "CHANGELOG.md",
    "docs",
    "deploy",
    "tests/captures",
];

/// What a document leads to, and where others can lead to in it.
#[derive(Debug, Default)]
struct Document {
    links: Vec<String>,
    headings: BTreeSet<String>,
}

impl Document {
    fn of(text: &str) -> Self {
        let (mut document, mut heading) = (Self::default(), None);
        for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
            match event {
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    document.links.push(dest_url.to_string());
                }
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => {
                    document
                        .headings
                        .extend(heading.take().map(|text| anchor(&text)));
                }
                Event::Text(text) | Event::Code(text) => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&text);
                    }
                }
                _ => {}
            }
        }
        document
    }
}

/// What a link says to lead to a heading.
fn anchor(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || matches!(*c, ' ' | '-' | '_');
    let text: String = heading.to_lowercase().chars().filter(kept).collect();
    text.replace(' ', "-")
}

/// The texts of all documents, by their paths from the folder of the project on.
pub(crate) fn texts() -> BTreeMap<PathBuf, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut texts, mut waiting) = (BTreeMap::new(), DOCUMENTATION.map(PathBuf::from).to_vec());
    while let Some(path) = waiting.pop() {
        let place = root.join(&path);
        if place.is_dir() {
            let entries = fs::read_dir(&place).unwrap();
            waiting.extend(entries.map(|entry| path.join(entry.unwrap().file_name())));
        } else if path.extension().is_some_and(|extension| extension == "md") {
            texts.insert(path, fs::read_to_string(&place).unwrap());
        }
    }
    texts
}

fn documents() -> BTreeMap<PathBuf, Document> {
    let texts = texts().into_iter();
    texts
        .map(|(path, text)| (path, Document::of(&text)))
        .collect()
}

/// Where a link of this document leads to; none outside the project.
fn target(document: &Path, link: &str) -> Option<(PathBuf, Option<String>)> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (path, heading) = match link.split_once('#') {
        Some((path, heading)) => (path, Some(heading.to_owned())),
        None => (link, None),
    };
    if path.is_empty() {
        return Some((document.to_owned(), heading));
    }
    let mut target = document.parent().unwrap().to_owned();
    for component in Path::new(path).components() {
        match component {
            Component::ParentDir => {
                target.pop();
            }
            Component::CurDir => {}
            other => target.push(other),
        }
    }
    Some((target, heading))
}

/// What is wrong with a link.
fn mistake(
    documents: &BTreeMap<PathBuf, Document>,
    document: &Path,
    link: &str,
) -> Option<&'static str> {
    let (target, heading) = target(document, link)?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    if !root.join(&target).exists() {
        return Some("there is no such file");
    }
    let read = documents.get(&target)?;
    let has = |heading: &String| read.headings.contains(heading);
    heading
        .is_some_and(|heading| !has(&heading))
        .then_some("there is no such heading")
}

#[test]
fn links_in_the_documentation_lead_somewhere() {
    let documents = documents();
    assert!(documents.len() > 25, "{:?}", documents.keys());
    let (mut links, mut wrong) = (0, Vec::new());
    for (path, document) in &documents {
        for link in &document.links {
            links += 1;
            if let Some(why) = mistake(&documents, path, link) {
                wrong.push(format!("{}: {link}: {why}", path.display()));
            }
        }
    }
    assert!(links > 100, "{links}");
    assert!(wrong.is_empty(), "{wrong:#?}");
    // And it can tell.
    let readme = Path::new("README.md");
    for (link, is_fine) in [
        ("docs/delivery.md", true),
        ("docs/artifact-server.md#pages", true),
        ("#five-minutes", true),
        ("https://example.com/nowhere", true),
        ("docs/delivery.txt", false),
        ("docs/artifact-server.md#pages-of-nobody", false),
        ("#six-minutes", false),
        ("../docs/delivery.md/x", false),
    ] {
        assert_eq!(
            mistake(&documents, readme, link).is_none(),
            is_fine,
            "{link}"
        );
    }
}

/// A picture that no page shows is forgotten, and grows old.
#[test]
fn every_picture_is_shown() {
    let documents = documents();
    let links = documents
        .iter()
        .flat_map(|(path, document)| document.links.iter().filter_map(|link| target(path, link)));
    let shown: BTreeSet<PathBuf> = links.map(|(target, _)| target).collect();
    let folder = Path::new("docs/images");
    let pictures = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap();
    let mut count = 0;
    for picture in pictures {
        let picture = folder.join(picture.unwrap().file_name());
        assert!(
            shown.contains(&picture),
            "{} is not shown",
            picture.display()
        );
        count += 1;
    }
    assert!(count > 0);
}

/// What configuration, messages and comments send a reader to.
#[test]
fn documents_that_are_named_elsewhere_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = ["CHANGELOG.md", "Makefile", "collector.yaml"]
        .map(|name| root.join(name))
        .to_vec();
    crate::layers::collect(&root.join("src"), &mut sources);
    // Documents of others, from which limits are known.
    sources.retain(|source| !source.ends_with("config/preset.rs"));
    let mut named = 0;
    for source in sources {
        let text = fs::read_to_string(&source).unwrap();
        let is_path = |c: char| c.is_ascii_alphanumeric() || "-_/.".contains(c);
        for (at, _) in text.match_indices("docs/") {
            let path = text[at..]
                .split(|c: char| !is_path(c))
                .next()
                .unwrap_or_default();
            // A sentence may end with it.
            let path = path.trim_end_matches('.');
            let is_document = Path::new(path).extension().is_some_and(|end| end == "md");
            let is_whole = !text[..at].ends_with(is_path);
            if is_document && is_whole {
                named += 1;
                assert!(root.join(path).is_file(), "{path} in {}", source.display());
            }
        }
    }
    assert!(named > 0);
}
