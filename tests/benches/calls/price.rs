//! What calls cost: on-demand prices of us-east-1 in US dollars, as of November 2026, without the free tiers.

use crate::Row;
use crate::recorder::{Call, Called};

/// A million requests to an HTTP API, each up to 512 KB.
const API_REQUESTS: f64 = 1.00;
/// A million invocations.
const INVOCATIONS: f64 = 0.20;
/// A GB-second on x86-64.
const GB_SECOND: f64 = 0.000_016_666_7;
/// A million read units of DynamoDB.
const READ_UNITS: f64 = 0.125;
/// A million write units.
const WRITE_UNITS: f64 = 0.625;
/// A million requests to SQS, each up to 64 KB.
const SQS_REQUESTS: f64 = 0.40;
/// What a message with a fairness group costs more, by the million.
const FAIR_QUEUE: f64 = 0.10;
/// A million events published to SNS, each up to 64 KB.
const SNS_EVENTS: f64 = 0.50;

/// A million requests to S3 that write or list, and that read.
const S3_WRITES: f64 = 5.00;
const S3_READS: f64 = 0.40;

/// How long an invocation is assumed to run: so long by itself, and so long for each AWS call. It is not measured here:
/// it depends on AWS. In one millisecond a 256 MB function costs 0.4 cents a million times.
const OWN_MILLISECONDS: f64 = 2.0;
const MILLISECONDS_EACH_CALL: f64 = 5.0;
/// And so long for an argon2, in a function that has the CPU of a whole core.
const MILLISECONDS_OF_A_HASH: f64 = 25.0;

/// How an operation comes to its function.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Door {
    /// By the HTTP API.
    Http,
    /// By a queue with one message in its batch: Lambda receives it and deletes it.
    Queue,
    /// By a stream, whose reading is free, or a schedule.
    Other,
    /// It is part of another operation.
    Inside,
}

/// The price of a million operations, by part.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Price {
    pub(crate) api: f64,
    pub(crate) lambda: f64,
    pub(crate) dynamo: f64,
    /// SQS, SNS and S3.
    pub(crate) others: f64,
}

impl Price {
    pub(crate) fn of(row: &Row) -> Self {
        let calls = || row.before.iter().chain(&row.after);
        let hash = if row.hashes { MILLISECONDS_OF_A_HASH } else { 0.0 };
        let called = f64::from(u32::try_from(calls().count()).unwrap());
        let milliseconds = OWN_MILLISECONDS + hash + MILLISECONDS_EACH_CALL * called;
        let invoked = INVOCATIONS + milliseconds / 1e3 * f64::from(row.megabytes) / 1024.0 * GB_SECOND * 1e6;
        Self {
            api: if matches!(row.door, Door::Http) { API_REQUESTS } else { 0.0 },
            lambda: if matches!(row.door, Door::Inside) { 0.0 } else { invoked },
            dynamo: calls().fold(0.0, |sum, call| sum + call.read_units * READ_UNITS + call.write_units * WRITE_UNITS),
            others: calls()
                .map(other)
                .fold(if matches!(row.door, Door::Queue) { 2.0 * SQS_REQUESTS } else { 0.0 }, std::ops::Add::add),
        }
    }

    pub(crate) fn total(&self) -> f64 {
        self.api + self.lambda + self.dynamo + self.others
    }
}

fn other(call: &Call) -> f64 {
    match call.called {
        Called::Dynamo => 0.0,
        Called::Sqs if call.request.to_string().contains("MessageGroupId") => SQS_REQUESTS + FAIR_QUEUE,
        Called::Sqs => SQS_REQUESTS,
        Called::Sns => SNS_EVENTS,
        Called::S3 if matches!(call.request.as_str(), Some("GET" | "HEAD")) => S3_READS,
        Called::S3 => S3_WRITES,
    }
}
