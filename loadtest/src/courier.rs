//! One publisher that waits for each answer: for the closed loop of one broadcast at a time, and for
//! whatever else a publisher asks.

use std::io::{Read, Write};
use std::time::Duration;

use crate::failure::{Failure, While};
use crate::link::Link;
use crate::target::{Order, Receipt, Target};
use crate::wire::{Answer, AnswerReader};

/// An answer takes at most this long.
const PATIENCE: Duration = Duration::from_secs(10);

/// One keep-alive connection.
pub(crate) struct Courier {
    target: Target,
    link: Link,
    reader: AnswerReader,
    request: Vec<u8>,
}

impl Courier {
    /// Connects.
    pub(crate) fn connect(target: &Target) -> Result<Courier, Failure> {
        let link = target.connect_publisher(PATIENCE).while_("connecting a publisher")?;
        Ok(Courier {
            target: target.clone(),
            link,
            reader: AnswerReader::default(),
            request: Vec::new(),
        })
    }

    /// Publishes and waits until the server has it.
    pub(crate) fn publish(&mut self, order: &Order) -> Result<Receipt, Failure> {
        self.target.publish_request(&mut self.request, order);
        self.link.write_all(&self.request).while_("publishing")?;
        let answer = self.answer()?;
        self.target.receipt(&answer).ok_or_else(|| refusal(&answer))
    }

    /// Asks for something else, and waits until it is done.
    pub(crate) fn ask(&mut self, method: &str, path: &str, body: &str) -> Result<(), Failure> {
        self.target.publisher_request(&mut self.request, method, path, body);
        self.link.write_all(&self.request).while_("asking the server")?;
        let answer = self.answer()?;
        if answer.status / 100 == 2 { Ok(()) } else { Err(refusal(&answer)) }
    }

    fn answer(&mut self) -> Result<Answer, Failure> {
        let mut buffer = [0; 16 * 1024];
        loop {
            let length = match self.link.read(&mut buffer) {
                // A signal: what it means is for the scenario to see.
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                read => read.while_("waiting for an answer")?,
            };
            if length == 0 {
                let eof: std::io::Error = std::io::ErrorKind::UnexpectedEof.into();
                return Err(eof).while_("reading an answer");
            }
            if let Some(answer) = self.reader.feed(&buffer[..length])? {
                return Ok(answer);
            }
        }
    }
}

/// An answer that is no receipt.
pub(crate) fn refusal(answer: &Answer) -> Failure {
    Failure::Refused {
        status: answer.status,
        body: String::from_utf8_lossy(&answer.body).into_owned(),
    }
}
