//! Trace context, as W3C has it in headers.

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue};

const PARENT: HeaderName = HeaderName::from_static("traceparent");
const STATE: HeaderName = HeaderName::from_static("tracestate");

/// What says in `tracestate` that a request carries spans of slimspan about itself.
const OWN: &str = "slimspan=own";

/// Where a request stands in the traces of its sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parent {
    /// The sender's trace.
    pub(super) trace: [u8; 16],
    /// Its span there.
    pub(super) span: [u8; 8],
    /// Whether it records that.
    pub(super) is_sampled: bool,
}

/// The longest `tracestate` that goes on: what W3C asks of everybody.
const LONGEST_STATE: usize = 512;

/// What the headers of a request say of traces.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Context {
    /// Where it belongs, if that is said.
    pub(super) parent: Option<Parent>,
    /// What others keep there beside that.
    pub(super) state: Option<HeaderValue>,
    /// Whether it brings spans about requests: those have none themselves, or they would never end.
    pub(super) is_own: bool,
}

impl Context {
    /// What `headers` say.
    pub fn of(headers: &HeaderMap) -> Self {
        let mut parents = headers.get_all(PARENT).iter();
        let parent = parents.next().and_then(|value| parse(value.as_bytes()));
        // Of two nobody knows which one holds.
        let parent = parent.filter(|_| parents.next().is_none());
        let states = headers.get_all(STATE).iter();
        let states: Vec<&str> = states.filter_map(|value| value.to_str().ok()).collect();
        let mut members = states.iter().flat_map(|value| value.split(','));
        Self {
            parent,
            is_own: members.any(|member| member.trim() == OWN),
            state: parent.and_then(|_| joined(&states)),
        }
    }

    /// What goes on with a request of which this slimspan makes no spans: nobody else is to make any of it
    /// either. It is of `trace`.
    pub(super) fn unrecorded(self, trace: [u8; 16]) -> Onward {
        let parent = Parent {
            trace,
            span: self.parent.map_or_else(random, |parent| parent.span),
            is_sampled: false,
        };
        Onward(Some((parent, self.state)))
    }

    /// The headers of requests that carry spans of slimspan: a trace that nobody records.
    pub fn of_own_spans() -> [(HeaderName, String); 2] {
        let parent = Parent {
            trace: random(),
            span: random(),
            is_sampled: false,
        };
        [(PARENT, parent.to_string()), (STATE, OWN.to_owned())]
    }
}

/// What a request to a backend says of traces; by default nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Onward(Option<(Parent, Option<HeaderValue>)>);

impl Onward {
    /// What its receiver does belongs below `parent`; `state` is as it came.
    pub(super) fn below(parent: Parent, state: Option<HeaderValue>) -> Self {
        Self(Some((parent, state)))
    }

    /// Adds it to the headers of a request, unless those say something of their own.
    pub fn apply(&self, headers: &mut HeaderMap) {
        let Some((parent, state)) = &self.0 else {
            return;
        };
        if headers.contains_key(PARENT) || headers.contains_key(STATE) {
            return;
        }
        if let Ok(parent) = HeaderValue::from_str(&parent.to_string()) {
            headers.insert(PARENT, parent);
            headers.extend(state.clone().map(|state| (STATE, state)));
        }
    }
}

/// What several headers say, as one; nothing where it is empty or too long.
fn joined(states: &[&str]) -> Option<HeaderValue> {
    let state = states.join(",");
    let is_fit = (1..=LONGEST_STATE).contains(&state.len());
    let mut state = HeaderValue::from_str(&state).ok().filter(|_| is_fit)?;
    // It is the sender's.
    state.set_sensitive(true);
    Some(state)
}

impl fmt::Display for Parent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let trace = u128::from_be_bytes(self.trace);
        let span = u64::from_be_bytes(self.span);
        let sampled = u8::from(self.is_sampled);
        write!(f, "00-{trace:032x}-{span:016x}-{sampled:02x}")
    }
}

/// An id that is not all zeros, which means none.
pub(super) fn random<const N: usize>() -> [u8; N] {
    let mut id: [u8; N] = std::array::from_fn(|_| rand::random());
    if id == [0; N] {
        id[0] = 1;
    }
    id
}

