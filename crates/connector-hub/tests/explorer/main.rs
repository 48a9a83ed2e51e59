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
    const A: [Provider; 5] = [
        Provider::Stable,
        Provider::OldTokensLiveOn,
        Provider::GraceTime,
        Provider::GraceUntilUsed,
        Provider::Strict,
    ];
    for rule in ["design", "patience"] {
        for provider in [Provider::GraceTime, Provider::Strict] {
            for kind in [
                Reconnect::SamePair,
                Reconnect::Chain,
                Reconnect::Independent,
            ] {
                let bounds = Bounds {
                    freezes: 1,
                    reconnects: 1,
                    starts: 3,
                    timeouts: u8::MAX,
                    ..NONE
                };
                run(
                    &format!("frozen reconnect {kind:?} {rule}"),
                    &Setting {
                        provider,
                        bounds,
                        reconnect: kind,
                        ..without(rule)
                    },
                );
            }
        }
    }
    for provider in A {
        let setting = Setting { provider, ..DESIGN };
        run(
            "reasons",
            &Setting {
                every_reason: true,
                bounds: Bounds {
                    starts: 3,
                    ..LOSSES
                },
                ..setting
            },
        );
        run(
            "in flight",
            &Setting {
                left: Duration::from_secs(15),
                bounds: Bounds {
                    starts: 2,
                    timeouts: 3,
                    ..LOSSES
                },
                ..setting
            },
        );
        run(
            "refusals",
            &Setting {
                bounds: Bounds {
                    starts: 3,
                    refusals: 2,
                    ..LOSSES
                },
                ..setting
            },
        );
        run(
            "unknowns",
            &Setting {
                bounds: Bounds {
                    starts: 3,
                    unknowns: 1,
                    ..LOSSES
                },
                ..setting
            },
        );
        run(
            "disconnect",
            &Setting {
                bounds: Bounds {
                    starts: 3,
                    disconnects: 1,
                    ..LOSSES
                },
                ..setting
            },
        );
        run(
            "three",
            &Setting {
                nodes: 3,
                bounds: Bounds {
                    starts: 3,
                    timeouts: u8::MAX,
                    ..NONE
                },
                ..setting
            },
        );
        run(
            "restore 1",
            &Setting {
                nodes: 1,
                bounds: Bounds {
                    starts: 4,
                    restores: 1,
                    ..NONE
                },
                ..setting
            },
        );
        run(
            "restore 2",
            &Setting {
                nodes: 2,
                bounds: Bounds {
                    starts: 4,
                    restores: 1,
                    ..NONE
                },
                ..setting
            },
        );
    }
    let _ = Finding::Stuck;
}
