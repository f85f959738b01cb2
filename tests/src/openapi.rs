//! The OpenAPI documents of the whole: the descriptions that the services' code gives of itself, merged, and who may call
//! what, from the table in [`shared::identity::access`].
//!
//! `platform.documents` serves the committed copy; the tests compare that with what comes from here.

pub mod breaking;
mod examples;
mod schemas;

use std::collections::BTreeSet;
use std::path::PathBuf;

use jsonschema::{Draft, Validator};
use localstack::template::workspace_root;
use serde_json::{Value, json};
use shared::http::versions::Version;
use shared::http::versions::document::version_1;
use shared::identity::access::{Access, Callers, Needs};
use shared::identity::{OpenIdCaller, STEP_UP_WITHIN};
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::server::{ServerBuilder, ServerVariableBuilder};
use utoipa::openapi::tag::{Tag, TagBuilder};
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, HeaderBuilder, InfoBuilder, License, ObjectBuilder, OpenApi, OpenApiBuilder,
    Ref, RefOr, Response, ResponseBuilder, Type,
};

/// What the document says of the whole.
const DESCRIPTION: &str = "A complete multi-tenant backend.

Every failure is `application/problem+json` (RFC 9457): switch on its `type`. Lists are paged by `cursor`, every resource \
has a strong `ETag`, and a POST that makes something may carry an `Idempotency-Key` where it says so: what is sent again \
is answered again, with `Idempotency-Replayed: true`. Enumerations are open: expect new values.

Notes, links, jobs, queues and schedules have two versions, `/v1` and `/v2`, which `/changelog` compares; the rest has one.";

/// The functions that serve HTTP, each with the description of its endpoints. The sandbox, which teaches, has none.
fn descriptions() -> Vec<(&'static str, OpenApi)> {
    vec![
        ("auth.api", auth::api::router().into_openapi()),
        ("auth.users", auth::users::router().into_openapi()),
        ("auth.social", auth::social::router().into_openapi()),
        ("auth.oauth", auth::oauth::router().into_openapi()),
        ("auth.discovery", auth::discovery::description()),
        ("auth.pages", auth::pages::router().into_openapi()),
        ("jobs.api", jobs::api::router().into_openapi()),
        ("links.api", links::api::router().into_openapi()),
        ("links.redirect", links::redirect::openapi()),
        ("notes.api", notes::api::router().into_openapi()),
        ("health.api", health::openapi()),
        ("platform.documents", platform::documents::description()),
        ("platform.versions", platform::versions::router().into_openapi()),
    ]
}

/// The description of each function's endpoints.
pub fn parts() -> Vec<(&'static str, Value)> {
    descriptions()
        .into_iter()
        .map(|(handler, part)| (handler, serde_json::to_value(part).unwrap_or_default()))
        .collect()
}

/// The document of a version, as it is committed and served. The code describes the newest; the older is derived from it.
pub fn document(version: Version) -> String {
    let newest = newest();
    let mut document = match version {
        Version::V1 => version_1(&newest),
        Version::V2 => newest,
    };
    // Of what each version has.
    schemas::describe_patches(&mut document);
    schemas::describe_optional_bodies(&mut document);
    schemas::leave_out_unused(&mut document);
    let mut text = serde_json::to_string_pretty(&document).unwrap_or_default();
    text.push('\n');
    text
}

fn newest() -> Value {
    let mut whole = frame();
    for (_, part) in descriptions() {
        whole.merge(part);
    }
    let schemas = examples::schemas(whole.components.as_ref());
    for operation in whole.paths.paths.values_mut().flat_map(operations) {
        tell_access(operation);
        tell_replays(operation);
        examples::complete(operation, &schemas);
    }
    let mut document = serde_json::to_value(&whole).unwrap_or_default();
    name_rows(&mut document);
    if let Some(schemas) = document["components"]["schemas"].as_object_mut() {
        schemas::unite(schemas);
    }
    document
}

/// Lets the schema of a page refer to that of its rows, of which it has a copy.
fn name_rows(document: &mut Value) {
    let Some(schemas) = document["components"]["schemas"].as_object_mut() else { return };
    let known: BTreeSet<_> = schemas.keys().cloned().collect();
    for (name, schema) in schemas {
        if let Some(row) = name.strip_prefix("Page_").filter(|row| known.contains(*row)) {
            schema["properties"]["data"]["items"] = json!({"$ref": format!("#/components/schemas/{row}")});
        }
    }
}

