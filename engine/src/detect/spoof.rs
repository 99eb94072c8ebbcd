//! Spoof-like: one large order that is shown, not meant to trade, and withdrawn, with what makes it likely
//! that somebody gained by it.  Public feeds carry no trader, so this is never more than likely.

use crate::detect::finding::{Finding, Kind, Outbox, Parts, logistic, ramp};
use crate::detect::loud::{Gone, Loud};
use crate::detect::market::{Market, Traded, other};
use crate::detect::parameters::Parameters;
use crate::detect::rates::bucket;
use crate::events::{ASK, NULL};
use crate::ids::Id;

/// Trades that are looked at behind an order's end.
const TRADES_LOOKED: usize = 128;
const SECOND: f64 = 1e9;

/// What parts weigh at a quarter, a half, three quarters and all of their range, straight between; by
/// logistic regression over simulated markets of the tuning seeds, each ever more or ever less.
const BIAS: f64 = -16.4;
const FOR: [[f64; 4]; 10] = [
    [0.5, 0.5, 0.5, 1.2],
    [2.8, 3.0, 3.3, 3.6],
    [5.5, 6.8, 9.3, 11.2],
    [2.8; 4],
    [3.7; 4],
    [1.3, 3.1, 3.1, 3.1],
    [0.1, 0.8, 1.3, 1.6],
    [1.1, 1.5, 1.5, 1.9],
    [0.2; 4],
    [0.7; 4],
];
const AGAINST: [[f64; 4]; 9] = [
    [6.3; 4],
    [4.7; 4],
    [3.2, 4.4, 4.4, 6.7],
    [0.8, 1.0, 2.7, 3.7],
    [0.1, 0.2, 0.2, 0.2],
    [0.0, 6.8, 10.9, 13.7],
    [0.0, 0.0, 0.0, 0.5],
    [0.6; 4],
    [0.5; 4],
];

/// What was traded on the other side while orders stood.
pub struct Gained {
    /// How unlikely a fill of a younger order so shortly before the end is, 0 to 1.
    pub passive: f64,
    /// The same for a trade of who took from the side that was shown.
    pub taken: f64,
    pub order: Option<Id>,
    /// Of the order that was filled: whether wholly, its size.
    pub whole: bool,
    pub size: i64,
}

/// `-ln` of the probability of something of this rate (a second) in this time (ns), as 0 to 1.
pub fn surprise(rate: f64, time: i64) -> f64 {
    let expected = rate * (time as f64 / SECOND + 0.02);
    ramp(-(-(-expected).exp_m1()).max(1e-9).ln(), 0.0, 8.0)
}

pub fn gained(market: &Market, side: u8, opened: i64, ended: i64) -> Gained {
    let mut found = Gained {
        passive: 0.0,
        taken: 0.0,
        order: None,
        whole: false,
        size: 0,
    };
    let age = ended.saturating_sub(opened);
    let mut taken = false;
    for trade in market.trades.iter().rev().take(TRADES_LOOKED) {
        if trade.ts < opened {
            break;
        }
        if trade.ts > ended {
            continue;
        }
        let before = ended.saturating_sub(trade.ts);
        if trade.side != side && found.order.is_none() && trade.opened > opened {
            // As much as its taker took is seldom taken: that counts, too.
            let of_it = |one: &&Traded| (one.ts, one.side) == (trade.ts, trade.side);
            let near = market.trades.iter().rev().take(TRADES_LOOKED).filter(of_it);
            let taken = near.fold(0, |sum: i64, one| sum.saturating_add(one.size));
            let rate = market.fill_rate(other(side), age) * market.volumes.above(taken);
            found.passive = surprise(rate, before);
            found.order = Some(trade.id);
            (found.whole, found.size) = (trade.whole, trade.size);
        } else if trade.side == side && !taken {
            found.taken = surprise(market.fill_rate(side, i64::MAX), before);
            taken = true;
        }
    }
    found
}

