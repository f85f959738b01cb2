//! Every route lets in whom the table of accesses says, and nobody else: each is asked as every kind of caller.

use std::collections::BTreeMap;

use auth::oauth::client::ClientId;
use auth::signer::Signer;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::StreamExt as _;
use futures::future::join_all;
use lambda_runtime::Context;
use serde_json::{Value, json};
use shared::identity::access::{Access, Callers, Needs};
use shared::identity::permission::{ALL, may_be_delegated};
use shared::identity::token::Claims;
use shared::identity::{Role, STEP_UP_WITHIN};
use shared::random::Random;
use shared::time::Clock;
use tenfold::SERVICES;
use tests::{Answer, Instance, Tenant, http_event, openapi, token};

/// What there is to ask.
struct Route {
    handler: &'static str,
    operation: String,
    method: String,
    path: String,
    body: Option<Body>,
    access: Access,
}

struct Body {
    content_type: String,
    /// One that makes sense.
    example: String,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Who {
    Nobody,
    /// A user with a built-in role.
    Role(Role),
    /// An owner whose sign-in is too old for a step-up.
    Tired,
    /// An application that acts for an owner who just signed in, with all scopes.
    Application,
    /// A user whose only role is the tenant's own.
    Custom(Reach),
    ApiKey(Reach),
    Machine(Reach),
    /// An OAuth client with its secret instead of a token.
    OAuthClient,
}

/// What a custom role, a key or a machine's token covers.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Reach {
    /// The permission that the route needs.
    It,
    /// All others.
    Others,
    All,
}

const EVERYBODY: [Who; 16] = [
    Who::Nobody,
    Who::Role(Role::Viewer),
    Who::Role(Role::Member),
    Who::Role(Role::Admin),
    Who::Role(Role::Owner),
    Who::Tired,
    Who::Application,
    Who::Custom(Reach::It),
    Who::Custom(Reach::Others),
    Who::ApiKey(Reach::It),
    Who::ApiKey(Reach::Others),
    Who::ApiKey(Reach::All),
    Who::Machine(Reach::It),
    Who::Machine(Reach::Others),
    Who::Machine(Reach::All),
    Who::OAuthClient,
];

/// What becomes of a request.
#[derive(Debug, PartialEq)]
enum Outcome {
    Unauthenticated,
    StepUp,
    /// For lack of a permission, which is named.
    Lacks(String),
    /// For being a program.
    NotAUser,
    /// Whatever it is answered then.
    Admitted,
    /// Refused for a reason that the table does not know.
    Other(String),
}

impl Reach {
    fn scopes(self, permission: &str) -> String {
        match self {
            Self::It => permission.to_owned(),
            Self::Others => ALL.iter().copied().filter(|other| *other != permission).collect::<Vec<_>>().join(" "),
            Self::All => "*".to_owned(),
        }
    }
}

/// What the table says.
fn expected(access: Access, who: Who) -> Outcome {
    let Needs { permission, callers, recent } = match access {
        Access::Public => return Outcome::Admitted,
        Access::OAuthClient { or_nobody } => {
            let is_admitted = who == Who::OAuthClient || (or_nobody && who == Who::Nobody);
            return if is_admitted { Outcome::Admitted } else { Outcome::Unauthenticated };
        }
        // A key is no access token, and no token here is of an application and has the scope, which no permission covers: `auth_oauth::userinfo` has one.
        Access::OpenId => {
            let is_unknown = matches!(who, Who::Nobody | Who::OAuthClient | Who::ApiKey(_));
            return if is_unknown { Outcome::Unauthenticated } else { Outcome::Lacks("openid".to_owned()) };
        }
        Access::Permitted(needs) => needs,
    };
    let (has, is_user) = match who {
        Who::Nobody | Who::OAuthClient => return Outcome::Unauthenticated,
        Who::Role(role) => (role.grants(permission), true),
        Who::Tired => (true, true),
        // Accounts, keys, users and the tenant are for the user alone, and so is what needs a recent sign-in.
        Who::Application => (may_be_delegated(permission) && !recent, true),
        Who::Custom(reach) => (reach != Reach::Others, true),
        Who::ApiKey(reach) | Who::Machine(reach) => (reach != Reach::Others, false),
    };
    if !has {
        Outcome::Lacks(permission.to_owned())
    } else if callers == Callers::Users && !is_user {
        Outcome::NotAUser
    } else if recent && who == Who::Tired {
        Outcome::StepUp
    } else {
        Outcome::Admitted
    }
}

