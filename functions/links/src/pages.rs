//! The small HTML pages of the redirect. They need nothing from outside and run no script; whatever is put into them is
//! escaped.

use std::sync::LazyLock;

use minijinja::{AutoEscape, Environment, Error, Value, context};

use crate::annotation::Title;
use crate::link::Link;
use crate::visit::GoneReason;

/// The style of all pages, which stands inside them.
const STYLE: &str = include_str!("pages/style.css");

/// The `Content-Security-Policy` to send with every page: nothing may be loaded or run, the style is named by its
/// SHA-256, and no other site may frame a page. A form goes to ourselves, but browsers apply `form-action` to the
/// redirect that answers it too, so that it has to allow every target.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'sha256-XMDXYbGuUjxGIfUHR4LNM6H1LGyw5CuNxrvsVuTW13I='; \
    form-action 'self' http: https:; base-uri 'none'; frame-ancestors 'none'";

static TEMPLATES: LazyLock<Result<Environment<'static>, Error>> = LazyLock::new(|| {
    let mut templates = Environment::new();
    templates.set_auto_escape_callback(|_| AutoEscape::Html);
    for (name, source) in [
        ("layout", include_str!("pages/layout.html")),
        ("gone", include_str!("pages/gone.html")),
        ("not_found", include_str!("pages/not_found.html")),
        ("preview", include_str!("pages/preview.html")),
        ("password", include_str!("pages/password.html")),
    ] {
        templates.add_template(name, source)?;
    }
    Ok(templates)
});

/// A page could not be made.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the page {page} could not be made: {message}")]
pub struct PageFailed {
    page: &'static str,
    message: String,
}

/// Fills in a template and puts it into the layout.
fn page(name: &'static str, title: &str, values: Value) -> Result<String, PageFailed> {
    let fill = || {
        let templates = TEMPLATES.as_ref().map_err(ToString::to_string)?;
        let content = templates.get_template(name).and_then(|template| template.render(values));
        let content = Value::from_safe_string(content.map_err(|error| error.to_string())?);
        let style = Value::from_safe_string(STYLE.to_owned());
        let layout = templates.get_template("layout");
        layout
            .and_then(|template| template.render(context! { title, content, style }))
            .map_err(|error| error.to_string())
    };
    fill().map_err(|message: String| PageFailed { page: name, message })
}

/// For 410: the link leads nowhere any more.
pub fn gone(reason: GoneReason) -> Result<String, PageFailed> {
    let reason = match reason {
        GoneReason::Expired => "The time in which it worked is over.",
        GoneReason::Exhausted => "It has been used as often as it could be.",
        GoneReason::Archived => "Whoever made it has put it away.",
    };
    page("gone", "This link does not work any more", context! { reason })
}

/// For 404: there is no such link.
pub fn not_found() -> Result<String, PageFailed> {
    page("not_found", "There is no such link", context! {})
}

/// Where `link` leads: the whole target with an anchor to it, or (`whole` false) its host alone with a form that is
/// posted to `action`. `short_url` is the link's own address.
pub fn preview(link: &Link, short_url: &str, action: &str, whole: bool) -> Result<String, PageFailed> {
    let values = context! {
        short_url,
        action,
        title => link.title.as_ref().map(Title::as_str),
        host => link.target.display_host(),
        display => whole.then(|| link.target.display()),
        target => whole.then(|| link.target.as_str()),
    };
    page("preview", "Where this link leads", values)
}

/// The form for the password, posted to `action`; `refused` says that the one before was wrong. It tells nothing about
/// the link.
pub fn password(action: &str, refused: bool) -> Result<String, PageFailed> {
    page("password", "This link has a password", context! { action, refused })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::link::tests::link;

    const SHORT: &str = "https://short.example/l/k7vq2mz";
    const ACTION: &str = "/l/k7vq2mz";

    fn all() -> Vec<String> {
        let link = link();
        vec![
            gone(GoneReason::Expired).unwrap(),
            gone(GoneReason::Exhausted).unwrap(),
            gone(GoneReason::Archived).unwrap(),
            not_found().unwrap(),
            preview(&link, SHORT, ACTION, true).unwrap(),
            preview(&link, SHORT, ACTION, false).unwrap(),
            password(ACTION, false).unwrap(),
            password(ACTION, true).unwrap(),
        ]
    }

    #[test]
    fn pages_load_and_run_nothing_and_have_what_readers_of_screens_need() {
        for page in all() {
            assert!(page.starts_with("<!doctype html>\n<html lang=\"en\">"), "{page}");
            assert!(page.contains("<main>") && page.contains("<h1>") && page.contains("<title>"), "{page}");
            for foreign in ["<script", "src=", "@import", "url(", "<link", " onclick", " style=", "{{", "{%"] {
                assert!(!page.contains(foreign), "{foreign} in {page}");
            }
            assert!(page.len() < 4096, "{} bytes", page.len());
        }
    }

    #[test]
    fn what_is_put_in_is_escaped() {
        let link = Link {
            title: Some("<script>alert('x')</script>\"&".to_owned().try_into().unwrap()),
            target: "https://example.com/?a='><img%20src=x>&b=\"<script>".parse().unwrap(),
            ..link()
        };
        let page = preview(&link, "https://short.example/l/\"><script>", "/l/\"><script>", true).unwrap()
            + &preview(&link, "<script>", "\"><script>", false).unwrap()
            + &password("\"><script>", true).unwrap();
        assert!(!page.contains("<script") && !page.contains("<img"), "{page}");
        assert!(page.contains("&lt;script&gt;alert("), "{page}");
    }

    #[test]
    fn a_preview_shows_the_target_or_its_host_alone() {
        let link = Link { target: "https://bücher.example/secret?x=1".parse().unwrap(), ..link() };
        let whole = preview(&link, SHORT, ACTION, true).unwrap();
        assert!(whole.contains(r#"href="https:&#x2f;&#x2f;xn--bcher-kva.example&#x2f;secret?x=1""#), "{whole}");
        assert!(whole.contains("https:&#x2f;&#x2f;bücher.example&#x2f;secret?x=1"), "{whole}");
        let host = preview(&link, SHORT, ACTION, false).unwrap();
        assert!(host.contains("bücher.example") && !host.contains("secret"), "{host}");
        assert!(host.contains("<form method=\"post\""));
    }

    #[test]
    fn the_password_form_says_when_it_was_wrong() {
        assert!(!password(ACTION, false).unwrap().contains("alert"));
        assert!(password(ACTION, true).unwrap().contains("role=\"alert\""));
    }

    #[test]
    fn the_policy_names_the_style() {
        use base64::Engine as _;
        let digest = ring::digest::digest(&ring::digest::SHA256, STYLE.as_bytes());
        let hash = base64::engine::general_purpose::STANDARD.encode(digest);
        assert!(CONTENT_SECURITY_POLICY.contains(&format!("'sha256-{hash}'")), "the style's hash is {hash}");
        for page in all() {
            assert!(page.contains(&format!("<style>{STYLE}</style>")));
        }
    }
}
