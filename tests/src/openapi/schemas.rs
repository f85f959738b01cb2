//! What the derived schemas say wrongly, put right: an answer with the members of a request's schema, and merge patches.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

const SCHEMAS: &str = "#/components/schemas/";

/// A schema of several parts of which one has no further members (it is that of a request, too) allows no value at all:
/// the parts become one.
pub(super) fn unite(schemas: &mut Map<String, Value>) {
    let known = schemas.clone();
    for schema in schemas.values_mut() {
        let Some(parts) = schema["allOf"].as_array() else { continue };
        let parts: Vec<_> = parts.iter().map(|part| resolved(&known, part)).collect();
        if parts.iter().all(|part| part["additionalProperties"] != false) {
            continue;
        }
        let (mut properties, mut required) = (Map::new(), Vec::new());
        for part in parts {
            properties.extend(part["properties"].as_object().cloned().unwrap_or_default());
            required.extend(part["required"].as_array().cloned().unwrap_or_default());
        }
        if let Some(members) = schema.as_object_mut() {
            members.remove("allOf");
            members.extend([
                ("type".to_owned(), json!("object")),
                ("properties".to_owned(), properties.into()),
                ("required".to_owned(), required.into()),
            ]);
        }
    }
}

/// Describes the bodies of merge patches: what is described is what they are applied to, of which they need to have
/// nothing, and null removes what need not be there. These schemas are called as what they edit, with `Edit`.
pub(super) fn describe_patches(document: &mut Value) {
    let mut edits = Edits { known: schemas(document), made: Map::new() };
    for operation in
        document["paths"].as_object_mut().into_iter().flatten().filter_map(|(_, item)| item.get_mut("patch"))
    {
        let schema = &mut operation["requestBody"]["content"]["application/merge-patch+json"]["schema"];
        if let Some(name) = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix(SCHEMAS)) {
            *schema = reference(&edits.of(name));
        }
    }
    if let Some(schemas) = document["components"]["schemas"].as_object_mut() {
        schemas.extend(edits.made);
    }
}

/// What has no member that must be there by itself, and yet one of them: a body that lacks all is refused.
const ONE_OF_THEM: [&str; 2] = ["verify_email", "step_up"];

/// A POST whose body has no member that must be there may come without a body.
pub(super) fn describe_optional_bodies(document: &mut Value) {
    let known = schemas(document);
    for operation in
        document["paths"].as_object_mut().into_iter().flatten().filter_map(|(_, item)| item.get_mut("post"))
    {
        let is_one_of_them = ONE_OF_THEM.iter().any(|id| operation["operationId"] == *id);
        let Some(body) = operation.get_mut("requestBody") else { continue };
        let schema = resolved(&known, &body["content"]["application/json"]["schema"]);
        let needs_none = schema["required"].as_array().is_none_or(Vec::is_empty);
        if schema["type"] == "object" && needs_none && !is_one_of_them {
            body["required"] = Value::Bool(false);
        }
    }
}

/// The schemas that nothing refers to are left out.
pub(super) fn leave_out_unused(document: &mut Value) {
    let all = schemas(document);
    let mut used = BTreeSet::new();
    let mut open = named(&document["paths"]);
    while let Some(name) = open.pop() {
        if let Some(schema) = all.get(&name)
            && used.insert(name)
        {
            open.extend(named(schema));
        }
    }
    if let Some(schemas) = document["components"]["schemas"].as_object_mut() {
        schemas.retain(|name, _| used.contains(name));
    }
}

struct Edits {
    known: Map<String, Value>,
    made: Map<String, Value>,
}

impl Edits {
    /// The name of the schema that describes an edit of `name`.
    fn of(&mut self, name: &str) -> String {
        let schema = self.known.get(name).cloned().unwrap_or_default();
        if !self.has_members(&schema) {
            return name.to_owned();
        }
        let edit =
            if name.contains("Edit") { name.to_owned() } else { format!("{}Edit", name.trim_start_matches("New")) };
        if !self.made.contains_key(&edit) {
            // Before what is in it: a schema may refer to itself.
            self.made.insert(edit.clone(), Value::Null);
            let described = self.edited(schema);
            self.made.insert(edit.clone(), described);
        }
        edit
    }

    /// Whether the schema is of objects, which merge, or of one kind of several that is.
    fn has_members(&self, schema: &Value) -> bool {
        let names = |name: &String| self.known.get(name).is_some_and(|schema| self.has_members(schema));
        let kinds = ["oneOf", "anyOf"].into_iter().filter_map(|kinds| schema[kinds].as_array()).flatten();
        schema["properties"].is_object()
            || kinds.into_iter().any(|kind| self.has_members(kind))
            || named(schema).iter().any(names)
    }

    fn edited(&mut self, mut schema: Value) -> Value {
        let Some(members) = schema.as_object_mut() else { return schema };
        if let Some(name) = members.get("$ref").and_then(Value::as_str).and_then(|name| name.strip_prefix(SCHEMAS)) {
            let edit = self.of(name);
            members.insert("$ref".to_owned(), json!(format!("{SCHEMAS}{edit}")));
        }
        let required = members.remove("required").unwrap_or_default();
        let required: BTreeSet<_> = required.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        for (name, property) in members.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten() {
            let edited = self.edited(property.take());
            *property = if required.contains(name.as_str()) { edited } else { or_null(edited) };
        }
        // Of several kinds more than one may fit when nothing is needed.
        if let Some(kinds) = members.remove("oneOf").or_else(|| members.remove("anyOf")) {
            let kinds = kinds.as_array().cloned().unwrap_or_default();
            let kinds: Vec<_> = kinds.into_iter().map(|kind| self.edited(kind)).collect();
            members.insert("anyOf".to_owned(), kinds.into());
        }
        schema
    }
}

fn or_null(mut schema: Value) -> Value {
    if schema["type"].is_string() && schema["enum"].is_null() {
        schema["type"] = json!([schema["type"], "null"]);
        return schema;
    }
    let is_null = |kind: &Value| kind == "null" || kind["type"] == "null";
    let may_be_null =
        [&schema["type"], &schema["anyOf"]].into_iter().filter_map(Value::as_array).flatten().any(is_null);
    if may_be_null || schema.as_object().is_some_and(Map::is_empty) {
        schema
    } else {
        json!({"anyOf": [schema, {"type": "null"}]})
    }
}

fn schemas(document: &Value) -> Map<String, Value> {
    document["components"]["schemas"].as_object().cloned().unwrap_or_default()
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("{SCHEMAS}{name}")})
}

fn resolved(schemas: &Map<String, Value>, schema: &Value) -> Value {
    let name = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix(SCHEMAS));
    name.and_then(|name| schemas.get(name)).unwrap_or(schema).clone()
}

/// The schemas that a part of the document refers to.
fn named(part: &Value) -> Vec<String> {
    match part {
        Value::Object(members) => {
            let own = members.get("$ref").and_then(Value::as_str).and_then(|name| name.strip_prefix(SCHEMAS));
            own.map(str::to_owned).into_iter().chain(members.values().flat_map(named)).collect()
        }
        Value::Array(items) => items.iter().flat_map(named).collect(),
        _ => Vec::new(),
    }
}
