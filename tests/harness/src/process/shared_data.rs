//! Shared data: one map a `vm_id`, with compare-and-swap. Nothing is ever removed while a VM lives.

use std::collections::HashMap;

use crate::Status;

/// A value and its compare-and-swap number.
pub(crate) type Versioned = (Vec<u8>, u32);

#[derive(Default)]
pub(crate) struct SharedData {
    values: HashMap<String, HashMap<Vec<u8>, Versioned>>,
    last_cas: u32,
}

impl SharedData {
    pub fn get(&self, vm_id: &str, key: &[u8]) -> Option<&Versioned> {
        self.values.get(vm_id)?.get(key)
    }

    /// Sets a value. `cas` 0 or an absent key always succeeds.
    pub fn set(&mut self, vm_id: &str, key: &[u8], value: &[u8], cas: u32) -> Result<(), Status> {
        if cas != 0 && self.get(vm_id, key).is_some_and(|(_, current)| *current != cas) {
            return Err(Status::CasMismatch);
        }
        let value = (value.to_vec(), self.next_cas());
        if !self.values.contains_key(vm_id) {
            self.values.insert(vm_id.to_owned(), HashMap::new());
        }
        if let Some(keys) = self.values.get_mut(vm_id) {
            match keys.get_mut(key) {
                Some(old) => *old = value,
                None => drop(keys.insert(key.to_vec(), value)),
            }
        }
        Ok(())
    }

    /// What a competing worker does: the value stays, its number moves on.
    pub fn touch(&mut self, vm_id: &str, key: &[u8]) {
        let cas = self.next_cas();
        if let Some(value) = self.values.get_mut(vm_id).and_then(|keys| keys.get_mut(key)) {
            value.1 = cas;
        }
    }

    /// Number of keys of a `vm_id`, and the bytes of their names and values.
    pub fn size(&self, vm_id: &str) -> (usize, usize) {
        let keys = self.values.get(vm_id).into_iter().flatten();
        keys.fold((0, 0), |(count, bytes), (key, (value, _))| (count + 1, bytes + key.len() + value.len()))
    }

    /// Zero means "no number", so it is never given out.
    fn next_cas(&mut self) -> u32 {
        self.last_cas = self.last_cas.checked_add(1).unwrap_or(1);
        self.last_cas
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_number_is_refused_and_none_overwrites() {
        let mut data = SharedData::default();
        data.set("vm", b"k", b"1", 99).unwrap();
        let (_, cas) = data.get("vm", b"k").unwrap().clone();
        data.set("vm", b"k", b"2", cas).unwrap();
        assert_eq!(data.set("vm", b"k", b"3", cas), Err(Status::CasMismatch));
        data.set("vm", b"k", b"4", 0).unwrap();
        assert_eq!(data.get("vm", b"k").unwrap().0, b"4");
    }

    #[test]
    fn each_vm_id_has_its_own_keys() {
        let mut data = SharedData::default();
        data.set("a", b"k", b"1", 0).unwrap();
        assert!(data.get("b", b"k").is_none());
    }
}
