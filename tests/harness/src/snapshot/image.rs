//! The state inside of a VM: its memory, as far as it differs from a new instance's, and its mutable globals.

use wasmtime::Val;

use crate::LoadedModule;
use crate::vm::{Vm, VmData};

/// Memory is compared and kept by pages of this size, the operating system's.
const PAGE: usize = 4096;
/// A page of wasm.
const WASM_PAGE: usize = 65536;

/// Memory and globals.
pub(crate) struct Image {
    /// Bytes of memory.
    size: usize,
    /// Neighbouring pages that differ from a new instance's, and where they begin.
    runs: Vec<(usize, Box<[u8]>)>,
    globals: Vec<(String, Val)>,
}

impl Image {
    /// The state of a VM; `None` if some of it cannot be seen from outside.
    pub fn of(vm: &mut Vm, module: &LoadedModule) -> Option<Self> {
        if !module.opened.is_plain() {
            return None;
        }
        let globals = module.opened.globals.iter().map(|name| Some((name.clone(), global(vm, name)?)));
        let globals = globals.collect::<Option<_>>()?;
        let data = vm.data();
        let idle = VmData::new(data.process.clone(), data.world.clone(), data.settings.clone(), data.abi);
        let mut new = Vm::instantiate(module, idle, String::new()).ok()?;
        let (now, before) = (memory(vm)?, memory(&mut new)?);
        Some(Self { size: now.len(), runs: runs(now, before), globals })
    }

    /// Bytes that it takes.
    pub fn bytes(&self) -> usize {
        self.runs.iter().map(|(_, bytes)| bytes.len()).sum()
    }

    /// Writes the state into a new instance.
    pub fn write(&self, vm: &mut Vm) -> wasmtime::Result<()> {
        for (name, value) in &self.globals {
            let found = vm.instance.get_global(&mut vm.store, name);
            let global = found.ok_or_else(|| wasmtime::Error::msg("a global is gone"))?;
            global.set(&mut vm.store, *value)?;
        }
        let memory = vm.store.data().memory.ok_or_else(|| wasmtime::Error::msg("the memory is gone"))?;
        let missing = self.size.saturating_sub(memory.data_size(&vm.store));
        memory.grow(&mut vm.store, (missing / WASM_PAGE) as u64)?;
        let bytes = memory.data_mut(&mut vm.store);
        for (at, run) in &self.runs {
            bytes[*at..*at + run.len()].copy_from_slice(run);
        }
        Ok(())
    }
}

fn global(vm: &mut Vm, name: &str) -> Option<Val> {
    let global = vm.instance.get_global(&mut vm.store, name)?;
    Some(global.get(&mut vm.store))
}

fn memory(vm: &mut Vm) -> Option<&[u8]> {
    vm.store.data().memory.map(|memory| memory.data(&vm.store))
}

/// What differs. Where there was nothing before there were zeros.
fn runs(now: &[u8], before: &[u8]) -> Vec<(usize, Box<[u8]>)> {
    let mut found: Vec<(usize, usize)> = Vec::new();
    for (number, page) in now.chunks(PAGE).enumerate() {
        let at = number * PAGE;
        let old = before.get(at..at + page.len()).unwrap_or(&[0; PAGE]);
        match found.last_mut() {
            _ if page == old => {}
            Some((_, end)) if *end == at => *end = at + page.len(),
            _ => found.push((at, at + page.len())),
        }
    }
    found.into_iter().map(|(start, end)| (start, now[start..end].into())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_that_differ_are_kept_and_neighbours_together() {
        let before = vec![7; 4 * PAGE];
        let mut now = [before.clone(), vec![0; 2 * PAGE]].concat();
        now[PAGE] = 1;
        now[3 * PAGE - 1] = 1;
        now[6 * PAGE - 1] = 1;
        let kept: Vec<_> = runs(&now, &before).iter().map(|(at, bytes)| (*at, bytes.len())).collect();
        assert_eq!(kept, [(PAGE, 2 * PAGE), (5 * PAGE, PAGE)]);
    }
}
