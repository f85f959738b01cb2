//! Identity: who a user is, in which tenants, and what proves it.
//!
//! | module | what it is about |
//! |---|---|
//! | [`user`], [`email`], [`password`] | a person with an address |
//! | [`tenant`], [`membership`] | what the person belongs to, and as what |
//! | [`session`], [`one_time`], [`issue`] | what proves somebody between requests, and between steps |
//! | [`factor`] | second factors and passkeys |
//! | [`key_ring`], [`signer`], [`keys`] | the keys that sign access tokens; `auth.keys` rotates them |
//! | [`seal`] | what is stored and not for whoever reads the tables |
//! | [`discovery`] | `auth.discovery`: the public keys and metadata |
//! | [`oauth`] | tokens for machines and applications, who their users are, revocation, introspection |
//! | [`social`] | `auth.social`: signing in by another provider |
//! | [`foreign_token`] | id tokens of providers and assertions of clients: what others signed |
//! | [`throttle`] | slows guessing down |
//! | [`audit`] | what happened, for the tenant to read |
//! | [`pages`] | `auth.pages`: where links in mails lead without an application of the owner's |
//! | [`mail`] | `auth.mail`: what is written to users, from a queue, by templates |
//! | [`erasure`], [`sweeper`] | deleting accounts; `auth.sweeper` does the rest of it each hour |
//! | [`store`] | the accounts table |
//! | [`admin`] | `auth.admin`: the first owner of a tenant |
//! | [`api`], [`view`] | `auth.api`: signing up, in and out; one's own account |
//! | [`users`] | `auth.users`: members, roles, API keys, OAuth clients, mails, settings and the audit trail, for administrators |
//! | [`export`] | `auth.export`: what the export of a tenant has of identity |

pub mod admin;
pub mod api;
pub mod app;
pub mod audit;
pub mod discovery;
pub mod email;
pub mod erasure;
pub mod export;
pub mod factor;
pub mod first_tenant;
pub mod foreign_token;
pub mod issue;
pub mod key_ring;
pub mod keys;
pub mod mail;
pub mod membership;
pub mod oauth;
pub mod one_time;
pub mod pages;
pub mod password;
pub mod seal;
pub mod session;
pub mod signer;
pub mod social;
pub mod store;
pub mod sweeper;
pub mod tenant;
pub mod throttle;
pub mod user;
pub mod users;
pub mod view;

use shared::lambda::Service;

/// The functions of this service.
pub static SERVICE: Service = Service {
    name: "auth",
    functions: &[
        ("auth.admin", admin::function),
        ("auth.api", api::function),
        ("auth.discovery", discovery::function),
        ("auth.export", export::function),
        ("auth.keys", keys::function),
        ("auth.mail", mail::worker::function),
        ("auth.oauth", oauth::function),
        ("auth.pages", pages::function),
        ("auth.social", social::function),
        ("auth.sweeper", sweeper::function),
        ("auth.users", users::function),
    ],
};
