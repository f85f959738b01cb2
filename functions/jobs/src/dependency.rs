//! What a new job depends on: jobs that there are, and earlier ones of its own batch, which have no id yet.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, IntoDeserializer as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::job::JobId;
use crate::name::JobRef;

/// A job that has to end first: its id, or the `ref` of an earlier job of the same batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dependency {
    /// One that there is.
    Job(JobId),
    /// An earlier one of the batch.
    Earlier {
        /// Its `ref`.
        reference: JobRef,
    },
}

impl Dependency {
    /// The job, where that is known.
    pub const fn id(&self) -> Option<JobId> {
        match self {
            Self::Job(id) => Some(*id),
            Self::Earlier { .. } => None,
        }
    }
}

/// An earlier job of the batch, as it is read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Earlier {
    #[serde(rename = "ref")]
    reference: JobRef,
}

/// By the kind of JSON, so that a fault is told at the member that has it.
impl<'de> Deserialize<'de> for Dependency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Either)
    }
}

impl PartialSchema for Dependency {
    fn schema() -> RefOr<Schema> {
        let id = ObjectBuilder::new().schema_type(Type::String).examples(["job_01k9z4n2y6e0qv3m8t5w7x9abc"]);
        let earlier = ObjectBuilder::new().property("ref", JobRef::schema()).required("ref");
        OneOfBuilder::new()
            .description(Some("A job that has to end first: its id, or the `ref` of an earlier job of the same batch."))
            .item(id)
            .item(earlier)
            .into()
    }
}

impl ToSchema for Dependency {
    fn name() -> std::borrow::Cow<'static, str> {
        "JobDependency".into()
    }
}

struct Either;

impl<'de> Visitor<'de> for Either {
    type Value = Dependency;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the id of a job, or an object with the ref of an earlier one of the batch")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Dependency, E> {
        JobId::deserialize(text.into_deserializer()).map(Dependency::Job)
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Dependency, A::Error> {
        let Earlier { reference } = Earlier::deserialize(MapAccessDeserializer::new(members))?;
        Ok(Dependency::Earlier { reference })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_dependency_is_an_id_or_a_ref() {
        let read = |text: &str| serde_json::from_str::<Dependency>(text);
        let id = "job_01k9z4n2y6e0qv3m8t5w7x9abc";
        assert_eq!(read(&format!("\"{id}\"")).unwrap(), Dependency::Job(id.parse().unwrap()));
        let reference = "extract".parse().unwrap();
        assert_eq!(read(r#"{"ref": "extract"}"#).unwrap(), Dependency::Earlier { reference });
        for bad in ["\"extract\"", "\"link_01k9z4n2y6e0qv3m8t5w7x9abc\"", "{}", r#"{"ref": ""}"#, "7", "null"] {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert!(read(r#"{"ref": "a", "id": "b"}"#).is_err());
    }
}
