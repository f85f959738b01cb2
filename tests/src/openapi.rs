//! The OpenAPI document of the whole: the descriptions that the services' code gives of itself, merged.
//!
//! `platform.openapi` serves the committed copy; the tests compare that with what comes from here.

use std::path::PathBuf;

use localstack::template::workspace_root;
use serde_json::Value;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::server::{ServerBuilder, ServerVariableBuilder};
use utoipa::openapi::tag::{Tag, TagBuilder};
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, License, OpenApi, OpenApiBuilder};

/// What the document says of the whole.
const DESCRIPTION: &str = "A complete multi-tenant backend.

Every failure is `application/problem+json` (RFC 9457): switch on its `type`. Lists are paged by `cursor`, every resource \
has a strong `ETag`, and a POST may carry an `Idempotency-Key`. Enumerations are open: expect new values.";

/// The functions that serve HTTP, each with the description of its endpoints. The sandbox, which teaches, has none.
fn descriptions() -> Vec<(&'static str, OpenApi)> {
    vec![
        ("links.api", links::api::router().into_openapi()),
        ("links.redirect", links::follow::openapi()),
        ("health.api", health::openapi()),
        ("platform.openapi", platform::openapi::description()),
    ]
}

/// The description of each function's endpoints.
pub fn parts() -> Vec<(&'static str, Value)> {
    descriptions()
        .into_iter()
        .map(|(handler, part)| (handler, serde_json::to_value(part).unwrap_or_default()))
        .collect()
}

/// The document of version 1, as it is committed and served.
pub fn v1() -> String {
    let mut whole = frame();
    for (_, part) in descriptions() {
        whole.merge(part);
    }
    let mut text = serde_json::to_string_pretty(&whole).unwrap_or_default();
    text.push('\n');
    text
}

/// Where the document of version 1 is committed.
pub fn v1_path() -> PathBuf {
    workspace_root().join("docs").join("openapi").join("v1.json")
}

/// All that belongs to no single service.
fn frame() -> OpenApi {
    let info = InfoBuilder::new()
        .title("Tenfold")
        .version("1")
        .description(Some(DESCRIPTION))
        .license(Some(license()))
        .build();
    let host = ServerVariableBuilder::new()
        .default_value("127.0.0.1:9000")
        .description(Some("The host of the deployment; the default is that of the local stack."));
    let scheme = ServerVariableBuilder::new().default_value("http").enum_values(Some(["http", "https"]));
    let server =
        ServerBuilder::new().url("{scheme}://{host}").parameter("scheme", scheme).parameter("host", host).build();
    let mut bearer = Http::new(HttpAuthScheme::Bearer);
    bearer.bearer_format = Some("JWT".to_owned());
    bearer.description = Some("An access token, or an API key.".to_owned());
    let api_key = ApiKeyValue::with_description("X-Api-Key", "An API key, `tf_live_…` or `tf_test_…`.");
    let components = ComponentsBuilder::new()
        .security_scheme("bearer", SecurityScheme::Http(bearer))
        .security_scheme("api_key", SecurityScheme::ApiKey(ApiKey::Header(api_key)))
        .build();
    OpenApiBuilder::new()
        .info(info)
        .servers(Some([server]))
        .components(Some(components))
        .tags(Some([
            tag(
                "links",
                "Short links: they lead to a target, for a time or a number of clicks, openly or behind a password.",
            ),
            tag("redirect", "The public addresses of short links, for everybody."),
            tag("health", "Whether the deployment works, for everybody."),
            tag("openapi", "This document, for everybody."),
        ]))
        .build()
}

fn license() -> License {
    let mut license = License::new("Apache-2.0");
    license.identifier = Some("Apache-2.0".to_owned());
    license
}

fn tag(name: &str, description: &str) -> Tag {
    TagBuilder::new().name(name).description(Some(description)).build()
}
