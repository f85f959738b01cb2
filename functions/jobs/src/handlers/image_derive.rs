//! `image.derive`: makes smaller pictures of one that is fetched from a URL.
//!
//! The source is JPEG, PNG, WebP or GIF (its first frame), told by its content and not by what its server says. It is
//! turned as its EXIF orientation says; nothing else of its metadata, its colour profile included, is in the results. Doing
//! it again writes the same files with the same content, as long as the source has not changed.
//!
//! Pictures take much memory, so that an instance works on one at a time; more of them wait for each other while the next
//! sources are fetched.

mod decode;
mod payload;
mod render;
#[cfg(test)]
#[path = "image_derive/tests.rs"]
mod tests;

use std::sync::Arc;

use http::Method;
use serde::Serialize;
use shared::http::FieldError;
use shared::outbound::{Outbound, OutboundError, Part, Request};
use shared::time::Clock;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use self::decode::decode;
use self::payload::{Payload, Variant};
use self::render::{Picture, render};
use super::{Failed, Handler, Work};
use crate::delivery;
use crate::files::{File, Files};

/// The largest source in bytes.
const LARGEST_SOURCE: usize = 10 * 1024 * 1024;

/// How many redirects lead to the source at most.
const MOST_REDIRECTS: u8 = 3;

pub(super) struct ImageDerive {
    outbound: Outbound,
    clock: Clock,
    files: Files,
    one_at_a_time: Arc<Semaphore>,
}

/// What was made.
#[derive(Serialize)]
pub(super) struct Derived {
    variants: Vec<DerivedVariant>,
}

#[derive(Serialize)]
struct DerivedVariant {
    name: String,
    #[serde(flatten)]
    file: File,
    width: u32,
    height: u32,
}

impl ImageDerive {
    pub(super) fn new(outbound: Outbound, clock: Clock, files: Files) -> Self {
        Self { outbound, clock, files, one_at_a_time: Arc::new(Semaphore::new(1)) }
    }

    async fn fetch(&self, url: String, work: &Work) -> Result<bytes::Bytes, Failed> {
        let mut request = Request::new(Method::GET, url);
        request.timeout = work.time + delivery::TIMEOUT_MARGIN;
        request.response_limit = LARGEST_SOURCE;
        request.redirects = MOST_REDIRECTS;
        let response = match self.outbound.send(request).await {
            Ok(response) => response,
            Err(OutboundError::TooLarge(Part::Body)) => {
                return Err(Failed::poison("image_too_large", "the source has more than 10 MB"));
            }
            Err(error) => return Err(delivery::failed(&error)),
        };
        if !response.status.is_success() {
            return Err(delivery::refused(&response, self.clock.now()));
        }
        Ok(response.body)
    }

    async fn derive(&self, payload: Payload, work: &Work) -> Result<Derived, Failed> {
        let steps = payload.variants.len() + 1;
        work.progress(0.0, "fetches the source");
        let source = self.fetch(payload.source.url, work).await?;
        let permit = Arc::clone(&self.one_at_a_time).acquire_owned().await;
        let permit = Arc::new(permit.map_err(|_| Failed::Stopped)?);
        let source = Arc::new(compute(&permit, move || decode(&source)).await??);
        let mut variants = Vec::with_capacity(payload.variants.len());
        for (done, variant) in payload.variants.into_iter().enumerate() {
            work.progress(share(done + 1, steps), format!("makes {}", variant.file()));
            variants.push(self.make(&source, variant, &permit, work).await?);
        }
        Ok(Derived { variants })
    }

    async fn make(
        &self,
        source: &Arc<Picture>,
        variant: Variant,
        permit: &Arc<OwnedSemaphorePermit>,
        work: &Work,
    ) -> Result<DerivedVariant, Failed> {
        let (source, file, content_type) = (Arc::clone(source), variant.file(), variant.format.content_type());
        let (variant, rendered) = compute(permit, move || {
            let rendered = render(&source, &variant);
            (variant, rendered)
        })
        .await?;
        let rendered = rendered?;
        let file = work.keep(&self.files, file, content_type, rendered.content).await?;
        Ok(DerivedVariant { name: variant.name, file, width: rendered.width, height: rendered.height })
    }
}

impl Handler for ImageDerive {
    const TYPE: &'static str = "image.derive";
    type Payload = Payload;
    type Result = Derived;
    const MAKES_FILES: bool = true;

    fn check(payload: &Payload, outbound: &Outbound) -> Vec<FieldError> {
        payload.faults(outbound)
    }

    async fn run(&self, payload: Payload, work: &Work) -> Result<Derived, Failed> {
        tokio::select! {
            derived = self.derive(payload, work) => derived,
            () = work.stopped() => Err(Failed::Stopped),
        }
    }
}

/// Computes away from the threads that serve others. A computation whose attempt has ended goes on to its own end: it keeps
/// the permit until then, as it keeps its memory. One that panics does so each time.
async fn compute<T: Send + 'static>(
    permit: &Arc<OwnedSemaphorePermit>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failed> {
    let permit = Arc::clone(permit);
    let computed = tokio::task::spawn_blocking(move || {
        let done = work();
        drop(permit);
        done
    });
    computed.await.map_err(|_| Failed::poison("undecodable_image", "the picture cannot be worked on"))
}

#[allow(clippy::cast_precision_loss)] // both are small
fn share(done: usize, all: usize) -> f64 {
    done as f64 / all as f64
}
