//! The endpoints under `/v2/queues`, one file each.

pub mod dead;
pub mod get;
pub mod lease;
pub mod list;
pub mod put;
pub mod redrive;
pub mod statistics;
pub mod view;
