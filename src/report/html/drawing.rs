//! The ways of one node as a drawing: pods at the bottom, the datapath above them, the host and DNS, and other nodes, the
//! world and cluster DNS on top; on each arrow its figures, and the broken thing marked.
//!
//! It is drawn tall, so that it can be read on a telephone.

use maud::{Markup, html};

use super::matrix::{figure, life_class};
use super::place::{Place, place};
use crate::report::NodeReport;
use crate::report::text::{self, safe};
use crate::report::ways::WayFigures;

/// A box: left, top, width, height.
type Area = (i32, i32, i32, i32);

const CLUSTER_DNS: Area = (12, 10, 120, 44);
const WORLD: Area = (144, 10, 118, 44);
const OTHER_NODES: Area = (276, 10, 192, 44);
const NODE: Area = (4, 126, 472, 318);
const LOCAL_DNS: Area = (18, 184, 126, 50);
const HOST: Area = (206, 184, 128, 50);
const DATAPATH: Area = (20, 326, 440, 26);
const PODS: Area = (20, 372, 440, 50);

/// Where arrows end above and below.
const TOP: i32 = 54;
const MIDDLE_TOP: i32 = 184;
const MIDDLE: i32 = 234;
const BOTTOM: i32 = 372;

/// One way: its name in the report, the column of its arrow, from where to where, and the middle of its figures.
struct Arrow {
    way: &'static str,
    x: i32,
    from: i32,
    to: i32,
    figures: i32,
}

/// The ways that have an arrow; pods of this node among themselves stand in the pods' box.
const ARROWS: [Arrow; 8] = [
    Arrow { way: "dns-upstream", x: 80, from: MIDDLE_TOP, to: TOP, figures: 92 },
    Arrow { way: "world", x: 174, from: BOTTOM, to: TOP, figures: 284 },
    Arrow { way: "host-to-world", x: 238, from: MIDDLE_TOP, to: TOP, figures: 92 },
    Arrow { way: "host-to-cluster", x: 304, from: MIDDLE_TOP, to: TOP, figures: 92 },
    Arrow { way: "pod-to-host", x: 248, from: BOTTOM, to: MIDDLE, figures: 266 },
    Arrow { way: "host-to-pod", x: 292, from: MIDDLE, to: BOTTOM, figures: 302 },
    Arrow { way: "across-out", x: 368, from: BOTTOM, to: TOP, figures: 284 },
    Arrow { way: "across-in", x: 438, from: TOP, to: BOTTOM, figures: 284 },
];

/// The drawing of this node, with a sentence on what is marked and the ways in words below it.
pub(super) fn drawing(node: &NodeReport) -> Markup {
    let way = |name: &str| node.ways.iter().find(|way| way.way == name);
    let broken = place(&node.verdict);
    let resolver = way("dns").and_then(|dns| dns.label.strip_prefix("pods to ")).unwrap_or("DNS");
    // Cluster DNS is elsewhere: pods ask across the datapath, as they ask the world.
    let is_local = !matches!(resolver, "cluster DNS" | "the DNS pods");
    let dns = Arrow { way: "dns", x: 80, from: BOTTOM, to: if is_local { MIDDLE } else { TOP }, figures: 284 };
    let here = way("pod-to-pod-here").map_or(String::new(), |way| format!("among themselves {}", figure(way)));
    let asks_upstream = is_local && way("dns-upstream").is_some();
    let drawn = |arrow: &&Arrow| arrow.way != "dns-upstream" || asks_upstream;
    let arrows: Vec<&Arrow> = std::iter::once(&dns).chain(ARROWS.iter().filter(drawn)).collect();
    html! {
        svg.drawing viewBox="0 0 480 448" role="img" aria-label={ "The ways of packets of " (safe(&node.node)) } {
            (area("frame", NODE, broken == Some(Place::Tunnel) || broken == Some(Place::Uplink), "", ""))
            text.name x="16" y="437" { "node " (shortened(&node.node, 48)) }
            @for arrow in &arrows { (line(arrow, way(arrow.way))) }
            @if asks_upstream || !is_local { (area("far", CLUSTER_DNS, !is_local && broken == Some(Place::Dns), "cluster DNS", "")) }
            (area("far", WORLD, broken == Some(Place::Uplink), "the world", ""))
            (area("far", OTHER_NODES, broken == Some(Place::Tunnel), "other nodes", "and their pods"))
            @if is_local { (area("near", LOCAL_DNS, broken == Some(Place::Dns), &safe(resolver), "")) }
            (area("near", HOST, broken == Some(Place::Host), "this node", "(host network)"))
            (area("datapath", DATAPATH, broken == Some(Place::Datapath), "Cilium's programs and maps on their devices", ""))
            (area("near", PODS, false, "pods of this node", &here))
            @for arrow in &arrows { @if let Some(way) = way(arrow.way) { (pill(arrow, way)) } }
            @if let Some(place) = broken { (mark(place, is_local)) }
        }
        figcaption {
            @if broken.is_some() {
                @let what = node.verdict.cause.as_ref().map(|cause| safe(&cause.what));
                p.cause { "✗ marks " @if let Some(what) = what { "the broken " (what) } @else { "where the verdict places the fault" } "." }
            }
            @if node.ways.is_empty() { p { "No conntrack table was read, so no way has figures." } }
            @else {
                ul.ways { @for way in &node.ways {
                    li class=(life_class(way.life)) {
                        (safe(&way.label)) ": " (way.answered) " of " (way.judged()) " flows answered"
                        @if way.pods_unanswered > 0 && way.way != "host-to-world" && way.way != "host-to-cluster" {
                            "; without answer: " (text::count(way.pods_unanswered, "pod", "pods"))
                        }
                    }
                } }
            }
        }
    }
}

