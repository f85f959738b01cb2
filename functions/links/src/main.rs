//! The shortener's Lambdas.

fn main() -> std::process::ExitCode {
    shared::lambda::run(&links::SERVICE)
}
