//! The local stack: the whole of Tenfold in one process on one machine, from the same `template.yaml` that is
//! deployed. The program `tenfold` (`cargo run`) is its command line; tests start it as a library ([`Stack::start`]).
//! Both give it the services whose functions it runs: the list of the crate `tenfold`. It knows no service itself.
//!
//! | module | what it stands in for |
//! |---|---|
//! | [`services`] | the AWS APIs, PostgreSQL and Redis: servers that it starts on loopback |
//! | [`template`] | reads `template.yaml` |
//! | `deploy`, `differences` | CloudFormation: tables, queues and topics on the local AWS endpoint |
//! | `instances` | Lambda: the functions, in this process |
//! | `gateway` | API Gateway |
//! | `pollers` | event source mappings of queues and streams |
//! | `schedules` | EventBridge Scheduler |
//! | `seed`, `dev` | the demo tenant, and the files that tell scripts about the stack |
//! | [`cli`], `tour` | the command line |

pub mod cli;
mod clients;
mod deploy;
mod dev;
mod differences;
mod files;
mod gateway;
mod instances;
mod logs;
mod loopback;
mod pollers;
mod request_id;
mod running;
mod schedules;
mod seed;
pub mod services;
mod stack;
pub mod template;
mod terminal;
mod tour;

pub use dev::DevFile;
pub use instances::{Functions, InvokeError};
pub use schedules::{Expression, ExpressionError, TickError};
pub use stack::{Options, PortTaken, Progress, Stack, Step, default_data};
