//! What clients, event sources and developers may rely on, proved through the doors that they use.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    missing_docs
)]

mod clicks;
mod conventions;
mod cors;
mod credentials;
mod deployed;
mod events;
mod failures;
mod faults;
mod health;
mod idempotency;
mod keys;
mod later;
mod limits;
mod link;
mod link_list;
mod link_parts;
mod links_api;
mod openapi;
mod pages;
mod password_tries;
mod postgres;
mod preconditions;
mod queue_consumer;
mod redirect;
mod resources;
mod sandbox;
mod slugs;
mod smoke;
mod template;
mod tokens;
