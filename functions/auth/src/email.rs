//! E-mail addresses. One that exists is an address that mail providers give out: `local-part@domain` with a dot-atom
//! before the `@` (RFC 5321, section 4.1.2; with UTF-8, RFC 6531, section 3.3) and a domain name with a dot after it,
//! international ones too.
//!
//! What the grammar of mail allows beyond that is refused, because no provider gives it out and programs disagree about
//! it: quoted local parts, comments and folding white space, address literals (`user@[192.0.2.1]`), domains without a
//! dot and with a top level of digits alone. Blanks, control characters and whatever is not seen or changes the
//! direction of text are refused too, so that two addresses which look the same are not different for a character
//! without a shape.
//!
//! Whether anybody reads the address is not known here: a message sent to it tells.

use std::fmt;
use std::str::FromStr;

use icu_properties::props::{DefaultIgnorableCodePoint, GeneralCategory, GeneralCategoryGroup};
use icu_properties::{CodePointMapData, CodePointSetData};
use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
use serde::{Deserialize, Serialize};
use shared::digest::sha256_base64url;
use shared::refusal::Refusal;
use unicode_normalization::UnicodeNormalization as _;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};

/// The longest address in octets (RFC 5321, section 4.5.3.1.3, less the angle brackets), as it is written and with its
/// domain in ASCII.
pub const LONGEST: usize = 254;

/// The longest part before the `@` in octets (RFC 5321, section 4.5.3.1.1).
const LONGEST_LOCAL_PART: usize = 64;

/// An e-mail address. It is personal data: `Debug` does not show it. Equal to another one with the same key.
#[derive(Clone, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct EmailAddress {
    written: String,
    key: String,
}

impl EmailAddress {
    /// As it was written: where mail is sent.
    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// What is unique: the local part in Unicode normalisation form C and lower case, the domain in ASCII and lower
    /// case (UTS 46). Dots and `+tags` stay: whether they matter is for the provider to say.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The domain in ASCII and lower case.
    pub fn domain(&self) -> &str {
        self.key.rsplit_once('@').map_or("", |(_, domain)| domain)
    }

    /// SHA-256 of the key in base64url, 43 characters: what stands for the address in keys of tables and limits. It
    /// does not keep the address secret from somebody who guesses it.
    pub fn hash(&self) -> String {
        sha256_base64url(&self.key)
    }

    /// Enough to be recognised by its owner: `a…@example.com`.
    pub fn hint(&self) -> String {
        let first = self.written.chars().take(1).collect::<String>();
        let domain = self.written.rsplit_once('@').map_or("", |(_, domain)| domain);
        format!("{first}…@{domain}")
    }
}

impl FromStr for EmailAddress {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        if text.len() > LONGEST {
            return Err(too_long());
        }
        if text.chars().any(is_unseen) {
            let detail = "must not have blanks, control characters or invisible characters";
            return Err(Refusal::new("bad_character", detail));
        }
        let parts = text.rsplit_once('@').filter(|(local, domain)| !local.is_empty() && !domain.is_empty());
        let Some((local, domain)) = parts else {
            return Err(Refusal::new("not_an_address", "must be an e-mail address such as ada@example.com"));
        };
        let composed: String = local.nfc().collect();
        check_local_part(local, &composed)?;
        let domain = ascii_domain(domain)?;
        if local.len() + 1 + domain.len() > LONGEST {
            return Err(too_long());
        }
        // Lower case may undo form C.
        let key = format!("{}@{domain}", composed.to_lowercase().nfc());
        Ok(Self { written: text.to_owned(), key })
    }
}

fn too_long() -> Refusal {
    Refusal::new("too_long", format!("may have at most {LONGEST} bytes"))
}

/// Refuses a local part that is too long, or no dot-atom once it is `composed` (in form C, in which some characters
/// become ASCII signs).
fn check_local_part(local: &str, composed: &str) -> Result<(), Refusal> {
    if local.len() > LONGEST_LOCAL_PART {
        let detail = format!("may have at most {LONGEST_LOCAL_PART} bytes before the @");
        return Err(Refusal::new("local_part_too_long", detail));
    }
    if composed.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atext)) {
        Ok(())
    } else {
        let detail = "may have letters, digits, signs like + - _ and single dots between them before the @";
        Err(Refusal::new("bad_local_part", detail))
    }
}

/// The characters of an atom: RFC 5322, section 3.2.3, and all of Unicode beyond ASCII.
const fn is_atext(character: char) -> bool {
    character.is_ascii_alphanumeric()
        || !character.is_ascii()
        || matches!(character, '!' | '#'..='\'' | '*' | '+' | '-' | '/' | '=' | '?' | '^'..='`' | '{'..='~')
}

/// The domain as the domain name system knows it. A top level has a letter (RFC 3696, section 2), so that an address of
/// the Internet Protocol is no domain.
fn ascii_domain(domain: &str) -> Result<String, Refusal> {
    let ascii = Uts46::new()
        .to_ascii(domain.as_bytes(), AsciiDenyList::STD3, Hyphens::CheckFirstLast, DnsLength::Verify)
        .unwrap_or_default();
    match ascii.rsplit_once('.') {
        Some((_, top)) if !top.bytes().all(|byte| byte.is_ascii_digit()) => Ok(ascii.into_owned()),
        _ => Err(Refusal::new("bad_domain", "must have a domain name such as example.com after the @")),
    }
}

/// Whether a character is a blank, has no shape, steers its neighbours, or means nothing: the categories Separator and
/// Other of Unicode, what fonts may leave out (Unicode Standard Annex 44, `Default_Ignorable_Code_Point`), and the
/// empty Braille pattern.
fn is_unseen(character: char) -> bool {
    if character.is_ascii() {
        return !character.is_ascii_graphic();
    }
    let category = CodePointMapData::<GeneralCategory>::new().get(character);
    GeneralCategoryGroup::Separator.union(GeneralCategoryGroup::Other).contains(category)
        || CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(character)
        || character == '\u{2800}'
}

impl PartialEq for EmailAddress {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for EmailAddress {}

impl std::hash::Hash for EmailAddress {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.written)
    }
}

impl fmt::Debug for EmailAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("EmailAddress(…)")
    }
}

impl TryFrom<String> for EmailAddress {
    type Error = Refusal;

    fn try_from(text: String) -> Result<Self, Refusal> {
        text.parse()
    }
}

impl From<EmailAddress> for String {
    fn from(address: EmailAddress) -> Self {
        address.written
    }
}

impl utoipa::PartialSchema for EmailAddress {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Email)))
            .description(Some(
                "An e-mail address with a dotted domain name, international ones too. Quoted local parts, comments and \
                 address literals are not accepted.",
            ))
            .max_length(Some(LONGEST))
            .examples(["ada@example.com"])
            .into()
    }
}

impl utoipa::ToSchema for EmailAddress {}

#[cfg(test)]
#[path = "email_tests.rs"]
mod tests;
