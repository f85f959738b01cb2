//! What clients, event sources and developers may rely on, proved through the doors that they use.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::print_stdout, missing_docs)]

mod deployed;
mod conventions;
mod cors;
mod failures;
mod faults;
mod limits;
mod queue_consumer;
mod resources;
mod link;
mod preconditions;
mod smoke;
