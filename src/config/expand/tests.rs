#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a panic is a failed test"
)]

use super::super::scalar::Typed;
use super::super::yaml;
use super::*;

fn env(name: &str) -> Option<String> {
    let value = match name {
        "HOST" => "example.org",
        "PORT" => "4317",
        "OCTAL" => "0123",
        "YES" => "true",
        "EMPTY" => "",
        "NULL" => "null",
        "MAPPING" => "{a: 1}",
        "LOOP" => "${env:LOOP}",
        "DOLLARS" => "a$$b",
        "LIST" => "[1, {a: '${PORT}'}]",
        "COMMENT" => "a # b",
        "BROKEN" => "[a",
        "ADDRESS" => "${HOST}:${env:PORT}",
        "LITERAL" => "$${env:HOST}",
        "NAME" => "PORT",
        "ONE" => "x${TWO}",
        "TWO" => "y${ONE}",
        "BOMB0" => "xxxxxxxxxxxxxxxx",
        "BOMB1" => "${BOMB0}${BOMB0}${BOMB0}${BOMB0}${BOMB0}${BOMB0}${BOMB0}${BOMB0}",
        "BOMB2" => "${BOMB1}${BOMB1}${BOMB1}${BOMB1}${BOMB1}${BOMB1}${BOMB1}${BOMB1}",
        "BOMB3" => "${BOMB2}${BOMB2}${BOMB2}${BOMB2}${BOMB2}${BOMB2}${BOMB2}${BOMB2}",
        "BOMB4" => "${BOMB3}${BOMB3}${BOMB3}${BOMB3}${BOMB3}${BOMB3}${BOMB3}${BOMB3}",
        "BOMB5" => "${BOMB4}${BOMB4}${BOMB4}${BOMB4}${BOMB4}${BOMB4}${BOMB4}${BOMB4}",
        _ => return None,
    };
    Some(value.to_owned())
}

fn expanded(yaml: &str) -> (Scalar, Expansion) {
    let mut root = yaml::parse(yaml, &"c.yaml".into()).unwrap();
    let expansion = expand(&mut root, &env);
    match root.value {
        Value::Scalar(scalar) => (scalar, expansion),
        Value::Sequence(_) | Value::Mapping(_) => panic!("{yaml} is no scalar"),
    }
}

#[test]
fn expands_by_the_table() {
    // What was written, its type where any would do, its text where a string is wanted.
    let table = [
        (
            "${env:HOST}",
            Typed::Str("example.org"),
            Some("example.org"),
        ),
        ("${HOST}", Typed::Str("example.org"), Some("example.org")),
        ("${env:PORT}", Typed::Int(4317), Some("4317")),
        ("\"${env:PORT}\"", Typed::Int(4317), Some("4317")),
        ("${env:OCTAL}", Typed::Int(123), Some("0123")),
        ("${env:YES}", Typed::Bool(true), Some("true")),
        ("${env:EMPTY}", Typed::Str(""), Some("")),
        ("${env:NULL}", Typed::Null, Some("null")),
        ("${env:DOLLARS}", Typed::Str("a$b"), Some("a$b")),
        ("x${env:MAPPING}", Typed::Str("x{a: 1}"), Some("x{a: 1}")),
        ("${env:COMMENT}", Typed::Str("a # b"), Some("a # b")),
        ("${env:BROKEN}", Typed::Str("[a"), Some("[a")),
        // What is given is read by the same rules.
        (
            "${env:ADDRESS}",
            Typed::Str("example.org:4317"),
            Some("example.org:4317"),
        ),
        (
            "http://${env:ADDRESS}/",
            Typed::Str("http://example.org:4317/"),
            Some("http://example.org:4317/"),
        ),
        (
            "${env:LITERAL}",
            Typed::Str("${env:HOST}"),
            Some("${env:HOST}"),
        ),
        // Nested.
        ("${env:${env:NAME}}", Typed::Int(4317), Some("4317")),
        ("${${NAME}}", Typed::Int(4317), Some("4317")),
        ("${env:NONE:-${env:PORT}}", Typed::Int(4317), Some("4317")),
        ("${env:NONE:-${env:NONE:-x}}", Typed::Str("x"), Some("x")),
        ("${env:NONE:-a}${env:NONE:-b}", Typed::Str("ab"), Some("ab")),
        ("${env:PORT:-${env:NONE}}", Typed::Int(4317), Some("4317")),
        // Text that stands there.
        ("${yaml:5}", Typed::Int(5), Some("5")),
        ("${yaml:0123}", Typed::Int(123), Some("0123")),
        (
            "${yaml:a ${HOST}}",
            Typed::Str("a example.org"),
            Some("a example.org"),
        ),
        ("${env:NONE}", Typed::Null, None),
        ("${env:NONE:-8KiB}", Typed::Str("8KiB"), Some("8KiB")),
        ("${env:NONE:-5}", Typed::Int(5), Some("5")),
        ("${env:NONE:-}", Typed::Str(""), Some("")),
        ("${env:NONE:-a:-b}", Typed::Str("a:-b"), Some("a:-b")),
        ("${env:PORT:-1}", Typed::Int(4317), Some("4317")),
        ("${env:EMPTY:-1}", Typed::Str(""), Some("")),
        (
            "${env:HOST}:${PORT}",
            Typed::Str("example.org:4317"),
            Some("example.org:4317"),
        ),
        ("a${env:NONE}b", Typed::Str("ab"), Some("ab")),
        (
            "$${env:HOST}",
            Typed::Str("${env:HOST}"),
            Some("${env:HOST}"),
        ),
        ("$$$${HOST}", Typed::Str("$${HOST}"), Some("$${HOST}")),
        (
            "$$${HOST}",
            Typed::Str("$example.org"),
            Some("$example.org"),
        ),
        (
            "$HOST and $",
            Typed::Str("$HOST and $"),
            Some("$HOST and $"),
        ),
        ("1${env:EMPTY}2", Typed::Int(12), Some("12")),
        ("${env:EMPTY}${env:NONE}", Typed::Str(""), Some("")),
        ("'1${env:EMPTY}2'", Typed::Str("12"), Some("12")),
    ];
    for (yaml, typed, text) in table {
        let (scalar, expansion) = expanded(yaml);
        assert_eq!(scalar.typed(), typed, "{yaml}");
        assert_eq!(scalar.text(), text, "{yaml}");
        assert!(expansion.problems.is_empty(), "{yaml}: {expansion:?}");
    }
}

