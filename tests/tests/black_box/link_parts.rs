//! What belongs to links: the tenant's blocklist, the QR code, the bounds of the statistics.

use http::Method;
use serde_json::json;
use tests::{Ask as _, Tenant};

use crate::link::{faults, link, path_of};

const BLOCKLIST: &str = "/v1/links/blocklist";

#[tokio::test]
async fn a_blocklist_is_empty_until_it_is_set_and_then_kept_in_order() {
    let tenant = Tenant::new().await;
    let first = tenant.get(BLOCKLIST).await.expect(200);
    assert_eq!(first.json(), json!({"domains": []}));
    let sent = json!({"domains": ["Zip", "B\u{dc}CHER.example.", "10.0.0.1", "zip"]});
    let put = tenant.put(BLOCKLIST, &sent).await.expect(200);
    let read = tenant.get(BLOCKLIST).await.expect(200);
    assert_eq!(read.json(), json!({"domains": ["10.0.0.1", "xn--bcher-kva.example", "zip"]}));
    assert_eq!((put.json(), put.header("etag")), (read.json(), read.header("etag")));
    assert_ne!(first.header("etag"), put.header("etag"));
    let request = tenant.request(Method::GET, BLOCKLIST).header("if-none-match", put.header("etag"));
    request.answer().await.expect(304);
}

#[tokio::test]
async fn a_blocklist_that_was_changed_meanwhile_is_not_overwritten() {
    let tenant = Tenant::new().await;
    let etag = tenant.get(BLOCKLIST).await.header("etag").to_owned();
    let put = async |etag: &str, domain: &str| {
        let request = tenant.request(Method::PUT, BLOCKLIST).header("if-match", etag);
        request.json(&json!({"domains": [domain]})).answer().await
    };
    let second = put(&etag, "one.example").await.expect(200);
    put(&etag, "two.example").await.problem(412, "precondition-failed");
    put(second.header("etag"), "three.example").await.expect(200);
    put("*", "four.example").await.expect(200);
    assert_eq!(tenant.get(BLOCKLIST).await.json(), json!({"domains": ["four.example"]}));
}

#[tokio::test]
async fn bad_domains_are_refused_with_their_places() {
    let tenant = Tenant::new().await;
    let sent = json!({"domains": ["good.example", "*.example.com", "https://example.com/"]});
    let problem = tenant.put(BLOCKLIST, &sent).await.problem(422, "validation");
    assert_eq!(faults(&problem)[0], ("/domains/1", "not_a_domain"));
    let many: Vec<_> = (0..1001).map(|number| format!("d{number}.example")).collect();
    let problem = tenant.put(BLOCKLIST, &json!({"domains": many})).await.problem(422, "validation");
    assert_eq!(faults(&problem), [("/domains", "too_many")]);
    tenant.put(BLOCKLIST, &json!({"domains": many[..1000]})).await.expect(200);
}

#[tokio::test]
async fn a_blocked_domain_is_blocked_with_all_below_it_for_its_tenant() {
    let (tenant, other) = (Tenant::new().await, Tenant::new().await);
    let before = link(&tenant, json!({"target": "https://evil.example/old", "title": "x"})).await;
    tenant.put(BLOCKLIST, &json!({"domains": ["evil.example", "zip", "10.0.0.1"]})).await.expect(200);
    for target in [
        "https://evil.example/",
        "https://a.b.EVIL.example:8443/x",
        "https://evil.example./",
        "https://pay.zip/",
        "http://0xA.0.0.1/",
    ] {
        let problem = tenant.post("/v1/links", &json!({"target": target})).await.problem(422, "validation");
        assert_eq!(faults(&problem), [("/target", "blocked")], "{target}");
        link(&other, json!({"target": target})).await;
    }
    let good = link(&tenant, json!({"target": "https://notevil.example/"})).await;
    let problem = tenant.patch(&path_of(&good), &json!({"target": "https://evil.example/"})).await;
    assert_eq!(faults(&problem.problem(422, "validation")), [("/target", "blocked")]);
    // What led there before is left alone, and can still be edited.
    tenant.patch(&path_of(&before), &json!({"title": "y"})).await.expect(200);
}

