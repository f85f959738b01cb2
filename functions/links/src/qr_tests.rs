//! Codes are read back with a decoder that shares nothing with the encoder.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use proptest::prelude::*;

use super::*;

const LINK: &str = "https://short.example/l/k7vq2mz";

/// A PNG's side and its grey values.
fn grey(image: &[u8]) -> (usize, Vec<u8>) {
    let mut decoder = png::Decoder::new(std::io::Cursor::new(image));
    decoder.set_transformations(png::Transformations::EXPAND);
    let mut reader = decoder.read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    assert_eq!((info.width, info.color_type), (info.height, png::ColorType::Rgb));
    let grey = pixels[..info.buffer_size()]
        .chunks(3)
        .map(|rgb| u8::try_from(rgb.iter().map(|channel| u32::from(*channel)).sum::<u32>() / 3).unwrap());
    (info.width as usize, grey.collect())
}

fn read(side: usize, grey: &[u8]) -> (rqrr::MetaData, String) {
    let mut image = rqrr::PreparedImage::prepare_from_greyscale(side, side, |x, y| grey[y * side + x]);
    let grids = image.detect_grids();
    assert_eq!(grids.len(), 1);
    grids[0].decode().unwrap()
}

/// Draws what [`svg`] writes: a ground and runs of modules of one path.
fn draw(svg: &str, scale: usize) -> (usize, Vec<u8>) {
    let between = |start: &str, end: &str| svg.split_once(start).unwrap().1.split_once(end).unwrap().0.to_owned();
    let side: usize = between("viewBox=\"0 0 ", " ").parse().unwrap();
    let mut modules = vec![255; side * side];
    for run in between(" d=\"", "\"").split('z').filter(|run| !run.is_empty()) {
        let (place, length) = run.strip_prefix('M').unwrap().split_once('h').unwrap();
        let (x, y) = place.split_once(' ').unwrap();
        let (x, y): (usize, usize) = (x.parse().unwrap(), y.parse().unwrap());
        let length: usize = length.split_once('v').unwrap().0.parse().unwrap();
        modules[y * side + x..][..length].fill(0);
    }
    let drawn = side * scale;
    let pixels = (0..drawn * drawn).map(|at| modules[at / drawn / scale * side + at % drawn / scale]).collect();
    (drawn, pixels)
}

#[test]
fn a_png_reads_back_at_every_level() {
    for (correction, level) in [(Correction::L, 1), (Correction::M, 0), (Correction::Q, 3), (Correction::H, 2)] {
        for (size, margin) in [(64, 4), (256, 4), (301, 2), (640, 16)] {
            let options = Options { size, margin, correction, ..Options::default() }.check().unwrap();
            let (side, grey) = grey(&png(LINK, options).unwrap());
            assert_eq!(side, size as usize);
            let (meta, text) = read(side, &grey);
            assert_eq!(text, LINK, "{options:?}");
            assert_eq!(meta.ecc_level, level);
        }
    }
}

#[test]
fn an_svg_reads_back() {
    for margin in [0, 1, 4] {
        let (side, grey) = draw(&svg(LINK, Options { margin, ..Options::default() }).unwrap(), 5);
        if margin > 0 {
            assert_eq!(read(side, &grey).1, LINK);
        }
    }
    let document = svg(LINK, Options { size: 300, ..Options::default() }).unwrap();
    assert!(document.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"300\" height=\"300\""));
    assert!(!document.contains("<script") && !document.contains("href"));
}

#[test]
fn colours_are_kept() {
    let colour = |text: &str| Colour::try_from(text.to_owned()).unwrap();
    let options = Options { dark: colour("#102A6B"), light: colour("fff4d6"), ..Options::default() }.check().unwrap();
    let (side, grey) = grey(&png(LINK, options).unwrap());
    assert_eq!(read(side, &grey).1, LINK);
    let document = svg(LINK, options).unwrap();
    assert!(document.contains(r##"fill="#102a6b""##) && document.contains(r##"fill="#fff4d6""##));
}

#[test]
fn what_no_reader_could_read_is_refused() {
    let codes = |options: Options| -> Vec<_> {
        options.check().unwrap_err().into_iter().map(|fault| (fault.pointer, fault.refusal.code)).collect()
    };
    let colour = |text: &str| Colour::try_from(text.to_owned()).unwrap();
    let options = Options::default();
    assert_eq!(
        codes(Options { size: 63, margin: 17, ..options }),
        [("?size", "out_of_range"), ("?margin", "out_of_range")]
    );
    assert_eq!(codes(Options { size: 2049, ..options }), [("?size", "out_of_range")]);
    // Inverted, and too pale.
    assert_eq!(codes(Options { dark: Colour::WHITE, light: Colour::BLACK, ..options }), [("?dark", "low_contrast")]);
    assert_eq!(codes(Options { dark: colour("aaaaaa"), ..options }), [("?dark", "low_contrast")]);
    for bad in ["", "#fff", "red", "12345g", "#1234567", "+12345", "\"><x>"] {
        assert_eq!(Colour::try_from(bad.to_owned()).unwrap_err().code, "not_a_colour", "{bad}");
    }
    assert!(matches!(png(&"x".repeat(500), Options { size: 64, ..options }), Err(QrFailed::TooSmall(_))));
    assert!(matches!(svg(&"x".repeat(3000), options), Err(QrFailed::Code(_))));
}

#[test]
fn options_read_from_a_query_have_defaults() {
    let options: Options = serde_json::from_str(r#"{"correction": "H", "dark": "000080"}"#).unwrap();
    assert_eq!((options.size, options.margin, options.correction), (256, 4, Correction::H));
    assert_eq!(options.dark.to_string(), "#000080");
    assert!(serde_json::from_str::<Options>(r#"{"sise": 1}"#).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_slug_reads_back(slug in "[A-Za-z0-9_-]{3,64}", size in 150..400_u32) {
        let text = format!("https://short.example/l/{slug}");
        let (side, grey) = grey(&png(&text, Options { size, ..Options::default() }).unwrap());
        prop_assert_eq!(read(side, &grey).1, text);
    }
}
