//! `tenfold`: starts the local stack, and works with a running one.

use std::process::ExitCode;

fn main() -> ExitCode {
    localstack::cli::main()
}
