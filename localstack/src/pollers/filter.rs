//! Which records of a stream a function gets: the event patterns of `FilterCriteria`
//! (<https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html>), of which the local stack knows
//! equality, `exists`, `prefix` and `anything-but`, and refuses the others when it starts.

use serde_json::{Map, Value};

/// Refuses a pattern with an operator that is not known here; the text says which.
pub(crate) fn check(pattern: &Value) -> Result<(), String> {
    let fields = pattern.as_object().ok_or("a pattern is a JSON object")?;
    for (name, inner) in fields {
        if name.starts_with('$') {
            return Err(format!("the pattern's {name} is not known to the local stack"));
        }
        match inner {
            Value::Object(_) => check(inner)?,
            Value::Array(matchers) if !matchers.is_empty() => matchers.iter().try_for_each(check_matcher)?,
            _ => return Err(format!("the pattern's {name} is neither an object nor a list of values")),
        }
    }
    Ok(())
}

fn check_matcher(matcher: &Value) -> Result<(), String> {
    let Some(operator) = matcher.as_object() else {
        return if matcher.is_array() { Err("a list stands in a list".to_owned()) } else { Ok(()) };
    };
    let mut entries = operator.iter();
    let known = match (entries.next(), entries.next()) {
        (Some((name, argument)), None) => match name.as_str() {
            "exists" => argument.is_boolean(),
            "prefix" => argument.is_string(),
            "anything-but" => !argument.is_object(),
            _ => false,
        },
        _ => false,
    };
    if known { Ok(()) } else { Err(format!("the pattern's {matcher} is not known to the local stack")) }
}

/// Whether `event` matches one of `patterns`; without any, everything matches.
pub(super) fn admits(patterns: &[Value], event: &Value) -> bool {
    patterns.is_empty() || patterns.iter().filter_map(Value::as_object).any(|pattern| matches(pattern, Some(event)))
}

fn matches(pattern: &Map<String, Value>, event: Option<&Value>) -> bool {
    pattern.iter().all(|(name, inner)| {
        let found = event.and_then(|event| event.get(name));
        match inner {
            // One and the same element of a list has to match all of it.
            Value::Object(inner) => match found {
                Some(Value::Array(items)) => items.iter().any(|item| matches(inner, Some(item))),
                _ => matches(inner, found),
            },
            Value::Array(matchers) => matchers.iter().any(|matcher| leaf_matches(matcher, found)),
            _ => false,
        }
    })
}

/// A matcher looks at leaves only: an object is none, and of a list each element that is neither object nor list.
fn leaf_matches(matcher: &Value, found: Option<&Value>) -> bool {
    let is_leaf = |value: &&Value| !value.is_object() && !value.is_array();
    let leaves: Vec<&Value> = match found {
        Some(Value::Array(items)) => items.iter().filter(is_leaf).collect(),
        other => other.into_iter().filter(is_leaf).collect(),
    };
    let Some(operator) = matcher.as_object() else { return leaves.contains(&matcher) };
    operator.iter().next().is_some_and(|(name, argument)| match name.as_str() {
        "exists" => leaves.is_empty() != argument.as_bool().unwrap_or_default(),
        "prefix" => leaves.iter().any(|leaf| match (leaf.as_str(), argument.as_str()) {
            (Some(text), Some(prefix)) => text.starts_with(prefix),
            _ => false,
        }),
        "anything-but" => {
            let excluded = argument.as_array().map_or_else(|| std::slice::from_ref(argument), Vec::as_slice);
            leaves.iter().any(|leaf| !excluded.contains(leaf))
        }
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn record() -> Value {
        json!({
            "eventName": "INSERT",
            "dynamodb": {"NewImage": {"kind": {"S": "outbox#1"}, "tries": {"N": "3"}, "tags": {"SS": ["a", "b"]}}},
        })
    }

    fn admitted(pattern: Value) -> bool {
        assert_eq!(check(&pattern), Ok(()));
        admits(&[pattern], &record())
    }

    #[test]
    fn equality_is_any_of_the_listed_values_in_all_of_the_fields() {
        assert!(admits(&[], &record()));
        assert!(admitted(json!({"eventName": ["MODIFY", "INSERT"]})));
        assert!(!admitted(json!({"eventName": ["REMOVE"]})));
        assert!(admitted(json!({"dynamodb": {"NewImage": {"tags": {"SS": ["b"]}}}})));
        assert!(!admitted(json!({"eventName": ["INSERT"], "dynamodb": {"NewImage": {"tries": {"N": ["4"]}}}})));
    }

    #[test]
    fn operators_look_at_leaves() {
        let image = |inner: Value| json!({"dynamodb": {"NewImage": inner}});
        assert!(admitted(image(json!({"kind": {"S": [{"prefix": "outbox#"}]}}))));
        assert!(!admitted(image(json!({"kind": {"S": [{"prefix": "x"}]}}))));
        assert!(admitted(image(json!({"kind": {"S": [{"exists": true}]}}))));
        assert!(!admitted(image(json!({"kind": [{"exists": true}]}))));
        assert!(admitted(image(json!({"other": {"S": [{"exists": false}]}}))));
        assert!(!admitted(image(json!({"kind": {"S": [{"exists": false}]}}))));
        assert!(admitted(image(json!({"tries": {"N": [{"anything-but": ["4", "5"]}]}}))));
        assert!(!admitted(image(json!({"tries": {"N": [{"anything-but": "3"}]}}))));
        assert!(!admitted(image(json!({"other": {"N": [{"anything-but": "3"}]}}))));
    }

    #[test]
    fn lists_of_objects_are_looked_through() {
        let event = json!({"NewImage": {"outbox": {"L": [{"S": "a"}, {"S": "b"}]}}});
        let admits = |pattern| admits(&[json!({"NewImage": {"outbox": pattern}})], &event);
        assert!(admits(json!({"L": {"S": [{"exists": true}]}})));
        assert!(admits(json!({"L": {"S": ["b"]}})));
        assert!(!admits(json!({"L": {"S": ["c"]}})));
        // The list itself is no leaf.
        assert!(!admits(json!({"L": [{"exists": true}]})));
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for pattern in [
            json!({"a": [{"numeric": [">", 1]}]}),
            json!({"$or": [{"a": ["b"]}]}),
            json!({"a": "b"}),
            json!({"a": []}),
            json!(["a"]),
            json!({"a": [{"anything-but": {"prefix": "x"}}]}),
        ] {
            assert!(check(&pattern).is_err(), "{pattern}");
        }
    }
}
