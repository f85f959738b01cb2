//! Applications of others that users let in (RFC 6749, section 4.1), as their clients and their users see it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest;
use serde_json::{Value, json};
use tests::Answer;
use tests::token::issuer;
use url::Url;

use super::application_attacks::returned_to;
use super::part;
use crate::own_oauth::{FORM, OwnOAuth, Registered, encoded, refusal};
use crate::own_tenant::{Member, column};

/// RFC 7636, appendix B.
pub(super) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
pub(super) const CALLBACK: &str = "https://reports.example/callback";
const CODE: (&str, &str) = ("grant_type", "authorization_code");
const RENEW: (&str, &str) = ("grant_type", "refresh_token");

impl OwnOAuth {
    /// An application; without a secret when it is public.
    pub(super) async fn application(&self, scopes: &[&str], is_public: bool) -> Registered {
        let method = if is_public { "none" } else { "client_secret_basic" };
        self.register(&json!({
            "name": "Report Maker", "scopes": scopes, "redirect_uris": [CALLBACK], "token_endpoint_auth_method": method,
        }))
        .await
    }

    /// Opens the authorization endpoint. `changed` parameters replace those of a good request; an empty one is left out.
    pub(super) async fn authorize(&self, client: &Registered, changed: &[(&str, &str)]) -> Answer {
        self.send("GET", &format!("/oauth/authorize?{}", asked(client, changed)), &[], None).await
    }

    /// The same by a form.
    pub(super) async fn authorize_by_form(&self, client: &Registered, changed: &[(&str, &str)]) -> Answer {
        self.send("POST", "/oauth/authorize", &[("content-type", FORM)], Some(&asked(client, changed))).await
    }

    /// The path at which a request is decided.
    pub(super) async fn request(&self, client: &Registered, changed: &[(&str, &str)]) -> String {
        let answer = self.authorize(client, changed).await.expect(303);
        let request = answer.header("location").strip_prefix("/auth/authorize?request=").unwrap();
        format!("/v1/auth/authorizations/{request}")
    }

    /// Where the browser goes after a user has allowed a request.
    pub(super) async fn allowed(&self, member: &Member, client: &Registered, changed: &[(&str, &str)]) -> Url {
        let path = self.request(client, changed).await;
        let decided = self.tenant.post(member, &path, &json!({"decision": "allow"})).await.expect(200).json();
        Url::parse(decided["redirect_to"].as_str().unwrap()).unwrap()
    }

    /// A code that a user's decision made.
    pub(super) async fn code(&self, member: &Member, client: &Registered, scope: &str) -> String {
        answered(&self.allowed(member, client, &[("scope", scope)]).await, "code").unwrap()
    }

    /// Exchanges a code; `changed` parameters replace those of a good request.
    pub(super) async fn exchange(&self, client: &Registered, code: &str, changed: &[(&str, &str)]) -> Answer {
        let good = [CODE, ("code", code), ("redirect_uri", CALLBACK), ("code_verifier", VERIFIER)];
        let kept = good.iter().filter(|(name, _)| changed.iter().all(|(other, _)| other != name));
        let all: Vec<_> = kept.chain(changed).copied().filter(|(_, value)| !value.is_empty()).collect();
        self.by(client, "/oauth/token", &all).await
    }

    /// The tokens that an application has of a user.
    pub(super) async fn let_in(&self, member: &Member, client: &Registered, scope: &str) -> Value {
        let code = self.code(member, client, scope).await;
        self.exchange(client, &code, &[]).await.expect(200).json()
    }

    /// Sends a form as a client does: with its secret, or with its id alone when it has none.
    pub(super) async fn by(&self, client: &Registered, path: &str, parameters: &[(&str, &str)]) -> Answer {
        if client.secret.is_empty() {
            self.form(path, &[parameters, &[("client_id", &client.id)]].concat()).await
        } else {
            self.as_client(client, path, parameters).await
        }
    }

    pub(super) async fn renew(&self, client: &Registered, refresh_token: &str) -> Answer {
        self.by(client, "/oauth/token", &[RENEW, ("refresh_token", refresh_token)]).await
    }
}

