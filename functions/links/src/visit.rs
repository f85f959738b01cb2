//! What a visitor of a link gets: the state machine of a link and the decision at the door.

use serde::{Deserialize, Serialize};
use shared::time::Timestamp;
use utoipa::ToSchema;

use crate::link::Link;
use crate::visitor::{Kind, Visitor};

/// The state of a link, which follows from its fields and the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = LinkStatus)]
pub enum Status {
    /// It leads to its target.
    Active,
    /// Its `starts_at` is still to come.
    NotYet,
    /// Its `expires_at` has come.
    Expired,
    /// Its clicks are used up.
    Exhausted,
    /// Its owner put it away.
    Archived,
}

/// Why a link does not lead anywhere any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GoneReason {
    /// Its time is over.
    Expired,
    /// Its clicks are used up.
    Exhausted,
    /// Its owner put it away.
    Archived,
}

/// What the visitor asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// To be led there: `GET` or `HEAD` of the link.
    Follow,
    /// To see where it leads: the link with a `+` after it.
    Look,
    /// To be led there after all: `POST` from the form of a page. Programs that look ahead do not send forms.
    Confirm,
}

/// What the visitor gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// 404, as for a link that does not exist.
    NotFound,
    /// 410 with the reason.
    Gone(GoneReason),
    /// The form for the password. `refused` when one was sent and was wrong.
    AskPassword {
        /// Whether to say that the password was wrong.
        refused: bool,
    },
    /// The page that shows where the link leads.
    Preview {
        /// Whether to show the whole target or its host alone.
        whole: bool,
    },
    /// A redirect to the target.
    Redirect {
        /// The status to answer with.
        status: u16,
        /// Whether a click must be taken from the link's limit first. When none is left, the answer is
        /// `Gone(GoneReason::Exhausted)`.
        spends_click: bool,
    },
}

impl Link {
    /// The state at `now`. Of several that hold, the most lasting one: archived, expired, exhausted, not yet.
    pub fn status(&self, now: Timestamp) -> Status {
        if self.archived {
            Status::Archived
        } else if self.expires_at.is_some_and(|end| now >= end) {
            Status::Expired
        } else if self.max_clicks.is_some_and(|limit| self.clicks_used >= u64::from(limit.get())) {
            Status::Exhausted
        } else if self.starts_at.is_some_and(|start| now < start) {
            Status::NotYet
        } else {
            Status::Active
        }
    }

