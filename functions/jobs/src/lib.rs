//! The task queue: jobs that are done later, again when they fail, and once for each key.
//!
//! A job is one record in DynamoDB, whose state machine ([`job`]) decides everything; a message in SQS only says that there
//! may be something to do, so that messages may be lost, doubled or late. A job is done by a handler of this service, by a
//! server of the tenant's that is sent it, or by a worker that leases it.
//!
//! | module | what it is about |
//! |---|---|
//! | [`job`], [`attempt`] | the record and its states; what attempts come to |
//! | [`name`], [`payload`], [`files`], [`backoff`], [`dependency`], [`done`] | its parts; what exists is valid |
//! | [`queue`], [`settings`], [`rates`] | what holds for the jobs of a queue |
//! | [`rules`] | how jobs are made |
//! | [`schedule`] | when jobs are made again and again |
//! | [`store`] | the table |
//! | [`engine`], [`message`] | what moves jobs |
//! | [`turn`] | jobs that wait for the rate of their queue |
//! | [`family`] | jobs that depend on others |
//! | [`handlers`], [`delivery`] | the work that is built in, and jobs that are sent to a URL |
//! | [`api`], [`view`] | `jobs.api`: the endpoints under `/v2/jobs`, `/v2/queues` and `/v2/schedules`, and a job as they show it |
//! | [`worker`] | `jobs.worker`: does jobs, from three queues, one for each priority |
//! | [`sweeper`], [`scheduler`] | `jobs.sweeper`: makes the jobs of schedules, finds lost messages and ended leases |
//! | [`changes`], [`statistics`] | `jobs.changes`: counts the jobs of each queue by what becomes of them, and lets go of what the bucket holds of jobs that are not kept any more |
//! | [`export`] | `jobs.export`: what the export of a tenant has of jobs |

pub mod api;
pub mod app;
pub mod attempt;
pub mod backoff;
pub mod changes;
pub mod delivery;
pub mod dependency;
pub mod done;
pub mod engine;
pub mod export;
pub mod family;
pub mod files;
pub mod handlers;
pub mod job;
pub mod message;
pub mod name;
pub mod payload;
pub mod queue;
pub mod rates;
pub mod rules;
pub mod schedule;
pub mod scheduler;
pub mod settings;
pub mod statistics;
pub mod store;
pub mod sweeper;
pub mod turn;
pub mod view;
pub mod worker;

use shared::lambda::Service;

/// The functions of this service.
pub static SERVICE: Service = Service {
    name: "jobs",
    functions: &[
        ("jobs.api", api::function),
        ("jobs.worker", worker::function),
        ("jobs.sweeper", sweeper::function),
        ("jobs.changes", changes::function),
        ("jobs.export", export::function),
    ],
};
