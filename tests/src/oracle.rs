//! What results must be, whatever happened on the way.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};

/// For each key, and each label of its results, the numbers that they carry, in order.
pub type Expected = BTreeMap<String, BTreeMap<String, Vec<u64>>>;

/// Each key's results are `LABEL<TAB>NUMBER<TAB>COUNT`. Under each label the numbers are those expected, from the first
/// on, without a gap, a repeat or another order; and the counts are 1, 2, 3, … over all labels that begin alike. Where
/// `is_whole`, nothing is missing at the end either.
///
/// # Errors
/// The first key for which this does not hold, with the place.
pub fn results_are_exact(keys: &BTreeMap<String, Vec<String>>, expected: &Expected, is_whole: bool) -> Result<()> {
    for (key, results) in keys {
        let expected = expected.get(key).with_context(|| format!("there is no key {key}"))?;
        let mut places: BTreeMap<&str, usize> = BTreeMap::new();
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        for result in results {
            let fields: Vec<&str> = result.split('\t').collect();
            let [label, number, count] = fields[..] else { anyhow::bail!("key {key}: `{result}` is no result") };
            let place = places.entry(label).or_default();
            let wanted = expected.get(label).and_then(|numbers| numbers.get(*place));
            let wanted = wanted.map_or_else(|| "nothing".to_owned(), ToString::to_string);
            ensure!(number == wanted, "key {key}, {label}: number {number} where {wanted} must stand");
            *place += 1;
            let counted = counts.entry(label.trim_end_matches(|digit: char| digit.is_ascii_digit())).or_default();
            *counted += 1;
            ensure!(count == counted.to_string(), "key {key}, {label}: count {count} where {counted} must stand");
        }
        if is_whole {
            for (label, numbers) in expected {
                let found = places.get(label.as_str()).copied().unwrap_or_default();
                ensure!(found == numbers.len(), "key {key}, {label}: {found} of {} results", numbers.len());
            }
        }
    }
    let missing = expected.keys().find(|key| is_whole && !keys.contains_key(*key));
    ensure!(missing.is_none(), "key {missing:?} has no results");
    Ok(())
}

/// Each key's running counts are 1, 2, 3, … without a gap, a repeat or another order, however far they have come; how
/// many there are in all.
///
/// # Errors
/// The first key for which this does not hold, with the place.
pub fn counts_go_on(keys: &BTreeMap<String, Vec<String>>) -> Result<u64> {
    let mut total = 0;
    for (key, counts) in keys {
        for (expected, count) in (1_u64..).zip(counts) {
            ensure!(*count == expected.to_string(), "key {key}: {count} where {expected} must stand");
            total += 1;
        }
    }
    Ok(total)
}

/// Each key has as many counts as it was given, or fewer where more may come.
///
/// # Errors
/// The first key with another number of them.
pub fn at_most(keys: &BTreeMap<String, Vec<String>>, given: &BTreeMap<String, u64>, in_the_end: bool) -> Result<()> {
    for (key, counts) in keys {
        let given = given.get(key).copied().unwrap_or(0);
        ensure!(counts.len() as u64 <= given, "key {key}: {} results for {given} records", counts.len());
    }
    for (key, given) in given.iter().filter(|_| in_the_end) {
        let found = keys.get(key).map_or(0, Vec::len);
        ensure!(found as u64 == *given, "key {key}: {found} results for {given} records");
    }
    Ok(())
}

/// The records of a generator that gives its keys in turn, as its values show them: for each key the numbers `k`,
/// `k + keys`, `k + 2 keys`, … in this order, however far they have come; how many there are in all.
///
/// # Errors
/// The first key for which this does not hold, with the place.
pub fn numbers_go_on(values: &[String], keys: u64) -> Result<u64> {
    let mut next: BTreeMap<String, u64> = BTreeMap::new();
    for value in values {
        let value: serde_json::Value = serde_json::from_str(value)?;
        let (Some(key), Some(number)) = (value["key"].as_str(), value["number"].as_u64()) else {
            anyhow::bail!("{value} is no record of a generator");
        };
        let expected = next.entry(key.to_owned()).or_insert(number % keys);
        ensure!(*expected == number, "key {key}: {number} where {expected} must stand");
        *expected += keys;
    }
    Ok(values.len() as u64)
}

/// All of `expected` are there once each, or some of them where more may come, in whatever order, and nothing else.
///
/// # Errors
/// The first that is there too often, or not at all.
pub fn each_once(found: &[String], expected: &[String], in_the_end: bool) -> Result<()> {
    let mut open: BTreeMap<&str, i64> = BTreeMap::new();
    for one in expected {
        *open.entry(one).or_default() += 1;
    }
    for one in found {
        let left = open.entry(one).or_default();
        *left -= 1;
        ensure!(*left >= 0, "{one} is there too often");
    }
    let missing = open.iter().find(|(_, left)| **left > 0);
    match missing.filter(|_| in_the_end) {
        Some((one, _)) => anyhow::bail!("{one} is missing"),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|line| (*line).to_owned()).collect()
    }

    fn counts(key: &str, found: &[&str]) -> BTreeMap<String, Vec<String>> {
        BTreeMap::from([(key.to_owned(), lines(found))])
    }

    #[test]
    fn a_gap_a_repeat_and_another_order_are_found() {
        assert_eq!(counts_go_on(&counts("a", &["1", "2", "3"])).unwrap(), 3);
        for wrong in [["1", "3"], ["1", "1"], ["2", "1"]] {
            assert!(counts_go_on(&counts("a", &wrong)).is_err(), "{wrong:?}");
        }
        let number = |number: u64| format!(r#"{{"key":"k{}","number":{number}}}"#, number % 2);
        let numbers = |numbers: &[u64]| numbers.iter().copied().map(number).collect::<Vec<_>>();
        assert_eq!(numbers_go_on(&numbers(&[1, 0, 3, 2, 5]), 2).unwrap(), 5);
        for wrong in [&[0, 4][..], &[0, 0], &[2], &[0, 2, 0]] {
            assert!(numbers_go_on(&numbers(wrong), 2).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn what_is_missing_is_a_fault_in_the_end_and_what_is_too_much_always() {
        let given = BTreeMap::from([("a".to_owned(), 2)]);
        assert!(at_most(&counts("a", &["1"]), &given, false).is_ok());
        assert!(at_most(&counts("a", &["1"]), &given, true).is_err());
        assert!(at_most(&counts("a", &["1", "2", "3"]), &given, false).is_err());
        assert!(at_most(&counts("b", &["1"]), &given, false).is_err());
        assert!(each_once(&lines(&["x"]), &lines(&["x", "y"]), false).is_ok());
        assert!(each_once(&lines(&["x"]), &lines(&["x", "y"]), true).is_err());
        for wrong in [&["x", "x"][..], &["z"]] {
            assert!(each_once(&lines(wrong), &lines(&["x", "y"]), false).is_err(), "{wrong:?}");
        }
    }
}
