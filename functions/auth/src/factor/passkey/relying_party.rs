//! The installation as WebAuthn's relying party: where passkeys may be used, and the two halves of each ceremony.

use std::sync::Arc;

use shared::config::Environment;
use url::{Host, Url};
use webauthn_rs::prelude::{
    AttestationFormat, AttestationMetadata, AuthenticationResult, Credential, DiscoverableAuthentication,
    ParsedAttestation, ParsedAttestationData, Passkey, PasskeyRegistration, PublicKeyCredential,
    RegisterPublicKeyCredential, WebauthnError,
};
use webauthn_rs::{Webauthn, WebauthnBuilder};
use webauthn_rs_proto::{
    AllowCredentials, PublicKeyCredentialCreationOptions, PublicKeyCredentialRequestOptions, ResidentKeyRequirement,
};

use super::record::PasskeyRecord;
use crate::user::{Name, User, UserId};

/// The origins whose pages may use passkeys. Passkeys are bound to the host of the first one (the RP id): with another
/// host, none that was registered works any more.
#[derive(Clone, Debug)]
pub struct RelyingParty(Arc<Webauthn>);

/// `PASSKEY_ORIGINS` is not a list of origins.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("PASSKEY_ORIGINS: {origin} {fault}")]
pub struct InvalidOrigins {
    origin: String,
    fault: &'static str,
}

/// Why a passkey is not registered.
#[derive(Debug, thiserror::Error)]
pub enum NotRegistered {
    /// The credential id has more than 1,023 bytes.
    #[error("the credential id is too long")]
    LongId,
    /// It is wrong: the origin, the challenge, the attestation, or another part.
    #[error("the passkey was not accepted")]
    Refused(#[from] WebauthnError),
}

/// Why a passkey does not prove its user.
#[derive(Debug, thiserror::Error)]
pub enum NotVerified {
    /// The signature is right and the counter went back: somebody may have a copy of the private key.
    #[error("the counter of the passkey went back")]
    Cloned,
    /// It names no passkey of the user.
    #[error("there is no such passkey")]
    Unknown,
    /// It was found to be a copy before.
    #[error("the passkey is blocked")]
    Blocked,
    /// It is wrong: the origin, the challenge, the signature, or another part.
    #[error("the passkey was not accepted")]
    Refused(#[source] WebauthnError),
}

impl RelyingParty {
    /// Reads `PASSKEY_ORIGINS`: the origins of the pages that use passkeys, separated by commas, the first one's host the
    /// RP id and the others the same host or below it. Without it the origin is that of `PUBLIC_URL`, and `http://localhost`
    /// at any port when `PUBLIC_URL` is a loopback address, as an address is no RP id. None when there is no usable origin:
    /// then there are no passkeys. `product` is what the authenticator calls the installation.
    pub fn new(environment: &Environment, product: &str) -> Result<Option<Self>, InvalidOrigins> {
        let origins = match environment.get("PASSKEY_ORIGINS") {
            Some(list) => list.split(',').map(|origin| listed(origin.trim())).collect::<Result<_, _>>()?,
            None => environment.get("PUBLIC_URL").and_then(origin_of).into_iter().collect::<Vec<_>>(),
        };
        let Some((first, others)) = origins.split_first() else { return Ok(None) };
        let rp_id = first.domain().unwrap_or_default();
        let refused = |origin: &Url| InvalidOrigins {
            origin: origin.to_string(),
            fault: "is not below the host of the first one",
        };
        if let Some(foreign) = others.iter().find(|other| WebauthnBuilder::new(rp_id, other).is_err()) {
            return Err(refused(foreign));
        }
        let builder = WebauthnBuilder::new(rp_id, first).map_err(|_| refused(first))?;
        let builder = others.iter().fold(builder, WebauthnBuilder::append_allowed_origin);
        let webauthn =
            builder.rp_name(product).allow_any_port(rp_id == LOCALHOST).build().map_err(|_| refused(first))?;
        Ok(Some(Self(Arc::new(webauthn))))
    }

