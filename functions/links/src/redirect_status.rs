//! By which status a visitor is sent on.

use serde::{Deserialize, Serialize};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};

use shared::refusal::Refusal;

/// The status that a redirect answers with (RFC 9110, section 15.4). 302 is the default: a browser keeps a permanent
/// one for ever, after which the link can no longer be changed or counted there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(try_from = "u16", into = "u16")]
pub enum RedirectStatus {
    /// 301.
    MovedPermanently,
    /// 302.
    #[default]
    Found,
    /// 307.
    TemporaryRedirect,
    /// 308.
    PermanentRedirect,
}

impl RedirectStatus {
    const ALL: [Self; 4] = [Self::MovedPermanently, Self::Found, Self::TemporaryRedirect, Self::PermanentRedirect];

    /// The number.
    pub const fn code(self) -> u16 {
        match self {
            Self::MovedPermanently => 301,
            Self::Found => 302,
            Self::TemporaryRedirect => 307,
            Self::PermanentRedirect => 308,
        }
    }
}

impl TryFrom<u16> for RedirectStatus {
    type Error = Refusal;

    fn try_from(code: u16) -> Result<Self, Refusal> {
        let found = Self::ALL.into_iter().find(|status| status.code() == code);
        found.ok_or_else(|| Refusal::new("unknown_value", "must be 301, 302, 307 or 308"))
    }
}

impl From<RedirectStatus> for u16 {
    fn from(status: RedirectStatus) -> Self {
        status.code()
    }
}

impl utoipa::PartialSchema for RedirectStatus {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::Integer)
            .enum_values(Some(Self::ALL.map(Self::code)))
            .default(Some(302.into()))
            .into()
    }
}

impl utoipa::ToSchema for RedirectStatus {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn four_statuses_are_offered_and_no_other() {
        for code in 0..1000_u16 {
            match RedirectStatus::try_from(code) {
                Ok(status) => assert_eq!(u16::from(status), code),
                Err(refusal) => assert_eq!(refusal.code, "unknown_value"),
            }
        }
        assert_eq!(RedirectStatus::ALL.map(RedirectStatus::code), [301, 302, 307, 308]);
        assert_eq!(serde_json::to_string(&RedirectStatus::default()).unwrap(), "302");
    }
}
