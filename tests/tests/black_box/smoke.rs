//! The shortest way through the stack.

use http::Method;
use serde_json::json;
use tests::{Ask as _, Tenant, anonymous, eventually};

#[tokio::test]
async fn a_link_is_made_followed_and_counted() {
    let tenant = Tenant::new().await;
    let made = tenant.post("/v1/links", &json!({"target": "https://example.com/"})).await.expect(201);
    let link = made.json();
    let slug = link["slug"].as_str().unwrap();
    let followed = anonymous(Method::GET, &format!("/l/{slug}")).answer().await.expect(302);
    assert_eq!(followed.header("location"), "https://example.com/");
    eventually("the click to be counted", || async {
        let stats = tenant.get(&format!("{}/stats", made.header("location"))).await.expect(200).json();
        (stats["total"]["clicks"] == 1).then_some(())
    })
    .await;
}
