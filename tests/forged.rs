//! Tokens that somebody made up, changed or kept too long: one answer to them all, byte for byte, and no place taken.

mod support;

use jsonwebtoken::Algorithm;
use serde_json::{Value, json};
use support::tokens::{
    ED25519, ISSUER, P256, RSA, Signer, claims, encoded, in_seconds, jwt, jwt_with,
};
use support::*;

const PATH: &str = "/notifications/stream";

/// A server that knows a secret and a public key of each kind, by these names.
fn server() -> Server {
    let setup = rill().without_dev();
    let mut keys = String::new();
    for (kid, signer) in [("rsa", &*RSA), ("ec", &*P256), ("ed", &*ED25519)] {
        let file = setup.path(kid);
        std::fs::write(&file, &signer.public).expect("a file");
        keys += &format!(
            "[[auth.keys]]\nkid = \"{kid}\"\nalgorithm = \"{:?}\"\npublic_key_file = {file:?}\n",
            signer.algorithm
        );
    }
    setup.config(&keys).start()
}

/// All that a peer sees of an answer, but for the time of day.
fn seen(server: &Server, request: &Request) -> (u16, Vec<(String, String)>, String) {
    let response = server.send(request);
    let mut fields = response.head.fields.clone();
    fields.retain(|(name, _)| name != "date");
    (response.status(), fields, response.text().into_owned())
}

