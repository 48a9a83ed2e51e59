//! Visits every interleaving, within bounds, of the refresh machine with crashes, losses, freezes,
//! outages, reconnects, disconnects and restored backups, and prints what can be lost. Then it
//! disables one rule after the other, and shows what each rule prevents.
//!
//! `CONNECTORS_SOAK=full` adds larger bounds.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "tests and their helpers fail by panicking"
)]

mod search;
mod world;

use std::time::Duration;

use crate::search::Finding::{
    self, Avoidable, Flap, KnownReuse, ServedThenCrashed, Stuck, ToldWrong, Unavoidable,
};
use crate::search::search;
use crate::world::Provider::{
    GraceTime, GraceUntilUsed, OldTokensLiveOn, Refusing, Stable, Strict,
};
use crate::world::Reconnect::{Chain, Independent, SamePair};
use crate::world::{Bounds, Outside, Provider, Rules, Setting};

const NOTHING: Bounds = Bounds {
    starts: 3,
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

/// A crash, a lost message, and timeouts at any time.
const LOSSES: Bounds = Bounds {
    crashes: 1,
    drops: 1,
    timeouts: u8::MAX,
    ..NOTHING
};

const DESIGN: Setting = Setting {
    provider: Strict,
    nodes: 2,
    bounds: LOSSES,
    reconnect: Chain,
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

/// A limit far above the size of these searches. A search that reaches it fails.
const MAX_STATES: usize = 40_000_000;

fn without(rule: &str) -> Setting {
    let mut setting = DESIGN;
    match rule {
        "nothing" => {}
        "settle" => setting.outside.settle = false,
        "recheck" => {
            setting.outside.recheck = false;
            setting.rules.recheck = false;
        }
        "clock" => setting.rules.clock = false,
        "cas" => setting.outside.cas = false,
        "pending" => setting.outside.pending = false,
        "reread" => setting.rules.reread = false,
        "patience" => setting.rules.patience = false,
        "resolve" => setting.rules.resolve = false,
        // Without a claim, the clocks cannot be compared with anything.
        "claim" => {
            setting.outside.claim = false;
            setting.rules.clock = false;
        }
        "restraint" => setting.rules.restraint = false,
        "hold" => setting.outside.hold = false,
        "quarantine" => setting.outside.quarantine = false,
        _ => panic!("there is no rule {rule}"),
    }
    setting
}

/// Runs a search, prints the number of states and the findings, and compares them with the expected
/// ones.
fn check(name: &str, setting: &Setting, expected: &[Finding]) {
    let report = search(setting, MAX_STATES);
    let found: Vec<Finding> = report.found.keys().copied().collect();
    let mut expected = expected.to_vec();
    expected.sort_unstable();
    let ways: Vec<String> = report
        .found
        .iter()
        .map(|(finding, way)| format!("{finding:?}: {way}"))
        .collect();
    let ways = ways.join("\n    ");
    #[expect(clippy::print_stdout, reason = "the test prints the count")]
    {
        println!(
            "{name}, {:?}, freezes {}: explored {} states, found {found:?}",
            setting.provider, setting.bounds.freezes, report.states
        );
    }
    assert!(report.states > 100, "{name}: hardly anything was explored");
    assert!(
        found == expected,
        "{name}, {:?}, freezes {}: expected {expected:?}, found {found:?}\n    {ways}",
        setting.provider,
        setting.bounds.freezes,
    );
}

/// Returns the expected findings for a lost response at a provider.
fn unheard(provider: Provider) -> &'static [Finding] {
    match provider {
        Strict | Refusing => &[Unavoidable],
        _ => &[],
    }
}

const PROVIDERS: [Provider; 6] = [
    Stable,
    OldTokensLiveOn,
    GraceTime,
    GraceUntilUsed,
    Strict,
    Refusing,
];

#[test]
fn only_unheard_responses_are_lost() {
    for provider in PROVIDERS {
        let setting = Setting {
            provider,
            bounds: Bounds {
                starts: 4,
                ..LOSSES
            },
            ..DESIGN
        };
        check("design", &setting, unheard(provider));
    }
}

#[test]
fn a_frozen_holder_loses_nothing_where_reuse_ends_no_grant() {
    for (provider, expected) in [
        (Stable, &[][..]),
        (OldTokensLiveOn, &[]),
        (GraceTime, &[Unavoidable]),
        (GraceUntilUsed, &[Unavoidable]),
        // The only case that no client can prevent.
        (Strict, &[Avoidable, Unavoidable, KnownReuse, ToldWrong]),
        (Refusing, &[Avoidable, Unavoidable]),
    ] {
        let setting = Setting {
            provider,
            bounds: Bounds {
                starts: 4,
                freezes: 1,
                ..LOSSES
            },
            ..DESIGN
        };
        check("design", &setting, expected);
    }
}

type Row = (&'static str, [(Provider, u8, &'static [Finding]); 6]);

