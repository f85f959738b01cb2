//! What `Handler:` of the template may name.

use localstack::template::{Route, Scope, Template, Trigger, workspace_root};
use serde_json::json;
use shared::identity::access;
use tenfold::SERVICES;
use tests::{Instance, Tenant, stack};

/// Of the service whose name a function's begins with, what `handler` names.
fn named(handler: &str) -> Option<&'static str> {
    let service = SERVICES.iter().find(|service| handler.split('.').next() == Some(service.name))?;
    service.function(handler).map(|(name, _)| name)
}

#[test]
fn every_operation_names_the_function_that_serves_it_and_no_other() {
    for (function, operation, _) in access::rows() {
        let (service, _) = function.split_once('.').unwrap();
        assert_eq!(named(&format!("{service}.{operation}")), Some(function));
    }
}

#[tokio::test]
async fn a_handler_that_is_named_by_an_operation_serves_its_endpoint() {
    let tenant = Tenant::new().await;
    let environment = stack().environment("links.api").unwrap();
    let function = links::SERVICE.build("links.create_link", environment).await.unwrap();
    let instance = Instance::from_function(function);
    let body = json!({"target": "https://example.com/"});
    instance.http("POST", "/v2/links", &[], Some(&body)).await.problem(401, "unauthenticated");
    let made = instance.http("POST", "/v2/links", &[("x-api-key", &tenant.api_key)], Some(&body)).await.expect(201);
    tenant.get(made.header("location")).await.expect(200);
}

#[tokio::test]
async fn a_handler_that_names_nothing_is_told_what_there_is() {
    let environment = stack().environment("links.api").unwrap();
    let error = links::SERVICE.build("links.create_job", environment).await.unwrap_err().to_string();
    assert!(error.starts_with("the service links has no function \"links.create_job\"; it has links.api, "), "{error}");
    assert!(error.contains(", links.create_link, ") && error.contains(", links.follow_link"), "{error}");
}

#[test]
fn the_documented_way_to_split_an_endpoint_off_is_one_that_the_template_takes() {
    let guide = std::fs::read_to_string(workspace_root().join("docs/operations.md")).unwrap();
    let (_, block) = guide.split_once("```yaml\n").unwrap();
    let (block, _) = block.split_once("```").unwrap();
    let template = std::fs::read_to_string(workspace_root().join("template.yaml")).unwrap();
    let split = template.replacen("\n  LinksRedirect:\n", &format!("\n{block}\n  LinksRedirect:\n"), 1);
    let template = Template::parse(&split).unwrap();
    let scope = Scope::new(&template, "tenfold", &std::collections::BTreeMap::new()).unwrap();
    let functions = template.functions(&scope).unwrap();
    let function = functions.iter().find(|function| function.handler == "links.get_link_stats").unwrap();
    assert_eq!(named(&function.handler), Some("links.api"));
    for version in ["v1", "v2"] {
        let route = Route { method: Some(http::Method::GET), path: format!("/{version}/links/{{id}}/stats") };
        assert!(function.triggers.contains(&Trigger::Http(route)), "{:?}", function.triggers);
    }
    // It is built as a whole, from the variables of the whole.
    let whole = functions.iter().find(|function| function.handler == "links.api").unwrap();
    assert_eq!(function.variables, whole.variables);
}
