//! Passkeys, driven by somebody else's client and authenticator.

use async_trait::async_trait;
use auth::SERVICE;
use auth::user::User;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::future::join_all;
use http::StatusCode;
use lambda_runtime::Context;
use passkey::authenticator::{Authenticator, UiHint, UserCheck, UserValidationMethod};
use passkey::client::{Client, DefaultClientData};
use passkey::crypto::rust_crypto::RustCryptoBackend;
use passkey::types::Passkey;
use passkey::types::ctap2::{Aaguid, Ctap2Error};
use serde::Serialize;
use serde_json::{Value, json};
use shared::time::SignedDuration;
use tests::account::{PASSWORD, mail_to};
use tests::{Instance, http_event};
use url::Url;

use crate::own_accounts::network;
use crate::own_auth::{OwnAuth, Person, count};
use crate::own_tenant::accounts;

const ORIGIN: &str = "https://app.example.com";

/// A user who touches the authenticator and is recognised by it, or is not.
#[derive(Clone, Copy)]
struct Touch {
    recognised: bool,
}

#[async_trait]
impl UserValidationMethod for Touch {
    type PasskeyItem = Passkey;

    async fn check_user<'a>(
        &self,
        _hint: UiHint<'a, Passkey>,
        presence: bool,
        _verification: bool,
    ) -> Result<UserCheck, Ctap2Error> {
        Ok(UserCheck { presence, verification: self.recognised })
    }

    fn is_presence_enabled(&self) -> bool {
        true
    }

    fn is_verification_enabled(&self) -> Option<bool> {
        Some(true)
    }
}

/// An authenticator that holds one passkey.
#[derive(Clone, Default)]
struct Device {
    passkey: Option<Passkey>,
    counts: bool,
}

impl Device {
    /// One that counts its uses.
    fn counting() -> Self {
        Self { passkey: None, counts: true }
    }

    fn authenticator(&self, recognised: bool) -> Authenticator<Option<Passkey>, Touch, RustCryptoBackend> {
        let store = self.passkey.clone();
        let mut authenticator = Authenticator::new(Aaguid::new_empty(), store, Touch { recognised }, RustCryptoBackend);
        authenticator.set_make_credentials_with_signature_counter(self.counts);
        authenticator
    }

    /// What a browser at `origin` makes of the options for a new passkey.
    async fn create_at(&mut self, origin: &str, options: &Value) -> Value {
        let mut browser = Client::new(self.authenticator(true)).allows_insecure_localhost(true);
        let request = serde_json::from_value(json!({"publicKey": options})).expect("a browser reads the options");
        let origin = Url::parse(origin).expect("a URL");
        let made = browser.register(&origin, request, DefaultClientData).await.expect("a passkey is made");
        self.passkey.clone_from(browser.authenticator().store());
        as_json(&made)
    }

    /// What a browser at `origin` makes of the options for a passkey that is there.
    async fn get_at(&mut self, origin: &str, options: &Value) -> Value {
        let mut browser = Client::new(self.authenticator(true)).allows_insecure_localhost(true);
        let request = serde_json::from_value(json!({"publicKey": options})).expect("a browser reads the options");
        let origin = Url::parse(origin).expect("a URL");
        let got = browser.authenticate(&origin, request, DefaultClientData).await.expect("the passkey is found");
        self.passkey.clone_from(browser.authenticator().store());
        as_json(&got)
    }

    async fn get(&mut self, options: &Value) -> Value {
        self.get_at(ORIGIN, options).await
    }
}

/// A credential as a browser's `toJSON` writes it: this client writes bytes as lists of numbers.
fn as_json(credential: &impl Serialize) -> Value {
    fn bytes_as_text(value: Value) -> Value {
        match value {
            Value::Array(list) => match serde_json::from_value::<Vec<u8>>(Value::Array(list.clone())) {
                Ok(bytes) => json!(URL_SAFE_NO_PAD.encode(bytes)),
                Err(_) => Value::Array(list),
            },
            Value::Object(members) => members.into_iter().map(|(name, member)| (name, bytes_as_text(member))).collect(),
            other => other,
        }
    }
    bytes_as_text(serde_json::to_value(credential).expect("JSON"))
}

