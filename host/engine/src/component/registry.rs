//! The facade: upload, find, list, delete.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use sha2::{Digest, Sha256};
use weir_operator::operator::Factory;
use weir_protocol::Fault;
use weir_protocol::id::Name;

use crate::clock::{Clock, Entropy};
use crate::component::pool::Pool;
use crate::component::{Compiled, Compiler, RegistryError, StoredComponent, names};
use crate::job::{Operators, OperatorsError};
use crate::spawn::Runtime;
use crate::store::{Creation, ObjectName, Prefix, Store, StoreError};

/// What a registry needs from outside.
#[derive(Debug)]
pub struct RegistryConfig {
    /// Where components are kept.
    pub store: Store,
    /// The time.
    pub clock: Clock,
    /// Random numbers.
    pub entropy: Entropy,
    /// Who admits and compiles.
    pub compiler: Arc<dyn Compiler>,
    /// Where that is done.
    pub runtime: Runtime,
    /// How many components are compiled at once; at least 1.
    pub concurrency: usize,
}

/// All components of an object store.
#[derive(Debug)]
pub struct Registry {
    store: Store,
    clock: Clock,
    entropy: Entropy,
    pool: Pool,
}

/// What became of an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uploaded {
    /// The component.
    pub component: StoredComponent,
    /// Whether the bytes are new, or the name means something new; else nothing was changed.
    pub created: bool,
}

/// The hash that a component is known by: the SHA-256 of its bytes, in 64 hexadecimal digits.
#[must_use]
pub fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

impl Registry {
    /// A registry over what the store holds already.
    #[must_use]
    pub fn new(config: RegistryConfig) -> Self {
        let RegistryConfig { store, clock, entropy, compiler, runtime, concurrency } = config;
        Self { store, clock, entropy, pool: Pool::new(compiler, runtime, concurrency) }
    }

    /// Admits a component, keeps it and, once it is kept, lets `name` mean it. The same bytes and name again change
    /// nothing.
    ///
    /// # Errors
    /// [`RegistryError::Refused`] where it is not admitted; then nothing is kept.
    pub async fn upload(&self, bytes: Bytes, name: Option<&Name>) -> Result<Uploaded, RegistryError> {
        if let Some(name) = name.filter(|name| is_hash(name.as_str())) {
            return Err(RegistryError::NameIsHash(name.to_string()));
        }
        let hash = hash(&bytes);
        let known = self.read(&hash).await?;
        let is_new = known.is_none();
        let component = match known {
            Some(component) => component,
            None => self.keep(hash, bytes).await?,
        };
        let renamed = match name {
            Some(name) => {
                let (nonce, at) = (self.entropy.nonce(), self.clock.now());
                names::write(&self.store, name, Some(&component.hash), nonce, at).await?
            }
            None => false,
        };
        Ok(Uploaded { component, created: is_new || renamed })
    }

    /// Admits new bytes and writes them, their description last: a component exists once that does.
    async fn keep(&self, hash: String, bytes: Bytes) -> Result<StoredComponent, RegistryError> {
        let compiled = self.pool.get(&hash, std::future::ready(Ok(bytes.clone()))).await?;
        let component = StoredComponent {
            bytes: bytes.len() as u64,
            uploaded_at: self.clock.now(),
            operators: compiled.operators(),
            hash,
        };
        self.store.put(&ObjectName::component(&component.hash), bytes).await?;
        let description = ObjectName::component_description(&component.hash);
        match self.store.put_if_absent(&description, component.encode()).await {
            Creation::Created => Ok(component),
            Creation::AlreadyExists => Ok(self.read(&component.hash).await?.unwrap_or(component)),
            Creation::Unknown(error) => self.read(&component.hash).await?.ok_or(RegistryError::Store(error)),
        }
    }

