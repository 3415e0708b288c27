//! What providers' message parts become: in JSON, in JSON texts in JSON texts, and as kvlists.

use slimspan_artifact::{Digest, Form};
use slimspan_proto::Signal::Traces;

use crate::request::*;
use crate::shapes::{index_object, node_buffer, unquoted};

/// A part as its SDK writes it, and what is left of it in three forms.
///
/// In the value `BASE64` is a picture, `UNSHOWN` bytes that show nothing, `INDEX`, `BUFFER` and
/// `REPR` the picture in other ways. In what is left, `URI` and `OTHER` are where the picture and
/// the bytes are, without extension, `SHA` is a digest and `KIND` what the object calls itself.
struct Part {
    name: &'static str,
    value: &'static str,
    native: &'static str,
    /// Also as an attribute that is renamed, which a part of a text is not.
    uri: &'static str,
    object: &'static str,
}

/// The same as in the form before.
const SAME: &str = "";

const SIZE: usize = 1_200;

const PARTS: [Part; 29] = [
    Part {
        name: "a blob",
        value: r#"[{"type":"blob","mime_type":"image/png","modality":"image","content":"BASE64"}]"#,
        native: r#"[{"type":"uri","mime_type":"image/png","modality":"image","uri":"URI.png?as=base64&part=genai.0..b55.b6"}]"#,
        uri: r#"[{"type":"blob","mime_type":"image/png","modality":"image","content":"URI.png?as=base64"}]"#,
        object: r#"[{"type":"blob","mime_type":"image/png","modality":"image","content":{"type":"KIND","sha256":"SHA","content_type":"image/png","size_bytes":1200,"uri":"URI.png","encoding":"base64"}}]"#,
    },
    Part {
        name: "a blob whose type is last",
        value: r#"{"content":"BASE64","modality":"image","type":"blob"}"#,
        native: r#"{"mime_type":"image/png","uri":"URI.png?as=base64&part=genai.0.t.a29.b6","modality":"image","type":"uri"}"#,
        uri: r#"{"content":"URI.png?as=base64","modality":"image","type":"blob"}"#,
        object: r#"{"content":{"type":"KIND","sha256":"SHA","content_type":"image/png","size_bytes":1200,"uri":"URI.png","encoding":"base64"},"modality":"image","type":"blob"}"#,
    },
    Part {
        name: "Pydantic AI",
        value: r#"[{"type":"binary","media_type":"image/png","content":"BASE64"}]"#,
        native: r#"[{"type":"uri","media_type":"image/png","mime_type":"image/png","modality":"image","uri":"URI.png?as=base64&part=genai.2.tm.b80.b6"}]"#,
        uri: r#"[{"type":"binary","media_type":"image/png","content":"URI.png?as=base64"}]"#,
        object: r#"[{"type":"binary","media_type":"image/png","content":{"type":"KIND","sha256":"SHA","content_type":"image/png","size_bytes":1200,"uri":"URI.png","encoding":"base64"}}]"#,
    },
    Part {
        name: "Google ADK",
        value: r#"{"type":"blob","mime_type":"image/png","data":"BASE64"}"#,
        native: r#"{"type":"uri","mime_type":"image/png","modality":"image","uri":"URI.png?as=base64&part=genai.1.m.b55.b6"}"#,
        uri: r#"{"type":"blob","mime_type":"image/png","data":"URI.png?as=base64"}"#,
        object: r#"{"type":"blob","mime_type":"image/png","data":{"type":"KIND","sha256":"SHA","content_type":"image/png","size_bytes":1200,"uri":"URI.png","encoding":"base64"}}"#,
    },
    Part {
        name: "a blob of nothing known",
        value: r#"{"type":"blob","mime_type":"audio/wav","content":"UNSHOWN"}"#,
        native: r#"{"type":"uri","mime_type":"audio/wav","modality":"audio","uri":"OTHER.wav?as=base64&part=genai.0.m.b55.b6"}"#,
        uri: r#"{"type":"blob","mime_type":"audio/wav","content":"OTHER.wav?as=base64"}"#,
        object: r#"{"type":"blob","mime_type":"audio/wav","content":{"type":"KIND","sha256":"SHA","content_type":"audio/wav","size_bytes":1200,"uri":"OTHER.wav","encoding":"base64"}}"#,
    },
    Part {
        name: "a data URI in a blob",
        value: r#"{"type":"blob","modality":"document","content":"data:application/pdf;base64,UNSHOWN"}"#,
        native: r#"{"type":"uri","modality":"document","mime_type":"application/pdf","uri":"OTHER.bin?as=base64&prefix=data%3Aapplication%2Fpdf%3Bbase64%2C&part=genai.0.t.b64.b6"}"#,
        uri: r#"{"type":"blob","modality":"document","content":"OTHER.bin?as=base64&prefix=data%3Aapplication%2Fpdf%3Bbase64%2C"}"#,
        object: r#"{"type":"blob","modality":"document","content":{"type":"KIND","sha256":"SHA","content_type":"application/pdf","sniffed_type":"application/octet-stream","size_bytes":1200,"uri":"OTHER.bin","encoding":"data-uri"}}"#,
    },
    Part {
        name: "a data URI in a uri part",
        value: r#"{"type":"uri","modality":"image","uri":"data:image/png;base64,BASE64"}"#,
        native: r#"{"type":"uri","modality":"image","mime_type":"image/png","uri":"URI.png?as=data-uri&part=genai.4.t.b55.b6"}"#,
        uri: r#"{"type":"uri","modality":"image","uri":"URI.png"}"#,
        object: r#"{"type":"uri","modality":"image","uri":{"type":"KIND","sha256":"SHA","content_type":"image/png","size_bytes":1200,"uri":"URI.png","encoding":"data-uri"}}"#,
    },
    Part {
        name: "a whole uri part",
        value: r#"{"type":"uri","mime_type":"image/png","modality":"image","uri":"data:image/png;base64,BASE64"}"#,
        native: r#"{"type":"uri","mime_type":"image/png","modality":"image","uri":"URI.png"}"#,
        uri: SAME,
        object: r#"{"type":"uri","mime_type":"image/png","modality":"image","uri":{"type":"KIND","sha256":"SHA","content_type":"image/png","size_bytes":1200,"uri":"URI.png","encoding":"data-uri"}}"#,
    },
    Part {
        name: "Anthropic",
        value: r#"{"type":"image","source":{"type":"base64","media_type":"image/png","data":"BASE64"}}"#,
        native: r#"{"type":"image","source":{"type":"url","media_type":"image/png","url":"URI.png?as=base64&part=anthropic.0..b37.b6"}}"#,
        uri: r#"{"type":"image","source":{"type":"base64","media_type":"image/png","data":"URI.png?as=base64"}}"#,
        object: r#"{"type":"image","source":{"type":"base64","media_type":"image/png","data":{"type":"KIND","sha256":"SHA","content_type":"image/png","size_bytes":1200,"uri":"URI.png","encoding":"base64"}}}"#,
    },
    Part {
        name: "an Anthropic document",
        value: r#"{"type":"document","title":"a.pdf","source":{"data":"UNSHOWN","media_type":"text/csv","type":"base64"}}"#,
        native: r#"{"type":"document","title":"a.pdf","source":{"url":"OTHER.csv?as=base64&part=anthropic.0..a34.b6","media_type":"text/csv","type":"url"}}"#,
        uri: r#"{"type":"document","title":"a.pdf","source":{"data":"OTHER.csv?as=base64","media_type":"text/csv","type":"base64"}}"#,
        object: r#"{"type":"document","title":"a.pdf","source":{"data":{"type":"KIND","sha256":"SHA","content_type":"text/csv","size_bytes":1200,"filename":"a.pdf","uri":"OTHER.csv","encoding":"base64"},"media_type":"text/csv","type":"base64"}}"#,
    },
    Part {
        name: "Gemini",
        value: r#"{"inline_data":{"mime_type":"image/png","data":"BASE64"}}"#,
        native: r#"{"file_data":{"mime_type":"image/png","file_uri":"URI.png?as=base64&part=gemini.0..b48.b11"}}"#,
        uri: r#"{"inline_data":{"mime_type":"image/png","data":"URI.png?as=base64"}}"#,
        object: r#"{"inline_data":{"mime_type":"image/png","data":{"type":"KIND","sha256":"SHA","content_type":"image/png","size_bytes":1200,"uri":"URI.png","encoding":"base64"}}}"#,
    },
    Part {
        name: "Gemini in JavaScript",
        value: r#"{"inlineData":{"data":"BASE64","mimeType":"image/png"}}"#,
        native: r#"{"fileData":{"fileUri":"URI.png?as=base64&part=gemini.1..b22.b10","mimeType":"image/png"}}"#,
        uri: r#"{"inlineData":{"data":"URI.png?as=base64","mimeType":"image/png"}}"#,
        object: r#"{"inlineData":{"data":{"type":"KIND","sha256":"SHA","content_type":"image/png","size_bytes":1200,"uri":"URI.png","encoding":"base64"},"mimeType":"image/png"}}"#,
    },
    Part {
        name: "OpenAI chat",
        value: r#"{"type":"image_url","image_url":{"url":"data:image/png;base64,BASE64"}}"#,
        native: r#"{"type":"image_url","image_url":{"url":"URI.png"}}"#,
        uri: SAME,
        object: r#"{"type":"image_url","image_url":{"url":{"type":"KIND","sha256":"SHA","content_type":"image/png","size_bytes":1200,"uri":"URI.png","encoding":"data-uri"}}}"#,
    },
    Part {
        name: "OpenAI responses",
        value: r#"{"type":"input_image","image_url":"data:image/png;base64,BASE64"}"#,
        native: r#"{"type":"input_image","image_url":"URI.png"}"#,
        uri: SAME,
        object: r#"{"type":"input_image","image_url":{"type":"KIND","sha256":"SHA","content_type":"image/png","size_bytes":1200,"uri":"URI.png","encoding":"data-uri"}}"#,
    },
    Part {
        name: "OpenAI audio",
        value: r#"{"type":"input_audio","input_audio":{"data":"UNSHOWN","format":"wav"}}"#,
        native: r#"{"type":"input_audio","input_audio":{"data":"OTHER.wav?as=base64","format":"wav"}}"#,
        uri: SAME,
        object: r#"{"type":"input_audio","input_audio":{"data":{"type":"KIND","sha256":"SHA","content_type":"audio/wav","size_bytes":1200,"uri":"OTHER.wav","encoding":"base64"},"format":"wav"}}"#,
    },
    Part {
        name: "an OpenAI file",
        value: r#"{"type":"file","file":{"filename":"a.pdf","file_data":"data:application/pdf;base64,UNSHOWN"}}"#,
        native: r#"{"type":"file","file":{"filename":"a.pdf","file_data":"OTHER.bin?as=base64&prefix=data%3Aapplication%2Fpdf%3Bbase64%2C"}}"#,
        uri: SAME,
        object: r#"{"type":"file","file":{"filename":"a.pdf","file_data":{"type":"KIND","sha256":"SHA","content_type":"application/pdf","sniffed_type":"application/octet-stream","size_bytes":1200,"filename":"a.pdf","uri":"OTHER.bin","encoding":"data-uri"}}}"#,
    },
    Part {
        name: "OpenAI images",
        value: r#"{"data":[{"b64_json":"UNSHOWN"}],"output_format":"webp"}"#,
        native: r#"{"data":[{"b64_json":"OTHER.bin?as=base64"}],"output_format":"webp"}"#,
        uri: SAME,
        object: r#"{"data":[{"b64_json":{"type":"KIND","sha256":"SHA","content_type":"image/webp","sniffed_type":"application/octet-stream","size_bytes":1200,"uri":"OTHER.bin","encoding":"base64"}}],"output_format":"webp"}"#,
    },
    Part {
        name: "OpenAI audio in an answer",
        value: r#"{"message":{"audio":{"id":"a","data":"BASE64"}}}"#,
        native: r#"{"message":{"audio":{"id":"a","data":"URI.png?as=base64"}}}"#,
        uri: SAME,
        object: r#"{"message":{"audio":{"id":"a","data":{"type":"KIND","sha256":"SHA","content_type":"image/png","size_bytes":1200,"uri":"URI.png","encoding":"base64"}}}}"#,
    },
    Part {
        name: "an OpenAI tool's image",
        value: r#"{"type":"image_generation_call","result":"BASE64","output_format":"png"}"#,
        native: r#"{"type":"image_generation_call","result":"URI.png?as=base64","output_format":"png"}"#,
        uri: SAME,
        object: r#"{"type":"image_generation_call","result":{"type":"KIND","sha256":"SHA","content_type":"image/png","size_bytes":1200,"uri":"URI.png","encoding":"base64"},"output_format":"png"}"#,
    },
    Part {
        name: "LangChain",
        value: r#"{"type":"audio","base64":"UNSHOWN","mime_type":"audio/mpeg"}"#,
        native: r#"{"type":"audio","base64":"OTHER.mp3?as=base64","mime_type":"audio/mpeg"}"#,
        uri: SAME,
        object: r#"{"type":"audio","base64":{"type":"KIND","sha256":"SHA","content_type":"audio/mpeg","size_bytes":1200,"uri":"OTHER.mp3","encoding":"base64"},"mime_type":"audio/mpeg"}"#,
    },
    Part {
        name: "a LangChain file",
        value: r#"{"type":"file","data":"UNSHOWN","source_type":"base64","mime_type":"text/csv","filename":"a.csv"}"#,
        native: r#"{"type":"file","data":"OTHER.csv?as=base64","source_type":"base64","mime_type":"text/csv","filename":"a.csv"}"#,
        uri: SAME,
        object: r#"{"type":"file","data":{"type":"KIND","sha256":"SHA","content_type":"text/csv","size_bytes":1200,"filename":"a.csv","uri":"OTHER.csv","encoding":"base64"},"source_type":"base64","mime_type":"text/csv","filename":"a.csv"}"#,
    },
    Part {
        name: "a Vercel file",
        value: r#"{"type":"file","mediaType":"text/csv","data":"UNSHOWN","filename":"a.csv"}"#,
        native: r#"{"type":"file","mediaType":"text/csv","data":"OTHER.csv?as=base64","filename":"a.csv"}"#,
        uri: SAME,
        object: r#"{"type":"file","mediaType":"text/csv","data":{"type":"KIND","sha256":"SHA","content_type":"text/csv","size_bytes":1200,"filename":"a.csv","uri":"OTHER.csv","encoding":"base64"},"filename":"a.csv"}"#,
    },
    Part {
        name: "a Vercel image",
        value: r#"{"type":"image","image":"BASE64","mediaType":"image/png"}"#,
        native: r#"{"type":"image","image":"URI.png?as=base64","mediaType":"image/png"}"#,
        uri: SAME,
        object: r#"{"type":"image","image":{"type":"KIND","sha256":"SHA","content_type":"image/png","size_bytes":1200,"uri":"URI.png","encoding":"base64"},"mediaType":"image/png"}"#,
    },
    Part {
        name: "Vercel with an array",
        value: r#"{"type":"image","image":INDEX}"#,
        native: r#"{"type":"image","image":"URI.png?as=index-object&quotes"}"#,
        uri: SAME,
        object: r#"{"type":"image","image":{"type":"KIND","sha256":"SHA","content_type":"image/png","size_bytes":1200,"uri":"URI.png","encoding":"index-object"}}"#,
    },
    Part {
        name: "Vercel with a buffer",
        value: r#"{"type":"file","data":BUFFER,"mediaType":"image/png"}"#,
        native: r#"{"type":"file","data":"URI.png?as=node-buffer&quotes","mediaType":"image/png"}"#,
        uri: SAME,
        object: r#"{"type":"file","data":{"type":"KIND","sha256":"SHA","content_type":"image/png","size_bytes":1200,"uri":"URI.png","encoding":"node-buffer"},"mediaType":"image/png"}"#,
    },
    Part {
        name: "logfire",
        value: r#"{"raw":"REPR"}"#,
        native: r#"{"raw":"URI.png?as=python-repr-unquoted&esc=%5C.%5C%5C&esc=%22.%5C%22"}"#,
        uri: SAME,
        object: r#"{"raw":{"type":"KIND","sha256":"SHA","content_type":"image/png","size_bytes":1200,"uri":"URI.png","encoding":"python-repr-unquoted&esc=%5C.%5C%5C&esc=%22.%5C%22"}}"#,
    },
    Part {
        name: "LlamaIndex",
        value: r#"{"messages":["user: ChatMessage(blocks=[ImageBlock(image=b'BASE64', path=None)])"]}"#,
        native: r#"{"messages":["user: ChatMessage(blocks=[ImageBlock(image=b'URI.png?as=base64', path=None)])"]}"#,
        uri: SAME,
        object: SAME,
    },
    Part {
        name: "a lone string",
        value: r#""data:image/png;base64,BASE64""#,
        native: r#""URI.png""#,
        uri: SAME,
        object: r#"{"type":"KIND","sha256":"SHA","content_type":"image/png","size_bytes":1200,"uri":"URI.png","encoding":"data-uri&literal"}"#,
    },
    Part {
        name: "JSON Lines",
        value: r#"{"a":"BASE64"}
{"b":{"data":"UNSHOWN","mime":"audio/wav"}}"#,
        native: r#"{"a":"URI.png?as=base64"}
{"b":{"data":"OTHER.wav?as=base64","mime":"audio/wav"}}"#,
        uri: SAME,
        object: r#"{"a":{"type":"KIND","sha256":"SHA","content_type":"image/png","size_bytes":1200,"uri":"URI.png","encoding":"base64"}}
{"b":{"data":{"type":"KIND","sha256":"SHA","content_type":"audio/wav","size_bytes":1200,"uri":"OTHER.wav","encoding":"base64"},"mime":"audio/wav"}}"#,
    },
];

