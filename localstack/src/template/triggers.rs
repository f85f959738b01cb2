//! What invokes a function: the `Events` of its block, as SAM reads them
//! (<https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-property-function-eventsource.html>).

use std::time::Duration;

use http::Method;
use serde_json::Value;

use super::{Scope, TemplateError};

/// Batches that are invoked at once when a queue's event says nothing. Lambda would go up to 1,250.
const DEFAULT_CONCURRENCY: u64 = 5;

/// The longest time for which a batch of a stream is gathered.
const LONGEST_WINDOW: Duration = Duration::from_mins(5);

/// One trigger of a function.
#[derive(Clone, Debug, PartialEq)]
pub enum Trigger {
    /// A route of the HTTP API.
    Http(Route),
    /// A queue.
    Queue(QueueTrigger),
    /// A table's stream.
    Stream(StreamTrigger),
    /// A schedule.
    Schedule(ScheduleTrigger),
}

/// A route of the HTTP API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The method; `None` is `ANY`.
    pub method: Option<Method>,
    /// The path as the template writes it: `/v1/links/{id}`, `/v1/links/{proxy+}`, `$default`.
    pub path: String,
}

/// A queue that is polled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueTrigger {
    /// The queue's logical id.
    pub queue: String,
    /// The most messages of one invocation, 1 to 10,000.
    pub batch_size: u64,
    /// How long a batch is gathered before it is handed over incomplete.
    pub window: Duration,
    /// The most invocations at once.
    pub concurrency: u64,
    /// Whether the function names the messages that failed.
    pub partial_failures: bool,
}

/// A table's stream that is read.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamTrigger {
    /// The table's logical id.
    pub table: String,
    /// The most records of one invocation, 1 to 10,000.
    pub batch_size: u64,
    /// How long a batch is gathered before it is handed over incomplete.
    pub window: Duration,
    /// Whether reading starts at the oldest record, else at what comes next.
    pub from_start: bool,
    /// Whether the function names the record that failed.
    pub partial_failures: bool,
    /// Whether a failed batch is halved for its next try.
    pub bisect: bool,
    /// How often a batch is tried again; `None` is until its records expire.
    pub retries: Option<u64>,
    /// The queue that learns of batches that were given up, by logical id.
    pub on_failure: Option<String>,
    /// The patterns of which a record must match one; without any, every record matches.
    pub filters: Vec<Value>,
}

/// A schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleTrigger {
    /// Its name: the event's `Name`, else the event's key.
    pub name: String,
    /// `rate(…)` or `cron(…)`.
    pub expression: String,
    /// The JSON that is sent instead of the scheduler's own event.
    pub input: Option<String>,
}

/// Reads one entry of `Events`; `None` when it is switched off.
pub(super) fn read(function: &str, name: &str, event: &Value, scope: &Scope) -> Result<Option<Trigger>, TemplateError> {
    let properties = Properties { function, name, given: event.get("Properties").unwrap_or(&Value::Null), scope };
    if properties.switched_off()? {
        return Ok(None);
    }
    let trigger = match event.get("Type").and_then(Value::as_str).unwrap_or_default() {
        "HttpApi" => Trigger::Http(properties.route()?),
        "SQS" => Trigger::Queue(properties.queue()?),
        "DynamoDB" => Trigger::Stream(properties.stream()?),
        "Schedule" | "ScheduleV2" => Trigger::Schedule(properties.schedule()?),
        other => return Err(properties.refuse(&format!("the event type {other:?} is not served by the local stack"))),
    };
    Ok(Some(trigger))
}

struct Properties<'a> {
    function: &'a str,
    name: &'a str,
    given: &'a Value,
    scope: &'a Scope,
}

