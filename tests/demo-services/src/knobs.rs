//! The handle by which a test, or the control port, steers the services and looks into them.

use std::{io, sync::Arc};

use crate::{
    Service,
    capture::Captured,
    fault::{BadFault, Fault, FaultId, Faults},
    port::Port,
};

/// Everything that runs, in the order of [`Service::ALL`].
pub(crate) struct Fleet {
    pub(crate) ports: Vec<Port>,
    pub(crate) faults: Arc<Faults>,
}

impl Fleet {
    pub(crate) fn port(&self, service: Service) -> &Port {
        &self.ports[service.index()]
    }
}

/// Faults, captures, down and up. Clones steer the same services.
#[derive(Clone)]
pub struct Knobs {
    pub(crate) fleet: Arc<Fleet>,
}

impl Knobs {
    /// Sets a fault. Of several that match a request, the one set last happens.
    ///
    /// # Errors
    /// [`BadFault`] for what cannot happen in HTTP.
    pub fn set(&self, fault: Fault) -> Result<FaultId, BadFault> {
        self.fleet.faults.set(fault)
    }

    /// Removes a fault; whether it was still there.
    pub fn clear(&self, id: FaultId) -> bool {
        self.fleet.faults.clear(id)
    }

    /// Removes all faults of all services.
    pub fn clear_all(&self) {
        self.fleet.faults.clear_all();
    }

    /// The faults that are set, oldest first, with the times that are left.
    pub fn faults(&self) -> Vec<(FaultId, Fault)> {
        self.fleet.faults.all()
    }

    /// Stops a service as if its process had died: its connections close, new ones are refused. Returns when that is so.
    pub async fn down(&self, service: Service) {
        self.fleet.port(service).down().await;
    }

    /// Starts it again on the same port. Call it inside the runtime.
    ///
    /// # Errors
    /// If the port was lost, which its reservation should prevent.
    pub fn up(&self, service: Service) -> io::Result<()> {
        self.fleet.port(service).up()
    }

    /// Whether a service accepts connections.
    pub fn is_up(&self, service: Service) -> bool {
        self.fleet.port(service).is_up()
    }

    /// The last requests of a service, oldest first.
    pub fn captured(&self, service: Service) -> Vec<Captured> {
        self.fleet.port(service).gate.log.all()
    }

    /// How many requests a service received since its captures were cleared, also beyond those still kept.
    pub fn captured_count(&self, service: Service) -> u64 {
        self.fleet.port(service).gate.log.count()
    }

    /// Waits until [`Knobs::captured_count`] is at least `count`.
    pub async fn wait_captured(&self, service: Service, count: u64) {
        self.fleet.port(service).gate.log.reached(count).await;
    }

    /// Forgets the captures of one service.
    pub fn clear_captured(&self, service: Service) {
        self.fleet.port(service).gate.log.clear();
    }

    /// Requests that a service is working on, delays included.
    pub fn in_flight(&self, service: Service) -> usize {
        *self.fleet.port(service).gate.in_flight.borrow()
    }

    /// Waits until a service works on no request.
    pub async fn wait_idle(&self, service: Service) {
        let mut in_flight = self.fleet.port(service).gate.in_flight.subscribe();
        // The sender lives in the fleet that this handle holds.
        let _ = in_flight.wait_for(|count| *count == 0).await;
    }
}
