//! The vectors of RFC 4226 and RFC 6238, and the rules around them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;

/// The secret of both RFCs.
fn secret() -> TotpSecret {
    TotpSecret::try_from(&b"12345678901234567890"[..]).unwrap()
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

#[test]
fn the_vectors_of_rfc_4226_hold() {
    // Appendix D.
    let codes = ["755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"];
    for (counter, code) in (0..).zip(codes) {
        assert_eq!(one_time_code(b"12345678901234567890", counter, 6), code, "{counter}");
    }
}

#[test]
fn the_vectors_of_rfc_6238_hold() {
    // Appendix B, the rows of SHA-1.
    for (second, code) in [
        (59, "94287082"),
        (1_111_111_109, "07081804"),
        (1_111_111_111, "14050471"),
        (1_234_567_890, "89005924"),
        (2_000_000_000, "69279037"),
        (20_000_000_000, "65353130"),
    ] {
        let step = u64::try_from(second).unwrap() / STEP_SECONDS;
        assert_eq!(one_time_code(b"12345678901234567890", step, 8), code, "{second}");
        assert_eq!(secret().accept(&code[2..], at(second), None), Some(step), "{second}");
    }
}

#[test]
fn a_code_is_right_one_step_early_and_late_and_no_more() {
    // The code of step 37,037,036, which begins at 1,111,111,080.
    let (start, step) = (1_111_111_080, 37_037_036);
    for (offset, accepted) in [(-31, false), (-30, true), (0, true), (29, true), (59, true), (60, false)] {
        let answer = secret().accept("081804", at(start + offset), None);
        assert_eq!(answer, accepted.then_some(step), "{offset}");
    }
}

#[test]
fn a_code_is_used_once_and_none_before_it_any_more() {
    let now = at(1_111_111_109);
    let step = secret().accept("081804", now, None).unwrap();
    assert_eq!(secret().accept("081804", now, Some(step)), None);
    assert_eq!(secret().accept("081804", now, Some(step + 1)), None);
    assert_eq!(secret().accept("081804", now, Some(step - 1)), Some(step));
    let next = one_time_code(b"12345678901234567890", step + 1, DIGITS);
    assert_eq!(secret().accept(&next, now, Some(step)), Some(step + 1));
}

#[test]
fn only_the_six_digits_are_a_code() {
    let now = at(59);
    assert_eq!(secret().accept("287 082", now, None), Some(1));
    for wrong in ["", "287083", "28708", "2870820", "94287082", "+287082", "２８７０８２", "287082\n", "abcdef"] {
        assert_eq!(secret().accept(wrong, now, None), None, "{wrong:?}");
    }
    assert_eq!(secret().accept("287082", at(-59), None), None);
    assert_eq!(secret().accept("755224", at(0), None), Some(0));
    assert_eq!(secret().accept("755224", Timestamp::MAX, None), None);
}

#[test]
fn secrets_are_drawn_typed_in_base32_and_not_printed() {
    let random = Random::seeded(1);
    let drawn = TotpSecret::draw(&random);
    assert!(drawn != TotpSecret::draw(&random));
    assert!(TotpSecret::try_from(drawn.bytes()).unwrap() == drawn);
    assert_eq!(secret().base32(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
    assert_eq!(format!("{drawn:?}"), "TotpSecret(…)");
    for bytes in [&[][..], &[0; 19], &[0; 21]] {
        assert!(TotpSecret::try_from(bytes).is_err(), "{}", bytes.len());
    }
}

#[test]
fn the_uri_has_its_names_escaped() {
    assert_eq!(
        secret().otpauth_uri("Acme: Co & Söhne", "ada+x@example.com"),
        "otpauth://totp/Acme%20Co%20%26%20S%C3%B6hne:ada%2Bx%40example.com\
         ?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Acme%20Co%20%26%20S%C3%B6hne&algorithm=SHA1&digits=6&period=30"
    );
}

/// Draws the rectangles of the document's one path.
fn draw(svg: &str) -> (usize, Vec<u8>) {
    let between = |start: &str, end: &str| svg.split_once(start).unwrap().1.split_once(end).unwrap().0;
    let side: usize = between("viewBox=\"0 0 ", " ").parse().unwrap();
    let mut pixels = vec![255; side * side];
    for rectangle in between(" d=\"", "\"").split('M').skip(1) {
        let numbers: Vec<usize> = rectangle.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse().unwrap()).collect();
        let (left, top, width, height) = (numbers[0], numbers[1], numbers[2], numbers[3]);
        for row in top..top + height {
            pixels[row * side + left..][..width].fill(0);
        }
    }
    (side, pixels)
}

#[test]
fn the_picture_reads_back() {
    let uri = secret().otpauth_uri("Tenfold", "ada@example.com");
    let (side, pixels) = draw(&qr_svg(&uri).unwrap());
    assert!(side >= 256);
    let mut image = rqrr::PreparedImage::prepare_from_greyscale(side, side, |x, y| pixels[y * side + x]);
    assert_eq!(image.detect_grids()[0].decode().unwrap().1, uri);
    assert!(qr_svg(&"x".repeat(2332)).is_err());
}
