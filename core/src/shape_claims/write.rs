//! The canonical form of a claim: every member, in one order.

use std::collections::BTreeMap;

use serde::ser::{Serialize, SerializeStruct, Serializer};

use super::SignedShape;
use super::names::{SCHEMA_DEFAULT, spelled};
use crate::definition::Replica;

impl Serialize for SignedShape {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let schema = self.table.schema();
        let namespace = (schema.as_str() != SCHEMA_DEFAULT).then(|| spelled(schema));
        let params: BTreeMap<u16, &str> = self.params().collect();
        let mut out = serializer.serialize_struct("SignedShape", 6)?;
        out.serialize_field("namespace", &namespace)?;
        out.serialize_field("table", &spelled(self.table.name()))?;
        out.serialize_field("where", &self.where_text())?;
        out.serialize_field("columns", &self.columns_text())?;
        out.serialize_field("params", &(!params.is_empty()).then_some(&params))?;
        out.serialize_field("replica", &self.replica.map(Replica::as_str))?;
        out.end()
    }
}
