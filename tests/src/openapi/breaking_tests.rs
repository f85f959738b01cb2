use serde_json::json;

use super::*;

/// A document whose only operation takes and answers these schemas.
fn document(sent: &Value, answered: &Value) -> Value {
    json!({
        "paths": {"/v1/links/{id}": {"put": {
            "parameters": [
                {"name": "id", "in": "path", "required": true, "schema": {"type": "string"}},
                {"name": "limit", "in": "query", "schema": {"type": "integer", "maximum": 200, "default": 50}},
            ],
            "requestBody": {"content": {"application/json": {"schema": sent}}},
            "responses": {
                "200": {
                    "content": {"application/json": {"schema": answered}},
                    "headers": {"ETag": {"schema": {"type": "string"}}},
                },
                "404": {"content": {}},
            },
            "security": [{"bearer": ["links:write"]}, {"api_key": ["links:write"]}],
        }}},
        "components": {"schemas": {
            "Link": {"type": "object", "required": ["slug"], "properties": {
                "slug": {"type": "string"}, "clicks": {"type": "integer"}, "next": {"$ref": "#/components/schemas/Link"},
            }},
            "Named": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}},
        }},
    })
}

/// The differences after a change of the document at a pointer; null removes.
fn changed(pointer: &str, value: &Value) -> Vec<String> {
    let link = json!({"$ref": "#/components/schemas/Link"});
    let old = document(&json!({"type": "object", "properties": {"name": {"type": "string"}}}), &link);
    let mut new = old.clone();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = new.pointer_mut(parent).unwrap();
    let name = name.replace("~1", "/");
    match parent {
        Value::Array(elements) if value.is_null() => drop(elements.remove(name.parse().unwrap())),
        Value::Object(members) if value.is_null() => drop(members.remove(&name)),
        Value::Array(elements) => elements.push(value.clone()),
        parent => parent[name] = value.clone(),
    }
    differences(&old, &new).into_iter().collect()
}

/// What breaks when this schema becomes that one: in a request, and in an answer.
fn between(old: &Value, new: &Value) -> [Vec<String>; 2] {
    let any = json!({});
    let breaking = |old: &Value, new: &Value| differences(old, new).into_iter().collect::<Vec<_>>();
    [breaking(&document(old, &any), &document(new, &any)), breaking(&document(&any, old), &document(&any, new))]
}

const OPERATION: &str = "/paths/~1v1~1links~1{id}/put";

