//! The public address of a link: what its visitors get.

use http::Method;
use serde_json::{Value, json};
use shared::time::{Clock, SignedDuration, Timestamp, rfc3339_millis};
use tests::{Answer, Ask as _, FaultProxy, Instance, Tenant, anonymous, http_event};

use crate::link::{door_of, link, path_of};

const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0";
const GOOGLEBOT: &str = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";

async fn follow(path: &str) -> Answer {
    anonymous(Method::GET, path).answer().await
}

async fn browse(path: &str) -> Answer {
    let request = anonymous(Method::GET, path).header("user-agent", FIREFOX);
    request.header("accept", "text/html,application/xhtml+xml,*/*;q=0.8").answer().await
}

fn html(answer: &Answer, status: u16) -> String {
    assert_eq!(answer.status.as_u16(), status, "{answer:?}");
    assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
    assert!(answer.header("content-security-policy").starts_with("default-src 'none'"));
    assert_eq!((answer.header("x-robots-tag"), answer.header("referrer-policy")), ("noindex", "no-referrer"));
    assert_eq!(answer.header("location"), "");
    String::from_utf8(answer.body.to_vec()).unwrap()
}

/// An instance of the redirect whose clock the test moves.
async fn instance() -> (Instance, Clock) {
    let clock = Clock::manual(Clock::system().now());
    let instance = Instance::with(&links::SERVICE, "links.redirect", clock.clone(), |environment| environment).await;
    (instance, clock)
}

#[tokio::test]
async fn each_status_is_sent_as_it_was_asked_for() {
    let tenant = Tenant::new().await;
    for status in [301, 302, 307, 308] {
        let made =
            link(&tenant, json!({"redirect_status": status, "target": "https://example.com/a?b=c&d=%20#e"})).await;
        for method in [Method::GET, Method::HEAD] {
            let answer = anonymous(method, &door_of(&made)).answer().await.expect(status);
            assert_eq!(answer.header("location"), "https://example.com/a?b=c&d=%20#e");
            // Nobody keeps it: an edit would not be seen, nor the next click counted.
            assert_eq!(answer.header("cache-control"), "private, max-age=0, no-cache");
            assert_eq!(answer.body.len(), 0);
        }
    }
}

#[tokio::test]
async fn a_slug_is_found_in_any_case_and_a_query_changes_nothing() {
    let tenant = Tenant::new().await;
    let made = link(&tenant, json!({})).await;
    let door = door_of(&made);
    for path in
        [format!("/l/{}", made["slug"].as_str().unwrap().to_uppercase()), format!("{door}?to=https://evil.example/")]
    {
        assert_eq!(follow(&path).await.expect(302).header("location"), "https://example.com/");
    }
}

#[tokio::test]
async fn a_plus_shows_where_it_leads_and_leads_nowhere() {
    let tenant = Tenant::new().await;
    let made =
        link(&tenant, json!({"target": "https://b\u{fc}cher.example/a?b=<script>", "title": "<b>Sale</b>"})).await;
    for path in [format!("{}+", door_of(&made)), format!("{}%2B", door_of(&made))] {
        let page = html(&follow(&path).await, 200);
        assert!(page.contains("b\u{fc}cher.example") && page.contains("xn--bcher-kva.example"), "{page}");
        assert!(page.contains("&lt;b&gt;Sale") && !page.contains("<b>Sale") && !page.contains("<script"), "{page}");
        let head = anonymous(Method::HEAD, &path).answer().await.expect(200);
        assert_eq!((head.body.len(), head.header("location")), (0, ""));
    }
    for path in ["/l/never-made+", "/l/+", "/l/++"] {
        follow(path).await.problem(404, "not-found");
    }
}

#[tokio::test]
async fn what_is_unknown_is_404_as_the_client_likes_it() {
    for path in ["/l/never-made", "/l/x", "/l/never%20made", &format!("/l/{}", "a".repeat(2_000))] {
        follow(path).await.problem(404, "not-found");
        let page = html(&browse(path).await, 404);
        assert!(page.contains("There is no such link"));
    }
}

async fn form(path: &str, body: &str) -> Answer {
    let request = anonymous(Method::POST, path).header("user-agent", FIREFOX);
    request.header("content-type", "application/x-www-form-urlencoded").body(body.to_owned()).answer().await
}

