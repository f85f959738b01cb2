//! How long an application has access that a user lets in: what the user is told before they decide.

use serde::Serialize;
use shared::identity::token::ACCESS_TOKEN_LIFETIME;
use utoipa::ToSchema;

use super::client::{Client, GrantType};
use crate::tenant::Settings;

const MINUTE: u32 = 60;
const HOUR: u32 = 60 * MINUTE;
const DAY: u32 = 24 * HOUR;

/// How long an application has access, unless the user ends it sooner.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = AuthorizationAccess)]
pub struct AccessTime {
    /// For so many seconds at most; the last access token of a session may live for ten minutes more.
    #[schema(example = 2_592_000)]
    seconds: u32,
    /// After so many without using it, it is over sooner; null when it cannot be prolonged anyway.
    #[schema(example = 1_209_600)]
    unused_seconds: Option<u32>,
    /// The same in words.
    #[schema(example = "For up to 30 days, and for no more than 14 days without using it.")]
    description: String,
}

impl AccessTime {
    /// That of a client in a tenant with these settings: one that gets no refresh tokens has a single access token.
    pub fn of(client: &Client, settings: &Settings) -> Self {
        if !client.uses(GrantType::RefreshToken) {
            let seconds = u32::try_from(ACCESS_TOKEN_LIFETIME.as_secs()).unwrap_or(u32::MAX);
            let description = format!("For up to {}.", in_words(seconds));
            return Self { seconds, unused_seconds: None, description };
        }
        let (seconds, unused) = (settings.session_seconds, settings.session_idle_seconds.min(settings.session_seconds));
        let longest = in_words(seconds);
        let description = if unused < seconds {
            format!("For up to {longest}, and for no more than {} without using it.", in_words(unused))
        } else {
            format!("For up to {longest}.")
        };
        Self { seconds, unused_seconds: Some(unused), description }
    }
}

/// A time in its largest fitting unit, rounded up: two of a unit at least, but for minutes.
fn in_words(seconds: u32) -> String {
    let units = [(DAY, "day"), (HOUR, "hour"), (MINUTE, "minute")];
    let fitting = units.into_iter().find(|(length, _)| seconds >= 2 * length || seconds == *length);
    let (length, unit) = fitting.unwrap_or((MINUTE, "minute"));
    match seconds.div_ceil(length) {
        1 => format!("1 {unit}"),
        count => format!("{count} {unit}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(grant_types: &[GrantType], session_seconds: u32, session_idle_seconds: u32) -> AccessTime {
        let client = Client::of_tests("links:read", grant_types);
        AccessTime::of(&client, &Settings { session_seconds, session_idle_seconds, ..Settings::default() })
    }

    #[test]
    fn access_lasts_as_long_as_the_tenants_sessions() {
        let renewing = [GrantType::AuthorizationCode, GrantType::RefreshToken];
        let usual = of(&renewing, 30 * DAY, 14 * DAY);
        assert_eq!((usual.seconds, usual.unused_seconds), (30 * DAY, Some(14 * DAY)));
        assert_eq!(usual.description, "For up to 30 days, and for no more than 14 days without using it.");
        let strict = of(&renewing, 12 * HOUR, 365 * DAY);
        assert_eq!((strict.seconds, strict.unused_seconds), (12 * HOUR, Some(12 * HOUR)));
        assert_eq!(strict.description, "For up to 12 hours.");
    }

    #[test]
    fn without_refresh_tokens_it_lasts_as_long_as_one_access_token() {
        let once = of(&[GrantType::AuthorizationCode], 30 * DAY, 14 * DAY);
        assert_eq!(
            (once.seconds, once.unused_seconds, once.description.as_str()),
            (600, None, "For up to 10 minutes.")
        );
    }

    #[test]
    fn nothing_is_said_to_be_shorter_than_it_is() {
        for (seconds, words) in [
            (1, "1 minute"),
            (300, "5 minutes"),
            (301, "6 minutes"),
            (HOUR, "1 hour"),
            (HOUR + 1, "61 minutes"),
            (2 * HOUR + 1, "3 hours"),
            (DAY, "1 day"),
            (DAY + 1, "25 hours"),
            (2 * DAY, "2 days"),
            (2 * DAY + 1, "3 days"),
            (365 * DAY, "365 days"),
        ] {
            assert_eq!(in_words(seconds), words);
        }
    }
}
