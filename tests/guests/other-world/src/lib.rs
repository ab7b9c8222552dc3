//! A component that is no operator.

wit_bindgen::generate!({ path: "wit", world: "thing" });

struct Component;
export!(Component);

impl exports::acme::thing::run::Guest for Component {
    fn run() -> String {
        "elsewhere".to_owned()
    }
}
