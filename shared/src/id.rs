//! TypeIDs: `link_01j…`, a prefix that names the kind and a UUIDv7 in Crockford's base 32, so that ids sort by time
//! and say what they are. Format: <https://github.com/jetify-com/typeid/tree/main/spec> version 0.3.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use crate::random::Random;
use crate::time::Timestamp;

/// What an id identifies. Implemented by an empty type of the service that owns the kind.
pub trait Kind {
    /// The prefix: 1 to 63 characters of `a` to `z` and `_`.
    const PREFIX: &'static str;
}

/// The id of something of kind `K`.
pub struct Id<K> {
    uuid: Uuid,
    kind: PhantomData<fn() -> K>,
}

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const LENGTH: usize = 26;

impl<K: Kind> Id<K> {
    /// A new id made of the time (to the millisecond) and 74 random bits (RFC 9562, section 5.7).
    pub fn new(now: Timestamp, random: &Random) -> Self {
        let millis = u64::try_from(now.as_millisecond()).unwrap_or(0);
        Self::from_uuid(uuid::Builder::from_unix_timestamp_millis(millis, &random.bytes()).into_uuid())
    }

    /// The id with these bits.
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self { uuid, kind: PhantomData }
    }

    /// The bits without the kind.
    pub const fn uuid(&self) -> Uuid {
        self.uuid
    }
}

impl<K: Kind> fmt::Display for Id<K> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.uuid.as_u128();
        let mut text = String::with_capacity(LENGTH);
        for position in (0..LENGTH).rev() {
            let digit = usize::try_from((value >> (5 * position)) & 31).unwrap_or(0);
            text.push(char::from(ALPHABET.get(digit).copied().unwrap_or(b'0')));
        }
        write!(formatter, "{}_{text}", K::PREFIX)
    }
}

/// A text is not an id of the kind asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not an id that begins with {0}_")]
pub struct InvalidId(pub &'static str);

impl<K: Kind> FromStr for Id<K> {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let invalid = InvalidId(K::PREFIX);
        let digits = text.strip_prefix(K::PREFIX).and_then(|rest| rest.strip_prefix('_')).ok_or(invalid)?;
        // 26 digits hold 130 bits, so the first may not pass 7.
        if digits.len() != LENGTH || digits.as_bytes().first().is_none_or(|first| *first > b'7') {
            return Err(invalid);
        }
        let mut value = 0_u128;
        for byte in digits.bytes() {
            let digit = ALPHABET.iter().position(|character| *character == byte).ok_or(invalid)?;
            value = (value << 5) | digit as u128;
        }
        Ok(Self::from_uuid(Uuid::from_u128(value)))
    }
}

impl<K> Clone for Id<K> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K> Copy for Id<K> {}
impl<K> PartialEq for Id<K> {
    fn eq(&self, other: &Self) -> bool {
        self.uuid == other.uuid
    }
}
impl<K> Eq for Id<K> {}
impl<K> PartialOrd for Id<K> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<K> Ord for Id<K> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.uuid.cmp(&other.uuid)
    }
}
impl<K> std::hash::Hash for Id<K> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.uuid.hash(state);
    }
}
impl<K: Kind> fmt::Debug for Id<K> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}
impl<K: Kind> Serialize for Id<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
impl<'de, K: Kind> Deserialize<'de> for Id<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
impl<K: Kind> utoipa::PartialSchema for Id<K> {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .pattern(Some(format!("^{}_[0-7][0-9a-hjkmnp-tv-z]{{25}}$", K::PREFIX)))
            .into()
    }
}
impl<K: Kind> utoipa::ToSchema for Id<K> {}

/// The kind of a tenant's id.
#[derive(Debug)]
pub enum Tenant {}
impl Kind for Tenant {
    const PREFIX: &'static str = "tenant";
}
/// A tenant: what every row, queue message and cache key of a customer is kept under.
pub type TenantId = Id<Tenant>;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    enum Prefix {}
    impl Kind for Prefix {
        const PREFIX: &'static str = "prefix";
    }

    #[test]
    fn the_vectors_of_the_specification_hold() {
        // https://github.com/jetify-com/typeid/blob/main/spec/valid.yml
        for (text, uuid) in [
            ("prefix_00000000000000000000000000", "00000000-0000-0000-0000-000000000000"),
            ("prefix_7zzzzzzzzzzzzzzzzzzzzzzzzz", "ffffffff-ffff-ffff-ffff-ffffffffffff"),
            ("prefix_0123456789abcdefghjkmnpqrs", "0110c853-1d09-52d8-d73e-1194e95b5f19"),
            ("prefix_01h455vb4pex5vsknk084sn02q", "01890a5d-ac96-774b-bcce-b302099a8057"),
        ] {
            let id: Id<Prefix> = text.parse().unwrap();
            assert_eq!(id.uuid(), uuid.parse::<Uuid>().unwrap());
            assert_eq!(id.to_string(), text);
        }
    }

    #[test]
    fn what_the_specification_calls_invalid_is_refused() {
        for text in [
            "PREFIX_00000000000000000000000000",
            "other_00000000000000000000000000",
            "prefix_8zzzzzzzzzzzzzzzzzzzzzzzzz",
            "prefix_1234567890123456789012345",
            "prefix_0123456789ABCDEFGHJKMNPQRS",
            "prefix_0123456789abcdefghijklmnop",
            "prefix_",
            "",
            "prefix_é0000000000000000000000000",
        ] {
            assert_eq!(text.parse::<Id<Prefix>>(), Err(InvalidId("prefix")), "{text}");
        }
    }

    #[test]
    fn later_ids_sort_later() {
        let random = Random::seeded(1);
        let at = |second| Id::<Prefix>::new(Timestamp::from_second(second).unwrap(), &random).to_string();
        assert!(at(1_700_000_000) < at(1_700_000_001));
    }
}
