//! Pictures that jobs make of one at a URL, and the files in which they are.

use std::io::Cursor;

use bytes::Bytes;
use data_encoding::HEXLOWER;
use http::{Method, StatusCode};
use http_body_util::Full;
use image::{DynamicImage, ImageFormat, ImageReader, Rgb, RgbImage};
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};
use shared::dynamo::AttributeValue;
use tests::{Answer, Ask as _, Tenant, client, eventually, stack};

use crate::jobs::{Receiver, Response, act, ended, in_state, job, path_of, status};
use crate::link::faults;
use crate::resources::aws;

/// A picture of two colours, as a file.
fn picture(width: u32, height: u32, format: ImageFormat) -> Vec<u8> {
    let picture = RgbImage::from_fn(width, height, |x, _| Rgb(if x < width / 2 { [255, 0, 0] } else { [0, 0, 255] }));
    let mut bytes = Cursor::new(Vec::new());
    DynamicImage::from(picture).write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn served(content: &[u8], content_type: &str) -> Response {
    let mut response = Response::new(Full::new(Bytes::copy_from_slice(content)));
    response.headers_mut().insert("content-type", content_type.parse().unwrap());
    response
}

/// A server of one file.
async fn server(content: Vec<u8>, content_type: &'static str) -> Receiver {
    Receiver::start(move |_| served(&content, content_type)).await
}

fn derive(server: &Receiver, variants: &Value) -> Value {
    json!({"type": "image.derive", "payload": {"source": {"url": server.url("/source")}, "variants": variants}})
}

/// Follows the answer as a client does that has nothing but the URL.
async fn download(answer: Answer) -> (String, Bytes) {
    let answer = answer.expect(303);
    assert_eq!(answer.header("cache-control"), "no-store");
    let file = client().get(answer.header("location")).send().await.unwrap();
    assert_eq!(file.status(), StatusCode::OK);
    (file.headers()["content-type"].to_str().unwrap().to_owned(), file.bytes().await.unwrap())
}

/// What the bucket holds of a tenant.
async fn objects(tenant: &Tenant) -> Vec<String> {
    let bucket = stack().environment("jobs.api").unwrap().get("JOBS_BUCKET").unwrap().to_owned();
    let found = aws().s3.list_objects_v2().bucket(bucket).prefix(tenant.id.to_string()).send().await.unwrap();
    found.contents().iter().map(|object| object.key().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn each_variant_becomes_a_file_that_is_as_its_result_says() {
    let tenant = Tenant::new().await;
    // What the server calls it does not matter.
    let server = server(picture(400, 200, ImageFormat::Png), "text/html").await;
    let variants = json!([
        {"name": "small", "width": 40, "format": "jpeg", "quality": 95},
        {"name": "square", "width": 50, "height": 50, "fit": "cover", "format": "png"},
        {"name": "boxed", "width": 50, "height": 50, "fit": "contain", "format": "webp"},
    ]);
    let done = ended(&tenant, &job(&tenant, derive(&server, &variants)).await).await;
    assert_eq!(done["state"], "succeeded", "{done}");
    let made = done["result"]["variants"].as_array().unwrap();
    for (variant, (name, file, content_type, width, height)) in made.iter().zip([
        ("small", "small.jpg", "image/jpeg", 40, 20),
        ("square", "square.png", "image/png", 50, 50),
        ("boxed", "boxed.webp", "image/webp", 50, 50),
    ]) {
        let (served_as, content) = download(tenant.get(&format!("{}/files/{file}", path_of(&done))).await).await;
        assert_eq!(
            variant,
            &json!({
                "name": name, "file": file, "content_type": content_type, "bytes": content.len(),
                "sha256": HEXLOWER.encode(digest(&SHA256, &content).as_ref()), "width": width, "height": height,
            })
        );
        assert_eq!(served_as, content_type);
        let reader = ImageReader::new(Cursor::new(&content)).with_guessed_format().unwrap();
        assert_eq!(reader.format().unwrap().to_mime_type(), content_type);
        let picture = reader.decode().unwrap().into_rgba8();
        assert_eq!(picture.dimensions(), (width, height));
        let (left, right) = (picture.get_pixel(4, height / 2).0, picture.get_pixel(width - 5, height / 2).0);
        assert!(left[0] > 240 && left[2] < 15 && right[0] < 15 && right[2] > 240, "{name}: {left:?} {right:?}");
        // What a contained picture leaves free is transparent.
        assert_eq!(picture.get_pixel(width / 2, 2).0[3], if name == "boxed" { 0 } else { 255 }, "{name}");
    }
    assert_eq!(made.len(), 3);
}

#[tokio::test]
async fn doing_it_again_leaves_the_same_files() {
    let tenant = Tenant::new().await;
    let server = server(picture(64, 64, ImageFormat::Jpeg), "image/jpeg").await;
    let variants = json!([{"name": "a", "width": 10, "format": "webp"}]);
    let first = ended(&tenant, &job(&tenant, derive(&server, &variants)).await).await;
    let kept = objects(&tenant).await;
    assert_eq!(kept, [format!("{}/jobs/{}/files/a.webp", tenant.id, first["id"].as_str().unwrap())]);
    act(&tenant, &first, "retry", json!({})).await.expect(200);
    let second = ended(&tenant, &first).await;
    assert_eq!((&second["result"], objects(&tenant).await), (&first["result"], kept));
    assert_eq!(server.deliveries().len(), 2);
}

#[tokio::test]
async fn a_file_is_for_whoever_may_read_its_job() {
    let (tenant, stranger) = (Tenant::new().await, Tenant::new().await);
    let server = server(picture(8, 8, ImageFormat::Gif), "image/gif").await;
    let made = job(&tenant, derive(&server, &json!([{"name": "a", "width": 4, "format": "png"}]))).await;
    let path = format!("{}/files/a.png", path_of(&made));
    ended(&tenant, &made).await;
    let as_key = async |scopes: &str| {
        let key = tenant.key_with(scopes).await;
        client().get(format!("{}{path}", stack().url())).bearer_auth(key).answer().await
    };
    download(as_key("jobs:read").await).await;
    as_key("jobs:write").await.problem(403, "forbidden");
    tests::anonymous(Method::GET, &path).answer().await.problem(401, "unauthenticated");
    stranger.get(&path).await.problem(404, "not-found");
    for other in ["b.png", "a.jpg", "a", "A.PNG", "..%2Fpayload.json", "a.png%2F"] {
        tenant.get(&format!("{}/files/{other}", path_of(&made))).await.problem(404, "not-found");
    }
    tenant.request(Method::DELETE, &path).answer().await.problem(405, "method-not-allowed");

    // Its URL names nobody else's credential, ends after five minutes, and is valid as it is.
    let location = tenant.get(&path).await.expect(303).header("location").to_owned();
    assert!(location.contains("X-Amz-Expires=300&") && location.contains("X-Amz-SignedHeaders=host"), "{location}");
    assert!(location.contains(&format!("/{}/jobs/{}/files/a.png?", tenant.id, made["id"].as_str().unwrap())));
    // A worker's own result names no file.
    let other = job(&tenant, json!({"type": "own", "payload": 1})).await;
    let claim = tenant.post("/v1/queues/default/lease", &json!({"wait_seconds": 20})).await.expect(200).json();
    act(&tenant, &claim["jobs"][0], "complete", json!({"claim": 1, "result": {"file": "a.png"}})).await.expect(200);
    tenant.get(&format!("{}/files/a.png", path_of(&other))).await.problem(404, "not-found");
}

#[tokio::test]
async fn a_source_that_can_never_be_read_is_dead_at_once_and_says_why() {
    let tenant = Tenant::new().await;
    let mut bomb = picture(8, 8, ImageFormat::Png);
    // IHDR: the sides and, after five more bytes, its checksum.
    bomb[16..24].copy_from_slice(&[0, 0, 0xc3, 0x50, 0, 0, 0xc3, 0x50]);
    let sum = crc32fast::hash(&bomb[12..29]).to_be_bytes();
    bomb[29..33].copy_from_slice(&sum);
    let whole = picture(200, 200, ImageFormat::Png);
    for (source, class) in [
        (bomb, "image_too_large"),
        (vec![0; 10 * 1024 * 1024 + 1], "image_too_large"),
        (whole[..whole.len() / 2].to_vec(), "undecodable_image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>".to_vec(), "unsupported_image"),
        (Vec::new(), "unsupported_image"),
    ] {
        let server = server(source, "image/png").await;
        let made = job(&tenant, derive(&server, &json!([{"name": "a", "width": 4, "format": "png"}]))).await;
        let dead = ended(&tenant, &made).await;
        assert_eq!((&dead["state"], &dead["attempt"]), (&json!("dead"), &json!(1)), "{dead}");
        assert_eq!(dead["attempts"][0]["failure"]["class"], class, "{dead}");
        tenant.get(&format!("{}/files/a.png", path_of(&dead))).await.problem(404, "not-found");
    }
}

#[tokio::test]
async fn a_server_that_fails_is_asked_again_and_one_that_redirects_is_followed() {
    let tenant = Tenant::new().await;
    let content = picture(8, 8, ImageFormat::WebP);
    let server = Receiver::working(move |delivery, before| {
        let response = match (before, delivery.path.as_str()) {
            (0, _) => status(503),
            (_, "/private") => crate::jobs::reply(302, &[("location", "https://10.0.0.1/a.png")], ""),
            (_, "/source") => crate::jobs::reply(302, &[("location", "/moved")], ""),
            _ => served(&content, "image/webp"),
        };
        async { response }
    })
    .await;
    let mut wanted = derive(&server, &json!([{"name": "a", "height": 4, "format": "jpeg"}]));
    wanted["backoff"] = crate::jobs::soon();
    let done = ended(&tenant, &job(&tenant, wanted).await).await;
    assert_eq!((&done["state"], &done["attempt"]), (&json!("succeeded"), &json!(2)), "{done}");
    assert_eq!(done["attempts"][0]["failure"]["class"], "http_503");
    let private = json!({"type": "image.derive", "max_attempts": 1, "payload": {
        "source": {"url": server.url("/private")}, "variants": [{"name": "a", "width": 4, "format": "png"}],
    }});
    let dead = ended(&tenant, &job(&tenant, private).await).await;
    assert_eq!(dead["attempts"][0]["failure"]["class"], "forbidden_address");
}

#[tokio::test]
async fn a_job_that_waits_for_its_source_tells_so_and_can_be_called_off() {
    let tenant = Tenant::new().await;
    let server = Receiver::working(|_, _| std::future::pending::<Response>()).await;
    let made = job(&tenant, derive(&server, &json!([{"name": "a", "width": 4, "format": "png"}]))).await;
    server.await_deliveries(1).await;
    let running = eventually("its progress", || async {
        let job = tenant.get(&path_of(&made)).await.expect(200).json();
        job["progress"].is_object().then_some(job)
    })
    .await;
    assert_eq!(running["progress"], json!({"fraction": 0.0, "message": "fetches the source"}));
    act(&tenant, &made, "cancel", json!({})).await.expect(200);
    in_state(&tenant, &made, "cancelled").await;
}

#[tokio::test]
async fn files_go_when_the_table_has_let_go_of_their_job() {
    let tenant = Tenant::new().await;
    let server = server(picture(8, 8, ImageFormat::Png), "image/png").await;
    let variants = |count: usize| {
        let variants: Vec<_> =
            (0..count).map(|n| json!({"name": format!("v{n}"), "width": 4, "format": "png"})).collect();
        derive(&server, &json!(variants))
    };
    let kept = job(&tenant, variants(1)).await;
    ended(&tenant, &kept).await;
    let before = objects(&tenant).await;
    let gone = job(&tenant, variants(8)).await;
    ended(&tenant, &gone).await;
    assert_eq!(objects(&tenant).await.len(), before.len() + 8);
    // As DynamoDB does when the time to live is over. The job is in one of these partitions.
    let table = stack().environment("jobs.api").unwrap().get("JOBS_TABLE").unwrap().to_owned();
    for partition in 0..::jobs::store::PARTITIONS {
        let delete = aws().dynamo.delete_item().table_name(&table);
        let delete = delete.key("pk", AttributeValue::S(format!("{}#{partition}", tenant.id)));
        let sk = AttributeValue::S(format!("job#{}", gone["id"].as_str().unwrap()));
        delete.key("sk", sk).send().await.unwrap();
    }
    eventually("its files have gone", async || (objects(&tenant).await == before).then_some(())).await;
    download(tenant.get(&format!("{}/files/v0.png", path_of(&kept))).await).await;
}

#[tokio::test]
async fn what_is_asked_is_checked_at_once() {
    let tenant = Tenant::new().await;
    let ok = json!({"name": "a", "width": 4, "format": "png"});
    for (payload, expected) in [
        (
            json!({}),
            vec![
                ("/payload/source", "missing_field"),
                ("/payload/source/url", "missing_field"),
                ("/payload/variants", "missing_field"),
            ],
        ),
        (json!({"source": {"url": "nonsense"}, "variants": [ok]}), vec![("/payload/source/url", "not_a_url")]),
        (
            json!({"source": {"url": "https://example.com/"}, "variants": [
                {"name": "a", "format": "png"}, {"name": "a", "width": 5000, "format": "gif"}
            ]}),
            vec![("/payload/variants/1/format", "unknown_value")],
        ),
        (
            json!({"source": {"url": "https://example.com/"}, "variants": [
                {"name": "a", "format": "png"}, {"name": "a", "width": 5000, "format": "png", "quality": 9}
            ]}),
            vec![
                ("/payload/variants/0/width", "missing_field"),
                ("/payload/variants/1/name", "duplicate"),
                ("/payload/variants/1/quality", "not_allowed"),
                ("/payload/variants/1/width", "out_of_range"),
            ],
        ),
    ] {
        let body = json!({"type": "image.derive", "payload": payload});
        let problem = tenant.post("/v1/jobs", &body).await.problem(422, "validation");
        assert_eq!(faults(&problem), expected, "{body}");
    }
}
