//! Examples of bodies that have none of their own: put together from those of their members.

use serde_json::{Map, Value, json};
use utoipa::openapi::path::Operation;
use utoipa::openapi::{Components, Content, RefOr};

/// Gives an example to each JSON body of an operation that has none.
pub(super) fn complete(operation: &mut Operation, components: &Value) {
    let answers = operation.responses.responses.iter_mut().filter(|(status, _)| status.starts_with('2'));
    let answered = answers.filter_map(|(_, answer)| own(answer)).flat_map(|answer| &mut answer.content);
    let sent = operation.request_body.as_mut().and_then(own).into_iter().flat_map(|body| &mut body.content);
    for (kind, content) in answered.chain(sent) {
        if let Some(content) = own(content)
            && kind.ends_with("json")
        {
            complete_content(content, components);
        }
    }
}

/// What is described where it stands.
fn own<T>(part: &mut RefOr<T>) -> Option<&mut T> {
    match part {
        RefOr::T(part) => Some(part),
        RefOr::Ref(_) => None,
    }
}

/// The schemas, for [`complete`].
pub(super) fn schemas(components: Option<&Components>) -> Value {
    components.and_then(|components| serde_json::to_value(&components.schemas).ok()).unwrap_or_default()
}

fn complete_content(content: &mut Content, components: &Value) {
    let schema = serde_json::to_value(&content.schema).unwrap_or_default();
    let has_own = content.example.is_some() || !resolve(&schema, components)["example"].is_null();
    if !has_own {
        content.example = Some(example(&schema, components));
    }
}

fn resolve<'a>(schema: &'a Value, components: &'a Value) -> &'a Value {
    match schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        Some(name) => &components[name],
        None => schema,
    }
}

/// The example that a schema has, or the one that its parts make. What may be null and has none is null.
fn example(schema: &Value, components: &Value) -> Value {
    let schema = resolve(schema, components);
    if let Some(own) =
        [&schema["example"], &schema["examples"][0], &schema["enum"][0]].into_iter().find(|own| !own.is_null())
    {
        return own.clone();
    }
    if let Some(first) = ["oneOf", "anyOf", "allOf"].iter().find_map(|kind| schema[*kind].get(0)) {
        return example(first, components);
    }
    match schema["type"].as_str() {
        Some("object") => {
            let members = schema["properties"].as_object().into_iter().flatten();
            Value::Object(
                members.map(|(name, member)| (name.clone(), example(member, components))).collect::<Map<_, _>>(),
            )
        }
        Some("array") => json!([example(&schema["items"], components)]),
        Some("boolean") => json!(false),
        Some("integer") => json!(1),
        Some("string") if schema["format"] == "date-time" => json!("2026-05-04T09:30:00.000Z"),
        Some("string") => json!("…"),
        _ => Value::Null,
    }
}
