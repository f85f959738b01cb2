//! Secrets Manager behind one plain, boxed function.

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueError;

use crate::config::Secret;
use crate::http::Problem;
use crate::{BoxError, BoxFuture};

/// Why a secret was not read.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// Secrets Manager is down, throttles, or did not answer in time; the SDK's retries are used up.
    #[error("Secrets Manager is not available")]
    Unavailable(#[source] BoxError),
    /// A call that cannot succeed: there is no such secret, it holds no text, or the function may not read it.
    #[error("Secrets Manager refused the call")]
    Refused(#[source] BoxError),
}

impl From<SecretError> for Problem {
    fn from(error: SecretError) -> Self {
        match error {
            SecretError::Unavailable(_) => Self::unavailable(error),
            SecretError::Refused(_) => Self::internal(error),
        }
    }
}

/// The client.
#[derive(Clone, Debug)]
pub struct Secrets(Client);

impl Secrets {
    pub(super) const fn new(client: Client) -> Self {
        Self(client)
    }

    /// The present text of the secret whose name or ARN is `id`.
    pub fn read<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Secret, SecretError>> {
        Box::pin(async move {
            let answer = self.0.get_secret_value().secret_id(id).send().await.map_err(sorted)?;
            let text = answer.secret_string.filter(|text| !text.is_empty());
            text.map(Secret::new).ok_or_else(|| SecretError::Refused(format!("{id} holds no text").into()))
        })
    }
}

/// Splits failures into those that pass and those that do not.
fn sorted(error: SdkError<GetSecretValueError>) -> SecretError {
    let refused = match &error {
        SdkError::ServiceError(service) => {
            service.raw().status().is_client_error()
                && !service.err().code().is_some_and(|code| code.contains("Throttl") || code == "RequestLimitExceeded")
        }
        SdkError::ConstructionFailure(_) => true,
        _ => false,
    };
    if refused { SecretError::Refused(error.into()) } else { SecretError::Unavailable(error.into()) }
}

#[cfg(test)]
mod tests {
    use aws_sdk_secretsmanager::config::http::HttpResponse;
    use aws_sdk_secretsmanager::error::ErrorMetadata;
    use aws_smithy_types::body::SdkBody;

    use super::*;

    fn answered(status: u16, code: &str) -> SecretError {
        let Ok(status) = status.try_into() else { unreachable!("it is a status") };
        let error = GetSecretValueError::generic(ErrorMetadata::builder().code(code).build());
        sorted(SdkError::service_error(error, HttpResponse::new(status, SdkBody::empty())))
    }

    #[test]
    fn an_outage_and_a_fault_of_ours_are_told_apart() {
        for (status, code) in [(400, "ThrottlingException"), (500, "InternalServiceError")] {
            assert!(matches!(answered(status, code), SecretError::Unavailable(_)), "{code}");
        }
        for code in ["ResourceNotFoundException", "AccessDeniedException"] {
            assert!(matches!(answered(400, code), SecretError::Refused(_)), "{code}");
        }
    }
}
