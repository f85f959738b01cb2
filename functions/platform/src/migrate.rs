//! `platform.migrate`: applies all services' Postgres migrations.
//!
//! Whoever deploys a release gives this function its new code first and invokes it, before the new code of the others takes
//! traffic (docs/operations.md), and the local stack does the same. It answers `{"postgres": "migrated", "applied": 2, "services": {"platform": 2}}`, the numbers being
//! those of this time, or `{"postgres": "off", "applied": 0}` where no database is configured. A failure fails the
//! invocation: the deployment stops, and what was applied before it stays.
//!
//! Its `DATABASE_URL` leads to the server itself and not to a transaction pooler, with a user who may create roles and
//! schemas: see [`shared::postgres::Migrations::apply`].

use serde_json::{Map, Value, json};
use shared::config::Secret;
use shared::lambda::{Function, Runtime};
use shared::postgres::{MigrationError, Migrations};
use shared::{BoxError, BoxFuture};

/// The platform's own: what the tables of all services need.
pub const PLATFORM: Migrations =
    Migrations { service: "platform", scripts: &[("0001_roles.sql", include_str!("../migrations/0001_roles.sql"))] };

/// Those of notes. They lie in their service's folder.
pub const NOTES: Migrations = Migrations {
    service: "notes",
    scripts: &[
        ("0001_notes.sql", include_str!("../../notes/migrations/0001_notes.sql")),
        ("0002_settings.sql", include_str!("../../notes/migrations/0002_settings.sql")),
        ("0003_events.sql", include_str!("../../notes/migrations/0003_events.sql")),
        ("0004_removed_users.sql", include_str!("../../notes/migrations/0004_removed_users.sql")),
    ],
};

/// All services' migrations, in the order in which they are applied: the platform's come first.
pub const ALL: &[Migrations] = &[PLATFORM, NOTES];

/// Builds the function. It reads `DATABASE_URL`, which may be absent.
pub fn build(runtime: Runtime) -> BoxFuture<'static, Result<Function, BoxError>> {
    Box::pin(async move {
        let mut reader = runtime.environment.reader();
        let url: Option<Secret> = reader.optional("DATABASE_URL");
        reader.finish()?;
        Ok(Function::event(runtime.deferred, move |_event, _context| {
            let url = url.clone();
            async move { Ok(apply(url.as_ref(), ALL).await?) }
        }))
    })
}

/// Applies `all` to the database at `url`, and says what was done.
pub async fn apply(url: Option<&Secret>, all: &[Migrations]) -> Result<Value, MigrationError> {
    let Some(url) = url else {
        return Ok(json!({"postgres": "off", "applied": 0}));
    };
    let mut services = Map::new();
    let mut applied = 0;
    for migrations in all {
        let count = migrations.apply(url).await?;
        tracing::info!(service = migrations.service, applied = count, "the migrations were applied");
        services.insert(migrations.service.to_owned(), count.into());
        applied += count;
    }
    Ok(json!({"postgres": "migrated", "applied": applied, "services": services}))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn without_a_database_it_says_so() {
        assert_eq!(apply(None, ALL).await.unwrap(), json!({"postgres": "off", "applied": 0}));
    }

    #[test]
    fn every_script_of_the_folder_is_listed() {
        for migrations in ALL {
            let folder = format!("{}/../{}/migrations", env!("CARGO_MANIFEST_DIR"), migrations.service);
            let files = std::fs::read_dir(folder).unwrap();
            let mut files: Vec<_> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
            files.sort();
            let listed: Vec<_> = migrations.scripts.iter().map(|(name, _)| (*name).to_owned()).collect();
            assert_eq!(files, listed);
        }
    }
}
