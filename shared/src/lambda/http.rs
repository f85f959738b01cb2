//! An HTTP function: API Gateway's event in, the router's answer out, through [`crate::http::conventions`].

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::response::Response;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use lambda_http::Adapter;
use lambda_http::request::LambdaRequest;
use lambda_runtime::{Context, LambdaEvent};
use serde_json::value::RawValue;
use tower::ServiceExt as _;

use super::{Invoke, Runtime};
use crate::http::conventions::{Conventions, Invocation};
use crate::{BoxError, BoxFuture};

pub(super) struct Http {
    conventions: Arc<Conventions>,
    cold: AtomicBool,
}

impl Http {
    pub(super) fn new(runtime: &Runtime, router: axum::Router) -> Self {
        Self { conventions: Arc::new(Conventions::new(runtime, router)), cold: AtomicBool::new(true) }
    }
}

impl Invoke for Http {
    fn invoke(&self, event: Box<RawValue>, context: Context) -> BoxFuture<'_, Result<Box<RawValue>, BoxError>> {
        Box::pin(async move {
            let payload: LambdaRequest = serde_json::from_str(event.get())?;
            let invocation = Invocation {
                cold_start: self.cold.swap(false, Ordering::Relaxed),
                remaining: super::remaining(&context),
            };
            let conventions = Arc::clone(&self.conventions);
            let service = tower::service_fn(move |request: lambda_http::Request| {
                let (conventions, invocation) = (Arc::clone(&conventions), invocation.clone());
                async move { buffered(conventions.call(request, invocation).await).await }
            });
            let answer = Adapter::from(service).oneshot(LambdaEvent::new(payload, context)).await?;
            Ok(serde_json::value::to_raw_value(&answer)?)
        })
    }
}

/// An answer with its whole body at hand, as a Lambda sends it.
async fn buffered(response: Response) -> Result<http::Response<Full<Bytes>>, axum::Error> {
    let (parts, body) = response.into_parts();
    Ok(http::Response::from_parts(parts, Full::new(body.collect().await?.to_bytes())))
}
