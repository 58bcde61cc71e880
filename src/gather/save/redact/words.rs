//! Names under other names, word by word: `web-7d9fc-x2x4z` and `web` still share a word, a static pod still ends with
//! its node's name, and a pod's name in DNS still begins with the pod's.

use std::cell::RefCell;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::LazyLock;

use rustc_hash::{FxHashMap, FxHashSet};

/// Words that are not secret, so they stay, in names too: what Kubernetes, Cilium, DNS and the tools call things
/// in every cluster; and words of their messages, which the checks and symptoms are read from.
const PUBLIC: &str = "
    kubernetes kube k8s system public lease default node nodes pod pods namespace namespaces service services svc
    cluster local cluster-local endpoint endpoints endpointslice container containers initcontainers spec status
    metadata daemonset replicaset statefulset deployment job apiserver scheduler controller manager etcd proxy
    serviceaccount serviceaccounts user users group authenticated resource api apis io hostname arch os linux amd64
    arm64 app name instance component part of managed by version role control plane master tier topology zone region
    template hash revision generation event events
    cilium agent operator envoy hubble relay dbg bpf ct lb nat list global net bpftool ebpf lxc veth health daemon
    config init mount cgroup clean state wait ipam ipcache identity policy node-manager map maps sync controlplane
    datapath orchestrator infra loader regeneration regenerating initialize initialized failed retrying later
    program programs btf detach detaching compile load loading removal unexpected detected supported spec invalid
    argument processed verifier error errors warn warning info level msg subsys module modules degraded stopped
    dns coredns nodelocaldns cache localip conf corefile watcher upstream upstreamsvc rke2 external secrets argocd
    repo server redirect openshift owning rke2 fargate eks amazonaws compute type virtual kubelet aci windows not
    memory disk pressure pid unschedulable failure domain
    home ssh ping wget curl nslookup getent hosts bash sh exec dev tcp udp icmp icmpv6 sctp any http https get null
    timeout timed out time usr bin etc sha256 latest stable alpha beta rc pre distroless
    quay gcr ghcr docker registry github com org google in addr arpa ip ip6 src pkg go run lib var opt proc
    staledp diagnose capture fix from save redact
    firewall wireguard ipsec dev nodeencryption chaining allocation mixed legacy tcx redirected
    true false ok disabled enabled strict partial iptables masquerading kubeproxyreplacement device mode clock source
    ktime jiffies hz allocated healthy reachable redirects active encryption cni non connection tracking kvstore
    routing host network tunnel attach bandwidthmanager nodemonitor size ports on off
    bad address could not couldn couldnt resolve unable to resolution or known does nodename nor servname provided
    try again refused returned reset certificate ssl tls nxdomain no answer servers be reached i o route
    lookup unreachable operation permitted deadline exceeded temporary failure eai resolving resolver resolved
    such misbehaving servfail unknownhostexception enotfound getaddrinfo information read connect write dial
    client canceled context handshake peer awaiting headers while waiting for request is the a an and with was
    readiness liveness startup probe probes statuscode unhealthy killing killed packets transmitted received packet
    loss min avg max mdev ms rtt round trip stddev ttl seq bytes data statistics permission denied publickey command found file directory
    open parsing empty unknown ready missing usage
    can t cannot find names communications end reply code
    metrics count expires remaining cil prog id";

static STAY: LazyLock<FxHashSet<&str>> = LazyLock::new(|| PUBLIC.split_whitespace().collect());

/// Letters and digits of replacements: as Kubernetes makes random names, without vowels, so that no word comes about;
/// and no number of a version.
const FIRST: &[u8; 19] = b"bcdfghjklmnpqrstwxz";
const LATER: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
/// How long a replacement is. There are ten million of them.
const LENGTH: usize = 5;
/// The most replacements that are remembered and kept apart: five for every pod of a large cluster, many times over.
const MOST: usize = 1 << 20;

