//! The stop of notes.

use anyhow::{Context as _, bail};
use http::Method;
use serde_json::{Value, json};

use super::{Guide, text};

pub(super) async fn walk(guide: &Guide) -> anyhow::Result<()> {
    let list = json!({"title": "Groceries", "content": "- milk\n- bread\n", "tags": ["tour"], "due_at": "2999-01-01T00:00:00Z"});
    let made = guide.call(Method::POST, "/v2/notes", Some(&list), 201).await?.json();
    let path = format!("/v2/notes/{}", text(&made, "/id")?);
    for content in ["- milk\n- bread\n- salt\n", "- cake\n"] {
        guide.call(Method::PATCH, &path, Some(&json!({ "content": content })), 200).await?;
    }
    let diff = guide.call(Method::GET, &format!("{path}/revisions/3/diff?from=1"), None, 200).await?.json();
    guide.note(&format!("What the two edits changed:\n{}", text(&diff, "/diff")?));
    let undone = guide.call(Method::POST, &format!("{path}/revisions/1/restore"), None, 200).await?.json();
    if undone.pointer("/content") != made.pointer("/content") {
        bail!("the note is not what it was: {undone}");
    }
    guide.note("It is as it was, as a version of its own: nothing is lost.");
    let found = guide.call(Method::GET, "/v2/notes?tags_any=tour&text=BREAD", None, 200).await?.json();
    guide.note(&format!("Found by its tag and a word: {}", found.pointer("/data/0/title").unwrap_or(&Value::Null)));
    older(guide, &path).await?;
    guide.call(Method::DELETE, &path, None, 204).await?;
    Ok(())
}

/// The same note as a client of version 1 sees it.
async fn older(guide: &Guide, path: &str) -> anyhow::Result<()> {
    let reply = guide.call(Method::GET, &path.replace("/v2/", "/v1/"), None, 200).await?;
    let note = reply.json();
    let (body, tags) = (text(&note, "/body")?, text(&note, "/tags")?);
    guide.note(&format!(
        "In version 1 it has a body, its tags are one text ({tags}), and its times are seconds: {}",
        note.pointer("/due_at").unwrap_or(&Value::Null)
    ));
    for name in ["deprecation", "sunset", "link"] {
        let value = reply.header(name).with_context(|| format!("the answer has no {name}"))?;
        guide.note(&format!("{name}: {value}"));
    }
    let edit = json!({"body": format!("{body}- tea\n")});
    let asked = json!({"method": "PATCH", "path": path.replace("/v2/", "/v1/"), "body": edit});
    let preview = guide.call(Method::POST, "/v1/versions/preview", Some(&asked), 200).await?.json();
    guide.note(&format!("Version 2 would be asked: {}", preview.pointer("/request/v2").unwrap_or(&Value::Null)));
    let uses = |usage: &Value| usage.pointer("/clients/0/uses/0/requests").and_then(Value::as_u64);
    let usage = guide.watch("/v1/versions/usage", |usage| uses(usage) > Some(0)).await?;
    guide
        .note(&format!("Who still uses version 1 is counted: {}", usage.pointer("/clients/0").unwrap_or(&Value::Null)));
    Ok(())
}