async fn own_auth() -> OwnAuth {
    OwnAuth::with(|environment| environment.with("PASSKEY_ORIGINS", "https://app.example.com")).await
}

/// Registers a passkey of `device`.
async fn register(person: &Person<'_>, device: &mut Device, name: &str) -> Value {
    let begun = person.post("/v1/auth/passkeys/register/begin", &json!({})).await.expect(200).json();
    let credential = device.create_at(ORIGIN, &begun["options"]).await;
    let body = json!({"ticket": begun["ticket"], "credential": credential, "name": name});
    let made = person.post("/v1/auth/passkeys/register/finish", &body).await.expect(201);
    assert_eq!(made.header("location"), format!("/v1/auth/passkeys/{}", made.json()["id"].as_str().unwrap()));
    made.json()
}

/// The body that signs in with the passkey of `device`, as a page at `origin` sends it.
async fn log_in_at(auth: &OwnAuth, origin: &str, device: &mut Device) -> Value {
    let begun = auth.post("/v1/auth/passkeys/login/begin", &json!({})).await.expect(200).json();
    json!({"ticket": begun["ticket"], "credential": device.get_at(origin, &begun["options"]).await})
}

async fn finish(auth: &OwnAuth, body: &Value) -> tests::Answer {
    auth.post("/v1/auth/passkeys/login/finish", body).await
}

#[tokio::test]
async fn a_passkey_signs_in_without_a_name_or_a_password() {
    let auth = own_auth().await;
    let ann = auth.person().await;
    let mut phone = Device::default();
    let made = register(&ann, &mut phone, "Phone").await;
    assert_eq!((&made["name"], &made["backed_up"], &made["blocked"]), (&json!("Phone"), &json!(true), &json!(false)));
    assert_eq!(made["recovery_codes"].as_array().map(Vec::len), Some(10), "{made}");

    let body = log_in_at(&auth, ORIGIN, &mut phone).await;
    let signed_in = finish(&auth, &body).await.expect(200).json();
    let again = Person::of(&auth, &ann.email, &signed_in);
    assert_eq!(again.id, ann.id);
    assert_eq!(again.methods().await, json!(["swk", "user", "mfa"]));
    let listed = again.get("/v1/auth/passkeys").await.expect(200).json();
    assert_eq!(listed["data"][0]["id"], made["id"]);
    assert!(listed["data"][0]["last_used_at"].is_string(), "{listed}");
    assert_eq!(again.get("/v1/me").await.expect(200).json()["passkeys"], 1);

    // Tokens are for a tenant of the user's.
    let mut body = log_in_at(&auth, ORIGIN, &mut phone).await;
    body["tenant_id"] = json!(tests::Tenant::new().await.id);
    finish(&auth, &body).await.problem(403, "forbidden");
    body["tenant_id"] = signed_in["tenant_id"].clone();
    finish(&auth, &body).await.expect(200);
}

/// Where an application of the person's own tenant has its request decided.
async fn asked(auth: &OwnAuth, person: &Person<'_>) -> String {
    let of = async |name| Instance::with(&SERVICE, name, auth.clock.clone(), |environment| environment).await;
    let callback = "https://reports.example/callback";
    let new = json!({"name": "Report Maker", "scopes": ["links:read"], "redirect_uris": [callback]});
    let bearer = format!("Bearer {}", person.access_token);
    let headers = [("authorization", bearer.as_str())];
    let made = of("auth.users").await.http("POST", "/v1/oauth-clients", &headers, Some(&new)).await.expect(201).json();
    let client = made["id"].as_str().expect("an id");
    let query = format!(
        "/oauth/authorize?response_type=code&client_id={client}&redirect_uri={callback}\
         &code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256"
    );
    let mut event = http_event("GET", &query, &[], None);
    event["requestContext"]["http"]["sourceIp"] = json!(network());
    let begun = of("auth.oauth").await.http_in(&event, Context::default()).await.expect(303);
    begun.header("location").replace("/auth/authorize?request=", "/v1/auth/authorizations/")
}

