//! The description of the API: it says what the code does, and is the one that is served.

use std::collections::{BTreeMap, BTreeSet};

use http::Method;
use platform::documents::openapi::{V1, V2};
use serde_json::{Value, json};
use shared::http::ProblemType;
use shared::http::versions::Version;
use shared::identity::access;
use shared::time::Clock;
use tests::{Account, Ask as _, anonymous, openapi};
use totp_rs::Totp;

/// The operations: method, path and description.
fn operations(document: &Value) -> Vec<(String, String, &Value)> {
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            all.push((method.to_uppercase(), path.clone(), operation));
        }
    }
    all
}

/// The document of each version.
fn documents() -> Vec<Value> {
    Version::ALL.iter().map(|version| serde_json::from_str(&openapi::document(*version)).unwrap()).collect()
}

#[test]
#[allow(clippy::disallowed_methods)] // it tells whether to compare or to write
fn the_committed_document_is_what_the_code_says() {
    for version in Version::ALL {
        let (path, generated) = (openapi::path(version), openapi::document(version));
        if std::env::var("TENFOLD_UPDATE").is_ok() {
            std::fs::write(&path, &generated).unwrap();
        }
        let committed = std::fs::read_to_string(&path).unwrap();
        let differing =
            committed.lines().zip(generated.lines()).position(|(committed, generated)| committed != generated);
        assert!(
            committed == generated,
            "docs/openapi/{version}.json differs from the code, first in line {}; regenerate it:\n\
         TENFOLD_UPDATE=1 cargo test -p tests --test black_box openapi",
            differing.unwrap_or_else(|| committed.lines().count().min(generated.lines().count())) + 1
        );
    }
}

#[tokio::test]
async fn the_document_is_served_and_a_client_that_has_it_is_told_so() {
    for (path, document) in [("/openapi/v1.json", V1), ("/openapi/v2.json", V2)] {
        let answer = anonymous(Method::GET, path).answer().await.expect(200);
        assert_eq!(answer.header("content-type"), "application/json");
        assert_eq!(answer.body, document);
        let again = anonymous(Method::GET, path).header("if-none-match", answer.header("etag"));
        assert!(again.answer().await.expect(304).body.is_empty());
    }
    anonymous(Method::GET, "/openapi/v9.json").answer().await.problem(404, "not-found");
    anonymous(Method::POST, "/openapi/v1.json").answer().await.problem(405, "method-not-allowed");
}

#[test]
fn it_is_openapi_3_1_and_says_who_and_where() {
    for document in documents() {
        assert!(document["openapi"].as_str().unwrap().starts_with("3.1."));
        for member in ["title", "version", "description"] {
            assert!(!document["info"][member].as_str().unwrap().is_empty(), "{member}");
        }
        // So that the reference page asks the stack that serves it, wherever that is.
        assert_eq!(document["servers"][0]["url"], "/");
        let schemes = &document["components"]["securitySchemes"];
        assert_eq!((&schemes["bearer"]["type"], &schemes["bearer"]["scheme"]), (&"http".into(), &"bearer".into()));
        assert_eq!(schemes["bearer"]["bearerFormat"], "JWT");
        assert_eq!((&schemes["api_key"]["in"], &schemes["api_key"]["name"]), (&"header".into(), &"X-Api-Key".into()));
    }
}

#[test]
fn every_operation_says_what_a_client_needs() {
    for document in documents() {
        let tags: BTreeSet<_> =
            document["tags"].as_array().unwrap().iter().map(|tag| tag["name"].clone().to_string()).collect();
        let mut ids = BTreeSet::new();
        for (method, path, operation) in operations(&document) {
            let at = format!("{method} {path}");
            let id = operation["operationId"].as_str().unwrap_or_else(|| panic!("{at} has no operationId"));
            assert!(ids.insert(id), "{at}: {id} is not unique");
            assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{at} has no summary");
            let tag = operation["tags"][0].to_string();
            assert!(tags.contains(&tag), "{at}: the tag {tag} is not described");
            assert!(
                operation["security"].as_array().is_some_and(|ways| !ways.is_empty()),
                "{at} is silent about security"
            );

            let responses = operation["responses"].as_object().unwrap();
            assert!(responses.contains_key("default"), "{at} does not say how it fails");
            for (status, response) in responses {
                assert!(!response["description"].as_str().unwrap().is_empty(), "{at}: {status}");
                let content = &response["content"];
                // The report of /ready is the same whether it is well or not, and a page may ask again.
                // The OAuth endpoints refuse as RFC 6749, section 5.2 has it.
                let is_oauth = content["application/json"]["schema"]["$ref"] == "#/components/schemas/OAuthError";
                let is_document = status == "503" && path == "/ready" || content["text/html"].is_object();
                if is_oauth {
                    assert_eq!(operation["tags"][0], "oauth", "{at}: {status}");
                    continue;
                }
                if (status.starts_with(['4', '5']) || status == "default") && !is_document {
                    let schema = &content["application/problem+json"]["schema"]["$ref"];
                    assert_eq!(schema, "#/components/schemas/Problem", "{at}: {status}");
                }
            }
        }
    }
}

