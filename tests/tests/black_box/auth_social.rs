//! Signing in by another provider: by a real one, by GitHub, and by one that does what no right provider does.

use std::collections::BTreeMap;

use auth::SERVICE;
use lambda_runtime::Context;
use serde_json::{Value, json};
use shared::random::Random;
use tests::{Answer, Instance, http_event, stack};
use url::Url;

use self::hostile::Hostile;
use crate::own_auth::{OwnAuth, Person};

mod attacks;
mod codes;
mod github;
mod hostile;
mod linking;
mod oidc_provider;
mod outages;
mod signing_in;

/// Where the application wants the browser back.
const APP: &str = "https://app.example.com/signed-in";

/// An `auth.social` and an `auth.api` of a test's own, with one clock.
struct Social {
    auth: OwnAuth,
    function: Instance,
    network: String,
}

/// A log-in that a client has begun.
struct Begun {
    /// Where it sends the browser.
    url: Url,
    binding: String,
}

impl Begun {
    /// A parameter of the authorization request.
    fn asked(&self, name: &str) -> String {
        parameter(&self.url, name).unwrap_or_else(|| panic!("{name} in {}", self.url))
    }
}

/// A parameter of a URL's query.
fn parameter(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

impl Social {
    async fn with(providers: &Value) -> Self {
        let auth = OwnAuth::new().await;
        let providers = providers.to_string();
        let function = Instance::with(&SERVICE, "auth.social", auth.clock.clone(), |environment| {
            environment.with("SOCIAL_PROVIDERS", &providers).with("APP_REDIRECT_URIS", APP)
        })
        .await;
        let [a, b, c] = Random::system().bytes();
        Self { auth, function, network: format!("10.{a}.{b}.{c}") }
    }

    /// One with a hostile provider called `name`, which keeps the same time.
    async fn with_hostile(name: &str) -> (Self, Hostile) {
        let provider = Hostile::start().await;
        let social = Self::with(&json!([provider.configuration(name)])).await;
        provider.keeps_the_time_of(&social.auth.clock);
        (social, provider)
    }

    /// A request as it comes from this test's network.
    fn event(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let mut event = http_event(method, path, &[], body.map(ToString::to_string).as_deref());
        event["requestContext"]["http"]["sourceIp"] = json!(self.network);
        event
    }

    async fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        self.function.http_in(&self.event(method, path, body), Context::default()).await
    }

    async fn start(&self, provider: &str, body: &Value) -> Answer {
        self.send("POST", &format!("/v1/auth/social/{provider}/start"), Some(body)).await
    }

    async fn begin_with(&self, provider: &str, further: Value) -> Begun {
        let mut body = json!({"redirect_uri": APP});
        for (name, value) in further.as_object().expect("an object").clone() {
            body[name] = value;
        }
        let begun = self.start(provider, &body).await.expect(200).json();
        let text = |name: &str| begun[name].as_str().unwrap_or_else(|| panic!("{name} in {begun}")).to_owned();
        Begun { url: Url::parse(&text("authorization_url")).expect("a URL"), binding: text("binding") }
    }

    async fn begin(&self, provider: &str) -> Begun {
        self.begin_with(provider, json!({})).await
    }

    /// The browser comes back from the provider to `url`.
    async fn come_back(&self, url: &Url) -> Answer {
        let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
        self.send("GET", path, None).await
    }

    /// The same, and it is sent on to the application: with what?
    async fn returned(&self, url: &Url) -> BTreeMap<String, String> {
        let answer = self.come_back(url).await.expect(303);
        let location = Url::parse(answer.header("location")).expect("a URL");
        assert_eq!(&location[..url::Position::AfterPath], APP);
        assert_eq!((answer.header("cache-control"), answer.header("referrer-policy")), ("no-store", "no-referrer"));
        let query: BTreeMap<_, _> = location.query_pairs().into_owned().collect();
        assert_eq!(query.len(), 1, "nothing else is in {location}");
        query
    }

    /// The same, with a code.
    async fn code(&self, url: &Url) -> String {
        let query = self.returned(url).await;
        query.get("code").unwrap_or_else(|| panic!("a code in {query:?}")).clone()
    }

    /// The same, with an error.
    async fn error(&self, url: &Url) -> String {
        let query = self.returned(url).await;
        query.get("error").unwrap_or_else(|| panic!("an error in {query:?}")).clone()
    }

    async fn exchange(&self, code: &str, binding: &str) -> Answer {
        self.auth.post("/v1/auth/exchange", &json!({"code": code, "binding": binding})).await
    }

    /// Signs in with what the browser brings back.
    async fn signed_in(&self, begun: &Begun, back: &Url, email: &str) -> Person<'_> {
        let code = self.code(back).await;
        Person::of(&self.auth, email, &self.exchange(&code, &begun.binding).await.expect(200).json())
    }
}

/// Where the provider of this name sends the browser.
fn callback(provider: &str, query: &[(&str, &str)]) -> Url {
    let url = format!("{}/v1/auth/social/{provider}/callback", stack().url());
    Url::parse_with_params(&url, query).expect("a URL")
}