#[test]
fn what_cannot_be_read_is_an_error() {
    let table = [
        (
            "${file:/no/such/file}",
            "`${file:/no/such/file}` cannot be read: No such file or directory (os error 2)",
        ),
        (
            "${HOST:-x}",
            "`${HOST:-x}`: unknown scheme \"HOST\"; a default needs the scheme, as in \
             ${env:HOST:-x}",
        ),
        (
            "${vault:secret/x}",
            "`${vault:secret/x}`: unknown scheme \"vault\"; known are env, file, yaml, and \
             ${NAME} for env",
        ),
        (
            "${https://example.org/x}",
            "`${https:…}`: https: is not supported: slimspan fetches no configuration over a \
             network, where it could change or be missing at the next start; fetch it before, \
             such as with curl -o collector.yaml URL, and give the file",
        ),
        (
            "${env:LOOP}",
            "`${LOOP}` stands in what it stands for: LOOP -> LOOP",
        ),
        (
            "a${ONE}",
            "`${ONE}` stands in what it stands for: ONE -> TWO -> ONE",
        ),
        (
            "${env:BOMB5}",
            "too many substitutions: a configuration has at most 10000, those in what others \
             give included",
        ),
        (
            "${env:1A}",
            "`${env:1A}`: \"1A\" is not the name of an environment variable: use letters, \
             digits and _, and no digit first",
        ),
        (
            "${}",
            "`${}`: \"\" is not the name of an environment variable: use letters, digits and \
             _, and no digit first",
        ),
        (
            "a ${env:HOST",
            "`${` has no closing `}`; a literal `${` is written `$${`",
        ),
        (
            "${env:A:-${env:B}",
            "`${` has no closing `}`; a literal `${` is written `$${`",
        ),
    ];
    for (yaml, message) in table {
        let (_, expansion) = expanded(&format!("'{yaml}'"));
        let messages: Vec<_> = expansion
            .problems
            .iter()
            .map(|problem| problem.message.as_str())
            .collect();
        assert_eq!(messages, [message], "{yaml}");
    }
}

