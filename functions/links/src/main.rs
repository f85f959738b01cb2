//! Runs the function of `links` that `_HANDLER` names.

fn main() -> std::process::ExitCode {
    shared::lambda::run(&links::SERVICE)
}
