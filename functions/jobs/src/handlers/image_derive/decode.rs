//! From bytes that anybody may have made to a picture, within bounds: a small file can claim to be a picture of any size.

use std::io::Cursor;

use image::error::ImageError;
use image::{DynamicImage, ImageDecoder as _, ImageFormat, ImageReader, Limits};

use super::render::Picture;
use crate::handlers::Failed;

/// The most pixels of a source: with 8 bytes each, as a PNG may have, they take 320 MB, and 160 MB once decoded.
const MOST_PIXELS: u64 = 40_000_000;

/// What a decoder may take of the memory in bytes.
const MOST_MEMORY: u64 = 384 * 1024 * 1024;

/// Reads a JPEG, PNG, WebP, or the first frame of a GIF, and turns it the way that its EXIF orientation says. What cannot be
/// read now never can.
pub(super) fn decode(source: &[u8]) -> Result<Picture, Failed> {
    let format = image::guess_format(source).ok();
    let format = format
        .filter(|format| matches!(format, ImageFormat::Jpeg | ImageFormat::Png | ImageFormat::WebP | ImageFormat::Gif));
    let Some(format) = format else {
        return Err(Failed::poison("unsupported_image", "the source is no JPEG, PNG, WebP or GIF"));
    };
    if format == ImageFormat::Jpeg && !is_whole(source) {
        return Err(Failed::poison("undecodable_image", "the source ends before its picture does"));
    }
    let mut limits = Limits::default();
    limits.max_alloc = Some(MOST_MEMORY);
    let mut reader = ImageReader::with_format(Cursor::new(source), format);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(|error| failed(&error))?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > MOST_PIXELS {
        let message = format!("the source has {width} x {height} pixels; it may have 40,000,000");
        return Err(Failed::poison("image_too_large", message));
    }
    let orientation = decoder.orientation().map_err(|error| failed(&error))?;
    let mut picture = DynamicImage::from_decoder(decoder).map_err(|error| failed(&error))?;
    picture.apply_orientation(orientation);
    Ok(Picture::new(picture.into_rgba8()))
}

/// Whether a JPEG has its end: its decoder fills what is missing with grey. The marker of the end cannot be part of a scan
/// (ITU-T T.81, section B.1.1.2), but of a segment before the first scan, which may hold a whole smaller JPEG.
fn is_whole(jpeg: &[u8]) -> bool {
    const START_OF_SCAN: u8 = 0xda;
    const END_OF_IMAGE: [u8; 2] = [0xff, 0xd9];
    let mut rest = jpeg.get(2..).unwrap_or_default();
    loop {
        rest = match *rest {
            [0xff, 0xff, ..] => rest.get(1..),
            [0xff, START_OF_SCAN, ..] => return rest.windows(2).any(|marker| marker == END_OF_IMAGE),
            [0xff, _, high, low, ..] => rest.get(2 + usize::from(u16::from_be_bytes([high, low]))..),
            _ => None,
        }
        .unwrap_or_default();
        if rest.is_empty() {
            return false;
        }
    }
}

fn failed(error: &ImageError) -> Failed {
    match error {
        ImageError::Limits(_) => Failed::poison("image_too_large", "the source takes too much memory to be decoded"),
        error => Failed::poison("undecodable_image", format!("the source cannot be decoded: {error}")),
    }
}
