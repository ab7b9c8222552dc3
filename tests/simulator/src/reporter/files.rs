//! The files of an operator's subtask, and the merge that makes a new base of them.

use std::collections::BTreeMap;
use std::rc::Rc;

use weir_protocol::id::CheckpointId;
use weir_protocol::key_group::KeyGroupRange;
use weir_protocol::manifest::{Blob, StateFile, SubtaskManifest};

use super::{Kind, Reporter};
use crate::call::{Answer, Op, Tag};
use crate::data::{Content, Segment, owns};
use crate::operator::States;
use crate::rules::Mutant;
use crate::world::World;

/// An operator's part of the manifest, and the merge that is on its way.
#[derive(Debug)]
pub(crate) struct Files {
    pub(crate) manifest: SubtaskManifest,
    /// At which barrier each file was closed.
    epochs: Vec<CheckpointId>,
    merging: Option<Merging>,
}

#[derive(Debug)]
struct Merging {
    /// How many files behind the base it covers.
    covered: usize,
    files: Vec<StateFile>,
    merged: Option<Rc<Content>>,
}

impl Files {
    pub(crate) fn new(manifest: SubtaskManifest) -> Self {
        let epochs = vec![CheckpointId(0); manifest.files.len()];
        Self { manifest, epochs, merging: None }
    }

    /// Lists a file behind all others.
    pub(super) fn push(&mut self, blob: Blob, epoch: CheckpointId) {
        self.manifest.files.push(StateFile { blob, key_groups: self.manifest.key_groups });
        self.epochs.push(epoch);
    }

    /// The base, then the files.
    pub(super) fn listed(&self) -> Vec<StateFile> {
        self.manifest.state_files().cloned().collect()
    }

    /// Without the rule: lists what was closed at a barrier no more.
    pub(super) fn forget(&mut self, checkpoint: CheckpointId) {
        let mut epochs = self.epochs.iter();
        self.manifest.files.retain(|_| epochs.next() != Some(&checkpoint));
        self.epochs.retain(|epoch| *epoch != checkpoint);
        self.merging = None;
    }
}

impl Reporter {
    /// Begins to merge the files of an operator, if they are many.
    pub(super) fn merge_if_due(&mut self, world: &mut World) {
        let Kind::Operator(files) = &mut self.kind else { return };
        if files.merging.is_none() && files.manifest.files.len() >= world.plan.files_max {
            let covered = files.manifest.files.len();
            let listed = files.listed();
            let names = listed.iter().filter_map(|file| file.blob.object()).map(|object| object.name.clone()).collect();
            files.merging = Some(Merging { covered, files: listed, merged: None });
            world.call(self.who, Tag::Merge(self.task), Op::Read(names));
        }
    }

    /// The files to merge were read.
    pub(crate) fn on_merge(&mut self, answer: Answer) {
        let Kind::Operator(files) = &mut self.kind else { return };
        let Answer::Contents(contents) = answer else {
            files.merging = None;
            return;
        };
        let Some(contents) = contents.into_iter().collect::<Option<Vec<_>>>() else {
            files.merging = None;
            return;
        };
        if let Some(merging) = &mut files.merging {
            let states = fold(merging.files.iter().zip(&contents));
            let changes = states.into_iter().map(|(key, value)| (key, Some(value))).collect();
            merging.merged = Some(Rc::new(Content::State(Segment { changes, channel: None })));
        }
    }

    /// Begins to put a merged base, if there is one; whether it does.
    pub(super) fn put_base(&mut self, world: &mut World) -> bool {
        let Kind::Operator(files) = &self.kind else { return false };
        let Some(merged) = files.merging.as_ref().and_then(|merging| merging.merged.clone()) else { return false };
        self.put(merged, Tag::Base(self.task), world);
        true
    }

    /// A base was put: it takes the place of what it covers.
    pub(crate) fn on_base(&mut self, answer: &Answer, world: &mut World) {
        self.is_busy = false;
        let Kind::Operator(files) = &self.kind else { return };
        let merged = files.merging.as_ref().and_then(|merging| merging.merged.clone());
        let blob = merged.map(|merged| self.blob(&merged, world));
        let Kind::Operator(files) = &mut self.kind else { return };
        let merging = files.merging.take();
        if let (Some(blob), Some(merging), Answer::Done) = (blob, merging, answer) {
            let all = files.manifest.files.len();
            let covered = if world.lacks(Mutant::BaseCoversTooMuch) { all } else { merging.covered };
            files.manifest.base = Some(StateFile { blob, key_groups: files.manifest.key_groups });
            files.manifest.files.drain(..covered);
            files.epochs.drain(..covered);
            world.totals.rebases += 1;
        }
        self.go_on(world);
    }
}

/// The state that files hold, oldest first, each clipped to its key groups; all of it, or only `range`.
pub(crate) fn fold<'a>(files: impl Iterator<Item = (&'a StateFile, &'a Rc<Content>)>) -> States {
    let mut states = BTreeMap::new();
    fold_onto(&mut states, files, None);
    states
}

pub(crate) fn fold_onto<'a>(
    states: &mut States,
    files: impl Iterator<Item = (&'a StateFile, &'a Rc<Content>)>,
    range: Option<KeyGroupRange>,
) {
    for (file, content) in files {
        let Content::State(Segment { changes, .. }) = content.as_ref() else { continue };
        let clip = range.unwrap_or(file.key_groups);
        for (key, value) in changes.iter().filter(|(key, _)| owns(clip, key.key) && owns(file.key_groups, key.key)) {
            match value {
                Some(value) => states.insert(*key, *value),
                None => states.remove(key),
            };
        }
    }
}
