//! Both update types with both visibilities.

use weir_sdk::prelude::*;

/// Writes all where a record's value is `write`; else emits what it sees: for each way to live `v`, `l` and `m`, as far
/// as there is a value, an element and an entry.
#[derive(Describe)]
pub struct Lives {
    #[describe(ttl = "1s")]
    value: ValueState<bool>,
    #[describe(ttl = "1s")]
    list: ListState<bool>,
    #[describe(ttl = "1s")]
    map: MapState<u64, bool>,
    #[describe(ttl = "1s", refresh_on_read)]
    refreshed_value: ValueState<bool>,
    #[describe(ttl = "1s", refresh_on_read)]
    refreshed_list: ListState<bool>,
    #[describe(ttl = "1s", refresh_on_read)]
    refreshed_map: MapState<u64, bool>,
    #[describe(ttl = "1s", return_expired)]
    shown_value: ValueState<bool>,
    #[describe(ttl = "1s", return_expired)]
    shown_list: ListState<bool>,
    #[describe(ttl = "1s", return_expired)]
    shown_map: MapState<u64, bool>,
    #[describe(ttl = "1s", refresh_on_read, return_expired)]
    both_value: ValueState<bool>,
    #[describe(ttl = "1s", refresh_on_read, return_expired)]
    both_list: ListState<bool>,
    #[describe(ttl = "1s", refresh_on_read, return_expired)]
    both_map: MapState<u64, bool>,
}

impl Operator for Lives {
    fn process(&mut self, record: &Record, out: &mut Output) -> Result {
        let lives = [
            ("written", &mut self.value, &mut self.list, &mut self.map),
            ("refreshed", &mut self.refreshed_value, &mut self.refreshed_list, &mut self.refreshed_map),
            ("shown", &mut self.shown_value, &mut self.shown_list, &mut self.shown_map),
            ("both", &mut self.both_value, &mut self.both_list, &mut self.both_map),
        ];
        let mut seen = Vec::new();
        for (name, value, list, map) in lives {
            if record.text()? == "write" {
                value.set(true);
                list.append(true)?;
                map.put(&1, true);
                continue;
            }
            let (value, list, map) = (value.get()?.is_some(), !list.get()?.is_empty(), map.get(&1)?.is_some());
            let letters = [('v', value), ('l', list), ('m', map)];
            let letters: String = letters.iter().filter(|(_, is_there)| *is_there).map(|(letter, _)| letter).collect();
            seen.push(format!("{name} {letters}"));
        }
        if seen.is_empty() { Ok(()) } else { out.emit(seen.join(", ")) }
    }
}
