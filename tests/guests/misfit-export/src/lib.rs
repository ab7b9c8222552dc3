//! A component whose functions have other types than the contract's.

wit_bindgen::generate!({ path: "wit", world: "stream-operator" });

struct Component;
export!(Component);

impl exports::weir::operator::operators::Guest for Component {
    fn describe() -> String {
        "one".to_owned()
    }
    fn open() -> String {
        "two".to_owned()
    }
    fn process() -> String {
        "three".to_owned()
    }
    fn on_timers() -> String {
        "four".to_owned()
    }
    fn finish() -> String {
        "five".to_owned()
    }
}
