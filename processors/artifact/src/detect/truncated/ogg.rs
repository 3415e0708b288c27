//! Ogg (RFC 3533).

/// A page's header without its table of segments.
const HEADER: usize = 27;

/// Whether the last page goes on beyond the end. That it is the last of its stream is not asked:
/// recordings of something that goes on never say so.
pub(super) fn is_cut(bytes: &[u8]) -> Option<bool> {
    let mut at = 0;
    let mut pages = 0;
    while at < bytes.len() {
        let page = bytes.get(at..)?;
        if !page.starts_with(b"OggS\0") {
            // Something else follows, or the first bytes of a page.
            return Some(pages > 0 && page.len() < 5 && b"OggS\0".starts_with(page));
        }
        let Some(segments) = page.get(HEADER - 1) else {
            return Some(pages > 0);
        };
        let Some(table) = page.get(HEADER..HEADER + usize::from(*segments)) else {
            return Some(pages > 0);
        };
        // The first page is a stream's first, and small.
        if pages == 0 && page.get(5).is_none_or(|flags| flags & 2 == 0) {
            return None;
        }
        let body: usize = table.iter().map(|len| usize::from(*len)).sum();
        at += HEADER + table.len() + body;
        pages += 1;
    }
    Some(at > bytes.len())
}
