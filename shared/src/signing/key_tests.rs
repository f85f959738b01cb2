#![allow(clippy::unwrap_used)]
use proptest::prelude::*;
use serde::Serialize;
use serde_json::json;

use super::*;
use crate::random::Random;
use crate::signing::Signer;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const PRIVATE: &str = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==";
const PRIVATE_ALONE: &str = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbc=";
const PUBLIC: &str = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=";

#[test]
fn only_a_key_of_its_kind_is_one() {
    let secret = |bytes: usize| format!("whsec_{}", BASE64.encode(vec![7; bytes])).parse::<SigningSecret>();
    assert!([24, 25, 64].iter().all(|bytes| secret(*bytes).is_ok()));
    for bytes in [0, 23, 65] {
        assert_eq!(secret(bytes).unwrap_err(), InvalidKey::Length(bytes));
    }
    let unpadded = secret(25).unwrap().expose().trim_end_matches('=').parse::<SigningSecret>().unwrap();
    assert_eq!(unpadded.expose(), secret(25).unwrap().expose());
    for text in ["", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "WHSEC_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", PUBLIC] {
        assert_eq!(text.parse::<Key>().unwrap_err(), InvalidKey::Prefix, "{text}");
    }
    assert_eq!(PRIVATE.parse::<VerifyingKey>().unwrap_err(), InvalidKey::Prefix);
    assert_eq!("whsec_!".parse::<Key>().unwrap_err(), InvalidKey::Base64);
    assert_eq!(format!("{SECRET}\n").parse::<Key>().unwrap_err(), InvalidKey::Base64);

    let key: SigningKey = PRIVATE_ALONE.parse().unwrap();
    assert_eq!((key.expose(), key.public().to_string()), (PRIVATE, PUBLIC.to_owned()));
    assert_eq!(PUBLIC.parse(), Ok(key.public()));
    let private = |bytes: &[u8]| format!("whsk_{}", BASE64.encode(bytes)).parse::<SigningKey>().unwrap_err();
    assert_eq!(private(&[7; 64]), InvalidKey::Mismatch);
    for bytes in [0, 31, 33, 65] {
        assert_eq!(private(&vec![7; bytes]), InvalidKey::Length(bytes));
    }
    assert_eq!("whpk_AAAA".parse::<PublicKey>().unwrap_err(), InvalidKey::Length(3));
}

#[test]
fn keys_are_stored_as_their_texts_and_never_printed() {
    #[derive(Serialize, Deserialize)]
    struct Stored {
        #[serde(serialize_with = "Signer::store")]
        signer: Signer,
        #[serde(serialize_with = "SigningSecret::store")]
        secret: SigningSecret,
        #[serde(serialize_with = "SigningKey::store")]
        private: SigningKey,
        #[serde(serialize_with = "Key::store")]
        key: Key,
        public: PublicKey,
    }
    let item =
        json!({"signer": [PRIVATE, SECRET], "secret": SECRET, "private": PRIVATE, "key": SECRET, "public": PUBLIC});
    let stored: Stored = serde_json::from_value(item.clone()).unwrap();
    assert_eq!(serde_json::to_value(&stored).unwrap(), item);
    let verifying = [SECRET, PUBLIC].map(|text| text.parse::<VerifyingKey>().unwrap());
    let Stored { signer, secret, private, key, .. } = stored;
    let printed = format!("{signer:?} {secret:?} {private:?} {key:?} {verifying:?}");
    assert!(!printed.contains(&SECRET[6..]) && !printed.contains(&PRIVATE[5..40]), "{printed}");
    for bad in [json!({"signer": []}), json!({"signer": ["whsec_hunter2"]}), json!({"signer": [PUBLIC]})] {
        let error = Signer::deserialize(&bad["signer"]).unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }
}

proptest! {
    #[test]
    fn a_new_key_is_read_back(seed: u64) {
        let random = Random::seeded(seed);
        for key in [Key::from(SigningSecret::generate(&random)), SigningKey::generate(&random).into()] {
            let again: Key = key.expose().parse().unwrap();
            prop_assert_eq!(again.expose(), key.expose());
        }
    }

    #[test]
    fn every_text_is_refused_or_has_one_form(text in "(whsec_|whsk_|whpk_)?[A-Za-z0-9+/=_-]{0,100}") {
        if let Ok(key) = text.parse::<Key>() {
            let again: Key = key.expose().parse().unwrap();
            prop_assert_eq!(again.expose(), key.expose());
        }
        if let Ok(key) = text.parse::<PublicKey>() {
            prop_assert_eq!(key.to_string().parse(), Ok(key));
        }
    }
}
