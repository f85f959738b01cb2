//! `platform.documents`: what people and programs read about the API. The OpenAPI document ([`openapi`]), a page that shows it
//! and tries it ([`reference`]), and what changed ([`changelog`]).
//!
//! All of it is compiled in, so serving it calls nothing. It changes with a release only, and nobody's data are in it.

pub mod changelog;
pub mod openapi;
pub mod reference;

use axum::Router;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderValue, REFERRER_POLICY};
use shared::http::{ETag, Preconditions};
use shared::lambda::{Function, Runtime};
use shared::{BoxError, BoxFuture};

/// Builds the function. It reads no variable of its own.
pub fn build(runtime: Runtime) -> BoxFuture<'static, Result<Function, BoxError>> {
    Box::pin(async move { Ok(Function::http(&runtime, router())) })
}

/// The routes: the documented one, and the pages for people, which are no part of the API.
pub fn router() -> Router {
    openapi::endpoints().split_for_parts().0.merge(reference::router()).merge(changelog::router())
}

/// The description of the documented route.
pub fn description() -> utoipa::openapi::OpenApi {
    openapi::endpoints().into_openapi()
}

/// What a page may load: nothing but what comes from here. Swagger UI styles its elements by attributes.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; \
     form-action 'none'; frame-ancestors 'none'; base-uri 'none'",
);

/// A document, or that the client has it.
fn answer(conditions: &Preconditions, tag: &ETag, kind: &'static str, body: impl IntoResponse) -> Response {
    let headers = [
        (ETAG, tag.header()),
        (CACHE_CONTROL, HeaderValue::from_static("public, max-age=300")),
        (CONTENT_SECURITY_POLICY, POLICY),
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    if conditions.not_modified(tag) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    let mut answer = (headers, body).into_response();
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}
