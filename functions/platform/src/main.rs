//! The platform's Lambdas.

fn main() -> std::process::ExitCode {
    shared::lambda::run(&platform::SERVICE)
}
