//! Shared queues: named per `vm_id`, numbered from 1; the last who registered one is told when something is there.

use std::collections::{BTreeMap, VecDeque};

use crate::Status;
use crate::vm::VmId;

/// Who is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub vm: VmId,
    pub root: u32,
}

struct Queue {
    /// Nobody, until a plugin registers it.
    owner: Option<Owner>,
    messages: VecDeque<Vec<u8>>,
}

#[derive(Default)]
pub(crate) struct Queues {
    ids: BTreeMap<(String, Vec<u8>), u32>,
    queues: BTreeMap<u32, Queue>,
}

impl Queues {
    /// Registers a queue, new or known; its messages stay.
    pub fn register(&mut self, vm_id: &str, name: &[u8], owner: Owner) -> u32 {
        let id = self.made(vm_id, name);
        if let Some(queue) = self.queues.get_mut(&id) {
            queue.owner = Some(owner);
        }
        id
    }

    /// A queue, new or known, whoever owns it.
    pub fn made(&mut self, vm_id: &str, name: &[u8]) -> u32 {
        let next = self.ids.len() as u32 + 1;
        let id = *self.ids.entry((vm_id.to_owned(), name.to_vec())).or_insert(next);
        self.queues.entry(id).or_insert(Queue { owner: None, messages: VecDeque::new() });
        id
    }

    pub fn resolve(&self, vm_id: &str, name: &[u8]) -> Option<u32> {
        self.ids.get(&(vm_id.to_owned(), name.to_vec())).copied()
    }

    /// Adds a message, and says who is to be told.
    pub fn enqueue(&mut self, id: u32, message: &[u8]) -> Result<Option<Owner>, Status> {
        let queue = self.queues.get_mut(&id).ok_or(Status::NotFound)?;
        queue.messages.push_back(message.to_vec());
        Ok(queue.owner)
    }

    pub fn dequeue(&mut self, id: u32) -> Result<Vec<u8>, Status> {
        let queue = self.queues.get_mut(&id).ok_or(Status::NotFound)?;
        queue.messages.pop_front().ok_or(Status::Empty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Owner = Owner { vm: VmId(0), root: 1 };
    const TWO: Owner = Owner { vm: VmId(1), root: 1 };

    #[test]
    fn the_last_who_registers_owns_delivery_and_messages_stay() {
        let mut queues = Queues::default();
        let id = queues.register("vm", b"q", ONE);
        queues.enqueue(id, b"hello").unwrap();
        assert_eq!(queues.register("vm", b"q", TWO), id);
        assert_eq!(queues.enqueue(id, b"again"), Ok(Some(TWO)));
        assert_eq!(queues.dequeue(id), Ok(b"hello".to_vec()));
    }

    #[test]
    fn an_empty_queue_is_not_an_unknown_one() {
        let mut queues = Queues::default();
        let id = queues.register("vm", b"q", ONE);
        assert_eq!(queues.dequeue(id), Err(Status::Empty));
        assert_eq!(queues.dequeue(id + 1), Err(Status::NotFound));
    }
}
