//! The Lambdas of identity.

fn main() -> std::process::ExitCode {
    shared::lambda::run(&auth::SERVICE)
}
