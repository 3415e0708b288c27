//! The schema as a table by the first byte of a field, so that one look says what to do with it.

use super::schema::{Content, Shape};
use crate::wire::WireType;

/// What is to be done with a field behind its tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// The tag has more than one byte, or the schema does not have it.
    Resolve,
    Varint,
    /// A varint that is counted.
    Index,
    Fixed64,
    Fixed32,
    /// Bytes that are not looked at.
    Skip,
    Text,
    /// One of any number of texts.
    OneText,
    PackedVarints,
    PackedFixed64s,
    Enter(Shape),
}

/// The row of one shape.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) shape: Shape,
    pub(super) actions: [Action; 128],
}

impl Action {
    /// For a field of the schema.
    pub(super) const fn of(content: Content, wire_type: WireType) -> Self {
        match (content, wire_type) {
            (Content::Index, WireType::Varint) => Self::Index,
            (_, WireType::Varint) => Self::Varint,
            (_, WireType::Fixed64) => Self::Fixed64,
            (_, WireType::Fixed32) => Self::Fixed32,
            (Content::String, _) => Self::Text,
            (Content::Strings, _) => Self::OneText,
            (Content::Varints, _) => Self::PackedVarints,
            (Content::Fixed64s, _) => Self::PackedFixed64s,
            (Content::Message(shape), _) => Self::Enter(shape),
            (_, WireType::Len | WireType::Group) => Self::Skip,
        }
    }
}

impl Row {
    #[expect(
        clippy::indexing_slicing,
        reason = "runs at compile time, where no index panics unseen"
    )]
    const fn of(shape: Shape) -> Self {
        let mut actions = [Action::Resolve; 128];
        let mut tag = 8;
        while tag < 128 {
            let wire_type = match tag & 7 {
                0 => Some(WireType::Varint),
                1 => Some(WireType::Fixed64),
                2 => Some(WireType::Len),
                5 => Some(WireType::Fixed32),
                _ => None,
            };
            if let (Some(content), Some(wire_type)) = (shape.field(tag as u32 >> 3), wire_type)
                && content.may_be(wire_type)
            {
                actions[tag] = Action::of(content, wire_type);
            }
            tag += 1;
        }
        Self { shape, actions }
    }
}

#[expect(
    clippy::indexing_slicing,
    reason = "runs at compile time, where no index panics unseen"
)]
static ROWS: [Row; Shape::ALL.len()] = {
    let mut rows = [const { Row::of(Shape::Resource) }; Shape::ALL.len()];
    let mut index = 0;
    while index < rows.len() {
        rows[index] = Row::of(Shape::ALL[index]);
        index += 1;
    }
    rows
};

/// The row of `shape`.
#[expect(clippy::indexing_slicing, reason = "there is a row for each shape")]
pub(super) fn row(shape: Shape) -> &'static Row {
    &ROWS[shape as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_row_for_each_shape() {
        for (index, shape) in Shape::ALL.into_iter().enumerate() {
            assert_eq!(shape as usize, index);
            assert_eq!(row(shape).shape, shape);
        }
    }
}
