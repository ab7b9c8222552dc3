//! Operators for Weir in Rust: what their authors depend on.
//!
//! Receives the contract's calls (`wit/`), gives the author records or columns, typed state and outputs; does not own
//! any of it: state is the host's. [`prelude`] holds what most operators use.
#![doc = include_str!("../README.md")]

// The derive macro names this crate from outside; its own tests use it from inside.
extern crate self as weir_sdk;

pub mod batch;
pub mod bindings;
pub mod codec;
pub mod column;
pub mod describe;
pub mod error;
#[cfg(not(target_family = "wasm"))]
pub mod harness;
pub mod headers;
mod host;
#[doc(hidden)]
pub mod instance;
pub mod migration;
pub mod operator;
pub mod output;
pub mod prelude;
pub mod record;
pub mod state;
pub mod telemetry;
mod text;
pub mod timers;

pub use describe::Describe;
pub use error::{Error, Result};
pub use operator::{BatchOperator, Operator};

/// The examples of the page about operators compile.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/operators.md")]
pub struct Page;

/// Makes the crate a component of these operators: `weir_sdk::export!(Split, Count);`, once, in a `cdylib`.
///
/// Each is an [`Operator`] or a [`BatchOperator`], and has a name of its own. Outside of a component, as in `cargo test`,
/// it only checks that.
///
/// ```compile_fail,E0080
/// use weir_sdk::prelude::*;
///
/// mod other {
///     # use weir_sdk::prelude::*;
///     #[derive(Describe)]
///     pub struct Count;
///     # impl Operator for Count {
///     #     fn process(&mut self, record: &Record, out: &mut Output) -> Result { out.forward() }
///     # }
/// }
///
/// #[derive(Describe)]
/// struct Count;
/// # impl Operator for Count {
/// #     fn process(&mut self, record: &Record, out: &mut Output) -> Result { out.forward() }
/// # }
///
/// weir_sdk::export!(Count, other::Count); // two are called `count`
/// ```
///
/// With another name for one of them it is a component:
///
/// ```
/// use weir_sdk::prelude::*;
///
/// mod other {
///     # use weir_sdk::prelude::*;
///     #[derive(Describe)]
///     #[describe(name = "other-count")]
///     pub struct Count;
///     # impl Operator for Count {
///     #     fn process(&mut self, record: &Record, out: &mut Output) -> Result { out.forward() }
///     # }
/// }
///
/// #[derive(Describe)]
/// struct Count;
/// # impl Operator for Count {
/// #     fn process(&mut self, record: &Record, out: &mut Output) -> Result { out.forward() }
/// # }
///
/// weir_sdk::export!(Count, other::Count);
/// ```
#[macro_export]
macro_rules! export {
    ($($operator:ty),+ $(,)?) => {
        const _: () = {
            const OPERATORS: &[$crate::instance::Entry] = &[$($crate::instance::Entry::of::<$operator, _>()),+];

            const _: () = {
                $(assert!(
                    $crate::instance::Entry::of::<$operator, _>().has_own_name(OPERATORS),
                    concat!(
                        "`", stringify!($operator), "` has the name of another operator of this component: \
                         give one of them another name with `#[describe(name = \"…\")]`"
                    ),
                );)+
            };

            #[cfg(target_family = "wasm")]
            struct Component;

            #[cfg(target_family = "wasm")]
            $crate::__implement!(Component, OPERATORS);

            #[cfg(not(target_family = "wasm"))]
            let _checked = OPERATORS;
        };
    };
}

/// The contract's exports, given to the instance.
#[doc(hidden)]
#[macro_export]
macro_rules! __implement {
    ($component:ident, $operators:ident) => {
        use $crate::bindings::exports::weir::operator::migration;
        use $crate::bindings::exports::weir::operator::operators as contract;

        impl contract::Guest for $component {
            fn describe() -> ::std::vec::Vec<contract::OperatorSpec> {
                $crate::instance::describe($operators)
            }

            fn open(context: contract::Context) -> ::core::result::Result<(), ::std::string::String> {
                $crate::instance::open($operators, &context)
            }

            fn process(input: u32, batch: contract::Batch) -> ::core::result::Result<(), contract::Failure> {
                $crate::instance::process(input, &batch)
            }

            fn on_timers(fired: contract::FiredTimers) -> ::core::result::Result<(), contract::Failure> {
                $crate::instance::on_timers(&fired)
            }

            fn finish() -> ::core::result::Result<(), contract::Failure> {
                $crate::instance::finish()
            }
        }

        impl migration::Guest for $component {
            fn migrate(
                operator: ::std::string::String,
                state: ::std::string::String,
                from_version: u32,
                values: migration::BytesColumn,
            ) -> ::core::result::Result<migration::BytesColumn, ::std::string::String> {
                $crate::instance::migrate($operators, &operator, &state, from_version, &values)
            }
        }

        $crate::bindings::export!($component with_types_in $crate::bindings);
    };
}
