//! What a component must be to be admitted, and what to say of one that is not.

use wasmtime::component::Component;
use wasmtime::component::types::ComponentItem;
use weir_protocol::Fault;

use crate::imports::{INTERFACES, VERSION};

/// The interfaces of WASI 0.2 that are there virtually.
const VIRTUAL_WASI: [&str; 20] = [
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:filesystem/preopens",
    "wasi:filesystem/types",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:random/random",
];

/// Why a component is refused at upload: what is wrong, where, and the mend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdmissionError {
    /// The bytes are no component.
    #[error("this is not a WebAssembly component: {detail}; upload the `.wasm` file that a component build made")]
    NotAComponent {
        /// What was found instead.
        detail: String,
    },
    /// The bytes are a core module.
    #[error(
        "this is a core WebAssembly module, not a component; build for `wasm32-wasip2`, or wrap it with `wasm-tools \
         component new`"
    )]
    CoreModule,
    /// It was built for another version of the contract.
    #[error(
        "`{name}` belongs to another version of weir:operator; this host speaks {VERSION}; rebuild with its `wit/`"
    )]
    OtherVersion {
        /// The import or export that shows it.
        name: String,
    },
    /// It was built for another world.
    #[error(
        "the component does not export weir:operator/operators@{VERSION}, so it is no operator; it exports {exports}; \
         build it for the world `weir:operator/stream-operator`"
    )]
    OtherWorld {
        /// What it exports instead.
        exports: String,
    },
    /// It imports something that an operator has no access to.
    #[error("the import `{name}` is not there for an operator: {mend}")]
    ForeignImport {
        /// The import.
        name: String,
        /// What to do.
        mend: String,
    },
    /// An import has another type than the host gives it.
    #[error("an import does not fit what this host offers: {detail}; rebuild with this host's `wit/`")]
    MisfittingImport {
        /// Which one, and how.
        detail: String,
    },
    /// A function that the contract demands is not exported.
    #[error("weir:operator/{interface}@{VERSION} must export `{name}`; rebuild with this host's `wit/`")]
    MissingExport {
        /// The interface.
        interface: &'static str,
        /// The function.
        name: String,
    },
    /// A function that the contract demands has another type.
    #[error("the export `{name}` has another type than the contract's: {detail}; rebuild with this host's `wit/`")]
    MisfittingExport {
        /// The function.
        name: String,
        /// How it differs.
        detail: String,
    },
    /// `describe` did not return.
    #[error("`describe` failed: {reason}; it must return what the component is, and do nothing else")]
    DescribeFailed {
        /// The trap, the limit or the rule.
        reason: String,
    },
    /// What `describe` returned cannot be true.
    #[error("`describe` does not make sense: {what}")]
    Insane {
        /// What is wrong, where, and the mend.
        what: String,
    },
}

impl AdmissionError {
    /// Who must act: always the caller.
    #[must_use]
    pub const fn fault(&self) -> Fault {
        Fault::Request
    }
}

/// Looks at the first bytes: a component, and not a module or something else altogether.
pub(super) fn check_header(bytes: &[u8]) -> Result<(), AdmissionError> {
    const MAGIC: [u8; 4] = *b"\0asm";
    const MODULE: [u8; 4] = [1, 0, 0, 0];
    match bytes {
        [] => Err(AdmissionError::NotAComponent { detail: "the file is empty".to_owned() }),
        _ if !bytes.starts_with(&MAGIC) => {
            Err(AdmissionError::NotAComponent { detail: "it does not begin with `\\0asm`".to_owned() })
        }
        _ if bytes.get(4..8) == Some(&MODULE) => Err(AdmissionError::CoreModule),
        _ => Ok(()),
    }
}

/// Checks the names of everything that is imported, and that the one export that counts is there.
pub(super) fn check_names(component: &Component) -> Result<(), AdmissionError> {
    let (engine, types) = (component.engine(), component.component_type());
    let operators = format!("weir:operator/operators@{VERSION}");
    let exports: Vec<&str> = types.exports(engine).map(|(name, _)| name).collect();
    let imports: Vec<&str> = types.imports(engine).map(|(name, _)| name).collect();
    for name in exports.iter().chain(&imports) {
        let interface = name.strip_prefix("weir:operator/");
        if interface.is_some_and(|rest| rest.split_once('@').is_none_or(|(_, version)| version != VERSION)) {
            return Err(AdmissionError::OtherVersion { name: (*name).to_owned() });
        }
    }
    let exported = types.get_export(engine, &operators);
    if !exported.is_some_and(|export| matches!(export.ty, ComponentItem::ComponentInstance(_))) {
        let names: Vec<_> = exports.iter().map(|name| format!("`{name}`")).collect();
        let exports = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
        return Err(AdmissionError::OtherWorld { exports });
    }
    imports.into_iter().try_for_each(check_import)
}

fn check_import(name: &str) -> Result<(), AdmissionError> {
    let (interface, version) = name.split_once('@').unwrap_or((name, ""));
    let ours = interface.strip_prefix("weir:operator/").is_some_and(|interface| INTERFACES.contains(&interface));
    let virtually = VIRTUAL_WASI.contains(&interface) && version.starts_with("0.2.");
    if ours || virtually {
        return Ok(());
    }
    let mend = if interface.starts_with("wasi:sockets/") || interface.starts_with("wasi:http/") {
        "operators have no network; read with a source and write with a sink of the job"
    } else if interface.starts_with("wasi:") && !version.starts_with("0.2.") {
        "the host offers WASI 0.2, of its virtual kind; build for `wasm32-wasip2`"
    } else {
        "remove what needs it; an operator has weir:operator's interfaces and, virtually, WASI's cli, clocks, \
         filesystem, io and random"
    };
    Err(AdmissionError::ForeignImport { name: name.to_owned(), mend: mend.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_tell_components_from_modules_and_from_anything_else() {
        assert_eq!(check_header(b"\0asm\x0d\0\x01\0..."), Ok(()));
        assert_eq!(check_header(b"\0asm\x01\0\0\0"), Err(AdmissionError::CoreModule));
        assert_eq!(check_header(b"\0asm\x01\0\0\0..."), Err(AdmissionError::CoreModule));
        assert!(matches!(check_header(b""), Err(AdmissionError::NotAComponent { .. })));
        assert!(matches!(check_header(b"(component)"), Err(AdmissionError::NotAComponent { .. })));
    }

    #[test]
    fn network_and_strangers_are_refused_by_name() {
        for name in ["wasi:sockets/tcp@0.2.6", "wasi:http/types@0.2.0", "wasi:cli/stdout@0.3.0", "acme:db/client"] {
            let refused = check_import(name).expect_err(name);
            assert!(refused.to_string().contains(name), "{refused}");
        }
    }

    #[test]
    fn the_world_and_the_virtual_wasi_are_let_in() {
        for name in ["weir:operator/state@0.1.0", "weir:operator/types@0.1.0", "wasi:cli/stdout@0.2.6"] {
            assert_eq!(check_import(name), Ok(()), "{name}");
        }
    }
}
