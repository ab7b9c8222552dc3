use super::*;

fn raw(data: &[u8], offsets: &[u32]) -> BytesColumn {
    BytesColumn { data: data.to_vec(), offsets: offsets.to_vec() }
}

#[test]
fn a_column_from_outside_must_keep_every_rule() {
    let cases = [
        (raw(b"", &[]), Err(ColumnError::Start)),
        (raw(b"ab", &[1, 2]), Err(ColumnError::Start)),
        (raw(b"ab", &[0, 2, 1, 2]), Err(ColumnError::Decreasing { index: 2 })),
        (raw(b"ab", &[0, 1]), Err(ColumnError::End { last: 1, bytes: 2 })),
        (raw(b"ab", &[0, 3]), Err(ColumnError::End { last: 3, bytes: 2 })),
        (raw(b"", &[0]), Ok(())),
        (raw(b"ab", &[0, 0, 2, 2]), Ok(())),
    ];
    for (column, expected) in cases {
        assert_eq!(column.check(), expected, "{column:?}");
    }
}

#[test]
fn a_bitmap_has_no_byte_or_all() {
    let values: BytesColumn = (0..9).map(|_| &b"x"[..]).collect();
    for (bytes, fits) in [(0, true), (1, false), (2, true), (3, false)] {
        let column = OptionalColumn { values: values.clone(), validity: vec![0xff; bytes] };
        assert_eq!(column.check().is_ok(), fits, "{bytes} bytes");
    }
}

proptest::proptest! {
    #[test]
    fn a_part_of_a_column_is_appended_as_its_values_would_be(values in proptest::collection::vec(
        proptest::collection::vec(proptest::num::u8::ANY, 0..6), 1..20), cut in (0..20_usize, 0..20_usize)) {
        let other: BytesColumn = values.iter().map(Vec::as_slice).collect();
        let (start, end) = (cut.0 % values.len(), cut.1 % values.len());
        let (start, end) = (start.min(end), start.max(end));
        let (mut one, mut same) = (other.clone(), other.clone());
        one.extend_from(&other, start..end);
        values[start..end].iter().for_each(|value| same.push(value));
        proptest::prop_assert_eq!(one, same);
    }

    #[test]
    fn what_is_pushed_is_got(values in proptest::collection::vec(
        proptest::option::of(proptest::collection::vec(proptest::num::u8::ANY, 0..6)), 0..40)) {
        let mut column = OptionalColumn::default();
        for value in &values {
            column.push(value.as_deref());
        }
        proptest::prop_assert_eq!(column.check(), Ok(()));
        let got: Vec<Option<Vec<u8>>> = column.iter().map(|value| value.map(<[u8]>::to_vec)).collect();
        proptest::prop_assert_eq!(got, values);
    }
}
