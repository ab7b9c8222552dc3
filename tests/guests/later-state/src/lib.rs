//! A component that declares, and links, a kind of state that comes later.

skeleton::component!({
    let state = operators::StateSpec {
        name: "offsets".to_owned(),
        kind: operators::StateKind::OperatorSplit,
        codec: "json".to_owned(),
        version: 1,
        ttl: None,
        properties: Vec::new(),
    };
    // Never reached, yet imported.
    if std::hint::black_box(false) {
        weir::operator::state::OperatorState::new("offsets").get();
        weir::operator::state::BroadcastState::new("rules").get(b"");
    }
    vec![operators::OperatorSpec { states: vec![state], ..operator("reads-offsets") }]
});
