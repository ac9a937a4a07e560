//! On which day users were last active.
//!
//! The table has three things that say so: the account's creation, the `lastLoginAt` of its
//! identities, which each login writes, and the profile's `lastActiveOn`. The last is for sessions
//! that are refreshed for months without a login: their rows are gone some time after they end. It is
//! written at the first refresh of a day, so it costs a user at most one write a day.

use std::time::Duration;

use futures_util::future::try_join_all;
use jiff::{Timestamp, civil::Date, tz::Offset};
use tokio::time::timeout;

use super::{
    User,
    phone_numbers::Holder,
    rows::{IDENTITY, profile_key},
};
use crate::{
    clock::Clock,
    dynamo::{self, Condition, Dynamo, DynamoError, Update},
    request::deadline,
    telemetry::OrDegraded,
};

/// Its name in `degraded` log lines.
const WHAT: &str = "last activity";
/// How long a refresh waits for this write after its own.
const WAIT: Duration = Duration::from_secs(1);

/// Records and tells when users were active, in days of UTC. Cheap to clone.
#[derive(Clone)]
pub struct Activity {
    dynamo: Dynamo,
    clock: Clock,
}

impl Activity {
    /// The activity of users in `dynamo`.
    #[must_use]
    pub fn new(dynamo: Dynamo, clock: Clock) -> Self {
        Self { dynamo, clock }
    }

    /// Records that the user is active today, unless the row says so already: after a refresh that
    /// succeeded. A write that fails is made by the next refresh.
    pub async fn record(&self, user: &User) {
        let today = day_of(self.clock.now());
        if known_day(user, today) >= today {
            return;
        }
        // Boxed, because it is rare.
        let write = Box::pin(self.write(user, today));
        let written = timeout(deadline::cap(WAIT), write).await;
        if let Some(written) = written.or_degraded(WHAT) {
            written.or_degraded(WHAT);
        }
    }

    /// It is not a new version of the profile, and the cached one may say another day: then the write
    /// is made again, and changes nothing.
    async fn write(&self, user: &User, today: Date) -> Result<(), DynamoError> {
        let condition = Condition::new(
            "attribute_exists(pk) AND (attribute_not_exists(lastActiveOn) OR lastActiveOn < :today \
             OR lastActiveOn > :tomorrow)",
        );
        let tomorrow = dynamo::string(day_after(today).to_string());
        let update = Update::new(
            profile_key(user.id),
            "SET lastActiveOn = :today",
            condition
                .value(":today", dynamo::string(today.to_string()))
                .value(":tomorrow", tomorrow),
        );
        self.dynamo.update(update).await.map(drop)
    }

    /// For how many days the holder of a number has not been active; 0 if they were today.
    ///
    /// # Errors
    /// DynamoDB's.
    pub async fn days_inactive(&self, holder: &Holder) -> Result<u32, DynamoError> {
        let logins = holder.identities.iter().map(|pk| self.last_login(pk));
        let logins = try_join_all(logins).await?;
        let today = day_of(self.clock.now());
        let known = known_day(&holder.user, today);
        let last = logins
            .into_iter()
            .flatten()
            .map(day_of)
            .filter(|day| is_credible(*day, today))
            .fold(known, Date::max);
        let days = today.duration_since(last).as_hours() / 24;
        Ok(u32::try_from(days).unwrap_or_default())
    }

    /// For how many days the holder of a number has not shared it; 0 if they did today. None if they
    /// never did since the number's row says so: an administrator moved them in with it, or an earlier
    /// version bound it.
    #[must_use]
    pub fn days_unproven(&self, holder: &Holder) -> Option<u32> {
        let today = day_of(self.clock.now());
        let proven = holder.proven_on.filter(|day| is_credible(*day, today))?;
        let days = today.duration_since(proven).as_hours() / 24;
        Some(u32::try_from(days).unwrap_or_default())
    }

    async fn last_login(&self, identity: &str) -> Result<Option<Timestamp>, DynamoError> {
        let row = self.dynamo.get(identity, IDENTITY.sk).await?;
        let time = row
            .as_ref()
            .and_then(|row| row.get("lastLoginAt")?.as_s().ok());
        Ok(time.and_then(|time| time.parse().ok()))
    }
}

/// The day that the user's row says.
fn known_day(user: &User, today: Date) -> Date {
    let created = day_of(user.created_at);
    let recorded = user.last_active_on.filter(|day| is_credible(*day, today));
    recorded.map_or(created, |day| day.max(created))
}

/// Whether somebody can have been active on this day. One after tomorrow was written by an instance
/// whose clock ran ahead; the day until then is left for clocks that differ around midnight.
fn is_credible(day: Date, today: Date) -> bool {
    day <= day_after(today)
}

fn day_after(day: Date) -> Date {
    day.tomorrow().unwrap_or(Date::MAX)
}

/// The day of a time, in UTC.
pub(super) fn day_of(time: Timestamp) -> Date {
    Offset::UTC.to_datetime(time).date()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::UserId;

    #[test]
    fn a_user_was_active_when_the_account_was_made_and_on_the_recorded_day() {
        let id: UserId = "0193c0de-0000-7000-8000-00000000abcd".parse().unwrap();
        let mut user = User::new(id, "2026-11-23T23:59:59.999Z".parse().unwrap());
        let today = "2026-12-02".parse().unwrap();
        assert_eq!(known_day(&user, today).to_string(), "2026-11-23");
        user.last_active_on = Some("2026-12-01".parse().unwrap());
        assert_eq!(known_day(&user, today).to_string(), "2026-12-01");
        user.last_active_on = Some("2026-01-01".parse().unwrap());
        assert_eq!(known_day(&user, today).to_string(), "2026-11-23");
    }
    #[test]
    fn a_recorded_day_after_tomorrow_is_not_believed() {
        let id: UserId = "0193c0de-0000-7000-8000-00000000abcd".parse().unwrap();
        let mut user = User::new(id, "2026-11-23T08:00:00Z".parse().unwrap());
        let today = "2026-12-01".parse().unwrap();
        user.last_active_on = Some("2026-12-02".parse().unwrap());
        assert_eq!(known_day(&user, today).to_string(), "2026-12-02");
        user.last_active_on = Some("2026-12-03".parse().unwrap());
        assert_eq!(known_day(&user, today).to_string(), "2026-11-23");
    }
}
