//! A component that lacks a function of the contract.

wit_bindgen::generate!({ path: "wit", world: "stream-operator" });

struct Component;
export!(Component);

impl exports::weir::operator::operators::Guest for Component {
    fn open() -> String {
        "open, and nothing else".to_owned()
    }
}