/// By the calls of the page `/auth/authorize`.
#[tokio::test]
async fn a_user_signs_in_by_passkey_alone_and_decides_about_an_application() {
    let auth = own_auth().await;
    let ann = auth.person().await;
    let mut phone = Device::default();
    register(&ann, &mut phone, "Phone").await;
    let path = asked(&auth, &ann).await;
    let body = log_in_at(&auth, ORIGIN, &mut phone).await;
    let by_passkey = Person::of(&auth, &ann.email, &finish(&auth, &body).await.expect(200).json());
    assert_eq!(by_passkey.get(&path).await.expect(200).json()["client"]["name"], "Report Maker");
    let decided = by_passkey.post(&path, &json!({"decision": "allow"})).await.expect(200).json();
    assert!(decided["redirect_to"].as_str().is_some_and(|to| to.contains("code=tf_ot_")), "{decided}");
    by_passkey.post("/v1/auth/logout", &json!({})).await.expect(204);
}

#[tokio::test]
async fn of_parallel_finishes_of_a_ceremony_one_wins() {
    let auth = own_auth().await;
    let ann = auth.person().await;
    let mut phone = Device::default();
    let begun = ann.post("/v1/auth/passkeys/register/begin", &json!({})).await.expect(200).json();
    let credential = phone.create_at(ORIGIN, &begun["options"]).await;
    let body = json!({"ticket": begun["ticket"], "credential": credential});
    let answers = join_all((0..4).map(|_| ann.post("/v1/auth/passkeys/register/finish", &body))).await;
    assert_eq!(count(&answers, StatusCode::CREATED), 1, "{answers:?}");
    assert_eq!(ann.get("/v1/me").await.expect(200).json()["passkeys"], 1);

    let body = log_in_at(&auth, ORIGIN, &mut phone).await;
    let answers = join_all((0..4).map(|_| finish(&auth, &body))).await;
    assert_eq!(count(&answers, StatusCode::OK), 1, "{answers:?}");
}

#[tokio::test]
async fn the_only_way_to_sign_in_is_not_removed_and_an_unproved_address_gives_no_access() {
    let auth = own_auth().await;
    let mut ann = auth.person().await;
    let mut phone = Device::default();
    let id = register(&ann, &mut phone, "Phone").await["id"].as_str().unwrap().to_owned();
    // As for somebody who came by an invitation or a provider: there is no password.
    let accounts = accounts();
    let user = accounts.user(&ann.id.parse().unwrap()).await.unwrap().unwrap();
    let user = User { password: None, ..user }.changed(auth.clock.now());
    accounts.update_user(&user, None, Vec::new()).await.unwrap();
    ann.step_up(&passkey_step_up(&ann, &mut phone).await).await;
    ann.delete(&format!("/v1/auth/passkeys/{id}")).await.problem(409, "conflict");
    register(&ann, &mut Device::default(), "Key").await;
    ann.delete(&format!("/v1/auth/passkeys/{id}")).await.expect(204);

    let mut ben = Device::default();
    let bens = auth.person().await;
    register(&bens, &mut ben, "Phone").await;
    let user = accounts.user(&bens.id.parse().unwrap()).await.unwrap().unwrap();
    let user = User { email_verified_at: None, ..user }.changed(auth.clock.now());
    accounts.update_user(&user, None, Vec::new()).await.unwrap();
    let body = log_in_at(&auth, ORIGIN, &mut ben).await;
    finish(&auth, &body).await.problem(403, "email-not-verified");
}

