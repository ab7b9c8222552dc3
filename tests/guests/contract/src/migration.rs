//! Rewrites values, or does with them what it must not.

use crate::exports::weir::operator::migration::Guest;
use crate::weir::operator::output::{Emitted, Origin, emit};
use crate::weir::operator::state::ValueState;
use crate::weir::operator::telemetry::{self, Level};
use crate::weir::operator::types::BytesColumn;
use crate::{Component, one, value_at};

impl Guest for Component {
    fn migrate(operator: String, state: String, from_version: u32, values: BytesColumn) -> Result<BytesColumn, String> {
        assert_eq!(operator, "odd");
        let mut rewritten = BytesColumn { data: Vec::new(), offsets: vec![0] };
        for index in 0..values.offsets.len() - 1 {
            let value = std::str::from_utf8(value_at(&values, index)).expect("values are text");
            match value {
                "fail" => return Err("it cannot read this".into()),
                "flood" => rewritten.data.resize(rewritten.data.len() + 2_000_000, b'x'),
                "trap" => panic!("it traps"),
                "spin" => loop {
                    std::hint::black_box(());
                },
                "short" => continue,
                "bad-offsets" => rewritten.offsets[0] = 1,
                "state" => drop(ValueState::new("value")),
                "emit" => emit(0, &Emitted { origin: Origin::Unkeyed, values: one(b"no"), timestamps: Vec::new() }),
                "count" => telemetry::counter_add("migrated", 1),
                "log" => telemetry::log(Level::Info, "a value of an old version"),
                _ => {}
            }
            if value != "flood" {
                rewritten.data.extend_from_slice(format!("{state}/{from_version}/{value}").as_bytes());
            }
            rewritten.offsets.push(rewritten.data.len() as u32);
        }
        Ok(rewritten)
    }
}