fn observed(answer: &Answer) -> Outcome {
    let challenge = answer.header("www-authenticate");
    let document: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let kind = document["type"].as_str().or(document["error"].as_str()).unwrap_or_default();
    let kind = kind.rsplit('/').next().unwrap_or_default();
    match (answer.status.as_u16(), kind) {
        (401, "unauthenticated" | "invalid_client") => Outcome::Unauthenticated,
        (401, "step-up-required") => Outcome::StepUp,
        (403, "forbidden") if challenge.starts_with("Bearer error=\"insufficient_scope\"") => {
            Outcome::Lacks(challenge.split('"').nth(3).unwrap_or_default().to_owned())
        }
        (403, "forbidden") if document["detail"] == "this is for a signed-in user, not for a key" => Outcome::NotAUser,
        (401 | 403, _) => Outcome::Other(format!("{} {document}", answer.status)),
        _ => Outcome::Admitted,
    }
}

/// All that the code describes and the table knows.
fn routes() -> Vec<Route> {
    let mut routes = Vec::new();
    for (handler, document) in openapi::parts() {
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let id = operation["operationId"].as_str().unwrap();
                routes.extend(Access::of(id).map(|access| Route {
                    handler,
                    operation: id.to_owned(),
                    method: method.to_uppercase(),
                    path: filled(path, operation),
                    body: body(&document, operation),
                    access,
                }));
            }
        }
    }
    routes
}

/// The path with the examples of its variables, which nothing is called.
fn filled(path: &str, operation: &Value) -> String {
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    parameters.filter(|parameter| parameter["in"] == "path").fold(path.to_owned(), |path, parameter| {
        let (name, example) = (parameter["name"].as_str().unwrap(), parameter["example"].as_str());
        path.replace(&format!("{{{name}}}"), example.unwrap_or_else(|| panic!("{path}: {name} has no example")))
    })
}

fn body(document: &Value, operation: &Value) -> Option<Body> {
    let (content_type, media) = operation["requestBody"]["content"].as_object()?.iter().next()?;
    let schema = media["schema"]["$ref"].as_str().and_then(|name| document.pointer(name.trim_start_matches('#')));
    let example = match &media["example"] {
        Value::Null => &schema.unwrap_or(&media["schema"])["example"],
        example => example,
    };
    if content_type == "application/x-www-form-urlencoded" {
        return Some(Body { content_type: content_type.clone(), example: "token=x".to_owned() });
    }
    let mut example = example.clone();
    if let Some(credential) = example.get_mut("credential") {
        // The examples cut short what authenticators make.
        let response = json!({"attestationObject": "AA", "clientDataJSON": "AA"});
        *credential = json!({"id": "AA", "rawId": "AA", "type": "public-key", "response": response});
    }
    Some(Body { content_type: content_type.clone(), example: example.to_string() })
}

/// The functions, and a tenant's credentials of all kinds.
struct Door {
    functions: BTreeMap<&'static str, Instance>,
    tenant: Tenant,
    /// By their scopes.
    api_keys: BTreeMap<String, String>,
    oauth_client: String,
    signer: Signer,
    clock: Clock,
    random: Random,
    network: String,
}

impl Door {
    async fn new(routes: &[Route]) -> Self {
        let (random, tenant) = (Random::system(), Tenant::new().await);
        let mut functions = BTreeMap::new();
        for route in routes {
            if !functions.contains_key(route.handler) {
                let service = SERVICES.iter().find(|service| route.handler.starts_with(service.name)).unwrap();
                functions.insert(route.handler, Instance::of(service, route.handler).await);
            }
        }
        let scopes = ALL.iter().flat_map(|permission| [Reach::It, Reach::Others].map(|reach| reach.scopes(permission)));
        let keys = scopes.map(async |scopes| (scopes.clone(), tenant.key_with(&scopes).await));
        let mut api_keys: BTreeMap<_, _> = join_all(keys).await.into_iter().collect();
        api_keys.insert("*".to_owned(), tenant.api_key.clone());
        let [a, b, c] = random.bytes();
        let mut door = Self {
            functions,
            api_keys,
            oauth_client: String::new(),
            signer: token::signer(),
            clock: Clock::system(),
            random,
            network: format!("10.{a}.{b}.{c}"),
            tenant,
        };
        let new = json!({"name": "test", "scopes": ["*"]});
        let credential = [("authorization", format!("Bearer {}", door.tenant.api_key))];
        let made = door.functions["auth.users"]
            .http(
                "POST",
                "/v1/oauth-clients",
                &credential.each_ref().map(|(name, value)| (*name, value.as_str())),
                Some(&new),
            )
            .await
            .expect(201)
            .json();
        let secret = format!("{}:{}", made["id"].as_str().unwrap(), made["client_secret"].as_str().unwrap());
        door.oauth_client = format!("Basic {}", STANDARD.encode(secret));
        door
    }

