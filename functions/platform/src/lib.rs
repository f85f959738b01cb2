//! What all services stand on: sending later, publishing from the outbox, migrations, the description of the API.
//!
//! | function | what it does |
//! |---|---|
//! | `platform.scheduler` | each minute, hands what is due soon in the due index to SQS ([`scheduler`]) |
//! | `platform.relay` | publishes the events that items carry, from a table's stream ([`relay`]) |
//! | `platform.migrate` | applies all services' Postgres migrations when a release is deployed ([`migrate`]) |
//! | `platform.keys` | makes API keys for whoever runs the deployment ([`keys`]) |
//! | `platform.documents` | serves the OpenAPI documents, the reference page and the changelog ([`documents`]) |
//! | `platform.versions` | tells of the versions of the API, and of who uses what is deprecated ([`versions`]) |

pub mod batch;
pub mod documents;
pub mod due;
pub mod keys;
pub mod migrate;
pub mod outbox;
pub mod relay;
pub mod scheduler;
pub mod versions;

use shared::lambda::Service;

/// The service.
pub static SERVICE: Service = Service {
    name: "platform",
    functions: &[
        ("platform.scheduler", scheduler::build),
        ("platform.relay", relay::build),
        ("platform.migrate", migrate::build),
        ("platform.keys", keys::build),
        ("platform.documents", documents::build),
        ("platform.versions", versions::build),
    ],
};
