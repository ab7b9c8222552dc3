//! The start probe: whether a store can carry chains.
//!
//! Everything rests on create-if-absent having exactly one winner, and on a listing showing what was created before
//! it. A store without either would lose data silently, so it is refused before anything is entrusted to it.

use bytes::Bytes;

use super::{Creation, ObjectName, Prefix, Store, StoreError};
use crate::clock::Entropy;

impl Store {
    /// Races two creates of one name, reads the winner's bytes, lists, and deletes again.
    ///
    /// # Errors
    /// [`StoreError::Refused`] with what the store got wrong; [`StoreError::Unavailable`].
    pub async fn probe(&self, entropy: &Entropy) -> Result<(), StoreError> {
        let name = ObjectName::probe(entropy.nonce());
        let probed = self.race(&name).await;
        let deleted = self.delete(&name).await;
        probed?;
        deleted?;
        match self.get(&name).await? {
            None => Ok(()),
            Some(_) => Err(self.refuse("an object can be read after it was deleted")),
        }
    }

    async fn race(&self, name: &ObjectName) -> Result<(), StoreError> {
        let [first, second] = [Bytes::from_static(b"first"), Bytes::from_static(b"second")];
        let creations =
            futures::join!(self.put_if_absent(name, first.clone()), self.put_if_absent(name, second.clone()));
        let won = match creations {
            (Creation::Created, Creation::AlreadyExists) => first,
            (Creation::AlreadyExists, Creation::Created) => second,
            (Creation::Unknown(error), _) | (_, Creation::Unknown(error)) => return Err(error),
            (Creation::Created, Creation::Created) => {
                return Err(self.refuse("create-if-absent let two creates of one name win"));
            }
            (Creation::AlreadyExists, Creation::AlreadyExists) => {
                return Err(self.refuse("create-if-absent let neither of two creates of a new name win"));
            }
        };
        if self.get(name).await? != Some(won) {
            return Err(self.refuse("reading does not give what create-if-absent wrote"));
        }
        if !self.list(&Prefix::probe()).await?.iter().any(|found| found.name == *name) {
            return Err(self.refuse("a listing does not show an object that was created before it"));
        }
        Ok(())
    }

    fn refuse(&self, reason: &str) -> StoreError {
        let reason = format!("{reason}; use a store that is consistent and honours create-if-absent");
        StoreError::Refused { location: self.objects.to_string(), reason }
    }
}
