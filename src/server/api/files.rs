//! The description of the other listener, where files themselves are read.

use utoipa::Modify;
use utoipa::openapi::path::{
    Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn,
};
use utoipa::openapi::{
    Content, HeaderBuilder, HttpMethod, Object, OpenApi, RefOr, Required, Response,
    SecurityRequirement, Server, Type,
};

use super::responses::{Responses, refusals, text};

/// The one route that is there, by whatever it is asked.
const ROUTES: [(&str, HttpMethod, &str); 4] = [
    ("/artifacts/{sha256}", HttpMethod::Get, "readFile"),
    ("/artifacts/{sha256}", HttpMethod::Head, "describeFile"),
    (
        "/{tenant}/artifacts/{sha256}",
        HttpMethod::Get,
        "readFileOfTenant",
    ),
    (
        "/{tenant}/artifacts/{sha256}",
        HttpMethod::Head,
        "describeFileOfTenant",
    ),
];

/// Where references lead, unless it is said otherwise.
const USUAL: &str = "http://127.0.0.1:4319";

/// What is there.
pub(super) struct Files;

impl Modify for Files {
    fn modify(&self, document: &mut OpenApi) {
        for (path, method, id) in ROUTES {
            let has_body = matches!(method, HttpMethod::Get);
            let operation = operation(path, id, has_body);
            (document.paths).add_path_operation(path, vec![method], operation);
        }
    }
}

fn operation(path: &str, id: &str, has_body: bool) -> Operation {
    let (summary, told) = if has_body {
        (
            "Read a file",
            "On the listener of files, which is another origin. The type comes from the first bytes. Bytes that do \
             not have the digest are never given: what is damaged is 500, or cut where that shows on the way.",
        )
    } else {
        (
            "Tell what reading a file would answer",
            "With the headers of that answer and nothing behind them. `Range` means nothing here. Of a file of more than \
             8 MiB only the beginning is looked at: whoever reads it is told if the rest is damaged.",
        )
    };
    let mut server = Server::new(USUAL);
    let place = "`endpoint` of the artifact_server, or its `public_url`";
    server.description = Some(place.to_owned());
    let none: [&str; 0] = [];
    let credentials = [
        SecurityRequirement::default(),
        SecurityRequirement::new("bearer", none),
        SecurityRequirement::new("basic", none),
    ];
    let mut operation = OperationBuilder::new()
        .tag("read")
        .summary(Some(summary))
        .description(Some(told))
        .operation_id(Some(id))
        .parameters(Some(parameters(path, has_body)))
        .securities(Some(credentials))
        .servers(Some([server]))
        .build();
    operation.responses.responses = responses(has_body);
    operation
}

fn parameters(path: &str, has_body: bool) -> Vec<Parameter> {
    use ParameterIn::{Header, Path, Query};

    let all = [
        ("tenant", Path, "Whose it is"),
        (
            "sha256",
            Path,
            "Its digest, behind which an extension may stand, and a `~`; neither changes anything",
        ),
        ("download", Query, "For a download; without a value"),
        (
            "raw",
            Query,
            "The file itself, also for who comes with a browser; without a value",
        ),
        (
            "exp",
            Query,
            "Of a signed link: the second of Unix time at which it ends",
        ),
        (
            "kid",
            Query,
            "Of a signed link: the key that it was signed with",
        ),
        (
            "sig",
            Query,
            "Of a signed link: the signature, over the file, `exp`, `kid` and `download`",
        ),
        (
            "Range",
            Header,
            "One part of it, in bytes; of several the whole comes",
        ),
        ("If-Range", Header, "The part only of this `ETag`"),
        ("If-Match", Header, "Only with this `ETag`"),
        ("If-None-Match", Header, "Only with another `ETag`"),
    ];
    let there = all.into_iter().filter(|(name, ..)| match *name {
        "tenant" => path.contains("{tenant}"),
        "Range" | "If-Range" => has_body,
        _ => true,
    });
    let described = there.map(|(name, place, told)| {
        let required = if matches!(place, Path) {
            Required::True
        } else {
            Required::False
        };
        ParameterBuilder::new()
            .name(name)
            .parameter_in(place)
            .description(Some(told))
            .required(required)
            .schema(Some(Object::with_type(Type::String)))
            .build()
    });
    described.collect()
}

fn responses(has_body: bool) -> Responses {
    const ETAG: (&str, &str) = ("ETag", "`\"sha256-<digest>\"`");
    const NAME: (&str, &str) = (
        "Content-Disposition",
        "Whether it is a download, and its name",
    );
    const PART: (&str, &str) = ("Content-Range", "Which part it is of how many bytes");
    const SIZE: (&str, &str) = ("Content-Range", "How many bytes there are");
    const PAGE: (&str, &str) = ("Location", "The page of the file");
    let mut responses = refusals();
    responses.extend([
        bytes("200", "The file", &[ETAG, NAME]),
        bytes("206", "A part of the file", &[ETAG, NAME, PART]),
        plain(
            "302",
            "A browser goes to the page of the file, unless it has a signed link, or asks for `raw` or `download`",
            &[PAGE],
        ),
        plain("304", "It is the one of `If-None-Match`", &[ETAG]),
        text("404", "There is no such file, or none that may be seen"),
        text("410", "It was deleted; the reason is told"),
        text("412", "It is not the one of `If-Match`"),
        with(text("416", "It has no such part"), &[SIZE]),
        text("500", "What is stored is damaged"),
        text("503", "It cannot be read at the moment; Retry-After says when to come back"),
    ]);
    if !has_body {
        responses.retain(|status, _| !matches!(status.as_str(), "206" | "416"));
        for response in responses.values_mut() {
            if let RefOr::T(response) = response {
                response.content.clear();
            }
        }
    }
    responses
}

/// What is answered with bytes of the file, as whatever they are.
fn bytes(status: &str, told: &str, headers: &[(&str, &str)]) -> (String, RefOr<Response>) {
    let (status, mut response) = plain(status, told, headers);
    if let RefOr::T(response) = &mut response {
        let content = RefOr::T(Content::default());
        response.content.insert("*/*".to_owned(), content);
    }
    (status, response)
}

fn plain(status: &str, told: &str, headers: &[(&str, &str)]) -> (String, RefOr<Response>) {
    let response = RefOr::T(Response::new(told));
    with((status.to_owned(), response), headers)
}

fn with(
    (status, mut response): (String, RefOr<Response>),
    headers: &[(&str, &str)],
) -> (String, RefOr<Response>) {
    if let RefOr::T(response) = &mut response {
        for (name, told) in headers {
            let header = HeaderBuilder::new().description(Some(*told)).build();
            let header = RefOr::T(header);
            response.headers.insert((*name).to_owned(), header);
        }
    }
    (status, response)
}
