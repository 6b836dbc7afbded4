//! Places, and how the streams in them are found.

use std::time::Duration;

use super::*;
use crate::hub::Revocation;
use crate::identity::{Credential, Stamp};

fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

fn user(text: &str) -> Holder {
    Holder::User(name(text))
}

fn admission(per_holder: usize, total: usize) -> Arc<Admission> {
    Admission::new(Limits { per_holder, total }, Arc::default())
}

fn token_of(user: &str, id: &str, issued: u64) -> Identity {
    let credential = Credential { id: Some(id.into()), issued: Stamp(issued), expires: None };
    Identity { credential: Some(credential), ..Identity::of(name(user)) }
}

const ORIGIN: Origin = Origin { address: None, path: 0 };

fn admit(admission: &Arc<Admission>, holder: Holder) -> Result<Permit, Full> {
    admission.admit(&holder, &ORIGIN)
}

fn begin(permit: &Permit, shard: ShardNumber, identity: Option<&Identity>) -> ConnectionId {
    permit.begin(shard, &ORIGIN, identity, || true).expect("a credential that counts")
}

/// Where those are that are to be closed.
fn seats(sent_away: &[SentAway]) -> Vec<Option<Seated>> {
    sent_away.iter().map(|stream| stream.seated).collect()
}

#[test]
fn places_are_counted_per_holder_and_in_all_and_given_back() {
    let admission = admission(2, 3);
    let first = admit(&admission, user("a"));
    let second = admit(&admission, user("a")).expect("room for two");
    assert_eq!(admit(&admission, user("a")).err(), Some(Full::Holder(2)));
    let third = admit(&admission, user("b")).expect("room for three");
    assert_eq!(admit(&admission, user("c")).err(), Some(Full::Total));
    drop((first, second));
    assert_eq!(admission.streams(), 1);
    assert!(admit(&admission, user("a")).is_ok());
    drop(third);
    assert_eq!(admission.streams(), 0);
}

#[test]
fn nobody_is_not_a_user() {
    let admission = admission(1, 3);
    let places: Vec<_> = (0..3).map(|_| admit(&admission, Holder::Nobody)).collect();
    assert!(places.iter().all(Result::is_ok));
    assert_eq!(admit(&admission, Holder::Nobody).err(), Some(Full::Total));
}

#[test]
fn streams_are_found_by_user_and_by_token_and_by_nothing_else() {
    let admission = admission(9, 9);
    let open = |slot, identity: Option<&Identity>| {
        let permit = admit(&admission, Holder::Nobody).expect("room");
        let id = begin(&permit, 1, identity);
        assert_eq!(permit.seated(Key::of(slot, id.number())), Ok(()));
        permit
    };
    let _streams = [
        open(0, Some(&token_of("a", "t", 5_000))),
        open(1, Some(&token_of("a", "u", 9_000))),
        open(2, Some(&token_of("b", "t", 5_000))),
        open(3, Some(&Identity::of(name("a")))),
        open(4, None),
    ];
    let found = |revocation, until| -> Vec<u32> {
        let found = admission.withdraw(&revocation, Stamp(until));
        let slot = |(shard, key): Seated| (shard == 1).then(|| key.slot());
        seats(&found).into_iter().map(|seated| seated.and_then(slot).expect("a seat")).collect()
    };
    assert_eq!(found(Revocation::Subject(name("a")), 8_999), [0]);
    assert_eq!(found(Revocation::Subject(name("a")), 9_000), [0, 1]);
    assert_eq!(found(Revocation::Token("t".into()), 0), [0, 2]);
    assert!(found(Revocation::Token("a".into()), 9_000).is_empty());
}

#[test]
fn whoever_is_sent_away_on_the_way_ends_when_he_is_there() {
    type SendAway = fn(&Admission) -> Vec<SentAway>;
    let cases: [(SendAway, CloseReason); 3] = [
        (
            |admission| admission.withdraw(&Revocation::Token("t".into()), Stamp(0)),
            CloseReason::Revoked,
        ),
        (|admission| admission.send_away(None), CloseReason::ServerDisconnect { all: true }),
        (
            |admission| admission.send_away(Some(&user("a"))),
            CloseReason::ServerDisconnect { all: false },
        ),
    ];
    for (send_away, reason) in cases {
        let admission = admission(9, 9);
        let permit = admit(&admission, user("a")).expect("room");
        assert_eq!(send_away(&admission), [], "no stream yet");
        begin(&permit, 0, Some(&token_of("a", "t", 0)));
        let on_its_way = SentAway { holder: user("a"), seated: None };
        assert_eq!(send_away(&admission), [on_its_way]);
        assert_eq!(send_away(&admission), [], "once is enough");
        admission.send_away(None);
        assert_eq!(permit.seated(Key::of(0, 1)), Err(reason), "the first reason counts");
    }
}

#[test]
fn one_users_streams_are_sent_away_and_no_others() {
    let admission = admission(9, 9);
    let permits = ["a", "b", "a"].map(|name| admit(&admission, user(name)).expect("room"));
    let ids = permits.each_ref().map(|permit| begin(permit, 3, None));
    let keys = ids.map(|id| Key::of(id.place(), id.number()));
    assert_eq!(permits[0].seated(keys[0]), Ok(()));
    let sent_away = admission.send_away(Some(&user("a")));
    assert_eq!(seats(&sent_away), [Some((3, keys[0])), None]);
    assert_eq!(admission.send_away(Some(&user("c"))), []);
    assert_eq!(permits[1].seated(keys[1]), Ok(()));
    let disconnected = CloseReason::ServerDisconnect { all: false };
    assert_eq!(permits[2].seated(keys[2]), Err(disconnected));
}

