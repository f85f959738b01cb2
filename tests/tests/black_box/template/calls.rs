//! A function may make the calls that it makes, and no others: they are written down while clients do what clients do, and
//! compared with what the template grants.

use http::Method;
use lambda_runtime::Context;
use shared::random::Random;
use shared::time::{Clock, SignedDuration};
use tests::account::{PASSWORD, fresh_email, mail_to};
use tests::{Answer, FaultProxy, Instance, http_event, stack};
use totp_rs::Totp;

use super::permissions::statements;
use super::{
    BTreeMap, BTreeSet, DeclaredFunction, SERVICES, Value, functions, json, named, routed, service_of, template,
};

/// An action on a resource of the template.
type Permission = (String, String);

/// Functions whose calls into AWS are written down, behind one door as at API Gateway.
struct Watched {
    declared: Vec<DeclaredFunction>,
    functions: BTreeMap<&'static str, (Instance, FaultProxy)>,
    clock: Clock,
    network: String,
}

impl Watched {
    async fn new(handlers: &[&'static str]) -> Self {
        let (clock, [a, b, c]) = (Clock::manual(Clock::system().now()), Random::system().bytes());
        let mut watched = BTreeMap::new();
        for handler in handlers {
            let proxy = FaultProxy::watching().await;
            let service = SERVICES.iter().find(|service| service.name == service_of(handler)).unwrap();
            let change = |environment: super::Environment| environment.with("AWS_ENDPOINT_URL", proxy.url());
            watched.insert(*handler, (Instance::with(service, handler, clock.clone(), change).await, proxy));
        }
        Self { declared: functions(), functions: watched, clock, network: format!("10.{a}.{b}.{c}") }
    }

    async fn send(&self, method: &Method, path: &str, headers: &[(&str, &str)], body: Option<&str>) -> Answer {
        let handler = routed(&self.declared, path.split('?').next().unwrap()).unwrap();
        let mut event = http_event(method.as_str(), path, headers, body);
        event["requestContext"]["http"]["sourceIp"] = json!(self.network);
        let (instance, _) = self.functions.get(handler.as_str()).unwrap_or_else(|| panic!("{handler} is not watched"));
        instance.http_in(&event, Context::default()).await
    }

    /// Sends JSON with a token (an empty one is none), and checks that it is not refused.
    async fn ask(&self, method: Method, path: &str, token: &str, body: Value) -> Value {
        let (bearer, key) = (format!("Bearer {token}"), crate::resources::name("key"));
        let mut headers = vec![("idempotency-key", key.as_str())];
        if !token.is_empty() {
            headers.push(("authorization", &bearer));
        }
        let body = (method != Method::GET && method != Method::DELETE).then(|| body.to_string());
        let answer = self.send(&method, path, &headers, body.as_deref()).await;
        let answered = String::from_utf8_lossy(&answer.body);
        assert!(answer.status.is_success(), "{method} {path}: {} {answered}", answer.status);
        serde_json::from_slice(&answer.body).unwrap_or_default()
    }

    async fn post(&self, path: &str, token: &str, body: Value) -> Value {
        self.ask(Method::POST, path, token, body).await
    }

    async fn get(&self, path: &str, token: &str) -> Value {
        self.ask(Method::GET, path, token, Value::Null).await
    }

    async fn patch(&self, path: &str, token: &str, body: Value) -> Value {
        self.ask(Method::PATCH, path, token, body).await
    }

    async fn delete(&self, path: &str, token: &str) {
        self.ask(Method::DELETE, path, token, Value::Null).await;
    }

    /// Sends a form.
    async fn form(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        self.send(&Method::POST, path, &headers, Some(&body)).await
    }

    async fn log_in(&self, email: &str) -> Value {
        self.post("/v1/auth/login", "", json!({"email": email, "password": PASSWORD})).await
    }

    /// A token that no revocation of this second has ended.
    async fn token(&self, email: &str) -> String {
        self.clock.advance(SignedDuration::from_secs(1));
        self.log_in(email).await["access_token"].as_str().unwrap().to_owned()
    }

    fn declared(&self, handler: &str) -> &DeclaredFunction {
        self.declared.iter().find(|function| function.handler == handler).unwrap()
    }

    /// What the template calls the things that the variables of a function name.
    fn names(&self, handler: &str) -> BTreeMap<String, String> {
        let environment = stack().environment(handler).unwrap();
        let variables = self.declared(handler).variables.iter();
        variables
            .filter_map(|(variable, value)| Some((environment.get(variable)?.to_owned(), named(value)?.to_owned())))
            .collect()
    }

    /// The calls of a function so far.
    fn requests(&self, handler: &str) -> Vec<(String, Value)> {
        let (_, proxy) = &self.functions[handler];
        let operations: BTreeSet<_> = proxy.calls().into_iter().collect();
        let each = |operation: String| {
            proxy.requests(&operation).into_iter().map(move |request| (operation.clone(), request)).collect::<Vec<_>>()
        };
        operations.into_iter().flat_map(each).collect()
    }

    /// The permissions that these needed.
    fn used(&self, handler: &str) -> BTreeSet<Permission> {
        let names = self.names(handler);
        let requests = self.requests(handler);
        let needed = requests.iter().flat_map(|(operation, request)| needed(operation, request));
        let name = |resource: String| names.get(&resource).cloned().unwrap_or(resource);
        needed.map(|(action, resource)| (action, name(resource))).collect()
    }

    /// Of these, what wrote a partition that the template does not give the function.
    fn astray(&self, handler: &str) -> BTreeSet<(Permission, String)> {
        let names = self.names(handler);
        let statements = statements(&template(), &self.declared(handler).logical_id);
        let may = |((action, resource), partition): &(Permission, String)| {
            statements.iter().any(|statement| {
                statement.actions.contains(action)
                    && statement.resources.iter().any(|granted| named(granted) == Some(resource))
                    && statement.reaches(partition)
            })
        };
        let requests = self.requests(handler);
        let written = requests.iter().flat_map(|(operation, request)| written(operation, request));
        let name = |resource: String| names.get(&resource).cloned().unwrap_or(resource);
        let written = written.map(|((action, resource), partition)| ((action, name(resource)), partition));
        written.filter(|write| !may(write)).collect()
    }

    /// Those that the template grants it.
    fn granted(&self, handler: &str) -> BTreeSet<Permission> {
        let statements = statements(&template(), &self.declared(handler).logical_id);
        let each = statements.iter().flat_map(|statement| {
            let resources = statement.resources.iter().map(|resource| named(resource).unwrap().to_owned());
            resources
                .flat_map(|resource| statement.actions.iter().map(move |action| (action.clone(), resource.clone())))
        });
        each.collect()
    }
}

/// The permissions that a call needs
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html>).
fn needed(operation: &str, request: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let one = |action: &str, resource: &Value| vec![(action.to_owned(), text(resource))];
    match operation {
        "TransactWriteItems" | "TransactGetItems" => {
            let parts =
                request["TransactItems"].as_array().into_iter().flatten().filter_map(Value::as_object).flatten();
            let action = |kind: &str| match kind {
                "ConditionCheck" => "dynamodb:ConditionCheckItem".to_owned(),
                kind => format!("dynamodb:{kind}Item"),
            };
            parts.map(|(kind, part)| (action(kind), text(&part["TableName"]))).collect()
        }
        "BatchGetItem" | "BatchWriteItem" => {
            let tables = request["RequestItems"].as_object().into_iter().flatten();
            tables.map(|(table, _)| (format!("dynamodb:{operation}"), table.clone())).collect()
        }
        "SendMessage" | "SendMessageBatch" => one("sqs:SendMessage", &request["QueueUrl"]),
        "GetSecretValue" => one("secretsmanager:GetSecretValue", &request["SecretId"]),
        operation => one(&format!("dynamodb:{operation}"), &request["TableName"]),
    }
}

