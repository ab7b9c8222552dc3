//! Object stores by URL, each against a real server of its protocol.

mod contract;
mod credentials;
mod recovery;
mod savepoints;
mod submission;

use anyhow::Result;
use weir_engine::clock::Clock;
use weir_engine::store::{Environment, Store, StoreError, open_in};
use weir_tests::servers::Server;

/// Opens a store with nothing but a server's variables.
fn open(location: &str, server: &Server) -> Result<Store, StoreError> {
    open_with(location, server.variables())
}

fn open_with(location: &str, variables: Vec<(&str, &str)>) -> Result<Store, StoreError> {
    let clock = Clock::system();
    let objects = open_in(location, &clock, &Environment::from_iter(variables))?;
    Ok(Store::new(objects, clock))
}

/// A server's variables, one of them with another value.
fn with<'a>(server: &'a Server, name: &str, value: &'a str) -> Vec<(&'a str, &'a str)> {
    let other = |(known, old)| (known, if known == name { value } else { old });
    server.variables().into_iter().map(other).collect()
}
