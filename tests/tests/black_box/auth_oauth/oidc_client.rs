//! An application that signs its users in by somebody else's OpenID Connect client (`tests/oidc_client`): from the issuer's URL
//! alone to an id token that it has verified, what it is told of the user, and the refresh.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use localstack::template::workspace_root;
use serde_json::{Value, json};
use tests::python::{packages, python};
use tests::token::issuer;
use tests::{Account, client};
use url::Url;

use super::applications::{CALLBACK, answered};

/// The application, and what is said to it and by it.
struct Application {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Application {
    fn start(settings: &Value) -> Self {
        let folder = workspace_root().join("tests/oidc_client");
        let packages = packages("oidc-client", &folder.join("requirements.txt"));
        let mut program = Command::new(python());
        program.arg("-I").args([folder.join("client.py"), packages]).arg(settings.to_string());
        // What is on this machine is asked directly.
        program.env("NO_PROXY", "127.0.0.1").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = program.spawn().unwrap();
        let (input, output) = (process.stdin.take().unwrap(), BufReader::new(process.stdout.take().unwrap()));
        Self { process, input, output }
    }

    fn says(&mut self) -> Value {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }

    fn hears(&mut self, what: &str) {
        writeln!(self.input, "{}", json!(what)).unwrap();
    }

    fn ends(mut self) {
        drop(self.input);
        assert!(self.process.wait().unwrap().success());
    }
}

/// What the user's browser and the page do: where the browser is sent back to.
async fn allow(account: &Account, asked: &str) -> String {
    let page = client().get(asked).send().await.unwrap();
    let page = Url::parse(&issuer()).unwrap().join(page.headers()["location"].to_str().unwrap()).unwrap();
    let path = format!("/v1/auth/authorizations/{}", answered(&page, "request").unwrap());
    let decided = account.post(&path, &json!({"decision": "allow"})).await.expect(200).json();
    decided["redirect_to"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_standard_openid_connect_client_signs_a_user_in() {
    let account = Account::new().await;
    let me = account.get("/v1/me").await.expect(200).json();
    // The other one only signs users in, and asks for what is no scope here, as many do.
    for (method, scopes, scope, links) in [
        ("client_secret_basic", json!(["links:*"]), "openid email profile links:read", 200),
        ("none", json!([]), "openid email profile offline_access", 403),
    ] {
        let new = json!({
            "name": "Report Maker", "scopes": scopes, "redirect_uris": [CALLBACK],
            "token_endpoint_auth_method": method,
        });
        let made = account.post("/v1/oauth-clients", &new).await.expect(201).json();
        let mut application = Application::start(&json!({
            "issuer": issuer(), "redirect_uri": CALLBACK, "client_id": made["id"],
            "client_secret": made["client_secret"], "token_endpoint_auth_method": method,
            "scope": scope,
        }));
        let asked = application.says();
        let asked = asked.as_str().unwrap();
        assert!(asked.starts_with(&format!("{}/oauth/authorize?", issuer())), "{asked}");
        application.hears(&allow(&account, asked).await);
        let known = application.says();
        application.ends();

        let told = json!({"sub": account.user_id, "email": account.email, "email_verified": true});
        let asked = Url::parse(asked).unwrap();
        let claims = &known["id_token"];
        assert_eq!((&claims["iss"], &claims["sub"]), (&json!(issuer()), &told["sub"]));
        assert_eq!((&claims["aud"], &claims["nonce"]), (&made["id"], &json!(answered(&asked, "nonce").unwrap())));
        assert!(claims["at_hash"].is_string() && claims["auth_time"].is_i64(), "{claims}");
        for info in [&known["userinfo"], &known["userinfo_after_refresh"]] {
            for (claim, value) in told.as_object().unwrap() {
                assert_eq!(&info[claim], value, "{claim} in {info}");
            }
            assert_eq!(info["name"], me["name"]);
            assert!(info["updated_at"].is_i64(), "{info}");
        }
        assert_eq!(known["scope"], scope.replace(" offline_access", ""));
        assert_eq!(known["links"], links);
    }
}