#[tokio::test]
async fn a_password_is_asked_for_by_a_form_and_checked() {
    let tenant = Tenant::new().await;
    let fields = json!({"target": "https://secret.example/path", "password": "h\u{fc}hner & more", "title": "Secret title", "redirect_status": 308});
    let door = door_of(&link(&tenant, fields).await);
    let secret = |answer: &Answer| format!("{:?}", (&answer.headers, &answer.body)).to_lowercase().contains("secret");
    for path in [door.clone(), format!("{door}+")] {
        let answer = browse(&path).await;
        let page = html(&answer, 200);
        assert!(
            page.contains(&format!("action=\"{}\"", door.replace('/', "&#x2f;"))) && page.contains("type=\"password\""),
            "{page}"
        );
        assert!(!secret(&answer));
        let head = anonymous(Method::HEAD, &path).answer().await.expect(200);
        assert!(head.header("location").is_empty() && !secret(&head));
    }
    for wrong in
        ["password=wrong", "password=", "", "other=h%C3%BChner+%26+more", "password=h%C3%BChner", "password=%ff", "{}"]
    {
        let answer = form(&door, wrong).await;
        let page = html(&answer, 403);
        assert!(page.contains("role=\"alert\"") && !secret(&answer), "{wrong}: {page}");
    }
    // See Other: a 308 would have the browser send the password on to the target.
    let right = form(&door, "password=h%C3%BChner+%26+more").await.expect(303);
    assert_eq!(right.header("location"), "https://secret.example/path");
    form(&door, &format!("password={}", "x".repeat(5_000))).await.problem(413, "payload-too-large");
}

#[tokio::test]
async fn a_password_tells_nothing_of_a_link_that_leads_nowhere() {
    let tenant = Tenant::new().await;
    let password = json!({"password": "open sesame"});
    let soon = link(&tenant, json!({"password": "open sesame", "not_before": "2999-01-01T00:00:00Z"})).await;
    let over = link(&tenant, password).await;
    tenant.patch(&path_of(&over), &json!({"archived": true})).await.expect(200);
    let unknown = form("/l/nothing-here", "password=open+sesame").await;
    for (made, status) in [(soon, 404), (over, 410)] {
        // More often than a password may be tried.
        for _ in 0..12 {
            let answer = form(&door_of(&made), "password=open+sesame").await.expect(status);
            let names = |answer: &Answer| answer.headers.keys().map(ToString::to_string).collect::<Vec<_>>();
            assert_eq!(names(&answer), names(&unknown), "{answer:?}");
        }
    }
}

#[tokio::test]
async fn a_link_begins_and_ends_at_its_times_to_the_millisecond() {
    let tenant = Tenant::new().await;
    let (instance, clock) = instance().await;
    let start = Timestamp::from_millisecond(clock.now().as_millisecond() + 3_600_000).unwrap();
    let end = start + SignedDuration::from_hours(1);
    let window = json!({"not_before": rfc3339_millis(start), "expires_at": rfc3339_millis(end)});
    let door = door_of(&link(&tenant, window).await);
    let at = async |time: Timestamp, accept: &str| {
        clock.advance(time.duration_since(clock.now()));
        instance.http("GET", &door, &[("accept", accept)], None).await
    };
    let instant = SignedDuration::from_millis(1);
    at(start - instant, "*/*").await.problem(404, "not-found");
    html(&at(start - instant, "text/html").await, 404);
    at(start, "*/*").await.expect(302);
    at(end - instant, "*/*").await.expect(302);
    let problem = at(end, "*/*").await.problem(410, "gone");
    assert!(problem["detail"].as_str().unwrap().contains("expired"), "{problem}");
    assert!(html(&at(end, "text/html").await, 410).contains("does not work any more"));
    for path in [format!("{door}+"), door.clone()] {
        let answer = instance.http("GET", &path, &[], None).await;
        assert_eq!((answer.status.as_u16(), answer.header("location")), (410, ""));
    }
}

