//! What each operation of the API asks of its caller, and which function serves it: one table.
//!
//! A handler enforces its row by the extractor that it takes ([`Caller`](super::Caller), [`Sensitive`](super::Sensitive),
//! [`OpenIdCaller`](super::OpenIdCaller), or none). The OpenAPI document has its security sections, 401s and 403s from
//! here, and a test asks every route as every kind of caller and compares. So an endpoint that lacks a row, or does
//! otherwise than its row says, fails the tests.
//! `Handler:` in the template may name an operation: [`crate::lambda::Service::function`] finds its function here.

use super::permission::{
    ManageClients, ManageJobs, ManageLinks, ManageNotes, ManageRoles, ManageTenant, ManageUsers, Permission,
    ReadAccount, ReadApiKeys, ReadJobs, ReadLinks, ReadNotes, ViewAudit, WriteAccount, WriteApiKeys, WriteJobs,
    WriteLinks, WriteNotes,
};

/// What an operation asks of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nothing: it is for everybody.
    Public,
    /// The credentials of an OAuth client (RFC 6749, section 2.3), and no token.
    OAuthClient {
        /// Whether a request without credentials is let in, too: it has other proofs.
        or_nobody: bool,
    },
    /// The token of an application that acts for a user, with the scope `openid` (OpenID Connect Core 1.0, section 5.3).
    OpenId,
    /// A permission.
    Permitted(Needs),
}

/// What a caller needs besides a valid credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// The name of the permission.
    pub permission: &'static str,
    /// Who is meant.
    pub callers: Callers,
    /// Whether a user must have signed in within [`STEP_UP_WITHIN`](super::STEP_UP_WITHIN), and revocations hold at once.
    pub recent: bool,
}

/// Which kinds of caller an operation is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Callers {
    /// Users, API keys, machine clients, and applications that act for users.
    All,
    /// Users alone: it is about their own account.
    Users,
}

/// Everybody who has the permission.
const fn all<P: Permission>() -> Access {
    Access::Permitted(Needs { permission: P::NAME, callers: Callers::All, recent: false })
}

/// A user who has the permission.
const fn user<P: Permission>() -> Access {
    Access::Permitted(Needs { permission: P::NAME, callers: Callers::Users, recent: false })
}

impl Access {
    /// The same, soon after the sign-in.
    const fn recent(self) -> Self {
        match self {
            Self::Permitted(needs) => Self::Permitted(Needs { recent: true, ..needs }),
            other => other,
        }
    }

    /// The row of an operation.
    pub fn of(operation: &str) -> Option<Self> {
        rows().find(|(_, id, _)| *id == operation).map(|(.., access)| access)
    }
}

