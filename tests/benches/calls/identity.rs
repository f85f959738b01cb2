//! Signing up, in and on, tokens for machines and for applications of others, and what proves a caller to the other services.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use shared::time::Clock;
use tests::account::{PASSWORD, fresh_email, mail_to};
use tests::{Tenant, http_event};

use crate::price::Door;
use crate::{Bench, Subject};

/// RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

fn text<'a>(answer: &'a Value, name: &str) -> &'a str {
    answer[name].as_str().unwrap()
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

pub(crate) async fn identity(bench: &mut Bench) {
    let (email, token) = user(bench).await;
    let oauth = machine(bench, &token).await;
    application(bench, &oauth, &token).await;
    callers(bench, &email, &token).await;
}

impl Bench {
    /// The last operation computed an argon2.
    fn hashed(&mut self) {
        self.rows.last_mut().unwrap().hashes = true;
    }
}

/// A user signs up, proves the address, logs in and refreshes. Answers the address and an access token.
async fn user(bench: &mut Bench) -> (String, String) {
    let api = bench.subject(&auth::SERVICE, "auth.api", Door::Http, Clock::system()).await;
    let email = fresh_email();
    let credentials = json!({"email": email, "password": PASSWORD});
    bench.http("sign up", &api, 202, ("POST", "/v1/auth/signup", &[], credentials.clone())).await;
    bench.hashed();
    let proof = json!({"token": mail_to(&email, "Confirm").await.token()});
    bench.http("prove the address", &api, 200, ("POST", "/v1/auth/email/verify", &[], proof)).await;
    // It opens the keys, and reads the secret of known devices.
    bench.http("first log-in of an instance", &api, 200, ("POST", "/v1/auth/login", &[], credentials.clone())).await;
    bench.forget();
    let signed_in = bench.http("log in", &api, 200, ("POST", "/v1/auth/login", &[], credentials.clone())).await;
    bench.hashed();
    let wrong = json!({"email": email, "password": "not-the-password"});
    bench.http("log in with a wrong password", &api, 401, ("POST", "/v1/auth/login", &[], wrong)).await;
    bench.hashed();
    let refresh = json!({"refresh_token": signed_in["refresh_token"]});
    let refreshed = bench.http("refresh", &api, 200, ("POST", "/v1/auth/refresh", &[], refresh)).await;
    (email, text(&refreshed, "access_token").to_owned())
}

/// A tenant's program gets tokens, and asks what they are good for. Answers the function, whose keys are open.
async fn machine(bench: &mut Bench, token: &str) -> Subject {
    let users = bench.subject(&auth::SERVICE, "auth.users", Door::Http, Clock::system()).await;
    let authorization = bearer(token);
    let authorized = [("authorization", authorization.as_str())];
    let client = json!({"name": "Export", "scopes": ["links:read"]});
    let register = ("POST", "/v1/oauth-clients", &authorized[..], client);
    let client = bench.http("register a client", &users, 201, register).await;
    bench.forget();

    let oauth = bench.subject(&auth::SERVICE, "auth.oauth", Door::Http, Clock::system()).await;
    let basic = STANDARD.encode(format!("{}:{}", text(&client, "id"), text(&client, "client_secret")));
    let basic = format!("Basic {basic}");
    let headers = [FORM, ("authorization", basic.as_str())];
    let grant = || json!("grant_type=client_credentials");
    bench.http("first token of an instance", &oauth, 200, ("POST", "/oauth/token", &headers, grant())).await;
    bench.forget();
    let asked = ("POST", "/oauth/token", &headers[..], grant());
    let issued = bench.http("a token by client credentials", &oauth, 200, asked).await;
    // The key set is read.
    let form = || json!(format!("token={}", text(&issued, "access_token")));
    bench.http("first look of an instance", &oauth, 200, ("POST", "/oauth/introspect", &headers, form())).await;
    bench.forget();
    bench.http("introspect an access token", &oauth, 200, ("POST", "/oauth/introspect", &headers, form())).await;
    oauth
}

/// A user lets an application in, which asks who that is.
async fn application(bench: &mut Bench, oauth: &Subject, token: &str) {
    let authorization = bearer(token);
    let authorized = [("authorization", authorization.as_str())];
    let client = json!({
        "name": "Reports", "scopes": [], "redirect_uris": ["https://reports.example/callback"],
        "token_endpoint_auth_method": "none",
    });
    let users = bench.subject(&auth::SERVICE, "auth.users", Door::Http, Clock::system()).await;
    let client = bench.http("register it", &users, 201, ("POST", "/v1/oauth-clients", &authorized, client)).await;
    bench.forget();
    let id = text(&client, "id");

    let request = format!(
        "/oauth/authorize?response_type=code&client_id={id}&redirect_uri=https://reports.example/callback\
         &scope=openid+email&code_challenge={CHALLENGE}&code_challenge_method=S256"
    );
    let event = http_event("GET", &request, &[], None);
    let asked = bench.invoke("an application asks for a user", oauth, &event).await;
    let location = text(&asked["headers"], "location");
    let request = location.strip_prefix("/auth/authorize?request=").unwrap();
    let api = bench.subject(&auth::SERVICE, "auth.api", Door::Http, Clock::system()).await;
    bench.http("first look", &api, 200, ("GET", "/v1/me", &authorized, Value::Null)).await;
    bench.forget();
    let decision =
        ("POST", &*format!("/v1/auth/authorizations/{request}"), &authorized[..], json!({"decision": "allow"}));
    let decided = bench.http("the user lets it in", &api, 200, decision).await;
    let (_, code) = text(&decided, "redirect_to").split_once("code=").unwrap();
    let code = code.split('&').next().unwrap();
    let form = format!(
        "grant_type=authorization_code&code={code}&client_id={id}&code_verifier={VERIFIER}\
         &redirect_uri=https://reports.example/callback"
    );
    let issued = bench.http("it exchanges its code", oauth, 200, ("POST", "/oauth/token", &[FORM], json!(form))).await;
    let authorization = bearer(text(&issued, "access_token"));
    let told = ("GET", "/oauth/userinfo", &[("authorization", authorization.as_str())][..], Value::Null);
    bench.http("it asks who the user is", oauth, 200, told).await;
}

/// What it takes to know a caller: the same request by a token, and by a key.
async fn callers(bench: &mut Bench, email: &str, token: &str) {
    let tenant = Tenant::new().await;
    let unknown = "/v1/links/link_01k9z4n2y6e0qv3m8t5w7x9abc";
    for (by, credential, remembered) in
        [("an access token", token, "15 s"), ("an API key", tenant.api_key.as_str(), "30 s")]
    {
        let api = bench.subject(&links::SERVICE, "links.api", Door::Http, Clock::system()).await;
        let authorization = bearer(credential);
        let headers = [("authorization", authorization.as_str())];
        for state in ["not remembered", "remembered"] {
            let name = format!("look for a link by {by}, {state} ({remembered})");
            bench.http(&name, &api, 404, ("GET", unknown, &headers, Value::Null)).await;
        }
    }
    let api = bench.subject(&auth::SERVICE, "auth.api", Door::Http, Clock::system()).await;
    let authorization = bearer(token);
    let headers = [("authorization", authorization.as_str())];
    bench.http("first look", &api, 200, ("GET", "/v1/me", &headers, Value::Null)).await;
    bench.forget();
    let me = bench.http("see one's own account", &api, 200, ("GET", "/v1/me", &headers, Value::Null)).await;
    assert_eq!(me["email"], email);
}
