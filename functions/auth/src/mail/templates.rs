//! What is written: each [`Message`] as subject, HTML and text.
//!
//! A message has two templates of its name in `templates/`, one for each form, around which goes the layout of that
//! form. The HTML loads nothing, follows the reader's light or dark scheme and says no more than the text. Whatever
//! users chose is made harmless first (`sanitize`) and escaped in HTML.

mod examples;
mod message;

use std::fmt;
use std::sync::LazyLock;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Error, UndefinedBehavior, context};
use shared::config::Reader;
use url::Url;

pub use self::message::{Factor, FactorChange, Message, Occurrence};
use super::sanitize::words;

/// The templates' names and sources. minijinja escapes what is put into a name that ends in `.html`, and nothing else.
macro_rules! sources {
    ($($name:literal),+ $(,)?) => {
        &[$(
            (concat!($name, ".html"), include_str!(concat!("templates/", $name, ".html"))),
            (concat!($name, ".txt"), include_str!(concat!("templates/", $name, ".txt"))),
        )+]
    };
}

const SOURCES: &[(&str, &str)] = sources![
    "layout",
    "link",
    "code",
    "occurrence",
    "not_you",
    "verify_email",
    "already_registered",
    "address_wanted",
    "reset_password",
    "password_changed",
    "sign_in_link",
    "email_changed",
    "new_sign_in",
    "password_used",
    "refresh_token_reused",
    "second_factor_changed",
    "identity_changed",
    "consent_given",
    "account_deleted",
];

static TEMPLATES: LazyLock<Result<Environment<'static>, Error>> = LazyLock::new(|| {
    let mut templates = Environment::new();
    templates.set_undefined_behavior(UndefinedBehavior::Strict);
    // A line with a tag alone leaves none behind.
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true).build()?;
    templates.set_syntax(syntax);
    for (name, source) in SOURCES {
        templates.add_template(name, source)?;
    }
    Ok(templates)
});

/// What the mails are about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    /// What the reader knows it as.
    pub name: String,
    /// Where the reader signs in, resets a password and ends sessions.
    pub app_url: Url,
}

impl Product {
    /// Reads `PRODUCT_NAME`, and `APP_URL` or else `PUBLIC_URL`; none without an address to link to.
    pub fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let name: Option<String> = reader.optional("PRODUCT_NAME");
        let app_url: Option<Url> = reader.optional("APP_URL");
        let public_url: Option<Url> = reader.optional("PUBLIC_URL");
        Some(Self { name: name.unwrap_or_else(|| "Tenfold".to_owned()), app_url: app_url.or(public_url)? })
    }

    /// A product for examples, where no other is configured.
    pub fn example() -> Option<Self> {
        Some(Self { name: "Tenfold".to_owned(), app_url: Url::parse("https://app.example.com/").ok()? })
    }
}

/// A message as it is sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The subject.
    pub subject: String,
    /// The HTML: a whole document.
    pub html: String,
    /// The text.
    pub text: String,
}

/// A template could not be filled in: a fault of the template.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the mail {name} could not be made: {message}")]
pub struct RenderError {
    name: &'static str,
    message: String,
}

impl fmt::Debug for Rendered {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Rendered").field("subject", &self.subject).finish_non_exhaustive()
    }
}

impl Message {
    /// Writes the message to a reader called `to_name`. The name is not used in [`Message::VerifyEmail`]: anybody may
    /// have chosen it together with somebody else's address.
    pub fn render(&self, product: &Product, to_name: Option<&str>) -> Result<Rendered, RenderError> {
        let name = self.name();
        let subject = self.subject(&product.name);
        let to_name = to_name.filter(|_| !matches!(self, Self::VerifyEmail { .. })).map(words);
        let values = context! {
            product => product.name.as_str(),
            app_url => product.app_url.as_str(),
            subject => subject.as_str(),
            to_name,
            ..self.values()
        };
        let fill = |form: &str| {
            let failed = |message: String| RenderError { name, message };
            let templates = TEMPLATES.as_ref().map_err(|error| failed(error.to_string()))?;
            let filled =
                templates.get_template(&format!("{name}.{form}")).and_then(|template| template.render(&values));
            filled.map_err(|error| failed(error.to_string()))
        };
        Ok(Rendered { html: fill("html")?, text: fill("txt")?, subject })
    }
}

#[cfg(test)]
#[path = "templates/tests.rs"]
mod tests;