/// The parameters of a request. `changed` ones replace those of a good request; an empty one is left out.
fn asked(client: &Registered, changed: &[(&str, &str)]) -> String {
    let good = [
        ("response_type", "code"),
        ("client_id", client.id.as_str()),
        ("redirect_uri", CALLBACK),
        ("state", "a state & more"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    let kept = good.iter().filter(|(name, _)| changed.iter().all(|(other, _)| other != name));
    let all: Vec<_> = kept.chain(changed).copied().filter(|(_, value)| !value.is_empty()).collect();
    encoded(&all)
}

/// What the browser makes of an answer of the authorization endpoint, less the id of the request, which is drawn anew.
fn shown(answer: &Answer) -> (String, String, String) {
    let location = answer.header("location");
    let location = location.split("?request=").next().unwrap_or_default();
    (
        location.to_owned(),
        answer.header("referrer-policy").to_owned(),
        String::from_utf8_lossy(&answer.body).into_owned(),
    )
}

/// A parameter of where the browser goes.
pub(super) fn answered(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

pub(super) fn text<'a>(tokens: &'a Value, name: &str) -> &'a str {
    tokens[name].as_str().unwrap_or_else(|| panic!("{name} in {tokens}"))
}

#[tokio::test]
async fn a_user_lets_an_application_in_and_it_acts_within_its_scopes() {
    let own = OwnOAuth::new().await;
    let member = own.tenant.member(&["member"]).await;
    for is_public in [false, true] {
        let client = own.application(&["links:*", "notes:*"], is_public).await;
        let path = own.request(&client, &[("scope", "links:read openid"), ("nonce", "once")]).await;
        let asked = own.tenant.get(&member, &path).await.expect(200).json();
        assert_eq!(asked["client"], json!({"id": client.id, "name": "Report Maker"}));
        assert_eq!((&asked["tenant"]["id"], &asked["consented"]), (&json!(own.tenant.id), &json!(false)));
        assert_eq!(asked["redirect_host"], "reports.example");
        let names: Vec<_> = asked["scopes"].as_array().unwrap().iter().map(|scope| &scope["name"]).collect();
        assert_eq!(names, ["openid", "links:read"]);
        assert_eq!(asked["scopes"][1]["description"], "See links and their statistics.");
        let lasts = "For up to 30 days, and for no more than 14 days without using it.";
        assert_eq!(asked["access"], json!({"seconds": 2_592_000, "unused_seconds": 1_209_600, "description": lasts}));

        let decided = own.tenant.post(&member, &path, &json!({"decision": "allow"})).await.expect(200).json();
        let back = Url::parse(text(&decided, "redirect_to")).unwrap();
        assert!(back.as_str().starts_with(&format!("{CALLBACK}?")), "{back}");
        assert_eq!(answered(&back, "state").unwrap(), "a state & more");
        assert_eq!(answered(&back, "iss").unwrap(), issuer());
        let code = answered(&back, "code").unwrap();
        let answer = own.exchange(&client, &code, &[]).await.expect(200);
        assert_eq!((answer.header("cache-control"), answer.header("pragma")), ("no-store", "no-cache"));
        let tokens = answer.json();
        assert_eq!((&tokens["token_type"], &tokens["expires_in"]), (&json!("Bearer"), &json!(600)));
        assert_eq!(tokens["scope"], "openid links:read");

        let id_token = text(&tokens, "id_token");
        assert_eq!(part(id_token, 0)["typ"], "JWT");
        let claims = part(id_token, 1);
        assert_eq!((&claims["iss"], &claims["aud"]), (&json!(issuer()), &json!(client.id)));
        assert_eq!((&claims["sub"], &claims["nonce"]), (&json!(member.id), &json!("once")));
        assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 600);
        assert_eq!((&claims["amr"], &claims["acr"]), (&json!(["pwd"]), &json!("urn:tenfold:aal1")));
        // The left half of the access token's SHA-512, which is the hash of Ed25519.
        let hash = digest::digest(&digest::SHA512, text(&tokens, "access_token").as_bytes());
        assert_eq!(claims["at_hash"], URL_SAFE_NO_PAD.encode(&hash.as_ref()[..32]));
        // It tells who somebody is, and opens nothing.
        own.tenant.send("GET", "/v1/links", id_token, None).await.problem(401, "unauthenticated");

        let access = text(&tokens, "access_token");
        let claims = part(access, 1);
        assert_eq!((&claims["sub"], &claims["client_id"]), (&json!(member.id), &json!(client.id)));
        assert_eq!((&claims["scope"], &claims["tid"]), (&json!("openid links:read"), &json!(own.tenant.id)));
        own.tenant.send("GET", "/v1/links", access, None).await.expect(200);
        let link = json!({"target": "https://example.com/"});
        own.tenant.send("POST", "/v1/links", access, Some(&link)).await.problem(403, "forbidden");

        let next = own.renew(&client, text(&tokens, "refresh_token")).await.expect(200).json();
        assert_ne!(next["refresh_token"], tokens["refresh_token"]);
        assert_eq!(next["scope"], "openid links:read");
        own.tenant.send("GET", "/v1/links", text(&next, "access_token"), None).await.expect(200);
    }
}