/// A validator of a schema in a document.
///
/// # Panics
/// When it is no schema.
pub fn validator(document: &Value, schema: &Value) -> Validator {
    let mut schema = schema.clone();
    // What the references in it name.
    schema["components"] = document["components"].clone();
    let built = jsonschema::options().with_draft(Draft::Draft202012).build(&schema);
    built.unwrap_or_else(|error| panic!("{error} in {schema}"))
}

/// What is wrong with a value by a schema of a document.
pub fn faults(document: &Value, schema: &Value, value: &Value) -> Vec<String> {
    let validator = validator(document, schema);
    validator.iter_errors(value).map(|fault| format!("{}: {fault}", fault.instance_path())).collect()
}

/// Where the document of a version is committed.
pub fn path(version: Version) -> PathBuf {
    workspace_root().join("docs").join("openapi").join(format!("{version}.json"))
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem { get, put, post, patch, delete, .. } = item;
    [get, put, post, patch, delete].into_iter().flatten()
}

/// Writes into an operation what the table says of it: who may call it, and how it refuses others.
fn tell_access(operation: &mut Operation) {
    let Some(access) = operation.operation_id.as_deref().and_then(Access::of) else { return };
    operation.security = Some(match access {
        Access::Public => vec![SecurityRequirement::default()],
        Access::OAuthClient { or_nobody } => {
            let client = SecurityRequirement::new("oauth_client", Vec::<String>::new());
            std::iter::once(client).chain(or_nobody.then(SecurityRequirement::default)).collect()
        }
        Access::OpenId => vec![SecurityRequirement::new("bearer", [OpenIdCaller::SCOPE])],
        Access::Permitted(needs) => {
            let schemes = match needs.callers {
                Callers::All => &["bearer", "api_key"][..],
                Callers::Users => &["bearer"],
            };
            schemes.iter().map(|scheme| SecurityRequirement::new(*scheme, [needs.permission])).collect()
        }
    });
    match access {
        Access::Public | Access::OAuthClient { .. } => {}
        Access::OpenId => {
            tell_refusal(operation, "401", "unauthenticated", "no valid credential");
            tell_refusal(operation, "403", "forbidden", "no application that acts for a user, or one without openid");
        }
        Access::Permitted(needs) => {
            tell_refusal(operation, "401", "unauthenticated", &unauthenticated(needs));
            tell_refusal(operation, "403", "forbidden", &forbidden(needs));
        }
    }
}

fn unauthenticated(needs: Needs) -> String {
    let minutes = STEP_UP_WITHIN.as_mins();
    if needs.recent {
        format!("no valid credential; or step-up-required: no sign-in within the last {minutes} minutes")
    } else {
        "no valid credential".to_owned()
    }
}

fn forbidden(needs: Needs) -> String {
    let Needs { permission, callers, .. } = needs;
    match callers {
        Callers::All => format!("the caller lacks {permission}"),
        Callers::Users => format!("the caller lacks {permission}, or is not a signed-in user"),
    }
}

/// Writes into an operation that takes an `Idempotency-Key` how an answer says that it was given before.
fn tell_replays(operation: &mut Operation) {
    let has_key = operation
        .parameters
        .iter()
        .flatten()
        .any(|parameter| matches!(parameter, RefOr::T(parameter) if parameter.name == "Idempotency-Key"));
    let answers = operation.responses.responses.iter_mut().filter(|(status, _)| has_key && status.starts_with('2'));
    for (_, answer) in answers {
        let RefOr::T(answer) = answer else { continue };
        let header = HeaderBuilder::new()
            .schema(Some(ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["true"]))))
            .description(Some("There when an earlier request with the same Idempotency-Key was answered so"));
        answer.headers.insert("Idempotency-Replayed".to_owned(), RefOr::T(header.build()));
    }
}

