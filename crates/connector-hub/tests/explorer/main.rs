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


fn without(rule: &str) -> Setting {
    let mut setting = DESIGN;
    match rule {
        "design" => {}
        "settle" => setting.outside.settle = false,
        "recheck" => {
            setting.outside.recheck = false;
            setting.rules.recheck = false;
        }
        "clock" => setting.rules.clock = false,
        "cas" => setting.outside.cas = false,
        "pending" => {
            setting.outside.pending = false;
            setting.rules.pending = false;
        }
        "reread" => setting.rules.reread = false,
        "patience" => setting.rules.patience = false,
        "resolve" => setting.rules.resolve = false,
        "claim" => {
            setting.outside.claim = false;
            setting.rules.clock = false;
        }
        "restraint" => setting.rules.restraint = false,
        "hold" => setting.outside.hold = false,
        "quarantine" => setting.outside.quarantine = false,
        _ => panic!("no rule {rule}"),
    }
    setting
}

#[test]
fn scratch() {
    for rule in ["design", "recheck", "clock", "claim"] {
        for freezes in [0, 1] {
            for provider in [Provider::GraceTime, Provider::Strict] {
                let bounds = Bounds { freezes, ..LOSSES };
                run(rule, &Setting { provider, bounds, ..without(rule) });
            }
        }
    }
    for freeze in [Freeze::Holder, Freeze::Request] {
    for rule in ["design", "cas", "pending", "reread", "patience"] {
        for provider in [Provider::Stable, Provider::GraceTime, Provider::GraceUntilUsed, Provider::Strict, Provider::Refusing] {
            let bounds = Bounds { freezes: 1, ..NONE };
            run(&format!("{freeze:?} {rule}"), &Setting { provider, bounds, freeze, ..without(rule) });
        }
    }
    }
    for kind in [Reconnect::SamePair, Reconnect::Chain, Reconnect::Independent] {
    for rule in ["design", "hold"] {
        for crashes in [0,1] {
        for provider in [Provider::GraceTime, Provider::GraceUntilUsed, Provider::Strict, Provider::Refusing] {
            let bounds = Bounds { reconnects: 1, crashes, drops: crashes, timeouts: u8::MAX, ..NONE };
            run(&format!("{kind:?} {crashes} {rule}"), &Setting { provider, bounds, reconnect: kind, ..without(rule) });
        }
        }
    }
    for rule in ["design", "quarantine"] {
        for provider in [Provider::GraceTime, Provider::GraceUntilUsed, Provider::Strict] {
            let bounds = Bounds { reconnects: 1, identify_failures: 1, ..NONE };
            run(&format!("{kind:?} identify {rule}"), &Setting { provider, bounds, reconnect: kind, ..without(rule) });
        }
    }
    }
    for rule in ["design", "restraint"] {
        for provider in [Provider::Stable, Provider::GraceTime, Provider::GraceUntilUsed, Provider::Strict] {
            let bounds = Bounds { outages: 1, starts: 3, ..LOSSES };
            run(&format!("outage {rule}"), &Setting { provider, bounds, ..without(rule) });
        }
    }
    let _ = Finding::Stuck;
}
