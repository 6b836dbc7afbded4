//! What every part of a run is handed: the flags that all scenarios share, when to stop, and who
//! looks on.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::cli::Common;
use crate::clock;
use crate::dialect::{Dialect, DialectSource};
use crate::facts::Facts;
use crate::failure::{Failure, While};
use crate::monitor::Monitor;
use crate::samples::Sample;
use crate::signer::Signer;
use crate::stop::Stop;
use crate::timeline::Timeline;

/// One run of the program.
pub(crate) struct Run {
    /// The flags.
    pub(crate) common: Common,
    /// Signs the tokens that the server is asked with, if they are not the dialect's.
    pub(crate) signer: Option<Signer>,
    /// When to end early.
    pub(crate) stop: Stop,
    /// Shows how it goes, and samples it for the page.
    pub(crate) monitor: Monitor,
    /// Latencies for the page.
    pub(crate) story: Arc<Story>,
    /// Its circumstances.
    pub(crate) facts: Facts,
}

/// The latencies of all fleets of a run, by time.
pub(crate) struct Story {
    start: u64,
    wanted: bool,
    timeline: Mutex<Option<Timeline>>,
}

impl Run {
    /// Begins, with `stop` to say when it has to end.
    pub(crate) fn start(common: &Common, stop: Stop) -> Result<Run, Failure> {
        common.check()?;
        if let Some(directory) = &common.report {
            std::fs::create_dir_all(directory).while_("making the page's directory")?;
        }
        let signer = common.jwt.map(|jwt| match &common.jwt_key {
            Some(path) => Signer::from_file(jwt, path),
            None => Signer::draw(jwt),
        });
        let start = clock::now();
        let (wanted, timeline) = (common.report.is_some(), Mutex::default());
        Ok(Run {
            common: common.clone(),
            signer: signer.transpose()?,
            stop,
            monitor: Monitor::start(start, !common.quiet)?,
            story: Arc::new(Story { start, wanted, timeline }),
            facts: Facts::now(),
        })
    }

    /// How a server is asked, with tokens for so many users.
    pub(crate) fn dialect(
        &self,
        source: &DialectSource,
        users: usize,
    ) -> Result<Arc<Dialect>, Failure> {
        let dialect = Dialect::load(source)?;
        match &self.signer {
            Some(signer) => dialect.signed(signer, users).map(Arc::new),
            None => Ok(Arc::new(dialect)),
        }
    }

    /// When it has to end if nothing is said: `--time-limit`.
    pub(crate) fn limit(common: &Common) -> Duration {
        Duration::from_secs_f64(common.time_limit)
    }

    /// Ends the looking on, and tells what was seen.
    pub(crate) fn finish(self) -> (Facts, Vec<Sample>, Option<Timeline>) {
        let timeline = self.story.take();
        (self.facts, self.monitor.finish(), timeline)
    }
}

impl Story {
    /// A timeline to record in, if a page is wanted.
    pub(crate) fn timeline(&self) -> Option<Timeline> {
        self.wanted.then(|| Timeline::new(self.start))
    }

    /// Adds what was recorded.
    pub(crate) fn add(&self, timeline: Timeline) {
        let mut sum = self.timeline.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *sum {
            Some(sum) => sum.add(&timeline),
            none => *none = Some(timeline),
        }
    }

    fn take(&self) -> Option<Timeline> {
        self.timeline.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
