//! What an answer of a store says, without what would let others act in our name: stores repeat what they were
//! sent when they do not like its signature, and some URLs are credentials themselves.

use serde_json::Value;

/// What stands in the place of what is not told.
const HIDDEN: &str = "[REDACTED]";

/// The elements of an answer that say what is wrong, and with what. Others have signatures, tokens and the
/// requests that were signed.
const ELEMENTS: [&str; 6] = [
    "Code",
    "Message",
    "Key",
    "BucketName",
    "Resource",
    "RequestId",
];

/// The same of an answer in JSON.
const MEMBERS: [&str; 6] = [
    "code",
    "status",
    "reason",
    "error",
    "message",
    "error_description",
];

/// What ends right before a credential.
const BEFORE: [&str; 9] = [
    "signature=",
    "sig=",
    "credential=",
    "token=",
    "token:",
    "secret=",
    "password=",
    "accesskey=",
    "assertion=",
];

/// The text on one line, with the parts of an answer in it that may be told, and without credentials.
pub(super) fn redacted(text: &str) -> String {
    match document(text).and_then(|at| text.split_at_checked(at)) {
        None => without_credentials(text),
        Some((before, document)) => {
            let said = if document.starts_with('<') {
                of_xml(document)
            } else {
                of_json(document)
            };
            let said = if said.is_empty() {
                format!("[{} bytes of its answer]", document.len())
            } else {
                said.join(", ")
            };
            without_credentials(&format!("{before}{said}"))
        }
    }
}

/// Where the text of an answer begins, if it has one.
fn document(text: &str) -> Option<usize> {
    let mut places = text.match_indices(['<', '{']);
    let found = places.find(|(at, begins)| {
        let rest = text.get(at + 1..).unwrap_or_default();
        if *begins == "{" {
            return rest.trim_start().starts_with('"');
        }
        let is_tag = |first: char| first.is_ascii_alphabetic() || matches!(first, '?' | '!');
        rest.starts_with(is_tag) && rest.contains('>')
    });
    found.map(|(at, _)| at)
}

fn of_xml(document: &str) -> Vec<String> {
    let mut said = Vec::new();
    let mut rest = document;
    while let Some((tag, content)) = rest
        .split_once('<')
        .and_then(|(_, after)| after.split_once('>'))
    {
        rest = content;
        let text = content.split('<').next().unwrap_or_default().trim();
        if ELEMENTS.contains(&tag) && !text.is_empty() {
            said.push(format!("{tag}: {text}"));
        }
    }
    said
}

fn of_json(document: &str) -> Vec<String> {
    let mut said = Vec::new();
    let mut values = serde_json::Deserializer::from_str(document).into_iter::<Value>();
    if let Some(Ok(value)) = values.next() {
        members(&value, &mut said);
    }
    said
}

fn members(value: &Value, said: &mut Vec<String>) {
    let object = value.as_object().into_iter().flatten();
    for (name, value) in object {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            other => {
                members(other, said);
                continue;
            }
        };
        let told = format!("{name}: {text}");
        if MEMBERS.contains(&name.as_str()) && !said.contains(&told) {
            said.push(told);
        }
    }
    for value in value.as_array().into_iter().flatten() {
        members(value, said);
    }
}

fn without_credentials(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    let mut hidden = 0_u8;
    for word in text.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        if hidden > 0 {
            hidden -= 1;
            line.push_str(HIDDEN);
            continue;
        }
        let (shown, is_cut, next) = shown(word);
        line.push_str(shown);
        if is_cut {
            line.push_str(HIDDEN);
        }
        hidden = next;
    }
    line
}

