//! The stop of identity: an account from its sign-up to its log-out.

use std::path::Path;

use anyhow::Context as _;
use http::{Method, StatusCode};
use mail_parser::MessageParser;
use serde_json::{Value, json};

use super::{Guide, LOOK, PATIENCE, text};
use crate::loopback;
use crate::request_id;

const PASSWORD: &str = "walnut-harbour-sixteen";

pub(super) async fn walk(guide: &Guide) -> anyhow::Result<()> {
    let email = format!("tour-{}@example.com", request_id::fresh());
    let anyone = async |path: &'static str, body: &Value, status: u16| {
        guide.send(Method::POST, path, Some(body), status, None).await.map(|reply| reply.json())
    };

    anyone("/v1/auth/signup", &json!({"email": email, "password": PASSWORD, "name": "Tour"}), 202).await?;
    guide.note("The answer is the same whether the address has an account or not; the mail tells its owner.");
    let token = token_by_mail(guide, &email).await?;
    guide.note(&format!("The mail in {} has a link.", guide.dev.mail_dir));
    anyone("/v1/auth/email/verify", &json!({ "token": token }), 200).await?;

    let login = anyone("/v1/auth/login", &json!({"email": email, "password": PASSWORD}), 200).await?;
    let seconds = login.pointer("/expires_in").context("the answer has no expires_in")?;
    guide.note(&format!("The access token is good for {seconds} seconds."));
    let first = text(&login, "/refresh_token")?;
    let refreshed = anyone("/v1/auth/refresh", &json!({ "refresh_token": first }), 200).await?;
    let token = text(&refreshed, "/access_token")?;
    guide.note("The refresh token was good once, and has a successor.");

    let sessions = guide.send(Method::GET, "/v1/auth/sessions", None, 200, Some(token)).await?.json();
    guide.note(&format!("The session: {}", sessions.pointer("/data/0").context("there is no session")?));
    guide.send(Method::POST, "/v1/auth/logout", None, 204, Some(token)).await?;
    let successor = text(&refreshed, "/refresh_token")?;
    anyone("/v1/auth/refresh", &json!({ "refresh_token": successor }), 401).await?;
    guide.note("The session is over: its refresh token is good for nothing, and its access token soon is not either.");

    refused_soon(guide, token).await
}

/// Waits until a revoked access token is refused.
async fn refused_soon(guide: &Guide, token: &str) -> anyhow::Result<()> {
    let looking = async {
        loop {
            let reply = loopback::send(Method::GET, &guide.dev.url, "/v1/me", Some(token), None).await?;
            if reply.status == StatusCode::UNAUTHORIZED {
                return anyhow::Ok(());
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    // The bound that docs/security.md states, and some for a slow machine.
    tokio::time::timeout(PATIENCE * 3, looking).await.context("the access token was not refused in time")??;
    guide.note("Now it is refused.");
    Ok(())
}

/// The one-time token in the mail to `email`.
async fn token_by_mail(guide: &Guide, email: &str) -> anyhow::Result<String> {
    let looking = async {
        loop {
            if let Some(token) = token_in(Path::new(&guide.dev.mail_dir), email)? {
                return anyhow::Ok(token);
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::time::timeout(PATIENCE, looking).await.context("the mail did not come in time")?
}

fn token_in(folder: &Path, email: &str) -> anyhow::Result<Option<String>> {
    for entry in std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "eml") {
            continue;
        }
        let bytes = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let Some(mail) = MessageParser::default().parse(&bytes) else { continue };
        let recipient = mail.to().and_then(|to| to.first()).and_then(|to| to.address());
        if recipient != Some(email) {
            continue;
        }
        let text = mail.body_text(0).unwrap_or_default();
        let token = text.split(['=', '#', ' ', '\r', '\n']).find(|word| word.starts_with("tf_ot_"));
        return Ok(token.map(str::to_owned));
    }
    Ok(None)
}