/// Trades so long before the end count (ns).
const SERVED_NS: i64 = 1_500_000_000;
/// A withdrawal follows the trade that it waited for within this (ns), as likely within each multiple
/// of a time as within the next; hardly later.
const FOLLOWS_NS: (f64, f64) = (15e6, 550e6);

/// How many times a second a withdrawal follows so long behind its trade.
fn follows(delay: i64) -> f64 {
    let (least, most) = FOLLOWS_NS;
    let delay = (delay as f64).max(least);
    let share = if delay <= most { 1.0 } else { 0.05 };
    share * SECOND / (delay * ((most / least).ln() + 1.0))
}

/// The order of the other side that may have been the true one.
#[derive(Default)]
pub struct Served {
    /// How many times likelier than by chance orders of its age are filled so shortly before the end.
    pub likelier: f64,
    /// The share of that which the likeliest has.
    best: f64,
    pub whole: bool,
    pub joined: bool,
    pub size: i64,
    /// From its fill to the last fill of that side (ns).
    pub since: i64,
}

/// Orders that came while one of the other side stood, and were filled shortly before its end.
pub fn served(market: &Market, shown_side: u8, opened: i64, ended: i64) -> Served {
    let mut found = Served::default();
    let mut last = NULL;
    let life = ended.saturating_sub(opened);
    for trade in market.trades.iter().rev().take(TRADES_LOOKED) {
        let before = ended.saturating_sub(trade.ts);
        if trade.ts < opened || before > SERVED_NS {
            break;
        }
        if trade.ts > ended || trade.side == shown_side {
            continue;
        }
        last = last.max(trade.ts);
        if trade.opened <= opened {
            continue;
        }
        let age = trade.ts.saturating_sub(trade.opened);
        let rate = market.fill_rate(trade.side, i64::MAX).max(0.002);
        let whole = if trade.whole { 1.0 } else { 0.15 };
        let likelier = whole * follows(before) / rate * market.aged(age, life);
        found.likelier += likelier;
        if likelier > found.best {
            found = Served {
                likelier: found.likelier,
                best: likelier,
                whole: trade.whole,
                joined: trade.joined,
                size: trade.size,
                since: last.saturating_sub(trade.ts),
            };
        }
    }
    found
}

/// Of several orders of a side: how far the mid went their way while they stood (in its usual moves of
/// that time), and how many more orders of the side than usual went with them.
pub fn surroundings(market: &Market, gone: &Gone) -> (f64, f64) {
    let shown = &gone.shown;
    let sign = if shown.side == ASK { -1.0 } else { 1.0 };
    let looked = gone.life().min(2_000_000_000);
    let then = if gone.life() > looked {
        market.mid_then(shown.opened.saturating_add(looked))
    } else {
        gone.mid
    };
    let moved = if then == NULL || shown.mid == NULL || market.swing <= 0.0 {
        0.0
    } else {
        let usual = market.swing * (looked as f64 / SECOND).max(0.1).sqrt();
        sign * (then as f64 - shown.mid as f64) / usual
    };
    let span = 60_000_000;
    let (from, to) = (
        gone.ended.saturating_sub(span),
        gone.ended.saturating_add(span),
    );
    let (canceled, _) = market.moved(shown.side, from, to);
    let usual = market.cancel_rate(shown.side) * 2.0 * span as f64 / SECOND;
    let crowd = (f64::from(canceled) + 1.0) / (usual + 2.0);
    (moved, ramp(crowd.ln(), 0.0, 3.0))
}

