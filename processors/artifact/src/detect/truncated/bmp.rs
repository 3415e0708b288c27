//! BMP: a length in front, and the size of a picture whose rows are all of one length.

/// Whether the picture goes on beyond the end, by both accounts: writers get one or the other wrong.
pub(super) fn is_cut(bytes: &[u8]) -> Option<bool> {
    let u32_at = |at: usize| {
        let number = bytes.get(at..)?.first_chunk::<4>()?;
        Some(u32::from_le_bytes(*number))
    };
    let (told, start, header) = (u32_at(2)?, u32_at(10)?, u32_at(14)?);
    // BITMAPINFOHEADER and those that begin like it.
    if ![40, 52, 56, 108, 124].contains(&header) || start < header + 14 {
        return None;
    }
    let (width, height) = (u32_at(18)?, u32_at(22)?.cast_signed().unsigned_abs());
    let [planes, bits] = [26, 28].map(|at| bytes.get(at).copied().unwrap_or_default());
    // Without compression, and with masks for the colours, which is none.
    if planes != 1 || ![1, 4, 8, 16, 24, 32].contains(&bits) || !matches!(u32_at(30)?, 0 | 3) {
        return None;
    }
    let row = (u64::from(width) * u64::from(bits)).div_ceil(32) * 4;
    let end = row.checked_mul(height.into())?.checked_add(start.into())?;
    let len = bytes.len() as u64;
    Some(len < u64::from(told) && len < end)
}
