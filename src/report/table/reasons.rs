//! Why the verdict is what it is: its reasons, what is ruled out, and what is open.

use super::page::{BOLD, Page};
use crate::report::NodeReport;
use crate::report::text::safe;

impl Page {
    pub(super) fn reasons(&mut self, node: &NodeReport) {
        if !node.verdict.because.is_empty() {
            self.heading("Because");
            for reason in &node.verdict.because {
                self.item(&format!("  {}: ", safe(&reason.check)), BOLD, &safe(&reason.says));
            }
        }
        if !node.verdict.ruled_out.is_empty() {
            self.heading("Ruled out");
            for look_alike in &node.verdict.ruled_out {
                self.item(&format!("  {}: ", look_alike.code.name()), BOLD, &safe(&look_alike.says));
            }
        }
        if !node.verdict.open.is_empty() {
            self.heading("Open");
            for look_alike in &node.verdict.open {
                let says = format!("{} (settled by: {})", safe(&look_alike.says), safe(&look_alike.settle));
                self.item(&format!("  {}: ", look_alike.code.name()), BOLD, &says);
            }
        }
    }
}