/// Puts a refusal before the others that the endpoint itself has with the same status.
fn tell_refusal(operation: &mut Operation, status: &str, kind: &str, when: &str) {
    let mut description = format!("{kind}: {when}");
    if let Some(RefOr::T(Response { description: own, .. })) = operation.responses.responses.get(status) {
        let own = own.strip_prefix(kind).unwrap_or(own).trim_start_matches(": ");
        if !description.contains(own) {
            description = format!("{description}; or {own}");
        }
    }
    let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    let response = ResponseBuilder::new().description(description).content("application/problem+json", problem);
    operation.responses.responses.insert(status.to_owned(), RefOr::T(response.build()));
}

/// All that belongs to no single service.
fn frame() -> OpenApi {
    let info = InfoBuilder::new()
        .title("Tenfold")
        .version("2")
        .description(Some(DESCRIPTION))
        .license(Some(license()))
        .build();
    let here = ServerBuilder::new().url("/").description(Some("Where this document comes from.")).build();
    let host = ServerVariableBuilder::new()
        .default_value("127.0.0.1:9000")
        .description(Some("The host of the deployment; the default is that of the local stack."));
    let scheme = ServerVariableBuilder::new().default_value("http").enum_values(Some(["http", "https"]));
    let server =
        ServerBuilder::new().url("{scheme}://{host}").parameter("scheme", scheme).parameter("host", host).build();
    let mut bearer = Http::new(HttpAuthScheme::Bearer);
    bearer.bearer_format = Some("JWT".to_owned());
    bearer.description = Some(
        "An access token, or an API key where `api_key` is offered, too. The scopes at an operation are the permissions \
         that the caller needs."
            .to_owned(),
    );
    let api_key = ApiKeyValue::with_description("X-Api-Key", "An API key, `tf_live_…` or `tf_test_…`.");
    let mut oauth_client = Http::new(HttpAuthScheme::Basic);
    oauth_client.description = Some(
        "The id and the secret of an OAuth client. Both may be in the form instead, or an assertion that the client \
         signed."
            .to_owned(),
    );
    let components = ComponentsBuilder::new()
        .security_scheme("bearer", SecurityScheme::Http(bearer))
        .security_scheme("api_key", SecurityScheme::ApiKey(ApiKey::Header(api_key)))
        .security_scheme("oauth_client", SecurityScheme::Http(oauth_client))
        .build();
    OpenApiBuilder::new()
        .info(info)
        .servers(Some([here, server]))
        .components(Some(components))
        .tags(Some(tags()))
        .build()
}

fn tags() -> Vec<Tag> {
    vec![
        tag("auth", "Signing up, in and out; sessions, second factors, passkeys and other providers."),
        tag("account", "The user's own account."),
        tag("oauth", "OAuth 2: tokens for programs, revocation, introspection. They answer as the RFCs have it."),
        tag("discovery", "Public keys and endpoints, for clients and resource servers."),
        tag("users", "The tenant's members."),
        tag(
            "roles",
            "The tenant's own roles: sets of permissions beside the built-in `owner`, `admin`, `member` and `viewer`.",
        ),
        tag("tenant", "The tenant's name, its rules for signing in, and its mails."),
        tag("audit", "What happened in the tenant, and who did it."),
        tag("api-keys", "Keys of programs, with scopes, ends and credits."),
        tag("oauth-clients", "Programs that get tokens of their own."),
        tag("pages", "Where the links of mails lead, for everybody."),
        tag("jobs", "Work that is done later, and again when it fails."),
        tag("schedules", "Jobs that are made again and again, by cron or by an interval."),
        tag("queues", "Where jobs wait: what holds for them, and taking them to work on."),
        tag(
            "links",
            "Short links: they lead to a target, for a time or a number of clicks, openly or behind a password.",
        ),
        tag(
            "notes",
            "Texts with tags, which are to-dos when they are due, with their history, shared within the tenant.",
        ),
        tag("redirect", "The public addresses of short links, for everybody."),
        tag("health", "Whether the deployment works, for everybody."),
        tag("versions", "The versions of the API, what is deprecated, and who uses it."),
        tag("openapi", "This document, for everybody."),
    ]
}

fn license() -> License {
    let mut license = License::new("Apache-2.0");
    license.identifier = Some("Apache-2.0".to_owned());
    license
}

fn tag(name: &str, description: &str) -> Tag {
    TagBuilder::new().name(name).description(Some(description)).build()
}
