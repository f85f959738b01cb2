//! A template's conditions, in whatever order they are declared.

use serde_json::{Map, Value};

use super::Scope;
use crate::template::TemplateError;

impl Scope {
    /// Evaluates the condition called `name`, those that it names first. `depth` bounds a circle.
    pub(super) fn declare(&mut self, name: &str, all: &Map<String, Value>, depth: usize) -> Result<(), TemplateError> {
        if self.conditions.contains_key(name) {
            return Ok(());
        }
        let Some(definition) = all.get(name).filter(|_| depth <= all.len()) else {
            return Err(TemplateError::invalid(name, "is no condition, or is defined by itself"));
        };
        let mut named = Vec::new();
        conditions_in(definition, &mut named);
        for other in named {
            self.declare(other, all, depth + 1)?;
        }
        let held = self.truth(definition)?;
        self.conditions.insert(name.to_owned(), held);
        Ok(())
    }

    fn truth(&self, value: &Value) -> Result<bool, TemplateError> {
        match self.resolve(value)? {
            Some(Value::Bool(held)) => Ok(held),
            Some(Value::String(text)) if text == "true" || text == "false" => Ok(text == "true"),
            _ => Err(TemplateError::invalid(&value.to_string(), "is neither true nor false")),
        }
    }

    pub(super) fn test(&self, function: &str, argument: &Value) -> Result<bool, TemplateError> {
        let items = argument.as_array().map(Vec::as_slice).unwrap_or_default();
        match (function, items) {
            ("Condition", _) => self.holds(argument.as_str().unwrap_or_default()),
            ("Fn::Equals", [left, right]) => Ok(self.text(left)? == self.text(right)?),
            ("Fn::Not", [inner]) => Ok(!self.truth(inner)?),
            ("Fn::And", list) => list.iter().try_fold(true, |held, inner| Ok(self.truth(inner)? && held)),
            ("Fn::Or", list) => list.iter().try_fold(false, |held, inner| Ok(self.truth(inner)? || held)),
            _ => Err(TemplateError::invalid(&format!("{function} {argument}"), "has the wrong arguments")),
        }
    }
}

fn conditions_in<'a>(value: &'a Value, named: &mut Vec<&'a str>) {
    match value {
        Value::Object(map) => {
            for (name, inner) in map {
                match (name.as_str(), inner) {
                    ("Condition", Value::String(other)) => named.push(other),
                    _ => conditions_in(inner, named),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| conditions_in(item, named)),
        _ => {}
    }
}
