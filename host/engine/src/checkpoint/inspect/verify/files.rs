//! What a manifest names or holds, looked at byte by byte.

use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
use weir_operator::keyed_state::StateError;
use weir_protocol::Fault;
use weir_protocol::id::{SubtaskId, Uid};
use weir_protocol::manifest::{Blob, InlineBytes};

use super::{Verdict, Verification};
use crate::checkpoint::blob::{checksum, read_blob};
use crate::checkpoint::inspect::{InspectError, Inspector};
use crate::state::file::{Reader, check};
use crate::state::{unkeyed_rows, walk};

/// What a blob is, and whose.
#[derive(Debug, Clone)]
pub(super) enum Use {
    Base(Uid, u32),
    File(Uid, u32),
    Unkeyed(Uid, u32),
    Outbox(SubtaskId),
}

impl Use {
    const fn kind(&self) -> &'static str {
        match self {
            Self::Base(..) | Self::File(..) => "state",
            Self::Unkeyed(..) => "unkeyed",
            Self::Outbox(_) => "outbox",
        }
    }

    fn whose(&self) -> String {
        match self {
            Self::Base(uid, index) | Self::File(uid, index) | Self::Unkeyed(uid, index) => format!("{uid}[{index}]"),
            Self::Outbox(subtask) => subtask.to_string(),
        }
    }
}

impl Verification {
    pub(super) async fn blob(&self, blob: &Blob, as_what: Use) -> Result<Verdict, InspectError> {
        let inlined = || format!("{} (inlined, {} of {})", self.entry, as_what.kind(), as_what.whose());
        let object = blob.object().map_or_else(inlined, |object| object.name.clone());
        let verdict = Verdict { object, kind: as_what.kind().to_owned(), bytes: blob.bytes(), damage: None };
        let (inspector, blob, max) = (self.inspector.clone(), blob.clone(), self.manifest.max_parallelism);
        let looked = self.inspector.on_a_thread("verify a checkpoint", move || {
            let Some(file) = inspector.whole(&blob, &as_what)? else {
                if matches!(as_what, Use::Unkeyed(..)) {
                    unkeyed_rows(&inspector.runtime.wait_for(read_blob(&inspector.store, inspector.job, &blob))?)?;
                }
                return Ok(());
            };
            if file.header().max != max {
                let found = file.header().max.get();
                return Err(corrupt(format!("it was written with maximum parallelism {found}, not {}", max.get())));
            }
            if matches!(as_what, Use::Base(..)) && !file.header().complete {
                return Err(corrupt("it is a base, yet does not say that it is complete".to_owned()));
            }
            Ok(check(&file)?)
        });
        match looked.await {
            Ok(()) => Ok(verdict),
            Err(error) => verdict.or(error),
        }
    }

    /// That the files of one subtask can be read together, and each record that counts is what its state can hold.
    pub(super) async fn subtask(&self, uid: &Uid, index: usize) -> Result<Verdict, InspectError> {
        let subtask = self.manifest.operators[uid][index].clone();
        let object = format!("the files of {uid}[{}]", subtask.index);
        let bytes = subtask.state_files().map(|file| file.blob.bytes()).sum();
        let verdict = Verdict { object, kind: "subtask".to_owned(), bytes, damage: None };
        let names = subtask.state_files().filter_map(|file| file.blob.object()).map(|object| &object.name);
        let damaged: Vec<_> = names.filter(|name| self.damaged.contains(*name)).map(String::as_str).collect();
        if !damaged.is_empty() {
            let names = damaged.join(", ");
            let damage = format!("entry {} is intact, but names what is damaged: {names}", self.number.0);
            return Ok(Verdict { damage: Some(damage), ..verdict });
        }
        let inspector = self.inspector.clone();
        let looked = self.inspector.on_a_thread("verify a checkpoint", move || {
            let files = inspector.open(&subtask, subtask.key_groups)?;
            Ok(walk(files, subtask.key_groups, None, |_| ControlFlow::Continue(()))?)
        });
        match looked.await {
            Ok(()) => Ok(verdict),
            Err(error) => verdict.or(error),
        }
    }
}

impl Inspector {
    /// Reads all bytes of a blob; gives it as a checkpoint file where it is one. Holds its thread.
    fn whole(&self, blob: &Blob, as_what: &Use) -> Result<Option<Reader>, InspectError> {
        let is_file = matches!(as_what, Use::Base(..) | Use::File(..));
        match blob {
            Blob::Inline(InlineBytes(bytes)) if is_file => {
                Ok(Some(Reader::open(Bytes::from_owner(Arc::clone(bytes)))?))
            }
            Blob::Inline(_) => Ok(None),
            Blob::Object(object) => {
                let found = self.runtime.wait_for(checksum(&self.store, self.job, object))?;
                if found == object.checksum {
                    return if is_file { self.open_object(object).map(Some) } else { Ok(None) };
                }
                let part = is_file.then(|| self.open_object(object).and_then(|file| Ok(check(&file)?)).err()).flatten();
                let part = part.map(|error| format!(" ({error})")).unwrap_or_default();
                Err(corrupt(format!("its bytes have checksum {found}, not {}{part}", object.checksum)))
            }
        }
    }
}

fn corrupt(message: String) -> InspectError {
    StateError { fault: Fault::Corrupt, message }.into()
}
