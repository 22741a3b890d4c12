//! Shared data and shared queues, on the harness.

use portcullis_harness::Proxy;

use crate::model::key_bytes;
use crate::plan::{Shared, Wanted};
use crate::seen::SharedSeen;

/// Writes as another plugin would.
pub(super) fn write(proxy: &mut Proxy, shared: &Shared) {
    for (key, value) in &shared.data {
        proxy.set_shared_data(&shared.vm_id, key, value);
    }
    for (name, messages) in &shared.queues {
        messages.iter().for_each(|message| proxy.enqueue(&shared.vm_id, name, message));
    }
}

/// Reads values, and takes messages out of queues.
pub(super) fn read(proxy: &mut Proxy, wanted: &Wanted<'_>) -> SharedSeen {
    let mut seen = SharedSeen::default();
    for key in wanted.found.data.keys() {
        let value = proxy.shared_data(wanted.vm_id, key_bytes(key)).map(|(value, _)| value);
        seen.data.insert(key.clone(), value);
    }
    for name in wanted.found.queues.keys() {
        let bytes = key_bytes(name);
        let messages = std::iter::from_fn(|| proxy.dequeue(wanted.vm_id, &bytes)).collect();
        seen.queues.insert(name.clone(), messages);
    }
    seen
}