#[tokio::test]
async fn an_archived_link_is_gone_until_it_is_taken_out_again() {
    let tenant = Tenant::new().await;
    let made = link(&tenant, json!({})).await;
    let (instance, clock) = instance().await;
    let get = async || instance.http("GET", &door_of(&made), &[], None).await;
    tenant.patch(&path_of(&made), &json!({"archived": true})).await.expect(200);
    get().await.problem(410, "gone");
    html(&instance.http("GET", &door_of(&made), &[("accept", "text/html")], None).await, 410);
    tenant.patch(&path_of(&made), &json!({"archived": false})).await.expect(200);
    clock.advance(SignedDuration::from_secs(10));
    get().await.expect(302);
}

#[tokio::test]
async fn an_edit_is_seen_within_ten_seconds() {
    let tenant = Tenant::new().await;
    let made = link(&tenant, json!({})).await;
    let (instance, clock) = instance().await;
    let target = async || instance.http("GET", &door_of(&made), &[], None).await;
    target().await.expect(302);
    tenant.patch(&path_of(&made), &json!({"target": "https://new.example/"})).await.expect(200);
    clock.advance(SignedDuration::from_secs(10));
    assert_eq!(target().await.expect(302).header("location"), "https://new.example/");
    tenant.patch(&path_of(&made), &json!({"password": "correct horse"})).await.expect(200);
    clock.advance(SignedDuration::from_secs(10));
    html(&target().await, 200);
    tenant.delete(&path_of(&made)).await.expect(204);
    clock.advance(SignedDuration::from_secs(10));
    target().await.problem(404, "not-found");
}

#[tokio::test]
async fn a_link_that_was_asked_for_before_it_was_made_works_at_once() {
    let tenant = Tenant::new().await;
    let (instance, _) = instance().await;
    let alias = format!("soon-{}", &tenant.id.to_string()[8..20]);
    let door = format!("/l/{alias}");
    instance.http("GET", &door, &[], None).await.problem(404, "not-found");
    link(&tenant, json!({"alias": alias})).await;
    instance.http("GET", &door, &[], None).await.expect(302);
}

#[tokio::test]
async fn no_path_makes_a_header_or_leads_elsewhere() {
    let (instance, _) = instance().await;
    for path in [
        "/l/%0d%0aSet-Cookie:%20a=b",
        "/l/abc%0d%0aLocation:%20https://evil.example/",
        "/l//evil.example",
        "/l/https://evil.example/",
        "/l/https:%2f%2fevil.example%2f",
        "/l/%2f%2fevil.example",
        "/l/..%2f..%2fv1%2flinks",
        "/l/%5cevil.example",
        "/l/abc%00",
        "/l/%ff%fe",
        "/l/%E2%80%AE",
        "/l/\u{e4}bc",
    ] {
        for accept in ["*/*", "text/html"] {
            let answer = instance.http("GET", path, &[("accept", accept)], None).await;
            assert_eq!(answer.status, 404, "{path}: {answer:?}");
            assert!(answer.headers.get("location").is_none() && answer.headers.get("set-cookie").is_none(), "{path}");
            assert!(!String::from_utf8_lossy(&answer.body).contains("\r\n"));
        }
    }
    let answer = follow("/l/%0d%0aSet-Cookie:%20a=b").await;
    assert!(answer.headers.get("set-cookie").is_none());
    answer.problem(404, "not-found");
}

#[tokio::test]
async fn sixty_visitors_at_once_spend_a_limit_of_ten_exactly() {
    let tenant = Tenant::new().await;
    let made = link(&tenant, json!({"max_clicks": 10})).await;
    let door = door_of(&made);
    let answers = futures::future::join_all((0..60).map(|_| follow(&door))).await;
    let (through, gone): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 302);
    assert_eq!((through.len(), gone.len()), (10, 50));
    for answer in gone {
        answer.problem(410, "gone");
    }
    let read = tenant.get(&path_of(&made)).await.json();
    assert_eq!((&read["clicks_used"], &read["status"]), (&json!(10), &json!("exhausted")));
    html(&browse(&door).await, 410);
    // More clicks can be given.
    tenant.patch(&path_of(&made), &json!({"max_clicks": 11})).await.expect(200);
    let (instance, _) = instance().await;
    instance.http("GET", &door, &[], None).await.expect(302);
    instance.http("GET", &door, &[], None).await.problem(410, "gone");
}