/// Each of these is answered as a text that is no token at all, wherever it stands.
#[track_caller]
fn assert_refused(server: &Server, tokens: impl IntoIterator<Item = String>) {
    let refusal = seen(server, &get(PATH).bearer("x"));
    assert_eq!(refusal.0, 401);
    let has = |name: &str, text: &str| {
        refusal.1.iter().any(|(known, value)| known == name && value.contains(text))
    };
    assert!(has("www-authenticate", r#"error="invalid_token""#), "{refusal:?}");
    for token in tokens {
        let body = r#"{"message":"M"}"#;
        let requests = [
            get(PATH).bearer(&token),
            get(PATH).field("X-Auth-Token", &token),
            get(PATH).field("Cookie", format!("rill_session={token}")),
            get("/chat/stream?room=r").bearer(&token),
            post("/notifications/send", body).bearer(&token),
            post("/tickets", "{}").bearer(&token),
        ];
        for request in requests {
            assert_eq!(seen(server, &request), refusal, "{token}");
        }
    }
    assert_eq!(server.connections(), 0);
}

fn ann() -> Value {
    claims("ann", json!({ "roles": ["admin"] }))
}

#[test]
fn what_is_right_is_taken() {
    let server = server();
    for (kid, signer) in [("rsa", &*RSA), ("ec", &*P256), ("ed", &*ED25519)] {
        server.stream(PATH, &signer.token_with_kid(kid, &ann()));
    }
    server.stream(PATH, &ISSUER.token(&ann()));
}

#[test]
fn without_an_algorithm() {
    let claims = encoded(ann().to_string());
    let signed = ISSUER.token(&ann());
    let signature = signed.rsplit('.').next().expect("a signature");
    let algorithms =
        ["none", "None", "NONE", "nOnE", "none ", "", "null", "HS1", "hs256", "RSA1_5"];
    let headers = algorithms.map(|name| json!({ "alg": name }));
    let others =
        [json!({}), json!({ "alg": null }), json!({ "alg": 0 }), json!({ "alg": ["HS256"] })];
    let tokens = headers.iter().chain(&others).flat_map(|header| {
        let header = encoded(header.to_string());
        [
            format!("{header}.{claims}."),
            format!("{header}.{claims}.{signature}"),
            ISSUER.sign_parts(Algorithm::HS256, &header, &claims),
        ]
    });
    let bare = format!("{}.{claims}", encoded(r#"{"alg":"none"}"#));
    assert_refused(&server(), tokens.chain([bare]));
}

/// A public key is known to all: who signs with it as a secret, or says that he did, is nobody.
#[test]
fn a_public_key_is_no_secret() {
    let mut tokens = Vec::new();
    for (kid, signer) in [("rsa", &*RSA), ("ec", &*P256), ("ed", &*ED25519)] {
        let pem = signer.public.as_str();
        let without_break = pem.trim_end();
        let one_line: String = pem.lines().filter(|line| !line.starts_with("--")).collect();
        for secret in [pem, without_break, &one_line] {
            let forger = Signer::hmac(secret);
            tokens.push(forger.token(&ann()));
            tokens.push(forger.token_with_kid(kid, &ann()));
            tokens.push(forger.sign(&json!({ "alg": signer.algorithm, "kid": kid }), &ann()));
        }
    }
    assert_refused(&server(), tokens);
}

#[test]
fn each_key_has_its_own_algorithm() {
    let (header, claims) = (
        |kid, alg| encoded(json!({ "alg": alg, "kid": kid }).to_string()),
        encoded(ann().to_string()),
    );
    let crossed = [
        RSA.sign_parts(Algorithm::PS256, &header("rsa", "PS256"), &claims),
        RSA.sign_parts(Algorithm::RS384, &header("rsa", "RS384"), &claims),
        RSA.sign_parts(Algorithm::PS256, &header("rsa", "RS256"), &claims),
        ISSUER.sign_parts(Algorithm::HS512, &encoded(r#"{"alg":"HS512"}"#), &claims),
        ISSUER.token_with_kid("rsa", &ann()),
        P256.token_with_kid("rsa", &ann()),
        ED25519.token_with_kid("ec", &ann()),
    ];
    assert_refused(&server(), crossed);
}

/// A key that a token brings along, or says where to find, is the forger's own.
#[test]
fn keys_from_the_token_are_not_looked_at() {
    let forger = Signer::drawn(Algorithm::ES256, &rcgen::PKCS_ECDSA_P256_SHA256);
    let there = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
    there.set_nonblocking(true).expect("a listener that does not wait");
    let url = format!("http://{}/jwks.json", there.local_addr().expect("an address"));
    let brought = [
        json!({ "jwk": forger.jwk("ec") }),
        json!({ "jku": url }),
        json!({ "x5u": url }),
        json!({ "x5c": [encoded("certificate")] }),
        json!({ "x5t": "x", "x5t#S256": "x" }),
    ];
    let server = server();
    let mut tokens = Vec::new();
    for further in brought {
        for kid in [Value::Null, json!("ec"), json!("ec2"), json!(url)] {
            let mut header = json!({ "alg": "ES256" });
            let members = header.as_object_mut().expect("an object");
            members.extend(further.as_object().expect("an object").clone());
            if !kid.is_null() {
                members.insert("kid".into(), kid);
            }
            tokens.push(forger.sign(&header, &ann()));
        }
    }
    assert_refused(&server, tokens);
    assert!(there.accept().is_err(), "somebody came for the forger's keys");
}

#[test]
fn hostile_key_ids() {
    let long = "k".repeat(3000);
    let mut kids: Vec<Value> = [
        "../../../../dev/null",
        "/dev/null",
        "/etc/passwd",
        "rsa\0",
        "RSA",
        "rsa ",
        "",
        "' OR '1'='1",
        "$(id)",
        "|id",
        "%2e%2e",
        long.as_str(),
    ]
    .map(Value::from)
    .into();
    kids.extend([json!(null), json!(0), json!(["rsa"]), json!({ "rsa": 1 }), json!(true)]);
    let empty = Signer::hmac("");
    let tokens = kids.iter().flat_map(|kid| {
        let header = |alg: &str| json!({ "alg": alg, "kid": kid });
        [empty.sign(&header("HS256"), &ann()), RSA.sign(&header("RS256"), &ann())]
    });
    assert_refused(&server(), tokens);
}

#[test]
fn extensions_and_repeated_members() {
    let headers = [
        r#"{"alg":"HS256","crit":["exp"]}"#,
        r#"{"alg":"HS256","crit":[]}"#,
        r#"{"alg":"HS256","crit":["b64"],"b64":false}"#,
        r#"{"alg":"HS256","b64":true}"#,
        r#"{"alg":"HS256","zip":"DEF"}"#,
        r#"{"alg":"none","alg":"HS256"}"#,
        r#"{"alg":"HS256","alg":"none"}"#,
        r#"{"alg":"HS256","kid":"a","kid":"b"}"#,
        r#"["HS256"]"#,
        r#"{"alg":"HS256"}{}"#,
        r#"{"alg":"HS256""#,
        "",
    ];
    let claims = encoded(ann().to_string());
    let tokens =
        headers.map(|header| ISSUER.sign_parts(Algorithm::HS256, &encoded(header), &claims));
    assert_refused(&server(), tokens);
}

#[test]
fn signatures_that_are_none() {
    let mut tokens = Vec::new();
    let issued = [
        ISSUER.token(&ann()),
        RSA.token_with_kid("rsa", &ann()),
        P256.token_with_kid("ec", &ann()),
        ED25519.token_with_kid("ed", &ann()),
    ];
    for token in &issued {
        let (message, signature) = token.rsplit_once('.').expect("a token");
        // Three letters are two bytes and more.
        let length = signature.len() * 3 / 4;
        let zeros = [0, 1, 2, length / 2, length - 1, length, length + 1, 2 * length];
        tokens.extend(zeros.map(|length| format!("{message}.{}", encoded(vec![0; length]))));
        let cut = [signature.len() / 2, signature.len() - 4, signature.len() - 1];
        tokens.extend(cut.map(|length| format!("{message}.{}", &signature[..length])));
        tokens.extend([
            format!("{message}.{signature}AAAA"),
            message.to_owned(),
            format!("{token}."),
            format!("{token}.{signature}"),
        ]);
        let (header, _) = message.split_once('.').expect("two parts");
        let other = encoded(claims("bob", json!({})).to_string());
        tokens.push(format!("{header}.{other}.{signature}"));
    }
    // Another key of the same kind.
    let stranger = Signer::hmac("another secret, 0123456789-ABCDEFGHIJ");
    tokens.push(stranger.token(&ann()));
    assert_refused(&server(), tokens);
}

/// Base64 has several texts for the same bytes; one token is one text.
#[test]
fn base64_that_is_not_canonical() {
    let token = ISSUER.token(&claims("ann", json!({ "name": "?>~ÿ ÿ?>~" })));
    let (message, signature) = token.rsplit_once('.').expect("a token");
    let (header, payload) = message.split_once('.').expect("two parts");
    let resigned =
        |header: &str, payload: &str| ISSUER.sign_parts(Algorithm::HS256, header, payload);
    let with_bits = |part: &str| {
        let (body, last) = part.split_at(part.len() - 1);
        // The next letter differs in bits that mean nothing.
        let letter = last.as_bytes()[0];
        format!("{body}{}", char::from(letter + 1))
    };
    assert_eq!((header.len() % 4, signature.len() % 4), (0, 3));
    let tokens = [
        format!("{message}.{signature}="),
        format!("{message}.{}", with_bits(signature)),
        format!("{header}.{payload}.{} ", &signature[..20]),
        resigned(&format!("{header}=="), payload),
        resigned(header, &format!("{payload}=")),
        resigned(header, &format!("{}%3D", payload)),
        resigned(header, &payload.replace('-', "+").replace('_', "/")),
        resigned(header, &format!("{} {}", &payload[..8], &payload[8..])),
        resigned(&format!("{header}A"), payload),
    ];
    assert!(payload.contains(['-', '_']));
    assert_refused(&server(), tokens);
}

#[test]
fn claims_that_are_missing_or_of_a_wrong_type() {
    let now = in_seconds(0);
    let mut wrong = vec![
        json!({ "sub": "ann" }),
        json!({ "exp": now + 60 }),
        json!({}),
        json!([]),
        json!("ann"),
        json!(null),
    ];
    let values = |claim: &str| match claim {
        "exp" | "nbf" | "iat" => vec![
            json!(null),
            json!("4102444800"),
            json!(-1),
            json!(1e300),
            json!([now]),
            json!(true),
            json!(now * 1_000_000),
        ],
        "sub" => vec![
            json!(null),
            json!(""),
            json!(17),
            json!(["ann"]),
            json!({}),
            json!("a\nb"),
            json!("a".repeat(129)),
            json!("a\u{202e}b"),
        ],
        "roles" => vec![
            json!(null),
            json!(1),
            json!({ "admin": true }),
            json!([1]),
            json!([null]),
            json!(true),
        ],
        "channels" | "rooms" | "conversations" => {
            vec![
                json!(null),
                json!("*"),
                json!(1),
                json!([1]),
                json!([null]),
                json!([""]),
                json!({}),
                json!(["a\nb"]),
            ]
        }
        "name" | "email" => vec![json!(null), json!(1), json!(["Ann"]), json!({})],
        "jti" => vec![json!(null), json!(1), json!(""), json!("j".repeat(257))],
        "iss" => vec![json!(null), json!(1), json!(["x"])],
        "aud" => vec![json!(null), json!(1), json!("rill"), json!(["rill"]), json!([1])],
        _ => unreachable!("{claim}"),
    };
    for claim in [
        "exp",
        "nbf",
        "iat",
        "sub",
        "roles",
        "channels",
        "rooms",
        "conversations",
        "name",
        "email",
        "jti",
        "iss",
        "aud",
    ] {
        let claimed = |value| claims("ann", json!({ claim: value }));
        wrong.extend(values(claim).into_iter().map(claimed));
    }
    let repeated = ["sub", "exp", "roles", "extra"].map(|claim| {
        let claims = ann().to_string().replacen('{', r#"{"extra":1,"#, 1);
        let value = if claim == "exp" { "4102444800" } else { "\"x\"" };
        let claims = claims.replacen('{', &format!(r#"{{"{claim}":{value},"#), 1);
        ISSUER.sign_parts(Algorithm::HS256, &encoded(r#"{"alg":"HS256"}"#), &encoded(claims))
    });
    let tokens = wrong.iter().map(|claims| ISSUER.token(claims)).chain(repeated);
    assert_refused(&server(), tokens);
}

#[test]
fn too_long_too_old_too_early_too_big() {
    let now = in_seconds(0);
    let oversized = jwt_with("ann", json!({ "x": "x".repeat(7000) }));
    assert!(oversized.len() > 8192 && oversized.len() < 14_000);
    let tokens = [
        json!({ "exp": now - 1 }),
        json!({ "exp": 0 }),
        json!({ "nbf": now + 30 }),
        json!({ "iat": now + 30 }),
    ];
    let tokens = tokens.map(|further| jwt_with("ann", further));
    assert_refused(&server(), tokens.into_iter().chain([oversized]));
}

/// Who guesses learns nothing: not whether a key exists, nor whether it was ever the right one.
#[test]
fn revoked_expired_unknown_and_forged_look_the_same() {
    let server = server();
    let revoked = jwt_with("ann", json!({ "jti": "t-1" }));
    server.post("/auth/revoke", &tokens::admin_jwt(), json!({ "jti": "t-1" })).assert_status(200);
    let good = jwt("ann");
    let forged = format!("{}A", &good[..good.len() - 1]);
    assert_ne!(good, forged);
    let unknown = RSA.token_with_kid("nobody's", &ann());
    let expired = jwt_with("ann", json!({ "exp": in_seconds(0) - 1 }));
    assert_refused(&server, [revoked, forged, unknown, expired, DEMO.to_owned()]);
}