    /// The options of a new passkey for `user`, who has `known` already, and the state that the answer is checked with.
    pub fn begin_registration(
        &self,
        user: &User,
        known: &[PasskeyRecord],
    ) -> Result<(PublicKeyCredentialCreationOptions, PasskeyRegistration), WebauthnError> {
        let shown = user.name.as_ref().map_or(user.email.as_str(), Name::as_str);
        let excluded = known.iter().map(|passkey| passkey.credential.cred_id().clone()).collect();
        let (challenge, state) =
            self.0.start_passkey_registration(user.id.uuid(), user.email.as_str(), shown, Some(excluded))?;
        let mut options = challenge.public_key;
        // The library leaves it to the authenticator whether the passkey is found without a name being typed.
        if let Some(selection) = &mut options.authenticator_selection {
            selection.resident_key = Some(ResidentKeyRequirement::Required);
            selection.require_resident_key = true;
        }
        Ok((options, state))
    }

    /// The passkey that an authenticator made by these options, without what is not used of it: a client decides how large
    /// an attestation is.
    pub fn finish_registration(
        &self,
        made: &RegisterPublicKeyCredential,
        state: &PasskeyRegistration,
    ) -> Result<Passkey, NotRegistered> {
        let mut credential = Credential::from(self.0.finish_passkey_registration(made, state)?);
        // WebAuthn, section 7.1, step 25.
        if credential.cred_id.len() > LONGEST_CREDENTIAL_ID {
            return Err(NotRegistered::LongId);
        }
        credential.attestation =
            ParsedAttestation { data: ParsedAttestationData::None, metadata: AttestationMetadata::None };
        credential.attestation_format = AttestationFormat::None;
        let mut transports = credential.transports.take().unwrap_or_default();
        transports.truncate(MOST_TRANSPORTS);
        credential.transports = Some(transports).filter(|transports| !transports.is_empty());
        Ok(credential.into())
    }

    /// The options for using one of `allowed`, or with none whichever passkey the authenticator has for this installation.
    pub fn begin_authentication(
        &self,
        allowed: &[PasskeyRecord],
    ) -> Result<(PublicKeyCredentialRequestOptions, DiscoverableAuthentication), WebauthnError> {
        let (challenge, state) = self.0.start_discoverable_authentication()?;
        let mut options = challenge.public_key;
        options.allow_credentials = allowed
            .iter()
            .map(|passkey| {
                let Credential { cred_id: id, transports, .. } = passkey.credential.clone().into();
                AllowCredentials { type_: "public-key".to_owned(), id, transports }
            })
            .collect();
        Ok((options, state))
    }

    /// Whether an authenticator's answer proves the user of `passkey`, by the record as it is now.
    pub fn finish_authentication(
        &self,
        presented: &PublicKeyCredential,
        state: DiscoverableAuthentication,
        passkey: &PasskeyRecord,
    ) -> Result<AuthenticationResult, NotVerified> {
        if passkey.cloned_at.is_some() {
            return Err(NotVerified::Blocked);
        }
        match self.0.finish_discoverable_authentication_v2(presented, state, &passkey.credential) {
            Err(WebauthnError::CredentialPossibleCompromise) => Err(NotVerified::Cloned),
            answer => answer.map_err(NotVerified::Refused),
        }
    }

