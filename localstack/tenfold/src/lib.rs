//! The services of Tenfold, in one list. The local stack takes it as a value, so that the stack itself depends on no
//! service: an edit in a service builds that service and this crate again, not the stack.

use lambda_runtime::LambdaEvent;
use shared::lambda::{Function, Runtime, Service};
use shared::{BoxError, BoxFuture};

/// The services whose functions template.yaml names.
pub static SERVICES: &[&Service] =
    &[&auth::SERVICE, &jobs::SERVICE, &links::SERVICE, &notes::SERVICE, &health::SERVICE, &platform::SERVICE, &SANDBOX];

/// The sandbox knows nothing of `shared`: its bare handler is wrapped here.
static SANDBOX: Service = Service { name: "sandbox", functions: &[("sandbox.api", sandbox)] };

fn sandbox(runtime: Runtime) -> BoxFuture<'static, Result<Function, BoxError>> {
    let handle = |event, context| sandbox::handle(LambdaEvent::new(event, context));
    Box::pin(async move { Ok(Function::event(runtime.deferred, handle)) })
}