impl Part {
    fn value(&self) -> String {
        let file = png(SIZE);
        self.value
            .replace("BASE64", &base64(&file))
            .replace("UNSHOWN", &base64(&prose(SIZE)))
            .replace("INDEX", &index_object(&file))
            .replace("BUFFER", &node_buffer(&file))
            .replace("REPR", &escaped(&unquoted(&file)))
    }

    fn left(&self, form: Form) -> String {
        let or = |text: &'static str, same| if text == SAME { same } else { text };
        let uri = or(self.uri, self.native);
        let (left, kind) = match form {
            Form::Native => (self.native, ""),
            Form::Uri | Form::Semconv => (uri, ""),
            Form::Object => (or(self.object, uri), "artifact"),
            // Its schema says that this is a string.
            Form::Logfire if self.name == "logfire" => (uri, ""),
            Form::Logfire => (or(self.object, uri), "logfire.artifact"),
        };
        let left = left.replace("KIND", kind);
        let shown = !left.contains("OTHER");
        let (file, unshown) = (png(SIZE), prose(SIZE));
        let uri = |file: &[u8]| format!("{PUBLIC}/artifacts/{}", Digest::of(file));
        let left = left
            .replace("URI", &uri(&file))
            .replace("OTHER", &uri(&unshown));
        // Only JSON Lines have both, the picture first.
        let first = if shown || self.value.contains("BASE64") {
            &file
        } else {
            &unshown
        };
        left.replacen("SHA", &Digest::of(first).to_string(), 1)
            .replace("SHA", &Digest::of(&unshown).to_string())
    }
}

