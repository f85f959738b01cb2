//! What is asked of a provider, and what is asked of its id tokens.
#![allow(clippy::unwrap_used)]
use serde_json::json;
use shared::outbound::Settings;
use shared::random::Random;

use super::super::ceremony::Intent;
use super::super::provider::Providers;
use super::*;
use crate::one_time::Ticket;

fn provider(secret: &Value) -> Provider {
    let json = json!([{"name": "google", "client_id": "the id", "client_secret": secret}]);
    let providers = Providers::parse(&Secret::new(json.to_string()), &Outbound::new(Settings::default())).unwrap();
    providers.get("google").unwrap().clone()
}

fn begun(provider: &Provider) -> Begun {
    let random = Random::seeded(1);
    Begun::new(provider, String::new(), None, Intent::SignIn, &Ticket::draw(&random), &random)
}

#[test]
fn the_client_proves_itself_as_the_provider_has_it() {
    let request = |methods: Value, secret: Value| {
        let metadata = serde_json::from_value(json!({
            "issuer": "i", "authorization_endpoint": "a", "token_endpoint": "t", "jwks_uri": "j",
            "token_endpoint_auth_methods_supported": methods,
        }));
        let provider = provider(&secret);
        token_request(&metadata.unwrap(), &provider, &begun(&provider), "the code", "https://here").unwrap()
    };
    let basic = "Basic dGhlK2lkOmElM0FiJTI1";
    let posted = "&client_id=the+id&client_secret=a%3Ab%25";
    for (methods, secret, authorization, fields) in [
        (Value::Null, json!("a:b%"), Some(basic), ""),
        (json!(["client_secret_post", "client_secret_basic"]), json!("a:b%"), Some(basic), ""),
        (json!(["client_secret_post"]), json!("a:b%"), None, posted),
        (json!(["client_secret_basic"]), Value::Null, None, "&client_id=the+id"),
    ] {
        let request = request(methods, secret);
        assert_eq!(request.headers.get(AUTHORIZATION).map(|value| value.to_str().unwrap()), authorization);
        let body = String::from_utf8(request.body.to_vec()).unwrap();
        let start = "grant_type=authorization_code&code=the+code&redirect_uri=https%3A%2F%2Fhere&code_verifier=";
        assert!(body.starts_with(start) && body.ends_with(fields), "{body}");
        assert_eq!(body.contains("client_id"), !fields.is_empty());
    }
}

#[test]
fn an_id_token_is_this_clients_and_of_this_log_in() {
    let provider = provider(&json!("secret"));
    let begun = begun(&provider);
    let check = |azp: Value, nonce: Value| {
        let token = serde_json::from_value(json!({"sub": "1", "azp": azp, "nonce": nonce})).unwrap();
        check_claims(&token, &provider, &begun).is_ok()
    };
    let nonce = json!(begun.nonce);
    assert!(check(Value::Null, nonce.clone()) && check(json!("the id"), nonce.clone()));
    assert!(!check(json!("another"), nonce));
    assert!(!check(Value::Null, json!("another")) && !check(Value::Null, Value::Null));
}

#[test]
fn an_address_is_verified_when_the_provider_says_so() {
    let verified = |value: Value| {
        let person: Person = serde_json::from_value(json!({"sub": "1", "email_verified": value})).unwrap();
        Said::from(person).email_verified
    };
    assert!(verified(json!(true)) && verified(json!("true")));
    for no in [json!(false), json!("false"), json!(1), json!("yes"), Value::Null] {
        assert!(!verified(no));
    }
}