    /// What `visitor` gets at `now`. `unlocked` says that the password was sent and is right; it does not matter for a
    /// link without one.
    ///
    /// The rules, the first that fits:
    /// - A link that is not active yet does not exist for visitors: 404 without a hint.
    /// - What is over is 410.
    /// - Behind a password nothing is shown, not even the host.
    /// - A link with a click limit is not spent on a preview, a prefetch or a crawler: they see the page instead, with
    ///   the host alone, because the whole target would make the limit a formality. A person who was taken for a
    ///   program goes on with the page's button.
    pub fn visit(&self, now: Timestamp, visitor: &Visitor, step: Step, unlocked: bool) -> Decision {
        match self.status(now) {
            Status::NotYet => return Decision::NotFound,
            Status::Expired => return Decision::Gone(GoneReason::Expired),
            Status::Exhausted => return Decision::Gone(GoneReason::Exhausted),
            Status::Archived => return Decision::Gone(GoneReason::Archived),
            Status::Active => {}
        }
        if self.password_hash.is_some() && !unlocked {
            return Decision::AskPassword { refused: step == Step::Confirm };
        }
        let spends_click = self.max_clicks.is_some();
        match step {
            Step::Look => Decision::Preview { whole: !spends_click },
            Step::Follow if spends_click && visitor.kind != Kind::Human => Decision::Preview { whole: false },
            Step::Follow => Decision::Redirect { status: self.redirect_status.code(), spends_click },
            // See Other: after 307 or 308 the browser would send the form, and with it the password, to the target.
            Step::Confirm => Decision::Redirect { status: 303, spends_click },
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;
    use shared::password_hash::PasswordHash;
    use shared::random::Random;

    use super::*;
    use crate::link::tests::link;
    use crate::redirect_status::RedirectStatus;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn who(kind: Kind) -> Visitor {
        Visitor { kind, ..Visitor::read(false, |_| None) }
    }

    fn locked() -> Link {
        Link { password_hash: Some(PasswordHash::of(b"correct horse", &Random::seeded(1)).unwrap()), ..link() }
    }

    fn limited(limit: i64, used: u64) -> Link {
        Link { max_clicks: Some(limit.try_into().unwrap()), clicks_used: used, ..link() }
    }

    #[test]
    fn the_state_follows_from_the_fields_and_the_time() {
        let window = Link { starts_at: Some(at(100)), expires_at: Some(at(200)), ..link() };
        for (now, expected) in [
            (99, Status::NotYet),
            (100, Status::Active),
            (199, Status::Active),
            (200, Status::Expired),
            (201, Status::Expired),
        ] {
            assert_eq!(window.status(at(now)), expected, "{now}");
        }
        assert_eq!(limited(2, 1).status(at(0)), Status::Active);
        assert_eq!(limited(2, 2).status(at(0)), Status::Exhausted);
        assert_eq!(limited(2, 3).status(at(0)), Status::Exhausted);
        assert_eq!(Link { archived: true, ..window.clone() }.status(at(300)), Status::Archived);
        assert_eq!(Link { starts_at: Some(at(9)), ..limited(1, 1) }.status(at(0)), Status::Exhausted);
    }

    #[test]
    fn what_is_over_is_gone_and_what_is_to_come_is_not_there() {
        let window = Link { starts_at: Some(at(100)), expires_at: Some(at(200)), ..locked() };
        let archived = Link { archived: true, ..link() };
        for step in [Step::Follow, Step::Look, Step::Confirm] {
            for unlocked in [false, true] {
                let visit = |link: &Link, now| link.visit(at(now), &who(Kind::Human), step, unlocked);
                assert_eq!(visit(&window, 50), Decision::NotFound);
                assert_eq!(visit(&window, 200), Decision::Gone(GoneReason::Expired));
                assert_eq!(visit(&limited(1, 1), 0), Decision::Gone(GoneReason::Exhausted));
                assert_eq!(visit(&archived, 0), Decision::Gone(GoneReason::Archived));
            }
        }
    }

    #[test]
    fn a_plain_link_redirects_everyone() {
        let link = Link { redirect_status: RedirectStatus::PermanentRedirect, ..link() };
        for kind in [Kind::Human, Kind::Bot, Kind::Preview] {
            let decision = link.visit(at(0), &who(kind), Step::Follow, false);
            assert_eq!(decision, Decision::Redirect { status: 308, spends_click: false });
        }
        assert_eq!(link.visit(at(0), &who(Kind::Human), Step::Look, false), Decision::Preview { whole: true });
    }

    #[test]
    fn a_one_time_link_is_not_spent_on_programs() {
        let once = limited(1, 0);
        for kind in [Kind::Bot, Kind::Preview] {
            assert_eq!(once.visit(at(0), &who(kind), Step::Follow, false), Decision::Preview { whole: false });
        }
        assert_eq!(
            once.visit(at(0), &who(Kind::Human), Step::Follow, false),
            Decision::Redirect { status: 302, spends_click: true }
        );
        // The page's button works for a person who was taken for a program.
        assert_eq!(
            once.visit(at(0), &who(Kind::Bot), Step::Confirm, false),
            Decision::Redirect { status: 303, spends_click: true }
        );
        assert_eq!(once.visit(at(0), &who(Kind::Human), Step::Look, false), Decision::Preview { whole: false });
    }

    #[test]
    fn behind_a_password_nothing_shows() {
        let link = Link { redirect_status: RedirectStatus::TemporaryRedirect, ..locked() };
        let visit = |step, unlocked| link.visit(at(0), &who(Kind::Human), step, unlocked);
        assert_eq!(visit(Step::Follow, false), Decision::AskPassword { refused: false });
        assert_eq!(visit(Step::Look, false), Decision::AskPassword { refused: false });
        assert_eq!(visit(Step::Confirm, false), Decision::AskPassword { refused: true });
        assert_eq!(visit(Step::Confirm, true), Decision::Redirect { status: 303, spends_click: false });
    }

    proptest! {
        #[test]
        fn a_click_is_spent_only_by_an_active_limited_link(
            (starts_at, expires_at, now) in (prop::option::of(0..100_i64), prop::option::of(0..100_i64), 0..100_i64),
            (limit, used, archived, unlocked) in (prop::option::of(1..5_i64), 0..6_u64, any::<bool>(), any::<bool>()),
            kind in prop::sample::select(vec![Kind::Human, Kind::Bot, Kind::Preview]),
            step in prop::sample::select(vec![Step::Follow, Step::Look, Step::Confirm]),
        ) {
            let link = Link {
                starts_at: starts_at.map(at),
                expires_at: expires_at.map(at),
                max_clicks: limit.map(|limit| limit.try_into().unwrap()),
                clicks_used: used,
                archived,
                ..link()
            };
            let decision = link.visit(at(now), &who(kind), step, unlocked);
            let shows = matches!(decision, Decision::Redirect { .. } | Decision::Preview { .. });
            prop_assert_eq!(shows, link.status(at(now)) == Status::Active);
            if let Decision::Redirect { spends_click, .. } = decision {
                prop_assert_eq!(spends_click, limit.is_some());
                prop_assert!(step != Step::Look);
                prop_assert!(limit.is_none() || kind == Kind::Human || step == Step::Confirm);
            }
        }
    }
}