#[tokio::test]
async fn an_answer_of_an_authenticator_works_once() {
    let auth = own_auth().await;
    let ann = auth.person().await;
    let mut phone = Device::default();
    let begun = ann.post("/v1/auth/passkeys/register/begin", &json!({})).await.expect(200).json();
    let mut credential = phone.create_at(ORIGIN, &begun["options"]).await;
    // What a browser does not send costs no room.
    credential["response"]["transports"] = json!(vec!["usb"; 50_000]);
    let body = json!({"ticket": begun["ticket"], "credential": credential});
    ann.post("/v1/auth/passkeys/register/finish", &body).await.expect(201);
    let mut ann = ann;
    ann.step_up(&passkey_step_up(&ann, &mut phone).await).await;
    ann.post("/v1/auth/passkeys/register/finish", &body).await.problem(400, "invalid-one-time-token");

    let body = log_in_at(&auth, ORIGIN, &mut phone).await;
    let answers = [finish(&auth, &body).await, finish(&auth, &body).await];
    assert_eq!(count(&answers, StatusCode::OK), 1);
    // With the ticket of other options its challenge is wrong.
    let other = auth.post("/v1/auth/passkeys/login/begin", &json!({})).await.expect(200).json();
    let replayed = json!({"ticket": other["ticket"], "credential": body["credential"]});
    finish(&auth, &replayed).await.problem(401, "invalid-credentials");
    // The options of ten minutes ago are void.
    let late = log_in_at(&auth, ORIGIN, &mut phone).await;
    auth.wait(SignedDuration::from_mins(10));
    finish(&auth, &late).await.problem(400, "invalid-one-time-token");
}

#[tokio::test]
async fn a_page_of_another_origin_can_use_no_passkey() {
    let auth = own_auth().await;
    let ann = auth.person().await;
    let mut phone = Device::default();
    let begun = ann.post("/v1/auth/passkeys/register/begin", &json!({})).await.expect(200).json();
    // A page below the same host, to which a browser lets the passkey.
    let credential = phone.create_at("https://forum.app.example.com", &begun["options"]).await;
    let body = json!({"ticket": begun["ticket"], "credential": credential});
    let problem = ann.post("/v1/auth/passkeys/register/finish", &body).await.problem(422, "validation");
    assert_eq!(problem["errors"][0]["pointer"], "/credential");

    register(&ann, &mut phone, "Phone").await;
    for origin in ["https://forum.app.example.com", "https://app.example.com:8443"] {
        let body = log_in_at(&auth, origin, &mut phone).await;
        finish(&auth, &body).await.problem(401, "invalid-credentials");
    }
    let body = log_in_at(&auth, ORIGIN, &mut phone).await;
    finish(&auth, &body).await.expect(200);
}

