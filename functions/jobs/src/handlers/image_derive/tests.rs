//! Sources as strangers make them: turned, broken, and made to take more than they should.
#![allow(clippy::unwrap_used)]

use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ExtendedColorType, ImageFormat, ImageReader, Rgb, RgbImage, Rgba, RgbaImage};

use super::render::Rendered;
use super::*;
use crate::attempt::Failure;

const RED: [u8; 3] = [255, 0, 0];
const GREEN: [u8; 3] = [0, 255, 0];
const BLUE: [u8; 3] = [0, 0, 255];
const BLACK: [u8; 3] = [0, 0, 0];

/// Four quarters: red and green above blue and black.
fn quarters(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        Rgb(match (x < width / 2, y < height / 2) {
            (true, true) => RED,
            (false, true) => GREEN,
            (true, false) => BLUE,
            (false, false) => BLACK,
        })
    })
}

fn written(picture: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture.into().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// A JPEG whose first segment is an EXIF block (TIFF 6.0, section 2) with this orientation and nothing else.
fn turned(orientation: u8) -> Vec<u8> {
    let mut jpeg = Vec::new();
    let picture = quarters(64, 32);
    JpegEncoder::new_with_quality(&mut jpeg, 95).encode(&picture, 64, 32, ExtendedColorType::Rgb8).unwrap();
    let mut exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0]);
    let length = u16::try_from(exif.len() + 2).unwrap().to_be_bytes();
    let (start, rest) = jpeg.split_at(2);
    [start, &[0xff, 0xe1], &length, &exif, rest].concat()
}

/// The colours of the corners, in reading order, of what is almost one of the four.
fn corners(picture: &RgbaImage) -> [[u8; 3]; 4] {
    let (right, bottom) = (picture.width() - 4, picture.height() - 4);
    [(3, 3), (right, 3), (3, bottom), (right, bottom)].map(|(x, y)| {
        let Rgba([red, green, blue, _]) = picture.get_pixel(x, y);
        [red, green, blue].map(|part| if *part > 127 { 255 } else { 0 })
    })
}

fn refused(source: &[u8]) -> Failure {
    match decode(source) {
        Err(Failed::Poison(failure)) => failure,
        Err(other) => panic!("{other:?}"),
        Ok(picture) => panic!("{:?}", picture.pixels().dimensions()),
    }
}

fn class_of(source: &[u8]) -> String {
    refused(source).class
}

fn made(source: &Picture, variant: &str) -> (Rendered, DynamicImage) {
    let rendered = render(source, &serde_json::from_str(variant).unwrap()).unwrap();
    let reader = ImageReader::new(std::io::Cursor::new(&rendered.content)).with_guessed_format().unwrap();
    let picture = reader.decode().unwrap();
    assert_eq!((picture.width(), picture.height()), (rendered.width, rendered.height));
    (rendered, picture)
}

#[test]
fn a_picture_is_turned_the_way_that_each_orientation_says() {
    for (orientation, expected) in [
        (0, [RED, GREEN, BLUE, BLACK]),
        (1, [RED, GREEN, BLUE, BLACK]),
        (2, [GREEN, RED, BLACK, BLUE]),
        (3, [BLACK, BLUE, GREEN, RED]),
        (4, [BLUE, BLACK, RED, GREEN]),
        (5, [RED, BLUE, GREEN, BLACK]),
        (6, [BLUE, RED, BLACK, GREEN]),
        (7, [BLACK, GREEN, BLUE, RED]),
        (8, [GREEN, BLACK, RED, BLUE]),
        (9, [RED, GREEN, BLUE, BLACK]),
    ] {
        let picture = decode(&turned(orientation)).unwrap();
        let size = if (5..=8).contains(&orientation) { (32, 64) } else { (64, 32) };
        assert_eq!((picture.pixels().dimensions(), corners(picture.pixels())), (size, expected), "{orientation}");
    }
}

