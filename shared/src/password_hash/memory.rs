//! The memory of a hash, kept for the next one: else the kernel hands out and clears 19 MiB each time, up to a tenth of
//! what a hash takes.

use std::sync::{LazyLock, Mutex, PoisonError};
use std::thread::available_parallelism;

use argon2::Block;

use super::MEMORY_KIB;

/// Memory that no hash uses at the moment; each is of a hash with the present parameters.
static KEPT: Mutex<Vec<Vec<Block>>> = Mutex::new(Vec::new());

/// How many are kept: no more hashes are made at once.
static MOST_KEPT: LazyLock<usize> = LazyLock::new(|| available_parallelism().map_or(1, usize::from));

/// Has `work` done with `count` blocks of any content: argon2 writes each before it reads it.
pub(super) fn with_blocks<T>(count: usize, work: impl FnOnce(&mut [Block]) -> T) -> T {
    let is_present = u32::try_from(count) == Ok(MEMORY_KIB);
    let kept = if is_present { KEPT.lock().unwrap_or_else(PoisonError::into_inner).pop() } else { None };
    let mut blocks = kept.unwrap_or_else(|| vec![Block::new(); count]);
    let done = work(&mut blocks);
    if is_present {
        let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < *MOST_KEPT {
            kept.push(blocks);
        }
    }
    done
}
