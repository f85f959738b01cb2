//! Why DynamoDB did not do what was asked, sorted by what the caller can do about it.

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;

use super::Item;
use crate::BoxError;
use crate::http::Problem;

/// Why an operation did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum DynamoError {
    /// The condition did not hold.
    #[error("the condition did not hold")]
    ConditionFailed {
        /// The item as it stands; empty when there is none.
        current: Item,
    },
    /// A transaction was cancelled.
    #[error("the transaction was cancelled")]
    Cancelled {
        /// One for each write, in their order.
        reasons: Vec<Cancellation>,
    },
    /// A transaction holds the item at this moment.
    #[error("a transaction holds the item")]
    Conflict(#[source] BoxError),
    /// DynamoDB is down, throttles, or did not answer in time; the SDK's retries are used up.
    #[error("DynamoDB is not available")]
    Unavailable(#[source] BoxError),
    /// A call that cannot succeed: a fault in the code or the permissions.
    #[error("DynamoDB refused the call")]
    Refused(#[source] BoxError),
}

/// Why one write of a transaction was not done.
#[derive(Clone, Debug, PartialEq)]
pub enum Cancellation {
    /// It was not the cause.
    None,
    /// Its condition did not hold; the item as it stands.
    ConditionFailed(Item),
    /// Another transaction holds the item.
    Conflict,
    /// Another cause, by DynamoDB's code.
    Other(String),
}

impl From<DynamoError> for Problem {
    fn from(error: DynamoError) -> Self {
        match error {
            DynamoError::Unavailable(_) | DynamoError::Conflict(_) => Self::unavailable(error),
            _ => Self::internal(error),
        }
    }
}

pub(super) fn cancelled(error: SdkError<TransactWriteItemsError>) -> DynamoError {
    let Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) = error.as_service_error() else {
        return sorted(error);
    };
    let reasons: Vec<_> = cancelled
        .cancellation_reasons()
        .iter()
        .map(|reason| match reason.code() {
            None | Some("None") => Cancellation::None,
            Some("ConditionalCheckFailed") => Cancellation::ConditionFailed(reason.item().cloned().unwrap_or_default()),
            Some("TransactionConflict") => Cancellation::Conflict,
            Some(code) => Cancellation::Other(code.to_owned()),
        })
        .collect();
    let throttled = |reason: &Cancellation| matches!(reason, Cancellation::Other(code) if code == "ThrottlingError" || code == "ProvisionedThroughputExceeded");
    if reasons.iter().any(throttled) {
        return DynamoError::Unavailable(error.into());
    }
    DynamoError::Cancelled { reasons }
}

/// Splits failures into those that pass and those that do not.
pub(super) fn sorted<E>(error: SdkError<E>) -> DynamoError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let code = match &error {
        SdkError::ServiceError(service) => service.err().code(),
        _ => None,
    };
    if code == Some("TransactionConflictException") {
        return DynamoError::Conflict(error.into());
    }
    let refused = match &error {
        SdkError::ServiceError(service) => {
            service.raw().status().is_client_error()
                && !service.err().code().is_some_and(|code| {
                    code.contains("Throttl")
                        || code.contains("ThroughputExceeded")
                        || code == "RequestLimitExceeded"
                        || code == "TransactionInProgressException"
                })
        }
        SdkError::ConstructionFailure(_) => true,
        _ => false,
    };
    if refused { DynamoError::Refused(error.into()) } else { DynamoError::Unavailable(error.into()) }
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::config::http::HttpResponse;
    use aws_sdk_dynamodb::error::ErrorMetadata;
    use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
    use aws_smithy_types::body::SdkBody;

    use super::*;

    fn of_code(code: &str) -> DynamoError {
        let Ok(status) = 400_u16.try_into() else { unreachable!("400 is a status") };
        let error = UpdateItemError::generic(ErrorMetadata::builder().code(code).build());
        sorted(SdkError::service_error(error, HttpResponse::new(status, SdkBody::empty())))
    }

    #[test]
    fn a_conflict_an_outage_and_a_fault_of_ours_are_told_apart() {
        assert!(matches!(of_code("TransactionConflictException"), DynamoError::Conflict(_)));
        for code in ["ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded"] {
            assert!(matches!(of_code(code), DynamoError::Unavailable(_)), "{code}");
        }
        assert!(matches!(of_code("ValidationException"), DynamoError::Refused(_)));
    }
}
