//! An account of a provider: as the provider proves it, and as it is linked to a user.

use serde::{Deserialize, Serialize};
use shared::digest::sha256_base64url;
use shared::id::{Id, Kind};
use shared::time::Timestamp;

use super::provider::Provider;
use crate::email::EmailAddress;
use crate::user::{Name, UserId};

/// How somebody proved themselves who signed in by a provider. RFC 8176 has no name for it; this one is Tenfold's own
/// (`ext`, external). By how many factors, the provider knows.
pub const EXTERNAL: &str = "ext";

/// The most accounts of providers that are linked to a user.
pub const MOST_IDENTITIES: usize = 10;

/// The longest subject in bytes (OpenID Connect Core 1.0, section 2).
const LONGEST_SUBJECT: usize = 255;

/// The kind of a linked account's id.
#[derive(Debug)]
pub enum IdentityKind {}
impl Kind for IdentityKind {
    const PREFIX: &'static str = "identity";
}
/// The id of a linked account.
pub type IdentityId = Id<IdentityKind>;

/// Somebody whom a provider has proved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProvenIdentity {
    /// The provider's name in the configuration.
    pub provider: String,
    /// Within which the subject is one person's alone.
    pub issuer: String,
    /// Who it is there. It never changes, unlike an address or a user name.
    pub subject: String,
    /// An address that the provider has verified; none when it has none, or none that is an address here.
    pub email: Option<EmailAddress>,
    /// What the provider calls the person, where that is a name here.
    pub name: Option<Name>,
}

/// What a provider says of somebody.
#[derive(Clone, Debug, Default)]
pub struct Said {
    /// Who it is there.
    pub subject: String,
    /// Where mail goes.
    pub email: Option<String>,
    /// Whether the provider has verified that.
    pub email_verified: bool,
    /// What the person is called.
    pub name: Option<String>,
}

impl ProvenIdentity {
    /// What is taken over of what `provider` says. None when the subject is not one.
    pub fn of(provider: &Provider, said: Said) -> Option<Self> {
        if said.subject.is_empty() || said.subject.len() > LONGEST_SUBJECT {
            return None;
        }
        let email = said.email.filter(|_| said.email_verified).and_then(|email| email.parse().ok());
        let name = said.name.and_then(|name| Name::try_from(name).ok());
        Some(Self {
            provider: provider.name.clone(),
            issuer: provider.issuer.clone(),
            subject: said.subject,
            email,
            name,
        })
    }

    /// See [`hash`].
    pub fn hash(&self) -> String {
        hash(&self.issuer, &self.subject)
    }
}

/// An account of a provider that is linked to a user: who proves it signs in as the user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkedIdentity {
    /// The id.
    pub id: IdentityId,
    /// Whose it is.
    pub user_id: UserId,
    /// The provider's name when it was linked.
    pub provider: String,
    /// Within which the subject is one person's alone.
    pub issuer: String,
    /// Who it is there.
    pub subject: String,
    /// The address that the provider had verified when it was linked.
    pub email: EmailAddress,
    /// When it was linked.
    pub created_at: Timestamp,
}

impl LinkedIdentity {
    /// See [`hash`].
    pub fn hash(&self) -> String {
        hash(&self.issuer, &self.subject)
    }
}

/// What an account of a provider is stored under: the SHA-256 of issuer and subject, base64url. Of the issuer and not of
/// the provider's name: a name can come to mean another issuer, whose subjects are other people.
fn hash(issuer: &str, subject: &str) -> String {
    // A URL has no line break, so that no two pairs make the same text.
    sha256_base64url(format!("{issuer}\n{subject}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use shared::config::Secret;
    use shared::outbound::{Outbound, Settings};

    use super::super::provider::Providers;
    use super::*;

    fn of(said: Said) -> Option<ProvenIdentity> {
        let json = Secret::new(r#"[{"name": "google", "client_id": "id"}]"#);
        let providers = Providers::parse(&json, &Outbound::new(Settings::default())).unwrap();
        ProvenIdentity::of(providers.get("google").unwrap(), said)
    }

    #[test]
    fn an_address_counts_when_it_is_one_and_the_provider_has_verified_it() {
        let said = |email: &str, email_verified| Said {
            subject: "1".to_owned(),
            email: Some(email.to_owned()),
            email_verified,
            name: Some(" Ann\u{202e} ".to_owned()),
        };
        let proven = of(said("ann@example.com", true)).unwrap();
        assert!(proven.email.is_some() && proven.name.is_none());
        assert_eq!(of(said("ann@example.com", false)).unwrap().email, None);
        assert_eq!(of(said("ann@[127.0.0.1]", true)).unwrap().email, None);
        let named = of(Said { subject: "1".to_owned(), name: Some(" Ann ".to_owned()), ..Said::default() }).unwrap();
        assert_eq!(named.name.unwrap().as_str(), "Ann");
    }

    #[test]
    fn a_subject_is_a_text_of_some_length() {
        for (subject, accepted) in [(String::new(), false), ("x".repeat(255), true), ("x".repeat(256), false)] {
            assert_eq!(of(Said { subject, ..Said::default() }).is_some(), accepted);
        }
    }

    #[test]
    fn the_same_subject_of_another_issuer_is_somebody_else() {
        let hashes = [("https://a.example", "1"), ("https://a.example", "2"), ("https://b.example", "1")];
        let hashes: std::collections::BTreeSet<_> =
            hashes.into_iter().map(|(issuer, subject)| hash(issuer, subject)).collect();
        assert_eq!(hashes.len(), 3);
    }
}
