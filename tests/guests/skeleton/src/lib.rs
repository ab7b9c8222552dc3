//! What components that differ only in `describe` have in common.

/// A component whose `describe` is the expression, and which does nothing.
#[macro_export]
macro_rules! component {
    ($describe:expr) => {
        wit_bindgen::generate!({ path: "../../../wit", world: "stream-operator" });

        use exports::weir::operator::operators;

        struct Component;
        export!(Component);

        impl operators::Guest for Component {
            fn describe() -> Vec<operators::OperatorSpec> {
                $describe
            }
            fn open(_: operators::Context) -> Result<(), String> {
                Ok(())
            }
            fn process(_: u32, _: operators::Batch) -> Result<(), operators::Failure> {
                Ok(())
            }
            fn on_timers(_: operators::FiredTimers) -> Result<(), operators::Failure> {
                Ok(())
            }
            fn finish() -> Result<(), operators::Failure> {
                Ok(())
            }
        }

        /// An operator with one keyed input and nothing else.
        #[allow(dead_code, reason = "not every component has one")]
        fn operator(name: &str) -> operators::OperatorSpec {
            let (kind, columns) = (operators::InputKind::Keyed, operators::Columns::all());
            operators::OperatorSpec {
                name: name.to_owned(),
                doc: String::new(),
                inputs: vec![operators::InputSpec { name: "in".to_owned(), kind, columns }],
                outputs: Vec::new(),
                states: Vec::new(),
                config_schema: String::new(),
                properties: Vec::new(),
            }
        }
    };
}
