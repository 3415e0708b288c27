//! Matroska and WebM: EBML elements that tell their lengths (RFC 8794, 5).

const HEADER: u32 = 0x1a45_dfa3;
const SEGMENT: u32 = 0x1853_8067;
const CLUSTER: u32 = 0x1f43_b675;

/// What else stands in a segment and in a cluster (RFC 9559, 5).
const OTHERS: [u32; 14] = [
    0x114d_9b74,
    0x1549_a966,
    0x1654_ae6b,
    0x1c53_bb6b,
    0x1254_c367,
    0x1043_a770,
    0x1941_a469,
    0xec,
    0xbf,
    0xe7,
    0xa3,
    0xa0,
    0xa7,
    0xab,
];

/// Whether an element goes on beyond the end. What is written while it is recorded has no lengths
/// for what holds others; those are entered.
pub(super) fn is_cut(bytes: &[u8]) -> Option<bool> {
    let mut at = 0;
    let mut in_segment = false;
    while at < bytes.len() {
        let element = Element::read(bytes.get(at..)?)?;
        match (at, element.id) {
            (0, HEADER) => {}
            (0, _) => return None,
            (_, SEGMENT) => in_segment = true,
            (_, id) if in_segment && (id == CLUSTER || OTHERS.contains(&id)) => {}
            // Something else follows.
            _ => return None,
        }
        at += element.head;
        match element.len {
            Some(len) => at = at.saturating_add(len),
            None if matches!(element.id, SEGMENT | CLUSTER) => {}
            None => return None,
        }
    }
    Some(at > bytes.len() && in_segment)
}

struct Element {
    id: u32,
    /// Bytes of the identifier and the length.
    head: usize,
    /// Bytes behind these, where that is known.
    len: Option<usize>,
}

impl Element {
    fn read(bytes: &[u8]) -> Option<Self> {
        let width = |byte: u8, most: u32| {
            let width = byte.leading_zeros() + 1;
            (width <= most).then_some(width as usize)
        };
        let number = |bytes: &[u8]| {
            let bytes = bytes.iter();
            bytes.fold(0, |number: u64, byte| number << 8 | u64::from(*byte))
        };
        let id_width = width(*bytes.first()?, 4)?;
        let len_width = width(*bytes.get(id_width)?, 8)?;
        let head = id_width + len_width;
        let mask = (1 << (7 * len_width)) - 1;
        let len = number(bytes.get(id_width..head)?) & mask;
        Some(Self {
            id: number(bytes.get(..id_width)?) as u32,
            head,
            len: (len != mask).then(|| usize::try_from(len).unwrap_or(usize::MAX)),
        })
    }
}
