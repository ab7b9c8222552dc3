//! A component that imports a function that the contract does not have.

wit_bindgen::generate!({ path: "wit", world: "stream-operator" });

struct Component;
export!(Component);

impl exports::weir::operator::operators::Guest for Component {
    fn describe() -> Vec<String> {
        weir::operator::telemetry::shout("hello");
        Vec::new()
    }
}
