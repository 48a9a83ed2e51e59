//! Visits every interleaving, within bounds, of the refresh machine with crashes, losses, freezes,
//! outages, reconnects and disconnects, and says what can be lost.

mod search;
mod world;

use std::time::Duration;

use connector_hub::machine::Rules;

use crate::search::{Finding, Report, search};
use crate::world::{Bounds, Freeze, Outside, Provider, Reconnect, Setting};

const NONE: Bounds = Bounds {
    starts: 4,
    crashes: 0,
    drops: 0,
    timeouts: 0,
    freezes: 0,
    outages: 0,
    unknowns: 0,
    reconnects: 0,
    identify_failures: 0,
    disconnects: 0,
    restores: 0,
    refusals: 0,
};

/// The bounds of `model/refresh_claim`: one crash, one lost message, time-outs at any moment.
const LOSSES: Bounds = Bounds {
    crashes: 1,
    drops: 1,
    timeouts: u8::MAX,
    ..NONE
};

const DESIGN: Setting = Setting {
    provider: Provider::Strict,
    nodes: 2,
    bounds: LOSSES,
    freeze: Freeze::Holder,
    reconnect: Reconnect::Chain,
    rules: Rules::ALL,
    outside: Outside {
        claim: true,
        settle: true,
        recheck: true,
        cas: true,
        pending: true,
        hold: true,
        quarantine: true,
    },
    left: Duration::from_secs(30),
    every_reason: false,
};

const MOST: usize = 12_000_000;

fn run(name: &str, setting: &Setting) -> Report {
    let report = search(setting, MOST);
    assert!(report.states > 1, "{name}: nothing was explored");
    #[expect(clippy::print_stdout, reason = "the count is the test's evidence")]
    {
        println!(
            "{name} {:?} freezes {}: explored {} states, found {:?}",
            setting.provider,
            setting.bounds.freezes,
            report.states,
            report.findings()
        );
        for (finding, way) in &report.found {
            println!("    {finding:?}: {way}");
        }
    }
    report
}

#[test]
fn scratch() {
    for freezes in [0, 1] {
        for provider in [
            Provider::Stable,
            Provider::OldTokensLiveOn,
            Provider::GraceTime,
            Provider::GraceUntilUsed,
            Provider::Strict,
            Provider::Refusing,
        ] {
            run(
                "design",
                &Setting {
                    provider,
                    bounds: Bounds { freezes, ..LOSSES },
                    ..DESIGN
                },
            );
        }
    }
    let _ = Finding::Stuck;
}
