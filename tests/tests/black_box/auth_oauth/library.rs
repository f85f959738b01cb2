//! The answers, as a standard client library understands them.

use oauth2::basic::BasicClient;
use oauth2::{
    AccessToken, AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, HttpRequest, HttpResponse,
    IntrospectionUrl, PkceCodeChallenge, RedirectUrl, Scope, TokenIntrospectionResponse as _, TokenResponse as _,
    TokenUrl,
};
use serde_json::json;
use tests::{Account, Tenant, client, stack};
use url::Url;

use super::applications::{CALLBACK, answered};
use crate::own_oauth::{FORM, encoded};

/// The transport that the standard client library is given.
async fn transport(request: HttpRequest) -> Result<HttpResponse, oauth2::HttpClientError<reqwest::Error>> {
    let boxed = |error: reqwest::Error| oauth2::HttpClientError::<reqwest::Error>::Other(error.to_string());
    let response = client().execute(request.try_into().map_err(boxed)?).await.map_err(boxed)?;
    let (status, headers) = (response.status(), response.headers().clone());
    let mut answer = HttpResponse::new(response.bytes().await.map_err(boxed)?.to_vec());
    (*answer.status_mut(), *answer.headers_mut()) = (status, headers);
    Ok(answer)
}

#[tokio::test]
async fn a_standard_client_library_understands_the_answers() {
    let tenant = Tenant::new().await;
    let made =
        tenant.post("/v1/oauth-clients", &json!({"name": "test", "scopes": ["links:*"]})).await.expect(201).json();
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    let url = |path: &str| format!("{}{path}", stack().url());
    let machine = BasicClient::new(ClientId::new(text("id")))
        .set_client_secret(ClientSecret::new(text("client_secret")))
        .set_token_uri(TokenUrl::new(url("/oauth/token")).unwrap())
        .set_introspection_url(IntrospectionUrl::new(url("/oauth/introspect")).unwrap());
    let scope = Scope::new("links:read".to_owned());
    let token = machine.exchange_client_credentials().add_scope(scope.clone()).request_async(&transport).await.unwrap();
    assert_eq!((token.scopes(), token.expires_in().unwrap().as_secs()), (Some(&vec![scope]), 600));
    client()
        .get(url("/v1/links"))
        .bearer_auth(token.access_token().secret())
        .send()
        .await
        .unwrap()
        .error_for_status()
        .unwrap();

    let told = machine.introspect(token.access_token()).request_async(&transport).await.unwrap();
    assert!(told.active() && told.client_id().unwrap().as_str() == text("id") && told.exp().is_some());
    let told = machine.introspect(&AccessToken::new("nonsense".to_owned())).request_async(&transport).await.unwrap();
    assert!(!told.active());
    let wrong = machine.exchange_client_credentials().add_scope(Scope::new("users:manage".to_owned()));
    let refused = wrong.request_async(&transport).await.unwrap_err();
    assert!(matches!(
        &refused,
        oauth2::RequestTokenError::ServerResponse(answer)
            if *answer.error() == oauth2::basic::BasicErrorResponseType::InvalidScope
    ));

    // A user's session, by a public client.
    let account = Account::new().await;
    let public = BasicClient::new(ClientId::new("tenfold".to_owned()))
        .set_token_uri(TokenUrl::new(url("/oauth/token")).unwrap());
    let refresh = oauth2::RefreshToken::new(account.refresh_token.clone());
    let tokens = public.exchange_refresh_token(&refresh).request_async(&transport).await.unwrap();
    let next = tokens.refresh_token().unwrap().clone();
    // The library sends a revocation over https alone: this is what it would send.
    let form = [("token", next.secret().as_str()), ("token_type_hint", "refresh_token")];
    let answer = client().post(url("/oauth/revoke")).header("content-type", FORM).body(encoded(&form)).send().await;
    assert_eq!(answer.unwrap().status(), 200);
    let over = public.exchange_refresh_token(&next).request_async(&transport).await.unwrap_err();
    assert!(matches!(
        &over,
        oauth2::RequestTokenError::ServerResponse(answer)
            if *answer.error() == oauth2::basic::BasicErrorResponseType::InvalidGrant
    ));
}

#[tokio::test]
async fn a_standard_client_library_gets_a_user_to_let_it_in() {
    let account = Account::new().await;
    let new = json!({
        "name": "test", "scopes": ["links:*"], "redirect_uris": [CALLBACK], "token_endpoint_auth_method": "none",
    });
    let made = account.post("/v1/oauth-clients", &new).await.expect(201).json();
    let url = |path: &str| format!("{}{path}", stack().url());
    let public = BasicClient::new(ClientId::new(made["id"].as_str().unwrap().to_owned()))
        .set_auth_uri(AuthUrl::new(url("/oauth/authorize")).unwrap())
        .set_token_uri(TokenUrl::new(url("/oauth/token")).unwrap())
        .set_redirect_uri(RedirectUrl::new(CALLBACK.to_owned()).unwrap());
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let scope = Scope::new("links:read".to_owned());
    let (asked, state) =
        public.authorize_url(CsrfToken::new_random).add_scope(scope.clone()).set_pkce_challenge(challenge).url();
    // The browser, and what its page does.
    let page = client().get(asked).send().await.unwrap();
    let page = Url::parse(&url("/")).unwrap().join(page.headers()["location"].to_str().unwrap()).unwrap();
    assert_eq!(page.path(), "/auth/authorize");
    let shown = client().get(page.clone()).send().await.unwrap().error_for_status().unwrap();
    assert_eq!(shown.headers()["x-frame-options"], "DENY");
    let policy = shown.headers()["content-security-policy"].to_str().unwrap().to_owned();
    for part in
        ["default-src 'none'", "script-src 'sha256-", "connect-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"]
    {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe"));
    let path = format!("/v1/auth/authorizations/{}", answered(&page, "request").unwrap());
    let decided = account.post(&path, &json!({"decision": "allow"})).await.expect(200).json();
    let back = Url::parse(decided["redirect_to"].as_str().unwrap()).unwrap();
    assert_eq!(&answered(&back, "state").unwrap(), state.secret());
    let code = AuthorizationCode::new(answered(&back, "code").unwrap());
    let tokens = public.exchange_code(code).set_pkce_verifier(verifier).request_async(&transport).await.unwrap();
    assert_eq!(tokens.scopes(), Some(&vec![scope]));
    let next = public.exchange_refresh_token(tokens.refresh_token().unwrap()).request_async(&transport).await.unwrap();
    let links = client().get(url("/v1/links")).bearer_auth(next.access_token().secret()).send().await.unwrap();
    links.error_for_status().unwrap();
}
