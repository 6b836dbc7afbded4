//! One stream, read by a thread that has nothing else to do: for the scenarios that look at every
//! event.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use crate::failure::{Failure, While};
use crate::link::Link;
use crate::stamp::Stamp;
use crate::stop::Stop;
use crate::target::Target;
use crate::wire::{Event, Item, StreamReader};

/// How long a read may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a whole replay may take.
const LIMIT: Duration = Duration::from_secs(60);

/// What a stream sent after `connected`.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    /// Ids and stamps, in order.
    pub(crate) events: Vec<(String, Stamp)>,
    /// What `gap` events said.
    pub(crate) gaps: Vec<String>,
}

/// The cursor at which a new stream of `user` starts.
pub(crate) fn head(target: &Target, user: u32, stop: &Stop) -> Result<Vec<u8>, Failure> {
    let mut head = Vec::new();
    listen(target, user, b"", stop, |event| {
        head = event.id.unwrap_or_default().to_vec();
        event.kind == b"connected"
    })?;
    Ok(head)
}

/// Everything after `cursor` up to the event `last`.
pub(crate) fn replay(
    target: &Target,
    user: u32,
    cursor: &[u8],
    last: Stamp,
    stop: &Stop,
) -> Result<Replay, Failure> {
    let mut replay = Replay::default();
    listen(target, user, cursor, stop, |event| {
        let data = event.data.as_deref().unwrap_or_default();
        if event.kind == b"gap" {
            replay.gaps.push(String::from_utf8_lossy(data).into_owned());
        }
        let Some(stamp) = Stamp::find(data) else { return false };
        let id = String::from_utf8_lossy(event.id.unwrap_or_default()).into_owned();
        replay.events.push((id, stamp));
        stamp == last
    })?;
    Ok(replay)
}

/// Asks for a stream of `user` from after `cursor`, on a connection that blocks.
pub(crate) fn ask(target: &Target, user: u32, cursor: &[u8]) -> Result<Link, Failure> {
    let mut link = target.connect_listener(PATIENCE).while_("connecting a stream")?;
    let mut request = Vec::new();
    target.stream_request(&mut request, user as usize, cursor);
    link.write_all(&request).while_("opening a stream")?;
    Ok(link)
}

/// Reads a stream until `done` says so.
fn listen(
    target: &Target,
    user: u32,
    cursor: &[u8],
    stop: &Stop,
    mut done: impl FnMut(&Event<'_>) -> bool,
) -> Result<(), Failure> {
    let mut link = ask(target, user, cursor)?;
    let (mut reader, mut buffer, end) =
        (StreamReader::default(), vec![0; 64 * 1024], Instant::now() + LIMIT);
    let (mut found, mut over) = (false, false);
    while !found {
        stop.check()?;
        let length = link.read(&mut buffer).while_("reading a stream")?;
        if length == 0 || over || Instant::now() > end {
            let broken = std::io::Error::other(
                "it ended, or went on for too long, before the event that was waited for",
            );
            return Err(broken).while_("reading a stream");
        }
        reader.feed(&buffer[..length], &mut |item| match item {
            Item::Event(event) => found = found || done(&event),
            Item::Head | Item::Comment => {}
            Item::End => over = true,
        })?;
    }
    Ok(())
}
