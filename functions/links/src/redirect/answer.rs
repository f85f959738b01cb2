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
    if wants_html { page(StatusCode::NOT_FOUND, pages::not_found()) } else { Ok(in_json(Problem::not_found())) }
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
    Ok(in_json(Problem::new(ProblemType::Gone, detail)))
}

/// A problem document in the place of a page, of which a cache may keep both.
fn in_json(problem: Problem) -> Response {
    let mut response = problem.into_response();
    response.headers_mut().insert(VARY, HeaderValue::from_static("Accept"));
    response
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
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let is_html = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("text/html"));
        // A weight of 0 is "not acceptable" (RFC 9110, section 12.4.2).
        is_html && !parts.any(|part| part.strip_prefix("q=").is_some_and(|weight| weight.parse() == Ok(0.0_f32)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_names_html_and_does_not_refuse_it_gets_pages() {
        let wants =
            |accept: &'static str| wants_html(&HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))]));
        assert!(wants("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"));
        assert!(wants("application/json, Text/HTML;level=1;q=0.5"));
        for accept in ["*/*", "text/html;q=0", "application/json, text/html; q=0.000", "text/htmlx", ""] {
            assert!(!wants(accept), "{accept}");
        }
    }
}
