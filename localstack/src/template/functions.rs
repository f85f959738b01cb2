//! The functions of a template: `AWS::Serverless::Function`, with what `Globals` gives to all.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value};

use super::triggers::{self, Trigger};
use super::{Scope, Template, TemplateError};

/// Lambda's default time-out, in seconds.
const DEFAULT_TIMEOUT: u64 = 3;
/// Lambda's default memory, in mebibytes.
const DEFAULT_MEMORY: u64 = 128;

/// One function as the template declares it.
#[derive(Clone, Debug)]
pub struct DeclaredFunction {
    /// Its name in the template.
    pub logical_id: String,
    /// Its `Handler:`, the name of the code (`links.api`).
    pub handler: String,
    /// How long one invocation may take.
    pub timeout: Duration,
    /// Its memory in mebibytes. Told to the function; nothing is limited by it locally.
    pub memory: u64,
    /// Its environment, with references still in it: resources are known after the deployment only.
    pub variables: BTreeMap<String, Value>,
    /// What invokes it.
    pub triggers: Vec<Trigger>,
}

impl DeclaredFunction {
    /// Its ARN.
    pub fn arn(&self) -> String {
        format!("arn:aws:lambda:{}:{}:function:{}", super::REGION, super::ACCOUNT, self.logical_id)
    }
}

pub(super) fn read(template: &Template, scope: &Scope) -> Result<Vec<DeclaredFunction>, TemplateError> {
    let globals = template.section("Globals").get("Function").and_then(Value::as_object).cloned().unwrap_or_default();
    let mut functions = Vec::new();
    for (logical_id, resource) in template.section("Resources") {
        if resource.get("Type").and_then(Value::as_str) != Some("AWS::Serverless::Function") {
            continue;
        }
        if let Some(condition) = resource.get("Condition").and_then(Value::as_str)
            && !scope.holds(condition)?
        {
            continue;
        }
        let own = resource.get("Properties").and_then(Value::as_object).cloned().unwrap_or_default();
        functions.push(function(logical_id, &Properties { logical_id, own: &own, globals: &globals, scope })?);
    }
    Ok(functions)
}

struct Properties<'a> {
    logical_id: &'a str,
    own: &'a Map<String, Value>,
    globals: &'a Map<String, Value>,
    scope: &'a Scope,
}

impl Properties<'_> {
    fn get(&self, name: &str) -> Option<&Value> {
        self.own.get(name).or_else(|| self.globals.get(name))
    }

    fn number(&self, name: &str, default: u64) -> Result<u64, TemplateError> {
        let Some(value) = self.get(name) else { return Ok(default) };
        let text = self.scope.text(value)?;
        text.parse().map_err(|_| TemplateError::invalid(self.logical_id, format!("{name} is {text:?}, not a number")))
    }

    fn variables(&self) -> BTreeMap<String, Value> {
        let of = |properties: &Map<String, Value>| {
            properties.get("Environment").and_then(|value| value.get("Variables")).and_then(Value::as_object).cloned()
        };
        [of(self.globals), of(self.own)].into_iter().flatten().flatten().collect()
    }
}

fn function(logical_id: &str, properties: &Properties<'_>) -> Result<DeclaredFunction, TemplateError> {
    let handler = match properties.get("Handler") {
        Some(value) => properties.scope.text(value)?,
        None => return Err(TemplateError::invalid(logical_id, "has no Handler")),
    };
    let timeout = properties.number("Timeout", DEFAULT_TIMEOUT)?;
    if !(1..=900).contains(&timeout) {
        return Err(TemplateError::invalid(logical_id, format!("Timeout is {timeout}, not 1 to 900 seconds")));
    }
    let events = properties.own.get("Events").and_then(Value::as_object).cloned().unwrap_or_default();
    let triggers: Result<Vec<_>, _> =
        events.iter().map(|(name, event)| triggers::read(logical_id, name, event, properties.scope)).collect();
    Ok(DeclaredFunction {
        logical_id: logical_id.to_owned(),
        handler,
        timeout: Duration::from_secs(timeout),
        memory: properties.number("MemorySize", DEFAULT_MEMORY)?,
        variables: properties.variables(),
        triggers: triggers?.into_iter().flatten().collect(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use serde_json::json;

    use super::super::{QueueTrigger, Route, ScheduleTrigger, StreamTrigger};
    use super::*;

    const EXAMPLE: &str = include_str!("example.yaml");

    fn functions() -> Vec<DeclaredFunction> {
        let template = Template::parse(EXAMPLE).unwrap();
        let scope = Scope::new(&template, "tenfold-local", &BTreeMap::new()).unwrap();
        template.functions(&scope).unwrap()
    }

    #[test]
    fn globals_are_merged_and_conditions_decide() {
        let functions = functions();
        let names: Vec<_> = functions.iter().map(|function| function.handler.as_str()).collect();
        assert_eq!(names, ["links.api", "links.clicks", "platform.relay", "platform.scheduler"]);
        let api = &functions[0];
        assert_eq!((api.timeout, api.memory), (Duration::from_secs(10), 256));
        assert_eq!(api.variables["STAGE"], json!({"Ref": "Stage"}));
        assert_eq!(api.variables["LINKS_TABLE"], json!({"Ref": "LinksTable"}));
    }

    #[test]
    fn triggers_are_read_with_their_settings() {
        let functions = functions();
        let routes: Vec<_> = functions[0].triggers.iter().collect();
        assert_eq!(
            routes,
            [
                &Trigger::Http(Route { method: None, path: "/v1/links/{proxy+}".to_owned() }),
                &Trigger::Http(Route { method: Some(http::Method::POST), path: "/v1/links".to_owned() }),
            ]
        );
        assert_eq!(
            functions[1].triggers,
            [Trigger::Queue(QueueTrigger {
                queue: "ClicksQueue".to_owned(),
                batch_size: 100,
                window: Duration::from_secs(1),
                concurrency: 2,
                partial_failures: true,
            })]
        );
        assert_eq!(
            functions[2].triggers,
            [Trigger::Stream(StreamTrigger {
                table: "LinksTable".to_owned(),
                batch_size: 25,
                window: Duration::from_secs(2),
                from_start: true,
                partial_failures: true,
                bisect: false,
                retries: Some(3),
                on_failure: Some("DeadQueue".to_owned()),
                filters: vec![json!({"eventName": ["INSERT"]})],
            })]
        );
        assert_eq!(
            functions[3].triggers,
            [Trigger::Schedule(ScheduleTrigger {
                name: "dev-scheduler".to_owned(),
                expression: "rate(1 minute)".to_owned(),
                input: None,
            })]
        );
    }

    #[test]
    fn a_fault_is_reported_with_its_logical_id() {
        let text = EXAMPLE.replace("Type: SQS", "Type: Kafka");
        let template = Template::parse(&text).unwrap();
        let scope = Scope::new(&template, "tenfold-local", &BTreeMap::new()).unwrap();
        let message = template.functions(&scope).unwrap_err().to_string();
        assert!(message.contains("ClicksFunction") && message.contains("Kafka"), "{message}");
    }
}