/// The partitions in which a call changes items, of tables that have partitions with a name (`pk`).
fn written(operation: &str, request: &Value) -> Vec<(Permission, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let one = |kind: &str, part: &Value| {
        let item = if part["Item"].is_object() { &part["Item"] } else { &part["Key"] };
        let permission = (format!("dynamodb:{kind}Item"), text(&part["TableName"]));
        (permission, text(&item["pk"]["S"]))
    };
    match operation {
        "TransactWriteItems" => {
            let parts =
                request["TransactItems"].as_array().into_iter().flatten().filter_map(Value::as_object).flatten();
            parts.filter(|(kind, _)| *kind != "ConditionCheck").map(|(kind, part)| one(kind, part)).collect()
        }
        "PutItem" | "UpdateItem" | "DeleteItem" => vec![one(operation.trim_end_matches("Item"), request)],
        _ => Vec::new(),
    }
}

/// A user does all that users do with their account.
async fn live_with_an_account(watched: &Watched) {
    let email = fresh_email();
    let address = json!({"email": email});
    watched.post("/v1/auth/signup", "", json!({"email": email, "password": PASSWORD})).await;
    let first = mail_to(&email, "Confirm").await;
    watched.post("/v1/auth/email/verify/resend", "", address.clone()).await;
    watched.post("/v1/auth/email/verify", "", json!({"token": first.token()})).await;
    let signed_in = watched.log_in(&email).await;
    let refresh = json!({"refresh_token": signed_in["refresh_token"]});
    let refreshed = watched.post("/v1/auth/refresh", "", refresh.clone()).await;
    let token = refreshed["access_token"].as_str().unwrap();
    watched.get("/v1/me", token).await;
    watched.patch("/v1/me", token, json!({"name": "Ann"})).await;
    watched.get("/v1/auth/sessions", token).await;

    let begun = watched.post("/v1/auth/factors/totp", token, json!({})).await;
    let app = Totp::from_url(begun["otpauth_uri"].as_str().unwrap()).unwrap();
    let code = || {
        watched.clock.advance(SignedDuration::from_secs(30));
        app.generate(u64::try_from(watched.clock.now().as_second()).unwrap()).to_string()
    };
    watched.post("/v1/auth/factors/totp/confirm", token, json!({"code": code()})).await;
    watched.get("/v1/auth/factors/recovery-codes", token).await;
    let proved = watched.post("/v1/auth/step-up", token, json!({"password": PASSWORD, "totp": code()})).await;
    let token = proved["access_token"].as_str().unwrap();
    let codes = watched.post("/v1/auth/factors/recovery-codes", token, json!({})).await;
    let half_way = watched.log_in(&email).await;
    let proof = json!({"ticket": half_way["ticket"], "recovery_code": codes["recovery_codes"][0]});
    watched.post("/v1/auth/second-factor", "", proof).await;
    watched.delete("/v1/auth/factors/totp", token).await;

    let started = watched.post("/v1/auth/passwordless/start", "", address.clone()).await;
    let sent = mail_to(&email, "Sign in").await;
    let finish = json!({"ticket": started["ticket"], "code": sent.code()});
    let session = watched.post("/v1/auth/passwordless/verify", "", finish).await;
    let path = format!("/v1/auth/sessions/{}", session["session_id"].as_str().unwrap());
    watched.delete(&path, token).await;
    let change = json!({"current_password": PASSWORD, "new_password": "another-harbour-seventeen"});
    watched.post("/v1/auth/password/change", token, change).await;
    watched.post("/v1/auth/password/forgot", "", address).await;
    let sent = mail_to(&email, "Reset").await;
    let reset = json!({"token": sent.token(), "new_password": PASSWORD});
    watched.post("/v1/auth/password/reset", "", reset).await;

    let token = watched.token(&email).await;
    watched.post("/v1/auth/email/change", &token, json!({"email": fresh_email()})).await;
    watched.post("/v1/auth/logout-all", &token, json!({})).await;
    watched.delete("/v1/me", &watched.token(&email).await).await;
}