    /// The component that a name or a hash means.
    ///
    /// # Errors
    /// [`RegistryError::Unknown`], or what the store says.
    pub async fn find(&self, name_or_hash: &str) -> Result<StoredComponent, RegistryError> {
        let unknown = || RegistryError::Unknown(name_or_hash.chars().take(Name::BYTES_MAX).collect());
        if is_hash(name_or_hash) {
            return self.read(name_or_hash).await?.ok_or_else(unknown);
        }
        let name: Name = name_or_hash.parse().map_err(|_| unknown())?;
        let hash = names::read(&self.store, &name).await?.ok_or_else(unknown)?;
        self.read(&hash).await?.ok_or_else(unknown)
    }

    /// What every name means: the hash of a component.
    ///
    /// # Errors
    /// What the store says.
    pub async fn names(&self) -> Result<BTreeMap<Name, String>, RegistryError> {
        let mut names = BTreeMap::new();
        for folder in self.store.folders(&Prefix::component_names()).await? {
            let Ok(name) = Name::try_from(folder) else { continue };
            if let Some(hash) = names::read(&self.store, &name).await? {
                names.insert(name, hash);
            }
        }
        Ok(names)
    }

    /// All components, by hash.
    ///
    /// # Errors
    /// What the store says.
    pub async fn list(&self) -> Result<Vec<StoredComponent>, RegistryError> {
        let mut components = Vec::new();
        for found in self.store.list(&Prefix::components()).await? {
            let Some(hash) = found.name.file().strip_suffix(".json") else { continue };
            components.extend(self.read(hash).await?);
        }
        Ok(components)
    }

    /// The bytes of a component.
    ///
    /// # Errors
    /// [`StoreError::Missing`] or [`StoreError::Damaged`] where they are not those that were uploaded.
    pub async fn bytes(&self, hash: &str) -> Result<Bytes, RegistryError> {
        let name = ObjectName::component(hash);
        let object = name.to_string();
        let Some(bytes) = self.store.get(&name).await? else { return Err(StoreError::Missing { object }.into()) };
        let is = self::hash(&bytes);
        if is != hash {
            let reason = format!("the SHA-256 of its bytes is {is}");
            return Err(StoreError::Damaged { object, reason }.into());
        }
        Ok(bytes)
    }

    /// Deletes a component and all names that mean it. The caller has made sure that no job uses it.
    ///
    /// # Errors
    /// What the store says; then it may be deleted in part, and deleting it again goes on.
    pub async fn delete(&self, hash: &str) -> Result<(), RegistryError> {
        for (name, meaning) in self.names().await? {
            if meaning == hash {
                names::write(&self.store, &name, None, self.entropy.nonce(), self.clock.now()).await?;
            }
        }
        self.store.delete(&ObjectName::component_description(hash)).await?;
        self.store.delete(&ObjectName::component(hash)).await?;
        self.pool.forget(hash);
        Ok(())
    }

    async fn read(&self, hash: &str) -> Result<Option<StoredComponent>, RegistryError> {
        let name = ObjectName::component_description(hash);
        let Some(json) = self.store.get(&name).await? else { return Ok(None) };
        Ok(Some(StoredComponent::decode(hash, name, &json)?))
    }

    async fn compiled(&self, hash: &str) -> Result<Arc<dyn Compiled>, RegistryError> {
        self.pool
            .get(hash, async {
                match self.read(hash).await? {
                    Some(_) => self.bytes(hash).await,
                    None => Err(RegistryError::Unknown(hash.to_owned())),
                }
            })
            .await
    }
}

impl Operators for Registry {
    fn factory<'a>(
        &'a self,
        component: &'a str,
        operator: &'a str,
    ) -> BoxFuture<'a, Result<Arc<dyn Factory>, OperatorsError>> {
        async move {
            let compiled = self
                .compiled(component)
                .await
                .map_err(|error| OperatorsError { fault: error.fault(), message: error.to_string() })?;
            compiled.factory(operator).ok_or_else(|| {
                let names: Vec<_> = compiled.operators().into_iter().map(|operator| operator.name).collect();
                let message =
                    format!("component {component} has no operator `{operator}`; known: {}", names.join(", "));
                OperatorsError { fault: Fault::Request, message }
            })
        }
        .boxed()
    }
}
