//! The pages for people: the reference of the API, and the changelog.

use http::Method;
use tests::{Answer, Ask as _, anonymous};

async fn read(path: &str) -> Answer {
    anonymous(Method::GET, path).answer().await.expect(200)
}

/// The addresses that a page loads or leads to.
fn addresses(page: &str) -> Vec<&str> {
    ["href=\"", "src=\""]
        .iter()
        .flat_map(|name| page.split(*name).skip(1))
        .filter_map(|rest| rest.split('"').next())
        .collect()
}

#[tokio::test]
async fn the_reference_page_and_all_that_it_loads_come_from_here() {
    let page = read("/docs").await;
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    let html = String::from_utf8(page.body.to_vec()).unwrap();
    let addresses = addresses(&html);
    assert!(addresses.len() >= 6, "{addresses:?}");
    for address in addresses {
        assert!(address.starts_with('/') && !address.starts_with("//"), "{address} is another's");
        let file = read(address).await;
        let kind = match address.rsplit_once('.').map(|(_, kind)| kind) {
            Some("css") => "text/css; charset=utf-8",
            Some("js") => "text/javascript; charset=utf-8",
            Some("png") => "image/png",
            Some("json") => "application/json",
            _ => "text/html; charset=utf-8",
        };
        assert_eq!(file.header("content-type"), kind, "{address}");
        assert!(!file.body.is_empty(), "{address}");
    }
    // Swagger UI is told which document to show.
    let settings = String::from_utf8(read("/docs/swagger-initializer.js").await.body.to_vec()).unwrap();
    assert!(settings.contains("/openapi/v1.json") && !settings.contains("petstore"), "{settings}");
}

#[tokio::test]
async fn pages_run_no_script_of_others_and_are_not_framed() {
    for path in ["/docs", "/changelog"] {
        let policy = read(path).await.header("content-security-policy").to_owned();
        for rule in ["default-src 'none'", "script-src 'self'", "connect-src 'self'", "frame-ancestors 'none'"] {
            assert!(policy.split(';').any(|own| own.trim() == rule), "{path}: {policy} lacks {rule}");
        }
    }
}

#[tokio::test]
async fn a_browser_that_has_a_file_is_told_so_and_what_is_no_file_of_the_page_is_not_there() {
    for path in ["/docs", "/docs/swagger-ui-bundle.js", "/docs/favicon-32x32.png", "/changelog"] {
        let tag = read(path).await.header("etag").to_owned();
        let again = anonymous(Method::GET, path).header("if-none-match", &tag).answer().await.expect(304);
        assert!(again.body.is_empty(), "{path}");
    }
    for path in ["/docs/index.html", "/docs/nothing.js", "/docs/..%2f..%2fCargo.toml"] {
        anonymous(Method::GET, path).answer().await.problem(404, "not-found");
    }
    anonymous(Method::POST, "/docs").answer().await.problem(405, "method-not-allowed");
}

#[tokio::test]
async fn the_changelog_is_a_page() {
    let page = read("/changelog").await;
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    let html = String::from_utf8(page.body.to_vec()).unwrap();
    assert!(html.contains("<h1>Changelog</h1>") && html.contains("<li>"), "{html}");
}
