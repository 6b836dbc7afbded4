//! What a credential costs: to find it in a request, to check it, to refuse it; and what a stream
//! pays for each event that its credential narrows.
//!
//! A token is checked once per stream and publish, never per event. It is checked with the keys that
//! it may be signed with: the one that it names with `kid`, or all of its algorithm if it names none.
//!
//! Look for: a token that names its key costs the same among 100 keys as alone; one that names none,
//! good or bad, costs as many checks as there are keys of its algorithm. What is no token, or too
//! long for one, is refused without any.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use criterion::{BenchmarkId, Criterion, Throughput};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use jsonwebtoken::{EncodingKey, Header};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PKCS_RSA_SHA256, SignatureAlgorithm};
use rill::event::Name;
use rill::http::auth::Presented;
use rill::http::auth::algorithm::Algorithm;
use rill::http::auth::jwt::{Rules, verify};
use rill::http::auth::keys::{Key, Keys};
use rill::http::auth::secret::Secret;
use rill::http::query::Query;
use rill::identity::{Allowed, Grants, Identity, Pattern};
use rill::rights::Reader;
use serde_json::json;

const ALGORITHMS: [Algorithm; 6] = [
    Algorithm::Hs256,
    Algorithm::Hs512,
    Algorithm::Rs256,
    Algorithm::Ps256,
    Algorithm::Es256,
    Algorithm::EdDsa,
];
const KEYS: [usize; 2] = [1, 100];
const PATTERNS: [usize; 4] = [1, 10, 100, 1_000];

/// Seconds since 1970.
const NOW: u64 = 1_800_000_000;
/// The id of the key that is the right one.
const KEY_ID: &str = "key-0";

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(500))
        .sample_size(20)
        .configure_from_args();
    for algorithm in ALGORITHMS {
        checks(&mut criterion, algorithm);
    }
    refusals_without_check(&mut criterion);
    finding(&mut criterion);
    narrowing(&mut criterion);
    criterion.final_summary();
}

/// Somebody who signs.
struct Signer {
    algorithm: Algorithm,
    private: EncodingKey,
    /// The secret, or the public key in PEM.
    public: String,
}

impl Signer {
    fn draw(algorithm: Algorithm) -> Signer {
        let (private, public) = match algorithm {
            Algorithm::Rs256 | Algorithm::Ps256 => {
                pair(&PKCS_RSA_SHA256, EncodingKey::from_rsa_pem)
            }
            Algorithm::Es256 => pair(&PKCS_ECDSA_P256_SHA256, EncodingKey::from_ec_pem),
            Algorithm::EdDsa => pair(&PKCS_ED25519, EncodingKey::from_ed_pem),
            _ => {
                let secret: String = (0..64).map(|_| rand::random_range('!'..='~')).collect();
                (EncodingKey::from_secret(secret.as_bytes()), secret)
            }
        };
        Signer { algorithm, private, public }
    }

    fn key(&self, id: Option<String>) -> Key {
        let key = match self.public.starts_with("-----BEGIN") {
            true => Key::from_public_pem(self.public.as_bytes(), self.algorithm, id, None),
            false => Key::from_secret(&Secret::new(self.public.as_str()), self.algorithm, id, None),
        };
        key.expect("a key")
    }

    fn token(&self, id: Option<&str>) -> String {
        let algorithm = self.algorithm.name().parse().expect("the library knows it");
        let header = Header { kid: id.map(str::to_owned), ..Header::new(algorithm) };
        let claims = json!({
            "sub": "ann", "name": "Ann", "email": "ann@example.com", "roles": ["user"],
            "jti": "0198c1a2", "iat": NOW - 60, "exp": NOW + 3_600,
        });
        jsonwebtoken::encode(&header, &claims, &self.private).expect("a token")
    }
}

type FromPem = fn(&[u8]) -> jsonwebtoken::errors::Result<EncodingKey>;

fn pair(kind: &'static SignatureAlgorithm, from_pem: FromPem) -> (EncodingKey, String) {
    let pair = KeyPair::generate_for(kind).expect("a key pair");
    let private = from_pem(pair.serialize_pem().as_bytes());
    (private.expect("a private key"), pair.public_key_pem())
}

/// So many keys, the last of them the signer's; the others are all of somebody else.
fn ring(signer: &Signer, keys: usize) -> Keys {
    let other = Signer::draw(signer.algorithm);
    let others = (1..keys).map(|number| other.key(Some(format!("key-{number}"))));
    Keys::new(others.chain([signer.key(Some(KEY_ID.to_owned()))]).collect(), Vec::new())
}

