//! What a template's intrinsic functions mean on this machine: parameters, conditions, pseudo parameters and, once
//! they are deployed, the resources.

mod conditions;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{Template, TemplateError};

/// The region that the local stack stands for.
pub const REGION: &str = "us-east-1";
/// The account that the local AWS endpoint gives to access keys that are not twelve digits.
pub const ACCOUNT: &str = "000000000000";

/// One deployed resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resource {
    /// What `!Ref` gives: a table's name, a queue's URL, a topic's ARN.
    pub id: String,
    /// What `!GetAtt` gives, by attribute.
    pub attributes: BTreeMap<String, String>,
}

/// The values that a template's references stand for.
#[derive(Clone, Debug)]
pub struct Scope {
    parameters: BTreeMap<String, Value>,
    conditions: BTreeMap<String, bool>,
    mappings: Value,
    stack: String,
    resources: BTreeMap<String, Resource>,
}

impl Scope {
    /// The scope of `template` with the `given` parameters; the others have their defaults, or are empty.
    pub fn new(template: &Template, stack: &str, given: &BTreeMap<String, String>) -> Result<Self, TemplateError> {
        let mut parameters = BTreeMap::new();
        for (name, declared) in template.section("Parameters") {
            let default = declared.get("Default").cloned().unwrap_or_else(|| Value::String(String::new()));
            let chosen = given.get(name).map_or(default, |text| Value::String(text.clone()));
            parameters.insert(name.clone(), typed(declared, chosen));
        }
        let mut scope = Self {
            parameters,
            conditions: BTreeMap::new(),
            mappings: template.root().get("Mappings").cloned().unwrap_or_default(),
            stack: stack.to_owned(),
            resources: BTreeMap::new(),
        };
        let conditions = template.section("Conditions");
        for name in conditions.keys() {
            scope.declare(name, conditions, 0)?;
        }
        Ok(scope)
    }

    /// The same scope with the resources that have been deployed.
    pub fn with_resources(self, resources: BTreeMap<String, Resource>) -> Self {
        Self { resources, ..self }
    }

    /// The parameters as texts, as `CreateStack` takes them.
    pub fn parameters(&self) -> impl Iterator<Item = (&str, String)> {
        self.parameters.iter().map(|(name, value)| {
            let text = match value {
                Value::Array(items) => items.iter().map(text_of).collect::<Vec<_>>().join(","),
                other => text_of(other),
            };
            (name.as_str(), text)
        })
    }

    /// A deployed resource.
    pub fn resource(&self, logical_id: &str) -> Result<&Resource, TemplateError> {
        self.resources
            .get(logical_id)
            .ok_or_else(|| TemplateError::invalid(logical_id, "is not among the resources deployed locally"))
    }

    /// All deployed resources by logical id.
    pub fn resources(&self) -> &BTreeMap<String, Resource> {
        &self.resources
    }

    /// Whether the condition called `name` holds.
    pub fn holds(&self, name: &str) -> Result<bool, TemplateError> {
        self.conditions.get(name).copied().ok_or_else(|| TemplateError::invalid(name, "is not a condition"))
    }

    /// `value` as a text; numbers and booleans as CloudFormation writes them.
    pub fn text(&self, value: &Value) -> Result<String, TemplateError> {
        match self.resolve(value)? {
            Some(Value::Object(_) | Value::Array(_)) => Err(TemplateError::invalid(&value.to_string(), "is no text")),
            Some(resolved) => Ok(text_of(&resolved)),
            None => Ok(String::new()),
        }
    }

    /// `value` with every intrinsic function replaced by what it stands for; `None` is `AWS::NoValue`.
    pub fn resolve(&self, value: &Value) -> Result<Option<Value>, TemplateError> {
        match value {
            Value::Object(map) => {
                if let Some((function, argument)) = intrinsic(map) {
                    return self.call(function, argument);
                }
                let mut resolved = Map::new();
                for (name, inner) in map {
                    if let Some(inner) = self.resolve(inner)? {
                        resolved.insert(name.clone(), inner);
                    }
                }
                Ok(Some(Value::Object(resolved)))
            }
            Value::Array(items) => {
                let resolved: Result<Vec<_>, _> = items.iter().map(|item| self.resolve(item)).collect();
                Ok(Some(resolved?.into_iter().flatten().collect()))
            }
            plain => Ok(Some(plain.clone())),
        }
    }

