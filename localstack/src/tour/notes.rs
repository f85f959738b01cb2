//! The stop of notes.

use anyhow::bail;
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
    guide.call(Method::DELETE, &path, None, 204).await?;
    Ok(())
}