impl Properties<'_> {
    fn refuse(&self, what: &str) -> TemplateError {
        TemplateError::invalid(&format!("{}, event {}", self.function, self.name), what)
    }

    fn text(&self, name: &str) -> Result<Option<String>, TemplateError> {
        self.given.get(name).map(|value| self.scope.text(value)).transpose()
    }

    fn number(&self, pointer: &str) -> Result<Option<u64>, TemplateError> {
        let Some(value) = self.given.pointer(pointer) else { return Ok(None) };
        let text = self.scope.text(value)?;
        text.parse().map(Some).map_err(|_| self.refuse(&format!("{pointer} is {text:?}, not a number")))
    }

    fn flag(&self, name: &str) -> Result<bool, TemplateError> {
        Ok(self.text(name)?.as_deref() == Some("true"))
    }

    fn switched_off(&self) -> Result<bool, TemplateError> {
        Ok(self.text("State")?.as_deref() == Some("DISABLED") || self.text("Enabled")?.as_deref() == Some("false"))
    }

    /// The logical id in `!GetAtt Id.attribute`.
    fn resource(&self, pointer: &str, attribute: &str) -> Result<String, TemplateError> {
        let path = self.given.pointer(pointer).and_then(|value| value.get("Fn::GetAtt")).and_then(Value::as_array);
        match path.map(Vec::as_slice) {
            Some([Value::String(id), Value::String(found)]) if found == attribute => Ok(id.clone()),
            _ => Err(self.refuse(&format!("{pointer} must be !GetAtt of a resource's {attribute}"))),
        }
    }

    fn partial_failures(&self) -> bool {
        let types = self.given.get("FunctionResponseTypes").and_then(Value::as_array);
        types.is_some_and(|types| types.iter().any(|kind| kind == "ReportBatchItemFailures"))
    }

    fn route(&self) -> Result<Route, TemplateError> {
        if self.text("PayloadFormatVersion")?.is_some_and(|version| version != "2.0") {
            return Err(self.refuse("only payload format 2.0 is served"));
        }
        let path = self.text("Path")?.unwrap_or_else(|| "$default".to_owned());
        let method = self.text("Method")?.unwrap_or_else(|| "ANY".to_owned()).to_ascii_uppercase();
        let method = match method.as_str() {
            "ANY" | "X-AMAZON-APIGATEWAY-ANY-METHOD" => None,
            name => Some(name.parse().map_err(|_| self.refuse(&format!("{name:?} is no method")))?),
        };
        Ok(Route { method, path })
    }

    fn queue(&self) -> Result<QueueTrigger, TemplateError> {
        let trigger = QueueTrigger {
            queue: self.resource("/Queue", "Arn")?,
            batch_size: self.number("/BatchSize")?.unwrap_or(10),
            window: Duration::from_secs(self.number("/MaximumBatchingWindowInSeconds")?.unwrap_or(0)),
            concurrency: self.number("/ScalingConfig/MaximumConcurrency")?.unwrap_or(DEFAULT_CONCURRENCY),
            partial_failures: self.partial_failures(),
        };
        if !(1..=10_000).contains(&trigger.batch_size) || (trigger.batch_size > 10 && trigger.window.is_zero()) {
            return Err(self.refuse("BatchSize is 1 to 10000, and over 10 only with a batching window"));
        }
        if !(1..=1_000).contains(&trigger.concurrency) {
            return Err(self.refuse("MaximumConcurrency is 1 to 1000"));
        }
        if self.given.get("FilterCriteria").is_some() {
            return Err(self.refuse("FilterCriteria of a queue are not served by the local stack"));
        }
        Ok(trigger)
    }

    fn stream(&self) -> Result<StreamTrigger, TemplateError> {
        let on_failure = "/DestinationConfig/OnFailure/Destination";
        let trigger = StreamTrigger {
            table: self.resource("/Stream", "StreamArn")?,
            batch_size: self.number("/BatchSize")?.unwrap_or(100),
            window: Duration::from_secs(self.number("/MaximumBatchingWindowInSeconds")?.unwrap_or(0)),
            from_start: match self.text("StartingPosition")?.as_deref() {
                Some("TRIM_HORIZON") => true,
                Some("LATEST") => false,
                _ => return Err(self.refuse("StartingPosition is TRIM_HORIZON or LATEST")),
            },
            partial_failures: self.partial_failures(),
            bisect: self.flag("BisectBatchOnFunctionError")?,
            retries: match self.text("MaximumRetryAttempts")?.as_deref() {
                None | Some("-1") => None,
                Some(_) => self.number("/MaximumRetryAttempts")?,
            },
            on_failure: match self.given.pointer(on_failure) {
                Some(_) => Some(self.resource(on_failure, "Arn")?),
                None => None,
            },
            filters: self.filters()?,
        };
        if !(1..=10_000).contains(&trigger.batch_size) {
            return Err(self.refuse("BatchSize is 1 to 10000"));
        }
        if trigger.window > LONGEST_WINDOW {
            return Err(self.refuse("MaximumBatchingWindowInSeconds is 0 to 300"));
        }
        Ok(trigger)
    }

    fn filters(&self) -> Result<Vec<Value>, TemplateError> {
        let filters = self.given.pointer("/FilterCriteria/Filters").and_then(Value::as_array);
        let mut patterns = Vec::new();
        for filter in filters.into_iter().flatten() {
            let text = self.scope.text(filter.get("Pattern").unwrap_or(&Value::Null))?;
            let pattern = serde_json::from_str(&text).map_err(|error| self.refuse(&format!("a filter: {error}")))?;
            crate::pollers::filter::check(&pattern).map_err(|what| self.refuse(&what))?;
            patterns.push(pattern);
        }
        Ok(patterns)
    }

    fn schedule(&self) -> Result<ScheduleTrigger, TemplateError> {
        let Some(expression) = self.text("ScheduleExpression")?.or(self.text("Schedule")?) else {
            return Err(self.refuse("has no ScheduleExpression"));
        };
        crate::schedules::Expression::parse(&expression).map_err(|error| self.refuse(&error.to_string()))?;
        let name = self.text("Name")?.filter(|name| !name.is_empty()).unwrap_or_else(|| self.name.to_owned());
        Ok(ScheduleTrigger { name, expression, input: self.text("Input")? })
    }
}
