use super::*;

fn of(error: object_store::Error, action: Action) -> StoreError {
    StoreError::from_client("s3://media".into(), action, Digest::of(b"abc"), error)
}

fn generic(error: impl Error + Send + Sync + 'static) -> object_store::Error {
    object_store::Error::Generic {
        store: "S3",
        source: Box::new(error),
    }
}

fn missing() -> object_store::Error {
    object_store::Error::NotFound {
        path: "key".to_owned(),
        source: "NoSuchBucket".into(),
    }
}

#[test]
fn each_cause_has_its_kind() {
    use std::io::{Error as Io, ErrorKind};
    let full = generic(Io::from(ErrorKind::StorageFull));
    assert!(matches!(
        of(full, Action::Put),
        StoreError::Unavailable { .. }
    ));
    let forbidden = generic(Io::from(ErrorKind::PermissionDenied));
    assert!(matches!(
        of(forbidden, Action::Put),
        StoreError::Denied { .. }
    ));
    assert!(matches!(
        of(missing(), Action::Get),
        StoreError::NotFound { .. }
    ));
    assert!(matches!(
        of(missing(), Action::Put),
        StoreError::Misconfigured { .. }
    ));
    let skewed = object_store::Error::PermissionDenied {
        path: "key".to_owned(),
        source: "<Code>RequestTimeTooSkewed</Code>".into(),
    };
    assert!(matches!(
        of(skewed, Action::Put),
        StoreError::ClockSkew { .. }
    ));
}

#[test]
fn what_passes_is_an_outage() {
    use std::io::{Error as Io, ErrorKind};
    for (kind, is) in [
        (ErrorKind::ConnectionRefused, true),
        (ErrorKind::ConnectionReset, true),
        (ErrorKind::TimedOut, true),
        (ErrorKind::StorageFull, false),
        (ErrorKind::PermissionDenied, false),
        (ErrorKind::Other, false),
    ] {
        let error = of(generic(Io::from(kind)), Action::Put);
        assert_eq!(error.is_outage(), is, "{kind}");
    }
    assert!(!of(missing(), Action::Put).is_outage());
}

#[test]
fn causes_that_an_error_keeps_to_itself_are_told() {
    #[derive(Debug, thiserror::Error)]
    #[error("error sending request")]
    struct Taciturn(#[source] std::io::Error);

    let refused = Taciturn(std::io::ErrorKind::ConnectionRefused.into());
    let text = of(generic(refused), Action::Put).to_string();
    assert!(
        text.ends_with(": Generic S3 error: error sending request: connection refused"),
        "{text}"
    );
}

#[test]
fn a_long_answer_becomes_one_short_line() {
    let message = "x".repeat(10_000);
    let page = format!("<Error>\n  <Code>é</Code>\n <Message>{message}</Message></Error>");
    let text = of(generic(std::io::Error::other(page)), Action::Put).to_string();
    assert!(
        text.starts_with("s3://media failed to put artifact ba7816bf"),
        "{text}"
    );
    assert!(text.contains(": Code: é, Message: xxx"), "{text}");
    assert!(text.len() < 800 && !text.contains('\n'), "{text}");
}

/// As stores answer that do not like a signature.
#[test]
fn what_a_store_repeats_of_credentials_is_not_told() {
    let page = "<Error><Code>SignatureDoesNotMatch</Code><StringToSign>c4n4ry</StringToSign>\
        <CanonicalRequest>x-amz-security-token:c4n4ry</CanonicalRequest><Key>ab/cd</Key></Error>";
    let answer = format!("PUT https://a.blob/k?sig=c4n4ry in 3ms - 403 Forbidden: {page}");
    let text = of(generic(std::io::Error::other(answer)), Action::Put).to_string();
    assert!(!text.contains("c4n4ry"), "{text}");
    for part in [
        "403 Forbidden",
        "SignatureDoesNotMatch",
        "ab/cd",
        "https://a.blob/k?",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}
