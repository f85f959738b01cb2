//! What every endpoint does the same way.
//!
//! A handler takes the extractors of this module instead of axum's ([`Json`], [`Query`], [`Path`], [`MergePatch`]),
//! answers with its response types ([`Created`], [`Tagged`], [`Page`], [`NoContent`]) and fails with a [`Problem`].
//! [`conventions`] wraps the service's router once with everything else: request id, trace context, problem documents,
//! security headers, CORS, the time-out and the log line.

mod client;
pub mod conventions;
mod days;
mod etag;
mod extract;
mod faults;
pub mod idempotency;
mod objects;
mod origins;
mod page;
mod patch;
mod problem;
mod public_url;
mod race;
mod reply;
mod sound;
mod unambiguous;
pub mod versions;

pub use client::{ClientAddress, ClientNetwork};
pub use conventions::RequestContext;
pub use days::Days;
pub use etag::{ETag, Preconditions};
pub use extract::{BODY_LIMIT, Json, Path, Query, body_within, parse_json, require_content_type};
pub use page::{Cursors, Limit, Page};
pub use patch::MergePatch;
pub use problem::{Document, FieldError, Problem, ProblemType};
pub use public_url::PublicUrl;
pub use race::{race, race_of_key};
pub use reply::{Created, NoContent, Stored, Tagged};
