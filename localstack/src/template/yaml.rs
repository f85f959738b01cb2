//! YAML with CloudFormation's short tags, read into the long form that JSON templates use: `!Ref Links` becomes
//! `{"Ref": "Links"}` and `!GetAtt Links.Arn` becomes `{"Fn::GetAtt": ["Links", "Arn"]}`
//! (<https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference.html>).

use saphyr::{LoadableYamlNode as _, Scalar, Yaml};
use serde_json::{Map, Number, Value, json};

use super::TemplateError;

/// Reads one document. Aliases, floats that JSON cannot hold and keys that are not texts are refused.
pub(super) fn read(text: &str) -> Result<Value, TemplateError> {
    let documents = Yaml::load_from_str(text).map_err(|source| TemplateError::Yaml { source })?;
    match documents.as_slice() {
        [document] => value(document),
        other => Err(TemplateError::invalid("the template", format!("has {} documents, not one", other.len()))),
    }
}

fn value(node: &Yaml<'_>) -> Result<Value, TemplateError> {
    match node {
        Yaml::Value(scalar) => Ok(scalar_value(scalar)),
        Yaml::Representation(text, ..) => Ok(Value::String(text.to_string())),
        Yaml::Sequence(items) => items.iter().map(value).collect(),
        Yaml::Mapping(entries) => {
            let mut map = Map::new();
            for (name, inner) in entries {
                map.insert(key(name)?, value(inner)?);
            }
            Ok(Value::Object(map))
        }
        Yaml::Tagged(tag, inner) if tag.handle == "!" => long_form(&tag.suffix, value(inner)?),
        Yaml::Tagged(tag, _) => Err(TemplateError::invalid(&tag.to_string(), "is not a CloudFormation tag")),
        Yaml::Alias(_) | Yaml::BadValue => Err(TemplateError::invalid("the template", "has an alias or a bad value")),
    }
}

fn scalar_value(scalar: &Scalar<'_>) -> Value {
    match scalar {
        Scalar::Null => Value::Null,
        Scalar::Boolean(flag) => Value::Bool(*flag),
        Scalar::Integer(number) => Value::from(*number),
        Scalar::FloatingPoint(number) => Number::from_f64(number.into_inner()).map_or(Value::Null, Value::Number),
        Scalar::String(text) => Value::String(text.to_string()),
    }
}

fn key(node: &Yaml<'_>) -> Result<String, TemplateError> {
    match node {
        Yaml::Value(Scalar::String(text)) | Yaml::Representation(text, ..) => Ok(text.to_string()),
        Yaml::Value(Scalar::Integer(number)) => Ok(number.to_string()),
        Yaml::Value(Scalar::Boolean(flag)) => Ok(flag.to_string()),
        other => Err(TemplateError::invalid("the template", format!("has the key {other:?}, which is no text"))),
    }
}

fn long_form(tag: &str, argument: Value) -> Result<Value, TemplateError> {
    match tag {
        "Ref" | "Condition" => Ok(json!({ tag: argument })),
        "GetAtt" => {
            let path = match argument {
                Value::String(text) => match text.split_once('.') {
                    Some((resource, attribute)) => json!([resource, attribute]),
                    None => return Err(TemplateError::invalid(&format!("!GetAtt {text}"), "names no attribute")),
                },
                list => list,
            };
            Ok(json!({ "Fn::GetAtt": path }))
        }
        "And" | "Base64" | "Cidr" | "Equals" | "FindInMap" | "GetAZs" | "If" | "ImportValue" | "Join" | "Length"
        | "Not" | "Or" | "Select" | "Split" | "Sub" | "ToJsonString" | "Transform" => {
            Ok(json!({ format!("Fn::{tag}"): argument }))
        }
        other => Err(TemplateError::invalid(&format!("!{other}"), "is not a CloudFormation tag")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn short_tags_become_their_long_forms() {
        let document = read(
            "a: !Ref Links\nb: !GetAtt Links.Arn\nc: !GetAtt [Links, StreamArn]\n\
             d: !If [HasDb, !Sub '${Stage}-x', !Ref 'AWS::NoValue']\ne: !Equals [!Ref Stage, prod]\n\
             f: !Not [!Condition HasDb]\ng: !Join ['-', [a, !Select [0, [b]]]]\nh: 12\ni: true\nj: '012'\n",
        )
        .unwrap();
        let expected = json!({
            "a": {"Ref": "Links"},
            "b": {"Fn::GetAtt": ["Links", "Arn"]},
            "c": {"Fn::GetAtt": ["Links", "StreamArn"]},
            "d": {"Fn::If": ["HasDb", {"Fn::Sub": "${Stage}-x"}, {"Ref": "AWS::NoValue"}]},
            "e": {"Fn::Equals": [{"Ref": "Stage"}, "prod"]},
            "f": {"Fn::Not": [{"Condition": "HasDb"}]},
            "g": {"Fn::Join": ["-", ["a", {"Fn::Select": [0, ["b"]]}]]},
            "h": 12, "i": true, "j": "012",
        });
        assert_eq!(document, expected);
    }

    #[test]
    fn an_unknown_tag_is_named() {
        assert!(read("a: !Reff Links").unwrap_err().to_string().contains("!Reff"));
        assert!(read("a: !GetAtt Links").unwrap_err().to_string().contains("names no attribute"));
        assert!(read("a: [").is_err());
    }

    #[test]
    fn dates_stay_texts() {
        assert_eq!(
            read("Version: 2012-10-17\nFormat: '2010-09-09'").unwrap(),
            json!({"Version": "2012-10-17", "Format": "2010-09-09"})
        );
    }
}