    /// The claims of a new user of the tenant, without a role: what one call does to a session is no other's business.
    fn user(&self) -> Claims {
        token::claims(self.tenant.id, self.clock.now(), &self.random)
    }

    fn claims(&self, who: Who, permission: &str) -> Claims {
        let user = self.user();
        match who {
            Who::Role(role) => Claims { roles: vec![role.to_string()], ..user },
            Who::Tired => {
                let auth_time = Some(user.iat - STEP_UP_WITHIN.as_secs() - 1);
                Claims { roles: vec![Role::Owner.to_string()], auth_time, ..user }
            }
            Who::Application => {
                let client_id = ClientId::new(self.clock.now(), &self.random).to_string();
                Claims { roles: vec![Role::Owner.to_string()], client_id, ..user }
            }
            Who::Custom(reach) => Claims { permissions: Some(reach.scopes(permission)), ..user },
            Who::Machine(reach) => {
                let id = ClientId::new(self.clock.now(), &self.random).to_string();
                let scope = reach.scopes(permission);
                Claims { sub: id.clone(), client_id: id, sid: None, auth_time: None, amr: Vec::new(), scope, ..user }
            }
            Who::Nobody | Who::ApiKey(_) | Who::OAuthClient => panic!("{who:?} has no token"),
        }
    }

    /// What `who` puts into `Authorization`.
    async fn credential(&self, who: Who, permission: &str) -> String {
        match who {
            Who::Nobody => String::new(),
            Who::OAuthClient => self.oauth_client.clone(),
            Who::ApiKey(reach) => format!("Bearer {}", self.api_keys[&reach.scopes(permission)]),
            _ => format!("Bearer {}", self.signer.sign(&self.claims(who, permission)).await.unwrap()),
        }
    }

    /// What becomes of a request of `who`.
    async fn knock(&self, route: &Route, who: Who) -> Outcome {
        let (permission, is_public) = match route.access {
            Access::Permitted(needs) => (needs.permission, false),
            Access::OpenId => (ALL[0], false),
            Access::Public | Access::OAuthClient { .. } => (ALL[0], true),
        };
        // Nothing but the table refuses a body that makes sense. One that makes none changes nothing where it is admitted;
        // who may everything tries the other as well.
        let may_all = matches!(who, Who::ApiKey(Reach::All) | Who::Machine(Reach::All)) && !is_public;
        let is_refused = expected(route.access, who) != Outcome::Admitted;
        let credential = self.credential(who, permission).await;
        let mut headers = Vec::new();
        if !credential.is_empty() {
            headers.push(("authorization", credential.as_str()));
        }
        let body = route.body.as_ref().map(|body| {
            headers.push(("content-type", body.content_type.as_str()));
            let is_json = body.content_type.ends_with("json");
            if is_json && !is_refused && !may_all { "{}" } else { body.example.as_str() }
        });
        let mut event = http_event(&route.method, &route.path, &headers, body);
        event["requestContext"]["http"]["sourceIp"] = json!(self.network);
        observed(&self.functions[route.handler].http_in(&event, Context::default()).await)
    }
}

#[tokio::test]
async fn every_route_admits_whom_the_table_says_and_refuses_everybody_else() {
    let routes = routes();
    let door = Door::new(&routes).await;
    let door = &door;
    let asked = routes.iter().flat_map(|route| EVERYBODY.map(|who| (route, who)));
    let wrong = futures::stream::iter(asked).map(async |(route, who)| {
        let (should, is) = (expected(route.access, who), door.knock(route, who).await);
        (should != is).then(|| format!("{} as {who:?}: {is:?} instead of {should:?}", route.operation))
    });
    let wrong: Vec<_> = wrong.buffer_unordered(16).filter_map(async |wrong| wrong).collect().await;
    assert!(wrong.is_empty(), "{wrong:#?}");
}
