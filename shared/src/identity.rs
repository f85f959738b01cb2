//! Who calls: the verified [`Principal`], and the extractors [`Caller`], [`Sensitive`] and [`OpenIdCaller`] by which a
//! handler asks for one.
//!
//! A credential is an access token (a JWT signed with Ed25519, [`token`]) or an API key ([`api_key`]). Both are verified
//! inside the function. What is needed for that (public keys, key records, revocations) is read from the identity table
//! and kept in the process for a few seconds, so that a revocation is honoured within [`authenticate::MAX_STALENESS`];
//! a [`Sensitive`] route asks the table itself.

pub mod access;
pub mod api_key;
pub mod authenticate;
mod caller;
mod credential;
pub mod credits;
pub mod permission;
mod principal;
pub mod revocation;
mod ring_provider;
pub mod store;
pub mod token;

pub use authenticate::Authenticator;
pub use caller::{Caller, OpenIdCaller, STEP_UP_WITHIN, Sensitive, is_recent, step_up_required};
pub use permission::{Permission, Scopes};
pub use principal::{Principal, PrincipalKind, Role};
pub use revocation::Revoked;
pub use ring_provider::install as install_crypto_provider;