#[test]
fn a_value_may_be_a_list_or_a_mapping() {
    let mut root = yaml::parse("a: ${env:MAPPING}\nb:\n- ${env:LIST}\n", &"c.yaml".into()).unwrap();
    let expansion = expand(&mut root, &env);
    assert!(expansion.problems.is_empty(), "{expansion:?}");
    let a = &root.get("a").unwrap().value;
    assert!(matches!(a.value, Value::Mapping(_)));
    // Where a string is wanted, it is the text that was set.
    assert_eq!(a.written.as_deref(), Some("{a: 1}"));
    let Value::Sequence(list) = &root.get("b").unwrap().value.value else {
        panic!("no list");
    };
    let Value::Sequence(inner) = &list[0].value else {
        panic!("no list inside");
    };
    let nested = &inner[1].get("a").unwrap().value;
    assert!(matches!(&nested.value, Value::Scalar(scalar) if scalar.typed() == Typed::Int(4317)));
    // What comes out of a variable stands where the variable does.
    let path = KeyPath::of(["b"]).index(0).index(1).key("a");
    assert_eq!(root.place_at(&path).line, Some(3));
}

#[test]
fn a_file_has_places_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("part.yaml"), "# a part\nx: 1\ny: ${file:secret}\n").unwrap();
    std::fs::write(path("token"), "hunter2\r\n").unwrap();
    let part = std::fs::read_to_string(path("part.yaml")).unwrap();
    std::fs::write(path("part.yaml"), part.replace("secret", &path("token"))).unwrap();
    let text = format!("a: ${{file:{}}}\nb: 2\n", path("part.yaml"));
    let mut root = yaml::parse(&text, &"c.yaml".into()).unwrap();
    let expansion = expand(&mut root, &env);
    assert!(expansion.problems.is_empty(), "{expansion:?}");
    let at = root.place_at(&KeyPath::of(["a", "y"])).clone();
    assert_eq!(
        (&*at.source, at.line),
        (path("part.yaml").as_str(), Some(3))
    );
    let y = &root.get("a").unwrap().value.get("y").unwrap().value;
    let Value::Scalar(scalar) = &y.value else {
        panic!("no scalar");
    };
    assert_eq!(
        scalar.text(),
        Some("hunter2"),
        "without the end of its line"
    );
}

#[test]
fn files_that_stand_in_each_other_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("a"), format!("x: ${{file:{}}}", path("b"))).unwrap();
    std::fs::write(path("b"), format!("[{{y: '${{file:{}}}'}}]", path("a"))).unwrap();
    let mut root = yaml::parse(&format!("r: ${{file:{}}}", path("a")), &"c.yaml".into()).unwrap();
    let expansion = expand(&mut root, &env);
    let (a, b) = (path("a"), path("b"));
    let told: Vec<_> = expansion
        .problems
        .iter()
        .map(|of| of.message.as_str())
        .collect();
    assert_eq!(
        told,
        [format!(
            "`${{file:{a}}}` stands in what it stands for: file:{a} -> file:{b} -> file:{a}"
        )]
    );
}

#[test]
fn what_is_given_counts_as_what_stands_there() {
    let many = format!("[{}]", "x,".repeat(1000));
    let deep = format!("{}1{}", "[".repeat(40), "]".repeat(40));
    let env = |name: &str| match name {
        "MANY" => Some(many.clone()),
        "DEEP" => Some(deep.clone()),
        _ => None,
    };
    for (text, expected) in [
        (format!("[{}]", "'${MANY}',".repeat(30)), "too large"),
        (
            format!("{}'${{DEEP}}'{}", "[".repeat(40), "]".repeat(40)),
            "nested too deeply",
        ),
    ] {
        let mut root = yaml::parse(&text, &"c.yaml".into()).unwrap();
        let problems = expand(&mut root, &env).problems;
        let told = problems.first().map(|problem| problem.message.as_str());
        assert!(told.is_some_and(|told| told.contains(expected)), "{told:?}");
    }
}

#[test]
fn unset_variables_are_told_with_their_place() {
    let mut root = yaml::parse(
        "a:\n  - ${env:NO}\n  - x${NEITHER}y\n  - ${env:HOST}\n",
        &"c.yaml".into(),
    )
    .unwrap();
    let unset: Vec<_> = expand(&mut root, &env)
        .unset
        .into_iter()
        .map(|unset| (unset.path.to_string(), unset.variable))
        .collect();
    assert_eq!(
        unset,
        [("a[0]", "NO"), ("a[1]", "NEITHER")].map(|(path, name)| (path.into(), name.into()))
    );
}

#[test]
fn keys_are_not_expanded() {
    let mut root = yaml::parse("'${HOST}': 1\n", &"c.yaml".into()).unwrap();
    expand(&mut root, &env);
    assert!(root.get("${HOST}").is_some());
}
