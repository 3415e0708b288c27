//! Requests of profiles, which pass through as they are.
//!
//! What stands around profiles is as with other signals, and stable; what stands in them is still being
//! developed. So no field in them is held against a schema, and each is read so far that no decoder
//! stumbles over where it ends. All profiles of a request point into one dictionary, so that none
//! can be taken out: what is wrong with one is wrong with the request.

use std::ops::Range;

use super::{CheckError, Checked, ENTRY, SMALL};
use crate::wire::{Field, Fields, MAX_DEPTH, Malformed, WireType, expect, skip_group};

/// Counts the profiles in an `ExportProfilesServiceRequest`.
pub(super) fn check(request: &[u8], max_entries: usize) -> Result<Checked, CheckError> {
    let mut walk = Walk {
        request,
        left: max_entries.saturating_mul(ENTRY),
        count: 0,
    };
    for field in Fields::new(request, 0..request.len()) {
        let field = field?;
        match field.number {
            1 => walk.resource(&field)?,
            // The dictionary.
            2 => walk.fields(&field, 2)?,
            _ => walk.other(&field, 1)?,
        }
    }
    Ok(Checked {
        count: walk.count,
        faults: Vec::new(),
        // It has a dictionary.
        indices: 0,
    })
}

struct Walk<'a> {
    request: &'a [u8],
    /// What the rest may cost.
    left: usize,
    count: usize,
}

impl<'a> Walk<'a> {
    /// A `ResourceProfiles`.
    fn resource(&mut self, field: &Field) -> Result<(), CheckError> {
        for field in self.enter(field)? {
            let field = field?;
            match field.number {
                1 => self.fields(&field, 3)?,
                2 => self.scope(&field)?,
                3 => expect(WireType::Len, &field)?,
                _ => self.other(&field, 2)?,
            }
        }
        Ok(())
    }

    /// A `ScopeProfiles`.
    fn scope(&mut self, field: &Field) -> Result<(), CheckError> {
        for field in self.enter(field)? {
            let field = field?;
            match field.number {
                1 => self.fields(&field, 4)?,
                2 => {
                    self.count += 1;
                    self.afford(ENTRY)?;
                    self.fields(&field, 4)?;
                }
                3 => expect(WireType::Len, &field)?,
                _ => self.other(&field, 3)?,
            }
        }
        Ok(())
    }

    /// The fields of an envelope.
    fn enter(&mut self, field: &Field) -> Result<Fields<'a>, CheckError> {
        expect(WireType::Len, field)?;
        self.afford(ENTRY)?;
        Ok(Fields::new(self.request, field.body.clone()))
    }

    /// A message of which no field is known, at `depth`.
    fn fields(&mut self, field: &Field, depth: usize) -> Result<(), CheckError> {
        expect(WireType::Len, field)?;
        let body: Range<usize> = field.body.clone();
        for field in Fields::new(self.request, body) {
            self.other(&field?, depth)?;
            self.afford(SMALL)?;
        }
        Ok(())
    }

    /// A field that may hold anything, in a message at `depth`; only a group can be wrong in itself.
    fn other(&self, field: &Field, depth: usize) -> Result<(), Malformed> {
        if field.wire_type == WireType::Group {
            let (start, end) = (field.body.start, field.body.end);
            skip_group(self.request, field.number, start, end, MAX_DEPTH - depth)?;
        }
        Ok(())
    }

    fn afford(&mut self, cost: usize) -> Result<(), CheckError> {
        self.left = self.left.checked_sub(cost).ok_or(CheckError::TooMany)?;
        Ok(())
    }
}
