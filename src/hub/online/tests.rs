//! Who is announced, with the clock in hand.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

/// Some time after the start.
struct Clock(Instant);

impl Clock {
    fn at(&self, seconds: f64) -> Moment {
        let after = Duration::from_secs_f64(seconds);
        Moment { time: self.0 + after, wall: Stamp(1_000_000).after(after) }
    }
}

fn start(returning: &[&str]) -> (State, Clock) {
    let (mut absences, clock) = (Absences::default(), Clock(Instant::now()));
    for user in returning {
        absences.begin(name(user), clock.0 + 60 * SECOND);
    }
    let outbox = Some(Outbox::read(Vec::new()));
    (State { absences, outbox, stage: Stage::Open }, clock)
}

/// Everything announced until now, as `+user` and `-user`.
fn announced(state: &mut State) -> Vec<String> {
    let outbox = state.outbox.as_mut().expect("an outbox");
    let keeping = outbox.keep(usize::MAX / 2);
    outbox.note_kept(&keeping);
    let sign = |one: &Announcement| if one.online { '+' } else { '-' };
    outbox.oldest(usize::MAX).iter().map(|one| format!("{}{}", sign(one), one.user)).collect()
}

#[test]
fn online_at_once_and_offline_after_the_grace() {
    let (mut state, clock) = start(&[]);
    state.arrived(&name("a"), clock.at(0.0));
    assert_eq!(announced(&mut state), ["+a"]);
    state.left(name("a"), clock.at(10.0));
    state.settle(clock.at(14.999));
    assert!(state.absences.has(&name("a"), clock.at(14.999).time));
    assert_eq!(announced(&mut state), ["+a"]);
    state.settle(clock.at(15.0));
    assert_eq!(announced(&mut state), ["+a", "-a"]);
    assert_eq!(state.outbox.as_ref().expect("one").oldest(2)[1].position.milliseconds(), 1_015_000);
    assert_eq!(state.absences.next(), None, "whoever is gone costs nothing");
}

#[test]
fn who_is_back_in_time_was_never_gone() {
    let (mut state, clock) = start(&[]);
    state.arrived(&name("a"), clock.at(0.0));
    for reload in 1..10 {
        state.left(name("a"), clock.at(f64::from(reload)));
        state.arrived(&name("a"), clock.at(f64::from(reload) + 0.5));
    }
    state.settle(clock.at(100.0));
    assert_eq!(announced(&mut state), ["+a"]);
}

#[test]
fn who_is_back_too_late_had_gone_even_if_nobody_had_looked() {
    let (mut state, clock) = start(&[]);
    state.arrived(&name("a"), clock.at(0.0));
    state.left(name("a"), clock.at(1.0));
    state.arrived(&name("a"), clock.at(6.0));
    assert_eq!(announced(&mut state), ["+a", "-a", "+a"]);
}

#[test]
fn who_was_announced_before_a_restart_is_announced_again_only_as_gone() {
    let (mut state, clock) = start(&["a", "b"]);
    state.arrived(&name("a"), clock.at(59.0));
    state.arrived(&name("c"), clock.at(59.0));
    state.settle(clock.at(59.9));
    assert_eq!(announced(&mut state), ["+c"]);
    state.settle(clock.at(60.0));
    assert_eq!(announced(&mut state), ["+c", "-b"]);
    state.left(name("a"), clock.at(61.0));
    state.settle(clock.at(66.0));
    assert_eq!(announced(&mut state), ["+c", "-b", "-a"]);
}

#[test]
fn ten_thousand_who_come_back_at_once_are_no_news() {
    let (mut state, clock) = start(&[]);
    let users: Vec<Name> = (0..10_000).map(|n| name(&format!("user-{n}"))).collect();
    users.iter().for_each(|user| state.arrived(user, clock.at(0.0)));
    users.iter().for_each(|user| state.left(user.clone(), clock.at(1.0)));
    users.iter().for_each(|user| state.arrived(user, clock.at(5.9)));
    state.settle(clock.at(60.0));
    let announced = announced(&mut state);
    assert_eq!(announced.len(), 10_000);
    assert!(announced.iter().all(|one| one.starts_with('+')));
}

#[test]
fn the_end_of_the_server_sends_nobody_offline() {
    let online = Online { state: Mutex::new(start(&[]).0), news: Condvar::new() };
    let clock = Clock(Instant::now());
    online.arrived(&name("a"), clock.at(0.0));
    online.left(name("a"), clock.at(0.0));
    online.freeze();
    online.settle(clock.at(60.0));
    assert_eq!(announced(&mut online.state.lock()), ["+a"]);
    assert!(online.wait(Until::Time(Instant::now())));
    online.close();
    assert!(!online.wait(Until::News(None)));
}

#[test]
fn without_anybody_to_tell_it_is_known_who_is_away_all_the_same() {
    let (mut state, clock) = start(&[]);
    state.outbox = None;
    state.arrived(&name("a"), clock.at(0.0));
    state.left(name("a"), clock.at(1.0));
    assert!(state.absences.has(&name("a"), clock.at(5.9).time));
    assert!(!state.absences.has(&name("a"), clock.at(6.0).time));
    state.settle(clock.at(6.0));
    assert_eq!(state.absences.next(), None);
}

#[test]
fn what_is_kept_is_also_told_while_users_come_all_the_time() {
    let (state, clock) = start(&[]);
    let online = Online { state: Mutex::new(state), news: Condvar::new() };
    let come = |number: usize| online.arrived(&name(&format!("u{number}")), clock.at(0.0));
    (0..MOST_KEPT + 1).for_each(come);
    let mut kept = 0;
    let keep = |changes: Vec<Change>| {
        kept += 1;
        assert!(kept <= 2 && !changes.is_empty(), "more than there was");
        (0..10).for_each(|more| come(kept * 10_000 + more));
        Ok::<(), AppendError>(())
    };
    online.keep(keep).expect("it is kept");
    let (waiting, ready) = online.waiting();
    assert_eq!((kept, waiting), (2, MOST_KEPT + 21));
    assert!(ready > MOST_KEPT);
}
