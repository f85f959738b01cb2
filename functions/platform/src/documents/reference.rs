//! `GET /docs`: the reference of the API for people, with which each operation can be tried.
//!
//! The page is Swagger UI, served from here to the last byte. It reads the OpenAPI document, so it shows what the code does.

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::response::Response;
use axum::routing::get;
use shared::http::{ETag, Path, Preconditions, Problem};
use utoipa_swagger_ui::{Config, Url};

/// The page. The files beside it are named whole, as the address of the page may end with a slash or not.
const PAGE: &str = include_str!("reference.html");

static PAGE_TAG: LazyLock<ETag> = LazyLock::new(|| ETag::of_bytes(PAGE.as_bytes()));

/// What the page loads, of all files that Swagger UI consists of.
const FILES: [(&str, &str); 5] = [
    ("swagger-ui.css", "text/css; charset=utf-8"),
    ("swagger-ui-bundle.js", "text/javascript; charset=utf-8"),
    ("swagger-ui-standalone-preset.js", "text/javascript; charset=utf-8"),
    ("swagger-initializer.js", "text/javascript; charset=utf-8"),
    ("favicon-32x32.png", "image/png"),
];

/// What it shows, and how. A credential that was typed in is forgotten with the page.
static CONFIG: LazyLock<Arc<Config<'static>>> = LazyLock::new(|| {
    let documents =
        [Url::with_primary("version 2", "/openapi/v2.json", true), Url::new("version 1", "/openapi/v1.json")];
    let config = Config::new(documents).try_it_out_enabled(true).deep_linking(true).doc_expansion("none").filter(true);
    Arc::new(config.persist_authorization(false).validator_url("none"))
});

/// The page and its files.
pub(super) fn router() -> Router {
    Router::new().route("/docs", get(page)).route("/docs/{file}", get(file))
}

async fn page(conditions: Preconditions) -> Response {
    super::answer(&conditions, &PAGE_TAG, "text/html; charset=utf-8", PAGE)
}

async fn file(Path(name): Path<String>, conditions: Preconditions) -> Result<Response, Problem> {
    let (name, kind) = FILES.into_iter().find(|(file, _)| *file == name).ok_or_else(Problem::not_found)?;
    let file = utoipa_swagger_ui::serve(name, CONFIG.clone()).ok().flatten().ok_or_else(Problem::not_found)?;
    Ok(super::answer(&conditions, &ETag::of_bytes(&file.bytes), kind, file.bytes.into_owned()))
}
