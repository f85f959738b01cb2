//! `auth.pages`: where the links of mails lead when the owner has no pages of their own (`AppUrl`).
//!
//! A page reads the one-time token from the fragment of its address, which no server sees, and does nothing until its
//! visitor presses a button: scanners of mail open links, too. It may run its own script and call this API, and nothing
//! else.
//!
//! `/auth/authorize` asks a user whether an application may act for them. It signs them in each time, keeps what it gets in its
//! own memory, and signs out again with the decision.

use std::sync::LazyLock;

use axum::response::{Html, IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY, X_FRAME_OPTIONS};
use http::{HeaderValue, StatusCode};
use minijinja::HtmlEscape;
use ring::digest;
use shared::http::Document;
use shared::lambda::{Function, Runtime};
use shared::{BoxError, BoxFuture};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

const STYLE: &str = include_str!("pages/style.css");
/// What all pages' scripts begin with.
const COMMON: &str = include_str!("pages/common.js");
/// What those begin with besides to which a mail leads.
const LINK: &str = include_str!("pages/link.js");

/// A page, whole, with the policy that allows its own parts alone.
struct Page {
    html: String,
    policy: HeaderValue,
}

impl Page {
    fn new(title: &str, content: &str, script: &str) -> Self {
        Self::with_script(title, content, &format!("{COMMON}\n{script}"))
    }

    /// One to which a mail leads.
    fn of_mail(title: &str, content: &str, script: &str) -> Self {
        Self::new(title, content, &format!("{LINK}\n{script}"))
    }