#[test]
fn nothing_of_the_metadata_is_carried_on() {
    let source = decode(&turned(6)).unwrap();
    for format in ["jpeg", "png", "webp"] {
        let variant = format!(r#"{{"name": "a", "width": 16, "format": "{format}"}}"#);
        let (rendered, picture) = made(&source, &variant);
        assert!(!rendered.content.windows(4).any(|part| part == b"Exif" || part == b"eXIf" || part == b"EXIF"));
        assert_eq!((picture.width(), picture.height()), (16, 32), "{format}");
        assert_eq!(corners(&picture.into_rgba8()), [BLUE, RED, BLACK, GREEN], "{format}");
    }
}

#[test]
fn each_format_that_is_taken_is_told_by_its_content() {
    for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP, ImageFormat::Gif] {
        let picture = decode(&written(quarters(40, 40), format)).unwrap();
        assert_eq!(corners(picture.pixels()), [RED, GREEN, BLUE, BLACK], "{format:?}");
    }
    for other in
        [&b""[..], b"GIF", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"<!DOCTYPE html>", b"BM\0\0", b"II*\0"]
    {
        assert_eq!(class_of(other), "unsupported_image", "{other:?}");
    }
}

/// A PNG chunk (PNG, third edition, section 5.3).
fn chunk(kind: &[u8], data: &[u8]) -> Vec<u8> {
    let body = [kind, data].concat();
    let length = u32::try_from(data.len()).unwrap();
    [&length.to_be_bytes()[..], &body, &crc32fast::hash(&body).to_be_bytes()].concat()
}