/// The keys that sign it are those of access tokens: its type and its audience tell it from one.
#[tokio::test]
async fn an_id_token_opens_nothing_whatever_its_client() {
    let own = OwnOAuth::new().await;
    let client = own.application(&["links:*", "notes:*"], false).await;
    let tokens = own.let_in(&own.tenant.owner, &client, "openid links:read").await;
    let (id_token, access) = (text(&tokens, "id_token"), text(&tokens, "access_token"));
    assert_eq!(part(id_token, 0)["kid"], part(access, 0)["kid"]);
    assert_eq!((&part(id_token, 0)["typ"], &part(access, 0)["typ"]), (&json!("JWT"), &json!("at+jwt")));
    assert_eq!((&part(id_token, 1)["aud"], &part(access, 1)["aud"]), (&json!(client.id), &json!("tenfold-api")));
    for path in ["/v1/links", "/v1/me", "/v1/users"] {
        own.tenant.send("GET", path, id_token, None).await.problem(401, "unauthenticated");
    }
    own.tenant.send("GET", "/v1/links", access, None).await.expect(200);
    assert_eq!(own.introspect(&client, id_token).await, json!({"active": false}));
}

#[tokio::test]
async fn a_user_is_told_how_long_an_application_would_have_access() {
    let own = OwnOAuth::new().await;
    let asked = async |client: &Registered| {
        let path = own.request(client, &[]).await;
        let owner = own.tenant.log_in(&own.tenant.owner.email).await;
        own.tenant.get(&owner, &path).await.expect(200).json()["access"].clone()
    };
    let once = json!({
        "name": "Once", "scopes": ["links:read"], "redirect_uris": [CALLBACK], "grant_types": ["authorization_code"],
    });
    let once = own.register(&once).await;
    let told = json!({"seconds": 600, "unused_seconds": null, "description": "For up to 10 minutes."});
    assert_eq!(asked(&once).await, told, "it gets no refresh token");
    let settings = json!({"settings": {"session_seconds": 43_200, "session_idle_seconds": 43_200}});
    own.tenant.patch(&own.tenant.owner, "/v1/tenant", &settings).await.expect(200);
    own.tenant.wait(1);
    let client = own.application(&["links:*"], true).await;
    let told = json!({"seconds": 43_200, "unused_seconds": 43_200, "description": "For up to 12 hours."});
    assert_eq!(asked(&client).await, told);
    assert_eq!(asked(&once).await["seconds"], 600);
}

