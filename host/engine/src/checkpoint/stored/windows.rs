//! How much is read at once of each of several files that are read by key group.

use weir_protocol::manifest::StateFile;

/// The least that is read at once, unless very many files are read at the same time: then it is less.
pub(in crate::checkpoint) const WINDOW_BYTES_MIN: u64 = 256 << 10;
/// The most. A cloud answers a request for less than that in about the time for a byte.
const WINDOW_BYTES_MAX: u64 = 8 << 20;

/// The windows of files for which there are about `budget` bytes of memory. Of each as much as it is of those that hold the
/// same key groups, since records that are merged come from these in proportion, and from no other meanwhile.
pub(super) fn of(files: &[StateFile], budget: u64) -> Vec<u64> {
    files.iter().map(|file| window(file, files, budget)).collect()
}

fn window(file: &StateFile, files: &[StateFile], budget: u64) -> u64 {
    let together = files.iter().filter(|other| !other.key_groups.clip(file.key_groups).is_empty());
    let (count, bytes) = together.fold((0, 0), |(count, bytes), other| (count + 1, bytes + other.blob.bytes()));
    // One half is in use, the other on its way.
    let share = u128::from(budget / 2) * u128::from(file.blob.bytes()) / u128::from(bytes.max(1));
    let share = u64::try_from(share).unwrap_or(u64::MAX);
    share.max(WINDOW_BYTES_MIN.min(budget / 8 / count.max(1))).min(WINDOW_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use weir_protocol::id::EntryNumber;
    use weir_protocol::key_group::KeyGroupRange;
    use weir_protocol::manifest::{Blob, Checksum, ObjectRef};

    use super::*;

    /// What each of so many old subtasks leaves: files of these lengths, with 16 key groups.
    fn files(subtasks: u16, lengths: &[u64]) -> Vec<StateFile> {
        let file = |subtask: u16, number: usize, bytes: u64| {
            let name = format!("{subtask}-{number}");
            let object = ObjectRef { name, made_by: EntryNumber(1), bytes, checksum: Checksum(1) };
            let key_groups = KeyGroupRange { start: 16 * subtask, end: 16 * subtask + 16 };
            StateFile { blob: Blob::Object(object), key_groups }
        };
        let of = |subtask| lengths.iter().enumerate().map(move |(number, bytes)| file(subtask, number, *bytes));
        (0..subtasks).flat_map(of).collect()
    }

    #[test]
    fn windows_of_files_with_the_same_key_groups_fit_into_the_budget_however_many_there_are() {
        for lengths in
            [vec![1 << 30], vec![1 << 20; 17], vec![20_000; 3_000], [vec![1 << 40], vec![30_000; 500]].concat()]
        {
            let windows: u64 = of(&files(1, &lengths), 16 << 20).iter().sum();
            assert!(2 * windows <= (16 << 20) * 5 / 4, "{} files have {windows} bytes", lengths.len());
        }
    }

    #[test]
    fn files_of_other_key_groups_make_no_window_smaller() {
        let lengths = [8 << 20, 1 << 20, 1 << 20];
        let alone = of(&files(1, &lengths), 4 << 20);
        assert_eq!(of(&files(64, &lengths), 4 << 20), alone.repeat(64));
        assert_eq!(alone[1], (2 << 20) / 10);
    }
}
