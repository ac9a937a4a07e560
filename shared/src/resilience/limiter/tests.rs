use jiff::Timestamp;

use super::*;
use crate::clock::ManualClock;

const ADDRESS: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 7)));

struct Fixture {
    clock: ManualClock,
    limiter: Limiter,
    limits: Limits,
}

fn fixture(vars: &[(&str, &str)], shared: impl FnOnce(Clock) -> Option<Kv>) -> Fixture {
    let clock = ManualClock::new("2026-11-24T08:00:00Z".parse::<Timestamp>().unwrap());
    let env = Env::new(vars.to_vec());
    let limits = Limits::new(&LimitSettings::read(&env), &env);
    env.validate().unwrap();
    let limiter = Limiter::new(
        shared(Clock::Manual(clock.clone())),
        Clock::Manual(clock.clone()),
    );
    Fixture {
        clock,
        limiter,
        limits,
    }
}

fn alone(vars: &[(&str, &str)]) -> Fixture {
    fixture(vars, |_| None)
}

#[tokio::test]
async fn an_instance_without_shared_state_limits_by_itself() {
    let Fixture {
        clock,
        limiter,
        limits,
    } = alone(&[("RATE_LIMIT_GUEST", "1/s burst 2")]);
    for _ in 0..2 {
        limiter.charge_address(ADDRESS, limits.guest).await.unwrap();
    }
    let denied = limiter
        .charge_address(ADDRESS, limits.guest)
        .await
        .unwrap_err();
    assert_eq!(
        (denied.retry_after, denied.to_string().as_str()),
        (Duration::from_secs(1), "rate limit guest exceeded")
    );
    clock.advance_seconds(1);
    limiter.charge_address(ADDRESS, limits.guest).await.unwrap();
}

#[tokio::test]
async fn a_remembered_denial_costs_no_round_trip() {
    let mut store = None;
    let fixture = fixture(&[("RATE_LIMIT_GUEST", "1/min burst 1")], |clock| {
        Some(Kv::Memory(store.insert(MemoryStore::new(clock)).clone()))
    });
    fixture
        .limiter
        .charge_address(ADDRESS, fixture.limits.guest)
        .await
        .unwrap();
    fixture
        .limiter
        .charge_address(ADDRESS, fixture.limits.guest)
        .await
        .unwrap_err();
    // Without its bucket the request would be admitted, but the store is not asked.
    store.unwrap().delete("{ip:203.0.113.7}:rl:guest");
    fixture
        .limiter
        .charge_address(ADDRESS, fixture.limits.guest)
        .await
        .unwrap_err();
    fixture.clock.advance_seconds(60);
    fixture
        .limiter
        .charge_address(ADDRESS, fixture.limits.guest)
        .await
        .unwrap();
}

#[tokio::test]
async fn failed_logins_take_nothing_from_the_logins_of_their_address() {
    let vars = [
        ("RATE_LIMIT_LOGIN", "1/h burst 10"),
        ("RATE_LIMIT_LOGIN_FAILURES", "1/h burst 2"),
    ];
    let Fixture {
        limiter, limits, ..
    } = alone(&vars);
    for admitted in [true, true, false] {
        let failed = limiter.charge_address(ADDRESS, limits.failed_login).await;
        assert_eq!(failed.is_ok(), admitted);
    }
    for _ in 0..10 {
        limiter.charge_address(ADDRESS, limits.login).await.unwrap();
    }
}

#[tokio::test]
async fn the_networks_of_an_ipv6_site_share_a_wider_limit() {
    let Fixture {
        limiter, limits, ..
    } = alone(&[("RATE_LIMIT_GUEST", "1/h burst 2")]);
    let charge = async |network: u16| {
        let address = format!("2001:db8:1:{network:x}::1").parse().unwrap();
        limiter.charge_address(Some(address), limits.guest).await
    };
    for network in 0..16 {
        for admitted in [true, true, false] {
            assert_eq!(charge(network).await.is_ok(), admitted, "{network}");
        }
    }
    let denied = charge(16).await.unwrap_err();
    assert_eq!(denied.to_string(), "rate limit guest-48 exceeded");
    let elsewhere = "2001:db8:2::1".parse().unwrap();
    limiter
        .charge_address(Some(elsewhere), limits.guest)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_refund_is_there_for_the_next_request() {
    let Fixture {
        limiter, limits, ..
    } = fixture(&[("RATE_LIMIT_USER", "1/h burst 1")], |clock| {
        Some(Kv::Memory(MemoryStore::new(clock)))
    });
    let user = Identity::User(crate::ids::UserId(uuid::Uuid::nil()));
    let ticket = limiter.ticket(user, limits.user).unwrap();
    let reply = limiter.ask(&[ticket.step().unwrap()]).await.remove(0);
    ticket.refund(reply).await;
    limiter.charge(user, limits.user).await.unwrap();
    limiter.charge(user, limits.user).await.unwrap_err();
}

#[tokio::test]
async fn a_limit_in_shadow_mode_or_switched_off_denies_nothing() {
    let vars = [
        ("RATE_LIMIT_GUEST", "1/h burst 1 shadow"),
        ("RATE_LIMIT_USER", "off"),
    ];
    let Fixture {
        limiter, limits, ..
    } = alone(&vars);
    for _ in 0..5 {
        limiter.charge_address(ADDRESS, limits.guest).await.unwrap();
        let user = Identity::User(crate::ids::UserId(uuid::Uuid::nil()));
        limiter.charge(user, limits.user).await.unwrap();
    }
}

#[test]
fn an_impossible_limit_is_a_config_error_of_its_variable() {
    let env = Env::new([("RATE_LIMIT_USER", "1/h burst 1000000")]);
    let _ = Limits::new(&LimitSettings::read(&env), &env);
    assert_eq!(env.validate().unwrap_err().0[0].name, "RATE_LIMIT_USER");
}