#[tokio::test]
async fn the_authorization_endpoint_takes_a_form_as_it_takes_a_query() {
    let own = OwnOAuth::new().await;
    let client = own.application(&["links:*"], true).await;
    let unknown = Registered { id: "client_01k9z4n2y6e0qv3m8t5w7x9abc".to_owned(), secret: String::new() };
    for (client, changed, status) in [
        (&client, &[][..], 303),
        (&client, &[("scope", "links:read openid"), ("nonce", "once")], 303),
        (&client, &[("response_type", "token")], 400),
        (&client, &[("prompt", "none")], 303),
        (&client, &[("redirect_uri", "https://evil.example/")], 400),
        (&unknown, &[], 400),
    ] {
        let by_query = own.authorize(client, changed).await.expect(status);
        let by_form = own.authorize_by_form(client, changed).await.expect(status);
        assert_eq!(shown(&by_form), shown(&by_query), "{changed:?}");
    }
    // A user decides what came by a form.
    let answer = own.authorize_by_form(&client, &[("scope", "links:read")]).await.expect(303);
    let request = answer.header("location").strip_prefix("/auth/authorize?request=").unwrap();
    let path = format!("/v1/auth/authorizations/{request}");
    let decided = own.tenant.post(&own.tenant.owner, &path, &json!({"decision": "allow"})).await.expect(200).json();
    let code = answered(&Url::parse(text(&decided, "redirect_to")).unwrap(), "code").unwrap();
    own.exchange(&client, &code, &[]).await.expect(200);

    for content_type in ["application/json", "text/plain", ""] {
        let answer = own.send("POST", "/oauth/authorize", &[("content-type", content_type)], Some("{}")).await;
        answer.problem(415, "unsupported-media-type");
    }
    let large = format!("state={}", "x".repeat(16 * 1024));
    let answer = own.send("POST", "/oauth/authorize", &[("content-type", FORM)], Some(&large)).await;
    answer.problem(413, "payload-too-large");
    // What the query says is not looked at, and what the form says twice is refused.
    let query = format!("/oauth/authorize?client_id={}&redirect_uri={CALLBACK}", client.id);
    let nothing = own.form(&query, &[]).await.expect(400);
    assert!(!String::from_utf8_lossy(&nothing.body).contains(CALLBACK));
    let twice =
        [("client_id", client.id.as_str()), ("redirect_uri", CALLBACK), ("scope", "openid"), ("scope", "openid")];
    let back = returned_to(own.form("/oauth/authorize", &twice).await);
    assert_eq!(answered(&back, "error").unwrap(), "invalid_request");
}

#[tokio::test]
async fn a_session_of_an_application_is_shown_to_its_user_with_its_name() {
    let own = OwnOAuth::new().await;
    let member = own.tenant.member(&["member"]).await;
    let client = own.application(&["links:*"], true).await;
    own.let_in(&member, &client, "links:read").await;
    let sessions = own.tenant.get(&member, "/v1/auth/sessions").await.expect(200);
    let mut clients = column(&sessions, "client_id");
    clients.sort_unstable();
    assert_eq!(clients, [String::new(), client.id.clone()]);
    assert!(column(&sessions, "client_name").contains(&"Report Maker".to_owned()));
    // It can be ended there as any other.
    let rows = sessions.json()["data"].as_array().unwrap().clone();
    let row = rows.iter().find(|row| row["client_id"] == json!(client.id)).unwrap();
    own.tenant.delete(&member, &format!("/v1/auth/sessions/{}", text(row, "id"))).await.expect(204);
    // An application has at most five.
    let mut tokens = Vec::new();
    for _ in 0..7 {
        own.tenant.wait(1);
        tokens.push(own.let_in(&member, &client, "links:read").await);
    }
    let sessions = column(&own.tenant.get(&member, "/v1/auth/sessions").await.expect(200), "client_id");
    assert_eq!(sessions.iter().filter(|id| **id == client.id).count(), 5);
    refusal(own.renew(&client, text(&tokens[1], "refresh_token")).await, 400, "invalid_grant");
    own.renew(&client, text(&tokens[2], "refresh_token")).await.expect(200);
    own.tenant.get(&member, "/v1/me").await.expect(200);
}

