//! The contract as Rust: generated from the repository's `wit/`, and nothing else.
//!
//! Everything in the SDK stands on these types and calls; operators that do without the SDK generate the same.

#![allow(
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    unused_qualifications,
    unsafe_code,
    clippy::all,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::undocumented_unsafe_blocks,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::semicolon_if_nothing_returned,
    clippy::uninlined_format_args,
    reason = "generated code"
)]

wit_bindgen::generate!({
    path: "../../wit",
    world: "migrating-stream-operator",
    pub_export_macro: true,
    default_bindings_module: "weir_sdk::bindings",
    generate_unused_types: true,
    additional_derives: [Clone, PartialEq],
});
