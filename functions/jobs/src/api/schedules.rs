//! The endpoints under `/v2/schedules`, one file each.

pub mod create;
pub mod delete;
pub mod get;
pub mod history;
pub mod list;
pub mod run;
pub mod update;
pub mod view;