#[tokio::test]
async fn nobody_gives_an_application_more_than_they_and_its_client_have() {
    let own = OwnOAuth::new().await;
    let viewer = own.tenant.member(&["viewer"]).await;
    let client = own.application(&["*"], false).await;
    // All that it asks for, of which a viewer has the part that reads.
    let tokens = own.let_in(&viewer, &client, "").await;
    assert_eq!(tokens["scope"], "links:read jobs:read notes:read");
    // A user may choose less, and no more.
    let path = own.request(&client, &[("scope", "links:* notes:read")]).await;
    for wider in [json!(["links:write"]), json!(["jobs:read"]), json!(["*"]), json!([])] {
        let body = json!({"decision": "allow", "scopes": wider});
        own.tenant.post(&viewer, &path, &body).await.problem(422, "validation");
    }
    let body = json!({"decision": "allow", "scopes": ["notes:read"]});
    let back = own.tenant.post(&viewer, &path, &body).await.expect(200).json();
    let code = answered(&Url::parse(text(&back, "redirect_to")).unwrap(), "code").unwrap();
    let tokens = own.exchange(&client, &code, &[]).await.expect(200).json();
    assert_eq!(tokens["scope"], "notes:read");
    let path = own.request(&client, &[("scope", "links:write")]).await;
    own.tenant.post(&viewer, &path, &json!({"decision": "allow"})).await.problem(422, "validation");

    // What was granted shrinks with the client and with the role, and does not grow.
    let member = own.tenant.member(&["member"]).await;
    let tokens = own.let_in(&member, &client, "links:read links:write notes:read").await;
    let renewed = [RENEW, ("refresh_token", text(&tokens, "refresh_token"))];
    for wider in ["jobs:read", "links:manage", "links:*", "openid", "*"] {
        refusal(
            own.by(&client, "/oauth/token", &[&renewed[..], &[("scope", wider)]].concat()).await,
            400,
            "invalid_scope",
        );
    }
    let narrow = [&renewed[..], &[("scope", "links:read")]].concat();
    let narrow = own.by(&client, "/oauth/token", &narrow).await.expect(200).json();
    assert_eq!(narrow["scope"], "links:read");
    own.tenant.wait(1);
    own.tenant.patch(&own.tenant.owner, &client.path(), &json!({"scopes": ["links:*"]})).await.expect(200);
    own.tenant.wait(1);
    let next = own.renew(&client, text(&narrow, "refresh_token")).await.expect(200).json();
    assert_eq!(next["scope"], "links:read links:write");
    own.tenant.patch(&own.tenant.owner, &member.path(), &json!({"roles": ["viewer"]})).await.expect(200);
    own.tenant.wait(30);
    own.tenant.send("GET", "/v1/links", text(&next, "access_token"), None).await.problem(401, "unauthenticated");
    let next = own.renew(&client, text(&next, "refresh_token")).await.expect(200).json();
    let link = json!({"target": "https://example.com/"});
    let access = text(&next, "access_token");
    own.tenant.send("POST", "/v1/links", access, Some(&link)).await.problem(403, "forbidden");
    own.tenant.send("GET", "/v1/links", access, None).await.expect(200);
}

#[tokio::test]
async fn what_a_user_agreed_to_is_remembered_and_nothing_else() {
    let own = OwnOAuth::new().await;
    let (member, other) = (own.tenant.member(&["member"]).await, own.tenant.member(&["member"]).await);
    let client = own.application(&["links:*", "notes:*"], false).await;
    let consented = async |member: &Member, changed: &[(&str, &str)]| {
        let path = own.request(&client, changed).await;
        own.tenant.get(member, &path).await.expect(200).json()["consented"] == true
    };
    let read = ("scope", "links:read");
    assert!(!consented(&member, &[read]).await);
    own.let_in(&member, &client, "links:read notes:read").await;
    assert!(consented(&member, &[read]).await);
    assert!(!consented(&member, &[read, ("prompt", "consent")]).await);
    assert!(!consented(&member, &[("scope", "links:read links:write")]).await);
    assert!(!consented(&other, &[read]).await);
    own.let_in(&member, &client, "links:write").await;
    assert!(consented(&member, &[("scope", "links:read links:write")]).await);

    // Where its codes go is a part of it.
    let moved = json!({"redirect_uris": [CALLBACK, "https://reports.example/other"]});
    own.tenant.patch(&own.tenant.owner, &client.path(), &moved).await.expect(200);
    assert!(!consented(&member, &[read]).await);
    own.tenant.wait(1);
    own.let_in(&member, &client, "links:read").await;
    assert!(consented(&member, &[read]).await);
    assert!(!consented(&member, &[("scope", "links:read links:write")]).await);

    // A program on the user's machine may be any program: the user is asked each time.
    let local = "http://127.0.0.1/callback";
    let body =
        json!({"name": "Tool", "scopes": ["links:*"], "redirect_uris": [local], "token_endpoint_auth_method": "none"});
    let native = own.register(&body).await;
    let at_a_port = ("redirect_uri", "http://127.0.0.1:49152/callback");
    let back = own.allowed(&member, &native, &[at_a_port]).await;
    let code = answered(&back, "code").unwrap();
    assert!(back.as_str().starts_with("http://127.0.0.1:49152/callback?"), "{back}");
    refusal(own.exchange(&native, &code, &[("redirect_uri", local)]).await, 400, "invalid_grant");
    own.exchange(&native, &code, &[at_a_port]).await.expect(200);
    let path = own.request(&native, &[at_a_port]).await;
    assert_eq!(own.tenant.get(&member, &path).await.expect(200).json()["consented"], false);
}