#[test]
fn a_small_file_that_claims_to_be_huge_is_refused_before_it_is_decoded() {
    let sides = 50_000_u32.to_be_bytes();
    let header = [&sides[..], &sides, &[16, 6, 0, 0, 0]].concat();
    let idat = [0x78, 0x9c, 0x03, 0x00, 0x00, 0x00, 0x00, 0x01];
    let png = [&b"\x89PNG\r\n\x1a\n"[..], &chunk(b"IHDR", &header), &chunk(b"IDAT", &idat), &chunk(b"IEND", b"")];
    assert_eq!(class_of(&png.concat()), "image_too_large");

    // Half of its memory would be too much, too: one side of it is as long as before.
    let gif = [&b"GIF89a\xff\xff\xff\xff\x00\x00\x00"[..], b",\0\0\0\0\xff\xff\xff\xff\0\x02\x01\x44\0;"].concat();
    assert_eq!(class_of(&gif), "image_too_large");

    let mut jpeg = written(quarters(16, 16), ImageFormat::Jpeg);
    let frame = jpeg.windows(2).position(|marker| marker == [0xff, 0xc0]).unwrap();
    jpeg.get_mut(frame + 5..frame + 9).unwrap().fill(0xff);
    assert_eq!(class_of(&jpeg), "image_too_large");

    let extended = [&b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0"[..], &[0xff, 0x3f, 0, 0xff, 0x3f, 0]].concat();
    let class = class_of(&extended);
    assert!(class == "image_too_large" || class == "undecodable_image", "{class}");
}

#[test]
fn a_file_that_ends_too_soon_or_is_damaged_is_refused() {
    for format in [ImageFormat::Png, ImageFormat::WebP, ImageFormat::Gif, ImageFormat::Jpeg] {
        let whole = written(quarters(200, 200), format);
        for kept in [12, whole.len() / 2] {
            assert_eq!(class_of(&whole[..kept]), "undecodable_image", "{format:?} {kept} of {}", whole.len());
        }
    }
    let mut damaged = written(quarters(200, 200), ImageFormat::Png);
    damaged[60..80].fill(0x55);
    assert_eq!(class_of(&damaged), "undecodable_image");
}

#[test]
fn transparency_is_kept_where_it_can_be_and_mixes_no_hidden_colour() {
    // The left half is transparent, and red where nobody sees it.
    let half = RgbaImage::from_fn(64, 64, |x, _| if x < 32 { Rgba([255, 0, 0, 0]) } else { Rgba([0, 0, 255, 255]) });
    let source = decode(&written(half, ImageFormat::Png)).unwrap();
    for format in ["png", "webp"] {
        let (_, picture) = made(&source, &format!(r#"{{"name": "a", "width": 15, "format": "{format}"}}"#));
        let picture = picture.into_rgba8();
        assert!(picture.pixels().all(|Rgba([red, .., alpha])| *alpha == 0 || *red < 3), "{format}");
        assert_eq!((picture.get_pixel(0, 0)[3], *picture.get_pixel(14, 7)), (0, Rgba([0, 0, 255, 255])));
    }
    let (_, picture) = made(&source, r#"{"name": "a", "width": 16, "format": "jpeg", "quality": 100}"#);
    assert!(!picture.color().has_alpha());
    assert!(picture.into_rgb8().get_pixel(1, 1).0.iter().all(|part| *part > 250));
}

#[test]
fn a_contained_picture_stands_in_the_middle_and_a_covering_one_loses_its_ends() {
    let source = decode(&written(quarters(80, 40), ImageFormat::Png)).unwrap();
    let fit = |fit: &str, format: &str| {
        made(&source, &format!(r#"{{"name": "a", "width": 40, "height": 40, "fit": "{fit}", "format": "{format}"}}"#))
            .1
            .into_rgba8()
    };
    let contained = fit("contain", "png");
    let at = |x: u32, y: u32| contained.get_pixel(x, y).0;
    assert_eq!((at(20, 9)[3], at(20, 30)[3]), (0, 0));
    assert_eq!((at(3, 12), at(36, 27)), ([255, 0, 0, 255], [0, 0, 0, 255]));
    assert_eq!(fit("contain", "jpeg").get_pixel(20, 3).0, [255; 4]);
    assert_eq!(corners(&fit("cover", "png")), [RED, GREEN, BLUE, BLACK]);
}

#[test]
fn the_same_source_makes_the_same_bytes() {
    let source = turned(1);
    for format in ["jpeg", "png", "webp"] {
        let variant = format!(r#"{{"name": "a", "width": 33, "format": "{format}"}}"#);
        let once = || made(&decode(&source).unwrap(), &variant).0.content;
        assert_eq!(once(), once());
    }
}

#[test]
fn every_bad_field_of_the_payload_is_told() {
    let faults = |variants: &str| -> Vec<(String, String)> {
        let text = format!(r#"{{"source": {{"url": "https://example.com/a"}}, "variants": {variants}}}"#);
        let payload: Payload = serde_json::from_str(&text).unwrap();
        payload
            .faults(&crate::handlers::tests::dependencies().outbound)
            .into_iter()
            .map(|fault| (fault.pointer, fault.code.into_owned()))
            .collect()
    };
    let owned = |pointer: &str, code: &str| (pointer.to_owned(), code.to_owned());
    assert_eq!(faults("[]"), [owned("/variants", "empty")]);
    let ok = r#"{"name": "a", "width": 1, "format": "png"}"#;
    assert_eq!(faults(&format!("[{}]", [ok; 9].join(","))), [owned("/variants", "too_many")]);
    for (variant, pointer, code) in [
        (r#"{"name": "", "width": 1, "format": "png"}"#, "name", "invalid"),
        (r#"{"name": "../a", "width": 1, "format": "png"}"#, "name", "invalid"),
        (r#"{"name": "a", "format": "png"}"#, "width", "missing_field"),
        (r#"{"name": "a", "width": 0, "format": "png"}"#, "width", "out_of_range"),
        (r#"{"name": "a", "height": 4097, "format": "png"}"#, "height", "out_of_range"),
        (r#"{"name": "a", "width": 9, "fit": "cover", "format": "png"}"#, "height", "missing_field"),
        (r#"{"name": "a", "width": 9, "format": "jpeg", "quality": 0}"#, "quality", "out_of_range"),
        (r#"{"name": "a", "width": 9, "format": "webp", "quality": 80}"#, "quality", "not_allowed"),
    ] {
        assert_eq!(faults(&format!("[{variant}]")), [owned(&format!("/variants/0/{pointer}"), code)], "{variant}");
    }
    assert_eq!(faults(&format!("[{ok}, {ok}]")), [owned("/variants/1/name", "duplicate")]);
}
