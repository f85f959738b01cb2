//! Recovery codes: ten codes on paper for the day on which the authenticator app is gone. Each works once.
//!
//! A code has 49.5 bits. That is far too many to try against a limited log-in, and too few against somebody who has the
//! table and a fast hash. So they are kept as argon2id hashes like passwords, which OWASP's ASVS 5.0 asks for below 112
//! bits (requirement 6.5.2); a keyed hash would do as well, but makes a key that has to be guarded, rotated and never
//! lost. All codes of a set have one salt: a code that is entered is hashed once and compared with all ten, and whoever
//! tries codes against a stolen set gains a factor of ten, 3.3 bits.

use std::fmt;

use serde::{Deserialize, Serialize};
use shared::password_hash::{HashingFailed, Recipe};
use shared::random::Random;
use subtle::ConstantTimeEq as _;
use utoipa::ToSchema;
use zeroize::Zeroizing;

/// Codes of a set.
pub const COUNT: usize = 10;

/// Digits and lower-case letters without the look-alikes `0 o`, `1 l i`: 31 characters, 4.95 bits each.
const ALPHABET: &[u8; 31] = b"23456789abcdefghjkmnpqrstuvwxyz";

/// Characters of a code without the dash in its middle.
const LENGTH: usize = 10;

/// A code in clear, `xxxxx-xxxxx`: shown to its user once, and stored nowhere. It does not print.
#[derive(Clone, Serialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = String, example = "k7vq2-mz4hs")]
pub struct RecoveryCode(#[serde(serialize_with = "in_clear")] Zeroizing<String>);

fn in_clear<S: serde::Serializer>(code: &Zeroizing<String>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(code)
}

impl RecoveryCode {
    fn draw(random: &Random) -> Self {
        let half = || Zeroizing::new(random.text(ALPHABET, LENGTH / 2));
        Self(Zeroizing::new(format!("{}-{}", *half(), *half())))
    }

    /// The text. Named so that each use is seen in review.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for RecoveryCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("RecoveryCode(…)")
    }
}

/// What is stored of a user's recovery codes.
#[derive(Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct RecoveryCodes {
    /// How the hashes are made: a PHC string with the parameters and the salt, without a hash.
    recipe: String,
    /// The hash of each code in base64, nothing for a used one.
    hashes: Vec<Option<String>>,
}

impl RecoveryCodes {
    /// A new set, and its codes to show. Makes ten hashes, which takes a core for about a quarter of a second: run it
    /// by [`on_a_core`](shared::password_hash::on_a_core).
    pub fn generate(random: &Random) -> Result<(Self, Vec<RecoveryCode>), HashingFailed> {
        let recipe = Recipe::draw(random)?;
        let codes: Vec<_> = (0..COUNT).map(|_| RecoveryCode::draw(random)).collect();
        let hashes = codes.iter().map(|code| normalised(code.expose()).map(|code| hash_of(&recipe, &code)).transpose());
        let hashes = hashes.collect::<Result<_, _>>()?;
        Ok((Self { recipe: recipe.to_string(), hashes }, codes))
    }

    /// Takes the code that `text` is out of the set and answers its place, 0 to 9; `None` when it is none of them or
    /// used. Case, blanks and dashes do not matter. The set is to be stored under the condition that it has not changed
    /// since it was read, so that a code is used once. Costs one hash (about 25 ms of a core; run it by
    /// [`on_a_core`](shared::password_hash::on_a_core)), and nothing for a text that can be no code.
    pub fn use_code(&mut self, text: &str) -> Option<usize> {
        let made = hash_of(&Recipe::parse(&self.recipe)?, &normalised(text)?).ok()?;
        let is_it = |stored: &String| stored.as_bytes().ct_eq(made.as_bytes()).into();
        let place = self.hashes.iter().position(|stored| stored.as_ref().is_some_and(is_it))?;
        self.hashes.get_mut(place)?.take().map(|_| place)
    }

    /// How many codes are left.
    pub fn remaining(&self) -> usize {
        self.hashes.iter().flatten().count()
    }
}

impl fmt::Debug for RecoveryCodes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "RecoveryCodes({} left)", self.remaining())
    }
}

