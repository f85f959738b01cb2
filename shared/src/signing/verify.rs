//! Whether a request was signed with one of the keys that its receiver knows, and lately.

use base64::Engine as _;
use http::HeaderMap;

use super::key::{BASE64, ED25519, HMAC_SHA256, VerifyingKey};
use super::{ID_HEADER, InvalidKeyCount, MOST_SIGNATURES, SIGNATURE_HEADER, TIMESTAMP_HEADER, content, counted, is_id};
use crate::time::{SignedDuration, Timestamp};

/// How far a request's time may lie before or after the receiver's.
pub const TOLERANCE: SignedDuration = SignedDuration::from_mins(5);

/// Verifies requests with 1 to [`super::MOST_KEYS`] keys, any of which may have signed.
#[derive(Clone, Debug)]
pub struct Verifier {
    keys: Vec<VerifyingKey>,
    tolerance: SignedDuration,
}

/// What a signature vouches for, beside the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified<'a> {
    /// The request's id: the same each time that it is sent.
    pub id: &'a str,
    /// When it was sent.
    pub sent_at: Timestamp,
}

impl Verifier {
    /// A verifier with these keys, which tolerates [`TOLERANCE`].
    pub fn new(keys: impl IntoIterator<Item = impl Into<VerifyingKey>>) -> Result<Self, InvalidKeyCount> {
        Ok(Self { keys: counted(keys)?, tolerance: TOLERANCE })
    }

    /// The same with another tolerance, into the past and the future.
    pub fn with_tolerance(self, tolerance: SignedDuration) -> Self {
        Self { tolerance, ..self }
    }

    /// Verifies a request that came with these headers and, to the byte, this body. Signatures of other schemes, and what
    /// is no signature, are passed over.
    pub fn verify<'a>(&self, headers: &'a HeaderMap, body: &[u8], now: Timestamp) -> Result<Verified<'a>, VerifyError> {
        let id = header(headers, ID_HEADER)?;
        let timestamp = header(headers, TIMESTAMP_HEADER)?;
        let signatures = header(headers, SIGNATURE_HEADER)?;
        if !is_id(id) {
            return Err(VerifyError::InvalidHeader(ID_HEADER));
        }
        let sent_at = time(timestamp).ok_or(VerifyError::InvalidHeader(TIMESTAMP_HEADER))?;
        if now.duration_since(sent_at) > self.tolerance {
            return Err(VerifyError::TooOld);
        }
        if sent_at.duration_since(now) > self.tolerance {
            return Err(VerifyError::TooNew);
        }
        if signatures.split(' ').nth(MOST_SIGNATURES).is_some() {
            return Err(VerifyError::TooManySignatures);
        }
        let content = content(id, timestamp, body);
        let (hmac, ed25519) = (of_scheme(HMAC_SHA256, signatures), of_scheme(ED25519, signatures));
        let is_signed = self.keys.iter().any(|key| match key {
            VerifyingKey::Secret(secret) => secret.has_signed(&content, &hmac),
            VerifyingKey::Public(key) => key.has_signed(&content, &ed25519),
        });
        if is_signed { Ok(Verified { id, sent_at }) } else { Err(VerifyError::NoMatch) }
    }
}

/// A header's value. Of two with one name, the receiver could take the other one for the signed one.
fn header<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<&'a str, VerifyError> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().ok_or(VerifyError::MissingHeader(name))?;
    let text = value.to_str().ok().filter(|_| values.next().is_none());
    text.ok_or(VerifyError::InvalidHeader(name))
}

/// Digits alone: a sign or a fraction would be signed as it stands, but libraries do not agree on what it means.
fn time(text: &str) -> Option<Timestamp> {
    let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    Timestamp::from_second(text.parse().ok().filter(|_| is_plain)?).ok()
}

fn of_scheme(scheme: &str, signatures: &str) -> Vec<Vec<u8>> {
    let all = signatures.split(' ').filter_map(|signature| signature.split_once(','));
    all.filter(|(named, _)| *named == scheme).filter_map(|(_, text)| BASE64.decode(text).ok()).collect()
}

/// A request is not verified. Nothing of it may be believed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// It lacks a header.
    #[error("the header {0} is missing")]
    MissingHeader(&'static str),
    /// A header is garbled, or there twice.
    #[error("the header {0} is not valid")]
    InvalidHeader(&'static str),
    /// It was sent longer ago than is tolerated.
    #[error("the request was sent too long ago")]
    TooOld,
    /// Its time lies further ahead than is tolerated.
    #[error("the request's time is in the future")]
    TooNew,
    /// It has more than [`MOST_SIGNATURES`].
    #[error("the request has more than {MOST_SIGNATURES} signatures")]
    TooManySignatures,
    /// No signature is one of a known key.
    #[error("no signature of the request is right")]
    NoMatch,
}
