//! What a handler answers with.

use axum::response::{IntoResponse, Response};
use http::header::{ETAG, LOCATION};
use http::{HeaderValue, StatusCode};
use serde::Serialize;

use super::etag::{ETag, Preconditions};
use super::extract::json_response;
use super::problem::Problem;

/// 201 with `Location`, `ETag` and the new resource.
#[derive(Debug)]
pub struct Created<T> {
    /// The path of what was made.
    pub location: String,
    /// Its version.
    pub etag: ETag,
    /// Its representation.
    pub body: T,
}

impl<T: Serialize> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        let location = match HeaderValue::try_from(self.location) {
            Ok(location) => location,
            Err(error) => return Problem::internal(error).into_response(),
        };
        let mut response = (StatusCode::CREATED, json_response(&self.body)).into_response();
        response.headers_mut().insert(LOCATION, location);
        response.headers_mut().insert(ETAG, self.etag.header());
        response
    }
}

/// What a PUT has made where nothing was, or set anew.
#[derive(Debug)]
pub enum Stored<T> {
    /// It was not there: 201.
    Made(Created<T>),
    /// It was there: 200.
    Set(Tagged<T>),
}

impl<T: Serialize> IntoResponse for Stored<T> {
    fn into_response(self) -> Response {
        match self {
            Self::Made(created) => created.into_response(),
            Self::Set(tagged) => tagged.into_response(),
        }
    }
}

/// A resource with its `ETag`; 304 when the client has it already.
#[derive(Debug)]
pub struct Tagged<T> {
    /// Its version.
    pub etag: ETag,
    /// Its representation.
    pub body: Option<T>,
}

impl<T> Tagged<T> {
    /// The resource, whatever the client has.
    pub const fn new(etag: ETag, body: T) -> Self {
        Self { etag, body: Some(body) }
    }

    /// The resource, or 304 when `conditions` say that the client has this version.
    pub fn unless_known(conditions: &Preconditions, etag: ETag, body: T) -> Self {
        let body = if conditions.not_modified(&etag) { None } else { Some(body) };
        Self { etag, body }
    }
}

impl<T: Serialize> IntoResponse for Tagged<T> {
    fn into_response(self) -> Response {
        let mut response = match &self.body {
            Some(body) => json_response(body),
            None => StatusCode::NOT_MODIFIED.into_response(),
        };
        response.headers_mut().insert(ETAG, self.etag.header());
        response
    }
}

/// 204: done, and nothing to say.
#[derive(Clone, Copy, Debug)]
pub struct NoContent;

impl IntoResponse for NoContent {
    fn into_response(self) -> Response {
        StatusCode::NO_CONTENT.into_response()
    }
}
