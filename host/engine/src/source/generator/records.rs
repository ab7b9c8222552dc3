//! Numbers into records, cheaply: a value is a template whose digits are written over.
//!
//! A value is `{"key":"k0042","number":   1066}`: the key with as many digits as the greatest has, and spaces before
//! the number, so that every value has the same length.

use hashbrown::HashTable;
use weir_operator::batch::{Batch, BytesColumn, Keys};
use weir_protocol::job_spec::{GeneratorSpec, KeyDistribution};
use weir_protocol::key_group::key_hash;

const VALUE_START: &[u8] = br#"{"key":""#;
const NUMBER_START: &[u8] = br#"","number":"#;

/// Makes batches.
#[derive(Debug)]
pub(super) struct Records {
    keys: u64,
    distribution: KeyDistribution,
    template: Vec<u8>,
    /// The length of a key.
    key_bytes: usize,
    /// The keys of the batch that is being made, as numbers, and where to find them.
    numbers: Vec<u64>,
    table: HashTable<u32>,
}

impl Records {
    pub(super) fn new(spec: &GeneratorSpec) -> Self {
        let key_bytes = 1 + (spec.keys - 1).checked_ilog10().unwrap_or(0) as usize + 1;
        let mut template = VALUE_START.to_vec();
        template.resize(template.len() + key_bytes, b'k');
        template.extend_from_slice(NUMBER_START);
        template.resize(spec.value_bytes as usize - 1, b' ');
        template.push(b'}');
        let (keys, distribution) = (spec.keys, spec.distribution);
        Self { keys, distribution, template, key_bytes, numbers: Vec::new(), table: HashTable::new() }
    }

    /// The records `first, first + step, …`, `rows` of them.
    pub(super) fn make(&mut self, first: u64, step: u64, rows: u32) -> Batch {
        let numbers = (0..rows).map(|row| first + u64::from(row) * step);
        let key_of = match self.distribution {
            KeyDistribution::RoundRobin => self.in_turn(first, step, rows),
            KeyDistribution::Uniform => self.at_random(numbers.clone()),
        };
        let keys = self.dictionary(key_of);
        let values = self.values(numbers.clone(), &keys);
        let timestamps = numbers.map(|number| i64::try_from(number).expect("numbers end with the event times"));
        Batch { rows, timestamps: timestamps.collect(), values: values.into(), keys: Some(keys), headers: Vec::new() }
    }

    /// Which of `numbers` each row has, where the keys come in turn: after a cycle they begin again.
    fn in_turn(&mut self, first: u64, step: u64, rows: u32) -> Vec<u32> {
        let cycle = self.keys / greatest_common_divisor(step, self.keys);
        let cycle = u32::try_from(cycle).map_or(rows, |cycle| cycle.min(rows));
        let (keys, stride) = (self.keys, step % self.keys);
        let mut key = first % keys;
        self.numbers.clear();
        for _ in 0..cycle {
            self.numbers.push(key);
            // Both are below `keys`, so this is the sum modulo `keys`, without a division and without overflow.
            key = if key >= keys - stride { key - (keys - stride) } else { key + stride };
        }
        (0..cycle).cycle().take(rows as usize).collect()
    }

    /// The same, where the keys come at random.
    fn at_random(&mut self, numbers: impl Iterator<Item = u64>) -> Vec<u32> {
        self.numbers.clear();
        self.table.clear();
        let key_of = numbers.map(|number| {
            let key = u64::try_from((u128::from(mixed(number)) * u128::from(self.keys)) >> 64)
                .expect("a product of two numbers of 64 bits has 128");
            let found = self.table.find(mixed(key), |&index| self.numbers[index as usize] == key).copied();
            found.unwrap_or_else(|| {
                let index = u32::try_from(self.numbers.len()).expect("a batch is small");
                self.numbers.push(key);
                self.table.insert_unique(mixed(key), index, |&other| mixed(self.numbers[other as usize]));
                index
            })
        });
        key_of.collect()
    }

    fn dictionary(&self, key_of: Vec<u32>) -> Keys {
        let mut distinct = BytesColumn::with_capacity(self.numbers.len(), self.numbers.len() * self.key_bytes);
        let mut hashes = Vec::with_capacity(self.numbers.len());
        for &number in &self.numbers {
            let start = distinct.data.len();
            distinct.data.resize(start + self.key_bytes, b'0');
            let key = &mut distinct.data[start..];
            key[0] = b'k';
            write_digits(number, &mut key[1..]);
            hashes.push(key_hash(key));
            distinct.close_value();
        }
        Keys { distinct, hashes, key_of }
    }

    fn values(&self, numbers: impl ExactSizeIterator<Item = u64>, keys: &Keys) -> BytesColumn {
        let bytes = self.template.len();
        let mut values = BytesColumn::with_capacity(numbers.len(), numbers.len() * bytes);
        let key_start = VALUE_START.len();
        for (number, &key) in numbers.zip(&keys.key_of) {
            let start = values.data.len();
            values.data.extend_from_slice(&self.template);
            let value = &mut values.data[start..];
            value[key_start..key_start + self.key_bytes].copy_from_slice(keys.distinct.get(key as usize));
            write_digits(number, &mut value[..bytes - 1]);
            values.close_value();
        }
        values
    }
}

/// Writes a number's digits at the end of a slice that has room for them, and leaves what is before them.
fn write_digits(mut number: u64, into: &mut [u8]) {
    let mut end = into.len();
    while number >= 10 {
        end -= 2;
        let pair = usize::try_from(number % 100).expect("it is below 100") * 2;
        into[end..end + 2].copy_from_slice(&PAIRS[pair..pair + 2]);
        number /= 100;
    }
    if number > 0 || end == into.len() {
        into[end - 1] = b'0' + u8::try_from(number).expect("one digit is left");
    }
}

/// `00` to `99`.
const PAIRS: [u8; 200] = pairs();

#[expect(clippy::cast_possible_truncation, reason = "two digits of a number below 100; a constant cannot use try_from")]
const fn pairs() -> [u8; 200] {
    let mut pairs = [0; 200];
    let mut number = 0;
    while number < 100 {
        pairs[number * 2] = b'0' + (number / 10) as u8;
        pairs[number * 2 + 1] = b'0' + (number % 10) as u8;
        number += 1;
    }
    pairs
}

/// Bits that follow from a number and look like chance (the finaliser of SplitMix64).
const fn mixed(number: u64) -> u64 {
    let mut bits = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

const fn greatest_common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}
