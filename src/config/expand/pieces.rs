//! Where the substitutions of a text begin and end.

/// A part of a text.
#[derive(Debug, PartialEq)]
pub(super) enum Piece<'t> {
    Text(&'t str),
    /// What stands between `${` and `}`.
    Substitution(&'t str),
}

/// Splits a text into its pieces. A `$` that starts neither `$$` nor `${` is text.
pub(super) fn split(text: &str) -> Result<Vec<Piece<'_>>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        if !before.is_empty() {
            pieces.push(Piece::Text(before));
        }
        rest = if let Some(after) = after.strip_prefix('$') {
            pieces.push(Piece::Text("$"));
            after
        } else if let Some(after) = after.strip_prefix('{') {
            let Some((inside, after)) = close(after) else {
                return Err("`${` has no closing `}`; a literal `${` is written `$${`".to_owned());
            };
            pieces.push(Piece::Substitution(inside));
            after
        } else {
            pieces.push(Piece::Text("$"));
            after
        };
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest));
    }
    Ok(pieces)
}

/// Splits at the `}` that closes, which is not one of a substitution inside.
fn close(text: &str) -> Option<(&str, &str)> {
    let mut open = 1_usize;
    for (at, found) in text.match_indices(['{', '}']) {
        if found == "{" {
            let before = text.get(..at).unwrap_or_default();
            open += usize::from(before.ends_with('$'));
            continue;
        }
        open -= 1;
        if open == 0 {
            let (inside, rest) = text.split_at_checked(at)?;
            return Some((inside, rest.strip_prefix('}')?));
        }
    }
    None
}

/// Splits a variable from its default at the first `:-` that belongs to no substitution inside.
pub(super) fn split_default(text: &str) -> (&str, Option<&str>) {
    for (at, _) in text.match_indices(":-") {
        if let Some((name, default)) = text.split_at_checked(at)
            && name.matches("${").count() <= name.matches('}').count()
        {
            return (name, default.strip_prefix(":-"));
        }
    }
    (text, None)
}