#[tokio::test]
async fn what_leads_nowhere_is_told_in_the_form_that_was_asked_for() {
    for (accept, content_type) in
        [("text/html;q=0, */*", "application/problem+json"), ("text/html", "text/html; charset=utf-8")]
    {
        let answer = anonymous(Method::GET, "/l/nothing-is-here").header("accept", accept).answer().await.expect(404);
        assert_eq!((answer.header("content-type"), answer.header("vary")), (content_type, "Accept"));
    }
}

#[tokio::test]
async fn a_password_comes_by_the_form_and_not_otherwise() {
    let tenant = Tenant::new().await;
    let door = door_of(&link(&tenant, json!({"password": "open sesame"})).await);
    let answer = anonymous(Method::POST, &door).json(&json!({"password": "open sesame"})).answer().await;
    answer.problem(415, "unsupported-media-type");
    let form = anonymous(Method::POST, &door).header("content-type", "application/x-www-form-urlencoded");
    form.body("password=open+sesame").answer().await.expect(303);
}

#[tokio::test]
async fn programs_that_look_do_not_spend_a_click() {
    let tenant = Tenant::new().await;
    let made = link(&tenant, json!({"max_clicks": 1, "target": "https://example.com/the-path"})).await;
    let door = door_of(&made);
    let ask = async |method: Method, path: &str, header: (&str, &str)| {
        anonymous(method, path).header("user-agent", FIREFOX).header(header.0, header.1).answer().await
    };
    anonymous(Method::HEAD, &door).answer().await.expect(200);
    for header in [("sec-purpose", "prefetch;prerender"), ("purpose", "preview")] {
        let page = html(&ask(Method::GET, &door, header).await, 200);
        // The whole target would make the limit a formality.
        assert!(page.contains("example.com") && !page.contains("the-path"), "{page}");
    }
    let bot = anonymous(Method::GET, &door).header("user-agent", GOOGLEBOT).answer().await;
    html(&bot, 200);
    html(&browse(&format!("{door}+")).await, 200);
    assert_eq!(tenant.get(&path_of(&made)).await.json()["clicks_used"], json!(0));
    // The button of the page goes on, for whoever was taken for a program.
    let request = anonymous(Method::POST, &door).header("user-agent", GOOGLEBOT);
    assert_eq!(request.answer().await.expect(303).header("location"), "https://example.com/the-path");
    follow(&door).await.problem(410, "gone");
}

#[tokio::test]
async fn a_visit_costs_one_read_and_the_next_one_none() {
    let tenant = Tenant::new().await;
    let (plain, limited) = (link(&tenant, json!({})).await, link(&tenant, json!({"max_clicks": 5})).await);
    let proxy = FaultProxy::watching().await;
    let on_the_path = async |instance: &Instance, door: &str, events: usize| {
        let before = proxy.calls().len();
        assert_eq!(instance.http("GET", door, &[], None).await.status, 302);
        let calls = proxy.calls().split_off(before);
        // The click goes to the queue when the answer is out.
        assert_eq!(calls.iter().filter(|call| *call == "SendMessage").count(), events);
        calls.into_iter().filter(|call| call != "SendMessage").collect::<Vec<_>>()
    };
    let behind = async || {
        let url = proxy.url().to_owned();
        Instance::with(&links::SERVICE, "links.redirect", Clock::system(), |environment| {
            environment.with("AWS_ENDPOINT_URL", &url)
        })
        .await
    };
    let instance = behind().await;
    assert_eq!(on_the_path(&instance, &door_of(&plain), 1).await, ["GetItem"]);
    assert_eq!(on_the_path(&instance, &door_of(&plain), 1).await, Vec::<String>::new());
    assert_eq!(on_the_path(&instance, &door_of(&limited), 1).await, ["GetItem", "UpdateItem"]);
    assert_eq!(on_the_path(&instance, &door_of(&limited), 1).await, ["UpdateItem"]);
    // Nothing but the read is done before the answer.
    let before = proxy.calls().len();
    let answer = behind().await.invoke_and_kill(&http_event("GET", &door_of(&plain), &[], None)).await.unwrap();
    assert_eq!(answer["statusCode"], Value::from(302));
    assert_eq!(proxy.calls().split_off(before), ["GetItem"]);
}
