//! Counts words: `split` makes a record of each word, `count` counts the records of each key.

use weir_sdk::prelude::*;

/// Splits each line into words; a word becomes the key of its own record.
#[derive(Describe)]
#[input(lines: unkeyed)]
struct Split;
impl Operator for Split {
    fn process(&mut self, line: &Record, out: &mut Output) -> Result {
        for word in line.text()?.split_whitespace() {
            out.emit_keyed(word, word)?;
        }
        Ok(())
    }
}

/// Counts how often each key has come.
#[derive(Describe)]
struct Count {
    count: ValueState<u64>,
}
impl Operator for Count {
    fn process(&mut self, word: &Record, out: &mut Output) -> Result {
        let count = self.count.update(|count| count + 1)?;
        out.emit(format_args!("{}\t{count}", word.key_text()?))
    }
}

weir_sdk::export!(Split, Count);

#[cfg(test)]
mod tests;