/// Good tokens and forged ones, of one key and of many.
fn checks(criterion: &mut Criterion, algorithm: Algorithm) {
    let (signer, forger) = (Signer::draw(algorithm), Signer::draw(algorithm));
    let mut group = criterion.benchmark_group(format!("credential/check {algorithm}, keys"));
    for count in KEYS {
        let keys = ring(&signer, count);
        for (name, token, good) in [
            ("named", signer.token(Some(KEY_ID)), true),
            ("not named", signer.token(None), true),
            ("forged, named", forger.token(Some(KEY_ID)), false),
            ("forged, not named", forger.token(None), false),
        ] {
            assert_eq!(read(&keys, &token), good, "{algorithm} {name}");
            group.bench_function(BenchmarkId::new(name, count), |bencher| {
                bencher.iter(|| read(&keys, black_box(&token)));
            });
        }
    }
    group.finish();
}

/// What is refused before any signature is looked at.
fn refusals_without_check(criterion: &mut Criterion) {
    let signer = Signer::draw(Algorithm::Es256);
    let keys = ring(&signer, 1);
    let mut group = criterion.benchmark_group("credential/refuse");
    for (name, token) in [
        ("nothing", String::new()),
        ("garbage", "garbage".repeat(20)),
        ("garbage, 8 KB", "g".repeat(8 << 10)),
        ("three parts of garbage", "garbage.garbage.garbage".to_owned()),
        ("8 KB and one byte", "g".repeat((8 << 10) + 1)),
        ("another algorithm", Signer::draw(Algorithm::Hs256).token(None)),
    ] {
        assert!(!read(&keys, &token), "{name}");
        group.throughput(Throughput::Bytes(token.len() as u64));
        group.bench_function(name, |bencher| bencher.iter(|| read(&keys, black_box(&token))));
    }
    group.finish();
}

fn read(keys: &Keys, token: &str) -> bool {
    let now = UNIX_EPOCH + Duration::from_secs(NOW);
    verify(token, keys, &Rules::default(), now).is_ok()
}

/// The credential of a request, wherever it stands.
fn finding(criterion: &mut Criterion) {
    let token = Signer::draw(Algorithm::Es256).token(Some(KEY_ID));
    let cookies: String = (0..20).map(|number| format!("cookie-{number}=value; ")).collect();
    let mut group = criterion.benchmark_group("credential/find");
    for (name, query, field) in [
        ("nowhere", "a=b".to_owned(), None),
        ("query", format!("token={token}"), None),
        ("bearer", "a=b".to_owned(), Some(("authorization", format!("Bearer {token}")))),
        ("field", "a=b".to_owned(), Some(("x-auth-token", token.clone()))),
        ("cookie", "a=b".to_owned(), Some(("cookie", format!("rill_session={token}")))),
        (
            "21st cookie",
            "a=b".to_owned(),
            Some(("cookie", format!("{cookies}rill_session={token}"))),
        ),
    ] {
        let fields = field.map(|(name, value)| {
            let value = HeaderValue::from_str(&value).expect("a value");
            (HeaderName::from_static(name), value)
        });
        let (fields, query) = (HeaderMap::from_iter(fields), Query::parse(Some(&query)));
        let query = query.expect("a query");
        group.bench_function(name, |bencher| {
            bencher.iter(|| Presented::find(black_box(&fields), &query, "rill_session").is_ok());
        });
    }
    group.finish();
}

/// A stream on all rooms whose credential has so many patterns: an event of the last one's room, and
/// of none.
fn narrowing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("credential/narrow, patterns");
    for count in PATTERNS {
        let pattern = |number| Pattern::parse(&format!("team-{number:04}-*")).expect("a pattern");
        let rooms = Allowed::Only((0..count).map(pattern).collect());
        let grants = Grants { rooms, ..Grants::default() };
        let ann = Identity { grants, ..Identity::of(Name::new("ann").expect("a name")) };
        let reader = Reader::new(&ann, &ann.user, &Arc::default());
        let last = format!("team-{:04}-lobby", count - 1);
        for (name, room, passes) in [("last", &*last, true), ("none", "team-lobby", false)] {
            assert_eq!(reader.may_read(Some(room)), passes, "{room}");
            group.bench_function(BenchmarkId::new(name, count), |bencher| {
                bencher.iter(|| reader.may_read(black_box(Some(room))));
            });
        }
    }
    group.finish();
}