#[test]
fn what_an_operation_no_longer_has_breaks() {
    let at = |rest: &str| format!("{OPERATION}{rest}");
    for (pointer, value, difference) in [
        ("/paths/~1v1~1links~1{id}".to_owned(), json!(null), "PUT /v1/links/{id}: is removed"),
        (at(""), json!(null), "PUT /v1/links/{id}: is removed"),
        (at("/parameters/1"), json!(null), "PUT /v1/links/{id} ?limit: is not taken any more"),
        (at("/parameters/1/required"), json!(true), "PUT /v1/links/{id} ?limit: is required now"),
        (at("/parameters/1/schema/maximum"), json!(100), "PUT /v1/links/{id} ?limit: its maximum is 100 now"),
        (at("/parameters/1/schema/default"), json!(20), "PUT /v1/links/{id} ?limit: its default is 20 now"),
        (at("/parameters/1/schema/type"), json!("string"), "PUT /v1/links/{id} ?limit: was integer, is string"),
        (
            at("/parameters/-"),
            json!({"name": "Zone", "in": "header", "required": true}),
            "PUT /v1/links/{id} header zone: is required now",
        ),
        (at("/requestBody/required"), json!(true), "PUT /v1/links/{id} body: is required now"),
        (at("/requestBody"), json!(null), "PUT /v1/links/{id} body: is not application/json any more"),
        (at("/responses/200"), json!(null), "PUT /v1/links/{id}: does not answer 200 any more"),
        (at("/responses/200/content"), json!({}), "PUT /v1/links/{id} 200: is not application/json any more"),
        (at("/responses/200/headers"), json!({}), "PUT /v1/links/{id} 200: the header ETag is not sent any more"),
        (at("/security/1"), json!(null), r#"PUT /v1/links/{id}: {"api_key":["links:write"]} is not enough any more"#),
        (
            "/components/schemas/Link/properties/slug/type".to_owned(),
            json!("integer"),
            "answer Link/slug: was string, is integer",
        ),
    ] {
        assert_eq!(changed(&pointer, &value), [difference], "{pointer}");
    }
}

#[test]
fn what_an_operation_has_besides_breaks_nothing() {
    let operation = json!({"responses": {}});
    for (pointer, value) in [
        ("/paths/~1v1~1links", json!({"get": operation})),
        ("/paths/~1v1~1links~1{id}/get", operation.clone()),
        ("/paths/~1v1~1links~1{id}/put/parameters/-", json!({"name": "zone", "in": "query"})),
        ("/paths/~1v1~1links~1{id}/put/parameters/0/name", json!("slug")),
        ("/paths/~1v1~1links~1{id}/put/responses/202", json!({"content": {}})),
        ("/paths/~1v1~1links~1{id}/put/responses/404", json!(null)),
        ("/paths/~1v1~1links~1{id}/put/responses/200/headers/Link", json!({})),
        ("/paths/~1v1~1links~1{id}/put/security/-", json!({})),
        ("/paths/~1v1~1links~1{id}/put/security/0/bearer", json!([])),
        ("/paths/~1v1~1links~1{id}/put/summary", json!("Change a link")),
        ("/components/schemas/Link/properties/team", json!({"type": "string"})),
    ] {
        assert!(changed(pointer, &value).is_empty(), "{pointer}");
    }
}

#[test]
fn a_path_whose_parameter_has_another_name_is_the_same() {
    let old = document(&json!({}), &json!({}));
    let new: Value = serde_json::from_str(&old.to_string().replace("{id}", "{link}")).unwrap();
    assert!(differences(&old, &new).is_empty());
}

#[test]
fn a_schema_may_grow_in_one_way_alone() {
    let object = |required: &[&str], names: &[&str]| {
        let properties: Value = names.iter().map(|name| ((*name).to_owned(), json!({"type": "string"}))).collect();
        json!({"type": "object", "required": required, "properties": properties})
    };
    let link = |also: Value| json!({"oneOf": [{"$ref": "#/components/schemas/Link"}, also]});
    let closed = json!({"type": "object", "additionalProperties": false});
    // What becomes what, and whether that breaks a request and an answer.
    for (old, new, breaks) in [
        (json!({"type": "string"}), json!({"type": "integer"}), [true, true]),
        (json!({"type": "string"}), json!({"type": ["string", "null"]}), [false, true]),
        (json!({"type": "integer"}), json!({"type": "number"}), [false, true]),
        (json!({"type": "string"}), json!({}), [false, true]),
        (json!({"type": "string"}), json!({"type": "string", "enum": ["a"]}), [true, false]),
        (json!({"enum": ["a"]}), json!({"enum": ["a", "b"]}), [false, false]),
        (json!({"enum": ["a", "b"]}), json!({"enum": ["a"]}), [true, false]),
        (json!({"type": "string"}), json!({"type": "string", "minLength": 1}), [true, false]),
        (json!({"minimum": 1}), json!({"minimum": 0}), [false, false]),
        (json!({"pattern": "^a"}), json!({"pattern": "^b"}), [true, false]),
        (object(&[], &["a"]), object(&[], &[]), [true, true]),
        (object(&[], &["a"]), object(&["a"], &["a"]), [true, false]),
        (object(&["a"], &["a"]), object(&[], &["a"]), [false, true]),
        (object(&[], &["a"]), object(&["b"], &["a", "b"]), [true, false]),
        (json!({"items": {"type": "string"}}), json!({"items": {"type": "integer"}}), [true, true]),
        (json!({"type": "array"}), json!({"type": "array", "items": {"type": "string"}}), [true, false]),
        (json!({"type": "object"}), closed.clone(), [true, false]),
        (closed, json!({"type": "object"}), [false, false]),
        (
            json!({"additionalProperties": {"type": "string"}}),
            json!({"additionalProperties": {"type": "integer"}}),
            [true, true],
        ),
        (json!({"$ref": "#/components/schemas/Link"}), link(json!({"type": "null"})), [false, true]),
        (
            json!({"allOf": [{"$ref": "#/components/schemas/Link"}, object(&["a"], &["a"])]}),
            json!({"$ref": "#/components/schemas/Link"}),
            [true, true],
        ),
        (
            link(json!({"$ref": "#/components/schemas/Named"})),
            json!({"$ref": "#/components/schemas/Link"}),
            [true, false],
        ),
    ] {
        let found = between(&old, &new);
        assert_eq!(found.clone().map(|found| !found.is_empty()), breaks, "{old} → {new}: {found:?}");
        assert!(between(&old, &old).iter().all(Vec::is_empty), "{old}");
    }
}

#[test]
fn a_schema_may_stand_where_it_is_used_or_have_another_name() {
    let own = json!({"oneOf": [{"type": "null"}, {"$ref": "#/components/schemas/Named"}]});
    let inline = json!({"type": ["null", "object"], "required": ["name"], "properties": {"name": {"type": "string"}}});
    assert!(between(&own, &inline).iter().all(Vec::is_empty));
    let text = document(&own, &own).to_string();
    let renamed = serde_json::from_str(&text.replace("Named", "Called")).unwrap();
    assert!(differences(&document(&own, &own), &renamed).is_empty());
}

#[test]
fn a_difference_in_a_schema_with_a_name_is_told_once() {
    let link = json!({"$ref": "#/components/schemas/Link"});
    let old = document(&json!({"type": "array", "items": link}), &json!({"allOf": [link], "description": "It."}));
    let mut new = old.clone();
    new["components"]["schemas"]["Link"]["properties"]["clicks"] = json!({"type": "string"});
    let told: Vec<_> = differences(&old, &new).into_iter().collect();
    assert_eq!(told, ["answer Link/clicks: was integer, is string", "request Link/clicks: was integer, is string"]);
}
