//! What holds for all notes of a tenant.

pub mod get;
pub mod put;
