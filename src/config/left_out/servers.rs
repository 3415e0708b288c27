//! Keys that every server of the Collector has, and that are left out where few ask for little: what says whether
//! slimspan is well, and the pages that show what passes.

const FIXED: &str =
    "who asks gets a short answer in a short time, whatever is configured; remove it";

/// The keys of its servers over HTTP and gRPC, and what to do instead of each.
const KEYS: [(&str, &str); 20] = [
    (
        "auth",
        "whoever can connect is answered; remove it, and listen where only those can who may ask, or have tls with a \
         client_ca_file",
    ),
    (
        "cors",
        "no page of another origin reads what is told here; remove it",
    ),
    (
        "include_metadata",
        "what is asked here goes to no backend; remove it",
    ),
    (
        "middlewares",
        "nothing stands before what is told here; remove it",
    ),
    (
        "response_headers",
        "answers have no headers of your own; remove it",
    ),
    ("compression_algorithms", FIXED),
    ("max_request_body_size", FIXED),
    ("read_timeout", FIXED),
    ("read_header_timeout", FIXED),
    ("write_timeout", FIXED),
    ("idle_timeout", FIXED),
    ("keep_alives_enabled", FIXED),
    ("max_recv_msg_size_mib", FIXED),
    ("max_concurrent_streams", FIXED),
    ("max_header_list_size", FIXED),
    ("read_buffer_size", FIXED),
    ("write_buffer_size", FIXED),
    ("num_stream_workers", FIXED),
    ("shared_write_buffer", FIXED),
    ("keepalive", FIXED),
];

/// Whether these are the keys of such a place.
fn is_small(known: &[&str]) -> bool {
    let has = |key| known.contains(&key);
    let is_health = has("check_collector_pipeline") || has("status") && has("config");
    let is_pages = has("allowed_hosts") && !has("pages");
    is_health || is_pages || known == ["endpoint", "transport", "tls"]
}

/// Why a key of a server is left out among the `known` ones, if it is.
pub(super) fn why(key: &str, known: &[&str]) -> Option<&'static str> {
    let of = |(left_out, why): &(&str, &'static str)| (*left_out == key).then_some(*why);
    KEYS.iter()
        .find_map(of)
        .filter(|_| is_small(known) && !known.contains(&key))
}
