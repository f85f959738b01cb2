//! Opens the connection to DynamoDB before the first call needs it: at a start, which a client does not wait for as it
//! does for a call.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::Builder;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::BeforeTransmitInterceptorContextMut;
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use aws_smithy_types::retry::RetryConfig;

use crate::BoxFuture;
use crate::telemetry::chain;

/// Opens a connection of `dynamo` and leaves it to the calls that follow; gives up after `patience`. That it failed is
/// for the first call to find out.
///
/// It asks `GET /` without any credentials, which DynamoDB answers to everybody. That is sent as one of the client's own
/// calls is: the library keeps a pool of connections for each HTTP client and time-out, and this is the same one.
pub fn connect(dynamo: &Client, patience: Duration) -> BoxFuture<'_, ()> {
    Box::pin(async move {
        let once = Builder::new().retry_config(RetryConfig::disabled());
        // Whichever operation: nothing of it is sent, and its answer is not understood.
        let asked = dynamo.describe_limits().customize().config_override(once).interceptor(PlainGet).send();
        match tokio::time::timeout(patience, asked).await {
            Ok(Err(error)) if error.raw_response().is_none() => {
                tracing::debug!(error = chain(&error), "no connection to DynamoDB was opened ahead");
            }
            Ok(_) => {}
            Err(_) => tracing::debug!("no connection to DynamoDB was opened ahead in time"),
        }
    })
}

/// Sends `GET` without headers or body in place of the call.
#[derive(Debug)]
struct PlainGet;

#[dyn_dispatch_hint]
impl Intercept for PlainGet {
    fn name(&self) -> &'static str {
        "PlainGet"
    }

    fn modify_before_transmit(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request_mut();
        *request = HttpRequest::get(request.uri())?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use std::sync::{Arc, Mutex};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::aws::Aws;
    use crate::config::Environment;

    const PATIENCE: Duration = Duration::from_mins(1);

    /// The heads of the requests on each connection, in their order.
    type Seen = Arc<Mutex<Vec<Vec<String>>>>;

    async fn serve(listener: TcpListener, seen: Seen) {
        while let Ok((stream, _)) = listener.accept().await {
            let connection = {
                let mut seen = seen.lock().unwrap();
                seen.push(Vec::new());
                seen.len() - 1
            };
            tokio::spawn(answer(stream, connection, seen.clone()));
        }
    }

    async fn answer(mut stream: TcpStream, connection: usize, seen: Seen) {
        let mut read = Vec::new();
        while stream.read_buf(&mut read).await.is_ok_and(|count| count > 0) {
            let text = String::from_utf8_lossy(&read).to_lowercase();
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let length = head.split("\r\n").find_map(|line| line.strip_prefix("content-length: "));
            if body.len() < length.map_or(0, |length| length.parse().unwrap()) {
                continue;
            }
            let answer = if head.starts_with("get ") { "healthy: dynamodb.example" } else { "{}" };
            seen.lock().unwrap()[connection].push(head.to_owned());
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", answer.len());
            stream.write_all(format!("{head}{answer}").as_bytes()).await.unwrap();
            read.clear();
        }
    }

    async fn listening() -> (TcpListener, Client) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let variables = [
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "key"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_ENDPOINT_URL", &url),
        ];
        let environment: Environment =
            variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        (listener, Aws::new(&environment).unwrap().dynamo)
    }

    #[tokio::test]
    async fn the_first_call_goes_over_the_connection_that_was_opened_ahead() {
        let (listener, dynamo) = listening().await;
        let seen = Seen::default();
        tokio::spawn(serve(listener, seen.clone()));
        connect(&dynamo, PATIENCE).await;
        dynamo.list_tables().send().await.unwrap();

        let seen = seen.lock().unwrap();
        assert_eq!(seen.len(), 1, "{seen:?}");
        let [ahead, call] = seen[0].as_slice() else { unreachable!("{seen:?}") };
        assert!(ahead.starts_with("get / http/1.1\r\n") && call.starts_with("post / http/1.1\r\n"), "{seen:?}");
        assert!(!ahead.contains("authorization") && call.contains("authorization"), "{seen:?}");
    }

    #[tokio::test]
    async fn who_refuses_or_does_not_answer_ends_no_start() {
        let (listener, dynamo) = listening().await;
        // It takes the connection and says nothing.
        connect(&dynamo, Duration::from_millis(20)).await;
        drop(listener);
        connect(&dynamo, PATIENCE).await;
    }
}
