//! QR codes of short links (ISO/IEC 18004), as SVG and PNG.

use std::fmt::Write as _;

use qrcode::{Color, EcLevel, QrCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use shared::refusal::{Fault, Refusal};

/// How much of a code may be dirty or hidden and still be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
pub enum Correction {
    /// 7 %.
    L,
    /// 15 %.
    #[default]
    M,
    /// 25 %.
    Q,
    /// 30 %.
    H,
}

impl From<Correction> for EcLevel {
    fn from(correction: Correction) -> Self {
        match correction {
            Correction::L => Self::L,
            Correction::M => Self::M,
            Correction::Q => Self::Q,
            Correction::H => Self::H,
        }
    }
}

/// A colour of the sRGB space, written `#rrggbb` or `rrggbb` (a `#` must be escaped in a query).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Colour([u8; 3]);

impl Colour {
    const BLACK: Self = Self([0; 3]);
    const WHITE: Self = Self([255; 3]);

    /// The relative luminance, 0 to 1 (Web Content Accessibility Guidelines 2.2).
    fn luminance(self) -> f64 {
        let linear = |channel: u8| {
            let value = f64::from(channel) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        let [red, green, blue] = self.0.map(linear);
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }
}

impl TryFrom<String> for Colour {
    type Error = Refusal;

    fn try_from(text: String) -> Result<Self, Refusal> {
        let digits = text.strip_prefix('#').unwrap_or(&text);
        let value = (digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
            .then(|| u32::from_str_radix(digits, 16).ok())
            .flatten();
        match value.map(u32::to_be_bytes) {
            Some([_, red, green, blue]) => Ok(Self([red, green, blue])),
            None => Err(Refusal::new("not_a_colour", "must be six hexadecimal digits such as 1a2b3c")),
        }
    }
}

impl From<Colour> for String {
    fn from(colour: Colour) -> Self {
        colour.to_string()
    }
}

impl std::fmt::Display for Colour {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [red, green, blue] = self.0;
        write!(formatter, "#{red:02x}{green:02x}{blue:02x}")
    }
}

impl utoipa::PartialSchema for Colour {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .pattern(Some("^#?[0-9A-Fa-f]{6}$"))
            .examples(["1a2b3c"])
            .into()
    }
}

impl ToSchema for Colour {}

/// How a code is to look, as a client asks for it in the query.
#[derive(Clone, Copy, Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct Options {
    /// Width and height in pixels, 64 to 2048.
    #[param(minimum = 64, maximum = 2048)]
    pub size: u32,
    /// The quiet zone around the code in modules, 0 to 16. Readers want 4.
    #[param(maximum = 16)]
    pub margin: u32,
    /// How much damage it must bear.
    #[param(inline)]
    pub correction: Correction,
    /// The colour of the modules.
    #[param(inline)]
    pub dark: Colour,
    /// The colour of the ground.
    #[param(inline)]
    pub light: Colour,
}

impl Default for Options {
    fn default() -> Self {
        Self { size: 256, margin: 4, correction: Correction::M, dark: Colour::BLACK, light: Colour::WHITE }
    }
}

/// The least contrast between the colours, as the accessibility guidelines count it. Readers fail below.
const LEAST_CONTRAST: f64 = 3.0;

impl Options {
    /// Checks the bounds.
    ///
    /// # Errors
    /// One fault for each parameter out of its bounds.
    pub fn check(self) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        if !(64..=2048).contains(&self.size) {
            faults.push(Refusal::new("out_of_range", "must be from 64 to 2048").at("?size"));
        }
        if self.margin > 16 {
            faults.push(Refusal::new("out_of_range", "must be from 0 to 16").at("?margin"));
        }
        if (self.light.luminance() + 0.05) / (self.dark.luminance() + 0.05) < LEAST_CONTRAST {
            faults.push(Refusal::new("low_contrast", "must be much darker than the ground").at("?dark"));
        }
        if faults.is_empty() { Ok(self) } else { Err(faults) }
    }
}

/// Why there is no code.
#[derive(Debug, thiserror::Error)]
pub enum QrFailed {
    /// The text has more bytes than a code holds at this level.
    #[error("the text does not fit into a QR code")]
    Code(#[from] qrcode::types::QrError),
    /// A module would be smaller than a pixel.
    #[error("the code needs at least {0} pixels")]
    TooSmall(u32),
    /// The picture could not be written.
    #[error("the PNG could not be written")]
    Png(#[from] png::EncodingError),
}

/// A code and the number of modules of its side with the quiet zone.
struct Grid {
    code: QrCode,
    width: u32,
    side: u32,
}

impl Grid {
    fn new(text: &str, options: Options) -> Result<Self, QrFailed> {
        let code = QrCode::with_error_correction_level(text, options.correction.into())?;
        let width = u32::try_from(code.width()).unwrap_or(u32::MAX);
        Ok(Self { code, width, side: width + 2 * options.margin })
    }

    /// Whether the module at `x` and `y`, counted without the quiet zone, is dark.
    fn is_dark(&self, x: u32, y: u32) -> bool {
        let inside = x < self.width && y < self.width;
        inside && self.code[(x as usize, y as usize)] == Color::Dark
    }
}

/// The code of `text` as an SVG document. One unit of its view box is one module.
pub fn svg(text: &str, options: Options) -> Result<String, QrFailed> {
    let grid = Grid::new(text, options)?;
    let Options { size, margin, dark, light, .. } = options;
    let side = grid.side;
    let mut path = String::new();
    for y in 0..grid.width {
        let mut x = 0;
        while x < grid.width {
            let run = (x..grid.width).take_while(|x| grid.is_dark(*x, y)).count();
            if run > 0 {
                // Writing into a String does not fail.
                let _ = write!(path, "M{} {}h{run}v1h-{run}z", x + margin, y + margin);
            }
            x += u32::try_from(run).unwrap_or(u32::MAX).max(1);
        }
    }
    Ok(format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" width="{size}" height="{size}" viewBox="0 0 {side} {side}" shape-rendering="crispEdges" role="img" aria-label="QR code"><rect width="{side}" height="{side}" fill="{light}"/><path fill="{dark}" d="{path}"/></svg>"#
    ))
}

/// The code of `text` as a PNG of exactly the size asked for, with two colours. Modules have a whole number of pixels;
/// what is left over widens the quiet zone.
pub fn png(text: &str, options: Options) -> Result<Vec<u8>, QrFailed> {
    let grid = Grid::new(text, options)?;
    let scale = options.size / grid.side;
    if scale == 0 {
        return Err(QrFailed::TooSmall(grid.side));
    }
    let start = (options.size - scale * grid.width) / 2;
    // Before the start the subtraction gives no module, past the end the grid has none.
    let module = |pixel: u32| pixel.checked_sub(start).map_or(u32::MAX, |inside| inside / scale);

    let row_bytes = options.size.div_ceil(8);
    let mut rows = Vec::with_capacity(row_bytes as usize * options.size as usize);
    for y in 0..options.size {
        for byte in 0..row_bytes {
            rows.push(
                (0..8).fold(0_u8, |bits, bit| (bits << 1) | u8::from(grid.is_dark(module(byte * 8 + bit), module(y)))),
            );
        }
    }

    let mut image = Vec::new();
    let mut encoder = png::Encoder::new(&mut image, options.size, options.size);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::One);
    encoder.set_palette([options.light.0, options.dark.0].concat());
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&rows)?;
    writer.finish()?;
    Ok(image)
}

#[cfg(test)]
#[path = "qr_tests.rs"]
mod tests;