#[tokio::test]
async fn a_passkey_signs_its_own_user_in_and_no_other() {
    let auth = own_auth().await;
    let (ann, ben) = (auth.person().await, auth.person().await);
    let (mut phone, mut laptop) = (Device::default(), Device::default());
    register(&ann, &mut phone, "Phone").await;
    register(&ben, &mut laptop, "Laptop").await;

    // Ben's passkey under Ann's name, and the other way round.
    let anns = log_in_at(&auth, ORIGIN, &mut phone).await;
    let mut mixed = log_in_at(&auth, ORIGIN, &mut laptop).await;
    mixed["credential"]["response"]["userHandle"] = anns["credential"]["response"]["userHandle"].clone();
    finish(&auth, &mixed).await.problem(401, "invalid-credentials");
    mixed["credential"]["response"]["userHandle"] = Value::Null;
    finish(&auth, &mixed).await.problem(401, "invalid-credentials");
    // Nor is it Ann's second factor, by her ticket or by Ben's.
    let ticket = ann.second_factor_ticket().await;
    let begun = auth.post("/v1/auth/second-factor/passkey", &json!({"ticket": ticket})).await.expect(200).json();
    let mut any = begun["options"].clone();
    any["allowCredentials"] = json!([]);
    let bens = json!({"ticket": begun["ticket"], "credential": laptop.get(&any).await});
    let body = json!({"ticket": ticket, "passkey": bens});
    auth.post("/v1/auth/second-factor", &body).await.problem(401, "invalid-credentials");
    let his = ben.second_factor_ticket().await;
    let body = json!({"ticket": his, "passkey": bens});
    auth.post("/v1/auth/second-factor", &body).await.problem(401, "invalid-credentials");

    // What was registered by one is not taken from another, nor by another's ticket.
    let mut ben = ben;
    ben.step_up(&passkey_step_up(&ben, &mut laptop).await).await;
    let mut ann = ann;
    ann.step_up(&passkey_step_up(&ann, &mut phone).await).await;
    let begun = ann.post("/v1/auth/passkeys/register/begin", &json!({})).await.expect(200).json();
    let credential = Device::default().create_at(ORIGIN, &begun["options"]).await;
    let body = json!({"ticket": begun["ticket"], "credential": credential});
    ben.post("/v1/auth/passkeys/register/finish", &body).await.problem(400, "invalid-one-time-token");
    // And nobody sees another's.
    let id = ann.get("/v1/auth/passkeys").await.json()["data"][0]["id"].as_str().unwrap().to_owned();
    ben.get(&format!("/v1/auth/passkeys/{id}")).await.problem(404, "not-found");
    ben.delete(&format!("/v1/auth/passkeys/{id}")).await.problem(404, "not-found");
}

#[tokio::test]
async fn a_copy_of_a_passkey_is_found_out_by_its_counter() {
    let auth = own_auth().await;
    let ann = auth.person().await;
    let mut token = Device::counting();
    let id = register(&ann, &mut token, "Token").await["id"].as_str().unwrap().to_owned();
    assert!(mail_to(&ann.email, "second factors").await.text.contains("Added: passkey called Token"));
    let mut copy = token.clone();
    for _ in 0..2 {
        let body = log_in_at(&auth, ORIGIN, &mut token).await;
        finish(&auth, &body).await.expect(200);
    }
    let body = log_in_at(&auth, ORIGIN, &mut copy).await;
    finish(&auth, &body).await.problem(401, "invalid-credentials");
    let seen = ann.get(&format!("/v1/auth/passkeys/{id}")).await.expect(200).json();
    assert_eq!(seen["blocked"], true, "{seen}");
    assert!(ann.audit().await.contains(&format!("factor.passkey_clone_suspected {id}")));
    let mail = mail_to(&ann.email, "second factors").await;
    assert!(mail.text.contains("Blocked, as there may be a copy of it: passkey called Token"), "{}", mail.text);
    // Nobody can tell which of the two is the thief's: neither is let in.
    let body = log_in_at(&auth, ORIGIN, &mut token).await;
    finish(&auth, &body).await.problem(401, "invalid-credentials");
    // It counts as a second factor, so that cloning it gets rid of none.
    let ticket = ann.second_factor_ticket().await;
    auth.post("/v1/auth/second-factor/passkey", &json!({"ticket": ticket})).await.problem(409, "conflict");
}

#[tokio::test]
async fn an_authenticator_that_does_not_recognise_its_user_proves_nobody() {
    let auth = own_auth().await;
    let ann = auth.person().await;
    let mut phone = Device::default();
    register(&ann, &mut phone, "Phone").await;
    let begun = auth.post("/v1/auth/passkeys/login/begin", &json!({})).await.expect(200).json();
    let mut options = begun["options"].clone();
    options["userVerification"] = json!("discouraged");
    let mut browser = Client::new(phone.authenticator(false));
    let request = serde_json::from_value(json!({"publicKey": options})).unwrap();
    let got = browser.authenticate(&Url::parse(ORIGIN).unwrap(), request, DefaultClientData).await;
    let body = json!({"ticket": begun["ticket"], "credential": as_json(&got.expect("it is only touched"))});
    finish(&auth, &body).await.problem(401, "invalid-credentials");
}

