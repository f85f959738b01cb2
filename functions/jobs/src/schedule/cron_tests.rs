//! Which expressions are taken, what is said of the others, and when they fire in UTC.
#![allow(clippy::unwrap_used, clippy::panic)]

use proptest::prelude::*;

use super::*;

fn cron(text: &str) -> Cron {
    text.parse().unwrap_or_else(|refusal| panic!("{text}: {refusal}"))
}

/// The next times in UTC, to the minute.
fn times(expression: &str, after: &str, count: usize) -> Vec<String> {
    let cron = cron(expression);
    let after: Timestamp = after.parse().unwrap();
    let next = |at: &Timestamp| cron.next_after(*at, &Zone::UTC);
    let times = std::iter::successors(next(&after), next).take(count);
    times.map(|at| at.strftime("%F %H:%M").to_string()).collect()
}

#[test]
fn an_expression_is_kept_as_it_was_written() {
    for (text, kept) in [
        ("*/15 9-17 * * mon-FRI", "*/15 9-17 * * mon-FRI"),
        ("  0\t0 1   JAN *\n", "0 0 1 JAN *"),
        ("@Daily", "@Daily"),
    ] {
        let cron = cron(text);
        assert_eq!(cron.as_str(), kept);
        assert_eq!(cron.to_string(), kept);
        assert_eq!(serde_json::to_string(&cron).unwrap(), serde_json::to_string(kept).unwrap());
        assert_eq!(serde_json::from_str::<Cron>(&serde_json::to_string(text).unwrap()).unwrap(), cron);
        assert_eq!(format!("{cron:?}"), format!("Cron({kept:?})"));
    }
}

#[test]
fn lists_ranges_steps_and_names_are_understood() {
    let start = "2026-01-01T00:00:00Z"; // a Thursday
    for (expression, expected) in [
        ("5,10 0 * * *", ["2026-01-01 00:05", "2026-01-01 00:10", "2026-01-02 00:05"]),
        ("0 8-18/5 * * *", ["2026-01-01 08:00", "2026-01-01 13:00", "2026-01-01 18:00"]),
        ("*/25 * * * *", ["2026-01-01 00:25", "2026-01-01 00:50", "2026-01-01 01:00"]),
        ("0 12 * Feb,apr Sun", ["2026-02-01 12:00", "2026-02-08 12:00", "2026-02-15 12:00"]),
        ("0 0 * * 0", ["2026-01-04 00:00", "2026-01-11 00:00", "2026-01-18 00:00"]),
        ("0 0 * * 7", ["2026-01-04 00:00", "2026-01-11 00:00", "2026-01-18 00:00"]),
        ("0 0 * * FRI-SUN", ["2026-01-02 00:00", "2026-01-03 00:00", "2026-01-04 00:00"]),
        ("0 0 * * 5-7", ["2026-01-02 00:00", "2026-01-03 00:00", "2026-01-04 00:00"]),
        ("0 0 29 2 *", ["2028-02-29 00:00", "2032-02-29 00:00", "2036-02-29 00:00"]),
        ("0 0 L * *", ["2026-01-31 00:00", "2026-02-28 00:00", "2026-03-31 00:00"]),
        ("0 0 LW * *", ["2026-01-30 00:00", "2026-02-27 00:00", "2026-03-31 00:00"]),
        ("0 0 15W * *", ["2026-01-15 00:00", "2026-02-16 00:00", "2026-03-16 00:00"]),
        ("0 0 * * mon#1", ["2026-01-05 00:00", "2026-02-02 00:00", "2026-03-02 00:00"]),
        ("0 0 * * 5L", ["2026-01-30 00:00", "2026-02-27 00:00", "2026-03-27 00:00"]),
        ("@hourly", ["2026-01-01 01:00", "2026-01-01 02:00", "2026-01-01 03:00"]),
        ("@daily", ["2026-01-02 00:00", "2026-01-03 00:00", "2026-01-04 00:00"]),
        ("@midnight", ["2026-01-02 00:00", "2026-01-03 00:00", "2026-01-04 00:00"]),
        ("@weekly", ["2026-01-04 00:00", "2026-01-11 00:00", "2026-01-18 00:00"]),
        ("@monthly", ["2026-02-01 00:00", "2026-03-01 00:00", "2026-04-01 00:00"]),
        ("@yearly", ["2027-01-01 00:00", "2028-01-01 00:00", "2029-01-01 00:00"]),
        ("@ANNUALLY", ["2027-01-01 00:00", "2028-01-01 00:00", "2029-01-01 00:00"]),
    ] {
        assert_eq!(times(expression, start, 3), expected, "{expression}");
    }
}

