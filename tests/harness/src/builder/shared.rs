//! What plugins find when they start.

use crate::process::Process;

/// A value of shared data, or a message in a queue.
pub(super) enum Shared {
    Data { vm_id: String, key: Vec<u8>, value: Vec<u8> },
    Message { vm_id: String, queue: Vec<u8>, message: Vec<u8> },
}

impl Shared {
    pub fn put(self, process: &Process) {
        match self {
            Shared::Data { vm_id, key, value } => {
                // Without a compare-and-swap number nothing can be in the way.
                let _ = process.shared_data.borrow_mut().set(&vm_id, &key, &value, 0);
            }
            Shared::Message { vm_id, queue, message } => {
                let mut queues = process.queues.borrow_mut();
                let id = queues.made(&vm_id, &queue);
                // It was made just now.
                let _ = queues.enqueue(id, &message);
            }
        }
    }
}
