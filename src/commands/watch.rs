//! `staledp watch`: watches until the first signal, or removes the condition from all nodes.

use super::printing::Terminal;
use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::cli::WatchArgs;
use crate::settings;
use crate::watch;

/// Watches; what happens is said on standard error.
pub(super) async fn run(args: WatchArgs, terminal: &Terminal) -> Result<Exit, Error> {
    let settings = settings::watch(args);
    let progress = terminal.progress();
    let say = |line: &str| progress.say(line);
    let signalled = terminal.signals.came();
    if settings.uninstall {
        let removed = watch::uninstall(&settings, &say, signalled).await?;
        let nodes = if removed == 1 { "1 node".to_owned() } else { format!("{removed} nodes") };
        terminal.print(format!("removed the condition {} from {nodes}\n", settings.condition)).await?;
        return Ok(Exit::Healthy);
    }
    watch::run(&settings, &say, signalled).await?;
    Ok(Exit::Interrupted)
}
