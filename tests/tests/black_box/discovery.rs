//! Where clients and whoever verifies find the endpoints and the public keys.

use http::Method;
use serde_json::json;
use shared::config::Environment;
use shared::time::Clock;
use tests::token::issuer;
use tests::{Ask as _, Instance, anonymous, stack};

#[tokio::test]
async fn the_public_documents_are_served_to_everybody_and_kept_for_five_minutes() {
    for path in ["jwks.json", "oauth-authorization-server", "openid-configuration"] {
        let path = format!("/.well-known/{path}");
        let answer = anonymous(Method::GET, &path).answer().await.expect(200);
        assert_eq!(answer.header("content-type"), "application/json", "{path}");
        assert_eq!(answer.header("cache-control"), "public, max-age=300", "{path}");
        let again = anonymous(Method::GET, &path).header("if-none-match", answer.header("etag")).answer().await;
        assert!(again.expect(304).body.is_empty(), "{path}");
        anonymous(Method::POST, &path).answer().await.problem(405, "method-not-allowed");
    }
    anonymous(Method::GET, "/.well-known/other").answer().await.problem(404, "not-found");
}

#[tokio::test]
async fn the_metadata_name_the_endpoints_and_the_issuer_of_the_tokens() {
    let of = async |path: &str| anonymous(Method::GET, path).answer().await.expect(200).json();
    let metadata = of("/.well-known/oauth-authorization-server").await;
    assert_eq!(metadata, of("/.well-known/openid-configuration").await);
    assert_eq!(metadata["issuer"], issuer());
    // OpenID Connect Discovery 1.0, section 4.3: it is the URL that they were found under.
    let url = stack().url();
    assert_eq!(metadata["issuer"], url);
    for (member, path) in [
        ("jwks_uri", "/.well-known/jwks.json"),
        ("authorization_endpoint", "/oauth/authorize"),
        ("token_endpoint", "/oauth/token"),
        ("revocation_endpoint", "/oauth/revoke"),
        ("introspection_endpoint", "/oauth/introspect"),
        ("userinfo_endpoint", "/oauth/userinfo"),
    ] {
        assert_eq!(metadata[member], format!("{url}{path}"));
    }
    assert_eq!(metadata["response_types_supported"], json!(["code"]));
    assert_eq!(metadata["code_challenge_methods_supported"], json!(["S256"]));
    assert_eq!(metadata["authorization_response_iss_parameter_supported"], true);
    // What is not said is supported, for the second (OpenID Connect Discovery 1.0, section 3).
    let unsupported = ["request_parameter_supported", "request_uri_parameter_supported", "claims_parameter_supported"];
    for unsupported in unsupported {
        assert_eq!(metadata[unsupported], false);
    }
    let has = |member: &str, name: &str| metadata[member].as_array().unwrap().contains(&json!(name));
    assert_eq!(metadata["acr_values_supported"], json!(["urn:tenfold:aal1", "urn:tenfold:aal2"]));
    assert_eq!(metadata["ui_locales_supported"], json!(["en"]));
    for scope in ["openid", "email", "profile", "links:read", "account:read"] {
        assert!(has("scopes_supported", scope), "{scope}");
    }
    for claim in ["sub", "auth_time", "nonce", "at_hash", "email", "email_verified", "name", "updated_at"] {
        assert!(has("claims_supported", claim), "{claim}");
    }
}

#[tokio::test]
async fn the_metadata_are_found_under_the_issuer_where_there_is_a_public_url() {
    let public = "https://api.example.com";
    let with = async |issuer: &str, public_url: &str| {
        let change = |environment: Environment| environment.with("TOKEN_ISSUER", issuer).with("PUBLIC_URL", public_url);
        Instance::with(&auth::SERVICE, "auth.discovery", Clock::system(), change).await
    };
    let path = "/.well-known/oauth-authorization-server";
    let metadata = with(public, public).await.http("GET", path, &[], None).await.expect(200).json();
    assert_eq!(metadata["issuer"], public);
    assert_eq!(metadata["jwks_uri"], format!("{public}/.well-known/jwks.json"));

    let without = with("tenfold", "").await;
    let metadata = without.http("GET", path, &[("host", "short.example")], None).await.expect(200).json();
    assert_eq!(metadata["token_endpoint"], "https://short.example/oauth/token");
    for host in ["", "user@short.example", "a b"] {
        without.http("GET", path, &[("host", host)], None).await.problem(400, "bad-request");
    }
}
