//! What clients, event sources and developers may rely on, proved through the doors that they use.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    missing_docs
)]

mod access;
mod asvs;
mod auth_account;
mod auth_api_keys;
mod auth_bad_input;
mod auth_clients;
mod auth_enumeration;
mod auth_factors;
mod auth_faults;
mod auth_login;
mod auth_mail;
mod auth_oauth;
mod auth_passkeys;
mod auth_password;
mod auth_refresh;
mod auth_roles;
mod auth_sessions;
mod auth_signup;
mod auth_social;
mod auth_strangers;
mod auth_sweeper;
mod auth_tenant;
mod auth_users;
mod builds;
mod clicks;
mod conventions;
mod cors;
mod credentials;
mod deployed;
mod discovery;
mod events;
mod failures;
mod faults;
mod handlers;
mod health;
mod idempotency;
mod jobs;
mod jobs_api;
mod jobs_bad_input;
mod jobs_batches;
mod jobs_dead;
mod jobs_delivery;
mod jobs_export;
mod jobs_faults;
mod jobs_images;
mod jobs_limits;
mod jobs_list;
mod jobs_mails;
mod jobs_once;
mod jobs_payloads;
mod jobs_pull;
mod jobs_queues;
mod jobs_repeats;
mod jobs_reports;
mod jobs_schedules;
mod jobs_statistics;
mod jobs_ticks;
mod jobs_workflows;
mod key_limits;
mod keys;
mod later;
mod limits;
mod link;
mod link_list;
mod link_parts;
mod links_api;
mod local_dynamo;
mod logs;
mod notes;
mod openapi;
mod openapi_breaking;
mod outbound;
mod own_accounts;
mod own_auth;
mod own_oauth;
mod own_schedules;
mod own_tenant;
mod pages;
mod password_tries;
mod postgres;
mod preconditions;
mod queue_consumer;
mod redirect;
mod reference;
mod resources;
mod revocations;
mod sandbox;
mod signing;
mod signing_keys;
mod slugs;
mod smoke;
mod template;
mod tokens;
mod versions;
mod versions_pins;
