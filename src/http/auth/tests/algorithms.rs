//! Every algorithm takes the tokens that are signed with it, and no others.

use serde_json::json;

use super::super::algorithm::Algorithm;
use super::super::jwt::Refused;
use super::kit::{ED25519, HMAC, P256, P384, RSA, Signer, ann, keys, outcome, refusal};

fn every() -> [(Algorithm, &'static Signer); 12] {
    [
        (Algorithm::Hs256, &HMAC),
        (Algorithm::Hs384, &HMAC),
        (Algorithm::Hs512, &HMAC),
        (Algorithm::Rs256, &RSA),
        (Algorithm::Rs384, &RSA),
        (Algorithm::Rs512, &RSA),
        (Algorithm::Ps256, &RSA),
        (Algorithm::Ps384, &RSA),
        (Algorithm::Ps512, &RSA),
        (Algorithm::Es256, &P256),
        (Algorithm::Es384, &P384),
        (Algorithm::EdDsa, &ED25519),
    ]
}

fn token(algorithm: Algorithm, signer: &Signer) -> String {
    let header = json!({ "alg": algorithm.name(), "typ": "JWT" }).to_string();
    signer.sign_with(algorithm, &header, &ann().to_string())
}

#[test]
fn a_good_token_of_each_algorithm_is_taken() {
    for (algorithm, signer) in every() {
        let keys = keys([signer.key_for(algorithm, None, None)]);
        let user = outcome(&keys, &token(algorithm, signer)).map(|ann| ann.user.to_string());
        assert_eq!(user.as_deref(), Ok("ann"), "{algorithm}");
    }
}

#[test]
fn a_key_takes_its_own_algorithm_alone() {
    for (algorithm, signer) in every() {
        let keys = keys([signer.key_for(algorithm, None, None)]);
        for (other, signer) in every().into_iter().filter(|(other, _)| *other != algorithm) {
            let refusal = refusal(&keys, &token(other, signer));
            assert_eq!(refusal, Some(Refused::UnknownKey), "{other} for {algorithm}");
        }
    }
}

#[test]
fn a_header_that_names_another_algorithm_than_the_signature_has_is_of_no_use() {
    let keys = keys(every().map(|(algorithm, signer)| signer.key_for(algorithm, None, None)));
    for (algorithm, signer) in every() {
        for (named, _) in every().into_iter().filter(|(named, _)| *named != algorithm) {
            let header = json!({ "alg": named.name() }).to_string();
            let token = signer.sign_with(algorithm, &header, &ann().to_string());
            let refusal = refusal(&keys, &token);
            assert_eq!(refusal, Some(Refused::Signature), "{algorithm} as {named}");
        }
    }
}
