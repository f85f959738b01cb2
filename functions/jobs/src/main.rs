//! The task queue's Lambdas.

fn main() -> std::process::ExitCode {
    shared::lambda::run(&jobs::SERVICE)
}
