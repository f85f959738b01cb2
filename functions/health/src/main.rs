//! The health service's Lambda.

fn main() -> std::process::ExitCode {
    shared::lambda::run(&health::SERVICE)
}
