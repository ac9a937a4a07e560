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
async fn a_failed_login_costs_more_and_never_more_than_a_full_bucket() {
    let vars = [
        ("RATE_LIMIT_LOGIN", "1/s burst 10"),
        ("RATE_LIMIT_LOGIN_FAILURE_COST", "10"),
    ];
    let Fixture {
        clock,
        limiter,
        limits,
    } = alone(&vars);
    limiter.charge_address(ADDRESS, limits.login).await.unwrap();
    for _ in 0..3 {
        limiter
            .charge_address(ADDRESS, limits.failed_login)
            .await
            .unwrap();
    }
    let denied = limiter
        .charge_address(ADDRESS, limits.login)
        .await
        .unwrap_err();
    assert_eq!(denied.retry_after, Duration::from_secs(1));
    clock.advance_seconds(1);
    limiter.charge_address(ADDRESS, limits.login).await.unwrap();
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
        limiter.charge_address(ADDRESS, limits.user).await.unwrap();
    }
}

#[test]
fn an_impossible_limit_is_a_config_error_of_its_variable() {
    let env = Env::new([("RATE_LIMIT_USER", "1/h burst 1000000")]);
    let _ = Limits::new(&LimitSettings::read(&env), &env);
    assert_eq!(env.validate().unwrap_err().0[0].name, "RATE_LIMIT_USER");
}
