//! Signatures by ring for the `jsonwebtoken` crate: Ed25519 to sign; Ed25519, ECDSA and RSA to verify. There is no HMAC: a
//! token that claims a symmetric algorithm has no verifier.

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::{Algorithm, DecodingKeyKind};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, Ed25519KeyPair, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384,
    RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};
use signature::{Signer, Verifier};

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |algorithm, key| {
        if *algorithm != Algorithm::EdDSA {
            return Err(ErrorKind::InvalidAlgorithm.into());
        }
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(key.as_bytes())
            .map_err(|_| Error::from(ErrorKind::InvalidEddsaKey))?;
        Ok(Box::new(RingSigner(pair)))
    },
    verifier_factory: |algorithm, key| {
        let rules = rules_of(*algorithm).ok_or(ErrorKind::InvalidAlgorithm)?;
        let key = match (rules, key.kind()) {
            (Rules::Curve(_), DecodingKeyKind::SecretOrDer(bytes)) => PublicKey::Curve(bytes.clone()),
            (Rules::Rsa(_), DecodingKeyKind::RsaModulusExponent { n, e }) => {
                PublicKey::Rsa(RsaPublicKeyComponents { n: n.clone(), e: e.clone() })
            }
            _ => return Err(ErrorKind::InvalidKeyFormat.into()),
        };
        Ok(Box::new(RingVerifier { algorithm: *algorithm, rules, key }))
    },
    key_utils: KeyUtils::new_unimplemented(),
};

/// Makes ring the provider of `jsonwebtoken` in this process. Each further call changes nothing.
pub fn install() {
    let _ = PROVIDER.install_default();
}

/// How ring verifies an algorithm.
#[derive(Clone, Copy)]
enum Rules {
    Curve(&'static dyn VerificationAlgorithm),
    Rsa(&'static RsaParameters),
}

enum PublicKey {
    Curve(Vec<u8>),
    Rsa(RsaPublicKeyComponents<Vec<u8>>),
}

fn rules_of(algorithm: Algorithm) -> Option<Rules> {
    Some(match algorithm {
        Algorithm::EdDSA => Rules::Curve(&ED25519),
        Algorithm::ES256 => Rules::Curve(&ECDSA_P256_SHA256_FIXED),
        Algorithm::ES384 => Rules::Curve(&ECDSA_P384_SHA384_FIXED),
        Algorithm::RS256 => Rules::Rsa(&RSA_PKCS1_2048_8192_SHA256),
        Algorithm::RS384 => Rules::Rsa(&RSA_PKCS1_2048_8192_SHA384),
        Algorithm::RS512 => Rules::Rsa(&RSA_PKCS1_2048_8192_SHA512),
        Algorithm::PS256 => Rules::Rsa(&RSA_PSS_2048_8192_SHA256),
        Algorithm::PS384 => Rules::Rsa(&RSA_PSS_2048_8192_SHA384),
        Algorithm::PS512 => Rules::Rsa(&RSA_PSS_2048_8192_SHA512),
        _ => return None,
    })
}

struct RingSigner(Ed25519KeyPair);

impl Signer<Vec<u8>> for RingSigner {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, signature::Error> {
        Ok(self.0.sign(message).as_ref().to_vec())
    }
}

impl JwtSigner for RingSigner {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDSA
    }
}

struct RingVerifier {
    algorithm: Algorithm,
    rules: Rules,
    key: PublicKey,
}

impl Verifier<Vec<u8>> for RingVerifier {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        let verified = match (self.rules, &self.key) {
            (Rules::Curve(rules), PublicKey::Curve(key)) => {
                UnparsedPublicKey::new(rules, key).verify(message, signature)
            }
            (Rules::Rsa(rules), PublicKey::Rsa(key)) => key.verify(rules, message, signature),
            _ => return Err(signature::Error::new()),
        };
        verified.map_err(|_| signature::Error::new())
    }
}

impl JwtVerifier for RingVerifier {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

#[cfg(test)]
#[path = "ring_provider_tests.rs"]
mod tests;
