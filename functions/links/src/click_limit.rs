//! After how many clicks a link ends.

use serde::{Deserialize, Serialize};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};

use shared::refusal::Refusal;

/// After how many clicks a link ends: 1 to 1,000,000,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct ClickLimit(u32);

impl ClickLimit {
    const MOST: u32 = 1_000_000_000;

    /// The number of clicks.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl TryFrom<i64> for ClickLimit {
    type Error = Refusal;

    fn try_from(clicks: i64) -> Result<Self, Refusal> {
        match u32::try_from(clicks) {
            Ok(clicks @ 1..=Self::MOST) => Ok(Self(clicks)),
            _ => Err(Refusal::new("out_of_range", "must be from 1 to 1000000000")),
        }
    }
}

impl From<ClickLimit> for i64 {
    fn from(limit: ClickLimit) -> Self {
        limit.0.into()
    }
}

impl utoipa::PartialSchema for ClickLimit {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::Integer)
            .description(Some("After how many clicks the link ends."))
            .minimum(Some(1))
            .maximum(Some(Self::MOST))
            .into()
    }
}

impl utoipa::ToSchema for ClickLimit {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_click_limit_has_bounds() {
        for (json, code) in
            [("0", "out_of_range"), ("-1", "out_of_range"), ("1000000001", "out_of_range"), ("1.5", "invalid type")]
        {
            let refused = serde_json::from_str::<ClickLimit>(json).unwrap_err().to_string();
            assert!(refused.starts_with(code), "{refused}");
        }
        assert_eq!(serde_json::from_str::<ClickLimit>("1").unwrap().get(), 1);
        assert_eq!(serde_json::from_str::<ClickLimit>("1000000000").unwrap().get(), 1_000_000_000);
    }
}
