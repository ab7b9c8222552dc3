//! Where a new job begins.

use std::fs;
use std::path::Path;

use weir_protocol::job_spec::{FileSourceSpec, StartPosition};

use super::look::{files, places};
use super::position::Position;
use super::{cannot_read, chunk, finished, place};
use crate::source::{Positions, SourceError};

/// The start positions of a new job.
pub(in crate::source) async fn start(spec: &FileSourceSpec) -> Result<Positions, SourceError> {
    let spec = spec.clone();
    let resolve = move || {
        let places = places(&spec)?;
        if places.is_empty() {
            return Err(place::request("paths names nothing to read".to_owned()));
        }
        places.iter().try_for_each(|place| place.check(spec.follow))?;
        if spec.follow && spec.start == StartPosition::Beginning {
            return Ok(Positions::new());
        }
        let positions = files(&places)?.into_iter().map(|name| {
            let position = match spec.start {
                StartPosition::Beginning => fs::File::open(&name).map(|_file| Position::beginning()),
                StartPosition::End => chunk::end_of(Path::new(&name), spec.follow),
            };
            let position = position.map_err(|error| place::request(cannot_read(&name, &error)))?;
            Ok((name, position.to_json()))
        });
        positions.collect()
    };
    finished(&mut None, resolve).await?
}
