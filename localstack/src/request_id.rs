//! The ids that the platform gives to requests and events, and other texts that nobody may guess.

/// A random id (UUID version 4).
#[allow(clippy::disallowed_methods)] // the platform's own randomness is no part of what tests control
pub(crate) fn fresh() -> String {
    uuid::Uuid::new_v4().to_string()
}
