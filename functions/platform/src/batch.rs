//! Packing things into calls that are bounded in number and in bytes.

/// The most entries of one SQS or SNS batch call.
pub const MAX_ENTRIES: usize = 10;

/// The most bytes of one SQS or SNS batch call, all entries together. SQS takes a mebibyte by now, SNS and queues that
/// were made before take a quarter of it; filling calls less costs nothing but a call.
pub const MAX_BYTES: usize = 256 * 1024;

/// Packs `things` in their order into batches of up to [`MAX_ENTRIES`] and [`MAX_BYTES`]. What is larger than that
/// alone has a batch of its own, so that its refusal concerns nothing else.
pub fn pack<T>(things: impl IntoIterator<Item = T>, size: impl Fn(&T) -> usize) -> Vec<Vec<T>> {
    let mut batches: Vec<Vec<T>> = Vec::new();
    let mut bytes = 0;
    for thing in things {
        let more = size(&thing);
        match batches.last_mut() {
            Some(batch) if batch.len() < MAX_ENTRIES && bytes + more <= MAX_BYTES => {
                batch.push(thing);
                bytes += more;
            }
            _ => {
                batches.push(vec![thing]);
                bytes = more;
            }
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(things: &[usize]) -> Vec<Vec<usize>> {
        pack(things.iter().copied(), |size| *size)
    }

    #[test]
    fn a_batch_is_bounded_in_number() {
        let lengths: Vec<_> = sizes(&[1; 23]).iter().map(Vec::len).collect();
        assert_eq!(lengths, [10, 10, 3]);
        assert!(sizes(&[]).is_empty());
    }

    #[test]
    fn a_batch_is_bounded_in_bytes_and_a_giant_is_alone() {
        let half = MAX_BYTES / 2;
        assert_eq!(sizes(&[half, half, 1]), [vec![half, half], vec![1]]);
        assert_eq!(sizes(&[1, MAX_BYTES + 1, 1]), [vec![1], vec![MAX_BYTES + 1], vec![1]]);
    }
}