/// An owner does all that administrators do.
async fn run_a_tenant(watched: &Watched) {
    let admin = Instance::of(&auth::SERVICE, "auth.admin").await;
    let person = async |tenant: Option<&Value>| {
        let email = fresh_email();
        let mut event = json!({"email": email, "password": PASSWORD});
        if let Some(tenant) = tenant {
            event["tenant_id"] = tenant.clone();
        }
        (email, admin.invoke(&event).await.unwrap())
    };
    let (email, made) = person(None).await;
    let (_, member) = person(Some(&made["tenant_id"])).await;
    let mut token = watched.token(&email).await;

    let role = json!({"name": "support", "permissions": ["links:read", "users:manage"]});
    watched.post("/v1/roles", &token, role).await;
    let user = format!("/v1/users/{}", member["user_id"].as_str().unwrap());
    let changes = [
        ("/v1/roles/support", json!({"permissions": ["links:read"]})),
        (user.as_str(), json!({"roles": ["support"]})),
        ("/v1/tenant", json!({"settings": {"session_seconds": 86_400}})),
    ];
    for (path, change) in changes {
        watched.patch(path, &token, change).await;
        token = watched.token(&email).await;
    }
    watched.delete(&format!("{user}/sessions"), &token).await;
    let seen =
        ["/v1/roles", "/v1/roles/support", "/v1/users?limit=1", &user, "/v1/audit?limit=1", "/v1/mail-templates"];
    for path in seen {
        watched.get(path, &token).await;
    }
    watched.delete(&user, &token).await;
    watched.delete("/v1/roles/support", &token).await;

    let key = watched.post("/v1/api-keys", &token, json!({"name": "Website", "scopes": ["*"]})).await;
    let path = format!("/v1/api-keys/{}", key["id"].as_str().unwrap());
    watched.patch(&path, &token, json!({"name": "Shop"})).await;
    let rotated = watched.post(&format!("{path}/rotate"), &token, json!({"overlap_seconds": 60})).await;
    let key = rotated["api_key"].as_str().unwrap();
    watched.get("/v1/api-keys?limit=1", key).await;
    // A key has no account, and its use is noted all the same.
    let bearer = format!("Bearer {key}");
    watched.send(&Method::GET, "/v1/me", &[("authorization", &bearer)], None).await.expect(403);
    live_with_links(watched, key).await;
    watched.delete(&path, &token).await;

    let client = watched.post("/v1/oauth-clients", &token, json!({"name": "Export", "scopes": ["*"]})).await;
    let id = client["id"].as_str().unwrap();
    let path = format!("/v1/oauth-clients/{id}");
    watched.patch(&path, &token, json!({"name": "Exports"})).await;
    let secret = watched.post(&format!("{path}/rotate-secret"), &token, json!({"overlap_seconds": 60})).await;
    let credentials = [("client_id", id), ("client_secret", secret["client_secret"].as_str().unwrap())];
    be_a_machine(watched, &credentials, &email).await;
    watched.get("/v1/oauth-clients", &token).await;
    watched.delete(&path, &token).await;
}

