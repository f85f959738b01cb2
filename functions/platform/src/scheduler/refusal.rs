//! Which failures of SQS are for good, and which pass.

use aws_sdk_sqs::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_sqs::operation::send_message_batch::SendMessageBatchError;

/// Why a call can never succeed.
#[derive(Debug)]
pub(super) enum Refusal {
    /// No message for this queue can.
    Queue(String),
    /// One of its messages is at fault.
    Call(String),
}

/// What an error means for good. `None`: it may pass (an outage, throttling, a permission that an operator restores).
pub(super) fn refusal(error: &SdkError<SendMessageBatchError>) -> Option<Refusal> {
    let service = error.as_service_error()?;
    let code = service.code().unwrap_or_default();
    let reason = || format!("{code}: {}", service.message().unwrap_or_default());
    // Codes may carry the prefix `AWS.SimpleQueueService.`.
    match code.rsplit('.').next().unwrap_or_default() {
        "NonExistentQueue" | "QueueDoesNotExist" | "InvalidAddress" => Some(Refusal::Queue(reason())),
        "BatchRequestTooLong"
        | "InvalidMessageContents"
        | "InvalidParameterValue"
        | "InvalidAttributeValue"
        | "MissingParameter" => Some(Refusal::Call(reason())),
        _ => None,
    }
}

/// Whether an entry's failure passes although SQS calls it the sender's fault.
pub(super) fn passes(code: &str) -> bool {
    code.contains("Throttl") || code.contains("AccessDenied") || code.contains("OverLimit")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throttling_is_not_a_refusal() {
        assert!(passes("KmsThrottled") && passes("ThrottlingException"));
        assert!(!passes("InvalidMessageContents"));
    }
}
