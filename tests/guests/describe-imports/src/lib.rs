//! A component whose `describe` uses an import of the contract.

skeleton::component!({
    weir::operator::telemetry::log(weir::operator::telemetry::Level::Info, "hello");
    vec![operator("talks")]
});