/// A box with one or two lines in its middle.
fn area(class: &str, (x, y, width, height): Area, is_broken: bool, first: &str, second: &str) -> Markup {
    let middle = x + width / 2;
    let base = y + height / 2 + if second.is_empty() { 5 } else { -4 };
    html! {
        rect class={ (class) @if is_broken { " broken" } } x=(x) y=(y) width=(width) height=(height) rx="8" {}
        @if !first.is_empty() { text.label x=(middle) y=(base) { (first) } }
        @if !second.is_empty() { text.small x=(middle) y=(base + 17) { (second) } }
    }
}

fn line(arrow: &Arrow, way: Option<&WayFigures>) -> Markup {
    let class = way.map_or("none", |way| life_class(way.life));
    // The head is drawn by hand: a marker would need an identifier that is the page's.
    let (x, tip, back) = (arrow.x, arrow.to, if arrow.to < arrow.from { 9 } else { -9 });
    html! {
        g class={ "way " (class) } {
            line x1=(x) y1=(arrow.from) x2=(x) y2=(tip + back) {}
            polygon points={ (x) "," (tip) " " (x - 6) "," (tip + back) " " (x + 6) "," (tip + back) } {}
        }
    }
}

/// The figures of a way on its arrow.
fn pill(arrow: &Arrow, way: &WayFigures) -> Markup {
    let figure = figure(way);
    let width = i32::try_from(text::width(&figure)).unwrap_or(8) * 7 + 10;
    html! {
        g class={ "pill " (life_class(way.life)) } {
            title { (safe(&way.label)) }
            rect x=(arrow.x - width / 2) y=(arrow.figures - 11) width=(width) height="22" rx="11" {}
            text x=(arrow.x) y=(arrow.figures + 4) { (figure) }
        }
    }
}

/// The mark of the broken thing, on the corner of its box.
fn mark(place: Place, dns_is_local: bool) -> Markup {
    let corner = |(x, y, width, _): Area| (x + width - 4, y + 2);
    let (x, y) = match place {
        Place::Datapath => corner(DATAPATH),
        Place::Host => corner(HOST),
        Place::Dns if dns_is_local => corner(LOCAL_DNS),
        Place::Dns => corner(CLUSTER_DNS),
        Place::Tunnel => (403, NODE.1),
        Place::Uplink => (206, NODE.1),
    };
    html! {
        g.mark {
            circle cx=(x) cy=(y) r="12" {}
            text x=(x) y=(y + 5) { "✗" }
        }
    }
}

/// A name that fits into this many columns.
fn shortened(name: &str, columns: usize) -> String {
    let shown = safe(name);
    if text::width(&shown) <= columns {
        return shown.into_owned();
    }
    let mut out = String::new();
    for c in shown.chars() {
        if text::width(&out) + 2 > columns {
            break;
        }
        out.push(c);
    }
    out + "…"
}
