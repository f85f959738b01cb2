//! `GET /changelog`: what users of the API notice of a release, what is different between its versions, and what is deprecated, as
//! a page.

use std::sync::LazyLock;

use axum::Router;
use axum::response::Response;
use axum::routing::get;
use pulldown_cmark::{Options, Parser, html};
use shared::http::{ETag, Preconditions, versions};

/// The project's changelog.
const CHANGELOG: &str = include_str!("../../../../CHANGELOG.md");

static PAGE: LazyLock<(String, ETag)> = LazyLock::new(|| {
    let mut page = String::from(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
         content=\"width=device-width\">\n<title>Tenfold changelog</title>\n<link rel=\"icon\" type=\"image/png\" \
         href=\"/docs/favicon-32x32.png\">\n<style>body{max-width:48rem;margin:2rem auto;\
         padding:0 1rem;font-family:sans-serif;line-height:1.5}</style>\n</head>\n<body>\n\
         <p><a href=\"/docs\">API reference</a></p>\n",
    );
    for text in [CHANGELOG, &versions::guide::markdown()] {
        let options = Options::ENABLE_TABLES | Options::ENABLE_HEADING_ATTRIBUTES;
        html::push_html(&mut page, Parser::new_ext(text, options));
    }
    page.push_str("</body>\n</html>\n");
    let tag = ETag::of_bytes(page.as_bytes());
    (page, tag)
});

/// The page.
pub(super) fn router() -> Router {
    Router::new().route("/changelog", get(page))
}

async fn page(conditions: Preconditions) -> Response {
    super::answer(&conditions, &PAGE.1, "text/html; charset=utf-8", PAGE.0.as_str())
}
