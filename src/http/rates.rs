//! How often one address or one user may do something.
//!
//! Each limit is a bucket that holds as many as its rate counts and fills again evenly, as governor
//! keeps them (the generic cell rate algorithm): at first all may come at once.

mod limit;
mod rate;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock, Reference};
use parking_lot::Mutex;
use thiserror::Error;

use crate::event::Name;
use limit::Limit;
pub use rate::{NotARate, Period, Rate};

/// The part of an IPv6 address that one client cannot choose: a whole /64 is his.
const NETWORK: u128 = u128::MAX << 64;

/// What an operator decides; `None` is no limit.
#[derive(Clone, Copy, Debug, Default)]
pub struct Settings {
    /// Streams that an address may ask for.
    pub connects: Option<Rate>,
    /// Bad credentials that may come from an address.
    pub failed_credentials: Option<Rate>,
    /// Events that a user may publish.
    pub publishes: Option<Rate>,
    /// Bytes that a user may publish.
    pub bytes: Option<Rate>,
}

/// What is counted. Its name is the one it is configured by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// `connects`
    Connects,
    /// `failed_credentials`
    FailedCredentials,
    /// `publishes`
    Publishes,
    /// `bytes`
    Bytes,
}

impl Policy {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Policy::Connects => "connects",
            Policy::FailedCredentials => "failed_credentials",
            Policy::Publishes => "publishes",
            Policy::Bytes => "bytes",
        }
    }
}

/// More than a rate allows.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("More {} than {rate} came from here.", policy.as_str().replace('_', " "))]
pub struct Exceeded {
    /// What there was too much of.
    pub policy: Policy,
    /// What is allowed.
    pub rate: Rate,
    /// How long to wait before trying again.
    pub retry_after: Duration,
}

/// Counts what comes from whom. The clock is a parameter so that tests need not wait.
pub struct Rates<C: Clock = DefaultClock> {
    connects: Option<Limit<IpAddr, C>>,
    failed: Option<Limit<IpAddr, C>>,
    publishes: Option<Limit<Name, C>>,
    bytes: Option<Limit<Name, C>>,
    /// Addresses whose credentials are not looked at, and until when.
    shut_out: Mutex<HashMap<IpAddr, C::Instant>>,
    clock: C,
}

impl<C: Clock + Clone> Rates<C> {
    /// Nothing has come yet.
    pub fn new(settings: Settings, clock: C) -> Rates<C> {
        let Settings { connects, failed_credentials, publishes, bytes } = settings;
        Rates {
            connects: connects.map(|rate| Limit::new(Policy::Connects, rate, &clock)),
            failed: failed_credentials
                .map(|rate| Limit::new(Policy::FailedCredentials, rate, &clock)),
            publishes: publishes.map(|rate| Limit::new(Policy::Publishes, rate, &clock)),
            bytes: bytes.map(|rate| Limit::new(Policy::Bytes, rate, &clock)),
            shut_out: Mutex::default(),
            clock,
        }
    }

    /// An address asks for a stream. Without an address there is no limit.
    pub fn connect(&self, address: Option<IpAddr>) -> Result<(), Exceeded> {
        match (&self.connects, address) {
            (Some(limit), Some(address)) => limit.take(&client(address), 1),
            _ => Ok(()),
        }
    }

    /// A user publishes an event.
    pub fn publish(&self, user: &Name) -> Result<(), Exceeded> {
        self.publishes.as_ref().map_or(Ok(()), |limit| limit.take(user, 1))
    }

    /// A user publishes so many bytes.
    pub fn bytes(&self, user: &Name, count: usize) -> Result<(), Exceeded> {
        self.bytes.as_ref().map_or(Ok(()), |limit| limit.take(user, count))
    }

    /// A bad credential came from an address. When it was one too many, [`Rates::may_try`] refuses
    /// what comes next.
    pub fn failed(&self, address: Option<IpAddr>) -> Result<(), Exceeded> {
        let (Some(limit), Some(address)) = (&self.failed, address) else { return Ok(()) };
        let client = client(address);
        limit.take(&client, 1).inspect_err(|exceeded| {
            let until = self.clock.now() + exceeded.retry_after.into();
            self.shut_out.lock().insert(client, until);
        })
    }

    /// Whether a credential from this address is looked at. To be asked before it is verified, so
    /// that a flood of bad ones costs no signature checks.
    pub fn may_try(&self, address: Option<IpAddr>) -> Result<(), Exceeded> {
        let (Some(limit), Some(address)) = (&self.failed, address) else { return Ok(()) };
        let until = self.shut_out.lock().get(&client(address)).copied();
        let now = self.clock.now();
        match until {
            Some(until) if until > now => Err(limit.exceeded(until.duration_since(now).into())),
            _ => Ok(()),
        }
    }

    /// Forgets whoever has waited long enough. To be called now and then: until then each address
    /// and user takes some memory.
    pub fn tidy(&self) {
        let of_addresses = [&self.connects, &self.failed];
        of_addresses.into_iter().flatten().for_each(Limit::tidy);
        let of_users = [&self.publishes, &self.bytes];
        of_users.into_iter().flatten().for_each(Limit::tidy);
        let now = self.clock.now();
        let mut shut_out = self.shut_out.lock();
        shut_out.retain(|_, until| *until > now);
        shut_out.shrink_to_fit();
    }
}

/// What of an address stands for one client.
pub(super) fn client(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & NETWORK).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests;