    fn with_script(title: &str, content: &str, script: &str) -> Self {
        let html = format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
             content=\"width=device-width\">\n<meta name=\"robots\" content=\"noindex\">\n<title>{title}</title>\n\
             <style>{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n{content}\
             <p id=\"outcome\" role=\"status\"></p>\n</main>\n<script>{script}</script>\n</body>\n</html>\n"
        );
        let policy = format!(
            "default-src 'none'; script-src {}; style-src {}; connect-src 'self'; form-action 'none'; \
             frame-ancestors 'none'; base-uri 'none'",
            hash_source(script),
            hash_source(STYLE)
        );
        let policy = HeaderValue::try_from(policy).unwrap_or_else(|_| HeaderValue::from_static("default-src 'none'"));
        Self { html, policy }
    }

    fn answer(&'static self) -> Response {
        // The same for everybody, until the next release.
        let kept = [(CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"))];
        (kept, self.headers(), Html(self.html.as_str())).into_response()
    }

    /// The answer to what cannot be answered otherwise. Not to be kept: the registration may change.
    fn refusal(self) -> Response {
        let not_kept = [(CACHE_CONTROL, HeaderValue::from_static("no-store"))];
        (StatusCode::BAD_REQUEST, not_kept, self.headers(), Html(self.html)).into_response()
    }

    fn headers(&self) -> [(HeaderName, HeaderValue); 4] {
        [
            (CONTENT_SECURITY_POLICY, self.policy.clone()),
            (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
            (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
            (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
        ]
    }
}

/// The source expression of an inline part (Content Security Policy Level 3, section 2.3.1).
fn hash_source(part: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(digest::digest(&digest::SHA256, part.as_bytes())))
}

static VERIFY_EMAIL: LazyLock<Page> = LazyLock::new(|| {
    let content = include_str!("pages/verify_email.html");
    Page::of_mail("Confirm your e-mail address", content, include_str!("pages/verify_email.js"))
});
static RESET_PASSWORD: LazyLock<Page> = LazyLock::new(|| {
    let content = include_str!("pages/reset_password.html");
    Page::of_mail("Choose a new password", content, include_str!("pages/reset_password.js"))
});
static SIGN_IN: LazyLock<Page> =
    LazyLock::new(|| Page::of_mail("Sign in", include_str!("pages/sign_in.html"), include_str!("pages/sign_in.js")));

static AUTHORIZE: LazyLock<Page> = LazyLock::new(|| {
    let content = include_str!("pages/authorize.html");
    Page::new("Allow access", content, include_str!("pages/authorize.js"))
});
/// What the browser shows when an application is not known.
pub(crate) fn unknown_application() -> Response {
    refused("No such application is registered here.")
}

/// What it shows when a redirect URI is not the application's.
pub(crate) fn unknown_redirect_uri() -> Response {
    refused("The address to which the application wants you to be sent is not one that it has registered.")
}

/// A page for a request that must lead nowhere. It says nothing that the request said.
fn refused(reason: &str) -> Response {
    let content = format!("<p>{reason} You are sent nowhere. Tell the makers of the application.</p>\n");
    Page::with_script(UNANSWERABLE, &content, "").refusal()
}

/// What the browser shows when a request of an application is wrong: it goes `back` to the application, which is at `host`,
/// when its user says so. Of what the request said there is nothing else.
pub(crate) fn wrong_request(error: &'static str, host: &str, back: &str) -> Response {
    let (host, back) = (HtmlEscape(host), HtmlEscape(back));
    let content = format!(
        "<p>An application sent you here with a request that is wrong ({error}). Nothing happened to your account. If you \
         trust the application, you can go back and try again.</p>\n<p><a href=\"{back}\" rel=\"noreferrer\">Return to \
         {host}</a></p>\n"
    );
    Page::with_script(UNANSWERABLE, &content, "").refusal()
}

const UNANSWERABLE: &str = "This request cannot be answered";

/// The page on which an address is confirmed.
#[utoipa::path(
    get, path = "/verify-email", operation_id = "verify_email_page", tag = "pages",
    responses(
        (status = 200, description = "The page", body = String, content_type = "text/html", example = "<!doctype html>"),
        (status = "default", description = "Any problem", body = Document, content_type = "application/problem+json"),
    ),
)]
async fn verify_email() -> Response {
    VERIFY_EMAIL.answer()
}

/// The page on which a new password is chosen.
#[utoipa::path(
    get, path = "/reset-password", operation_id = "reset_password_page", tag = "pages",
    responses(
        (status = 200, description = "The page", body = String, content_type = "text/html", example = "<!doctype html>"),
        (status = "default", description = "Any problem", body = Document, content_type = "application/problem+json"),
    ),
)]
async fn reset_password() -> Response {
    RESET_PASSWORD.answer()
}

/// The page to which the link of a sign-in by mail leads.
#[utoipa::path(
    get, path = "/sign-in", operation_id = "sign_in_page", tag = "pages",
    responses(
        (status = 200, description = "The page", body = String, content_type = "text/html", example = "<!doctype html>"),
        (status = "default", description = "Any problem", body = Document, content_type = "application/problem+json"),
    ),
)]
async fn sign_in() -> Response {
    SIGN_IN.answer()
}

/// The page on which a user decides about an application.
#[utoipa::path(
    get, path = "/auth/authorize", operation_id = "authorize_page", tag = "pages",
    params(("request" = Option<String>, Query, description = "What is to be decided: what `/oauth/authorize` puts here")),
    responses(
        (status = 200, description = "The page", body = String, content_type = "text/html", example = "<!doctype html>"),
        (status = "default", description = "Any problem", body = Document, content_type = "application/problem+json"),
    ),
)]
async fn authorize() -> Response {
    AUTHORIZE.answer()
}

/// The routes, with their descriptions.
pub fn router() -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(verify_email))
        .routes(routes!(reset_password))
        .routes(routes!(sign_in))
        .routes(routes!(authorize))
}

pub(crate) fn function(runtime: Runtime) -> BoxFuture<'static, Result<Function, BoxError>> {
    Box::pin(async move {
        let (router, _) = router().split_for_parts();
        Ok(Function::http(&runtime, router))
    })
}