/// `version-trace-span-flags`; a later version may have more behind it.
fn parse(text: &[u8]) -> Option<Parent> {
    let version = hex::<1>(text.get(..2)?)?;
    let is_separated = [2, 35, 52].iter().all(|at| text.get(*at) == Some(&b'-'));
    let (end, more) = (text.get(53..55)?, text.get(55..)?);
    let is_whole = match version {
        [0] => more.is_empty(),
        [255] => false,
        _ => more.is_empty() || more.starts_with(b"-"),
    };
    let parent = Parent {
        trace: hex(text.get(3..35)?)?,
        span: hex(text.get(36..52)?)?,
        is_sampled: hex::<1>(end)?[0] & 1 == 1,
    };
    let is_sound = is_separated && is_whole && parent.trace != [0; 16] && parent.span != [0; 8];
    is_sound.then_some(parent)
}

/// Lower-case hexadecimal digits.
fn hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    if text.len() != 2 * N {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn of(headers: &[(&'static str, &str)]) -> Context {
        let pairs = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            let name: HeaderName = name;
            map.append(name, value);
        }
        Context::of(&map)
    }

    #[test]
    fn a_parent_is_read_as_it_is_written() {
        let parent = of(&[("traceparent", GOOD)]).parent.unwrap();
        assert!(parent.is_sampled);
        assert_eq!(parent.to_string(), GOOD);
        let later = format!("01{}-more", &GOOD[2..]);
        assert_eq!(of(&[("traceparent", &later)]).parent, Some(parent));
        let not_recorded = GOOD.replace("-01", "-02");
        assert!(
            !of(&[("traceparent", &not_recorded)])
                .parent
                .unwrap()
                .is_sampled
        );
    }

    #[test]
    fn what_is_not_sound_is_no_parent() {
        for text in [
            "",
            "00",
            &GOOD[..54],
            &format!("{GOOD}-more"),
            &format!("{GOOD}0"),
            &GOOD.to_uppercase(),
            &GOOD.replace('-', "_"),
            &GOOD.replacen("00-", "ff-", 1),
            &GOOD.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            &GOOD.replace("b7ad6b7169203331", &"0".repeat(16)),
            &GOOD.replace("b7ad", "b7ax"),
        ] {
            assert_eq!(of(&[("traceparent", text)]).parent, None, "{text}");
        }
        let twice = of(&[("traceparent", GOOD), ("traceparent", GOOD)]);
        assert_eq!(twice.parent, None);
    }

    #[test]
    fn own_spans_are_known_wherever_they_stand() {
        let [parent, state] = Context::of_own_spans();
        let context = of(&[("traceparent", &parent.1), ("tracestate", &state.1)]);
        assert_eq!(
            (parent.0.as_str(), state.0.as_str()),
            ("traceparent", "tracestate")
        );
        assert!(context.is_own && !context.parent.unwrap().is_sampled);
        assert!(of(&[("tracestate", "a=b, slimspan=own ,c=d")]).is_own);
        assert!(of(&[("tracestate", "a=b"), ("tracestate", "slimspan=own")]).is_own);
        assert!(!of(&[("tracestate", "a=slimspan=own,slimspan=owner")]).is_own);
    }

    /// The headers of a request that goes on.
    fn with(onward: &Onward, own: &[(&'static str, &'static str)]) -> Vec<(String, String)> {
        let own = own.iter().map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        });
        let mut headers: HeaderMap = own.collect();
        onward.apply(&mut headers);
        let text = |value: &HeaderValue| value.to_str().unwrap().to_owned();
        let headers = headers.iter();
        headers
            .map(|(name, value)| (name.to_string(), text(value)))
            .collect()
    }

    #[test]
    fn what_goes_on_is_below_this_and_as_it_came() {
        let context = of(&[
            ("traceparent", GOOD),
            ("tracestate", "a=b"),
            ("tracestate", "slimspan=own"),
        ]);
        let trace = context.parent.unwrap().trace;
        let onward = context.unrecorded(trace);
        let parent = ("traceparent".to_owned(), GOOD.replace("-01", "-00"));
        let state = ("tracestate".to_owned(), "a=b,slimspan=own".to_owned());
        assert_eq!(with(&onward, &[]), [parent, state]);
        assert!(!format!("{onward:?}").contains("a=b"), "{onward:?}");
        // What is configured has the last word.
        for own in [("traceparent", "x"), ("tracestate", "x")] {
            assert_eq!(with(&onward, &[own]), [(own.0.to_owned(), "x".to_owned())]);
        }
        assert_eq!(with(&Onward::default(), &[]), []);
        // Without a parent it belongs to nothing, and what is too long does not go on.
        assert_eq!(of(&[("tracestate", "a=b")]).state, None);
        let long = format!("a={}", "b".repeat(LONGEST_STATE));
        let context = of(&[("traceparent", GOOD), ("tracestate", &long)]);
        assert_eq!((context.state, context.parent.is_some()), (None, true));
    }
}
