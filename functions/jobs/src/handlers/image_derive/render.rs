//! From a picture to one of another size, written down.

use std::borrow::Cow;

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{PixelType, ResizeOptions, Resizer};
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::codecs::webp::WebPEncoder;
use image::{ExtendedColorType, ImageEncoder as _, Rgba, RgbaImage, imageops};

use super::payload::{Fit, Format, LONGEST_SIDE, Variant};
use crate::handlers::Failed;

/// A decoded picture.
pub(super) struct Picture {
    pixels: RgbaImage,
    /// Whether nothing of it is transparent.
    opaque: bool,
}

/// A picture as a file.
pub(super) struct Rendered {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) content: Vec<u8>,
}

/// How large a picture becomes, and the picture in which it stands.
#[derive(Debug, PartialEq, Eq)]
struct Sizes {
    picture: (u32, u32),
    canvas: (u32, u32),
}

impl Picture {
    pub(super) fn new(pixels: RgbaImage) -> Self {
        let opaque = pixels.pixels().all(|Rgba([.., alpha])| *alpha == u8::MAX);
        Self { pixels, opaque }
    }

    #[cfg(test)]
    pub(super) const fn pixels(&self) -> &RgbaImage {
        &self.pixels
    }
}

/// Makes a variant of `source` and writes it down.
pub(super) fn render(source: &Picture, variant: &Variant) -> Result<Rendered, Failed> {
    let sizes = sizes(source.pixels.dimensions(), variant);
    let scaled = scale(source, sizes.picture, variant.fit)?;
    let canvas = if sizes.canvas == sizes.picture { scaled } else { framed(&scaled, sizes.canvas) };
    let (width, height) = sizes.canvas;
    let content = encode(&canvas, variant).map_err(|error| Failed::poison("encoding", error.to_string()))?;
    Ok(Rendered { width, height, content })
}

fn sizes(source: (u32, u32), variant: &Variant) -> Sizes {
    let canvas = (variant.width.unwrap_or(LONGEST_SIDE), variant.height.unwrap_or(LONGEST_SIDE));
    match variant.fit {
        Fit::Cover => Sizes { picture: canvas, canvas },
        Fit::Contain => Sizes { picture: within(source, canvas), canvas },
        Fit::Inside if source.0 <= canvas.0 && source.1 <= canvas.1 => Sizes { picture: source, canvas: source },
        Fit::Inside => {
            let picture = within(source, canvas);
            Sizes { picture, canvas: picture }
        }
    }
}

