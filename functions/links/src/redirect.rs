//! `links.redirect`: `GET /l/{slug}`, the public address of a link.
//!
//! On its path is at most one read of half a unit, and none when the link was read within [`MAX_STALENESS`]. It writes
//! nothing, but for a link with a click limit, whose count is taken there, and for a password that is tried, whose tries
//! are counted. The click goes to the queue after the answer has gone out (`unsent`); when the instance is killed in
//! between, that click is not counted.

mod answer;
mod unsent;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method, StatusCode};
use shared::cache::Cache;
use shared::dynamo::Dynamo;
use shared::http::{ClientNetwork, Document, Path, Problem, PublicUrl, body_within, require_content_type};
use shared::lambda::{Function, Runtime};
use shared::limits::DynamoLimiter;
use shared::random::Random;
use shared::time::{Clock, SignedDuration};
use shared::{BoxError, BoxFuture};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::answer::{gone, nothing_here, page, redirect, wants_html};
use self::unsent::Unsent;
use crate::app::Base;
use crate::click::Click;
use crate::guard::Guard;
use crate::link::Link;
use crate::pages;
use crate::password;
use crate::slug::Slug;
use crate::store::{self, LinkStore, Spending, WriteError};
use crate::visit::{Decision, Step};
use crate::visitor::Visitor;

/// How long after an edit a visitor may still find the link as it was.
pub const MAX_STALENESS: SignedDuration = SignedDuration::from_secs(10);

/// The most links that an instance remembers, of about a kilobyte each.
const REMEMBERED: u64 = 10_000;

/// How often a visit that is to spend a click is decided about while others edit the link.
const RACES: u32 = 5;

/// The longest form with a password, in bytes.
const FORM_LIMIT: usize = 4 * 1024;

/// The redirect's state, which requests share.
pub(crate) struct Door {
    links: LinkStore,
    remembered: Cache<String, Arc<Link>>,
    clicks: Unsent,
    guard: Guard,
    public_url: PublicUrl,
    clock: Clock,
    random: Random,
}

/// A request at the door.
struct Visit<'a> {
    headers: &'a HeaderMap,
    slug: Slug,
    step: Step,
    visitor: Visitor,
    unlocked: bool,
}

/// A password that was sent, and from where.
struct Try {
    password: String,
    network: ClientNetwork,
}

/// The routes.
fn router(door: Arc<Door>) -> Router {
    endpoints().with_state(door).split_for_parts().0
}

/// The description of the routes.
pub fn openapi() -> utoipa::openapi::OpenApi {
    endpoints().into_openapi()
}

fn endpoints() -> OpenApiRouter<Arc<Door>> {
    OpenApiRouter::new().routes(routes!(follow, confirm))
}

