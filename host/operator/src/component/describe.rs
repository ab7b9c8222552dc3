//! The answer of `describe`: from the contract's types to a description, and whether it makes sense.

use std::collections::BTreeSet;
use std::str::FromStr;

use wasmtime::component::{ComponentType, Lift, flags};
use weir_protocol::description::{
    Columns, InputDescription, InputKind, OperatorDescription, StateDescription, StateKind, TtlDescription,
};
use weir_protocol::id::Name;

use super::AdmissionError;

/// Operators of one component.
const OPERATORS_MAX: usize = 64;
/// Inputs, and outputs, of one operator.
const PORTS_MAX: usize = 64;
/// States of one operator.
const STATES_MAX: usize = 256;
/// Pairs of one list of properties.
const PROPERTIES_MAX: usize = 64;

/// `operator-spec` of the contract.
#[derive(ComponentType, Lift)]
#[component(record)]
pub(super) struct OperatorSpec {
    name: String,
    doc: String,
    inputs: Vec<InputSpec>,
    outputs: Vec<OutputSpec>,
    states: Vec<StateSpec>,
    #[component(name = "config-schema")]
    config_schema: String,
    properties: Vec<(String, String)>,
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(super) struct InputSpec {
    name: String,
    kind: SpecInputKind,
    columns: SpecColumns,
}

#[derive(ComponentType, Lift, Clone, Copy)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "its values come from guests alone")]
pub(super) enum SpecInputKind {
    #[component(name = "keyed")]
    Keyed,
    #[component(name = "unkeyed")]
    Unkeyed,
    #[component(name = "broadcast")]
    Broadcast,
}

flags! {
    SpecColumns {
        #[component(name = "keys")]
        const KEYS;
        #[component(name = "values")]
        const VALUES;
        #[component(name = "timestamps")]
        const TIMESTAMPS;
    }
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(super) struct OutputSpec {
    name: String,
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(super) struct StateSpec {
    name: String,
    kind: SpecStateKind,
    codec: String,
    version: u32,
    ttl: Option<Ttl>,
    properties: Vec<(String, String)>,
}

#[derive(ComponentType, Lift, Clone, Copy)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "its values come from guests alone")]
pub(super) enum SpecStateKind {
    #[component(name = "keyed-value")]
    KeyedValue,
    #[component(name = "keyed-list")]
    KeyedList,
    #[component(name = "keyed-map")]
    KeyedMap,
    #[component(name = "operator-split")]
    OperatorSplit,
    #[component(name = "operator-union")]
    OperatorUnion,
    #[component(name = "broadcast")]
    Broadcast,
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(super) struct Ttl {
    #[component(name = "duration-ms")]
    duration_ms: u64,
    #[component(name = "refresh-on-read")]
    refresh_on_read: bool,
    #[component(name = "return-expired")]
    return_expired: bool,
}

impl From<OperatorSpec> for OperatorDescription {
    fn from(spec: OperatorSpec) -> Self {
        Self {
            name: spec.name,
            doc: spec.doc,
            inputs: spec.inputs.into_iter().map(InputDescription::from).collect(),
            outputs: spec.outputs.into_iter().map(|output| output.name).collect(),
            states: spec.states.into_iter().map(StateDescription::from).collect(),
            config_schema: spec.config_schema,
            properties: spec.properties,
        }
    }
}

impl From<InputSpec> for InputDescription {
    fn from(spec: InputSpec) -> Self {
        let kind = match spec.kind {
            SpecInputKind::Keyed => InputKind::Keyed,
            SpecInputKind::Unkeyed => InputKind::Unkeyed,
            SpecInputKind::Broadcast => InputKind::Broadcast,
        };
        let asked = |column| spec.columns & column == column;
        let columns = Columns {
            keys: asked(SpecColumns::KEYS),
            values: asked(SpecColumns::VALUES),
            timestamps: asked(SpecColumns::TIMESTAMPS),
        };
        Self { name: spec.name, kind, columns }
    }
}

impl From<StateSpec> for StateDescription {
    fn from(spec: StateSpec) -> Self {
        let kind = match spec.kind {
            SpecStateKind::KeyedValue => StateKind::KeyedValue,
            SpecStateKind::KeyedList => StateKind::KeyedList,
            SpecStateKind::KeyedMap => StateKind::KeyedMap,
            SpecStateKind::OperatorSplit => StateKind::OperatorSplit,
            SpecStateKind::OperatorUnion => StateKind::OperatorUnion,
            SpecStateKind::Broadcast => StateKind::Broadcast,
        };
        let ttl = spec.ttl.map(|ttl| TtlDescription {
            duration_ms: ttl.duration_ms,
            refresh_on_read: ttl.refresh_on_read,
            return_expired: ttl.return_expired,
        });
        Self { name: spec.name, kind, codec: spec.codec, version: spec.version, ttl, properties: spec.properties }
    }
}

/// Whether a component may say this of itself.
pub(super) fn check(operators: &[OperatorDescription]) -> Result<(), AdmissionError> {
    if operators.is_empty() {
        return insane("the component has no operator; return at least one");
    }
    at_most("the component", "operators", operators.len(), OPERATORS_MAX)?;
    names("the component", "operator", operators.iter().map(|operator| operator.name.as_str()))?;
    operators.iter().try_for_each(check_operator)
}

fn check_operator(operator: &OperatorDescription) -> Result<(), AdmissionError> {
    let place = format!("the operator `{}`", operator.name);
    if operator.inputs.is_empty() {
        return insane(format!("{place} has no input; declare at least one"));
    }
    at_most(&place, "inputs", operator.inputs.len(), PORTS_MAX)?;
    at_most(&place, "outputs", operator.outputs.len(), PORTS_MAX)?;
    at_most(&place, "states", operator.states.len(), STATES_MAX)?;
    at_most(&place, "properties", operator.properties.len(), PROPERTIES_MAX)?;
    names(&place, "input", operator.inputs.iter().map(|input| input.name.as_str()))?;
    names(&place, "output", operator.outputs.iter().map(String::as_str))?;
    names(&place, "state", operator.states.iter().map(|state| state.name.as_str()))?;
    let schema = &operator.config_schema;
    if !schema.is_empty()
        && let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(schema)
    {
        return insane(format!(
            "the `config-schema` of {place} is not JSON: {error}; leave it empty to accept anything"
        ));
    }
    operator.states.iter().try_for_each(|state| check_state(operator, state))
}

fn check_state(operator: &OperatorDescription, state: &StateDescription) -> Result<(), AdmissionError> {
    let place = format!("the state `{}` of the operator `{}`", state.name, operator.name);
    let expires = matches!(state.kind, StateKind::KeyedValue | StateKind::KeyedList | StateKind::KeyedMap);
    if state.ttl.is_some() && !expires {
        return insane(format!(
            "{place} is {} and has a `ttl`, but only keyed state expires; leave `ttl` out, or make the state keyed",
            state.kind.name()
        ));
    }
    let has_input = |kind| operator.inputs.iter().any(|input| input.kind == kind);
    match state.kind {
        StateKind::KeyedValue | StateKind::KeyedList | StateKind::KeyedMap if !has_input(InputKind::Keyed) => {
            return insane(format!("{place} is keyed, but the operator has no keyed input; declare one"));
        }
        StateKind::Broadcast if !has_input(InputKind::Broadcast) => {
            return insane(format!(
                "{place} is broadcast, but the operator has no broadcast input that could write to it; declare one"
            ));
        }
        StateKind::KeyedValue
        | StateKind::KeyedList
        | StateKind::KeyedMap
        | StateKind::OperatorSplit
        | StateKind::OperatorUnion
        | StateKind::Broadcast => {}
    }
    if state.ttl.is_some_and(|ttl| ttl.duration_ms == 0) {
        return insane(format!(
            "{place} has a `ttl` of 0 ms, so it would hold nothing; leave `ttl` out, or make it longer"
        ));
    }
    at_most(&place, "properties", state.properties.len(), PROPERTIES_MAX)?;
    check_migrations(&place, state)
}

fn check_migrations(place: &str, state: &StateDescription) -> Result<(), AdmissionError> {
    let property = StateDescription::MIGRATES_FROM;
    let Some((_, versions)) = state.properties.iter().find(|(name, _)| name == property) else { return Ok(()) };
    let is_older = |version: &str| version.trim().parse::<u32>().is_ok_and(|version| version < state.version);
    if versions.is_empty() || versions.split(',').all(is_older) {
        return Ok(());
    }
    insane(format!(
        "{place} has version {} and the property `{property}` with the value `{versions:.64}`; write versions below its \
         own, with commas between them, or nothing",
        state.version
    ))
}

fn at_most(place: &str, what: &str, given: usize, most: usize) -> Result<(), AdmissionError> {
    if given > most { insane(format!("{place} has {given} {what}; at most {most} are allowed")) } else { Ok(()) }
}

/// Names must be names, and each stand once.
fn names<'a>(place: &str, what: &str, names: impl Iterator<Item = &'a str>) -> Result<(), AdmissionError> {
    let mut seen = BTreeSet::new();
    for name in names {
        if let Err(error) = Name::from_str(name) {
            return insane(format!("{place} has an {what} with a bad name: {error}"));
        }
        if !seen.insert(name) {
            return insane(format!("{place} has two {what}s with the name `{name}`; rename one"));
        }
    }
    Ok(())
}

fn insane<T>(what: impl Into<String>) -> Result<T, AdmissionError> {
    Err(AdmissionError::Insane { what: what.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operator() -> OperatorDescription {
        let columns = Columns { keys: true, values: true, timestamps: true };
        OperatorDescription {
            name: "count".into(),
            doc: String::new(),
            inputs: vec![InputDescription { name: "in".into(), kind: InputKind::Keyed, columns }],
            outputs: vec!["out".into()],
            states: vec![state("count", StateKind::KeyedValue)],
            config_schema: String::new(),
            properties: Vec::new(),
        }
    }

    fn state(name: &str, kind: StateKind) -> StateDescription {
        let (codec, properties) = ("json".into(), Vec::new());
        StateDescription { name: name.into(), kind, codec, version: 1, ttl: None, properties }
    }

    fn refused(change: impl FnOnce(&mut OperatorDescription)) -> String {
        let mut operator = operator();
        change(&mut operator);
        check(&[operator]).expect_err("it does not make sense").to_string()
    }

    #[test]
    fn a_sane_description_is_admitted() {
        assert_eq!(check(&[operator()]), Ok(()));
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_place() {
        let ttl = TtlDescription { duration_ms: 0, refresh_on_read: false, return_expired: false };
        assert!(check(&[]).is_err());
        assert!(check(&[operator(), operator()]).expect_err("twice").to_string().contains("two operators"));
        assert!(refused(|o| o.inputs.clear()).contains("no input"));
        assert!(refused(|o| o.inputs.push(o.inputs[0].clone())).contains("two inputs with the name `in`"));
        assert!(refused(|o| o.outputs.push("out".into())).contains("two outputs"));
        assert!(refused(|o| o.outputs[0] = "a b".into()).contains("`a b` is no name"));
        assert!(refused(|o| o.states.push(o.states[0].clone())).contains("two states"));
        assert!(refused(|o| o.states[0].ttl = Some(ttl)).contains("`ttl` of 0 ms"));
        assert!(refused(|o| o.inputs[0].kind = InputKind::Unkeyed).contains("no keyed input"));
        assert!(refused(|o| o.config_schema = "{".into()).contains("not JSON"));
        assert!(refused(|o| o.outputs = (0..65).map(|n| format!("out-{n}")).collect()).contains("at most 64"));
    }

    #[test]
    fn a_state_migrates_from_versions_below_its_own() {
        let migrating = |versions: &str| StateDescription {
            version: 3,
            properties: vec![("migrates-from".into(), versions.into())],
            ..state("total", StateKind::KeyedValue)
        };
        for versions in ["", "2", "0, 1,2"] {
            let mut operator = operator();
            operator.states.push(migrating(versions));
            assert_eq!(check(&[operator]), Ok(()), "{versions}");
        }
        for versions in ["3", "1,", "one", "1;2", "-1"] {
            let refusal = refused(|o| o.states.push(migrating(versions)));
            assert!(refusal.contains("`total`") && refusal.contains("below its own"), "{refusal}");
        }
    }

    #[test]
    fn only_keyed_state_may_expire() {
        let ttl = Some(TtlDescription { duration_ms: 1, refresh_on_read: false, return_expired: false });
        for kind in [StateKind::OperatorSplit, StateKind::OperatorUnion, StateKind::Broadcast] {
            let refusal = refused(|o| o.states.push(StateDescription { ttl, ..state("rules", kind) }));
            let is_named = refusal.contains("`rules`") && refusal.contains(kind.name());
            assert!(is_named && refusal.contains("leave `ttl` out"), "{refusal}");
        }
        for kind in [StateKind::KeyedValue, StateKind::KeyedList, StateKind::KeyedMap] {
            let mut operator = operator();
            operator.states.push(StateDescription { ttl, ..state("rules", kind) });
            assert_eq!(check(&[operator]), Ok(()));
        }
    }

    #[test]
    fn state_that_belongs_to_no_key_needs_what_could_write_to_it() {
        let mut operator = operator();
        operator.states.push(state("offsets", StateKind::OperatorSplit));
        operator.states.push(state("peers", StateKind::OperatorUnion));
        assert_eq!(check(&[operator.clone()]), Ok(()));
        operator.states.push(state("rules", StateKind::Broadcast));
        let refusal = check(&[operator.clone()]).expect_err("nothing could write to it").to_string();
        assert!(refusal.contains("`rules`") && refusal.contains("no broadcast input"), "{refusal}");
        operator.inputs.push(InputDescription {
            name: "rules".into(),
            kind: InputKind::Broadcast,
            ..operator.inputs[0]
        });
        assert_eq!(check(&[operator]), Ok(()));
    }
}