/// An OAuth client does all that is there for it.
async fn be_a_machine(watched: &Watched, [id, secret]: &[(&str, &str); 2], email: &str) {
    let ask = async |path, fields: &[(&str, &str)]| watched.form(path, fields).await.expect(200).json();
    let token = ask("/oauth/token", &[*id, *secret, ("grant_type", "client_credentials")]).await;
    let token = token["access_token"].as_str().unwrap();
    assert_eq!(ask("/oauth/introspect", &[*id, *secret, ("token", token)]).await["active"], true);
    watched.get("/v1/links", token).await;
    let key = format!("tf_test_{}", "x".repeat(40));
    assert_eq!(ask("/oauth/introspect", &[*id, *secret, ("token", &key)]).await["active"], false);
    let wrong = [*id, ("client_secret", "guessed"), ("grant_type", "client_credentials")];
    watched.form("/oauth/token", &wrong).await.expect(401);

    let session = watched.log_in(email).await;
    let refresh = [("grant_type", "refresh_token"), ("refresh_token", session["refresh_token"].as_str().unwrap())];
    ask("/oauth/token", &refresh).await;
    // A replay: the session ends, and its user is told.
    watched.clock.advance(SignedDuration::from_secs(60));
    watched.form("/oauth/token", &refresh).await.expect(400);
    for kind in ["access_token", "refresh_token"] {
        let session = watched.log_in(email).await;
        watched.form("/oauth/revoke", &[("token", session[kind].as_str().unwrap())]).await.expect(200);
    }
}

/// A program does all that is done with links.
async fn live_with_links(watched: &Watched, key: &str) {
    let soon = (watched.clock.now() + SignedDuration::from_mins(2)).to_string();
    let new = json!({"target": "https://example.com/", "tags": ["a"], "expires_at": soon, "max_clicks": 3});
    let link = watched.post("/v1/links", key, new).await;
    let path = format!("/v1/links/{}", link["id"].as_str().unwrap());
    watched.ask(Method::PUT, "/v1/links/blocklist", key, json!({"domains": ["evil.example"]})).await;
    for path in ["/v1/links?limit=1", "/v1/links?tag=a", "/v1/links/blocklist", &path, &format!("{path}/stats")] {
        watched.get(path, key).await;
    }
    watched.patch(&path, key, json!({"title": "Spring"})).await;
    watched.delete(&path, key).await;
}

/// What is granted and not called here.
const UNSEEN: [(&str, &str, &str); 3] = [
    // A network that guesses for long.
    ("auth.oauth", "dynamodb:GetItem", "LimitsTable"),
    // A session whose tenant has gone.
    ("auth.oauth", "dynamodb:Query", "AccountsTable"),
    // The first cursor of an installation: the secret that signs them.
    ("links.api", "dynamodb:PutItem", "IdentityTable"),
];

#[tokio::test]
async fn a_function_is_granted_what_it_calls_and_nothing_else() {
    let handlers = ["auth.api", "auth.users", "auth.oauth", "links.api"];
    let watched = Watched::new(&handlers).await;
    live_with_an_account(&watched).await;
    run_a_tenant(&watched).await;
    let mut wrong = Vec::new();
    for handler in handlers {
        let (used, granted) = (watched.used(handler), watched.granted(handler));
        wrong.extend(used.difference(&granted).map(|lacking| format!("{handler} lacks {lacking:?}")));
        let is_seen = |(action, resource): &&Permission| !UNSEEN.contains(&(handler, action, resource));
        let unused = granted.difference(&used).filter(is_seen);
        wrong.extend(unused.map(|unused| format!("{handler} does not use {unused:?}")));
        wrong.extend(watched.astray(handler).iter().map(|write| format!("{handler} may not do {write:?}")));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
