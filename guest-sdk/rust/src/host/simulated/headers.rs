//! The headers of the records in hand; the interface `headers` of the contract.

use std::collections::BTreeSet;

use super::{Call, with};
use crate::bindings::weir::operator::types::OptionalColumn;
use crate::column::ColumnBuilder;

pub(crate) fn names() -> Vec<String> {
    with(|scene| {
        scene.expect_call(&[Call::Process], "reading headers");
        let names = scene.rows.iter().flat_map(|row| row.headers.iter().map(|(name, _)| name.clone()));
        names.collect::<BTreeSet<_>>().into_iter().collect()
    })
}

pub(crate) fn get(name: &str) -> OptionalColumn {
    with(|scene| {
        scene.expect_call(&[Call::Process], "reading headers");
        let mut column = ColumnBuilder::new();
        for row in &scene.rows {
            match row.headers.iter().rev().find(|(have, _)| have == name) {
                Some((_, Some(value))) => column.push(value),
                Some((_, None)) | None => column.push_missing(),
            }
        }
        column.take()
    })
}
