//! Every threshold and window of the detectors, by name.

macro_rules! parameters {
    ($($(#[doc = $doc:literal])* $name:ident = $value:expr;)*) => {
        /// Times are milliseconds; sizes multiples of the usual; thresholds of scores 0 to 1.
        #[derive(Clone, Debug)]
        pub struct Parameters {
            $($(#[doc = $doc])* pub $name: f64,)*
        }

        impl Default for Parameters {
            fn default() -> Self {
                Self { $($name: $value,)* }
            }
        }

        impl Parameters {
            pub fn named(&self) -> Vec<(&'static str, f64)> {
                vec![$((stringify!($name), self.$name),)*]
            }

            /// False where nothing has that name.
            pub fn set(&mut self, name: &str, value: f64) -> bool {
                match name {
                    $(stringify!($name) => self.$name = value,)*
                    _ => return false,
                }
                true
            }
        }
    };
}

parameters! {
    /// A refresh comes so soon behind the fill that used up what was shown.
    iceberg_refresh_ms = 50.0;
    /// Refreshes that are needed where the venue says that the owner amended, or a fill was concluded.
    iceberg_soft_refreshes = 3.0;
    /// An iceberg that does not show its next peak within this has been executed.
    iceberg_over_ms = 250.0;
    /// A score from here on is told.
    iceberg_threshold = 0.5;
    /// The next tranche comes so soon behind the fill of the last.
    chain_delay_ms = 300.0;
    /// A venue holds an order without keeping its id where the next comes within this.
    chain_venue_ms = 5.0;
    /// How many times likelier than others an order of the size that was filled comes behind a trade.
    chain_cluster = 1.5;
    /// Tranches that make a chain.
    chain_tranches = 3.0;
    /// Sizes of tranches differ by at most this share.
    chain_size = 0.02;
    chain_threshold = 0.5;
    /// A large order is so many times the median of those at its distance.
    spoof_median = 5.0;
    /// The share of what rests within ten basis points of its side's touch that it has.
    spoof_share = 0.09;
    /// How far behind the touch it may be shown (basis points).
    spoof_distance_bp = 50.0;
    spoof_life_min_ms = 50.0;
    spoof_life_max_ms = 60_000.0;
    /// The share of it that may have traded.
    spoof_executed = 0.05;
    /// How long nothing is said behind the end of an order: it may be quoted anew.
    spoof_wait_ms = 200.0;
    /// The same where the venue did not say why it ended: a trade may explain it.
    spoof_unknown_wait_ms = 1_000.0;
    /// An order of the same size within this is the same quote, renewed.
    spoof_renewed_ms = 1_000.0;
    /// That of the budget of false alarms, half a one an hour.
    spoof_threshold = 0.85;
    /// Orders of a layering are so many times the median at least.
    layer_median = 2.0;
    /// They come within this, and go within this.
    layer_together_ms = 1_000.0;
    /// The largest is at most so many times the smallest.
    layer_ratio = 1.6;
    layer_orders = 3.0;
    layer_threshold = 0.5;
    /// Deviations (of the median kind) above the median rate of messages.
    stuffing_deviations = 8.0;
    /// Messages a second below which nobody is stuffed.
    stuffing_rate_min = 200.0;
    /// Cancels an add.
    stuffing_cancels = 0.9;
    stuffing_trades_max = 0.02;
    /// Share of the messages that few signatures of price and size have.
    stuffing_concentration = 0.5;
    /// The share that short lives have, instead: orders that a venue rejects live shortly, too.
    stuffing_short = 0.8;
    /// A life as short as this is short.
    stuffing_life_ms = 50.0;
    /// How much of a second must be so.
    stuffing_share = 0.8;
    /// Bursts closer than this are one.
    stuffing_merge_ms = 2_000.0;
    stuffing_threshold = 0.75;
    /// Aggressive trades of one side in a row, in so much time.
    ignition_trades = 4.0;
    ignition_burst_ms = 3_000.0;
    /// The way back begins within this.
    ignition_back_ms = 5_000.0;
    /// What comes back is at least this share of what went.
    ignition_back = 0.2;
    ignition_threshold = 0.65;
}

/// Milliseconds as nanoseconds.
pub fn ns(milliseconds: f64) -> i64 {
    (milliseconds * 1e6) as i64
}
