//! What is counted while the server runs, for Prometheus.
//!
//! No label holds anything that a client has written: their number stays small, and nothing that
//! must not be told gets here.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// What [`Metrics::text`] is (OpenMetrics 1.0, which Prometheus and its kin read).
pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// How long streams live, in seconds: a request that was refused too late, a page that was closed, an
/// hour's token, a day.
const LIVES: [f64; 8] = [1.0, 10.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0, 86_400.0];

/// Counts.
pub struct Metrics {
    registry: Registry,
    streams_opened: Counter,
    streams_ended: Family<Ended, Counter>,
    stream_life: Histogram,
    published: Family<Published, Counter>,
    deliveries: Counter,
    delivered_bytes: Counter,
    answers: Family<Answered, Counter>,
    credentials_refused: Counter,
    webhook_events: Family<Told, Counter>,
    webhook_attempts_failed: Counter,
    webhook_events_waiting: Gauge,
    streams: Gauge,
    memory: Gauge,
    processor: Counter<f64, AtomicU64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Published {
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Told {
    outcome: &'static str,
}

/// What a shard has delivered since it last told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deliveries {
    /// Events, each once for every stream that got it.
    pub events: u64,
    /// Their bytes as they were written.
    pub bytes: u64,
}

/// What the process is like at this moment.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Streams that are admitted.
    pub streams: usize,
    /// Events that the log has taken since the start.
    pub kept: u64,
    /// Resident memory, in bytes.
    pub memory: u64,
    /// Processor time used since the start.
    pub processor: Duration,
}

impl Default for Metrics {
    fn default() -> Metrics {
        let mut metrics = Metrics {
            registry: Registry::default(),
            streams_opened: Counter::default(),
            streams_ended: Family::default(),
            stream_life: Histogram::new(LIVES),
            published: Family::default(),
            deliveries: Counter::default(),
            delivered_bytes: Counter::default(),
            answers: Family::default(),
            credentials_refused: Counter::default(),
            webhook_events: Family::default(),
            webhook_attempts_failed: Counter::default(),
            webhook_events_waiting: Gauge::default(),
            streams: Gauge::default(),
            memory: Gauge::default(),
            processor: Counter::default(),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        let rill = self.registry.sub_registry_with_prefix("rill");
        rill.register("streams", "Streams that are open", self.streams.clone());
        rill.register("streams_opened", "Streams that began", self.streams_opened.clone());
        rill.register("streams_ended", "Streams that ended, by reason", self.streams_ended.clone());
        rill.register("stream_seconds", "How long streams lived", self.stream_life.clone());
        rill.register("events_published", "Events taken, kept or not", self.published.clone());
        rill.register("deliveries", "Events written to streams", self.deliveries.clone());
        rill.register("delivered_bytes", "Bytes of those events", self.delivered_bytes.clone());
        rill.register("answers", "Answers that are no streams, by status", self.answers.clone());
        let refused = self.credentials_refused.clone();
        rill.register("credentials_refused", "Credentials that were not valid", refused);
        let events = self.webhook_events.clone();
        rill.register("webhook_events", "Events for the webhook, by what became of them", events);
        let failed = self.webhook_attempts_failed.clone();
        rill.register("webhook_attempts_failed", "Webhook requests that failed", failed);
        let waiting = self.webhook_events_waiting.clone();
        rill.register("webhook_events_waiting", "Events that wait for the webhook", waiting);
        // Under the names that every dashboard knows.
        let process = self.registry.sub_registry_with_prefix("process");
        process.register("resident_memory_bytes", "Resident memory", self.memory.clone());
        process.register("cpu_seconds", "Processor time used", self.processor.clone());
    }

    /// Streams began.
    pub fn streams_opened(&self, count: u64) {
        self.streams_opened.inc_by(count);
    }

    /// A stream has ended.
    pub fn stream_ended(&self, reason: &'static str, life: Duration) {
        self.streams_ended.get_or_create(&Ended { reason }).inc();
        self.stream_life.observe(life.as_secs_f64());
    }

    /// An event was taken that is not kept.
    pub fn published_ephemeral(&self) {
        self.published.get_or_create(&Published { kind: "ephemeral" }).inc();
    }

    /// A shard has delivered events.
    pub fn delivered(&self, deliveries: Deliveries) {
        self.deliveries.inc_by(deliveries.events);
        self.delivered_bytes.inc_by(deliveries.bytes);
    }

    /// A request was answered, and not with a stream.
    pub fn answered(&self, status: u16) {
        self.answers.get_or_create(&Answered { status }).inc();
    }

    /// A credential was refused.
    pub fn credential_refused(&self) {
        self.credentials_refused.inc();
    }

    /// The webhook's receiver has taken events.
    pub fn webhook_delivered(&self, events: u64) {
        self.webhook_events.get_or_create(&Told { outcome: "delivered" }).inc_by(events);
    }

    /// The webhook's receiver has not taken events for so long that they are given up.
    pub fn webhook_given_up(&self, events: u64) {
        self.webhook_events.get_or_create(&Told { outcome: "given_up" }).inc_by(events);
    }

    /// The webhook's receiver has not taken a request, or not in time.
    pub fn webhook_failed(&self) {
        self.webhook_attempts_failed.inc();
    }

    /// So many events wait for the webhook.
    pub fn webhook_waiting(&self, events: usize) {
        self.webhook_events_waiting.set(events as i64);
    }

    /// All of it as [`MEDIA_TYPE`].
    pub fn text(&self, now: Now) -> String {
        self.streams.set(now.streams as i64);
        self.memory.set(now.memory as i64);
        let kept = self.published.get_or_create_owned(&Published { kind: "kept" });
        kept.inner().store(now.kept, Ordering::Relaxed);
        let seconds = now.processor.as_secs_f64();
        self.processor.inner().store(seconds.to_bits(), Ordering::Relaxed);
        let mut text = String::new();
        // Writing to a text cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_told() {
        let metrics = Metrics::default();
        metrics.streams_opened(1);
        metrics.stream_ended("left", Duration::from_secs(2));
        metrics.published_ephemeral();
        metrics.delivered(Deliveries { events: 7, bytes: 700 });
        metrics.answered(401);
        metrics.credential_refused();
        metrics.webhook_delivered(5);
        metrics.webhook_given_up(2);
        metrics.webhook_failed();
        metrics.webhook_waiting(9);
        let processor = Duration::from_millis(1_500);
        let text = metrics.text(Now { streams: 3, kept: 1, memory: 4_096, processor });
        for line in [
            "rill_streams 3",
            "rill_streams_opened_total 1",
            "rill_streams_ended_total{reason=\"left\"} 1",
            "rill_stream_seconds_bucket{le=\"1.0\"} 0",
            "rill_stream_seconds_bucket{le=\"10.0\"} 1",
            "rill_events_published_total{kind=\"kept\"} 1",
            "rill_events_published_total{kind=\"ephemeral\"} 1",
            "rill_deliveries_total 7",
            "rill_delivered_bytes_total 700",
            "rill_answers_total{status=\"401\"} 1",
            "rill_credentials_refused_total 1",
            "rill_webhook_events_total{outcome=\"delivered\"} 5",
            "rill_webhook_events_total{outcome=\"given_up\"} 2",
            "rill_webhook_attempts_failed_total 1",
            "rill_webhook_events_waiting 9",
            "process_resident_memory_bytes 4096",
            "process_cpu_seconds_total 1.5",
            "# EOF",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
    }
}
