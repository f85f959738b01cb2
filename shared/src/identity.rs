//! Who calls: the verified [`Principal`], and the extractor [`Caller`] by which a handler asks for one.
//!
//! A credential is an access token (a JWT signed with Ed25519, [`token`]) or an API key ([`api_key`]). Both are verified
//! inside the function. What is needed for that (public keys, key records) is read from the identity table and kept in
//! the process for a few seconds, so that a revocation is honoured within [`authenticate::MAX_STALENESS`].

pub mod api_key;
pub mod authenticate;
pub mod permission;
mod principal;
mod ring_provider;
pub mod store;
pub mod token;

pub use authenticate::{Authenticator, Caller};
pub use permission::{Permission, Scopes};
pub use principal::{Principal, PrincipalKind, Role};