/// The mapping, with a key of its own.
#[derive(Debug)]
pub(super) struct Words {
    key: RefCell<RandomState>,
    replaced: RefCell<FxHashMap<String, String>>,
    taken: RefCell<FxHashSet<String>>,
    secret: RefCell<FxHashSet<String>>,
}

impl Words {
    /// A mapping that no other one is like.
    pub(super) fn new() -> Self {
        Self {
            key: RefCell::default(),
            replaced: RefCell::default(),
            taken: RefCell::default(),
            secret: RefCell::default(),
        }
    }

    /// Draws another key. What was replaced before is to be written again.
    pub(super) fn draw(&self) {
        self.key.take();
        self.replaced.borrow_mut().clear();
        self.taken.borrow_mut().clear();
    }

    /// Says that a word is part of a name, and must be replaced everywhere. False if it stays.
    pub(super) fn learn(&self, word: &str) -> bool {
        if stays(word) {
            return false;
        }
        let mut secret = self.secret.borrow_mut();
        if secret.len() < MOST {
            secret.insert(word.to_ascii_lowercase());
        }
        true
    }

    /// Whether a word is part of a name that is known.
    pub(super) fn is_secret(&self, word: &str) -> bool {
        self.secret.borrow().contains(word.to_ascii_lowercase().as_str())
    }

    /// What stands for a word of a name; none where it stays. Upper and lower case are the same.
    pub(super) fn replacement(&self, word: &str) -> Option<String> {
        if stays(word) {
            return None;
        }
        let word = word.to_ascii_lowercase();
        if let Some(known) = self.replaced.borrow().get(&word) {
            return Some(known.clone());
        }
        let (key, mut taken) = (self.key.borrow(), self.taken.borrow_mut());
        // A million of ten million can be taken, so a free one is near.
        let mut tries = (0_u32..100).map(|nth| spelled(key.hash_one((nth, &word))));
        let found = tries.find(|spelled| !taken.contains(spelled)).unwrap_or_else(|| spelled(key.hash_one(&word)));
        if taken.len() < MOST {
            taken.insert(found.clone());
            self.replaced.borrow_mut().insert(word, found.clone());
        }
        Some(found)
    }
}

/// Whether a word is as good as none: public, a number, a number of a version, or a single letter.
fn stays(word: &str) -> bool {
    let digits = word.strip_prefix(['v', 'V']).unwrap_or(word);
    word.len() < 2
        || digits.bytes().all(|byte| byte.is_ascii_digit())
        || STAY.contains(word)
        || STAY.contains(word.to_ascii_lowercase().as_str())
}

fn spelled(hash: u64) -> String {
    let mut rest = hash;
    let mut next = |letters: &[u8]| {
        let many = letters.len() as u64;
        let letter = letters[usize::try_from(rest % many).unwrap_or_default()];
        rest /= many;
        char::from(letter)
    };
    (0..LENGTH).map(|at| if at == 0 { next(FIRST) } else { next(LATER) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_becomes_another_one_and_always_the_same() {
        let words = Words::new();
        let prusik = words.replacement("prusik").unwrap();
        assert_eq!(words.replacement("prusik").as_ref(), Some(&prusik));
        assert_eq!(words.replacement("PRUSIK").as_ref(), Some(&prusik));
        assert_ne!(words.replacement("vienna").unwrap(), prusik);
        assert_ne!(Words::new().replacement("prusik").unwrap(), prusik, "every bundle has a key of its own");
        for stays in ["cilium", "kube", "0", "4711", "v1", "x", "Cilium"] {
            assert_eq!(words.replacement(stays), None);
        }
    }

    #[test]
    fn no_two_words_become_the_same() {
        let words = Words::new();
        let all: FxHashSet<String> = (0..50_000).filter_map(|n| words.replacement(&format!("w{n}x"))).collect();
        assert_eq!(all.len(), 50_000);
        for word in all {
            assert!(word.len() == LENGTH && word.as_bytes()[0].is_ascii_lowercase(), "{word}");
            assert!(word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()));
            assert!(!stays(&word));
        }
    }
}