#[test]
fn what_has_an_etag_is_changed_and_deleted_on_condition() {
    for document in documents() {
        let all = operations(&document);
        let has_etag = |path: &str| {
            let answers = |(method, at, operation): &(String, String, &Value)| {
                let mut responses = operation["responses"].as_object().unwrap().values();
                method == "GET" && at == path && responses.any(|response| response["headers"]["ETag"].is_object())
            };
            all.iter().any(answers)
        };
        let mut checked = 0;
        for (method, path, operation) in &all {
            if !matches!(method.as_str(), "PUT" | "PATCH" | "DELETE") || !has_etag(path) {
                continue;
            }
            let mut parameters = operation["parameters"].as_array().into_iter().flatten();
            let named = parameters.any(|parameter| parameter["in"] == "header" && parameter["name"] == "If-Match");
            assert!(named, "{method} {path} does not take If-Match");
            assert!(operation["responses"]["412"].is_object(), "{method} {path} does not answer 412");
            checked += 1;
        }
        assert!(checked >= 20, "{checked}");
    }
}

#[test]
fn every_body_has_an_example() {
    for document in documents() {
        let mut without = Vec::new();
        for (method, path, operation) in operations(&document) {
            let responses = operation["responses"].as_object().unwrap().iter();
            let bodies = responses
                .filter(|(status, _)| status.starts_with('2'))
                .map(|(_, response)| response)
                .chain([&operation["requestBody"]]);
            for (kind, media) in bodies.filter_map(|body| body["content"].as_object()).flatten() {
                let at = format!("{method} {path}: {kind}");
                let schema = resolve(&document, &media["schema"]);
                let example = if media["example"].is_null() { &schema["example"] } else { &media["example"] };
                if kind.ends_with("json") {
                    if example.is_null() {
                        without.push(at);
                        continue;
                    }
                    let unknown = unknown_members(&document, schema, example);
                    assert!(unknown.is_empty(), "{at}: the example has {unknown:?}, which the schema does not");
                    let faults = openapi::faults(&document, &media["schema"], example);
                    assert!(faults.is_empty(), "{at}: the example is not as its schema has it: {faults:#?}");
                }
            }
        }
        assert!(without.is_empty(), "no example: {without:#?}");
    }
}

/// What only somebody else makes: an authenticator, a provider; or is for somebody else, such as an application.
const MADE_ELSEWHERE: [&str; 4] =
    ["/v1/auth/passkeys/{id}", "/v1/auth/identities/{id}", "/v2/notes/{id}/shares/{user}", "/oauth/userinfo"];

/// The path of a request of an application that the owner has let in before.
async fn waiting_authorization(owner: &Account) -> String {
    let callback = "https://reports.example.com/callback";
    let new = json!({"name": "Report Maker", "scopes": ["links:read"], "redirect_uris": [callback]});
    let client = owner.post("/v1/oauth-clients", &new).await.expect(201).json();
    let ask = async || {
        let query = [
            ("response_type", "code"),
            ("client_id", client["id"].as_str().unwrap()),
            ("redirect_uri", callback),
            ("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"),
            ("code_challenge_method", "S256"),
        ];
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
        let answer = anonymous(Method::GET, &format!("/oauth/authorize?{query}")).answer().await.expect(303);
        answer.header("location").replace("/auth/authorize?request=", "/v1/auth/authorizations/")
    };
    owner.post(&ask().await, &json!({"decision": "allow"})).await.expect(200);
    ask().await
}

