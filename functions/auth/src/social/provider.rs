//! Which providers there are, by configuration.

use std::collections::BTreeSet;
use std::sync::Arc;

use http::Method;
use serde::{Deserialize, Serialize};
use shared::config::Secret;
use shared::outbound::{Outbound, Request};
use utoipa::ToSchema;

/// The most providers. Their configuration is a variable of the function, of which all together have 4 KB.
pub const MOST_PROVIDERS: usize = 10;

const GOOGLE: &str = "https://accounts.google.com";
const GITHUB: &str = "https://github.com";
const GITHUB_API: &str = "https://api.github.com";

/// How a provider is spoken to. Expect new values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// OpenID Connect.
    Oidc,
    /// OAuth 2 with GitHub's own API for who somebody is.
    Github,
}

/// A provider, and what this installation is there.
#[derive(Clone, Debug)]
pub struct Provider {
    /// What it is called in paths: 1 to 30 of `a-z 0-9 -`, beginning with a letter.
    pub name: String,
    /// How it is spoken to.
    pub kind: Kind,
    /// Who says who somebody is, within which a subject is one person's alone: the issuer of id tokens, or GitHub's URL.
    pub issuer: String,
    /// Where GitHub's API is; not used of another kind.
    pub api_url: String,
    /// The `client_id` of this installation.
    pub client_id: String,
    /// Its secret; none for a public client.
    pub client_secret: Option<Secret>,
    /// What is asked for, separated by spaces.
    pub scope: String,
}

/// All providers. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Providers(Arc<[Provider]>);

/// The configuration of the providers is wrong. No value of it is shown: there are secrets in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("SOCIAL_PROVIDERS: {place} {fault}")]
pub struct InvalidProviders {
    place: String,
    fault: &'static str,
}

/// A provider as it is configured.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Configured {
    name: String,
    kind: Option<Kind>,
    /// Of an OpenID provider.
    issuer: Option<String>,
    /// Of a GitHub Enterprise Server, in place of GitHub itself.
    base_url: Option<String>,
    client_id: String,
    client_secret: Option<String>,
    scopes: Option<Vec<String>>,
}

impl Providers {
    /// Reads a JSON array of providers. `google` and `github` need neither kind nor address. What `outbound` would refuse
    /// to ask is refused here.
    pub fn parse(json: &Secret, outbound: &Outbound) -> Result<Self, InvalidProviders> {
        let configured: Vec<Configured> = serde_json::from_str(json.expose()).map_err(|error| InvalidProviders {
            place: format!("line {} column {}", error.line(), error.column()),
            fault: "is not what the JSON of providers has there",
        })?;
        if configured.len() > MOST_PROVIDERS {
            return Err(InvalidProviders { place: "the list".to_owned(), fault: "has more than 10 entries" });
        }
        let mut names = BTreeSet::new();
        let mut providers = Vec::new();
        for (place, configured) in configured.into_iter().enumerate() {
            let refused = |fault| InvalidProviders { place: format!("entry {}", place + 1), fault };
            let provider = Provider::configured(configured).map_err(refused)?;
            if !names.insert(provider.name.clone()) {
                return Err(refused("has a name that another one has"));
            }
            for url in [&provider.issuer, &provider.api_url] {
                let plain = !url.contains(|character: char| character.is_control() || matches!(character, '?' | '#'));
                if !plain || outbound.check(&Request::new(Method::GET, url.as_str())).is_err() {
                    return Err(refused("has an address that is not a plain https:// URL"));
                }
            }
            providers.push(provider);
        }
        Ok(Self(providers.into()))
    }

    /// The provider of this name.
    pub fn get(&self, name: &str) -> Option<&Provider> {
        self.0.iter().find(|provider| provider.name == name)
    }

    /// All of them, in the order of the configuration.
    pub fn iter(&self) -> impl Iterator<Item = &Provider> {
        self.0.iter()
    }
}

