//! `GET /v2/links/{id}/qr`: the link's address as a QR code.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::HeaderMap;
use http::header::{ACCEPT, CONTENT_TYPE, VARY};
use shared::http::{Document, FieldError, Path, Problem, ProblemType, Query};
use shared::identity::{Caller, permission};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};

use crate::app::{App, Base};
use crate::link::LinkId;
use crate::qr::{Options, QrFailed, png, svg};

/// The bytes of a picture, for the description alone.
struct Picture;

impl utoipa::PartialSchema for Picture {
    fn schema() -> RefOr<Schema> {
        let format = SchemaFormat::KnownFormat(KnownFormat::Binary);
        ObjectBuilder::new().schema_type(Type::String).format(Some(format)).into()
    }
}

impl utoipa::ToSchema for Picture {}

/// The link's address as a QR code, in SVG or PNG by `Accept`.
#[utoipa::path(
    get, path = "/v2/links/{id}/qr", operation_id = "get_link_qr", tag = "links",
    params(("id" = String, Path, example = "link_01k9z4n2y6e0qv3m8t5w7x9abc"), Options),
    responses(
        (status = 200, description = "The code", content((inline(Picture) = "image/png"), (String = "image/svg+xml"))),
        (status = 406, description = "not-acceptable: neither SVG nor PNG is accepted", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn qr(
    State(app): State<App>,
    caller: Caller<permission::ReadLinks>,
    base: Base,
    Path(id): Path<LinkId>,
    Query(options): Query<Options>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let options = options.check().map_err(Problem::from)?;
    let format = Format::of(&headers)?;
    let link = app.links.get(&caller.tenant, &id).await?.ok_or_else(Problem::not_found)?;
    let text = base.short_url(&link.slug);
    let drawn = match format {
        Format::Svg => svg(&text, options).map(String::into_bytes),
        Format::Png => png(&text, options),
    };
    let picture = drawn.map_err(|error| match error {
        QrFailed::TooSmall(least) => {
            let detail = format!("a code of this address needs at least {least}");
            Problem::validation(vec![FieldError::new("?size", "too_small", detail)])
        }
        error => Problem::internal(error),
    })?;
    Ok(([(CONTENT_TYPE, format.content_type()), (VARY, "Accept")], picture).into_response())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Svg,
    Png,
}

impl Format {
    const fn content_type(self) -> &'static str {
        match self {
            Self::Svg => "image/svg+xml",
            Self::Png => "image/png",
        }
    }

    /// The format that `Accept` prefers (RFC 9110, section 12.5.1); SVG when it does not care.
    fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let accept: Vec<_> = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
        let accept = accept.join(",");
        if accept.trim().is_empty() {
            return Ok(Self::Svg);
        }
        let (svg, png) = (quality(&accept, "image/svg+xml"), quality(&accept, "image/png"));
        if svg.max(png) <= 0.0 {
            return Err(Problem::new(ProblemType::NotAcceptable, "the code comes as image/svg+xml or image/png"));
        }
        Ok(if png > svg { Self::Png } else { Self::Svg })
    }
}

/// How much `accept` wants `wanted`: the quality of the most specific range that fits.
fn quality(accept: &str, wanted: &str) -> f32 {
    let mut best = (0, 0.0);
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        let specificity = match name.as_str() {
            "*/*" => 1,
            "image/*" => 2,
            name if name == wanted => 3,
            _ => continue,
        };
        let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(1.0, |text| text.parse().unwrap_or(0.0));
        if specificity > best.0 {
            best = (specificity, weight);
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn accept_decides_between_the_formats() {
        for (accept, expected) in [
            ("", Some(Format::Svg)),
            ("*/*", Some(Format::Svg)),
            ("image/png", Some(Format::Png)),
            ("image/*;q=0.5, image/png", Some(Format::Png)),
            ("image/svg+xml;q=0.1, image/png;q=0.9", Some(Format::Png)),
            ("image/png;q=0, */*", Some(Format::Svg)),
            ("text/html", None),
            ("image/png;q=0", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, accept.parse().unwrap());
            assert_eq!(Format::of(&headers).ok(), expected, "{accept}");
        }
    }
}
