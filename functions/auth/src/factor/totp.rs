//! Codes of authenticator apps: RFC 6238 with what all of them support, SHA-1, six digits and steps of 30 seconds.
//!
//! Three of a million codes are right at any time: the caller limits how often one is tried, and stores the step that
//! [`TotpSecret::accept`] answers under a condition, so that a code is used once.

use std::array::TryFromSliceError;
use std::fmt;

use data_encoding::BASE32_NOPAD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use qrcode::QrCode;
use qrcode::render::svg;
use ring::hmac;
use shared::random::Random;
use shared::time::Timestamp;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// Octets of a secret: 160 bits, which RFC 4226, section 4, recommends.
const SECRET_LENGTH: usize = 20;
const DIGITS: usize = 6;
const STEP_SECONDS: u64 = 30;

/// Everything but the unreserved characters of RFC 3986, section 2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The secret that a user's authenticator app and this service share. It does not print, and is stored sealed
/// ([`crate::key_ring::vault`]).
#[derive(Clone, PartialEq, Eq)]
pub struct TotpSecret(Zeroizing<[u8; SECRET_LENGTH]>);

impl TotpSecret {
    /// A new secret.
    pub fn draw(random: &Random) -> Self {
        Self(Zeroizing::new(random.bytes()))
    }

    /// The secret as it is sealed.
    pub(crate) fn bytes(&self) -> &[u8] {
        &*self.0
    }

    /// The secret in base32 (RFC 4648) without padding, which a user types who cannot scan the code.
    pub fn base32(&self) -> String {
        BASE32_NOPAD.encode(&*self.0)
    }

    /// The address that an authenticator app reads (the Key URI format). `issuer` is the service's name, `account` the
    /// user's; a colon, which separates them, is left out of both.
    pub fn otpauth_uri(&self, issuer: &str, account: &str) -> String {
        let encoded = |text: &str| utf8_percent_encode(&text.replace(':', ""), RESERVED).to_string();
        let (issuer, account, secret) = (encoded(issuer), encoded(account), self.base32());
        let settings = format!("algorithm=SHA1&digits={DIGITS}&period={STEP_SECONDS}");
        format!("otpauth://totp/{issuer}:{account}?secret={secret}&issuer={issuer}&{settings}")
    }

    /// Whether `code` is right at `now`, one step (30 seconds) before or one after; blanks in it do not matter. Answers
    /// the step of the code, which is stored: one at or before `last_used_step` is not accepted again.
    pub fn accept(&self, code: &str, now: Timestamp, last_used_step: Option<u64>) -> Option<u64> {
        let code: String = code.chars().filter(|character| *character != ' ').collect();
        let current = u64::try_from(now.as_second()).ok()? / STEP_SECONDS;
        let is_right = |step: &u64| code.as_bytes().ct_eq(one_time_code(&*self.0, *step, DIGITS).as_bytes()).into();
        let is_unused = |step: &u64| last_used_step.is_none_or(|last| *step > last);
        // From the last one on, so that a code which is right twice is not left for a second use.
        (current.saturating_sub(1)..=current + 1).rev().find(is_right).filter(is_unused)
    }
}

/// The HOTP value of `counter` (RFC 4226, section 5.3) with `digits` digits, at most 9.
fn one_time_code(secret: &[u8], counter: u64, digits: usize) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let tag = hmac::sign(&key, &counter.to_be_bytes());
    let offset = usize::from(tag.as_ref().last().copied().unwrap_or_default() & 0xf);
    let bytes = tag.as_ref().get(offset..).and_then(<[u8]>::first_chunk::<4>).copied().unwrap_or_default();
    let value = u64::from(u32::from_be_bytes(bytes) & 0x7fff_ffff);
    let text = format!("{value:010}");
    text.get(text.len().saturating_sub(digits)..).unwrap_or_default().to_owned()
}

/// `uri` as a QR code (ISO/IEC 18004, level M), an SVG document of at least 256 pixels a side. It shows the secret: it
/// is not to be cached.
///
/// # Errors
/// When `uri` has more than 2,331 bytes.
pub fn qr_svg(uri: &str) -> Result<String, qrcode::types::QrError> {
    Ok(QrCode::new(uri)?.render::<svg::Color<'_>>().min_dimensions(256, 256).build())
}

impl TryFrom<&[u8]> for TotpSecret {
    type Error = TryFromSliceError;

    /// The secret as it was sealed.
    fn try_from(bytes: &[u8]) -> Result<Self, TryFromSliceError> {
        bytes.try_into().map(|bytes| Self(Zeroizing::new(bytes)))
    }
}

impl fmt::Debug for TotpSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("TotpSecret(…)")
    }
}

#[cfg(test)]
#[path = "totp_tests.rs"]
mod tests;