#[test]
fn one_of_two_restricted_day_fields_is_enough_and_a_star_asks_for_both() {
    let start = "2026-01-01T00:00:00Z";
    assert_eq!(times("0 0 13 * FRI", start, 3), ["2026-01-02 00:00", "2026-01-09 00:00", "2026-01-13 00:00"]);
    assert_eq!(times("0 0 13 * *", start, 2), ["2026-01-13 00:00", "2026-02-13 00:00"]);
    // A field that begins with a star does not restrict: both must match.
    assert_eq!(times("0 0 */5 * MON", start, 3), ["2026-01-26 00:00", "2026-02-16 00:00", "2026-03-16 00:00"]);
    assert_eq!(times("0 0 13 * */5", start, 2), ["2026-02-13 00:00", "2026-03-13 00:00"]);
}

#[test]
fn a_part_of_a_minute_is_not_lost() {
    assert_eq!(times("0 0 * * *", "2025-12-31T23:59:59.999999999Z", 1), ["2026-01-01 00:00"]);
    assert_eq!(times("0 0 * * *", "2026-01-01T00:00:00.000000001Z", 1), ["2026-01-02 00:00"]);
    assert_eq!(times("0 0 * * *", "1969-12-31T23:59:59.5Z", 1), ["1970-01-01 00:00"]);
}