#[test]
fn a_credential_that_counts_no_more_begins_nothing() {
    let admission = admission(9, 9);
    let permit = admit(&admission, user("a")).expect("room");
    let old = begin(&permit, 0, Some(&token_of("a", "t", 0)));
    let key = Key::of(7, old.number());
    assert_eq!(permit.seated(key), Ok(()));
    assert_eq!(permit.begin(1, &ORIGIN, Some(&token_of("a", "u", 0)), || false), None);
    assert_eq!(admission.find(old).map(|found| found.seated), Some((0, key)));
    let found = admission.withdraw(&Revocation::Token("t".into()), Stamp(0));
    assert_eq!(seats(&found), [Some((0, key))]);
}

#[test]
fn who_stays_is_listed_once_however_others_come_and_go() {
    let admission = admission(99, 99);
    let open = |name: &str, path| {
        let origin = Origin { address: Some(IpAddr::from([127, 0, 0, 1])), path };
        let permit = admission.admit(&user(name), &origin).expect("room");
        let id = permit.begin(0, &origin, None, || true).expect("a stream");
        assert_eq!(permit.seated(Key::of(id.place(), id.number())), Ok(()));
        (id, permit)
    };
    let mut streams: Vec<_> = (0..9).map(|_| Some(open("a", 1))).collect();
    let _coming = admit(&admission, user("a")).map(|permit| (begin(&permit, 0, None), permit));
    let (mut after, mut seen) = (None, Vec::new());
    for round in 0.. {
        let page = admission.list(Some(&user("a")), after, 2);
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        seen.extend(page.iter().map(|listed| listed.id));
        // One ends that was listed, one that was not; their places go to others.
        if round < 2 {
            streams[round] = None;
            streams[8 - round] = None;
            streams.extend((0..2).map(|_| Some(open("b", 2))));
        }
    }
    for (id, _) in streams[2..7].iter().flatten() {
        assert_eq!(seen.iter().filter(|listed| *listed == id).count(), 1);
    }
    let of_b = admission.list(Some(&user("b")), None, 9);
    assert!(of_b.len() == 4 && of_b.iter().all(|listed| listed.origin.path == 2));
    assert_eq!(admission.list(Some(&user("c")), None, 9), []);
    assert_eq!(admission.list(None, None, 99).len(), 9);
}

#[test]
fn only_its_own_user_renews_a_stream() {
    let admission = admission(9, 9);
    let permit = admit(&admission, user("a")).expect("room");
    let old = begin(&permit, 0, Some(&token_of("a", "t", 0)));
    let key = Key::of(7, old.number());
    assert_eq!(admission.renew(old, &token_of("a", "u", 1)), None, "not seated yet");
    assert_eq!(permit.seated(key), Ok(()));
    assert_eq!(admission.renew(old, &token_of("b", "u", 1)), None);
    assert_eq!(admission.renew(ConnectionId(old.0 ^ 1 << 32), &token_of("a", "u", 1)), None);
    assert_eq!(admission.renew(ConnectionId(old.0 ^ 1), &token_of("a", "u", 1)), None);
    let renewed = admission.renew(old, &token_of("a", "u", 1));
    assert_eq!(renewed, Some(((0, key), user("a"))));
    assert!(admission.withdraw(&Revocation::Token("t".into()), Stamp(9)).is_empty());
    let found = admission.withdraw(&Revocation::Token("u".into()), Stamp(9));
    assert_eq!(seats(&found), [Some((0, key))]);
    let new = begin(&permit, 0, None);
    assert_ne!(old, new);
    assert_eq!(permit.seated(key), Ok(()));
    assert_eq!(admission.renew(old, &token_of("a", "u", 1)), None, "another has its place");
    assert_eq!(admission.renew(new, &Identity::of(name("a"))), None, "nothing to renew");
}

#[test]
fn a_user_is_online_from_his_first_seat_to_his_last_place() {
    let (admission, now) = (admission(9, 9), Instant::now());
    let presence = || {
        let UserPresence { online, connections } = admission.presence_of(&name("a"), now);
        (online, connections)
    };
    let refused = admit(&admission, user("a")).expect("room");
    assert_eq!(presence(), (false, 0), "a place is not yet a stream");
    drop(refused);
    assert_eq!(presence(), (false, 0));
    let revoked = admit(&admission, user("a")).expect("room");
    let id = begin(&revoked, 0, Some(&token_of("a", "t", 0)));
    admission.withdraw(&Revocation::Token("t".into()), Stamp(0));
    assert_eq!(revoked.seated(Key::of(0, id.number())), Err(CloseReason::Revoked));
    drop(revoked);
    assert_eq!(presence(), (false, 0));

    let seat = |slot| {
        let permit = admit(&admission, user("a")).expect("room");
        let id = begin(&permit, 0, None);
        assert_eq!(permit.seated(Key::of(slot, id.number())), Ok(()));
        permit
    };
    let (first, second) = (seat(1), seat(2));
    assert_eq!(presence(), (true, 2));
    drop(first);
    assert_eq!(presence(), (true, 1));
    drop(second);
    assert_eq!(presence(), (true, 0), "he may be back");
    assert!(!admission.presence_of(&name("a"), now + Duration::from_secs(60)).online);
    let again = seat(3);
    assert_eq!(presence(), (true, 1));
    drop(again);
}
