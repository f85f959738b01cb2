//! Whatever a client sends to `auth.api`, it is never answered 500, and every refusal is a problem document.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use shared::identity::access::Access;
use shared::time::SignedDuration;
use tests::Answer;

use crate::own_accounts::{OwnAccounts, claims};
use crate::tokens::{Signer, header};

/// A route as its description says.
struct Route {
    method: String,
    path: String,
    needs_user: bool,
    /// A good body, where it takes one.
    example: Option<Value>,
    /// The names that a body may and must have.
    members: Vec<String>,
    required: Vec<String>,
}

impl Route {
    /// The path with something for each parameter.
    fn path_with(&self, parameter: &str) -> String {
        let (mut path, mut rest) = (String::new(), self.path.as_str());
        while let Some((before, after)) = rest.split_once('{') {
            path += before;
            path += parameter;
            rest = after.split_once('}').unwrap().1;
        }
        path + rest
    }
}

fn routes() -> Vec<Route> {
    let document = serde_json::to_value(auth::api::router().to_openapi()).unwrap();
    let names = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().map(|name| name.as_str().unwrap().to_owned()).collect()
    };
    let mut routes = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let content = operation["requestBody"]["content"].as_object().and_then(|content| content.values().next());
            let schema = content.map(|content| {
                let name = content["schema"]["$ref"].as_str().unwrap().rsplit_once('/').unwrap().1;
                &document["components"]["schemas"][name]
            });
            let members = schema.and_then(|schema| schema["properties"].as_object());
            routes.push(Route {
                method: method.to_uppercase(),
                path: path.clone(),
                needs_user: Access::of(operation["operationId"].as_str().unwrap()) != Some(Access::Public),
                example: content.map(|content| content["example"].clone()),
                members: members.into_iter().flat_map(|members| members.keys().cloned()).collect(),
                required: schema.map(|schema| names(&schema["required"])).unwrap_or_default(),
            });
        }
    }
    assert!(routes.len() > 30, "{}", routes.len());
    routes
}

#[track_caller]
fn assert_refused(answer: &Answer, allowed: &[u16], what: &str) {
    let status = answer.status.as_u16();
    let shown = String::from_utf8_lossy(&answer.body).chars().take(500).collect::<String>();
    assert!(allowed.contains(&status), "{what}: {status} {shown}");
    assert_eq!(answer.header("content-type"), "application/problem+json", "{what}");
    let document = answer.json();
    assert_eq!(document["status"], status, "{what}");
    assert!(document["type"].as_str().unwrap().starts_with("https://tenfold.dev/problems/"), "{what}");
    assert!(answer.body.len() < 20_000, "{what}: a refusal repeats what it refuses");
}

/// Somebody whose tokens every route takes, and what asks in their name.
struct Desk<'a> {
    own: &'a OwnAccounts,
    token: String,
}

impl Desk<'_> {
    /// An id of the kind that the path asks for.
    fn parameter(route: &Route) -> &'static str {
        if route.path.contains("passkeys") {
            "passkey_01k9z4n2y6e0qv3m8t5w7x9abc"
        } else {
            "session_01k9z4n2y6e0qv3m8t5w7x9abc"
        }
    }

    async fn ask(&self, route: &Route, content_type: &str, body: &[u8]) -> Answer {
        // Neither are so many requests of one network let in.
        self.own.move_away();
        let bearer = format!("Bearer {}", self.token);
        let mut headers = vec![("content-type", content_type)];
        if route.needs_user {
            headers.push(("authorization", &bearer));
        }
        let path = route.path_with(Self::parameter(route));
        let mut event = self.own.event(&route.method, &path, &headers, None);
        event["body"] = json!(BASE64_STANDARD.encode(body));
        event["isBase64Encoded"] = json!(true);
        self.own.answer(&event).await
    }

    async fn ask_json(&self, route: &Route, body: &Value) -> Answer {
        self.ask(route, "application/json", body.to_string().as_bytes()).await
    }
}

#[tokio::test]
async fn bodies_that_are_not_what_they_should_be_are_refused() {
    let own = OwnAccounts::new().await;
    let desk = Desk { own: &own, token: own.person().await.access_token };
    for route in routes().iter().filter(|route| route.example.is_some()) {
        let what = |case: &str| format!("{} {}: {case}", route.method, route.path);
        let example = route.example.clone().unwrap();
        for body in ["", "{", "nonsense", "{\"a\":}", "{}{}", "\u{feff}{}"] {
            assert_refused(&desk.ask(route, "application/json", body.as_bytes()).await, &[400, 422], &what(body));
        }
        for body in ["[]", "null", "1", "\"text\"", "[{}]"] {
            assert_refused(&desk.ask(route, "application/json", body.as_bytes()).await, &[422], &what(body));
        }
        let answer = desk.ask(route, "application/json", b"{\"a\": \"\xff\xfe\"}").await;
        assert_refused(&answer, &[400], &what("no UTF-8"));
        for content_type in ["text/plain", "application/x-www-form-urlencoded", "application/xml", ""] {
            let answer = desk.ask(route, content_type, example.to_string().as_bytes()).await;
            assert_refused(&answer, &[415], &what(content_type));
        }
        let large = format!("{{\"a\": \"{}\"}}", "x".repeat(1024 * 1024));
        assert_refused(&desk.ask(route, "application/json", large.as_bytes()).await, &[413], &what("too large"));
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        assert_refused(&desk.ask(route, "application/json", deep.as_bytes()).await, &[400, 422], &what("too deep"));
    }
}

