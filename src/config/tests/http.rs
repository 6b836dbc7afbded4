//! Hosts, proxies, other origins and rates.

use super::*;
use crate::http::rates::Rate;

fn texts(items: &[impl ToString]) -> Vec<String> {
    items.iter().map(ToString::to_string).collect()
}

fn rate(text: &str) -> Option<Rate> {
    Some(text.parse().expect("a rate"))
}

#[test]
fn hosts_are_a_list() {
    let hosts = |file: Option<&str>, pairs: &[(&str, &str)]| {
        texts(&resolve(file, pairs, &[]).expect("config").http.allowed_hosts)
    };
    let file = Some("http.allowed_hosts = ['App.example', '[::1]:3000']");
    assert_eq!(hosts(file, &[]), ["app.example", "[::1]:3000"]);
    assert_eq!(hosts(file, &[("RILL_HTTP_ALLOWED_HOSTS", "a, b:80")]), ["a", "b:80"]);
    assert_eq!(hosts(file, &[("RILL_HTTP_ALLOWED_HOSTS", "")]), [""; 0]);
    assert_eq!(
        env_refused("RILL_HTTP_ALLOWED_HOSTS", "a,https://b"),
        "RILL_HTTP_ALLOWED_HOSTS: \"https://b\" is no host; write it like app.example, \
         app.example:8080 or [::1]"
    );
}

#[test]
fn proxies_are_a_list() {
    let proxies = |file: Option<&str>, pairs: &[(&str, &str)]| {
        texts(&resolve(file, pairs, &[]).expect("config").http.trusted_proxies)
    };
    let file = Some("[http]\ntrusted_proxies = ['unix', '10.1.2.3/8']");
    assert_eq!(proxies(file, &[]), ["unix", "10.0.0.0/8"]);
    let pairs = [("RILL_HTTP_TRUSTED_PROXIES", "::1,127.0.0.1")];
    assert_eq!(proxies(file, &pairs), ["::1", "127.0.0.1"]);
    assert_eq!(
        env_refused("RILL_HTTP_TRUSTED_PROXIES", "nginx"),
        "RILL_HTTP_TRUSTED_PROXIES: \"nginx\" is no proxy; write it like 10.0.0.7, 10.0.0.0/8, \
         fd00::/8 or unix"
    );
}

#[test]
fn proxies_tell_of_clients_in_one_way() {
    let file = Some("http.client_address = 'forwarded'");
    let config = resolve(file, &[], &[]).expect("config");
    assert_eq!(config.http.client_address, ClientAddress::Forwarded);
    let pairs = [("RILL_HTTP_CLIENT_ADDRESS", "proxy-protocol")];
    let config = resolve(file, &pairs, &[]).expect("config");
    assert_eq!(config.http.client_address, ClientAddress::ProxyProtocol);
    assert_eq!(
        env_refused("RILL_HTTP_CLIENT_ADDRESS", "x-real-ip"),
        "RILL_HTTP_CLIENT_ADDRESS: \"x-real-ip\" is not possible, possible are: x-forwarded-for, \
         forwarded, proxy-protocol"
    );
}

#[test]
fn origins_are_all_or_those_of_a_list() {
    let origins = |text: &str| resolve(Some(text), &[], &[]).expect("config").cors.origins;
    let listed = |items: &[&str]| {
        Origins::Listed(items.iter().map(|item| item.parse().expect("an origin")).collect())
    };
    assert_eq!(origins("cors.origins = ['*']"), Origins::Any);
    assert_eq!(origins("cors.origins = '*'"), Origins::Any);
    assert_eq!(origins("cors.origins = []"), listed(&[]));
    let two = ["https://app.example", "http://localhost:8080"];
    assert_eq!(origins(&format!("cors.origins = {two:?}")), listed(&two));
    let pairs = [("RILL_CORS_ORIGINS", &*two.join(", "))];
    assert_eq!(resolve(None, &pairs, &[]).expect("config").cors.origins, listed(&two));

    assert_eq!(
        env_refused("RILL_CORS_ORIGINS", "https://app.example,*"),
        "RILL_CORS_ORIGINS: \"*\" stands for every origin and must stand alone"
    );
    assert_eq!(
        env_refused("RILL_CORS_ORIGINS", "https://app.example/"),
        "RILL_CORS_ORIGINS: \"https://app.example/\" is no origin; write it as browsers do, like \
         https://app.example or http://localhost:8080"
    );
}

#[test]
fn the_cookie_is_for_origins_with_a_name() {
    let credentials = ("RILL_CORS_CREDENTIALS", "true");
    let listed = [credentials, ("RILL_CORS_ORIGINS", "https://app.example")];
    assert!(resolve(None, &listed, &[]).expect("config").cors.credentials);
    let said = "cors.credentials needs origins by name: list them in cors.origins, which is \
                [\"*\"] now";
    assert_eq!(refused(resolve(None, &[credentials], &[])), said);
    assert_eq!(refused(resolve(Some("[cors]\ncredentials = true"), &[], &[])), said);
}

#[test]
fn rates_are_off_or_so_many_in_a_time() {
    let file = "[rates]\nconnects = '10/s'\nfailed_credentials = '20/m'\npublishes = '30/h'\n\
                bytes = '1000000/m'";
    let rates = resolve(Some(file), &[], &[]).expect("config").rates;
    let expected = RatesConfig {
        connects: rate("10/s"),
        failed_credentials: rate("20/m"),
        publishes: rate("30/h"),
        bytes: rate("1000000/m"),
    };
    assert_eq!(rates, expected);
    let pairs = [("RILL_RATES_CONNECTS", "off"), ("RILL_RATES_PUBLISHES", "1/s")];
    let rates = resolve(Some(file), &pairs, &[]).expect("config").rates;
    assert_eq!(rates, RatesConfig { connects: None, publishes: rate("1/s"), ..expected });

    for wrong in ["", "100", "0/s", "10/d", "Off"] {
        assert_eq!(
            env_refused("RILL_RATES_CONNECTS", wrong),
            format!(
                "RILL_RATES_CONNECTS: {wrong:?} is no rate; write it like 10/s, 100/m or 1000/h, \
                 or off"
            )
        );
    }
}

#[test]
fn a_body_that_is_allowed_is_within_the_rate_of_bytes() {
    let pairs = |rate| [("RILL_RATES_BYTES", rate), ("RILL_HTTP_BODY_LIMIT", "64KiB")];
    assert_eq!(
        refused(resolve(None, &pairs("65535/m"), &[])),
        "rates.bytes 65535/m is less than http.body_limit 64KiB: such a body could never be \
         published"
    );
    resolve(None, &pairs("65536/m"), &[]).expect("just enough");
}

#[test]
fn what_is_set_here_is_in_the_toml() {
    let file = "[http]\nallowed_hosts = ['a', '[::1]:80']\ntrusted_proxies = ['unix', 'fd00::/8']\n\
                client_address = 'forwarded'\n[cors]\norigins = ['https://a.example']\n\
                credentials = true\n[rates]\nconnects = '5/s'\nbytes = '300000/h'";
    let config = resolve(Some(file), &[], &[]).expect("config");
    assert_eq!(resolve_alone(Some(&config.to_toml()), &[], &[]).expect("TOML"), config);
    let none = resolve(Some("cors.origins = []"), &[], &[]).expect("config");
    assert_eq!(resolve_alone(Some(&none.to_toml()), &[], &[]).expect("TOML"), none);
}