/// The findings for a strict provider and a frozen holder, which no rule prevents.
const FROZEN_STRICT: &[Finding] = &[Avoidable, Unavoidable, KnownReuse, ToldWrong];

const WITHOUT: [Row; 9] = [
    (
        "settle",
        [
            (Stable, 0, &[]),
            (GraceTime, 0, &[Avoidable, Unavoidable]),
            (Strict, 0, &[Avoidable, Unavoidable, KnownReuse, ToldWrong]),
            (Stable, 1, &[]),
            (GraceTime, 1, &[Avoidable, Unavoidable]),
            (Strict, 1, FROZEN_STRICT),
        ],
    ),
    (
        "claim",
        [
            (Stable, 0, &[]),
            (GraceTime, 0, &[Avoidable, Unavoidable]),
            (Strict, 0, &[Avoidable, Unavoidable, KnownReuse, ToldWrong]),
            (Stable, 1, &[]),
            (GraceTime, 1, &[Avoidable, Unavoidable]),
            (Strict, 1, FROZEN_STRICT),
        ],
    ),
    (
        "recheck",
        [
            (Stable, 0, &[]),
            (GraceTime, 0, &[Avoidable, Unavoidable]),
            (Strict, 0, &[Avoidable, Unavoidable, KnownReuse, ToldWrong]),
            (Stable, 1, &[]),
            (GraceTime, 1, &[Avoidable, Unavoidable]),
            (Strict, 1, FROZEN_STRICT),
        ],
    ),
    (
        "clock",
        [
            (Stable, 0, &[]),
            (GraceTime, 0, &[]),
            (Strict, 0, &[Unavoidable]),
            (Stable, 1, &[]),
            (GraceTime, 1, &[Avoidable, Unavoidable]),
            (Strict, 1, FROZEN_STRICT),
        ],
    ),
    (
        "resolve",
        [
            (Stable, 0, &[]),
            (GraceTime, 0, &[]),
            (Strict, 0, &[Unavoidable, Stuck]),
            (Stable, 1, &[]),
            (GraceTime, 1, &[Stuck]),
            (Strict, 1, &[Avoidable, Unavoidable, KnownReuse, Stuck]),
        ],
    ),
    // The other four rules have the same findings here as the design. Tests below show their
    // purpose.
    (
        "cas",
        [
            (Stable, 0, &[]),
            (GraceTime, 0, &[]),
            (Strict, 0, &[Unavoidable]),
            (Stable, 1, &[]),
            (GraceTime, 1, &[Unavoidable]),
            (Strict, 1, FROZEN_STRICT),
        ],
    ),
    (
        "pending",
        [
            (Stable, 0, &[]),
            (GraceTime, 0, &[]),
            (Strict, 0, &[Unavoidable]),
            (Stable, 1, &[]),
            (GraceTime, 1, &[Unavoidable]),
            (Strict, 1, FROZEN_STRICT),
        ],
    ),
    (
        "reread",
        [
            (Stable, 0, &[]),
            (GraceTime, 0, &[]),
            (Strict, 0, &[Unavoidable]),
            (Stable, 1, &[]),
            (GraceTime, 1, &[Unavoidable]),
            (Strict, 1, &[Avoidable, Unavoidable, KnownReuse]),
        ],
    ),
    (
        "patience",
        [
            (Stable, 0, &[]),
            (GraceTime, 0, &[]),
            (Strict, 0, &[Unavoidable]),
            (Stable, 1, &[]),
            (GraceTime, 1, &[Unavoidable]),
            (Strict, 1, FROZEN_STRICT),
        ],
    ),
];