/// The body of a step-up with the passkey of `device`.
async fn passkey_step_up(person: &Person<'_>, device: &mut Device) -> Value {
    let begun = person.post("/v1/auth/step-up/passkey", &json!({})).await.expect(200).json();
    json!({"passkey": {"ticket": begun["ticket"], "credential": device.get(&begun["options"]).await}})
}

#[tokio::test]
async fn a_passkey_is_a_second_factor_and_proves_its_user_again() {
    let auth = own_auth().await;
    let mut ann = auth.person().await;
    let mut phone = Device::default();
    let setting_up = Person::of(&auth, &ann.email, &auth.log_in(&ann.email).await.expect(200).json());
    register(&setting_up, &mut phone, "Phone").await;
    assert_eq!(setting_up.methods().await, json!(["pwd", "swk", "user", "mfa"]));
    let asked = auth.log_in(&ann.email).await.expect(200).json();
    assert_eq!(asked["factors"], json!(["passkey", "recovery_code"]), "{asked}");
    let ticket = asked["ticket"].clone();
    let begun = auth.post("/v1/auth/second-factor/passkey", &json!({"ticket": ticket})).await.expect(200).json();
    assert_eq!(begun["options"]["allowCredentials"].as_array().map(Vec::len), Some(1), "{begun}");
    let proof = json!({"ticket": begun["ticket"], "credential": phone.get(&begun["options"]).await});
    // A ticket for signing in is none for a second factor.
    let other = log_in_at(&auth, ORIGIN, &mut phone).await;
    let wrong = json!({"ticket": ticket, "passkey": other});
    auth.post("/v1/auth/second-factor", &wrong).await.problem(400, "invalid-one-time-token");
    let body = json!({"ticket": ticket, "passkey": proof});
    let signed_in = auth.post("/v1/auth/second-factor", &body).await.expect(200).json();
    let again = Person::of(&auth, &ann.email, &signed_in);
    assert_eq!(again.methods().await, json!(["pwd", "swk", "user", "mfa"]));

    // The session that was begun with the password alone is stepped up with the passkey alone: it is both factors.
    ann.post("/v1/auth/passkeys/register/begin", &json!({})).await.problem(401, "step-up-required");
    ann.step_up(&passkey_step_up(&ann, &mut phone).await).await;
    register(&ann, &mut Device::default(), "Key").await;
}

#[tokio::test]
async fn passkeys_are_renamed_and_removed_and_the_last_factor_takes_the_recovery_codes_along() {
    let auth = own_auth().await;
    let mut ann = auth.person().await;
    let mut phone = Device::default();
    let setting_up = Person::of(&auth, &ann.email, &auth.log_in(&ann.email).await.expect(200).json());
    let id = register(&setting_up, &mut phone, "Phone").await["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/auth/passkeys/{id}");
    let read = ann.get(&path).await.expect(200);
    let renamed = ann.patch(&path, &json!({"name": "Old phone"})).await.expect(200);
    assert_eq!(renamed.json()["name"], "Old phone");
    assert_ne!(renamed.header("etag"), read.header("etag"));
    assert_eq!(ann.patch(&path, &json!({"name": null})).await.expect(200).json()["name"], Value::Null);
    ann.patch(&path, &json!({"name": "a\nb"})).await.problem(422, "validation");
    ann.patch(&path, &json!({"blocked": false})).await.problem(422, "validation");

    ann.delete(&path).await.problem(401, "step-up-required");
    ann.step_up(&passkey_step_up(&ann, &mut phone).await).await;
    ann.delete_if(&path, read.header("etag")).await.problem(412, "precondition-failed");
    ann.delete_if(&path, ann.get(&path).await.header("etag")).await.expect(204);
    ann.delete(&path).await.problem(404, "not-found");
    let body = log_in_at(&auth, ORIGIN, &mut phone).await;
    finish(&auth, &body).await.problem(401, "invalid-credentials");
    ann.get("/v1/auth/factors/recovery-codes").await.problem(404, "not-found");
    Person::of(&auth, &ann.email, &auth.log_in(&ann.email).await.expect(200).json());
}