    fn call(&self, function: &str, argument: &Value) -> Result<Option<Value>, TemplateError> {
        let refuse = |what: &str| TemplateError::invalid(&format!("{function} {argument}"), what);
        let items = || argument.as_array().map(Vec::as_slice).unwrap_or_default();
        match (function, items()) {
            ("Ref", _) => self.reference(argument.as_str().ok_or_else(|| refuse("names nothing"))?),
            ("Fn::GetAtt", [Value::String(id), Value::String(name)]) => self.attribute(id, name).map(Some),
            ("Fn::If", [Value::String(condition), yes, no]) => {
                self.resolve(if self.holds(condition)? { yes } else { no })
            }
            ("Fn::Sub", [Value::String(pattern), Value::Object(names)]) => self.substitute(pattern, names).map(Some),
            ("Fn::Sub", []) => {
                self.substitute(argument.as_str().ok_or_else(|| refuse("is no text"))?, &Map::new()).map(Some)
            }
            ("Fn::Join", [Value::String(separator), list]) => {
                let parts = self.resolve(list)?.unwrap_or_default();
                let parts: Vec<_> =
                    parts.as_array().ok_or_else(|| refuse("joins no list"))?.iter().map(text_of).collect();
                Ok(Some(Value::String(parts.join(separator))))
            }
            ("Fn::Select", [index, list]) => {
                let index: usize = self.text(index)?.parse().map_err(|_| refuse("has no index"))?;
                let list = self.resolve(list)?.unwrap_or_default();
                Ok(Some(list.get(index).ok_or_else(|| refuse("selects past the list"))?.clone()))
            }
            ("Fn::Split", [Value::String(separator), text]) => {
                Ok(Some(self.text(text)?.split(separator.as_str()).map(Value::from).collect()))
            }
            ("Fn::FindInMap", [map, first, second]) => {
                let (map, first, second) = (self.text(map)?, self.text(first)?, self.text(second)?);
                let found = self.mappings.get(map).and_then(|map| map.get(first)).and_then(|map| map.get(second));
                Ok(Some(found.ok_or_else(|| refuse("finds nothing"))?.clone()))
            }
            ("Fn::Equals" | "Fn::Not" | "Fn::And" | "Fn::Or" | "Condition", _) => {
                self.test(function, argument).map(|held| Some(Value::Bool(held)))
            }
            _ => Err(refuse("is not understood by the local stack")),
        }
    }

    fn reference(&self, name: &str) -> Result<Option<Value>, TemplateError> {
        let text = match name {
            "AWS::NoValue" => return Ok(None),
            "AWS::Region" => REGION,
            "AWS::AccountId" => ACCOUNT,
            "AWS::Partition" => "aws",
            "AWS::URLSuffix" => "amazonaws.com",
            "AWS::StackName" | "AWS::StackId" => &self.stack,
            _ => {
                if let Some(value) = self.parameters.get(name) {
                    return Ok(Some(value.clone()));
                }
                &self.resource(name)?.id
            }
        };
        Ok(Some(Value::String(text.to_owned())))
    }

    fn attribute(&self, id: &str, name: &str) -> Result<Value, TemplateError> {
        let attributes = &self.resource(id)?.attributes;
        let value =
            attributes.get(name).ok_or_else(|| TemplateError::invalid(id, format!("has no attribute {name}")))?;
        Ok(Value::String(value.clone()))
    }

    fn substitute(&self, pattern: &str, names: &Map<String, Value>) -> Result<Value, TemplateError> {
        let mut text = String::new();
        let mut rest = pattern;
        while let Some((before, after)) = rest.split_once("${") {
            text.push_str(before);
            let (name, after) = after
                .split_once('}')
                .ok_or_else(|| TemplateError::invalid(&format!("Fn::Sub {pattern}"), "has a ${ without its }"))?;
            rest = after;
            if let Some(literal) = name.strip_prefix('!') {
                text.extend(["${", literal, "}"]);
            } else if let Some(value) = names.get(name) {
                text.push_str(&self.text(value)?);
            } else if let (Some((id, attribute)), false) = (name.split_once('.'), name.starts_with("AWS::")) {
                text.push_str(&text_of(&self.attribute(id, attribute)?));
            } else {
                text.push_str(&text_of(&self.reference(name)?.unwrap_or_default()));
            }
        }
        text.push_str(rest);
        Ok(Value::String(text))
    }
}