#[test]
fn parts_in_json() {
    for part in &PARTS {
        for one in FORMS {
            let left = slim_text(part.value(), &form(one));
            assert_eq!(left, part.left(one), "{} as {one:?}", part.name);
        }
    }
}

/// `text` as a string in JSON, so many times.
fn wrap(text: &str, times: usize) -> String {
    let wrap = |text: String, _| format!(r#"{{"body":"{}","n":1}}"#, escaped(&text));
    (0..times).fold(text.to_owned(), wrap)
}

/// Undoes [`wrap`].
fn unwrap(text: &str, times: usize) -> String {
    let unwrap = |text: String, _| {
        let mut json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["n"], 1);
        let serde_json::Value::String(body) = json["body"].take() else {
            panic!("no text in {text}");
        };
        body
    };
    (0..times).fold(text.to_owned(), unwrap)
}

/// The text without what its URIs say of the text around them, which is another at every level.
fn without_way_back(text: &str) -> String {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "%.".contains(c);
    let mut parts = text.split_inclusive(['=', '&']);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let drops = out.ends_with("&esc=") || out.ends_with("&part=");
        out += if drops {
            part.trim_start_matches(is_token)
        } else {
            part
        };
    }
    out.replace("&esc=", "")
        .replace("&part=", "")
        .replace("&literal", "")
}

