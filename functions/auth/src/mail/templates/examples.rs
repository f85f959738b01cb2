//! An example of each message, for previews and for tests.

use shared::time::{SignedDuration, Timestamp};
use url::Url;

use super::message::{Factor, FactorChange, Message, Occurrence};

impl Message {
    /// Every message once, with its name and made-up values as they occur.
    pub fn examples() -> Vec<(&'static str, Self)> {
        let token = "T7fYw0mJ0rQ5u2l8Xn3cKpV9aZbE4sHd6iGoMtLkRxA";
        let link = |page: &str| Url::parse(&format!("https://app.example.com/{page}?token={token}&next=%2Fprojects"));
        let (Ok(verify), Ok(reset), Ok(sign_in)) = (link("verify"), link("reset-password"), link("sign-in")) else {
            return Vec::new();
        };
        let occurrence = Occurrence {
            at: Timestamp::constant(1_772_719_627, 0),
            device: "Firefox 128 on Linux".to_owned(),
            network: "203.0.113.0/24".to_owned(),
        };
        let code = "483920".to_owned();
        let messages = vec![
            Self::VerifyEmail { link: verify, code: code.clone(), valid_for: SignedDuration::from_hours(24) },
            Self::AlreadyRegistered,
            Self::AddressWanted,
            Self::ResetPassword { link: reset, valid_for: SignedDuration::from_hours(1) },
            Self::PasswordChanged { occurrence: occurrence.clone() },
            Self::SignInLink { link: sign_in, code, valid_for: SignedDuration::from_mins(10) },
            Self::EmailChanged { occurrence: occurrence.clone() },
            Self::NewSignIn { occurrence: occurrence.clone() },
            Self::PasswordUsed { occurrence: occurrence.clone() },
            Self::RefreshTokenReused { occurrence: occurrence.clone() },
            Self::SecondFactorChanged {
                change: FactorChange::Added,
                factor: Factor::Passkey,
                label: Some("Phone in my pocket".to_owned()),
                occurrence: occurrence.clone(),
            },
            Self::IdentityChanged {
                change: FactorChange::Added,
                provider: "google".to_owned(),
                occurrence: occurrence.clone(),
            },
            Self::ConsentGiven {
                application: "Report Maker".to_owned(),
                client_id: "client_01k9z4n2y6e0qv3m8t5w7x9abc".to_owned(),
                tenant: "Example Inc.".to_owned(),
                scopes: ["openid", "links:read", "links:write"].map(str::to_owned).to_vec(),
                occurrence: occurrence.clone(),
            },
            Self::AccountDeleted { occurrence },
        ];
        messages.into_iter().map(|message| (message.name(), message)).collect()
    }
}
