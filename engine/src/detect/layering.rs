//! Layering: several large orders of about one size on levels of one side that come together and go
//! together, with a trade the other way while they stood.

use std::collections::VecDeque;

use crate::detect::finding::{Finding, Kind, Outbox, logistic, ramp};
use crate::detect::loud::{GONE_MAX, Gone, Loud};
use crate::detect::market::Market;
use crate::detect::parameters::{Parameters, ns};
use crate::detect::spoof::{gained, surroundings, weighed};
use crate::events::ASK;

const BIAS: f64 = -8.6;
const FOR: [f64; 7] = [5.2, 2.7, 1.1, 0.6, 4.4, 5.3, 0.7];
const AGAINST: [f64; 6] = [7.4, 6.1, 6.7, 5.3, 0.0, 2.6];

/// Sizes that differ by no more than this are equal: who came between with another is somebody else.
const EQUAL: f64 = 1.15;

/// Those that went with one: same side, about one size, come and gone together; oldest end first.
/// Where enough are of equal size, those alone.
pub fn group(gone: &VecDeque<Gone>, at: usize, parameters: &Parameters) -> Vec<usize> {
    let one = &gone[at];
    let together = ns(parameters.layer_together_ms).unsigned_abs();
    let belongs = |other: &Gone| {
        other.shown.side == one.shown.side
            && other.ended.abs_diff(one.ended) <= together
            && other.shown.opened.abs_diff(one.shown.opened) <= together
            && other.life() > 0
            && within(other.shown.size, one.shown.size, parameters.layer_ratio)
    };
    let loose: Vec<usize> = (0..gone.len().min(GONE_MAX + 1))
        .filter(|&nth| belongs(&gone[nth]))
        .collect();
    let enough = parameters.layer_orders as usize;
    if loose.len() < enough {
        return loose;
    }
    let equal = |of: usize| {
        let size = gone[of].shown.size;
        let others = loose.iter().copied();
        others.filter(move |&nth| within(gone[nth].shown.size, size, EQUAL))
    };
    if equal(at).count() >= enough {
        equal(at).collect()
    } else if loose.iter().any(|&nth| equal(nth).count() >= enough) {
        // Others are of equal size, and this one is none of them.
        vec![at]
    } else {
        loose
    }
}

fn within(one: i64, two: i64, ratio: f64) -> bool {
    one.max(two) as f64 <= ratio * one.min(two) as f64
}

/// True where they are one finding, or would be but for what was told of the same orders before.
pub fn judge(
    loud: &mut Loud,
    group: &[usize],
    market: &Market,
    parameters: &Parameters,
    out: &mut Outbox,
) -> bool {
    let members: Vec<&Gone> = group.iter().map(|&nth| &loud.gone[nth]).collect();
    let Some(first) = members.first() else {
        return false;
    };
    let side = first.shown.side;
    let mut prices: Vec<i64> = members.iter().map(|gone| gone.shown.price).collect();
    prices.sort_unstable();
    prices.dedup();
    let sum = |get: fn(&Gone) -> i64| {
        members
            .iter()
            .map(|gone| get(gone))
            .fold(0, i64::saturating_add)
    };
    let (size, filled) = (sum(|gone| gone.shown.size), sum(|gone| gone.filled));
    if prices.len() < parameters.layer_orders as usize
        || filled as f64 > parameters.spoof_executed * size as f64
    {
        return false;
    }
    let least = |get: fn(&Gone) -> i64| members.iter().map(|gone| get(gone)).min().unwrap_or(0);
    let most = |get: fn(&Gone) -> i64| members.iter().map(|gone| get(gone)).max().unwrap_or(0);
    let opened = (
        least(|gone| gone.shown.opened),
        most(|gone| gone.shown.opened),
    );
    let ended = (least(|gone| gone.ended), most(|gone| gone.ended));
    let sizes = (least(|gone| gone.shown.size), most(|gone| gone.shown.size));
    let together = ns(parameters.layer_together_ms) as f64;
    let span = |(from, to): (i64, i64)| to.saturating_sub(from) as f64 / together;
    let share = |count: usize| count as f64 / members.len() as f64;
    let medians = members.iter().map(|gone| gone.shown.medians).sum::<f64>() / members.len() as f64;
    let tilt: f64 = members.iter().map(|gone| gone.shown.tilt).sum();
    let gained = gained(market, side, opened.0, ended.1);
    let (moved, crowd) = surroundings(market, first);
    // Of the sizes that the layers have.
    let alike = |size: i64| {
        let size = size as f64;
        size * EQUAL >= sizes.0 as f64 && size <= EQUAL * sizes.1 as f64
    };
    let facing = loud
        .gone
        .iter()
        .filter(|gone| {
            gone.shown.side != side
                && gone
                    .ended
                    .abs_diff(ended.0)
                    .min(gone.ended.abs_diff(ended.1))
                    <= 100_000_000
                && alike(gone.shown.size)
        })
        .count();
    let left = loud
        .standing()
        .filter(|shown| {
            shown.side == side
                && shown.opened >= opened.0
                && shown.opened <= opened.1
                && alike(shown.size)
        })
        .count();
    let evidence = vec![
        ("levels", ramp(prices.len() as f64, 2.0, 5.0)),
        (
            "equal sizes",
            ramp(sizes.0 as f64 / sizes.1.max(1) as f64, 0.6, 1.0),
        ),
        ("came together", 1.0 - ramp(span(opened), 0.0, 1.0)),
        ("went together", 1.0 - ramp(span(ended), 0.0, 1.0)),
        ("size", ramp((medians / 2.0).ln(), 0.0, 3.0)),
        ("a trade the other way", gained.passive.max(gained.taken)),
        ("imbalance", ramp(tilt, 0.0, 0.2)),
    ];
    let against = vec![
        (
            "quoted anew",
            share(members.iter().filter(|gone| gone.again).count()),
        ),
        (
            "itself a renewal",
            share(members.iter().filter(|gone| gone.shown.renewed).count()),
        ),
        ("both sides went", ramp(share(facing), 0.0, 0.6)),
        (
            "more went at once",
            ramp(crowd - (members.len() as f64).ln() / 3.0, 0.0, 0.5),
        ),
        ("the price went away", ramp(-moved, 0.0, 3.0)),
        ("some stayed", ramp(share(left), 0.0, 0.5)),
    ];
    // Who quotes anew means it; a spoofer has a small order on the other side, not as many as large.
    let honest = against[..3]
        .iter()
        .map(|(_, part)| 1.0 - 0.8 * part)
        .product::<f64>();
    let score = honest * logistic(BIAS + weighed(&evidence, &FOR) - weighed(&against, &AGAINST));
    if score < parameters.layer_threshold {
        return false;
    }
    if parameters.layer_threshold > 0.0 && loud.is_told(side, opened.0, ended.1) {
        return true;
    }
    let mut finding = Finding::new(Kind::Layering, side);
    (finding.began, finding.ended) = (opened.0, ended.1);
    finding.began_seq = least(|gone| gone.shown.opened_seq);
    finding.price_low = prices[0];
    finding.price_high = prices[prices.len() - 1];
    (finding.size, finding.filled) = (size, filled);
    finding.score = score;
    (finding.evidence, finding.against) = (evidence, against);
    finding.order_ids = members.iter().map(|gone| gone.shown.id).collect();
    finding.orders = members.len() as u64;
    out.tell(finding);
    loud.told[usize::from(side == ASK)] = (opened.0, ended.1);
    true
}
