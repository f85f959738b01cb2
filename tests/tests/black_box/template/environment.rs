//! The variables that the template declares are those that the code reads.

use super::{BTreeMap, BTreeSet, Environment, SERVICES, Template, functions, service_of, template, workspace_root};

/// What Lambda itself sets.
const PLATFORM: [&str; 3] = ["AWS_ACCESS_KEY_ID", "AWS_REGION", "AWS_SECRET_ACCESS_KEY"];

type Variables = BTreeMap<String, String>;

/// Builds a function, without any network; the error with its causes when it does not start.
async fn start(handler: &str, variables: &Variables) -> Result<(), String> {
    let service = SERVICES.iter().find(|service| service.name == service_of(handler)).unwrap();
    let built = service.build(handler, variables.clone().into_iter().collect::<Environment>()).await;
    built.map(|_| ()).map_err(|error| shared::telemetry::chain(&error))
}

/// A value that `name` may have.
fn value(name: &str) -> String {
    let value = match name.rsplit('_').next().unwrap_or_default() {
        "SECONDS" | "DAY" => "180",
        "URL" => "http://127.0.0.1:1/somewhere",
        _ => "something",
    };
    value.to_owned()
}

/// The names without which a function does not start: the one error of a start with nothing at all tells them.
async fn required(handler: &str) -> BTreeSet<String> {
    let told = start(handler, &Variables::new()).await.unwrap_err();
    let (_, faults) = told.split_once(" fault(s): ").unwrap_or_else(|| panic!("{handler}: {told}"));
    let named = |fault: &str| fault.strip_suffix(" is not set").map(str::to_owned);
    faults.split("; ").map(|fault| named(fault).unwrap_or_else(|| panic!("{handler}: {told}"))).collect()
}

fn globals(template: &Template) -> BTreeSet<String> {
    let variables = &template.section("Globals")["Function"]["Environment"]["Variables"];
    variables.as_object().unwrap().keys().cloned().collect()
}

/// The Rust sources of a crate, one after the other.
fn source(folder: &str) -> String {
    let mut folders = vec![workspace_root().join(folder).join("src")];
    let mut text = String::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                text.push_str(&std::fs::read_to_string(path).unwrap());
            }
        }
    }
    text
}

/// The names that a source reads as those of variables that may be absent.
fn optional(source: &str) -> BTreeSet<String> {
    [".optional(\"", ".get(\""]
        .into_iter()
        .flat_map(|call| source.split(call).skip(1))
        .filter_map(|after| after.split('"').next())
        .filter(|name| name.len() > 2 && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_'))
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn a_function_that_lacks_a_variable_does_not_start_and_names_it() {
    for function in functions().iter().filter(|function| function.handler != "sandbox.api") {
        let names = required(&function.handler).await;
        assert!(PLATFORM.iter().all(|name| names.contains(*name)), "{}: {names:?}", function.handler);
        let all: Variables = names.iter().map(|name| (name.clone(), value(name))).collect();
        start(&function.handler, &all).await.unwrap();
        for lacking in &names {
            for gap in [None, Some(String::new())] {
                let mut variables = all.clone();
                variables.remove(lacking);
                variables.extend(gap.map(|empty| (lacking.clone(), empty)));
                let fault = start(&function.handler, &variables).await.unwrap_err();
                assert!(fault.contains(&format!("{lacking} is not set")), "{}: {fault}", function.handler);
            }
        }
    }
}

#[tokio::test]
async fn the_template_declares_what_the_code_reads_and_nothing_else() {
    let template = template();
    let globals = globals(&template);
    let common = optional(&source("shared"));
    let mut read = BTreeSet::new();
    for function in functions().iter().filter(|function| function.handler != "sandbox.api") {
        let handler = function.handler.as_str();
        let declared: BTreeSet<_> = function.variables.keys().cloned().collect();
        let required = required(handler).await;
        let missing: Vec<_> =
            required.difference(&declared).filter(|name| !PLATFORM.contains(&name.as_str())).collect();
        assert!(missing.is_empty(), "{handler} reads {missing:?}");
        let may_be_absent = optional(&source(&format!("functions/{}", service_of(handler))));
        let own: BTreeSet<_> = declared.difference(&globals).cloned().collect();
        let known: BTreeSet<_> = required.union(&may_be_absent).cloned().collect();
        let unread: Vec<_> = own.difference(&known).collect();
        assert!(unread.is_empty(), "{handler} does not read {unread:?}");
        read.extend(required);
    }
    read.extend(common);
    let unread: Vec<_> = globals.difference(&read).collect();
    assert!(unread.is_empty(), "Globals: no function reads {unread:?}");
}

#[test]
fn what_may_be_absent_is_declared_where_it_can_be_there() {
    for service in SERVICES {
        let declared: BTreeSet<_> = functions()
            .into_iter()
            .filter(|function| service_of(&function.handler) == service.name)
            .flat_map(|function| function.variables.into_keys())
            .collect();
        let read = optional(&source(&format!("functions/{}", service.name)));
        let missing: Vec<_> = read.difference(&declared).collect();
        assert!(missing.is_empty(), "{} reads {missing:?}", service.name);
    }
}