/// The function and its argument, when `map` is a call of one.
fn intrinsic(map: &Map<String, Value>) -> Option<(&str, &Value)> {
    let mut entries = map.iter();
    match (entries.next(), entries.next()) {
        (Some((name, argument)), None) if name == "Ref" || name.starts_with("Fn::") => Some((name, argument)),
        // `Condition: X` is also a property of resources and of policies; as a function its argument is a text.
        (Some((name, argument)), None) if name == "Condition" && argument.is_string() => Some((name, argument)),
        _ => None,
    }
}

fn typed(declared: &Value, chosen: Value) -> Value {
    let kind = declared.get("Type").and_then(Value::as_str).unwrap_or_default();
    match chosen {
        Value::String(text) if kind == "CommaDelimitedList" || kind.starts_with("List<") => {
            text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(Value::from).collect()
        }
        other => other,
    }
}

fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn scope() -> Scope {
        let template = Template::parse(
            "Parameters:\n  Stage: {Type: String, Default: dev}\n  Url: {Type: String, Default: ''}\n\
             \x20 Subnets: {Type: CommaDelimitedList, Default: 'a, b'}\n\
             Mappings:\n  Memory:\n    local: {Size: 128}\n\
             Conditions:\n  Both: !And [!Condition HasUrl, !Equals [!Ref Stage, local]]\n\
             \x20 HasUrl: !Not [!Equals [!Ref Url, '']]\n  Neither: !Or [!Equals [a, b], !Not [!Condition Both]]\n\
             Resources: {}\n",
        )
        .unwrap();
        let given = BTreeMap::from([("Stage".to_owned(), "local".to_owned()), ("Url".to_owned(), "x".to_owned())]);
        let attributes = BTreeMap::from([("Arn".to_owned(), "arn:aws:sqs:q".to_owned())]);
        let resources =
            BTreeMap::from([("Clicks".to_owned(), Resource { id: "http://localhost/q".to_owned(), attributes })]);
        Scope::new(&template, "tenfold-local", &given).unwrap().with_resources(resources)
    }

    #[test]
    fn conditions_are_evaluated_in_any_order() {
        let scope = scope();
        assert!(scope.holds("HasUrl").unwrap());
        assert!(scope.holds("Both").unwrap());
        assert!(!scope.holds("Neither").unwrap());
    }

    #[test]
    fn functions_are_replaced_by_what_they_stand_for() {
        let scope = scope();
        let value = json!({
            "url": {"Ref": "Clicks"},
            "arn": {"Fn::GetAtt": ["Clicks", "Arn"]},
            "gone": {"Ref": "AWS::NoValue"},
            "sub": {"Fn::Sub": "${Stage}/${Clicks.Arn}/${AWS::Region}/${!raw}"},
            "named": {"Fn::Sub": ["${a}", {"a": {"Ref": "Stage"}}]},
            "joined": {"Fn::Join": ["-", ["x", {"Fn::If": ["Both", {"Ref": "Stage"}, "no"]}]]},
            "second": {"Fn::Select": ["1", {"Ref": "Subnets"}]},
            "memory": {"Fn::FindInMap": ["Memory", {"Ref": "Stage"}, "Size"]},
        });
        let expected = json!({
            "url": "http://localhost/q",
            "arn": "arn:aws:sqs:q",
            "sub": "local/arn:aws:sqs:q/us-east-1/${raw}",
            "named": "local",
            "joined": "x-local",
            "second": "b",
            "memory": 128,
        });
        assert_eq!(scope.resolve(&value).unwrap().unwrap(), expected);
    }

    #[test]
    fn what_is_missing_is_named() {
        let message = scope().resolve(&json!({"Ref": "Nothing"})).unwrap_err().to_string();
        assert!(message.contains("Nothing"), "{message}");
        let message = scope().resolve(&json!({"Fn::GetAtt": ["Clicks", "Size"]})).unwrap_err().to_string();
        assert!(message.contains("Clicks") && message.contains("Size"), "{message}");
    }
}