    /// The user whom an authenticator's answer names; none when it names none.
    pub fn user_named(presented: &PublicKeyCredential) -> Option<UserId> {
        let bits = <[u8; 16]>::try_from(presented.get_user_unique_id()?).ok()?;
        Some(UserId::from_uuid(webauthn_rs::prelude::Uuid::from_bytes(bits)))
    }
}

const LOCALHOST: &str = "localhost";
/// Bytes of a credential id (WebAuthn, section 4).
const LONGEST_CREDENTIAL_ID: usize = 1023;
/// Ways to reach an authenticator that are kept of a passkey, as hints for browsers. There are six or so.
const MOST_TRANSPORTS: usize = 8;

/// An origin of the list: `https`, or `http` on this machine.
fn listed(text: &str) -> Result<Url, InvalidOrigins> {
    let refused = |fault| InvalidOrigins { origin: text.to_owned(), fault };
    let url = Url::parse(text).map_err(|_| refused("is not a URL"))?;
    if url.origin().ascii_serialization() != text.trim_end_matches('/') {
        return Err(refused("is not an origin: a scheme, a host and a port other than the scheme's own"));
    }
    match (url.scheme(), url.domain()) {
        ("https", Some(_)) | ("http", Some(LOCALHOST)) => Ok(url),
        (_, None) => Err(refused("has an address for a host, which is no RP id")),
        _ => Err(refused("is not https")),
    }
}

/// The origin of the installation's own URL, when passkeys work there.
fn origin_of(public_url: &str) -> Option<Url> {
    let url = Url::parse(public_url).ok()?;
    let is_loopback = match url.host()? {
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
        Host::Domain(host) => host == LOCALHOST,
    };
    let origin = if is_loopback { format!("http://{LOCALHOST}") } else { url.origin().ascii_serialization() };
    listed(&origin).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn with(variables: &[(&str, &str)]) -> Result<Option<RelyingParty>, InvalidOrigins> {
        let environment = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        RelyingParty::new(&environment, "Tenfold")
    }

    /// The RP id and the origins.
    fn settings(variables: &[(&str, &str)]) -> (String, Vec<String>) {
        let party = with(variables).unwrap().unwrap();
        let (options, _) = party.begin_authentication(&[]).unwrap();
        (options.rp_id, party.0.get_allowed_origins().iter().map(ToString::to_string).collect())
    }

    #[test]
    fn the_first_origin_is_what_passkeys_are_bound_to() {
        let (rp_id, origins) = settings(&[("PASSKEY_ORIGINS", "https://example.com, https://app.example.com:8443")]);
        assert_eq!(rp_id, "example.com");
        assert_eq!(origins, ["https://example.com/", "https://app.example.com:8443/"]);
    }

    #[test]
    fn without_a_list_it_is_the_installations_own_url() {
        assert_eq!(settings(&[("PUBLIC_URL", "https://api.example.com/base")]).0, "api.example.com");
        for local in ["http://127.0.0.1:9000", "http://[::1]:9000", "http://localhost:9000"] {
            assert_eq!(settings(&[("PUBLIC_URL", local)]).0, "localhost", "{local}");
        }
    }

    #[test]
    fn where_there_is_no_usable_origin_there_are_no_passkeys() {
        for url in ["http://10.0.0.5", "http://example.com", "https://192.0.2.1", "not a url"] {
            assert!(with(&[("PUBLIC_URL", url)]).unwrap().is_none(), "{url}");
        }
        assert!(with(&[]).unwrap().is_none());
    }

    #[test]
    fn a_list_with_a_fault_is_refused() {
        for list in [
            "http://example.com",
            "https://example.com/path",
            "https://example.com:443",
            "https://192.0.2.1",
            "example.com",
            "https://example.com,",
            "https://app.example.com,https://example.com",
            "https://example.com,https://badexample.com",
        ] {
            assert!(with(&[("PASSKEY_ORIGINS", list)]).is_err(), "{list}");
        }
    }

    #[test]
    fn a_passkey_is_asked_to_be_discoverable_and_to_verify_its_user() {
        let party = with(&[("PASSKEY_ORIGINS", "https://example.com")]).unwrap().unwrap();
        let (asked, _) = party.begin_authentication(&[]).unwrap();
        let asked = serde_json::to_value(asked).unwrap();
        assert_eq!(asked["userVerification"], "required");
        assert_eq!(asked["allowCredentials"], serde_json::json!([]));
    }
}
