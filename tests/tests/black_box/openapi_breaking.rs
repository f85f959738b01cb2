//! What clients were promised: the documents of the last release, in `docs/openapi/released/`. A difference that breaks a
//! client is declared in `docs/openapi/declared.json`, with its reason.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use localstack::template::workspace_root;
use serde::Deserialize;
use serde_json::{Value, json};
use tests::openapi::breaking::differences;

/// A difference that is meant.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Declared {
    difference: String,
    reason: String,
}

fn folder() -> PathBuf {
    workspace_root().join("docs").join("openapi")
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// The declared differences, by document.
fn declared() -> BTreeMap<String, Vec<Declared>> {
    serde_json::from_value(read(&folder().join("declared.json"))).unwrap()
}

/// The documents of a folder, by the name of their version.
fn documents(folder: &Path) -> BTreeMap<String, Value> {
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let documents = files.filter(|path| path.is_file() && !path.ends_with("declared.json"));
    documents.map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), read(&path))).collect()
}

#[test]
fn what_clients_were_promised_is_kept_or_declared() {
    let (present, released, mut declared) = (documents(&folder()), documents(&folder().join("released")), declared());
    assert!(!present.is_empty());
    assert!(
        present.keys().eq(released.keys()),
        "each document of docs/openapi has a released one: there are {:?}, and released are {:?}. A new version is copied \
         to docs/openapi/released; of one that has ended, both are taken away",
        present.keys(),
        released.keys()
    );
    for (version, old) in &released {
        let meant = declared.remove(version).unwrap_or_default();
        assert!(meant.iter().all(|entry| !entry.reason.trim().is_empty()), "{version}: a declaration has no reason");
        let meant: BTreeSet<_> = meant.into_iter().map(|entry| entry.difference).collect();
        let found = differences(old, &present[version]);
        let undeclared: Vec<_> = found.difference(&meant).collect();
        assert!(
            undeclared.is_empty(),
            "docs/openapi/{version}.json breaks clients of the last release:\n{undeclared:#?}\n\
             Keep what was promised, or declare it: see docs/adding-an-endpoint.md"
        );
        let stale: Vec<_> = meant.difference(&found).collect();
        assert!(stale.is_empty(), "docs/openapi/declared.json, {version}: these are no differences: {stale:#?}");
    }
    assert!(declared.is_empty(), "docs/openapi/declared.json: there is no document of {:?}", declared.keys());
}

/// A document of the code with one part changed; null removes it.
fn changed(document: &Value, pointer: &str, value: &Value) -> Value {
    let mut document = document.clone();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = document.pointer_mut(parent).unwrap_or_else(|| panic!("there is no {pointer}"));
    match parent {
        Value::Array(elements) if value.is_null() => drop(elements.remove(name.parse().unwrap())),
        Value::Object(members) if value.is_null() => drop(members.remove(&name.replace("~1", "/")).unwrap()),
        Value::Array(elements) => elements.push(value.clone()),
        parent => parent[name] = value.clone(),
    }
    document
}

#[test]
fn a_deliberate_breakage_of_the_documents_is_found() {
    let document = read(&folder().join("v1.json"));
    let keys = "/paths/~1v1~1api-keys";
    let schemas = "/components/schemas";
    for (pointer, value, difference) in [
        (keys.to_owned(), json!(null), "POST /v1/api-keys: is removed"),
        (format!("{keys}/post"), json!(null), "POST /v1/api-keys: is removed"),
        (format!("{keys}/get/parameters/0"), json!(null), "GET /v1/api-keys ?limit: is not taken any more"),
        (format!("{schemas}/ApiKeyView/properties/prefix"), json!(null), "answer ApiKeyView/prefix: is removed"),
        (format!("{schemas}/ApiKeyView/properties/credits"), json!(null), "answer ApiKeyView/credits: is removed"),
        (
            format!("{schemas}/ApiKeyView/properties/prefix/type"),
            json!(["string", "null"]),
            "answer ApiKeyView/prefix: was string, is null or string",
        ),
        (format!("{schemas}/NewApiKey/required/-"), json!("mode"), "request NewApiKey/mode: is required now"),
        (
            format!("{schemas}/Rotation/properties/overlap_seconds/type"),
            json!("string"),
            "request Rotation/overlap_seconds: was integer, is string",
        ),
        (
            format!("{schemas}/SignUpPolicy/enum"),
            json!(["open"]),
            r#"request SignUpPolicy: "closed" is not taken any more"#,
        ),
    ] {
        let found = differences(&document, &changed(&document, &pointer, &value));
        assert!(found.contains(difference), "{pointer}: {found:#?}");
    }
}

#[test]
fn no_operation_and_no_schema_escapes_the_comparison() {
    for (version, document) in documents(&folder()) {
        assert!(differences(&document, &document).is_empty(), "{version}");
        let nothing = json!({"paths": {}});
        let operations = document["paths"].as_object().unwrap().values().map(|item| item.as_object().unwrap().len());
        assert_eq!(differences(&document, &nothing).len(), operations.sum::<usize>(), "{version}");
        // Each schema had a property that it has not any more.
        let mut before = document.clone();
        let mut properties = Vec::new();
        for (name, schema) in before["components"]["schemas"].as_object_mut().unwrap() {
            if let Some(had) = schema.get_mut("properties").and_then(Value::as_object_mut) {
                properties.push(format!("had_by_{name}"));
                had.insert(format!("had_by_{name}"), json!({}));
            }
        }
        let found = differences(&before, &document);
        let is_told = |name: &String| found.iter().any(|line| line.ends_with(&format!("/{name}: is removed")));
        properties.retain(|name| !is_told(name));
        assert!(properties.is_empty(), "{version}: no operation has the schemas of {properties:#?}");
    }
}
