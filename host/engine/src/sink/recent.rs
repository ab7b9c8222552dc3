//! The last records that reached a sink, for people.

use std::collections::VecDeque;
use std::sync::Mutex;

use weir_operator::batch::Batch;

/// How many are kept.
pub const RECENT_MAX: usize = 10;

/// How many characters of each are kept.
pub const RECENT_CHARS_MAX: usize = 256;

/// The last records of one subtask of a sink; read by the REST API while the subtask writes.
#[derive(Debug, Default)]
pub struct Recent {
    records: Mutex<VecDeque<String>>,
}

impl Recent {
    /// The values, oldest first, as text.
    #[must_use]
    pub fn records(&self) -> Vec<String> {
        self.records.lock().expect("nothing panics while it holds this lock").iter().cloned().collect()
    }

    /// Notes the last records of a batch; costs the same whatever the size of the batch.
    pub(super) fn note(&self, batch: &Batch) {
        let rows = batch.rows as usize;
        let mut records = self.records.lock().expect("nothing panics while it holds this lock");
        for row in rows.saturating_sub(RECENT_MAX)..rows {
            if records.len() == RECENT_MAX {
                records.pop_front();
            }
            records.push_back(batch.values.get(row).map_or_else(|| "(deletion)".to_owned(), shown));
        }
    }
}

fn shown(value: &[u8]) -> String {
    let value = &value[..value.len().min(RECENT_CHARS_MAX * 4)];
    String::from_utf8_lossy(value).chars().take(RECENT_CHARS_MAX).collect()
}
