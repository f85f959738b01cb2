//! The URL shortener's stop.

use anyhow::{Context as _, bail};
use http::Method;
use serde_json::{Value, json};

use super::{Guide, text};

const TARGET: &str = "https://example.com/";

pub(super) async fn walk(guide: &Guide) -> anyhow::Result<()> {
    let made = guide.call(Method::POST, "/v2/links", Some(&json!({ "target": TARGET })), 201).await?.json();
    let (id, slug) = (text(&made, "/id")?, text(&made, "/slug")?);
    guide.note(&format!("The link {id} has the slug {slug}."));

    let followed = guide.visit(&format!("/l/{slug}"), 302).await?;
    let location = followed.header("location").context("the redirect has no Location")?;
    if location != TARGET {
        bail!("the redirect leads to {location}, not to {TARGET}");
    }
    guide.note(&format!("It leads to {location}."));

    let clicks = |stats: &Value| stats.pointer("/total/clicks").and_then(Value::as_u64);
    let stats = guide.watch(&format!("/v2/links/{id}/stats"), |stats| clicks(stats) == Some(1)).await?;
    guide.note(&format!("The click is counted: {}", stats.pointer("/total").unwrap_or(&Value::Null)));
    Ok(())
}