/// A user who has one of everything, and the paths of these things.
async fn owner_of_everything() -> (Account, Vec<(&'static str, String)>) {
    let owner = Account::new().await;
    let begun = owner.post("/v1/auth/factors/totp", &json!({})).await.expect(200).json();
    let app = Totp::from_url(begun["otpauth_uri"].as_str().unwrap()).unwrap();
    let now = u64::try_from(Clock::system().now().as_second()).unwrap();
    let code = json!({"code": app.generate(now).to_string()});
    owner.post("/v1/auth/factors/totp/confirm", &code).await.expect(200);
    let make = async |path, body| {
        let request = owner.request(Method::POST, path).json(&body).header("user-agent", "Mozilla/5.0");
        request.answer().await.expect(201).header("location").to_owned()
    };
    let authorization = waiting_authorization(&owner).await;
    let schedule = json!({"name": "Nightly", "cron": "0 3 * * *", "job": {"type": "noop"}});
    let paths = vec![
        ("/v1/links/{id}", make("/v1/links", json!({"target": "https://example.com/", "tags": ["a"]})).await),
        ("/v1/jobs/{id}", make("/v1/jobs", json!({"type": "noop"})).await),
        ("/v1/queues/{name}", "/v1/queues/default".to_owned()),
        ("/v2/notes/{id}", make("/v2/notes", json!({"title": "Groceries", "tags": ["home"]})).await),
        ("/revisions/{version}", "/revisions/1".to_owned()),
        ("/v1/schedules/{id}", make("/v1/schedules", schedule).await),
        ("/v1/roles/{name}", make("/v1/roles", json!({"name": "support", "permissions": ["links:read"]})).await),
        ("/v1/api-keys/{id}", make("/v1/api-keys", json!({"name": "Website", "scopes": ["links:read"]})).await),
        (
            "/v1/oauth-clients/{id}",
            make("/v1/oauth-clients", json!({"name": "Export", "scopes": ["links:read"]})).await,
        ),
        ("/v1/auth/authorizations/{id}", authorization),
        ("/v1/users/{id}", format!("/v1/users/{}", owner.user_id)),
        ("/v1/mail-templates/{name}", "/v1/mail-templates/verify_email".to_owned()),
    ];
    // The same things are there in each version.
    let below = |path: &'static str| path.trim_start_matches("/v1").trim_start_matches("/v2");
    let paths = paths.into_iter().map(|(template, real)| {
        let real = real.trim_start_matches("/v1").trim_start_matches("/v2").to_owned();
        (below(template), real)
    });
    let paths = paths.collect();
    (owner, paths)
}

#[tokio::test]
async fn the_examples_have_the_members_of_real_answers() {
    for document in documents() {
        let (owner, paths) = owner_of_everything().await;
        let mut compared = 0;
        for (method, path, operation) in operations(&document) {
            let media = &operation["responses"]["200"]["content"]["application/json"];
            if method != "GET" || media.is_null() || path.starts_with("/openapi") || MADE_ELSEWHERE.contains(&&*path) {
                continue;
            }
            let example = match &media["example"] {
                Value::Null => &resolve(&document, &media["schema"])["example"],
                example => example,
            };
            let real = paths.iter().fold(path.clone(), |path, (template, real)| path.replace(template, real));
            let answer = owner.get(&real).await.expect(200).json();
            let members = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
            assert_eq!(members(example), members(&answer), "{path}");
            if answer["data"][0].is_object() {
                assert_eq!(members(&example["data"][0]), members(&answer["data"][0]), "{path}: a row");
            }
            compared += 1;
        }
        assert!(compared >= 20, "{compared}");
    }
}

#[test]
fn no_two_services_describe_different_things_by_one_name() {
    let mut known = BTreeMap::new();
    for (handler, part) in openapi::parts() {
        for (name, schema) in part["components"]["schemas"].as_object().into_iter().flatten() {
            let (first, before) = known.entry(name.clone()).or_insert_with(|| (handler, schema.clone()));
            assert_eq!(before, schema, "{name} is not the same in {first} and in {handler}: give it a name by `as`");
        }
    }
}

fn resolve<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(reference) => document.pointer(reference.trim_start_matches('#')).unwrap(),
        None => schema,
    }
}

/// The members of an example that its schema does not have.
fn unknown_members(document: &Value, schema: &Value, example: &Value) -> Vec<String> {
    let (Some(known), Some(given)) = (schema["properties"].as_object(), example.as_object()) else { return Vec::new() };
    let mut unknown: Vec<_> = given.keys().filter(|name| !known.contains_key(*name)).cloned().collect();
    for (name, value) in given {
        let Some(schema) = known.get(name) else { continue };
        unknown.extend(unknown_members(document, resolve(document, schema), value));
        for item in value.as_array().into_iter().flatten() {
            unknown.extend(unknown_members(document, resolve(document, &schema["items"]), item));
        }
    }
    unknown
}

