//! What the person at the terminal sees while the stack runs: short lines, and only when they asked for them. The
//! functions' own logs go to a file.
#![allow(clippy::print_stdout, clippy::print_stderr)] // the one place that prints

use std::sync::atomic::{AtomicBool, Ordering};

static SHOWN: AtomicBool = AtomicBool::new(false);

/// Shows notes from now on. Without it, as in tests, they go nowhere.
pub(crate) fn show_notes() {
    SHOWN.store(true, Ordering::Relaxed);
}

/// One line about what just happened.
pub(crate) fn note(line: &str) {
    if SHOWN.load(Ordering::Relaxed) {
        eprintln!("{line}");
    }
}

/// One line of a command's output.
pub(crate) fn say(line: &str) {
    println!("{line}");
}

/// One line about what went wrong.
pub(crate) fn complain(line: &str) {
    eprintln!("{line}");
}
