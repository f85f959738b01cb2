//! `GET /v1/mail-templates`, `GET /v1/mail-templates/{name}`: what mails look like, with examples for data.

use axum::extract::State;
use axum::response::{Html, IntoResponse as _, Response};
use http::header::{ACCEPT, CONTENT_SECURITY_POLICY, HeaderValue};
use http::{HeaderMap, Uri};
use serde::Serialize;
use shared::http::{Document, Json, Page, Path, Problem};
use shared::identity::{Caller, permission};
use utoipa::ToSchema;

use crate::app::Core;
use crate::mail::templates::Message;

/// The name of a mail.
#[derive(Debug, Serialize, ToSchema)]
pub struct MailName {
    /// The name.
    #[schema(example = "verify_email")]
    name: &'static str,
}

/// A mail as it would be sent.
#[derive(Debug, Serialize, ToSchema)]
pub struct MailPreview {
    /// The name.
    #[schema(example = "verify_email")]
    name: &'static str,
    /// The subject.
    #[schema(example = "Confirm your e-mail address")]
    subject: String,
    /// The content as HTML.
    html: String,
    /// The same content as text.
    text: String,
}

/// The mails that are sent. All are on one page.
#[utoipa::path(
    get, path = "/v1/mail-templates", operation_id = "list_mail_templates", tag = "tenant",
    responses(
        (status = 200, description = "Their names", body = Page<MailName>, example = json!({"data": [{"name": "verify_email"}], "next_cursor": null, "has_more": false})),
        (status = "default", description = "Any problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn list(_caller: Caller<permission::ManageTenant>, uri: Uri) -> Page<MailName> {
    let names = Message::examples().into_iter().map(|(name, _)| MailName { name }).collect();
    Page::new(&uri, names, None)
}

/// Preview a mail.
///
/// With examples for its data: links and codes in it are good for nothing. Whoever accepts `text/html` gets the page itself.
#[utoipa::path(
    get, path = "/v1/mail-templates/{name}", operation_id = "preview_mail_template", tag = "tenant",
    params(("name" = String, Path, example = "verify_email")),
    responses(
        (status = 200, description = "The mail", content((MailPreview = "application/json"), (String = "text/html"))),
        (status = 404, description = "not-found: there is no such mail", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn preview(
    State(core): State<Core>,
    _caller: Caller<permission::ManageTenant>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (name, message) =
        Message::examples().into_iter().find(|(known, _)| *known == name).ok_or_else(Problem::not_found)?;
    let product = core.product.as_ref().ok_or_else(|| Problem::internal("there is no product"))?;
    let rendered = message.render(product, Some("Ann")).map_err(Problem::internal)?;
    let accepts = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if accepts.contains("text/html") {
        let policy = HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; sandbox");
        return Ok(([(CONTENT_SECURITY_POLICY, policy)], Html(rendered.html)).into_response());
    }
    let preview = MailPreview { name, subject: rendered.subject, html: rendered.html, text: rendered.text };
    Ok(Json(preview).into_response())
}