/// Follow a link.
///
/// With a `+` after the slug it shows where the link leads, and goes nowhere. Of a link that is not there or leads nowhere any
/// more browsers, who name `text/html` in `Accept`, get a page, and others problem documents. An edit takes up to ten seconds
/// to be seen.
#[utoipa::path(
    get, path = "/l/{slug}", operation_id = "follow_link", tag = "redirect",
    params(("slug" = String, Path, example = "k7vq2mz")),
    responses(
        (status = 200, description = "A page: it asks for the password, or shows where the link leads", body = String, content_type = "text/html", example = "<!doctype html>"),
        (status = "3XX", description = "301, 302, 307 or 308, as the link has it: on to the target", headers(("Location" = String))),
        (status = 404, description = "not-found: there is no such link, or not yet; or a page that says so", content((Document = "application/problem+json"), (String = "text/html", example = "<!doctype html>"))),
        (status = 410, description = "gone: it expired, its clicks are used up, or it was put away; or a page that says so", content((Document = "application/problem+json"), (String = "text/html", example = "<!doctype html>"))),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
async fn follow(
    State(door): State<Arc<Door>>,
    Path(text): Path<String>,
    request: axum::extract::Request,
) -> Result<Response, Problem> {
    let (parts, _) = request.into_parts();
    let (text, step) = match text.strip_suffix('+') {
        Some(slug) => (slug, Step::Look),
        None => (text.as_str(), Step::Follow),
    };
    let Some(visit) = Visit::of(text, step, &parts.headers, parts.method == Method::HEAD) else {
        return nothing_here(wants_html(&parts.headers));
    };
    door.admit(visit, None).await
}

/// The form of a page: the password of a protected link, or the button of a preview, which has no fields.
#[utoipa::path(
    post, path = "/l/{slug}", operation_id = "confirm_link", tag = "redirect",
    summary = "Follow a link from its page: with the password, or by the button",
    params(("slug" = String, Path, example = "k7vq2mz")),
    request_body(content = String, content_type = "application/x-www-form-urlencoded", example = json!("password=open+sesame")),
    responses(
        (status = "3XX", description = "On to the target", headers(("Location" = String))),
        (status = 403, description = "The page that asks for the password: it was another one", body = String, content_type = "text/html", example = "<!doctype html>"),
        (status = 404, description = "not-found: there is no such link, or not yet; or a page that says so", content((Document = "application/problem+json"), (String = "text/html", example = "<!doctype html>"))),
        (status = 410, description = "gone: it expired, its clicks are used up, or it was put away; or a page that says so", content((Document = "application/problem+json"), (String = "text/html", example = "<!doctype html>"))),
        (status = 429, description = "rate-limited: too many passwords were tried, by this client (10 a minute) or by all (100)", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
async fn confirm(
    State(door): State<Arc<Door>>,
    Path(text): Path<String>,
    network: ClientNetwork,
    headers: HeaderMap,
    request: axum::extract::Request,
) -> Result<Response, Problem> {
    let form = body_within(request, FORM_LIMIT).await?;
    if !form.is_empty() || headers.contains_key(CONTENT_TYPE) {
        require_content_type(&headers, &["application/x-www-form-urlencoded"])?;
    }
    let password = url::form_urlencoded::parse(&form)
        .find(|(name, _)| name == "password")
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default();
    let Some(visit) = Visit::of(&text, Step::Confirm, &headers, false) else {
        return nothing_here(wants_html(&headers));
    };
    door.admit(visit, Some(Try { password, network })).await
}

impl<'a> Visit<'a> {
    /// None when `text` is no slug.
    fn of(text: &str, step: Step, headers: &'a HeaderMap, is_head: bool) -> Option<Self> {
        let visitor = Visitor::read(is_head, |name| headers.get(name)?.to_str().ok());
        Some(Self { headers, slug: text.parse().ok()?, step, visitor, unlocked: false })
    }

    /// Whether the client would rather have HTML than a problem document.
    fn wants_html(&self) -> bool {
        wants_html(self.headers)
    }
}

impl Door {
    /// Answers a visit, which may come with the form's password.
    async fn admit(&self, mut visit: Visit<'_>, tried: Option<Try>) -> Result<Response, Problem> {
        let Some(link) = self.find(&visit.slug).await? else { return nothing_here(visit.wants_html()) };
        let mut limits = Vec::new();
        // What leads nowhere asks for no password, and is not to be told by it from what is not there.
        let decision = link.visit(self.clock.now(), &visit.visitor, visit.step, false);
        let asked = matches!(decision, Decision::AskPassword { .. }).then(|| link.password_hash.clone()).flatten();
        if let (Some(tried), Some(hash)) = (tried, asked) {
            limits = self.guard.admit(&link, tried.network, self.clock.now()).await?.headers();
            visit.unlocked = password::matches(hash, tried.password).await.map_err(Problem::internal)?;
        }
        let mut response = self.decide(link, visit).await?;
        response.headers_mut().extend(limits);
        Ok(response)
    }

    /// Decides about a visit of `link`, takes its click where there is a limit, and answers it.
    async fn decide(&self, mut link: Arc<Link>, mut visit: Visit<'_>) -> Result<Response, Problem> {
        let mut mark = None;
        // A link that was changed since it was remembered is decided about once more, as it is now.
        for _ in 0..RACES {
            let decision = link.visit(self.clock.now(), &visit.visitor, visit.step, visit.unlocked);
            let Decision::Redirect { spends_click: true, .. } = decision else {
                return self.answer(&link, &visit, decision).await;
            };
            let asked_at = self.clock.now();
            match self.links.spend_click(&link, mark.get_or_insert_with(|| store::mark(&self.random))).await? {
                Spending::Spent => return self.answer(&link, &visit, decision).await,
                Spending::Changed(None) => {
                    self.remembered.remove(&visit.slug.key()).await;
                    return nothing_here(visit.wants_html());
                }
                Spending::Changed(Some(fresh)) => {
                    let fresh = Arc::<Link>::from(fresh);
                    self.remembered.insert_as_of(visit.slug.key(), fresh.clone(), asked_at).await;
                    // What was unlocked was the link as it was.
                    visit.unlocked &= fresh.password_hash == link.password_hash;
                    link = fresh;
                }
            }
        }
        // Edited again and again within this visit.
        Err(WriteError::Conflict.into())
    }

    async fn find(&self, slug: &Slug) -> Result<Option<Arc<Link>>, Problem> {
        let key = slug.key();
        if let Some(link) = self.remembered.get(&key).await {
            return Ok(Some(link));
        }
        let asked_at = self.clock.now();
        let link = self.links.by_slug(slug).await?.map(Arc::new);
        // A slug that is not there may be made in the next moment, so only links are remembered.
        if let Some(link) = &link {
            self.remembered.insert_as_of(key, link.clone(), asked_at).await;
        }
        Ok(link)
    }

    async fn answer(&self, link: &Link, visit: &Visit<'_>, decision: Decision) -> Result<Response, Problem> {
        let action = || format!("/l/{}", link.slug);
        match decision {
            Decision::NotFound => nothing_here(visit.wants_html()),
            Decision::Gone(reason) => gone(reason, visit.wants_html()),
            Decision::AskPassword { refused } => {
                let status = if refused { StatusCode::FORBIDDEN } else { StatusCode::OK };
                page(status, pages::password(&action(), refused))
            }
            Decision::Preview { whole } => {
                let base = Base::of(&self.public_url, visit.headers)?;
                page(StatusCode::OK, pages::preview(link, &base.short_url(&link.slug), &action(), whole))
            }
            Decision::Redirect { status, .. } => {
                self.count(link, &visit.visitor).await;
                redirect(link, status)
            }
        }
    }

    /// Has the click sent to the counting worker once the answer is out.
    async fn count(&self, link: &Link, visitor: &Visitor) {
        let click = Click::new(link, visitor.clone(), self.clock.now(), &self.random);
        self.clicks.send(click).await;
    }
}

pub(crate) fn function(runtime: Runtime) -> BoxFuture<'static, Result<Function, BoxError>> {
    Box::pin(async move {
        let mut reader = runtime.environment.reader();
        let table: String = reader.required("LINKS_TABLE");
        let limits_table: String = reader.required("LIMITS_TABLE");
        let clicks_queue_url: String = reader.required("CLICKS_QUEUE_URL");
        let public_url = PublicUrl::new(reader.optional("PUBLIC_URL"));
        reader.finish()?;
        let dynamo = Dynamo::new(runtime.aws.dynamo.clone());
        let door = Arc::new(Door {
            links: LinkStore::new(dynamo.clone(), table),
            remembered: Cache::new(REMEMBERED, MAX_STALENESS, runtime.clock.clone()),
            clicks: Unsent::new(
                shared::queue::Outbound::new(runtime.aws.sqs.clone(), clicks_queue_url),
                runtime.deferred.clone(),
            ),
            guard: Guard::new(DynamoLimiter::new(dynamo, limits_table, runtime.random.clone()))?,
            public_url,
            clock: runtime.clock.clone(),
            random: runtime.random.clone(),
        });
        Ok(Function::http(&runtime, router(door)))
    })
}
