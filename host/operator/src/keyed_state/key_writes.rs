//! What one call wrote to several keys of a list or map state, by key index.
//!
//! Guarantees that a key is found without a search, and that all are met in the order of their first write, which is the
//! same whenever the call is made again.

/// One write of type `W` for each key that was written to.
#[derive(Debug)]
pub struct KeyWrites<W> {
    /// By key index: 0: nothing was written; else 1 + the index into `writes`.
    places: Vec<u32>,
    writes: Vec<(u32, W)>,
}

impl<W> Default for KeyWrites<W> {
    fn default() -> Self {
        Self { places: Vec::new(), writes: Vec::new() }
    }
}

impl<W: Default> KeyWrites<W> {
    /// What was written to a key.
    #[must_use]
    pub fn get(&self, key: u32) -> Option<&W> {
        let place = self.places.get(key as usize)?.checked_sub(1)?;
        Some(&self.writes[place as usize].1)
    }

    /// For writing to a key.
    pub fn get_mut(&mut self, key: u32) -> &mut W {
        let at = key as usize;
        if at >= self.places.len() {
            self.places.resize(at + 1, 0);
        }
        if self.places[at] == 0 {
            self.writes.push((key, W::default()));
            self.places[at] = u32::try_from(self.writes.len()).expect("key indices are 32 bits");
        }
        &mut self.writes[self.places[at] as usize - 1].1
    }

    /// What was written to each of them, so many at a time.
    pub fn in_chunks(&self, keys: usize) -> impl Iterator<Item = &[(u32, W)]> {
        self.writes.chunks(keys)
    }

    /// What was written to each of them.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &W)> + Clone {
        self.writes.iter().map(|(key, write)| (*key, write))
    }
}