#[test]
fn leaving_out_a_rule_of_the_claim_loses_what_the_model_says() {
    for (rule, cases) in WITHOUT {
        for (provider, freezes, expected) in cases {
            let setting = Setting {
                provider,
                bounds: Bounds { freezes, ..LOSSES },
                ..without(rule)
            };
            check(&format!("without {rule}"), &setting, expected);
        }
    }
}

/// No message is lost. A holder freezes with the response, and both responses arrive.
#[test]
fn two_responses_to_one_token_need_the_swap_the_pending_pair_and_the_second_look() {
    for (rule, expected) in [
        ("nothing", &[][..]),
        ("cas", &[Unavoidable]),
        ("pending", &[Unavoidable]),
        ("reread", &[Avoidable]),
    ] {
        for provider in [GraceTime, GraceUntilUsed] {
            let setting = Setting {
                provider,
                bounds: Bounds {
                    starts: 4,
                    freezes: 1,
                    ..NOTHING
                },
                ..without(rule)
            };
            check(&format!("both heard, without {rule}"), &setting, expected);
        }
    }
}

/// A refused holder freezes, and the owner reconnects meanwhile.
#[test]
fn a_refused_holder_waits_for_the_owner_who_is_connecting() {
    for (rule, expected) in [
        ("nothing", &[Avoidable, Unavoidable, KnownReuse][..]),
        ("patience", &[Avoidable, Unavoidable, KnownReuse, Flap]),
    ] {
        for reconnect in [SamePair, Chain, Independent] {
            let setting = Setting {
                reconnect,
                bounds: Bounds {
                    freezes: 1,
                    reconnects: 1,
                    timeouts: u8::MAX,
                    ..NOTHING
                },
                ..without(rule)
            };
            let name = format!("frozen beside {reconnect:?}, without {rule}");
            check(&name, &setting, expected);
        }
    }
}

#[test]
fn a_reconnect_that_holds_the_claim_loses_nothing() {
    for reconnect in [SamePair, Chain, Independent] {
        for provider in [GraceTime, GraceUntilUsed, Strict, Refusing] {
            let setting = Setting {
                provider,
                reconnect,
                bounds: Bounds {
                    reconnects: 1,
                    timeouts: u8::MAX,
                    ..NOTHING
                },
                ..DESIGN
            };
            check(&format!("{reconnect:?}"), &setting, unheard(provider));
            let setting = Setting {
                bounds: Bounds {
                    reconnects: 1,
                    ..LOSSES
                },
                ..setting
            };
            // If a callback crashes before its response is in quarantine, the chain is lost.
            let expected = match (reconnect, provider) {
                (Chain, _) => &[Unavoidable],
                _ => unheard(provider),
            };
            check(&format!("{reconnect:?} and losses"), &setting, expected);
        }
    }
}

#[test]
fn a_reconnect_without_the_claim_loses_grants() {
    for (reconnect, provider, expected) in [
        (SamePair, GraceTime, &[Avoidable, Unavoidable][..]),
        (SamePair, GraceUntilUsed, &[Avoidable, Unavoidable]),
        (
            SamePair,
            Strict,
            &[Avoidable, Unavoidable, KnownReuse, Flap],
        ),
        (Chain, GraceTime, &[Flap]),
        (Chain, GraceUntilUsed, &[Flap]),
        (Chain, Strict, &[Avoidable, Unavoidable, KnownReuse, Flap]),
        (Independent, GraceTime, &[]),
        (
            Independent,
            Strict,
            &[Avoidable, Unavoidable, KnownReuse, Flap],
        ),
    ] {
        let setting = Setting {
            provider,
            reconnect,
            bounds: Bounds {
                reconnects: 1,
                timeouts: u8::MAX,
                ..NOTHING
            },
            ..without("hold")
        };
        check(&format!("{reconnect:?} without hold"), &setting, expected);
    }
}

