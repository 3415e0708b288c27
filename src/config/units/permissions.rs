//! The permissions of folders.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{Deserializer, Error};
use serde::ser::{Serialize as _, Serializer};

/// The permissions of a folder as octal digits in quotes, or null for none.
pub(crate) struct PermissionsOrNone;

impl PermissionsOrNone {
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<u32>, D::Error> {
        let Some(text) = Option::<String>::deserialize(deserializer)? else {
            return Ok(None);
        };
        match u32::from_str_radix(&text, 8) {
            Ok(bits) if bits <= 0o777 => Ok(Some(bits)),
            _ => Err(D::Error::custom(format!(
                "\"{text}\" is not what a folder's permissions can be: use octal digits in quotes, \
                 such as \"0755\""
            ))),
        }
    }

    #[expect(
        clippy::ref_option,
        clippy::trivially_copy_pass_by_ref,
        reason = "serde gives references to fields"
    )]
    pub(crate) fn serialize<S: Serializer>(
        bits: &Option<u32>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        bits.map(|bits| format!("{bits:04o}")).serialize(serializer)
    }
}

impl JsonSchema for PermissionsOrNone {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "PermissionsOrNone".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "null"] })
    }
}