/// What of a word may be told, whether that is less than all of it, and how many words behind it are not.
fn shown(word: &str) -> (&str, bool, u8) {
    let lower = word.to_ascii_lowercase();
    // Where it is cut, all of it is before a character that is ASCII.
    let up_to = |at: usize, next: u8| {
        let shown = word.get(..at).unwrap_or_default();
        let is_cut = at < word.len();
        (
            shown,
            is_cut,
            if is_cut { next.saturating_sub(1) } else { next },
        )
    };
    if let Some((before, after)) = lower.split_once("://") {
        let begin = before.len() + 3;
        let host = after.find('/').unwrap_or(after.len());
        if after.get(..host).is_some_and(|host| host.contains('@')) {
            return up_to(begin, 0);
        }
        if let Some(query) = after.find('?') {
            return up_to(begin + query + 1, 0);
        }
    }
    for header in ["authorization:", "authorization="] {
        if let Some(at) = lower.find(header) {
            // A scheme, and what it goes with.
            return up_to(at + header.len(), 2);
        }
    }
    let marks = BEFORE
        .iter()
        .filter_map(|mark| Some(lower.find(mark)? + mark.len()));
    if let Some(at) = marks.min() {
        return up_to(at, 1);
    }
    let is_scheme = lower.trim_matches(|c: char| !c.is_ascii_alphanumeric()) == "bearer";
    (word, false, u8::from(is_scheme))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGNED: &str = "<?xml version=\"1.0\"?><Error><Code>SignatureDoesNotMatch</Code><Message>The request \
        signature does not match.</Message><AWSAccessKeyId>c4n4ry</AWSAccessKeyId><StringToSign>AWS4 c4n4ry\
        </StringToSign><SignatureProvided>c4n4ry</SignatureProvided><CanonicalRequest>PUT /k\n\
        x-amz-security-token:c4n4ry</CanonicalRequest><Key>ab/cd</Key><RequestId>7</RequestId></Error>";

    #[test]
    fn what_lets_others_act_is_not_told() {
        for (text, told) in [
            (
                format!("status code: 403 Forbidden: {SIGNED}"),
                "status code: 403 Forbidden: Code: SignatureDoesNotMatch, Message: The request signature does not \
                 match., Key: ab/cd, RequestId: 7",
            ),
            (
                "400: <Error><Code>ExpiredToken</Code><Token-0>c4n4ry</Token-0></Error>".to_owned(),
                "400: Code: ExpiredToken",
            ),
            (
                "403: <Error><Code>AuthenticationFailed</Code><AuthenticationErrorDetail>the MAC c4n4ry"
                    .to_owned(),
                "403: Code: AuthenticationFailed",
            ),
            (
                "502: <html><body>c4n4ry</body></html>".to_owned(),
                "502: [32 bytes of its answer]",
            ),
            (
                r#"400: {"error":{"code":403,"message":"no","errors":[{"message":"no","reason":"denied"}],"token":"c4n4ry"}}"#
                    .to_owned(),
                "400: code: 403, message: no, reason: denied",
            ),
            (
                r#"400: {"error":"invalid_grant","assertion":"c4n4ry"}"#.to_owned(),
                "400: error: invalid_grant",
            ),
            (
                r#"400: {"error":"c4n4"#.to_owned(),
                "400: [14 bytes of its answer]",
            ),
            (
                "Error performing PUT https://a.blob/c/k?sv=1&sig=c4n4ry in 3ms".to_owned(),
                "Error performing PUT https://a.blob/c/k?[REDACTED] in 3ms",
            ),
            (
                "from https://me:c4n4ry@host/path".to_owned(),
                "from https://[REDACTED]",
            ),
            (
                "with Authorization: AWS4-HMAC-SHA256 Credential=c4n4ry, Signature=c4n4ry said no".to_owned(),
                "with Authorization: [REDACTED] [REDACTED] Signature=[REDACTED] said no",
            ),
            (
                "with authorization:Bearer c4n4ry said no".to_owned(),
                "with authorization:[REDACTED] [REDACTED] said no",
            ),
            ("Bearer c4n4ry".to_owned(), "Bearer [REDACTED]"),
            (
                "x-amz-security-token:c4n4ry".to_owned(),
                "x-amz-security-token:[REDACTED]",
            ),
            ("sv=1&sig= c4n4ry".to_owned(), "sv=1&sig= [REDACTED]"),
        ] {
            let line = redacted(&text);
            assert_eq!(line, told, "{text}");
            assert!(!line.contains("c4n4ry"), "{line}");
        }
    }

    #[test]
    fn what_says_what_is_wrong_stays() {
        for text in [
            "Generic S3 error: error sending request: connection refused",
            "Object at location k not found: Error performing GET http://127.0.0.1:9000/b/k in 2ms",
            "the authorization header is malformed; the region 'us-east-1' is wrong",
            "a < b, and {} > x",
            "é: caf\u{e9}",
        ] {
            assert_eq!(redacted(text), text);
        }
    }
}
