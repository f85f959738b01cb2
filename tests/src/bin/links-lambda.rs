//! The binary that is deployed for `links`, for the test that runs it under an emulated Lambda: what cargo builds for
//! another package's test it does not hand over, and this is the same line.

fn main() -> std::process::ExitCode {
    shared::lambda::run(&links::SERVICE)
}
