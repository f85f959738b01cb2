//! Tokens for machines, access for applications, revocation and introspection, as an OAuth client uses them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

mod application_attacks;
mod application_ends;
mod applications;
mod assertions;
mod consent_mail;
mod hints;
mod introspection;
mod library;
mod oidc_client;
mod page;
mod sessions;
mod tokens;
mod userinfo;

const MACHINE: (&str, &str) = ("grant_type", "client_credentials");

/// A part of a token, by its place.
fn part(token: &str, place: usize) -> Value {
    let text = token.split('.').nth(place).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
}
