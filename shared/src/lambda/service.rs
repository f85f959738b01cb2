//! A service: its functions by the names that `Handler:` in the template may say.

use super::{Function, Runtime};
use crate::config::{ConfigError, Environment};
use crate::identity::access;
use crate::{BoxError, BoxFuture};

/// Builds one function; run once for each instance, so what it reads is paid at a cold start only. It connects to
/// nothing: also a function whose configuration is refused is built to its end.
pub type Build = fn(Runtime) -> BoxFuture<'static, Result<Function, BoxError>>;

/// A service: its name and its functions by theirs.
#[derive(Debug)]
pub struct Service {
    /// The crate's name: the part of `Handler:` before the dot, and the name of the binary.
    pub name: &'static str,
    /// The functions by full name (`links.api`).
    pub functions: &'static [(&'static str, Build)],
}

impl Service {
    /// The function that `handler` names: by its full name (`links.api`), or by the id of one of its operations
    /// (`links.create_link`).
    pub fn function(&self, handler: &str) -> Option<(&'static str, Build)> {
        let named = |full: &str| self.functions.iter().copied().find(|(name, _)| *name == full);
        named(handler).or_else(|| {
            let operation = handler.strip_prefix(self.name)?.strip_prefix('.')?;
            named(access::function_of(operation)?)
        })
    }

    /// Builds the function that `handler` names.
    ///
    /// # Errors
    /// Nothing has that name; or [`StartError::Config`], with all that is missing in the environment or bad in it.
    pub async fn build(&self, handler: &str, environment: Environment) -> Result<Function, StartError> {
        self.build_with(handler, |name| Runtime::new(name, environment.collecting())).await
    }

    /// Builds the function that `handler` names from the runtime that `runtime_of` makes for it.
    pub async fn build_with(
        &self,
        handler: &str,
        runtime_of: impl FnOnce(&'static str) -> Result<Runtime, ConfigError> + Send,
    ) -> Result<Function, StartError> {
        let (name, build) = self.function(handler).ok_or_else(|| self.unknown(handler))?;
        let runtime = runtime_of(name)?;
        let environment = runtime.environment.clone();
        let function = build(runtime).await;
        let faults = environment.collected();
        if !faults.is_empty() {
            return Err(ConfigError::new(faults, function.err()).into());
        }
        function.map_err(|source| StartError::Build { handler: name, source })
    }

    fn unknown(&self, handler: &str) -> StartError {
        let functions = self.functions.iter().map(|(name, _)| (*name).to_owned());
        let own = |function: &str| self.functions.iter().any(|(name, _)| *name == function);
        let operations = access::rows()
            .filter(|(function, ..)| own(function))
            .map(|(_, operation, _)| format!("{}.{operation}", self.name));
        let known: Vec<_> = functions.chain(operations).collect();
        StartError::UnknownHandler { handler: handler.to_owned(), service: self.name, known: known.join(", ") }
    }
}

/// Why a function did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// `_HANDLER` names nothing of this service.
    #[error("the service {service} has no function {handler:?}; it has {known}")]
    UnknownHandler {
        /// What was asked for.
        handler: String,
        /// The service asked.
        service: &'static str,
        /// What might have been asked for.
        known: String,
    },
    /// The environment is incomplete.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The function's own start failed.
    #[error("{handler} could not start")]
    Build {
        /// The function.
        handler: &'static str,
        /// Why.
        source: BoxError,
    },
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::identity::Authenticator;
    use crate::limits::Policy;

    /// It reads four groups of values: the clients', its own, the authenticator's and the origins of CORS.
    fn reads_much(runtime: Runtime) -> BoxFuture<'static, Result<Function, BoxError>> {
        Box::pin(async move {
            let mut reader = runtime.environment.reader();
            let quota: u32 = reader.required("QUOTA");
            let _: String = reader.required("IDENTITY_TABLE");
            reader.finish()?;
            Policy::new("many", quota, std::time::Duration::from_secs(1), quota)?;
            Authenticator::new(&runtime)?;
            Ok(Function::http(&runtime, axum::Router::new().route("/", axum::routing::get(async || "here"))))
        })
    }

    fn fails(_: Runtime) -> BoxFuture<'static, Result<Function, BoxError>> {
        Box::pin(async { Err("it is the wrong day".into()) })
    }

    static SERVICE: Service =
        Service { name: "links", functions: &[("links.api", reads_much), ("links.other", fails)] };

    fn environment(variables: &[(&str, &str)]) -> Environment {
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    const CLIENTS: [(&str, &str); 3] =
        [("AWS_REGION", "us-east-1"), ("AWS_ACCESS_KEY_ID", "x"), ("AWS_SECRET_ACCESS_KEY", "x")];

    async fn refusal(handler: &str, variables: &[(&str, &str)]) -> String {
        crate::telemetry::chain(&SERVICE.build(handler, environment(variables)).await.unwrap_err())
    }

    #[tokio::test]
    async fn one_error_tells_all_that_is_missing_or_bad_whichever_part_reads_it() {
        let told = refusal("links.api", &[("AWS_REGION", "us-east-1"), ("CORS_ORIGINS", "app.example")]).await;
        let faults = told.strip_prefix("the configuration has 7 fault(s): ").unwrap();
        let expected = [
            "AWS_ACCESS_KEY_ID is not set",
            "AWS_SECRET_ACCESS_KEY is not set",
            "QUOTA is not set",
            "IDENTITY_TABLE is not set",
            "TOKEN_ISSUER is not set",
            "TOKEN_AUDIENCE is not set",
            "CORS_ORIGINS is not valid: entry 1 is no origin, such as https://app.example.com",
        ];
        assert_eq!(faults.split("; ").collect::<Vec<_>>(), expected);
    }

    #[tokio::test]
    async fn a_complete_environment_is_taken_and_another_failure_is_told_as_such() {
        let own = [("QUOTA", "7"), ("IDENTITY_TABLE", "t"), ("TOKEN_ISSUER", "i"), ("TOKEN_AUDIENCE", "a")];
        SERVICE.build("links.api", environment(&[&CLIENTS[..], &own[..]].concat())).await.unwrap();
        assert_eq!(refusal("links.other", &CLIENTS).await, "links.other could not start: it is the wrong day");
        // Besides what is missing.
        let told = refusal("links.other", &CLIENTS[..2]).await;
        assert_eq!(told, "the configuration has 1 fault(s): AWS_SECRET_ACCESS_KEY is not set: it is the wrong day");
    }

    #[tokio::test]
    async fn a_function_is_found_by_its_operations_and_an_unknown_name_is_told_what_there_is() {
        let named = |handler| SERVICE.function(handler).map(|(name, _)| name);
        assert_eq!(named("links.api"), Some("links.api"));
        assert_eq!(named("links.create_link"), Some("links.api"));
        // Of another function that is not here, of another service, of none.
        for unknown in ["links.follow_link", "links.create_job", "jobs.create_link", "create_link", "links.", ""] {
            assert_eq!(named(unknown), None, "{unknown}");
        }
        let told = refusal("links.creat_link", &CLIENTS).await;
        let known = told.strip_prefix("the service links has no function \"links.creat_link\"; it has ").unwrap();
        assert!(known.starts_with("links.api, links.other, links.list_links, links.create_link, "), "{told}");
        assert!(!known.contains("follow_link") && !known.contains("job"), "{told}");
    }
}
