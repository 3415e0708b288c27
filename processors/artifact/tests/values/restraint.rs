//! What only looks like a file, and what others have moved already, stays to the byte.

use slimspan_generators::Random;
use slimspan_proto::Signal::{Logs, Traces};

use crate::request::*;

/// Longer than every threshold.
const LONG: usize = 8 * THRESHOLD;

/// As an attribute, a string in JSON, in JSON in JSON, and a member of a kvlist.
fn assert_stays(key: &str, value: &str) {
    let json = format!(r#"{{"{key}":"{}"}}"#, escaped(value));
    let twice = format!(r#"[{{"a":"{}"}}]"#, escaped(&json));
    let member = list(&[(key, string(value))]);
    for request in [
        span(&[(key, string(value))]),
        span(&[("input.value", string(value))]),
        span(&[("input.value", string(format!(r#"["{}"]"#, escaped(value))))]),
        span(&[("input.value", string(json))]),
        span(&[("input.value", string(twice))]),
        span(&[("input.value", member.clone())]),
        span(&[("input.value", array(&[member.clone(), string(value)]))]),
    ] {
        assert_untouched(Traces, &request, &format!("{key}: {value:.60}"));
    }
    assert_untouched(Logs, &log_body(&string(value)), key);
    assert_untouched(Logs, &log_body(&member), key);
}

#[test]
fn look_alikes_stay() {
    let mut random = Random::new(1);
    let mut secret = || {
        let mut bytes = random.bytes(LONG);
        bytes[0] = 0x80;
        bytes
    };
    let url = |bytes: &[u8]| base64(bytes).replace('+', "-").replace('/', "_");
    let mut letters = Random::new(2);
    let mut letters = |alphabet: &[u8]| -> String {
        (0..LONG)
            .map(|_| char::from(letters.pick(alphabet)))
            .collect()
    };
    let floats: Vec<String> = (0..1_536).map(|n| format!("-0.0{n}")).collect();
    let small: Vec<String> = (0..1_536).map(|n| (n % 200).to_string()).collect();
    let vector: Vec<u8> = (0..1_536_u16)
        .flat_map(|n| (f32::from(n) / 1e5 + 1e-3).to_le_bytes())
        .collect();
    let claims = base64(&secret()).replace(['+', '/', '='], "");
    let pem = base64(&secret());
    let pem: Vec<_> = pem
        .as_bytes()
        .chunks(64)
        .map(String::from_utf8_lossy)
        .collect();
    let gzip = [b"\x1f\x8b\x08\0", &secret()[..]].concat();
    for (key, value) in [
        (
            "encrypted_content",
            format!("gAAAAAB{}", &url(&secret())[7..]),
        ),
        ("content", format!("gAAAAAB{}", &url(&secret())[7..])),
        ("signature", base64(&secret())),
        ("data", base64(&secret())),
        ("thoughtSignature", url(&secret())),
        ("thought_signature", base64(&secret())),
        ("embedding", format!("[{}]", floats.join(","))),
        ("value", format!("[{}]", floats.join(","))),
        ("value", format!("[{}]", small.join(","))),
        ("vector", base64(&vector)),
        ("value", base64(&vector)),
        (
            "authorization",
            format!("Bearer eyJhbGciOiJIUzI1NiJ9.{claims}.{claims}"),
        ),
        ("value", format!("eyJhbGciOiJIUzI1NiJ9.{claims}.{claims}")),
        ("ids", letters(b"0123456789abcdef")),
        ("digits", letters(b"0123456789")),
        ("dna", letters(b"ACGT")),
        ("letters", letters(b"ABCDEFGHabcdefgh")),
        ("word", "word".repeat(LONG / 4)),
        ("a", "A".repeat(LONG)),
        (
            "path",
            "/usr/lib/SomeModule/AnotherModule".repeat(LONG / 32),
        ),
        ("gzip", base64(&gzip)),
        ("cookie", base64(&gzip)),
        ("prose", base64("as text\n".repeat(THRESHOLD).as_bytes())),
        ("json", base64(format!("[{}]", small.join(",")).as_bytes())),
        (
            "svg",
            base64(
                "<svg xmlns='http://www.w3.org/2000/svg'/>"
                    .repeat(99)
                    .as_bytes(),
            ),
        ),
        (
            "pem",
            format!(
                "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
                pem.join("\n")
            ),
        ),
        (
            "style",
            format!("data:image/svg+xml;utf8,<svg>{}</svg>", "<g/>".repeat(LONG)),
        ),
        (
            "style",
            format!("data:text/plain,{}", "hello%20".repeat(LONG)),
        ),
        (
            "latin1",
            png(LONG).iter().map(|byte| char::from(*byte)).collect(),
        ),
    ] {
        assert_stays(key, &value);
    }
}

#[test]
fn what_others_have_moved_stays() {
    let artifact = format!(
        r#"{{"type":"logfire.artifact","sha256":"{}","content_type":"image/png","size_bytes":21828,"filename":"gen_s.png"}}"#,
        "0a".repeat(32)
    );
    let nameless = artifact.replace(r#","filename":"gen_s.png""#, "");
    let long = "A".repeat(LONG);
    for value in [
        "@@@langfuseMedia:type=image/png|id=ABCDEFGHIJKLMNOPQRSTUV|source=base64_data_uri@@@",
        "mlflow-attachment://123e4567-e89b-12d3-a456-426614174000?content_type=image%2Fpng&size=3",
        &artifact,
        &nameless,
        "https://example.com/picture.png",
        "http://example.com/picture.png",
        "gs://bucket/picture.png",
        "s3://bucket/picture.png",
        "__REDACTED__",
        "<replaced>",
        "[Scrubbed due to 'auth']",
        "<not serializable bytes>",
        "<inline_data: image/png, 21828 bytes>",
        "[input-attachment-1.png]",
    ] {
        assert_stays("content", value);
        assert_stays("gen_ai.input.messages_ref", value);
        // Also where it is longer than any threshold.
        for more in [
            format!("{value}?{long}"),
            format!("{value} ").repeat(LONG / value.len()),
        ] {
            assert_stays("content", &more);
        }
        let link = list(&[
            ("type", string("uri")),
            ("mime_type", string("image/png")),
            ("uri", string(format!("{value}?{long}"))),
        ]);
        assert_untouched(Traces, &span(&[(KEY, link)]), value);
    }
    assert_stays(
        "gen_ai.input.messages_ref",
        &format!("https://example.com/{long}.json"),
    );
}