/// Every operation by its id in the OpenAPI document, under the function that serves it.
pub const TABLE: &[(&str, &[(&str, Access)])] = &[
    (
        "auth.api",
        &[
            ("sign_up", Access::Public),
            ("verify_email", Access::Public),
            ("resend_verification", Access::Public),
            ("log_in", Access::Public),
            ("prove_second_factor", Access::Public),
            ("begin_second_factor_passkey", Access::Public),
            ("begin_passkey_log_in", Access::Public),
            ("finish_passkey_log_in", Access::Public),
            ("start_passwordless", Access::Public),
            ("finish_passwordless", Access::Public),
            ("forgot_password", Access::Public),
            ("reset_password", Access::Public),
            ("exchange_social_code", Access::Public),
            ("refresh", Access::Public),
            ("log_out", user::<WriteAccount>()),
            ("log_out_everywhere", user::<WriteAccount>()),
            ("step_up", user::<WriteAccount>()),
            ("begin_step_up_passkey", user::<WriteAccount>()),
            ("list_sessions", user::<ReadAccount>()),
            ("end_session", user::<WriteAccount>()),
            ("get_me", user::<ReadAccount>()),
            ("update_me", user::<WriteAccount>()),
            ("delete_me", user::<WriteAccount>().recent()),
            ("change_email", user::<WriteAccount>().recent()),
            ("change_password", user::<WriteAccount>()),
            ("begin_totp", user::<WriteAccount>().recent()),
            ("confirm_totp", user::<WriteAccount>().recent()),
            ("delete_totp", user::<WriteAccount>().recent()),
            ("get_recovery_codes", user::<ReadAccount>()),
            ("create_recovery_codes", user::<WriteAccount>().recent()),
            ("begin_passkey_registration", user::<WriteAccount>().recent()),
            ("finish_passkey_registration", user::<WriteAccount>().recent()),
            ("list_passkeys", user::<ReadAccount>()),
            ("get_passkey", user::<ReadAccount>()),
            ("update_passkey", user::<WriteAccount>()),
            ("delete_passkey", user::<WriteAccount>().recent()),
            ("list_identities", user::<ReadAccount>()),
            ("get_identity", user::<ReadAccount>()),
            ("link_identity", user::<WriteAccount>().recent()),
            ("unlink_identity", user::<WriteAccount>().recent()),
            ("get_authorization", user::<WriteAccount>()),
            ("decide_authorization", user::<WriteAccount>()),
            ("list_grants", user::<ReadAccount>()),
            ("delete_grant", user::<WriteAccount>()),
        ],
    ),
    (
        "auth.social",
        &[
            ("list_providers", Access::Public),
            ("start_social_log_in", Access::Public),
            ("finish_social_log_in", Access::Public),
        ],
    ),
    (
        "auth.oauth",
        // A session's token is proof enough to exchange it and to give it up.
        &[
            ("oauth_authorize", Access::Public),
            ("oauth_authorize_by_form", Access::Public),
            ("oauth_token", Access::OAuthClient { or_nobody: true }),
            ("oauth_revoke", Access::OAuthClient { or_nobody: true }),
            ("oauth_introspect", Access::OAuthClient { or_nobody: false }),
            ("oauth_userinfo", Access::OpenId),
            ("oauth_userinfo_by_post", Access::OpenId),
        ],
    ),
    (
        "auth.discovery",
        &[
            ("jwks", Access::Public),
            ("oauth_authorization_server", Access::Public),
            ("openid_configuration", Access::Public),
        ],
    ),
    (
        "auth.pages",
        &[
            ("verify_email_page", Access::Public),
            ("reset_password_page", Access::Public),
            ("sign_in_page", Access::Public),
            ("authorize_page", Access::Public),
        ],
    ),
    (
        "auth.users",
        &[
            ("list_users", all::<ManageUsers>()),
            ("get_user", all::<ManageUsers>()),
            ("update_user", all::<ManageUsers>().recent()),
            ("remove_user", all::<ManageUsers>().recent()),
            ("end_user_sessions", all::<ManageUsers>().recent()),
            ("list_roles", all::<ManageRoles>()),
            ("create_role", all::<ManageRoles>().recent()),
            ("get_role", all::<ManageRoles>()),
            ("update_role", all::<ManageRoles>().recent()),
            ("delete_role", all::<ManageRoles>().recent()),
            ("get_tenant", all::<ManageTenant>()),
            ("update_tenant", all::<ManageTenant>().recent()),
            ("list_mail_templates", all::<ManageTenant>()),
            ("preview_mail_template", all::<ManageTenant>()),
            ("list_audit", all::<ViewAudit>()),
            ("list_api_keys", all::<ReadApiKeys>()),
            ("create_api_key", all::<WriteApiKeys>().recent()),
            ("get_api_key", all::<ReadApiKeys>()),
            ("update_api_key", all::<WriteApiKeys>()),
            ("revoke_api_key", all::<WriteApiKeys>().recent()),
            ("rotate_api_key", all::<WriteApiKeys>().recent()),
            ("list_oauth_clients", all::<ManageClients>()),
            ("create_oauth_client", all::<ManageClients>().recent()),
            ("get_oauth_client", all::<ManageClients>()),
            ("update_oauth_client", all::<ManageClients>().recent()),
            ("delete_oauth_client", all::<ManageClients>().recent()),
            ("rotate_oauth_client_secret", all::<ManageClients>().recent()),
        ],
    ),
    (
        "links.api",
        &[
            ("list_links", all::<ReadLinks>()),
            ("create_link", all::<WriteLinks>()),
            ("get_link", all::<ReadLinks>()),
            ("update_link", all::<WriteLinks>()),
            ("delete_link", all::<WriteLinks>()),
            ("get_link_qr", all::<ReadLinks>()),
            ("get_link_stats", all::<ReadLinks>()),
            ("get_link_blocklist", all::<ReadLinks>()),
            ("put_link_blocklist", all::<ManageLinks>()),
        ],
    ),
    (
        "jobs.api",
        &[
            ("list_jobs", all::<ReadJobs>()),
            ("create_job", all::<WriteJobs>()),
            ("create_jobs", all::<WriteJobs>()),
            ("get_job", all::<ReadJobs>()),
            ("get_job_file", all::<ReadJobs>()),
            ("cancel_job", all::<WriteJobs>()),
            ("retry_job", all::<WriteJobs>()),
            ("reschedule_job", all::<WriteJobs>()),
            ("complete_job", all::<WriteJobs>()),
            ("fail_job", all::<WriteJobs>()),
            ("snooze_job", all::<WriteJobs>()),
            ("heartbeat_job", all::<WriteJobs>()),
            ("get_job_signing_secret", all::<ManageJobs>().recent()),
            ("rotate_job_signing_secret", all::<ManageJobs>().recent()),
            ("get_job_signing_key", all::<ReadJobs>()),
            ("rotate_job_signing_key", all::<ManageJobs>().recent()),
            ("list_queues", all::<ReadJobs>()),
            ("get_queue", all::<ReadJobs>()),
            ("put_queue", all::<ManageJobs>()),
            ("lease_jobs", all::<WriteJobs>()),
            ("list_dead_jobs", all::<ReadJobs>()),
            ("redrive_dead_jobs", all::<WriteJobs>()),
            ("list_schedules", all::<ReadJobs>()),
            ("create_schedule", all::<WriteJobs>()),
            ("get_schedule", all::<ReadJobs>()),
            ("update_schedule", all::<WriteJobs>()),
            ("delete_schedule", all::<WriteJobs>()),
            ("run_schedule", all::<WriteJobs>()),
            ("list_schedule_runs", all::<ReadJobs>()),
        ],
    ),
    (
        "notes.api",
        // Whose note it is decides besides.
        &[
            ("list_notes", all::<ReadNotes>()),
            ("create_note", all::<WriteNotes>()),
            ("bulk_notes", all::<WriteNotes>()),
            ("get_note_settings", all::<ReadNotes>()),
            ("put_note_settings", all::<ManageNotes>()),
            ("get_note", all::<ReadNotes>()),
            ("replace_note", all::<WriteNotes>()),
            ("update_note", all::<WriteNotes>()),
            ("delete_note", all::<WriteNotes>()),
            ("restore_note", all::<WriteNotes>()),
            ("list_note_revisions", all::<ReadNotes>()),
            ("get_note_revision", all::<ReadNotes>()),
            ("diff_note_revision", all::<ReadNotes>()),
            ("restore_note_revision", all::<WriteNotes>()),
            ("list_note_shares", all::<ReadNotes>()),
            ("get_note_share", all::<ReadNotes>()),
            ("put_note_share", all::<WriteNotes>()),
            ("delete_note_share", all::<WriteNotes>()),
        ],
    ),
    ("links.redirect", &[("follow_link", Access::Public), ("confirm_link", Access::Public)]),
    ("health.api", &[("health", Access::Public), ("ready", Access::Public)]),
    ("platform.documents", &[("openapi_v1", Access::Public), ("openapi_v2", Access::Public)]),
    (
        "platform.versions",
        &[
            ("list_versions", Access::Public),
            ("preview_version", Access::Public),
            ("get_version_usage", all::<ViewAudit>()),
        ],
    ),
];

/// The rows of the table: the function, the operation and what that asks of its caller.
pub fn rows() -> impl Iterator<Item = (&'static str, &'static str, Access)> {
    TABLE.iter().flat_map(|(function, rows)| rows.iter().map(|(operation, access)| (*function, *operation, *access)))
}

/// The function that serves an operation.
pub fn function_of(operation: &str) -> Option<&'static str> {
    rows().find(|(_, id, _)| *id == operation).map(|(function, ..)| function)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_has_one_row() {
        let mut ids: Vec<_> = rows().map(|(_, id, _)| id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), rows().count());
        assert_eq!(Access::of("create_link"), Some(all::<WriteLinks>()));
        assert_eq!(Access::of("something_else"), None);
        assert_eq!(function_of("create_link"), Some("links.api"));
        assert_eq!(function_of("something_else"), None);
    }

    #[test]
    fn what_is_about_the_own_account_is_for_users_alone() {
        for (_, id, access) in rows() {
            let Access::Permitted(needs) = access else { continue };
            let own = needs.permission.starts_with("account:");
            assert_eq!(needs.callers == Callers::Users, own, "{id}");
        }
    }
}
