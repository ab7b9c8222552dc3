//! The start probe: whether a store can carry chains.
//!
//! Everything rests on create-if-absent having exactly one winner, and on a listing showing what was created before
//! it. A store without either would lose data silently, so it is refused before anything is entrusted to it. What two
//! creates at one moment show is no proof; it finds servers that do not know the condition, or look and then write.

use bytes::Bytes;
use weir_protocol::id::JobId;

use super::{Creation, ObjectName, Prefix, Store, StoreError};
use crate::clock::Entropy;

/// How often two creates are raced of which neither says that it won and nothing is there: a cloud may send both back
/// because of each other.
const RACES_MAX: u32 = 4;

impl Store {
    /// Races two creates of one name, reads the winner's bytes, creates once more, lists, and deletes again.
    ///
    /// # Errors
    /// [`StoreError::Refused`] with what the store got wrong; [`StoreError::Unavailable`].
    pub async fn probe(&self, entropy: &Entropy) -> Result<(), StoreError> {
        let name = ObjectName::probe(entropy.nonce());
        self.refused(self.examine_and_delete(&name).await)
    }

    /// Writes, reads and deletes one object: whether a job could keep anything here. `job` is in its name.
    ///
    /// # Errors
    /// As [`probe`](Self::probe).
    pub async fn try_out(&self, job: JobId) -> Result<(), StoreError> {
        let name = ObjectName::trial(job);
        let written = Bytes::from_static(b"trial");
        let tried = async {
            self.put(&name, written.clone()).await?;
            let found = self.get(&name).await?;
            self.delete(&name).await?;
            if found == Some(written) { Ok(()) } else { Err(self.refuse("reading does not give what was written")) }
        };
        self.refused(tried.await)
    }

    async fn examine_and_delete(&self, name: &ObjectName) -> Result<(), StoreError> {
        let examined = self.examine(name).await;
        let deleted = self.delete(name).await;
        examined?;
        deleted?;
        match self.get(name).await? {
            None => Ok(()),
            Some(_) => Err(self.refuse("an object can be read after it was deleted")),
        }
    }

    /// What is denied now is refused: nothing depends on the store yet.
    fn refused(&self, result: Result<(), StoreError>) -> Result<(), StoreError> {
        result.map_err(|error| match error {
            StoreError::Denied { .. } => {
                StoreError::Refused { location: self.objects.to_string(), reason: error.to_string() }
            }
            StoreError::Unavailable { .. }
            | StoreError::Missing { .. }
            | StoreError::Damaged { .. }
            | StoreError::Refused { .. } => error,
        })
    }

    async fn examine(&self, name: &ObjectName) -> Result<(), StoreError> {
        let won = self.race(name).await?;
        if self.get(name).await?.as_ref() != Some(&won) {
            return Err(self.refuse("reading does not give what create-if-absent wrote"));
        }
        match self.put_if_absent(name, Bytes::from_static(b"third")).await {
            Creation::AlreadyExists if self.get(name).await? == Some(won) => {}
            Creation::Unknown(error) => return Err(self.unable(error)),
            Creation::Created | Creation::AlreadyExists => {
                return Err(self.refuse("create-if-absent replaced an object that was there"));
            }
        }
        if !self.list(&Prefix::probe()).await?.iter().any(|found| found.name == *name) {
            return Err(self.refuse("a listing does not show an object that was created before it"));
        }
        Ok(())
    }

    /// What the winner wrote.
    async fn race(&self, name: &ObjectName) -> Result<Bytes, StoreError> {
        let [first, second] = [Bytes::from_static(b"first"), Bytes::from_static(b"second")];
        for _ in 0..RACES_MAX {
            let creations =
                futures::join!(self.put_if_absent(name, first.clone()), self.put_if_absent(name, second.clone()));
            match creations {
                (Creation::Created, Creation::AlreadyExists) => return Ok(first),
                (Creation::AlreadyExists, Creation::Created) => return Ok(second),
                (Creation::Unknown(error), _) | (_, Creation::Unknown(error)) => return Err(self.unable(error)),
                (Creation::Created, Creation::Created) => {
                    return Err(self.refuse("create-if-absent let two creates of one name win"));
                }
                (Creation::AlreadyExists, Creation::AlreadyExists) => match self.get(name).await? {
                    Some(found) if found == first || found == second => return Ok(found),
                    Some(_) => return Err(self.refuse("reading does not give what create-if-absent wrote")),
                    None => {}
                },
            }
        }
        Err(self.refuse("create-if-absent let neither of two creates of a new name win"))
    }

    /// A store that does not know the condition may say so.
    fn unable(&self, error: StoreError) -> StoreError {
        match &error {
            StoreError::Unavailable { reason, .. } if is_not_implemented(reason) => {
                self.refuse(&format!("it has no create-if-absent ({reason})"))
            }
            StoreError::Unavailable { .. }
            | StoreError::Denied { .. }
            | StoreError::Missing { .. }
            | StoreError::Damaged { .. }
            | StoreError::Refused { .. } => error,
        }
    }

    fn refuse(&self, reason: &str) -> StoreError {
        let reason = format!("{reason}; use a store that is consistent and honours create-if-absent");
        StoreError::Refused { location: self.objects.to_string(), reason }
    }
}

fn is_not_implemented(reason: &str) -> bool {
    ["NotImplemented", "not implemented", "not yet implemented"].iter().any(|words| reason.contains(words))
}
