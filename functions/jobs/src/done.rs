//! What follows the end of a job.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use shared::http::versions::Version;
use shared::refusal::Refusal;
use utoipa::ToSchema;

use crate::name::{JobType, QueueName};

/// What is done when a job has ended, whichever way. It is a job itself, made in the write that ends the first, so that it
/// is tried again and seen like any other.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(untagged, try_from = "Members")]
#[schema(as = JobOnDone)]
pub enum OnDone {
    /// The URL is sent the ended job, signed.
    Url {
        /// Where it is sent.
        #[schema(example = "https://example.com/jobs/done")]
        url: String,
        /// The version of the API in which it is told.
        #[schema(required = false)]
        version: Version,
    },
    /// Another job is made, only if this one succeeded. Without a payload it has this one's result for its own.
    Job {
        /// The job.
        job: FollowUp,
    },
}

/// As it is read: with a fault at each bad member, which an enumeration does not give.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Members {
    #[serde(default)]
    url: Option<String>,
    #[serde(default)]
    version: Option<Version>,
    #[serde(default)]
    job: Option<FollowUp>,
}

impl TryFrom<Members> for OnDone {
    type Error = Refusal;

    fn try_from(members: Members) -> Result<Self, Refusal> {
        match (members.url, members.version, members.job) {
            // What names no version was kept when version 2 was the newest.
            (Some(url), version, None) => Ok(Self::Url { url, version: version.unwrap_or(Version::V2) }),
            (None, None, Some(job)) => Ok(Self::Job { job }),
            (None, Some(_), Some(_)) => Err(Refusal::new("invalid", "has a version with url alone")),
            _ => Err(Refusal::new("invalid", "has either url or job")),
        }
    }
}

/// The job that follows.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = FollowUpJob)]
pub struct FollowUp {
    /// What it does.
    #[serde(rename = "type")]
    pub kind: JobType,
    /// Where it waits; without one, in the same queue.
    #[serde(default)]
    pub queue: Option<QueueName>,
    /// What it is about.
    #[serde(default)]
    #[schema(value_type = serde_json::Value)]
    pub payload: Option<Box<RawValue>>,
}

/// How it is stored: as one text, because a store's own form would lose the raw payload.
pub(crate) mod as_text {
    use super::{Deserialize, Deserializer, OnDone, Serialize as _, Serializer};

    #[allow(clippy::ref_option)] // the form that serde asks for
    pub(crate) fn serialize<S: Serializer>(value: &Option<OnDone>, serializer: S) -> Result<S::Ok, S::Error> {
        let text = value.as_ref().map(serde_json::to_string).transpose().map_err(serde::ser::Error::custom)?;
        text.serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<OnDone>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| serde_json::from_str(&text)).transpose().map_err(serde::de::Error::custom)
    }
}
