//! The symptoms in the cluster's lists and events, without further requests.

use super::probes::Tally;
use super::storm::NotReady;
use super::{PodsByName, Symptoms, local_dns, restarts, storm};
use crate::kubernetes::inventory::Inventory;
use crate::kubernetes::objects::Event;

/// What the lists that are there already say: no call is made.
#[must_use]
pub(crate) fn symptoms_of_lists(inventory: &Inventory) -> Symptoms {
    let mut sums = EventSums::default();
    for event in inventory.events.known() {
        sums.take(event);
    }
    let mut found = sums.symptoms(inventory);
    add_unread_lists(inventory, &mut found);
    found.sort();
    found
}

/// What the events read so far sum up to.
#[derive(Default)]
pub(crate) struct EventSums {
    tally: Tally,
    not_ready: NotReady,
}

impl EventSums {
    /// Counts an event in.
    pub(crate) fn take(&mut self, event: &Event) {
        self.tally.take(event);
        self.not_ready.take(event);
    }

    /// The symptoms that these events and the lists show.
    pub(crate) fn symptoms(&self, inventory: &Inventory) -> Symptoms {
        let now = inventory.origin.captured_at.map(jiff::Timestamp::as_second);
        let mut found = Symptoms::default();
        self.tally.add_probe_symptoms(&PodsByName::new(inventory), &mut found);
        restarts::add_restart_symptoms(inventory, &self.tally, now, &mut found);
        local_dns::add_local_dns_symptoms(inventory, &self.tally, now, &mut found);
        found.events = storm::find_storms(inventory, &self.not_ready);
        if self.tally.over {
            found.add_not_read("events (Unhealthy)", "too many failing probes: some are not shown");
        }
        found
    }
}

/// Notes which of the lists could not be read.
pub(crate) fn add_unread_lists(inventory: &Inventory, found: &mut Symptoms) {
    if let Some(failure) = inventory.pods.gap() {
        found.add_not_read("pods", failure.message.clone());
    }
    if let Some(failure) = inventory.nodes.gap() {
        found.add_not_read("nodes", failure.message.clone());
    }
}
