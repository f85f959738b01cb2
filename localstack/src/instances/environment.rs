//! The variables of a function: what its block of the template declares, resolved to what was deployed here, and what
//! Lambda itself sets.

use std::collections::BTreeMap;

use serde_json::Value;
use shared::config::Environment;

use crate::clients::ACCESS_KEY;
use crate::template::{DeclaredFunction, REGION, Scope, TemplateError};

/// Where the parts of this stack are.
#[derive(Clone, Debug)]
pub(crate) struct Addresses {
    /// The stack's own URL.
    pub(crate) url: String,
    /// The AWS APIs.
    pub(crate) aws_endpoint: String,
    /// The database.
    pub(crate) database_url: String,
    /// The cache.
    pub(crate) redis_url: String,
    /// Where mail goes: a folder, as a URL.
    pub(crate) mail_url: String,
}

/// The secret that the `DatabaseUrl` parameter names locally.
const DATABASE_SECRET: &str = "tenfold-local-database-url";
/// The secret that the `RedisUrl` parameter names locally.
const REDIS_SECRET: &str = "tenfold-local-redis-url";
/// The secret that the `MailUrl` parameter names locally.
const MAIL_SECRET: &str = "tenfold-local-mail-url";

/// The parameters with which the local stack deploys the template's resources; the others keep their defaults. `PublicUrl` is
/// none of them: with it, another port would look like another template.
pub(crate) fn parameters() -> BTreeMap<String, String> {
    let given = [
        ("Stage", "local"),
        ("DatabaseUrl", DATABASE_SECRET),
        ("RedisUrl", REDIS_SECRET),
        ("MailUrl", MAIL_SECRET),
        // Nothing but this machine is there to be asked, and nothing on it has to be kept from its owner.
        ("OutboundLoopback", "true"),
    ];
    given.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

/// The same for its functions, which clients reach at `url`.
pub(crate) fn parameters_at(url: &str) -> BTreeMap<String, String> {
    let mut parameters = parameters();
    parameters.insert("PublicUrl".to_owned(), url.to_owned());
    parameters
}

/// The environment of `function`.
pub(crate) fn environment_of(
    function: &DeclaredFunction,
    scope: &Scope,
    addresses: &Addresses,
) -> Result<Environment, TemplateError> {
    let mut variables: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in &function.variables {
        variables
            .insert(name.clone(), variable(value, scope, addresses).map_err(|error| named(function, name, &error))?);
    }
    let platform = [
        ("AWS_REGION", REGION),
        ("AWS_DEFAULT_REGION", REGION),
        ("AWS_ACCESS_KEY_ID", ACCESS_KEY),
        ("AWS_SECRET_ACCESS_KEY", ACCESS_KEY),
        ("AWS_ENDPOINT_URL", &addresses.aws_endpoint),
        ("AWS_LAMBDA_FUNCTION_NAME", &function.logical_id),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", &function.memory.to_string()),
        ("_HANDLER", &function.handler),
    ];
    variables.extend(platform.map(|(name, value)| (name.to_owned(), value.to_owned())));
    Ok(variables.into_iter().collect())
}

fn variable(value: &Value, scope: &Scope, addresses: &Addresses) -> Result<String, TemplateError> {
    let text = scope.text(value)?;
    let secrets = [
        (DATABASE_SECRET, &addresses.database_url),
        (REDIS_SECRET, &addresses.redis_url),
        (MAIL_SECRET, &addresses.mail_url),
    ];
    for (secret, url) in secrets {
        let dynamic = text.starts_with("{{resolve:") && text.ends_with("}}") && text.contains(secret);
        if dynamic || text == secret {
            return Ok(url.clone());
        }
    }
    if text.contains("{{resolve:") {
        return Err(TemplateError::invalid(&text, "is a secret that the local stack does not have"));
    }
    Ok(text)
}

fn named(function: &DeclaredFunction, variable: &str, error: &TemplateError) -> TemplateError {
    TemplateError::invalid(&format!("{}, variable {variable}", function.logical_id), error.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::template::{Resource, Template};

    fn environment(resources: &[(&str, &str)]) -> Result<Environment, TemplateError> {
        let template = Template::parse(include_str!("../template/example.yaml")).unwrap();
        let resources = resources
            .iter()
            .map(|(id, physical)| ((*id).to_owned(), Resource { id: (*physical).to_owned(), ..Resource::default() }));
        let parameters = parameters_at("http://127.0.0.1:9000");
        let scope = Scope::new(&template, "tenfold-local", &parameters).unwrap().with_resources(resources.collect());
        let function = template.functions(&scope).unwrap().into_iter().find(|f| f.handler == "links.api").unwrap();
        let addresses = Addresses {
            url: "http://127.0.0.1:9000".to_owned(),
            aws_endpoint: "http://127.0.0.1:4566".to_owned(),
            database_url: "postgres://local".to_owned(),
            redis_url: "redis://local".to_owned(),
            mail_url: "file:///mail".to_owned(),
        };
        environment_of(&function, &scope, &addresses)
    }

    #[test]
    fn a_function_gets_what_the_template_declares_and_what_lambda_sets() {
        let environment =
            environment(&[("LinksTable", "links-1"), ("ClicksQueue", "http://127.0.0.1:4566/0/q")]).unwrap();
        for (name, value) in [
            ("STAGE", "local"),
            ("LINKS_TABLE", "links-1"),
            ("CLICKS_QUEUE", "http://127.0.0.1:4566/0/q"),
            ("PUBLIC_URL", "http://127.0.0.1:9000"),
            ("TOKEN_ISSUER", "http://127.0.0.1:9000"),
            ("DATABASE_URL", "postgres://local"),
            ("_HANDLER", "links.api"),
            ("AWS_LAMBDA_FUNCTION_NAME", "ApiFunction"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:4566"),
        ] {
            assert_eq!(environment.get(name), Some(value), "{name}");
        }
    }

    #[test]
    fn a_resource_that_was_not_deployed_is_named() {
        let message = environment(&[("LinksTable", "links-1")]).unwrap_err().to_string();
        assert!(message.contains("ApiFunction") && message.contains("CLICKS_QUEUE") && message.contains("ClicksQueue"));
    }
}