/// The largest size of the same proportions that is within `space`; no side is shorter than a pixel.
fn within(source: (u32, u32), space: (u32, u32)) -> (u32, u32) {
    let (width, height) = (f64::from(source.0), f64::from(source.1));
    let scale = (f64::from(space.0) / width).min(f64::from(space.1) / height);
    (side(width * scale, space.0), side(height * scale, space.1))
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // it is positive, and at most 4096 but for rounding
fn side(length: f64, most: u32) -> u32 {
    (length.round() as u32).clamp(1, most)
}

fn scale(source: &Picture, (width, height): (u32, u32), fit: Fit) -> Result<RgbaImage, Failed> {
    let failed = || Failed::poison("resizing", "the picture cannot be resized");
    let pixels = &source.pixels;
    let view = ImageRef::new(pixels.width(), pixels.height(), pixels.as_raw(), PixelType::U8x4);
    let mut scaled = Image::new(width, height, PixelType::U8x4);
    // Transparent pixels have a colour that nobody sees: it must not mix with that of their neighbours.
    let options = ResizeOptions::new().use_alpha(!source.opaque);
    let options = if fit == Fit::Cover { options.fit_into_destination(Some((0.5, 0.5))) } else { options };
    Resizer::new().resize(&view.map_err(|_| failed())?, &mut scaled, &options).map_err(|_| failed())?;
    RgbaImage::from_raw(width, height, scaled.into_vec()).ok_or_else(failed)
}

/// `picture` in the middle of a transparent one.
fn framed(picture: &RgbaImage, (width, height): (u32, u32)) -> RgbaImage {
    let mut canvas = RgbaImage::new(width, height);
    let margin = |side: u32, most: u32| i64::from(most.saturating_sub(side) / 2);
    imageops::replace(&mut canvas, picture, margin(picture.width(), width), margin(picture.height(), height));
    canvas
}

fn encode(picture: &RgbaImage, variant: &Variant) -> image::ImageResult<Vec<u8>> {
    let mut content = Vec::new();
    let (width, height) = picture.dimensions();
    let opaque = picture.pixels().all(|Rgba([.., alpha])| *alpha == u8::MAX);
    let (bytes, color) = if opaque || variant.format == Format::Jpeg {
        (Cow::Owned(picture.pixels().copied().flat_map(on_white).collect()), ExtendedColorType::Rgb8)
    } else {
        (Cow::Borrowed(picture.as_raw().as_slice()), ExtendedColorType::Rgba8)
    };
    match variant.format {
        Format::Jpeg => {
            JpegEncoder::new_with_quality(&mut content, variant.quality()).write_image(&bytes, width, height, color)
        }
        Format::Png => PngEncoder::new(&mut content).write_image(&bytes, width, height, color),
        Format::Webp => WebPEncoder::new_lossless(&mut content).write_image(&bytes, width, height, color),
    }?;
    Ok(content)
}

/// The colour of a pixel before a white wall.
fn on_white(Rgba([red, green, blue, alpha]): Rgba<u8>) -> [u8; 3] {
    let alpha = u16::from(alpha);
    [red, green, blue].map(|part| {
        let mixed = (u16::from(part) * alpha + 255 * (255 - alpha) + 127) / 255;
        u8::try_from(mixed).unwrap_or(u8::MAX)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn variant(width: u32, height: u32, fit: &str) -> Variant {
        let side = |side: u32| if side == 0 { "null".to_owned() } else { side.to_string() };
        let json = r#"{"name": "a", "format": "png", "fit": "#;
        serde_json::from_str(&format!("{json}\"{fit}\", \"width\": {}, \"height\": {}}}", side(width), side(height)))
            .unwrap()
    }

    #[test]
    fn a_picture_keeps_its_proportions_within_what_is_asked() {
        let inside = |source, width, height| sizes(source, &variant(width, height, "inside")).canvas;
        assert_eq!(inside((4000, 3000), 400, 0), (400, 300));
        assert_eq!(inside((4000, 3000), 0, 400), (533, 400));
        assert_eq!(inside((4000, 3000), 400, 200), (267, 200));
        assert_eq!(inside((40, 30), 400, 400), (40, 30));
        assert_eq!(inside((10_000, 1), 100, 0), (100, 1));
        assert_eq!(inside((100, 9000), 200, 0), (46, 4096));
    }

    #[test]
    fn a_picture_that_covers_or_is_contained_has_both_sides() {
        let both = |source, fit| sizes(source, &variant(300, 300, fit));
        assert_eq!(both((400, 200), "contain"), Sizes { picture: (300, 150), canvas: (300, 300) });
        assert_eq!(both((40, 20), "contain"), Sizes { picture: (300, 150), canvas: (300, 300) });
        assert_eq!(both((400, 200), "cover"), Sizes { picture: (300, 300), canvas: (300, 300) });
        assert_eq!(both((1, 9000), "contain"), Sizes { picture: (1, 300), canvas: (300, 300) });
    }

    #[test]
    fn what_is_transparent_is_white_where_there_is_no_transparency() {
        assert_eq!(on_white(Rgba([0, 100, 255, 255])), [0, 100, 255]);
        assert_eq!(on_white(Rgba([0, 100, 255, 0])), [255, 255, 255]);
        assert_eq!(on_white(Rgba([0, 0, 255, 128])), [127, 127, 255]);
    }
}
