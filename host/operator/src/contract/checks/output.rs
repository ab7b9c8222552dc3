//! Output and headers: order, origins, where each is legal, what a guest gets wrong.

use super::{Made, mentions, ok, opened, panic_with, trapped};
use crate::batch::{HeaderColumn, Keys};
use crate::operator::CallError;
use crate::turn::{Emitted, MetricChange, Origin, Rejection, Work};

pub(super) async fn check(factory: &Made) {
    emissions_keep_the_order_of_the_calls(factory).await;
    origins_are_passed_on(factory).await;
    times_headers_and_missing_values_are_passed_on(factory).await;
    own_keys_stand_once(factory).await;
    rejected_rows_keep_their_first_reason(factory).await;
    headers_are_read_by_row(factory).await;
    metrics_add_up(factory).await;
    malformed_columns_and_indices_trap(factory).await;
    each_ability_has_its_place(factory).await;
}

async fn emissions_keep_the_order_of_the_calls(factory: &Made) {
    let mut trial = opened(factory).await;
    let rows = [("a", "emit-unkeyed 1"), ("a", "forward 1,0,1"), ("b", "emit-late 2"), ("b", "emit-unkeyed 3")];
    assert_eq!(ok!(trial.keyed(&rows)), ["0:1", "0>1", "0>0", "0>1", "1:2", "0:3"]);
}

async fn origins_are_passed_on(factory: &Made) {
    let mut trial = opened(factory).await;
    ok!(trial.keyed(&[("a", "emit-each x"), ("b", "emit-rows 1,1,0")]));
    assert_eq!(origins(&trial.effects.emissions), [Origin::EachRow, Origin::Rows(vec![1, 1, 0])]);
    ok!(trial.keyed(&[("a", "emit-keys 1,0"), ("b", "emit-unkeyed x")]));
    assert_eq!(origins(&trial.effects.emissions), [Origin::Keys(vec![1, 0]), Origin::Unkeyed]);
}

fn origins(emissions: &[crate::turn::Emission]) -> Vec<Origin> {
    let origin = |emission: &crate::turn::Emission| match &emission.records {
        Emitted::New { origin, .. } => Some(origin.clone()),
        Emitted::Forwarded(_) => None,
    };
    emissions.iter().filter_map(origin).collect()
}

async fn times_headers_and_missing_values_are_passed_on(factory: &Made) {
    let mut trial = opened(factory).await;
    assert_eq!(
        ok!(trial.keyed(&[("a", "emit-at 77"), ("a", "emit-header n=v"), ("a", "emit-missing")])),
        ["0:at", "0:header", "0:-"]
    );
    let Emitted::New { timestamps, headers: None, .. } = &trial.effects.emissions[0].records else {
        panic_with("the record has a time and no headers of its own", &trial.effects)
    };
    assert_eq!(*timestamps, [77]);
    let Emitted::New { headers: Some(headers), .. } = &trial.effects.emissions[1].records else {
        panic_with("the record has headers of its own", &trial.effects)
    };
    let [HeaderColumn { name, values }] = headers.as_slice() else { panic_with("the record has one header", headers) };
    assert_eq!((name.as_str(), values.get(0)), ("n", Some(b"v".as_slice())));
}

async fn own_keys_stand_once(factory: &Made) {
    let mut trial = opened(factory).await;
    ok!(trial.keyed(&[("a", "emit-own k")]));
    let expected = Keys::encode([b"k".as_slice(), b"other", b"k"]);
    assert_eq!(origins(&trial.effects.emissions), [Origin::OwnKeys(expected)]);
}

async fn rejected_rows_keep_their_first_reason(factory: &Made) {
    let mut trial = opened(factory).await;
    ok!(trial.keyed(&[("a", "value-set 1"), ("a", "reject 0,1"), ("a", "reject 1,2,2")]));
    let rejection = |rows| Rejection { rows, reason: "rejected".to_owned() };
    assert_eq!(trial.effects.rejections, [rejection(vec![0, 1]), rejection(vec![2])]);
    // What the call did for them stays.
    assert_eq!(ok!(trial.keyed(&[("a", "value-get")])), ["0:1"]);
}

async fn headers_are_read_by_row(factory: &Made) {
    let mut trial = opened(factory).await;
    assert_eq!(
        ok!(trial.keyed(&[("a", "header-names"), ("b", "header n"), ("a", "header m")])),
        ["0:n", "0:h0,h1,h2", "0:-,-,-"]
    );
}

async fn metrics_add_up(factory: &Made) {
    let mut trial = opened(factory).await;
    ok!(trial.keyed(&[("a", "counter n"), ("a", "counter n"), ("a", "gauge g"), ("a", "counter n"), ("a", "log hi")]));
    assert_eq!(
        trial.effects.metrics,
        [
            MetricChange::Counter("n".into(), 2),
            MetricChange::Gauge("g".into(), 0.5),
            MetricChange::Counter("n".into(), 1),
        ]
    );
}

async fn malformed_columns_and_indices_trap(factory: &Made) {
    for (command, part) in [
        ("bad-offsets", "the column `values` is malformed: offset 2 is smaller than the one before it"),
        ("bad-validity", "the column `values` is malformed: validity holds 3 bytes"),
        ("bad-length", "`rows` has 2 entries but `values` has 1"),
        ("bad-own-key", "`key-of` holds 1, but there are 1 own keys"),
        ("bad-port", "there is no port 9; `describe` declares 2: main, late"),
        ("emit-rows 1", "row 1 is out of bounds; the batch has 1 rows"),
        ("emit-keys 1", "key index 1 is out of bounds"),
        ("emit-each x", "`values` has 2 entries but `the batch` has 1"),
        ("forward 0,1", "row 1 is out of bounds"),
        ("reject 5", "row 5 is out of bounds"),
        ("fail-rows 3", "names row 3, which is out of bounds"),
        ("trap", "trap"),
    ] {
        mentions(&trapped(factory, &[("a", command)]).await, part);
    }
}

async fn each_ability_has_its_place(factory: &Made) {
    match opened(factory).await.unkeyed(1, &["emit-keys 0"]).await {
        Err(CallError::Trap(message)) => mentions(&message, "the origin `keys` needs a keyed input or timers"),
        other => panic_with("there are no keys on an unkeyed input", &other),
    }
    let mut trial = opened(factory).await;
    assert_eq!(ok!(trial.unkeyed(2, &["emit-unkeyed 1", "forward 0"])), ["0:1", "0>0"]);
    assert_eq!(ok!(trial.call(Work::Finish)), ["0:finished"]);
    let mut badly = super::Trial::open(factory, "finish-badly", weir_protocol::job_spec::LimitSpec::default())
        .await
        .expect("opens");
    match badly.call(Work::Finish).await {
        Err(CallError::Trap(message)) => mentions(&message, "in `finish` only `own-keys` and `unkeyed`"),
        other => panic_with("`finish` has no rows", &other),
    }
}
