//! A real OpenID provider on this machine (`tests/oidc_provider`), and the browser of somebody who signs in there.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use http::{StatusCode, header};
use localstack::template::workspace_root;
use serde_json::{Value, json};
use tests::account::{PASSWORD, fresh_email};
use tests::python::{packages, python};
use url::{Url, form_urlencoded};

use super::callback;

/// The client that the provider knows.
const CLIENT_ID: &str = "the tests";
const CLIENT_SECRET: &str = "p%ss: word/+";
/// What the installation calls the provider.
pub(super) const NAME: &str = "local";

/// The provider, for all tests of the process.
pub(super) struct OidcProvider {
    issuer: String,
    /// It ends with its standard input, which is open for as long as this process lives.
    _process: Child,
}

/// Somebody who has an account there.
pub(super) struct Visitor<'a> {
    provider: &'a OidcProvider,
    pub(super) email: String,
}

impl OidcProvider {
    /// The provider, which the first test starts. Its packages are installed by the first of all test runs.
    pub(super) fn shared() -> &'static Self {
        static PROVIDER: OnceLock<OidcProvider> = OnceLock::new();
        PROVIDER.get_or_init(Self::start)
    }

    fn start() -> Self {
        let folder = workspace_root().join("tests/oidc_provider");
        let packages = packages("oidc-provider", &folder.join("requirements.txt"));
        let redirect_uri = callback(NAME, &[]);
        let client = json!({
            "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET,
            "redirect_uri": redirect_uri.as_str().trim_end_matches('?'),
        });
        #[allow(clippy::zombie_processes)] // it ends with this process, when its standard input does
        let mut process = Command::new(python())
            .arg("-I")
            .args([folder.join("provider.py").as_os_str(), packages.as_os_str()])
            .arg(client.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python starts");
        let mut issuer = String::new();
        BufReader::new(process.stdout.take().expect("a pipe")).read_line(&mut issuer).expect("it prints its issuer");
        assert!(issuer.starts_with("http://127.0.0.1:"), "it did not start: {issuer:?}");
        Self { issuer: issuer.trim().to_owned(), _process: process }
    }

    /// What the installation is configured with.
    pub(super) fn configuration(&self) -> Value {
        json!({"name": NAME, "issuer": self.issuer, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET})
    }

    /// Somebody new with a verified address.
    pub(super) async fn visitor(&self) -> Visitor<'_> {
        self.visitor_with(&fresh_email(), true).await
    }

    /// Somebody new.
    pub(super) async fn visitor_with(&self, email: &str, verified: bool) -> Visitor<'_> {
        let person = json!({
            "username": email, "password": PASSWORD, "email": email, "email_verified": verified, "name": "Ann Visitor",
        });
        let made = tests::client().post(format!("{}/people", self.issuer)).json(&person).send().await;
        assert_eq!(made.expect("the provider answers").status(), StatusCode::NO_CONTENT);
        Visitor { provider: self, email: email.to_owned() }
    }
}

impl Visitor<'_> {
    /// Signs in at the provider and consents. Answers where it sends the browser.
    pub(super) async fn sign_in(&self, url: &Url) -> Url {
        self.decide(url, true).await
    }

    /// Signs in and does not consent.
    pub(super) async fn refuse(&self, url: &Url) -> Url {
        self.decide(url, false).await
    }

    async fn decide(&self, url: &Url, consents: bool) -> Url {
        let mut browser = Browser { at: url.clone(), cookies: BTreeMap::new() };
        let page = browser.open().await.expect("a log-in page");
        assert_eq!(browser.at.path(), "/login/");
        assert_eq!(browser.at.origin(), Url::parse(&self.provider.issuer).expect("a URL").origin());
        let credentials = [("username", self.email.as_str()), ("password", PASSWORD)];
        let page = browser.submit(&page, &credentials).await.expect("a page that asks for consent");
        let consent: &[_] = if consents { &[("allow", "Authorize")] } else { &[] };
        assert!(browser.submit(&page, consent).await.is_none(), "it leaves the provider");
        browser.at
    }

    /// What the provider says to a request that it does not take.
    pub(super) async fn refused(&self, url: &Url) -> StatusCode {
        let mut browser = Browser { at: url.clone(), cookies: BTreeMap::new() };
        let page = browser.open().await.expect("a log-in page");
        let credentials = [("username", self.email.as_str()), ("password", PASSWORD)];
        browser.request("POST", Some(&form(&page, &credentials))).await;
        browser.request("GET", None).await.0
    }
}

/// Keeps cookies, follows redirects within the provider, and fills in forms.
struct Browser {
    at: Url,
    cookies: BTreeMap<String, String>,
}

impl Browser {
    /// Opens the page. None when it leads away from the provider.
    async fn open(&mut self) -> Option<String> {
        self.follow("GET", None).await
    }

    /// Submits the form of `page` with `fields` beside its hidden ones.
    async fn submit(&mut self, page: &str, fields: &[(&str, &str)]) -> Option<String> {
        let form = form(page, fields);
        self.follow("POST", Some(&form)).await
    }

    async fn follow(&mut self, mut method: &str, mut form: Option<&str>) -> Option<String> {
        let home = self.at.origin();
        loop {
            let (status, page) = self.request(method, form).await;
            if !status.is_redirection() {
                assert_eq!(status, StatusCode::OK, "{page}");
                return Some(page);
            }
            if self.at.origin() != home {
                return None;
            }
            (method, form) = ("GET", None);
        }
    }

    /// One request; a redirect is where the browser is afterwards.
    async fn request(&mut self, method: &str, form: Option<&str>) -> (StatusCode, String) {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut request = tests::client()
            .request(method.parse().expect("a method"), self.at.clone())
            .header(header::COOKIE, cookies.join("; "));
        if let Some(form) = form {
            request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(form.to_owned());
        }
        let answer = request.send().await.expect("the provider answers");
        for cookie in answer.headers().get_all(header::SET_COOKIE) {
            let (name, rest) = cookie.to_str().expect("text").split_once('=').expect("a cookie");
            self.cookies.insert(name.to_owned(), rest.split(';').next().unwrap_or_default().to_owned());
        }
        if let Some(location) = answer.headers().get(header::LOCATION) {
            self.at = self.at.join(location.to_str().expect("text")).expect("a URL");
        }
        (answer.status(), answer.text().await.expect("a page"))
    }
}

/// The hidden fields of a page's form, and others.
fn form(page: &str, fields: &[(&str, &str)]) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    for input in page.split("<input").skip(1).filter_map(|rest| rest.split('>').next()) {
        if attribute(input, "type").as_deref() == Some("hidden") {
            form.append_pair(
                &attribute(input, "name").expect("a name"),
                &attribute(input, "value").unwrap_or_default(),
            );
        }
    }
    form.extend_pairs(fields).finish()
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let value = tag.split(&format!(" {name}=\"")).nth(1)?.split('"').next()?;
    let escapes = [("&quot;", "\""), ("&#x27;", "'"), ("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")];
    Some(escapes.iter().fold(value.to_owned(), |text, (escape, character)| text.replace(escape, character)))
}
