//! The guest's memory, seen from a host call. Pointers and lengths come from the guest: nothing is taken on trust.

use wasmtime::Caller;

use super::budget::Exhausted;
use super::{HostResult, Stop};
use crate::Status;
use crate::vm::VmData;

/// A guest that is waiting for its host call to return.
pub(crate) struct Guest<'a>(pub Caller<'a, VmData>);

impl Guest<'_> {
    pub fn data(&self) -> &VmData {
        self.0.data()
    }

    pub fn data_mut(&mut self) -> &mut VmData {
        self.0.data_mut()
    }

    /// The guest's bytes.
    pub fn read(&self, ptr: u32, len: u32) -> Result<&[u8], Status> {
        let memory = self.memory().ok_or(Status::InvalidMemoryAccess)?;
        let bytes = range(memory, ptr, u64::from(len)).ok_or(Status::InvalidMemoryAccess)?;
        self.spend(len.into())?;
        Ok(bytes)
    }

    /// A copy of the guest's bytes.
    pub fn copy(&self, ptr: u32, len: u32) -> Result<Vec<u8>, Status> {
        self.read(ptr, len).map(<[u8]>::to_vec)
    }

    pub fn read_u32(&self, ptr: u32) -> Result<u32, Status> {
        let bytes = self.read(ptr, 4)?;
        bytes.try_into().map(u32::from_le_bytes).map_err(|_| Status::InvalidMemoryAccess)
    }

    pub fn write(&mut self, ptr: u32, bytes: &[u8]) -> Result<(), Status> {
        let memory = self.find_memory().ok_or(Status::InvalidMemoryAccess)?;
        memory.write(&mut self.0, ptr as usize, bytes).map_err(|_| Status::InvalidMemoryAccess)
    }

    pub fn write_u32(&mut self, ptr: u32, value: u32) -> Result<(), Status> {
        self.write(ptr, &value.to_le_bytes())
    }

    pub fn write_u64(&mut self, ptr: u32, value: u64) -> Result<(), Status> {
        self.write(ptr, &value.to_le_bytes())
    }

    /// Hands bytes over: allocates in the guest, copies, and writes pointer and length. Nothing is allocated for none.
    pub fn give(&mut self, bytes: &[u8], ptr_ptr: u32, len_ptr: u32) -> HostResult {
        let ptr = if bytes.is_empty() { 0 } else { self.put(bytes)? };
        self.write_u32(ptr_ptr, ptr)?;
        self.write_u32(len_ptr, bytes.len() as u32)?;
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> HostResult<u32> {
        let len = u32::try_from(bytes.len()).map_err(|_| Status::InternalFailure)?;
        let malloc = self.data().malloc.clone().ok_or(Status::InvalidMemoryAccess)?;
        let ptr = malloc.call(&mut self.0, len).map_err(|error| self.without_memory(error))?;
        self.data_mut().accounting.allocation(len);
        if ptr == 0 {
            return Err(Status::InvalidMemoryAccess.into());
        }
        self.write(ptr, bytes)?;
        Ok(ptr)
    }

    /// An allocator that traps leaves the guest with a status that says that there is no memory.
    fn without_memory(&mut self, error: wasmtime::Error) -> Stop {
        match self.nested_trap("malloc", error) {
            Ok(()) => Stop::Status(Status::InvalidMemoryAccess),
            Err(stop) => stop,
        }
    }

    /// What traps in a callback within this one fails the VM, but only once the outer one has returned: until then the guest goes
    /// on. One that never ends would not let it.
    pub fn nested_trap(&mut self, name: &'static str, error: wasmtime::Error) -> HostResult {
        if matches!(error.downcast_ref(), Some(wasmtime::Trap::OutOfFuel)) || error.is::<Exhausted>() {
            return Err(Stop::Trap(error));
        }
        self.data_mut().nested_trap.get_or_insert((name, error));
        Ok(())
    }

    fn memory(&self) -> Option<&[u8]> {
        Some(self.data().memory?.data(&self.0))
    }

    /// While the module's start function runs, its memory is not known yet.
    fn find_memory(&mut self) -> Option<wasmtime::Memory> {
        if self.data().memory.is_none() {
            let found = self.0.get_export("memory").and_then(|export| export.into_memory());
            self.data_mut().memory = found;
        }
        self.data().memory
    }
}

fn range(memory: &[u8], ptr: u32, len: u64) -> Option<&[u8]> {
    let start = u64::from(ptr);
    memory.get(usize::try_from(start).ok()?..usize::try_from(start + len).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_beyond_four_gibibytes_is_no_range() {
        assert_eq!(range(&[0; 8], u32::MAX, u64::from(u32::MAX)), None);
        assert_eq!(range(&[0; 8], 9, 0), None);
        assert_eq!(range(&[7; 8], 8, 0), Some(&[][..]));
    }
}
