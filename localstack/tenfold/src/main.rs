//! `tenfold`: starts the local stack, and works with a running one.

fn main() -> std::process::ExitCode {
    localstack::cli::main(tenfold::SERVICES)
}