fn decoded(png: &[u8]) -> (String, u32) {
    let mut decoder = png::Decoder::new(std::io::Cursor::new(png));
    decoder.set_transformations(png::Transformations::EXPAND);
    let mut reader = decoder.read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    let (width, samples) = (info.width as usize, info.color_type.samples());
    let mut image = rqrr::PreparedImage::prepare_from_greyscale(width, info.height as usize, |x, y| {
        pixels[(y * width + x) * samples]
    });
    let grids = image.detect_grids();
    assert_eq!(grids.len(), 1);
    (grids[0].decode().unwrap().1, info.width)
}

#[tokio::test]
async fn a_qr_code_holds_the_short_address() {
    let tenant = Tenant::new().await;
    let made = link(&tenant, json!({})).await;
    for (query, size) in
        [("", 256), ("?size=512&correction=H&margin=2", 512), ("?dark=1a2b3c&light=%23ffeedd&size=300", 300)]
    {
        let request =
            tenant.request(Method::GET, &format!("{}/qr{query}", path_of(&made))).header("accept", "image/png");
        let answer = request.answer().await.expect(200);
        assert_eq!((answer.header("content-type"), answer.header("vary")), ("image/png", "Accept"));
        assert_eq!(decoded(&answer.body), (made["short_url"].as_str().unwrap().to_owned(), size), "{query}");
    }
}

#[tokio::test]
async fn accept_decides_between_svg_and_png() {
    let tenant = Tenant::new().await;
    let path = format!("{}/qr", path_of(&link(&tenant, json!({})).await));
    for (accept, expected) in [
        ("*/*", "image/svg+xml"),
        ("image/svg+xml", "image/svg+xml"),
        ("image/*, image/png;q=0.1", "image/svg+xml"),
        ("text/html, image/png;q=0.5", "image/png"),
    ] {
        let answer = tenant.request(Method::GET, &path).header("accept", accept).answer().await.expect(200);
        assert_eq!(answer.header("content-type"), expected, "{accept}");
        let starts: &[u8] = if expected == "image/png" { b"\x89PNG\r\n" } else { b"<svg " };
        assert!(answer.body.starts_with(starts));
    }
    for accept in ["text/html", "image/gif", "image/png;q=0", "application/json"] {
        tenant.request(Method::GET, &path).header("accept", accept).answer().await.problem(406, "not-acceptable");
    }
}

#[tokio::test]
async fn a_code_that_nobody_could_read_is_refused() {
    let tenant = Tenant::new().await;
    let path = format!("{}/qr", path_of(&link(&tenant, json!({"unguessable": true})).await));
    for (query, pointer) in [
        ("size=63", "?size"),
        ("size=2049", "?size"),
        ("size=big", "?size"),
        ("margin=17", "?margin"),
        ("dark=ffffff", "?dark"),
        ("dark=red", "?dark"),
        ("light=333333", "?dark"),
        ("correction=X", "?correction"),
        ("colour=ff0000", "?colour"),
    ] {
        let problem = tenant.get(&format!("{path}?{query}")).await.problem(422, "validation");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{query}: {problem}");
    }
}

#[tokio::test]
async fn statistics_have_bounds() {
    let tenant = Tenant::new().await;
    let path = format!("{}/stats", path_of(&link(&tenant, json!({})).await));
    let stats = tenant.get(&path).await.expect(200).json();
    assert_eq!(stats["total"], json!({"clicks": 0, "bots": 0, "previews": 0}));
    for name in ["days", "referrers", "countries", "devices"] {
        assert!(
            stats[name].as_array().map_or_else(|| stats[name].as_object().unwrap().is_empty(), Vec::is_empty),
            "{name}"
        );
    }
    let ranged = tenant.get(&format!("{path}?from=2024-01-01&to=2024-12-31")).await.expect(200).json();
    assert_eq!((&ranged["from"], &ranged["to"]), (&json!("2024-01-01"), &json!("2024-12-31")));
    let defaulted = tenant.get(&format!("{path}?to=2024-03-01")).await.expect(200).json();
    assert_eq!(defaulted["from"], "2024-02-01");
    for (query, pointer) in [
        ("from=2024-01-01&to=2025-01-01", "?from"),
        ("from=2024-01-02&to=2024-01-01", "?from"),
        ("from=-009999-01-01&to=9999-12-31", "?from"),
        ("from=2024-02-30", "?from"),
        ("to=today", "?to"),
        ("days=7", "?days"),
    ] {
        let problem = tenant.get(&format!("{path}?{query}")).await.problem(422, "validation");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{query}: {problem}");
    }
}