#[tokio::test]
async fn a_user_who_refuses_is_not_asked_twice_and_gives_nothing() {
    let own = OwnOAuth::new().await;
    let member = own.tenant.member(&["member"]).await;
    let client = own.application(&["links:*"], true).await;
    let path = own.request(&client, &[]).await;
    for wrong in [json!({}), json!({"decision": "maybe"}), json!({"decision": "deny", "user_id": "x"})] {
        own.tenant.post(&member, &path, &wrong).await.problem(422, "validation");
    }
    let decided = own.tenant.post(&member, &path, &json!({"decision": "deny"})).await.expect(200).json();
    let back = Url::parse(text(&decided, "redirect_to")).unwrap();
    assert_eq!((answered(&back, "error").as_deref(), answered(&back, "code")), (Some("access_denied"), None));
    assert_eq!(
        (answered(&back, "state").unwrap(), answered(&back, "iss").unwrap()),
        ("a state & more".into(), issuer())
    );
    own.tenant.post(&member, &path, &json!({"decision": "allow"})).await.problem(404, "not-found");
    own.tenant.get(&member, &path).await.problem(404, "not-found");
    assert!(column(&own.tenant.get(&member, "/v1/auth/grants").await.expect(200), "client_id").is_empty());
    own.let_in(&member, &client, "links:read").await;
    own.tenant.delete(&member, &format!("/v1/auth/grants/{}", client.id)).await.expect(204);
    let mut trail = own.tenant.audit().await;
    trail.retain(|(action, target)| action.starts_with("consent.") && *target == client.id);
    let mut actions: Vec<_> = trail.iter().map(|(action, _)| action.as_str()).collect();
    actions.sort_unstable();
    assert_eq!(actions, ["consent.given", "consent.refused", "consent.withdrawn"]);
}

#[tokio::test]
async fn the_applications_that_a_user_let_in_are_listed_in_pages() {
    let own = OwnOAuth::new().await;
    let (member, other) = (own.tenant.member(&["member"]).await, own.tenant.member(&["member"]).await);
    let mut ids = Vec::new();
    for _ in 0..3 {
        let client = own.application(&["links:*"], true).await;
        own.let_in(&member, &client, "links:read").await;
        ids.push(client.id);
        own.tenant.wait(1);
    }
    let first = own.tenant.get(&member, "/v1/auth/grants?limit=2").await.expect(200);
    assert_eq!(
        (column(&first, "client_id"), column(&first, "client_name")),
        (ids[..2].to_vec(), vec!["Report Maker".to_owned(); 2])
    );
    let first = first.json();
    assert_eq!(first["data"][0]["scopes"], json!(["links:read"]));
    let cursor = text(&first, "next_cursor");
    let rest = own.tenant.get(&member, &format!("/v1/auth/grants?limit=2&cursor={cursor}")).await.expect(200);
    assert_eq!((column(&rest, "client_id"), &rest.json()["has_more"]), (ids[2..].to_vec(), &json!(false)));
    assert!(column(&own.tenant.get(&other, "/v1/auth/grants").await.expect(200), "client_id").is_empty());
    for path in [format!("/v1/auth/grants/{}", ids[0]), "/v1/auth/grants/grant_x".to_owned()] {
        own.tenant.delete(&other, &path).await.problem(404, "not-found");
    }
    own.tenant.get(&member, "/v1/auth/grants?limit=0").await.problem(422, "validation");
}

#[tokio::test]
async fn an_owner_has_users_asked_by_a_page_of_their_own() {
    let page = "https://app.example.com/consent?lang=en";
    let own = OwnOAuth::with(|environment| environment.with("CONSENT_URL", page)).await;
    let client = own.application(&["links:*"], true).await;
    let answer = own.authorize(&client, &[]).await.expect(303);
    let id = answer.header("location").strip_prefix(&format!("{page}&request=")).unwrap();
    own.tenant.get(&own.tenant.owner, &format!("/v1/auth/authorizations/{id}")).await.expect(200);
}