#[tokio::test]
async fn a_user_has_ten_passkeys_at_most() {
    let auth = own_auth().await;
    let mut ann = auth.person().await;
    let mut first = Device::default();
    register(&ann, &mut first, "0").await;
    ann.step_up(&passkey_step_up(&ann, &mut first).await).await;
    // Begun in time for the tenth, and finished as the eleventh.
    let begun = ann.post("/v1/auth/passkeys/register/begin", &json!({})).await.expect(200).json();
    for number in 1..10 {
        // Their ids are in the order of time.
        auth.wait(SignedDuration::from_millis(1));
        let made = register(&ann, &mut Device::default(), &number.to_string()).await;
        assert!(made.get("recovery_codes").is_none(), "only the first factor brings them: {made}");
    }
    let listed = ann.get("/v1/auth/passkeys").await.expect(200).json();
    let names: Vec<_> = listed["data"].as_array().unwrap().iter().map(|passkey| passkey["name"].clone()).collect();
    assert_eq!(names, (0..10).map(|number| json!(number.to_string())).collect::<Vec<_>>());
    ann.post("/v1/auth/passkeys/register/begin", &json!({})).await.problem(409, "conflict");
    let credential = Device::default().create_at(ORIGIN, &begun["options"]).await;
    let body = json!({"ticket": begun["ticket"], "credential": credential});
    ann.post("/v1/auth/passkeys/register/finish", &body).await.problem(409, "conflict");
}

#[tokio::test]
async fn options_tell_the_authenticator_which_passkeys_are_there() {
    let auth = own_auth().await;
    let mut ann = auth.person().await;
    let mut phone = Device::default();
    register(&ann, &mut phone, "Phone").await;
    ann.step_up(&passkey_step_up(&ann, &mut phone).await).await;
    let begun = ann.post("/v1/auth/passkeys/register/begin", &json!({})).await.expect(200).json();
    let options = &begun["options"];
    assert_eq!(options["excludeCredentials"].as_array().map(Vec::len), Some(1), "{options}");
    assert_eq!(options["rp"], json!({"id": "app.example.com", "name": "Tenfold"}));
    assert_eq!(options["user"]["name"], ann.email);
    assert_eq!(options["authenticatorSelection"]["residentKey"], "required");
    assert_eq!(options["authenticatorSelection"]["userVerification"], "required");
}

#[tokio::test]
async fn without_an_origin_there_are_no_passkeys_and_on_this_machine_it_is_localhost() {
    let auth = OwnAuth::with(|environment| environment.with("PUBLIC_URL", "")).await;
    let problem = auth.post("/v1/auth/passkeys/login/begin", &json!({})).await.problem(404, "not-found");
    assert!(problem["detail"].as_str().unwrap().contains("PASSKEY_ORIGINS"), "{problem}");

    let local = OwnAuth::new().await;
    let ann = local.person().await;
    let begun = ann.post("/v1/auth/passkeys/register/begin", &json!({})).await.expect(200).json();
    let mut phone = Device::default();
    let credential = phone.create_at("http://localhost:3000", &begun["options"]).await;
    let body = json!({"ticket": begun["ticket"], "credential": credential});
    ann.post("/v1/auth/passkeys/register/finish", &body).await.expect(201);
    let body = log_in_at(&local, "http://localhost:9000", &mut phone).await;
    finish(&local, &body).await.expect(200);
    // A passkey is enough for who has a password, too.
    let asked = local.post("/v1/auth/login", &json!({"email": ann.email, "password": PASSWORD})).await.expect(200);
    assert_eq!(asked.json()["status"], "second_factor_required");
}
