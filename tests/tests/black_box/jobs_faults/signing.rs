//! Keys that are replaced, as time goes on.

use serde_json::{Value, json};
use shared::signing::SIGNATURE_HEADER;
use shared::time::SignedDuration;

use super::own_jobs::OwnJobs;
use super::sent_to;
use crate::jobs::{Receiver, status};

#[tokio::test(flavor = "multi_thread")]
async fn each_key_signs_until_its_own_time_and_makes_room_for_another_then() {
    let own = OwnJobs::new().await;
    let receiver = Receiver::start(|_| status(200)).await;
    let rotate = async |seconds: u32| {
        let wanted = json!({"overlap_seconds": seconds});
        own.ask("POST", "/v2/jobs/signing-key/rotate", Some(&wanted)).await
    };
    for seconds in [300, 100, 200] {
        rotate(seconds).await.expect(200);
    }
    let full = rotate(100).await;
    assert_eq!(full.header("retry-after"), "100");
    full.problem(409, "conflict");
    // Their signatures, and that of the present one.
    for (place, left) in [3, 2, 1, 0].into_iter().enumerate() {
        let keys = own.ask("GET", "/v2/jobs/signing-key", None).await.expect(200).json();
        assert_eq!(keys["retiring"].as_array().unwrap().len(), left, "{keys}");
        assert_eq!(
            keys["previous_public_key"],
            keys["retiring"].get(0).map_or(Value::Null, |key| key["public_key"].clone())
        );
        own.job(&sent_to(&receiver)).await;
        own.deliver(&own.worker).await;
        let delivery = receiver.await_deliveries(place + 1).await.pop().unwrap();
        let signatures = delivery.headers[SIGNATURE_HEADER].to_str().unwrap().split(' ');
        assert_eq!(signatures.filter(|signature| signature.starts_with("v1a,")).count(), left + 1);
        own.clock.advance(SignedDuration::from_secs(100));
    }
    rotate(100).await.expect(200);
}
