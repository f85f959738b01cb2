//! An HTTP function: API Gateway's event in, the router's answer out, through [`crate::http::conventions`].

mod answer;
mod event;

use std::sync::atomic::{AtomicBool, Ordering};

use http_body_util::BodyExt as _;
use lambda_runtime::Context;
use serde_json::value::RawValue;

use super::{Invoke, Runtime};
use crate::config::ConfigError;
use crate::http::conventions::{Conventions, Invocation};
use crate::http::versions::serve::Versions;
use crate::{BoxError, BoxFuture};

pub(super) struct Http {
    conventions: Conventions,
    cold: AtomicBool,
}

impl Http {
    pub(super) fn new(runtime: &Runtime, router: axum::Router) -> Self {
        Self { conventions: Conventions::new(runtime, router), cold: AtomicBool::new(true) }
    }

    pub(super) fn versioned(runtime: &Runtime, router: axum::Router) -> Result<Self, ConfigError> {
        let conventions = Conventions::new(runtime, router).with_versions(Versions::new(runtime)?);
        Ok(Self { conventions, cold: AtomicBool::new(true) })
    }
}

impl Invoke for Http {
    fn invoke(&self, event: Box<RawValue>, context: Context) -> BoxFuture<'_, Result<Box<RawValue>, BoxError>> {
        Box::pin(async move {
            let request = event::read(event.get())?;
            let invocation = Invocation {
                cold_start: self.cold.swap(false, Ordering::Relaxed),
                remaining: super::remaining(&context),
            };
            let (parts, body) = self.conventions.call(request, invocation).await.into_parts();
            Ok(answer::write(&parts, &body.collect().await?.to_bytes())?)
        })
    }
}
