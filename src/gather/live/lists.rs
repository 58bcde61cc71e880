//! The cluster's lists, read together or around lists that were read already, and what is forgotten with them.

use std::collections::HashSet;

use super::{Known, Live, now};
use crate::base::failure::{Failure, FailureKind};
use crate::base::pod_ref::PodRef;
use crate::base::time::Timestamp;
use crate::kubernetes::cluster_dns::{DNS_SELECTORS, may_be_cluster_dns};
use crate::kubernetes::inventory::{Inventory, Listed, Origin};
use crate::kubernetes::objects::{EndpointSlice, Event, Node, Pod, Service};

/// Where Cilium usually lives, for those who may not look elsewhere.
const USUAL_NAMESPACE: &str = "kube-system";
/// The most DNS services whose endpoint slices are read: NodeLocal DNS adds a second to the usual one.
const MOST_DNS_SERVICES: usize = 8;

impl Live {
    /// The lists that symptoms are read from: nodes and pods. Events are read one by one, where they are asked for.
    pub async fn inventory_for_symptoms(&self) -> Inventory {
        let captured_at = Some(now());
        let (nodes, pods) = tokio::join!(
            self.cluster.nodes(),
            self.everywhere_or_in_cilium_namespace(async |namespace| self.cluster.pods(namespace).await),
        );
        self.nodes_and_pods(captured_at, nodes.into(), pods)
    }

    /// The nodes and the agents' pods.
    pub(super) async fn nodes_and_agents(&self) -> Inventory {
        let captured_at = Some(now());
        let (nodes, pods) = tokio::join!(
            self.cluster.nodes(),
            self.everywhere_or_in_cilium_namespace(async |namespace| self.cluster.agents(namespace).await),
        );
        self.nodes_and_pods(captured_at, nodes.into(), pods)
    }

    fn nodes_and_pods(&self, captured_at: Option<Timestamp>, nodes: Listed<Node>, pods: Listed<Pod>) -> Inventory {
        let origin = Origin { context: self.context().map(str::to_owned), captured_at };
        let nothing = Failure::new(FailureKind::NotFound, "not requested");
        let services = Listed::Missing(nothing.clone());
        let (endpoint_slices, events) = (Listed::Missing(nothing.clone()), Listed::Missing(nothing));
        Inventory { origin, nodes, pods, services, endpoint_slices, events }
    }

    /// The cluster's lists around nodes and pods that were read already: cluster DNS and the warnings are read now.
    pub async fn inventory_around(&self, nodes: Vec<Node>, pods: Vec<Pod>) -> Inventory {
        let captured_at = now();
        let (dns, events) = tokio::join!(Box::pin(self.dns()), self.warnings());
        self.assemble(captured_at, Listed::Whole(nodes), Listed::Whole(pods), dns, events)
    }

    /// Makes one inventory of lists, and begins a new look by them: after a restart, for example.
    pub(super) fn assemble(
        &self,
        captured_at: Timestamp,
        nodes: Listed<Node>,
        pods: Listed<Pod>,
        (services, endpoint_slices): (Listed<Service>, Listed<EndpointSlice>),
        events: Listed<Event>,
    ) -> Inventory {
        let mut known = self.known.borrow_mut();
        known.unanswered.clear();
        known.unreached.clear();
        known.agents.clear();
        if let Some(pods) = pods.whole() {
            let there: HashSet<PodRef> = pods.iter().map(Pod::reference).collect();
            known.forget_pods_but(&there);
            self.bounded.forget_pods_but(&there);
        }
        known.learn_releases(pods.known());
        if let Ok(nodes) = nodes.some() {
            known.nodes = nodes.iter().map(|node| (node.metadata.name.to_string(), node.clone())).collect();
        }
        let origin = Origin { context: self.context().map(str::to_owned), captured_at: Some(captured_at) };
        Inventory { origin, nodes, pods, services, endpoint_slices, events }
    }

    pub(super) async fn warnings(&self) -> Listed<Event> {
        self.everywhere_or_in_cilium_namespace(async |namespace| self.cluster.warnings(namespace).await).await
    }

    /// The cluster's DNS services and their endpoint slices.
    pub(super) async fn dns(&self) -> (Listed<Service>, Listed<EndpointSlice>) {
        let services = match &self.questions.dns_service {
            Some(named) => self.cluster.service(named).await.into(),
            None => everywhere_or_in(USUAL_NAMESPACE, async |namespace| self.dns_services(namespace).await).await,
        };
        let slices = match services.some() {
            Ok(services) => self.slices(services).await,
            Err(failure) => {
                let why = format!("cannot find the cluster's DNS service: {failure}");
                Err(Failure::new(failure.kind, why))
            }
        };
        (services, slices.into())
    }

    /// The services that may be cluster DNS, by the first label that finds one: most clusters are asked once.
    async fn dns_services(&self, namespace: Option<&str>) -> Result<Vec<Service>, Failure> {
        let mut all: Vec<Service> = Vec::new();
        for labels in DNS_SELECTORS {
            let found = self.cluster.services(namespace, labels).await?;
            // A service may carry several of the labels.
            all.retain(|known| found.iter().all(|new| known.metadata != new.metadata));
            all.extend(found);
            if all.iter().any(may_be_cluster_dns) {
                break;
            }
        }
        Ok(all)
    }

    async fn slices(&self, services: &[Service]) -> Result<Vec<EndpointSlice>, Failure> {
        let mut all = Vec::new();
        for Service { metadata, .. } in services.iter().take(MOST_DNS_SERVICES) {
            let service = PodRef { namespace: metadata.namespace.to_string(), name: metadata.name.to_string() };
            all.extend(self.cluster.endpoint_slices(&service).await?);
        }
        Ok(all)
    }

    /// Asks everywhere, and where that is not allowed, only in the namespace that matters most.
    pub(super) async fn everywhere_or_in_cilium_namespace<T>(
        &self,
        list: impl AsyncFn(Option<&str>) -> Result<Vec<T>, Failure>,
    ) -> Listed<T> {
        everywhere_or_in(self.questions.cilium_namespace.as_deref().unwrap_or(USUAL_NAMESPACE), list).await
    }
}

impl Known {
    /// Drops what was learnt of pods that are gone: a run of weeks would gather all that ever were.
    fn forget_pods_but(&mut self, there: &HashSet<PodRef>) {
        self.containers.retain(|pod, _| there.contains(pod));
        self.dialects.retain(|pod, _| there.contains(pod));
        self.releases.retain(|pod, _| there.contains(pod));
    }
}

/// Asks for all namespaces, and where that is forbidden for one alone.
async fn everywhere_or_in<T>(
    namespace: &str,
    list: impl AsyncFn(Option<&str>) -> Result<Vec<T>, Failure>,
) -> Listed<T> {
    let why = match list(None).await {
        Err(failure) if failure.kind == FailureKind::Forbidden => failure,
        all => return all.into(),
    };
    match list(Some(namespace)).await {
        Ok(items) => Listed::Partial { items, of: format!("namespace {namespace}"), why },
        Err(_) => Listed::Missing(why),
    }
}