impl Provider {
    fn configured(configured: Configured) -> Result<Self, &'static str> {
        let Configured { name, kind, issuer, base_url, client_id, client_secret, scopes } = configured;
        if !is_name(&name) {
            return Err("has a name that is not 1 to 30 of a-z 0-9 - with a letter first");
        }
        if client_id.is_empty() {
            return Err("has no client_id");
        }
        let kind = kind.unwrap_or(if name == "github" { Kind::Github } else { Kind::Oidc });
        let (issuer, api_url, scopes) = match (kind, issuer, base_url) {
            (Kind::Oidc, issuer, None) => {
                let issuer = issuer.or_else(|| (name == "google").then(|| GOOGLE.to_owned()));
                let issuer = issuer.ok_or("has no issuer")?;
                (issuer.clone(), issuer, scopes.unwrap_or_else(|| words(&["openid", "email", "profile"])))
            }
            (Kind::Github, None, base_url) => {
                let base = base_url.as_deref().map(|url| url.trim_end_matches('/'));
                let api_url = base.map_or_else(|| GITHUB_API.to_owned(), |base| format!("{base}/api/v3"));
                (base.unwrap_or(GITHUB).to_owned(), api_url, scopes.unwrap_or_else(|| words(&["user:email"])))
            }
            (Kind::Oidc, _, Some(_)) => return Err("has a base_url, which is for GitHub"),
            (Kind::Github, Some(_), _) => return Err("has an issuer, which is for OpenID Connect"),
        };
        if kind == Kind::Oidc && scopes.iter().all(|scope| scope != "openid") {
            return Err("has scopes without openid");
        }
        let client_secret = client_secret.filter(|secret| !secret.is_empty()).map(Secret::new);
        Ok(Self { name, kind, issuer, api_url, client_id, client_secret, scope: scopes.join(" ") })
    }
}

fn is_name(text: &str) -> bool {
    text.len() <= 30
        && text.as_bytes().first().is_some_and(u8::is_ascii_lowercase)
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

fn words(scopes: &[&str]) -> Vec<String> {
    scopes.iter().map(|scope| (*scope).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};
    use shared::outbound::Settings;

    use super::*;

    fn parse(json: &Value, allow_loopback: bool) -> Result<Providers, InvalidProviders> {
        Providers::parse(&Secret::new(json.to_string()), &Outbound::new(Settings { allow_loopback }))
    }

    #[test]
    fn google_and_github_are_known_by_name() {
        let client = |name| json!({"name": name, "client_id": "id", "client_secret": "hunter2"});
        let providers = parse(&json!([client("google"), client("github")]), false).unwrap();
        let (google, github) = (providers.get("google").unwrap(), providers.get("github").unwrap());
        assert_eq!((google.kind, google.issuer.as_str()), (Kind::Oidc, GOOGLE));
        assert_eq!((github.kind, github.issuer.as_str(), github.api_url.as_str()), (Kind::Github, GITHUB, GITHUB_API));
        assert_eq!((google.scope.as_str(), github.scope.as_str()), ("openid email profile", "user:email"));
        assert!(providers.get("Google").is_none() && !format!("{providers:?}").contains("hunter2"));
    }

    #[test]
    fn an_own_address_is_taken() {
        let server = json!({"name": "code", "kind": "github", "base_url": "https://code.example/", "client_id": "id"});
        let sso = json!({"name": "sso", "issuer": "https://id.example/realm", "client_id": "id", "scopes": ["openid"]});
        let providers = parse(&json!([server, sso]), false).unwrap();
        assert_eq!(providers.get("code").unwrap().api_url, "https://code.example/api/v3");
        let sso = providers.get("sso").unwrap();
        assert_eq!((sso.issuer.as_str(), sso.scope.as_str()), ("https://id.example/realm", "openid"));
        assert!(sso.client_secret.is_none());
    }

    #[test]
    fn a_fault_is_told_without_a_value() {
        let of = |changed: &str, value: Value| {
            let mut provider =
                json!({"name": "sso", "issuer": "https://id.example", "client_id": "id", "client_secret": "hunter2"});
            provider[changed] = value;
            json!([provider])
        };
        for (json, fault) in [
            (json!({}), "line 1 column"),
            (of("secret", json!("hunter2")), "line 1 column"),
            (of("client_secret", json!(["hunter2"])), "line 1 column"),
            (of("kind", json!("hunter2")), "line 1 column"),
            (of("name", json!("hunter2!")), "entry 1 has a name"),
            (of("client_id", json!("")), "entry 1 has no client_id"),
            (of("issuer", Value::Null), "entry 1 has no issuer"),
            (of("issuer", json!("http://id.example")), "entry 1 has an address"),
            (of("issuer", json!("https://id.example/?hunter2")), "entry 1 has an address"),
            (of("issuer", json!("http://127.0.0.1:9000")), "entry 1 has an address"),
            (of("base_url", json!("https://code.example")), "entry 1 has a base_url"),
            (of("kind", json!("github")), "entry 1 has an issuer"),
            (of("scopes", json!(["email"])), "entry 1 has scopes"),
            (json!(vec![of("scopes", Value::Null)[0].clone(); 2]), "entry 2 has a name that another one has"),
            (json!(vec![of("scopes", Value::Null)[0].clone(); 11]), "the list has more than"),
        ] {
            let message = parse(&json, false).unwrap_err().to_string();
            assert!(message.contains(fault) && !message.contains("hunter2"), "{message}");
        }
        assert!(parse(&of("issuer", json!("http://127.0.0.1:9000")), true).is_ok());
    }
}
