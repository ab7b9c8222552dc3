//! What names of components mean: for each a chain whose newest entry counts.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use weir_protocol::document;
use weir_protocol::id::{EntryNumber, Name, Nonce};
use weir_protocol::time::Timestamp;

use crate::component::RegistryError;
use crate::store::{ChainName, Creation, ObjectName, Store, StoreError};

const FORMAT: u32 = 1;

/// How often somebody else may win the next number before we give up.
const RACES_MAX: u32 = 16;

/// An entry of `component-names/<name>/`:
///
/// ```text
/// {"format":1,"xxh3":"…","body":{"nonce":"<32 digits>","at":1700000000000,"means":"<sha256>"}}     null: deleted
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Entry {
    nonce: Nonce,
    at: Timestamp,
    means: Option<String>,
}

/// What the name means: the hash of a component.
pub(super) async fn read(store: &Store, name: &Name) -> Result<Option<String>, StoreError> {
    Ok(newest(store, &ChainName::Component(name.clone())).await?.and_then(|(_, entry)| entry.means))
}

/// Makes the name mean `means` (`None`: nothing). Answers whether that changed anything.
pub(super) async fn write(
    store: &Store,
    name: &Name,
    means: Option<&str>,
    nonce: Nonce,
    at: Timestamp,
) -> Result<bool, RegistryError> {
    let chain = ChainName::Component(name.clone());
    let wanted = Entry { nonce, at, means: means.map(ToOwned::to_owned) };
    for _ in 0..RACES_MAX {
        let newest = newest(store, &chain).await?;
        if newest.as_ref().and_then(|(_, entry)| entry.means.as_deref()) == means {
            return Ok(false);
        }
        let number = newest.map_or(EntryNumber(0), |(number, _)| number.next());
        if append(store, &ObjectName::entry(&chain, number), &wanted).await? {
            return Ok(true);
        }
    }
    Err(RegistryError::Contended(name.to_string()))
}

/// Creates one entry and, where it is not certain what became of that, looks. Answers whether the entry is ours.
async fn append(store: &Store, name: &ObjectName, wanted: &Entry) -> Result<bool, StoreError> {
    let bytes = Bytes::from(document::encode(FORMAT, wanted));
    let creation = store.put_if_absent(name, bytes).await;
    if creation == Creation::Created {
        return Ok(true);
    }
    match (read_entry(store, name).await?, creation) {
        (Some(found), _) => Ok(found.nonce == wanted.nonce),
        (None, Creation::Unknown(error)) => Err(error),
        (None, Creation::Created | Creation::AlreadyExists) => Ok(false),
    }
}

async fn newest(store: &Store, chain: &ChainName) -> Result<Option<(EntryNumber, Entry)>, StoreError> {
    let Some(number) = store.entries(chain, EntryNumber(0)).await?.pop() else { return Ok(None) };
    let name = ObjectName::entry(chain, number);
    match read_entry(store, &name).await? {
        Some(entry) => Ok(Some((number, entry))),
        None => Err(StoreError::Missing { object: name.to_string() }),
    }
}

async fn read_entry(store: &Store, name: &ObjectName) -> Result<Option<Entry>, StoreError> {
    let Some(json) = store.get(name).await? else { return Ok(None) };
    let damaged = |reason: String| StoreError::Damaged { object: name.to_string(), reason };
    document::decode(FORMAT, &json).map(Some).map_err(|error| damaged(error.to_string()))
}