/// The ten characters of a code, or nothing when `text` can be none.
fn normalised(text: &str) -> Option<Zeroizing<String>> {
    let is_kept = |character: &char| *character != '-' && !character.is_whitespace();
    // One more than a code has: enough to tell that it is none.
    let kept = text.chars().filter(is_kept).take(LENGTH + 1).map(|character| character.to_ascii_lowercase());
    let code = Zeroizing::new(kept.collect::<String>());
    (code.len() == LENGTH && code.bytes().all(|byte| ALPHABET.contains(&byte))).then_some(code)
}

/// The hash of a normalised code in base64.
fn hash_of(recipe: &Recipe, code: &str) -> Result<String, HashingFailed> {
    Ok(recipe.hash(code.as_bytes())?.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn each_code_works_once() {
        let (mut set, codes) = RecoveryCodes::generate(&Random::seeded(1)).unwrap();
        assert_eq!((codes.len(), set.remaining()), (10, 10));
        assert_eq!(set.use_code(codes[3].expose()), Some(3));
        assert_eq!(set.use_code(codes[3].expose()), None);
        assert_eq!(set.remaining(), 9);
        // As it comes back from the store.
        let mut set: RecoveryCodes = serde_json::from_str(&serde_json::to_string(&set).unwrap()).unwrap();
        assert_eq!(set.use_code(codes[3].expose()), None);
        assert_eq!(set.use_code(codes[9].expose()), Some(9));
        assert_eq!(set.remaining(), 8);
        assert_eq!(set.use_code("22222-22222"), None);
    }

    #[test]
    fn case_blanks_and_dashes_do_not_matter() {
        let (mut set, codes) = RecoveryCodes::generate(&Random::seeded(2)).unwrap();
        let typed = codes[0].expose().to_uppercase().replace('-', " ");
        assert_eq!(set.use_code(&format!(" {typed}\n")), Some(0));
        let typed: String = codes[1].expose().replace('-', "").chars().flat_map(|c| [c, '-']).collect();
        assert_eq!(set.use_code(&typed), Some(1));
    }

    #[test]
    fn what_can_be_no_code_is_not_hashed() {
        for text in ["", "-", "2345", "22222-2222", "22222-222222", "22222-2222o", "22222-2222é", "22222_22222"] {
            assert!(normalised(text).is_none(), "{text}");
        }
        assert!(normalised(&"2".repeat(1_000_000)).is_none());
        assert!(normalised("22222-22222").is_some());
    }

    #[test]
    fn codes_have_48_bits_no_look_alikes_and_differ() {
        let bits = f64::from(u8::try_from(ALPHABET.len()).unwrap()).log2() * 10.0;
        assert!(bits >= 48.0 && LENGTH == 10, "{bits}");
        assert!(ALPHABET.is_sorted() && !ALPHABET.iter().any(|byte| b"0o1li".contains(byte)));
        let random = Random::seeded(3);
        let drawn: std::collections::HashSet<_> =
            (0..1000).map(|_| RecoveryCode::draw(&random).expose().to_owned()).collect();
        assert_eq!(drawn.len(), 1000);
        assert!(drawn.iter().all(|code| code.len() == 11 && code.as_bytes()[5] == b'-'));
    }

    #[test]
    fn nothing_of_a_code_is_stored_or_printed() {
        let (set, codes) = RecoveryCodes::generate(&Random::seeded(4)).unwrap();
        let stored = serde_json::to_string(&set).unwrap();
        assert!(codes.iter().all(|code| !stored.contains(code.expose()) && !stored.contains(&code.expose()[..5])));
        assert_eq!(format!("{:?} {set:?}", codes[0]), "RecoveryCode(…) RecoveryCodes(10 left)");
        assert_eq!(serde_json::to_value(&codes[0]).unwrap(), codes[0].expose());
    }

    #[test]
    fn a_set_with_a_broken_recipe_accepts_nothing() {
        let broken =
            serde_json::json!({"recipe": "$argon2id$v=19$m=4194304,t=2,p=1$c29tZXNhbHQ", "hashes": ["", null]});
        let mut set: RecoveryCodes = serde_json::from_value(broken).unwrap();
        assert_eq!(set.use_code("22222-22222"), None);
    }
}
