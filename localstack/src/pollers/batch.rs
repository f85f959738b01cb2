//! What a function's answer says about its batch
//! (<https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html>).

use std::collections::BTreeSet;

use serde_json::Value;
use serde_json::value::RawValue;

/// How a batch ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// All of it is done.
    Done,
    /// All but these is done.
    Failed(BTreeSet<String>),
    /// None of it is done.
    AllFailed,
}

/// Reads the answer of a function that reports partial failures about a batch with these `ids`. An answer that
/// cannot be trusted (an identifier that is empty, missing or not of the batch) fails the whole batch.
pub(super) fn outcome(answer: &RawValue, ids: &BTreeSet<&str>) -> Outcome {
    let Ok(answer) = serde_json::from_str::<Value>(answer.get()) else { return Outcome::AllFailed };
    let failures = match &answer {
        Value::Null => return Outcome::Done,
        Value::String(text) if text.is_empty() => return Outcome::Done,
        Value::Object(fields) => match fields.get("batchItemFailures") {
            None | Some(Value::Null) => return Outcome::Done,
            Some(Value::Array(failures)) => failures,
            Some(_) => return Outcome::AllFailed,
        },
        _ => return Outcome::AllFailed,
    };
    let mut failed = BTreeSet::new();
    for failure in failures {
        match failure.get("itemIdentifier").and_then(Value::as_str) {
            Some(id) if ids.contains(id) => failed.insert(id.to_owned()),
            _ => return Outcome::AllFailed,
        };
    }
    if failed.is_empty() { Outcome::Done } else { Outcome::Failed(failed) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn of(answer: &Value) -> Outcome {
        outcome(&serde_json::value::to_raw_value(answer).unwrap(), &BTreeSet::from(["a", "b"]))
    }

    #[test]
    fn nothing_reported_is_success() {
        for answer in
            [json!(null), json!({}), json!({"batchItemFailures": null}), json!({"batchItemFailures": []}), json!("")]
        {
            assert_eq!(of(&answer), Outcome::Done, "{answer}");
        }
    }

    #[test]
    fn only_the_reported_ones_failed() {
        let answer = json!({"batchItemFailures": [{"itemIdentifier": "b"}]});
        assert_eq!(of(&answer), Outcome::Failed(BTreeSet::from(["b".to_owned()])));
    }

    #[test]
    fn a_report_that_cannot_be_trusted_fails_all() {
        for failure in [
            json!({"itemIdentifier": ""}),
            json!({"itemIdentifier": null}),
            json!({"id": "a"}),
            json!({"itemIdentifier": "c"}),
            json!("a"),
        ] {
            let answer = json!({"batchItemFailures": [{"itemIdentifier": "a"}, failure]});
            assert_eq!(of(&answer), Outcome::AllFailed, "{answer}");
        }
        assert_eq!(of(&json!({"batchItemFailures": "a"})), Outcome::AllFailed);
        assert_eq!(of(&json!([1])), Outcome::AllFailed);
    }
}
