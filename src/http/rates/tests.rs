//! The rates, with the clock in hand.

use super::*;
use governor::clock::FakeRelativeClock;

fn ip(text: &str) -> Option<IpAddr> {
    Some(text.parse().expect("an address"))
}

fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

fn rate(text: &str) -> Option<Rate> {
    Some(text.parse().expect("a rate"))
}

fn rates(settings: Settings) -> (Rates<FakeRelativeClock>, FakeRelativeClock) {
    let clock = FakeRelativeClock::default();
    (Rates::new(settings, clock.clone()), clock)
}

/// How long a refused one has to wait, in milliseconds.
fn wait(result: Result<(), Exceeded>) -> Option<u128> {
    result.err().map(|exceeded| exceeded.retry_after.as_millis())
}

#[test]
fn nothing_is_limited_until_it_is_configured() {
    let rates = Rates::new(Settings::default(), DefaultClock::default());
    for _ in 0..1000 {
        assert!(rates.connect(ip("1.2.3.4")).is_ok() && rates.failed(ip("1.2.3.4")).is_ok());
        assert!(rates.publish(&name("ann")).is_ok());
        assert!(rates.bytes(&name("ann"), usize::MAX).is_ok());
    }
    assert!(rates.may_try(ip("1.2.3.4")).is_ok());
}

#[test]
fn a_burst_may_come_at_once_and_then_one_by_one() {
    let (rates, clock) = rates(Settings { connects: rate("3/m"), ..Settings::default() });
    let connect = || wait(rates.connect(ip("1.2.3.4")));
    assert_eq!([connect(), connect(), connect(), connect()], [None, None, None, Some(20_000)]);
    clock.advance(Duration::from_secs(19));
    assert_eq!(connect(), Some(1000));
    clock.advance(Duration::from_secs(1));
    assert_eq!([connect(), connect()], [None, Some(20_000)]);
    let exceeded = rates.connect(ip("1.2.3.4")).expect_err("too many");
    assert_eq!((exceeded.policy, Some(exceeded.rate)), (Policy::Connects, rate("3/m")));
}

#[test]
fn an_ipv6_client_is_its_network() {
    let (rates, _) = rates(Settings { connects: rate("1/m"), ..Settings::default() });
    let connect = |address| rates.connect(ip(address)).is_ok();
    assert!(connect("2001:db8::1") && !connect("2001:db8::2:0:0:1") && connect("2001:db8:0:1::1"));
    assert!(connect("1.2.3.4") && !connect("::ffff:1.2.3.4") && connect("1.2.3.5"));
    assert!((0..10).all(|_| rates.connect(None).is_ok()));
}

#[test]
fn users_publish_each_at_their_rate() {
    let (rates, clock) = rates(Settings { publishes: rate("1/s"), ..Settings::default() });
    let publish = |user| rates.publish(&name(user)).is_ok();
    assert!(publish("ann") && !publish("ann") && publish("bob"));
    clock.advance(Duration::from_secs(1));
    assert!(publish("ann"));
}

#[test]
fn bytes_are_taken_all_or_none() {
    let (rates, clock) = rates(Settings { bytes: rate("100/s"), ..Settings::default() });
    let ann = name("ann");
    let bytes = |count| wait(rates.bytes(&ann, count));
    assert_eq!([bytes(0), bytes(60), bytes(60), bytes(40)], [None, None, Some(200), None]);
    assert_eq!(bytes(1), Some(10));
    clock.advance(Duration::from_secs(10));
    // More than there can be at once never fits, and takes nothing away.
    for never in [101, u32::MAX as usize, u32::MAX as usize + 2, usize::MAX] {
        assert_eq!(bytes(never), Some(1000), "{never}");
    }
    assert_eq!([bytes(100), bytes(0), bytes(1)], [None, None, Some(10)]);
}

#[test]
fn the_highest_and_the_lowest_rates_are_kept() {
    for text in ["4294967295/s", "4294967295/h"] {
        let (rates, _) = rates(Settings { bytes: rate(text), ..Settings::default() });
        assert_eq!(wait(rates.bytes(&name("ann"), u32::MAX as usize)), None, "{text}");
        assert!(rates.bytes(&name("ann"), u32::MAX as usize).is_err(), "{text}");
    }
    let hourly = Settings { connects: rate("1/h"), bytes: rate("1/h"), ..Settings::default() };
    let (rates, clock) = rates(hourly);
    assert_eq!(wait(rates.bytes(&name("ann"), u32::MAX as usize)), Some(3_600_000));
    assert_eq!(wait(rates.connect(ip("1.2.3.4"))), None);
    assert_eq!(wait(rates.connect(ip("1.2.3.4"))), Some(3_600_000));
    clock.advance(Duration::from_secs(3600));
    assert_eq!(wait(rates.connect(ip("1.2.3.4"))), None);
}

#[test]
fn who_fails_too_often_is_shut_out_for_a_while() {
    let settings = Settings { failed_credentials: rate("2/m"), ..Settings::default() };
    let (rates, clock) = rates(settings);
    let address = ip("2001:db8::1");
    let may_try = || wait(rates.may_try(address));
    assert_eq!([wait(rates.failed(address)), wait(rates.failed(address))], [None, None]);
    assert_eq!(may_try(), None);
    assert_eq!(wait(rates.failed(address)), Some(30_000));
    assert_eq!(may_try(), Some(30_000));
    assert_eq!(wait(rates.may_try(ip("2001:db8::2"))), Some(30_000));
    assert_eq!(wait(rates.may_try(ip("2001:db8:0:1::1"))), None);
    assert_eq!(wait(rates.may_try(None)), None);
    clock.advance(Duration::from_millis(29_999));
    let exceeded = rates.may_try(address).expect_err("a millisecond more");
    assert_eq!((exceeded.policy, wait(Err(exceeded))), (Policy::FailedCredentials, Some(1)));
    clock.advance(Duration::from_millis(1));
    assert_eq!(may_try(), None);
    // One more is for free, the next shuts out again.
    assert_eq!([wait(rates.failed(address)), may_try()], [None, None]);
    assert_eq!([wait(rates.failed(address)), may_try()], [Some(30_000), Some(30_000)]);
    assert!((0..10).all(|_| rates.failed(None).is_ok()));
}

#[test]
fn nobody_is_remembered_for_ever() {
    let second = rate("1/s");
    let (rates, clock) = rates(Settings {
        connects: second,
        failed_credentials: second,
        publishes: second,
        bytes: second,
    });
    for n in 0..100 {
        let address = ip(&format!("10.0.0.{n}"));
        let user = name(&n.to_string());
        let refused = (rates.connect(address), rates.failed(address), rates.failed(address));
        assert!(refused.2.is_err());
        assert!(rates.publish(&user).is_ok() && rates.bytes(&user, 1).is_ok());
    }
    let remembered = || {
        let addresses = [&rates.connects, &rates.failed].map(|limit| limit.as_ref());
        let users = [&rates.publishes, &rates.bytes].map(|limit| limit.as_ref());
        let addresses = addresses.into_iter().flatten().map(Limit::remembered);
        let users = users.into_iter().flatten().map(Limit::remembered);
        addresses.chain(users).sum::<usize>() + rates.shut_out.lock().len()
    };
    rates.tidy();
    assert_eq!(remembered(), 500);
    clock.advance(Duration::from_secs(2));
    rates.tidy();
    assert_eq!(remembered(), 0);
}