#[tokio::test]
async fn members_that_are_not_what_they_should_be_are_refused() {
    let own = OwnAccounts::new().await;
    let desk = Desk { own: &own, token: own.person().await.access_token };
    for route in routes().iter().filter(|route| route.example.is_some()) {
        let what = |case: &str| format!("{} {}: {case}", route.method, route.path);
        let example = route.example.clone().unwrap();
        let with = |name: &str, value: Value| {
            let mut body = example.clone();
            body[name] = value;
            body
        };
        // A patch of what is not there is read no further.
        // Of another request the body is read before it is looked whether there is what it is about.
        let wrong: &[u16] = match (route.method.as_str(), route.path.contains('{')) {
            ("PATCH", true) => &[404],
            (_, true) => &[404, 422],
            (_, false) => &[422],
        };
        assert_refused(&desk.ask_json(route, &with("unknown", json!(1))).await, wrong, &what("unknown member"));
        for name in &route.required {
            let mut body = example.clone();
            body.as_object_mut().unwrap().remove(name);
            assert_refused(&desk.ask_json(route, &body).await, wrong, &what(&format!("without {name}")));
        }
        for name in &route.members {
            let text = example.to_string();
            let twice = format!("{},{}:{}}}", &text[..text.len() - 1], json!(name), example[name]);
            // A merge patch is read as any JSON, in which the last one counts.
            if example.get(name).is_some() && route.method != "PATCH" {
                let answer = desk.ask(route, "application/json", twice.as_bytes()).await;
                assert_refused(&answer, wrong, &what(&format!("{name} twice")));
            }
            for value in [json!(-1), json!(1e300), json!([]), json!({"a": 1}), json!([["a"]])] {
                let answer = desk.ask_json(route, &with(name, value.clone())).await;
                assert_refused(&answer, wrong, &what(&format!("{name} is {value}")));
            }
            for odd in ["", "\u{0}", "a\u{0}b", "\u{202e}abc", "\u{feff}", "\u{1f600}", " ", "'; --", "%00", "../.."] {
                let answer = desk.ask_json(route, &with(name, json!(odd))).await;
                if answer.status.as_u16() >= 400 {
                    assert_refused(&answer, &[400, 401, 404, 409, 422, 429], &what(&format!("{name} is {odd:?}")));
                }
            }
            let long = json!("x".repeat(1_000_000));
            let answer = desk.ask_json(route, &with(name, long)).await;
            assert_refused(&answer, &[400, 401, 404, 409, 422, 429], &what(&format!("{name} has a megabyte")));
        }
    }
}

#[tokio::test]
async fn paths_that_lead_nowhere_are_refused() {
    let own = OwnAccounts::new().await;
    let ann = own.person().await;
    for route in routes().iter().filter(|route| route.path.contains('{')) {
        for parameter in ["x", "%00", "%FF", "%2e%2e", "a%2Fb", "\u{e9}", &"x".repeat(5_000), "session_", &ann.id] {
            own.move_away();
            let path = route.path_with(parameter);
            let body = route.example.clone();
            let answer = own.send(&route.method, &path, &ann.access_token, body.as_ref()).await;
            assert_refused(&answer, &[400, 401, 404, 422], &format!("{} {path}", route.method));
        }
    }
    for path in ["/v1/auth", "/v1/auth/", "/v1/auth/nothing", "/v1/me/", "/v1/auth/login/", "/v1/auth//login"] {
        assert_refused(&own.send("GET", path, &ann.access_token, None).await, &[404], path);
    }
    let answer = own.send("PUT", "/v1/me", &ann.access_token, Some(&json!({}))).await;
    assert!(answer.header("allow").contains("PATCH"), "{answer:?}");
    assert_refused(&answer, &[405], "PUT /v1/me");
}

#[tokio::test]
async fn credentials_that_are_not_good_any_more_or_never_were_are_refused() {
    let own = OwnAccounts::new().await;
    let ann = own.person().await;
    let (head, rest) = ann.access_token.split_once('.').unwrap();
    let (payload, signature) = rest.split_once('.').unwrap();
    let foreign = Signer::new().token(&header(), &claims(&ann.access_token));
    let kid: Value = serde_json::from_slice(&base64::prelude::BASE64_URL_SAFE_NO_PAD.decode(head).unwrap()).unwrap();
    let forged = Signer::new().token(&kid, &claims(&ann.access_token));
    let none =
        format!("{}.{payload}.", base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"at+jwt"}"#));
    let mut bad = vec![
        foreign,
        forged,
        none,
        format!("{head}.{payload}"),
        format!("{head}.{payload}."),
        format!("{head}.{payload}.{}", signature.chars().rev().collect::<String>()),
        ann.refresh_token.clone(),
        ann.device_token.clone(),
        "tf_live_x".to_owned(),
        "a.b.c".to_owned(),
        "x".repeat(9_000),
    ];
    let routes = routes();
    let guarded = || routes.iter().filter(|route| route.needs_user);
    assert!(guarded().count() > 15);
    for route in guarded() {
        let path = route.path_with("session_01k9z4n2y6e0qv3m8t5w7x9abc");
        let body = route.example.as_ref();
        for token in bad.iter().map(String::as_str).chain([""]) {
            let answer = own.send(&route.method, &path, token, body).await;
            assert!(answer.header("www-authenticate").starts_with("Bearer"), "{answer:?}");
            assert_refused(&answer, &[401], &format!("{} {path} with {token:.60}", route.method));
        }
    }
    // After ten minutes the good one is none either.
    own.wait(SignedDuration::from_secs(600));
    bad = vec![ann.access_token.clone()];
    for route in guarded() {
        let path = route.path_with("session_01k9z4n2y6e0qv3m8t5w7x9abc");
        let answer = own.send(&route.method, &path, &bad[0], route.example.as_ref()).await;
        assert_refused(&answer, &[401], &format!("{} {path} when it is expired", route.method));
    }
}