#[test]
fn a_refusal_names_the_field() {
    for (text, detail) in [
        ("60 * * * *", r#"has "60" as field 1, the minute, which takes 0 to 59"#),
        ("* 24 * * *", r#"has "24" as field 2, the hour, which takes 0 to 23"#),
        ("* * 0 * *", r#"has "0" as field 3, the day of the month, which takes 1 to 31, L"#),
        ("* * * 1,13 *", r#"has "1,13" as field 4, the month, which takes 1 to 12 or JAN to DEC"#),
        ("* * * * 8", r#"has "8" as field 5, the day of the week, which takes 0 to 7 (0 and 7 are Sunday)"#),
        ("0 0 * * MAY", r#"has "MAY" as field 5, the day of the week"#),
    ] {
        let refusal = text.parse::<Cron>().unwrap_err();
        assert_eq!(refusal.code, "bad_field", "{text}");
        assert!(refusal.detail.starts_with(detail), "{text}: {}", refusal.detail);
    }
    let refusal = "* * * *".parse::<Cron>().unwrap_err();
    assert!(refusal.detail.ends_with("it has 4"), "{}", refusal.detail);
}

#[test]
fn expressions_that_break_a_rule_are_refused_with_a_code() {
    let long = format!("{} * * * *", ["0"; 130].join(","));
    for (text, code) in [
        ("", "wrong_field_count"),
        ("   ", "wrong_field_count"),
        ("0 * * * * *", "wrong_field_count"),
        ("0 0 1 1 * 2026 *", "wrong_field_count"),
        ("@daily *", "unknown_macro"),
        ("@reboot", "unknown_macro"),
        ("@", "unknown_macro"),
        (long.as_str(), "too_long"),
        ("0 0 30 2 *", "never_fires"),
        ("0 0 31 2,4,6,9,11 *", "never_fires"),
        ("0 0 31W 6 *", "never_fires"),
        ("0 0 30,31 FEB */2", "never_fires"),
        ("0 0 ? * MON", "bad_field"),
        ("0 0 1 * +MON", "bad_field"),
        ("0 0 1 * L", "bad_field"),
        ("0 0 L-3 * *", "bad_field"),
        ("L * * * *", "bad_field"),
        ("MON * * * *", "bad_field"),
        ("* * * MON *", "bad_field"),
        ("* * * MARCH *", "bad_field"),
        ("* * * * MONTUE", "bad_field"),
        ("* * * * 1MON", "bad_field"),
        ("1,,2 * * * *", "bad_field"),
        (", * * * *", "bad_field"),
        ("1- * * * *", "bad_field"),
        ("-1 * * * *", "bad_field"),
        ("5-1 * * * *", "bad_field"),
        ("1-2-3 * * * *", "bad_field"),
        ("*/0 * * * *", "bad_field"),
        ("*/ * * * *", "bad_field"),
        ("/5 * * * *", "bad_field"),
        ("5/10 * * * *", "bad_field"),
        ("** * * * *", "bad_field"),
        ("1,* * * * *", "bad_field"),
        ("1.5 * * * *", "bad_field"),
        ("99999999999999999999 * * * *", "bad_field"),
        ("*/99999999999999999999 * * * *", "bad_field"),
        ("* * * * 1#6", "bad_field"),
        ("* * * * 1#0", "bad_field"),
        ("* * * * ſun", "bad_field"),
        ("٣ * * * *", "bad_field"),
    ] {
        assert_eq!(text.parse::<Cron>().map_err(|refusal| refusal.code), Err(code), "{text:?}");
    }
}

#[test]
fn the_rarest_day_is_found() {
    // A leap day on a Sunday, across the century that has none.
    assert_eq!(times("0 0 29 2 */7", "2088-03-01T00:00:00Z", 1), ["2128-02-29 00:00"]);
    assert_eq!(cron("0 0 1 1 *").next_after("5000-01-01T00:00:00Z".parse().unwrap(), &Zone::UTC), None);
}

/// Expressions made up at random, with the times that two other implementations give: Python's croniter 7.0 and
/// cronsim 2.8.
const OTHERS: &[(&str, &str, [&str; 3])] = &[
    ("58-59 7 26 10-11 *", "2002-01-07T22:36:18Z", ["2002-10-26 07:58", "2002-10-26 07:59", "2002-11-26 07:58"]),
    ("4-48 20 24,2,11 JUN *", "2002-12-16T13:14:16Z", ["2003-06-02 20:04", "2003-06-02 20:05", "2003-06-02 20:06"]),
    ("51 18-21/6 * */5 3-4", "2023-12-28T15:01:37Z", ["2024-01-03 18:51", "2024-01-04 18:51", "2024-01-10 18:51"]),
    ("*/23 */2 * */2 FRI", "2001-10-12T06:52:06Z", ["2001-11-02 00:00", "2001-11-02 00:23", "2001-11-02 00:46"]),
    ("23,50-54/6 8 16 8-SEP *", "2025-01-20T03:11:20Z", ["2025-08-16 08:23", "2025-08-16 08:50", "2025-09-16 08:23"]),
    ("2-34 2-4 4 * 3", "2031-08-18T17:15:03Z", ["2031-08-20 02:02", "2031-08-20 02:03", "2031-08-20 02:04"]),
    ("* 18-22 22-25 JAN-3,3-5 0", "2005-02-08T00:54:20Z", ["2005-02-13 18:00", "2005-02-13 18:01", "2005-02-13 18:02"]),
    ("25-26 */6 22-26 * 2", "2023-05-09T19:32:51Z", ["2023-05-16 00:25", "2023-05-16 00:26", "2023-05-16 06:25"]),
    ("*/26 */1 28-29 3-JUN/2 0", "2021-04-10T00:33:29Z", ["2021-05-02 00:00", "2021-05-02 00:26", "2021-05-02 00:52"]),
    (
        "7-30,27-39 5 21-31/4 2-3 5-6",
        "2026-10-31T11:50:42Z",
        ["2027-02-05 05:07", "2027-02-05 05:08", "2027-02-05 05:09"],
    ),
    ("*/16 8 18-26/5 * 5-SAT,2", "2012-05-25T16:46:24Z", ["2012-05-26 08:00", "2012-05-26 08:16", "2012-05-26 08:32"]),
];

#[test]
fn other_implementations_agree() {
    for (expression, after, expected) in OTHERS {
        assert_eq!(times(expression, after, 3), *expected, "{expression} after {after}");
    }
}

proptest! {
    #[test]
    fn any_text_is_taken_or_refused(text in "[0-9*/,#LWA-Z@? -]{0,30}|\\PC{0,40}|([0-9*,/-]{1,5} ){4}[0-9A-Z#*]{1,4}") {
        if let Ok(cron) = text.parse::<Cron>() {
            prop_assert_eq!(cron.as_str().parse::<Cron>().unwrap(), cron.clone());
            prop_assert!(cron.next_after(Timestamp::UNIX_EPOCH, &Zone::UTC).is_some());
        }
    }
}