/// Whoever reads the inner text finds the same in it, however deep it is.
#[test]
fn parts_in_json_texts_in_json_texts() {
    for part in &PARTS {
        for times in [1, 2] {
            for one in FORMS {
                let value = wrap(&part.value(), times);
                let left = unwrap(&slim_text(&value, &form(one)), times);
                let expected = part.left(one);
                assert_eq!(
                    without_way_back(&left),
                    without_way_back(&expected),
                    "{} as {one:?} at level {}",
                    part.name,
                    times + 1
                );
            }
        }
    }
}

/// Serializers for the web write quotes as numbers.
#[test]
fn parts_in_json_texts_with_quotes_as_numbers() {
    // Byte arrays are not looked for behind such quotes.
    let is_text = |part: &&Part| !part.value.contains("INDEX") && !part.value.contains("BUFFER");
    for part in PARTS.iter().filter(is_text) {
        let value = part.value();
        let inner = escaped(&value).replace("\\\"", "\\u0022");
        let text = format!(r#"{{"body":"{inner}","n":1}}"#);
        for one in [Form::Native, Form::Uri, Form::Semconv] {
            let left = unwrap(&slim_text(&text, &form(one)), 1);
            assert_eq!(
                without_way_back(&left),
                without_way_back(&part.left(one)),
                "{} as {one:?}",
                part.name
            );
        }
        // What stands in place of a string with such quotes is a string.
        for one in [Form::Object, Form::Logfire] {
            slim_text(&text, &form(one));
        }
    }
}

#[test]
fn a_part_in_a_text_in_a_text_to_the_byte() {
    let file = png(SIZE);
    let value = format!(
        r#"{{"body":"{{\"type\":\"blob\",\"content\":\"{}\"}}"}}"#,
        base64(&file)
    );
    let uri = address(&file, "png");
    let left = format!(
        r#"{{"body":"{{\"type\":\"uri\",\"mime_type\":\"image/png\",\"modality\":\"image\",\"uri\":\"{uri}?as=base64&part=genai.0.tm.b67.b8\"}}"}}"#
    );
    assert_eq!(slim_text(&value, &policy()), left);
}

#[test]
fn parts_in_lists() {
    let file = png(SIZE);
    let uri = address(&file, "png");
    let [blob, link, png] = ["blob", "uri", "image/png"].map(string);
    let image = string("image");
    let data = string(format!("data:image/png;base64,{}", base64(&file)));
    for (value, left) in [
        (
            list(&[
                ("mime_type", png.clone()),
                ("modality", image.clone()),
                ("content", bytes(&file)),
                ("type", blob.clone()),
            ]),
            list(&[
                ("mime_type", png.clone()),
                ("modality", image.clone()),
                ("uri", string(format!("{uri}?as=bytes&part=genai.0."))),
                ("type", link.clone()),
            ]),
        ),
        (
            list(&[
                ("type", string("binary")),
                ("data", bytes(&file)),
                ("n", number(7)),
            ]),
            list(&[
                ("type", link.clone()),
                ("mime_type", png.clone()),
                ("modality", image.clone()),
                ("uri", string(format!("{uri}?as=bytes&part=genai.3.tm"))),
                ("n", number(7)),
            ]),
        ),
        (
            list(&[
                ("type", link.clone()),
                ("mime_type", png.clone()),
                ("uri", data),
            ]),
            list(&[
                ("type", link),
                ("mime_type", png.clone()),
                ("modality", image),
                ("uri", string(format!("{uri}?as=data-uri&part=genai.4.m"))),
            ]),
        ),
        (
            // The part says more than is known of such parts.
            list(&[
                ("type", blob.clone()),
                ("content", bytes(&file)),
                ("uri", png.clone()),
            ]),
            list(&[
                ("type", blob),
                ("content", string(format!("{uri}?as=bytes"))),
                ("uri", png),
            ]),
        ),
        (
            // The key of a list stands outside of it.
            list(&[("inline_data", list(&[("data", bytes(&file))]))]),
            list(&[(
                "inline_data",
                list(&[("data", string(format!("{uri}?as=bytes")))]),
            )]),
        ),
        (
            list(&[(
                "source",
                list(&[("type", string("base64")), ("data", string(base64(&file)))]),
            )]),
            list(&[(
                "source",
                list(&[
                    ("type", string("url")),
                    ("url", string(format!("{uri}?as=base64&part=anthropic.0."))),
                ]),
            )]),
        ),
    ] {
        let messages =
            |part: &Vec<u8>| array(&[list(&[("parts", array(std::slice::from_ref(part)))])]);
        let request = span(&[(KEY, messages(&value))]);
        let extraction = slim(Traces, &request, &policy());
        assert_eq!(extraction.request, span(&[(KEY, messages(&left))]));
        assert_eq!(digests(&extraction), [Digest::of(&file)]);
        for one in FORMS {
            assert_eq!(slim(Traces, &request, &form(one)).moves.len(), 1, "{one:?}");
        }
    }
}
