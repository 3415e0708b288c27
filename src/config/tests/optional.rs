//! `enabled` in sections that may be left out.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a panic is a failed test"
)]

use crate::config::optional::{OPTIONAL, Off, Optional};
use crate::config::{Config, Sources};

/// A configuration, and what is told of it.
fn load(text: &str) -> Result<(Config, Vec<String>), String> {
    let sources = Sources {
        locations: vec![format!("yaml:{text}")],
        settings: Vec::new(),
    };
    match Config::load_unchecked(&sources, |_| None) {
        Ok((config, told)) => Ok((config, told.iter().map(ToString::to_string).collect())),
        Err(errors) => Err(errors.to_string()),
    }
}

/// The same of one that the schema takes, too.
fn read(text: &str) -> (Config, Vec<String>) {
    super::schema::accepts(text);
    load(text).unwrap_or_else(|errors| panic!("{text}: {errors}"))
}

/// A configuration in which the section stands in a component of this type, or does not.
fn with(optional: &Optional, name: &str, section: Option<&str>) -> String {
    let (last, above) = optional.keys.split_last().unwrap();
    let inside = section.map_or_else(String::new, |section| format!("{last}: {section}"));
    let keys = above
        .iter()
        .rev()
        .fold(inside, |inside, key| format!("{key}: {{{inside}}}"));
    let needed = match (optional.section, name) {
        ("exporters", "otlp_grpc" | "otlp") => "endpoint: \"a:1\", ",
        ("exporters", _) => "endpoint: \"http://a\", ",
        _ => "",
    };
    format!("{}: {{{name}/x: {{{needed}{keys}}}}}", optional.section)
}

/// What may stand in a section.
fn something(optional: &Optional) -> &'static str {
    match (optional.section, *optional.keys.last().unwrap()) {
        (_, "grpc" | "http") => "max_items: 5",
        (_, "tls") => "cert_file: a, key_file: b",
        (_, "auth") => "authenticator: a",
        ("receivers", "keepalive") => "server_parameters: {time: 5s}",
        ("exporters", "keepalive") => "permit_without_stream: true",
        (_, "server_parameters") => "time: 5s",
        (_, "enforcement_policy") => "min_time: 5s",
        (_, "cors") => "max_age: 5",
        (_, "batch") => "min_size: 5",
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_is_there_with_true_and_not_with_false() {
    assert!(OPTIONAL.len() > 15, "{}", OPTIONAL.len());
    let all = OPTIONAL
        .iter()
        .flat_map(|optional| optional.types.iter().map(move |name| (optional, *name)));
    for (optional, name) in all {
        let something = something(optional);
        let (without, nothing) = read(&with(optional, name, None));
        let (written, told) = read(&with(optional, name, Some(&format!("{{{something}}}"))));
        assert_ne!(written, without, "{name}: {something}");
        let on = with(
            optional,
            name,
            Some(&format!("{{enabled: true, {something}}}")),
        );
        assert_eq!(read(&on), (written, told), "{on}");

        let id = format!("{name}/x");
        let path = [&[optional.section, id.as_str()][..], optional.keys].concat();
        let path = path.join(".");
        let mut expected = Vec::new();
        if let Off::Defaults(why) = optional.off {
            expected.push(format!("yaml:1: {path}: {why}"));
        }
        expected.extend(nothing);
        let beside = format!("{{{something}, enabled: false}}");
        for section in [
            "{enabled: false}",
            beside.as_str(),
            "{enabled: false, whatever: [this, is]}",
        ] {
            let off = with(optional, name, Some(section));
            assert_eq!(read(&off), (without.clone(), expected.clone()), "{off}");
        }

        for (section, told) in [
            ("{enabled: maybe}", ".enabled: expected a boolean, found "),
            ("{enabled: 0}", ".enabled: expected a boolean, found "),
            (
                "{enabled: true, whatever: 1}",
                ": has invalid keys: whatever",
            ),
        ] {
            let wrong = with(optional, name, Some(section));
            let told = format!("yaml:1: {path}{told}");
            let errors = load(&wrong).unwrap_err();
            assert!(errors.starts_with(&told), "{wrong}: {errors}");
            assert!(super::schema::complaint(&wrong).is_some(), "{wrong}");
        }
    }
}

/// With nothing behind it, the key is as if it were not there, as every other.
#[test]
fn with_nothing_behind_it_the_section_is_there() {
    for (enabled, told) in [
        (
            "",
            "yaml:1: receivers.otlp.protocols.http.enabled: has nothing behind it, so that its default holds",
        ),
        (
            "\"${env:NONE}\"",
            "yaml:1: receivers.otlp.protocols.http.enabled: the environment variable NONE is not set",
        ),
    ] {
        let (config, warnings) = read(&format!(
            "receivers: {{otlp: {{protocols: {{http: {{enabled: {enabled}}}}}}}}}"
        ));
        let (on, _) = read("receivers: {otlp: {protocols: {http: }}}");
        assert_eq!(config, on, "{enabled}");
        assert_eq!(warnings, [told]);
    }
}

/// Where a component has no such section, there is no such key.
#[test]
fn what_is_always_there_has_no_such_key() {
    for text in [
        "exporters: {otlp: {endpoint: \"a:1\", tls: {enabled: false}}}",
        "exporters: {otlp_http: {endpoint: \"http://a\", keepalive: {enabled: false}}}",
        "exporters: {debug: {auth: {enabled: false}}}",
        "receivers: {otlp: {protocols: {enabled: false}}}",
        "extensions: {zpages: {enabled: false}}",
    ] {
        let errors = load(text).unwrap_err();
        assert!(errors.contains("has invalid keys: "), "{text}: {errors}");
        assert!(super::schema::complaint(text).is_some(), "{text}");
    }
}