#[test]
fn every_reference_leads_somewhere() {
    fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("$ref").and_then(Value::as_str));
                members.values().for_each(|member| references(member, found));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }
    for document in documents() {
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(!found.is_empty());
        for reference in found {
            let pointer = reference.strip_prefix('#').unwrap_or_else(|| panic!("{reference} leads outside"));
            assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
        }
    }
}

#[test]
fn every_variable_of_a_path_is_described_and_required() {
    for document in documents() {
        for (method, path, operation) in operations(&document) {
            let named: BTreeSet<_> = path.split('{').skip(1).filter_map(|part| part.split('}').next()).collect();
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            let described: BTreeSet<_> = parameters
                .iter()
                .filter(|parameter| parameter["in"] == "path")
                .inspect(|parameter| assert_eq!(parameter["required"], true, "{method} {path}"))
                .filter_map(|parameter| parameter["name"].as_str())
                .collect();
            assert_eq!(described, named, "{method} {path}");
        }
    }
}

#[test]
fn every_type_of_problem_that_is_named_exists() {
    let known: BTreeSet<_> = ProblemType::ALL.iter().map(|kind| kind.slug()).collect();
    for document in documents() {
        for (method, path, operation) in operations(&document) {
            for (status, response) in operation["responses"].as_object().unwrap() {
                if !response["content"]["application/problem+json"].is_object() || status == "default" {
                    continue;
                }
                let description = response["description"].as_str().unwrap();
                let slug = description.split([':', ',', ';', ' ']).next().unwrap();
                let kind = ProblemType::ALL.iter().find(|kind| kind.slug() == slug);
                assert!(known.contains(slug), "{method} {path}: {status} names no type of problem: {description}");
                assert_eq!(kind.unwrap().status().as_u16().to_string(), *status, "{method} {path}: {description}");
            }
        }
    }
}

#[test]
fn the_table_of_accesses_has_a_row_for_each_operation_and_no_other() {
    let documents = documents();
    let document = documents.last().unwrap();
    let described: BTreeSet<_> = operations(document)
        .iter()
        .map(|(_, _, operation)| operation["operationId"].as_str().unwrap().to_owned())
        .collect();
    let rows: BTreeSet<_> = access::rows().map(|(_, id, _)| id.to_owned()).collect();
    let (missing, left_over): (Vec<_>, Vec<_>) =
        (described.difference(&rows).collect(), rows.difference(&described).collect());
    assert!(missing.is_empty(), "shared/src/identity/access.rs has no row for {missing:?}");
    assert!(left_over.is_empty(), "shared/src/identity/access.rs has rows for no operation: {left_over:?}");
    for (handler, part) in openapi::parts() {
        for (method, path, operation) in operations(&part) {
            let id = operation["operationId"].as_str().unwrap();
            let function = access::function_of(id);
            assert_eq!(function, Some(handler), "{method} {path}: the row of {id} is of another function");
        }
    }
}

#[test]
fn the_security_of_an_operation_is_written_from_the_table_alone() {
    for (handler, part) in openapi::parts() {
        for (method, path, operation) in operations(&part) {
            assert!(operation["security"].is_null(), "{handler}: {method} {path}: the table says it");
        }
    }
    for document in documents() {
        let all = operations(&document);
        let security =
            |id| all.iter().find(|(_, _, operation)| operation["operationId"] == id).unwrap().2["security"].clone();
        assert_eq!(security("log_in"), json!([{}]));
        assert_eq!(security("oauth_token"), json!([{"oauth_client": []}, {}]));
        assert_eq!(security("oauth_introspect"), json!([{"oauth_client": []}]));
        assert_eq!(security("get_me"), json!([{"bearer": ["account:read"]}]));
        assert_eq!(security("create_link"), json!([{"bearer": ["links:write"]}, {"api_key": ["links:write"]}]));
        for (method, path, operation) in all {
            let schemes =
                operation["security"].as_array().into_iter().flatten().flat_map(|way| way.as_object().unwrap().keys());
            for scheme in schemes {
                assert!(document["components"]["securitySchemes"][scheme].is_object(), "{method} {path}: {scheme}");
            }
        }
    }
}
