//! The Lambdas of notes.

fn main() -> std::process::ExitCode {
    shared::lambda::run(&notes::SERVICE)
}
