//! What visitors are answered with: redirects, pages for browsers, problem documents for others.

use axum::response::{IntoResponse as _, Response};
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY, VARY};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use shared::http::{Problem, ProblemType};

use crate::link::Link;
use crate::pages::{self, PageFailed};
use crate::visit::GoneReason;

pub(super) fn redirect(link: &Link, status: u16) -> Result<Response, Problem> {
    let status = StatusCode::from_u16(status).map_err(Problem::internal)?;
    let location = HeaderValue::from_str(link.target.as_str()).map_err(Problem::internal)?;
    // A browser that kept the answer would not be counted, nor find out about an edit.
    let kept = HeaderValue::from_static("private, max-age=0, no-cache");
    Ok((status, [(LOCATION, location), (CACHE_CONTROL, kept)]).into_response())
}

pub(super) fn nothing_here(wants_html: bool) -> Result<Response, Problem> {
    if wants_html { page(StatusCode::NOT_FOUND, pages::not_found()) } else { Err(Problem::not_found()) }
}

pub(super) fn gone(reason: GoneReason, wants_html: bool) -> Result<Response, Problem> {
    if wants_html {
        return page(StatusCode::GONE, pages::gone(reason));
    }
    let detail = match reason {
        GoneReason::Expired => "the link has expired",
        GoneReason::Exhausted => "the clicks of the link are used up",
        GoneReason::Archived => "the link was put away by its owner",
    };
    Err(Problem::new(ProblemType::Gone, detail))
}

pub(super) fn page(status: StatusCode, html: Result<String, PageFailed>) -> Result<Response, Problem> {
    let html = html.map_err(Problem::internal)?;
    let headers: [(HeaderName, &str); 5] = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, pages::CONTENT_SECURITY_POLICY),
        (REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("x-robots-tag"), "noindex"),
        (VARY, "Accept"),
    ];
    Ok((status, headers, html).into_response())
}

/// Whether `Accept` names HTML, as browsers do and programs do not.
pub(super) fn wants_html(headers: &HeaderMap) -> bool {
    headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).any(|accept| accept.contains("text/html"))
}
