//! A component for another version of the contract.

wit_bindgen::generate!({ path: "wit", world: "stream-operator" });

struct Component;
export!(Component);

impl exports::weir::operator::operators::Guest for Component {
    fn describe() -> Vec<String> {
        vec!["from the future".to_owned()]
    }
}