#[test]
fn an_identify_that_fails_needs_the_quarantine() {
    for provider in [GraceTime, GraceUntilUsed, Strict] {
        for (rule, expected) in [("nothing", &[][..]), ("quarantine", &[Unavoidable])] {
            let setting = Setting {
                provider,
                bounds: Bounds {
                    reconnects: 1,
                    identify_failures: 1,
                    ..NOTHING
                },
                ..without(rule)
            };
            check(&format!("identify, without {rule}"), &setting, expected);
        }
    }
}

#[test]
fn a_store_outage_loses_nothing_that_is_not_used_before_it_is_durable() {
    for provider in [Stable, GraceTime, GraceUntilUsed, Strict] {
        for rule in ["nothing", "restraint"] {
            let setting = Setting {
                provider,
                bounds: Bounds {
                    outages: 1,
                    ..LOSSES
                },
                ..without(rule)
            };
            let expected = match (rule, provider) {
                ("restraint", GraceUntilUsed) => &[ServedThenCrashed],
                _ => unheard(provider),
            };
            check(&format!("outage, without {rule}"), &setting, expected);
        }
    }
}

#[test]
fn only_lost_responses_lose_a_grant() {
    let more: [(&str, Setting); 7] = [
        (
            "callers of every kind",
            Setting {
                every_reason: true,
                ..DESIGN
            },
        ),
        (
            "waits that outlast the hold",
            Setting {
                left: Duration::from_secs(15),
                bounds: Bounds {
                    starts: 2,
                    timeouts: 3,
                    ..LOSSES
                },
                ..DESIGN
            },
        ),
        (
            "requests that were not served",
            Setting {
                bounds: Bounds {
                    refusals: 2,
                    ..LOSSES
                },
                ..DESIGN
            },
        ),
        (
            "unknown outcomes of the store",
            Setting {
                bounds: Bounds {
                    unknowns: 2,
                    ..LOSSES
                },
                ..DESIGN
            },
        ),
        (
            "outage and unknown outcome",
            Setting {
                bounds: Bounds {
                    outages: 1,
                    unknowns: 1,
                    timeouts: u8::MAX,
                    ..NOTHING
                },
                ..DESIGN
            },
        ),
        (
            "disconnect",
            Setting {
                bounds: Bounds {
                    disconnects: 1,
                    unknowns: 1,
                    ..LOSSES
                },
                ..DESIGN
            },
        ),
        ("three processes", Setting { nodes: 3, ..DESIGN }),
    ];
    for (name, setting) in more {
        for provider in PROVIDERS {
            check(
                name,
                &Setting {
                    provider,
                    ..setting
                },
                unheard(provider),
            );
        }
    }
}

#[test]
fn after_a_restored_backup_no_spent_token_is_sent() {
    for nodes in [1, 2] {
        for provider in PROVIDERS {
            let setting = Setting {
                nodes,
                provider,
                bounds: Bounds {
                    starts: 4,
                    restores: 1,
                    ..NOTHING
                },
                ..DESIGN
            };
            check(&format!("backup, {nodes} processes"), &setting, &[]);
        }
    }
}

#[test]
fn larger_bounds_change_nothing() {
    #[expect(clippy::disallowed_methods, reason = "selects the long mode")]
    let full = std::env::var("CONNECTORS_SOAK").is_ok_and(|mode| mode == "full");
    let twice = Bounds {
        starts: if full { 5 } else { 4 },
        crashes: 2,
        drops: 2,
        ..LOSSES
    };
    for provider in PROVIDERS {
        let setting = Setting {
            provider,
            bounds: twice,
            ..DESIGN
        };
        check("everything twice", &setting, unheard(provider));
        if full {
            let bounds = Bounds {
                starts: 4,
                ..LOSSES
            };
            let nodes = 3;
            let setting = Setting {
                nodes,
                bounds,
                ..setting
            };
            check("three processes, once more", &setting, unheard(provider));
            let bounds = Bounds {
                outages: 2,
                unknowns: 2,
                ..LOSSES
            };
            let setting = Setting {
                nodes: 2,
                bounds,
                ..setting
            };
            check("two outages, two unknowns", &setting, unheard(provider));
        }
    }
}
