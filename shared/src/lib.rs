//! What at least three services of Tenfold need, one module for each concern.
//!
//! | module | concern |
//! |---|---|
//! | [`lambda`] | how a function runs: the list of a service's functions, HTTP, queues, schedules, streams |
//! | [`http`] | what every endpoint does the same way: problems, extractors, pagination, idempotency, entity tags, versions |
//! | [`identity`] | who calls: principal, API keys, access tokens, permissions |
//! | [`password_hash`] | hashes of passwords, one at a time for each core |
//! | [`limits`] | exact rate limits on Redis or DynamoDB |
//! | [`queue`] | sending messages, now or at any later second |
//! | [`events`] | domain events as CloudEvents, published directly or through the outbox |
//! | [`export`] | a service's part of the export of a tenant |
//! | [`dynamo`], [`postgres`], [`blob`], [`aws`] | the stores, behind plain functions that are compiled once |
//! | [`cache`] | what an instance keeps for a while |
//! | [`outbound`] | the one HTTP client for URLs that others choose |
//! | [`mail`] | mails, and their sending by SMTP or into a folder |
//! | [`signing`] | signatures of requests by Standard Webhooks, made and verified |
//! | [`config`], [`time`], [`random`], [`id`], [`digest`], [`text`], [`refusal`], [`telemetry`] | configuration, the clock, randomness, ids, hashes as texts, the rule of a line, why a value is refused, logs |

pub mod aws;
pub mod blob;
pub mod cache;
pub mod config;
pub mod digest;
pub mod dynamo;
pub mod events;
pub mod export;
pub mod http;
pub mod id;
pub mod identity;
pub mod lambda;
pub mod limits;
pub mod mail;
pub mod outbound;
pub mod password_hash;
pub mod postgres;
pub mod queue;
pub mod random;
pub mod refusal;
pub mod signing;
pub mod telemetry;
pub mod text;
pub mod time;

/// An error whose type does not matter to its reader, only its cause chain.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A boxed future. The functions of this crate that touch the AWS SDK or a database return one,
/// so that they are compiled here once and not again in each service.
pub type BoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;