fn parts(loud: &Loud, gone: &Gone, market: &Market) -> (Parts, Parts) {
    let shown = &gone.shown;
    let served = served(market, shown.side, shown.opened, gone.ended);
    let taken = gained(market, shown.side, shown.opened, gone.ended).taken;
    let (moved, crowd) = surroundings(market, gone);
    let near = gone.touch != NULL && bucket(gone.touch, gone.price) <= 1;
    let larger = if served.size > 0 {
        ramp((shown.size as f64 / served.size as f64).ln(), 0.0, 4.0)
    } else {
        0.0
    };
    let yes = |holds: bool| f64::from(u8::from(holds));
    let behind = shown.behind_bp;
    let evidence = vec![
        ("size", ramp((shown.medians / 5.0).ln(), 0.0, 3.0)),
        ("share of the depth", ramp(shown.share, 0.0, 0.5)),
        (
            "a fill on the other side",
            ramp((served.likelier + 1e-3).ln(), -2.0, 8.0),
        ),
        ("filled wholly", yes(served.whole)),
        ("joined the best price", yes(served.joined)),
        ("much larger than it", larger),
        ("a trade the other way", taken),
        ("came alone", 1.0 - ramp(shown.company, 0.0, 3.0)),
        ("the price went its way", ramp(moved, 0.0, 3.0)),
        ("repeated", ramp(f64::from(loud.repeated(gone)), 0.0, 3.0)),
    ];
    let against = vec![
        ("quoted anew", yes(gone.again)),
        ("itself a renewal", yes(shown.renewed)),
        ("many are of its size", ramp(shown.common.ln(), 0.0, 3.0)),
        ("many went at once", crowd),
        (
            "others were filled since",
            ramp(served.since as f64, 0.0, 4e8),
        ),
        ("far from the touch", ramp(behind, 0.0, 50.0)),
        ("the price went away", ramp(-moved, 0.0, 3.0)),
        ("stood where it might trade", yes(near)),
        ("its end is not explained", yes(gone.unexplained)),
    ];
    (evidence, against)
}

fn bent(parts: &Parts, weights: &[[f64; 4]]) -> f64 {
    let one = |part: f64, weights: &[f64; 4]| {
        let place = part.clamp(0.0, 1.0) * 4.0;
        let nth = (place as usize).min(3);
        let before = if nth == 0 { 0.0 } else { weights[nth - 1] };
        before + (weights[nth] - before) * (place - nth as f64)
    };
    let parts = parts.iter().zip(weights);
    parts.map(|((_, part), weights)| one(*part, weights)).sum()
}

pub fn weighed(parts: &Parts, weights: &[f64]) -> f64 {
    parts
        .iter()
        .zip(weights)
        .map(|((_, part), weight)| part * weight)
        .sum()
}

pub fn judge(
    loud: &mut Loud,
    at: usize,
    market: &Market,
    parameters: &Parameters,
    out: &mut Outbox,
) {
    let gone = &loud.gone[at];
    let shown = &gone.shown;
    let executed = gone.filled as f64 > parameters.spoof_executed * shown.size as f64;
    let touch = if shown.mid == NULL {
        shown.price
    } else {
        shown.mid / 2
    };
    let far = touch.abs_diff(shown.price) as f64 * 1e4
        > parameters.spoof_distance_bp * touch.unsigned_abs() as f64;
    if !gone.is_large(parameters) || executed || far || shown.share < parameters.spoof_share {
        return;
    }
    let (evidence, against) = parts(loud, gone, market);
    let score = logistic(BIAS + bent(&evidence, &FOR) - bent(&against, &AGAINST));
    let everything = parameters.spoof_threshold <= 0.0;
    if score < parameters.spoof_threshold
        || !everything && loud.is_told(shown.side, shown.opened, gone.ended)
    {
        return;
    }
    let mut finding = Finding::new(Kind::SpoofLike, shown.side);
    (finding.began, finding.began_seq) = (shown.opened, shown.opened_seq);
    finding.ended = gone.ended;
    finding.price_low = shown.price.min(gone.price);
    finding.price_high = shown.price.max(gone.price);
    (finding.size, finding.filled) = (shown.size, gone.filled);
    finding.score = score;
    (finding.evidence, finding.against) = (evidence, against);
    finding.order_ids = vec![shown.id];
    finding.orders = 1;
    let told = (shown.opened, gone.ended);
    let side = usize::from(shown.side == ASK);
    out.tell(finding);
    loud.told[side] = told;
}
