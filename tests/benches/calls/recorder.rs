//! An interceptor that records each AWS call with the DynamoDB capacity that AWS would charge for it.
//!
//! Written units are those that the local endpoint answers, which follow AWS's rules: a unit for each begun kilobyte of
//! the larger of the item before and after, twice that in a transaction. Read units it answers without a look at the
//! size, so they are worked out here from the items of the answer: half a unit for each begun 4 KB, a whole one where
//! the read is consistent (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html>).

use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::{
    AfterDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextRef,
};
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::{ConfigBag, Storable, StoreReplace};
use serde_json::Value;
use shared::aws::Aws;

/// Who was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Called {
    Dynamo,
    Sqs,
    Sns,
    S3,
}

/// A call that was answered.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) called: Called,
    pub(crate) read_units: f64,
    pub(crate) write_units: f64,
    /// What was asked for; the method for S3, and null when the protocol is not JSON otherwise.
    pub(crate) request: Value,
}

/// The calls so far. Clones share one list.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<Call>>>);

impl Log {
    /// Takes what was recorded since the last time.
    pub(crate) fn take(&self) -> Vec<Call> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The same clients, whose calls are recorded here.
    pub(crate) fn record(&self, aws: &Aws) -> Aws {
        let recorder = |called| Recorder { called, log: self.clone() };
        Aws {
            dynamo: aws_sdk_dynamodb::Client::from_conf(
                aws.dynamo.config().to_builder().interceptor(recorder(Called::Dynamo)).build(),
            ),
            sqs: aws_sdk_sqs::Client::from_conf(
                aws.sqs.config().to_builder().interceptor(recorder(Called::Sqs)).build(),
            ),
            sns: aws_sdk_sns::Client::from_conf(
                aws.sns.config().to_builder().interceptor(recorder(Called::Sns)).build(),
            ),
            s3: aws_sdk_s3::Client::from_conf(aws.s3.config().to_builder().interceptor(recorder(Called::S3)).build()),
            // No operation that is counted reads a secret.
            secrets: aws.secrets.clone(),
        }
    }
}

#[derive(Debug)]
struct Recorder {
    called: Called,
    log: Log,
}

#[dyn_dispatch_hint]
impl Intercept for Recorder {
    fn name(&self) -> &'static str {
        "Recorder"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request();
        let operation = request.headers().get("x-amz-target").unwrap_or_default();
        config.interceptor_state().store_put(Asked {
            reads: self.called == Called::Dynamo && (operation.ends_with(".GetItem") || operation.ends_with(".Query")),
            request: if self.called == Called::S3 { request.method().into() } else { json(request.body().bytes()) },
        });
        Ok(())
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let Asked { reads, request } = config.load::<Asked>().cloned().unwrap_or_default();
        let answer = json(context.response().body().bytes());
        let call = Call {
            called: self.called,
            read_units: if reads { read_units(&request, &answer) } else { 0.0 },
            write_units: if reads { 0.0 } else { write_units(&answer) },
            request,
        };
        self.log.0.lock().unwrap_or_else(PoisonError::into_inner).push(call);
        Ok(())
    }
}

/// What is kept of a request until its answer is there.
#[derive(Clone, Debug, Default)]
struct Asked {
    /// It reads DynamoDB.
    reads: bool,
    request: Value,
}

impl Storable for Asked {
    type Storer = StoreReplace<Self>;
}

fn json(bytes: Option<&[u8]>) -> Value {
    serde_json::from_slice(bytes.unwrap_or_default()).unwrap_or(Value::Null)
}

#[allow(clippy::cast_precision_loss)] // sizes are small
fn read_units(request: &Value, answer: &Value) -> f64 {
    let items = answer["Items"].as_array().into_iter().flatten().chain(answer.get("Item"));
    let bytes: usize = items.map(attributes_size).sum();
    let blocks = bytes.div_ceil(4096).max(1) as f64;
    if request["ConsistentRead"] == true { blocks } else { blocks / 2.0 }
}

fn write_units(answer: &Value) -> f64 {
    let units = |capacity: &Value| capacity["CapacityUnits"].as_f64().unwrap_or_default();
    match &answer["ConsumedCapacity"] {
        Value::Array(tables) => tables.iter().map(units).sum(),
        capacity => units(capacity),
    }
}

/// The size of an item in bytes
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html>).
fn attributes_size(attributes: &Value) -> usize {
    attributes.as_object().into_iter().flatten().map(|(name, value)| name.len() + value_size(value)).sum()
}

fn value_size(value: &Value) -> usize {
    let Some((kind, value)) = value.as_object().and_then(|typed| typed.iter().next()) else { return 0 };
    let text = |value: &Value| value.as_str().map_or(0, str::len);
    match (kind.as_str(), value) {
        ("S", value) => text(value),
        // A byte for two digits, and one more.
        ("N", value) => text(value).div_ceil(2) + 1,
        ("SS", Value::Array(texts)) => texts.iter().map(text).sum(),
        // Three bytes, and one for each element.
        ("L", Value::Array(elements)) => 3 + elements.iter().map(|element| 1 + value_size(element)).sum::<usize>(),
        ("M", Value::Object(members)) => 3 + members.len() + attributes_size(value),
        _ => 1,
    }
}
