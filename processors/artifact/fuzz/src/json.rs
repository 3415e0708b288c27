//! What must hold of requests in JSON.

use slimspan_generators::Request;
use slimspan_proto::Signal;
use slimspan_proto::json::{Limits, read, write};

/// Panics where it does not hold of these bytes.
pub fn check(signal: Signal, bytes: &[u8]) {
    if let Ok(found) = read(signal, bytes, Limits::default()) {
        let checked = slimspan_proto::check(signal, &found.request, usize::MAX);
        let checked = checked.expect("what is read is sound");
        assert_eq!(checked.faults, [], "what is read is sound");
        assert_eq!(checked.count, found.items);
        // A value may stand twice; what is written of it is the last.
        let once = again(signal, &found.request);
        assert_eq!(
            once,
            again(signal, &once),
            "what is written is read as it was"
        );
    }
    let decoded = Request::decode(signal, bytes);
    match write(signal, bytes) {
        Ok(_) => {
            let again = Request::decode(signal, &again(signal, bytes)).expect("it is sound");
            if let Ok(decoded) = decoded {
                // Not a number is not equal to itself.
                assert_eq!(format!("{again:?}"), format!("{decoded:?}"));
            }
        }
        Err(error) => assert!(decoded.is_err(), "prost reads it: {error}"),
    }
}

fn again(signal: Signal, request: &[u8]) -> Vec<u8> {
    let written = write(signal, request).expect("it is sound");
    assert!(
        written.text.iter().all(|byte| *byte >= 0x20),
        "it is one line"
    );
    let found = read(signal, &written.text, Limits::default()).expect("it is JSON");
    assert_eq!(
        (found.rejected, &found.causes, found.unknown),
        (0, &vec![], 0)
    );
    found.request
}
