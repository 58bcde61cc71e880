//! `maps-not-visible`: a second BPF file system hides the maps that the datapath works with.

use crate::base::evidence::Evidence;
use crate::checks::dns_conntrack::Dump;
use crate::cilium::mounts::{BPF_ROOT, Mounts};
use crate::knowledge::check_id::CheckId;
use crate::knowledge::code::Code;
use crate::rules::case::Case;
use crate::rules::opinion::Opinion;
use crate::rules::verdict::{Because, Cause, Confidence, Says};

/// Two file systems where the maps are pinned, and no dump: the visible maps are not those that the datapath uses.
pub(super) fn hidden(case: &Case) -> Option<Opinion> {
    if case.beyond.mounts_are_stacked() != Some(true) {
        return None;
    }
    let no_entry = match &case.dump {
        Dump::Missing(failure) | Dump::Unreadable(failure) => failure.message.clone(),
        Dump::Whole(picture) if picture.entries == 0 => "the dump holds no entry".to_owned(),
        Dump::Cut(_) | Dump::Whole(_) => return None,
    };
    let (evidence, mounted) = mounted(case)?;
    let summary = format!(
        "{mounted} BPF file systems are mounted at {BPF_ROOT} in the agent's view: the last one hides the maps that the \
         datapath uses (cilium/cilium#47847). What was read says nothing about the traffic of pods."
    );
    let says = Says::new(format!("{mounted} mounts of type bpf at {BPF_ROOT}"), [("mounts", mounted.into())]);
    let mut opinion = Opinion::new(Code::MapsNotVisible, Confidence::High, summary)
        .because(Because::said(evidence.name(), says))
        .because(Because::check(CheckId::DnsConntrack, no_entry));
    opinion.cause = Some(
        Cause::named("mount", "bpf", evidence).on(BPF_ROOT).expected("one mount of type bpf", mounted.to_string()),
    );
    Some(opinion)
}

/// Which list of mounts shows more than one, and how many.
pub(super) fn mounted(case: &Case) -> Option<(Evidence, usize)> {
    let lists = [(Evidence::Mounts, &case.beyond.mounts), (Evidence::HostMounts, &case.beyond.host_mounts)];
    let stacked = lists.into_iter().filter_map(|(evidence, list)| Some((evidence, list.seen()?)));
    let mut stacked = stacked.filter(|(_, list)| list.are_stacked() == Some(true));
    stacked.next().map(|(evidence, list): (Evidence, &Mounts)| (evidence, list.bpf_at(BPF_ROOT).count()))
}
