//! How links are made and edited: what a client may set, and the rules that concern several fields, the time or the
//! tenant. The rules of single fields are in their types.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use shared::id::TenantId;
use shared::password_hash::PasswordHash;
use shared::random::Random;
use shared::refusal::{Fault, Refusal};
use shared::text::check_printable;
use shared::time::{Timestamp, to_millisecond};
use url::Url;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::annotation::{Note, Tags, Title};
use crate::blocklist::Blocklist;
use crate::click_limit::ClickLimit;
use crate::link::{Link, LinkId};
use crate::password::Password;
use crate::redirect_status::RedirectStatus;
use crate::slug::{Alias, Slug};
use crate::target::Target;

/// What a client sends to have a link made.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewLink {
    /// Where it leads.
    pub target: Target,
    /// The slug to use. Without one it is drawn at random.
    #[serde(default)]
    pub alias: Option<Alias>,
    /// Draws a slug that nobody can guess (more than 128 random bits) in place of a short one.
    #[serde(default)]
    pub unguessable: bool,
    /// How visitors are sent on.
    #[serde(default)]
    pub redirect_status: RedirectStatus,
    /// What it is called.
    #[serde(default)]
    pub title: Option<Title>,
    /// What to remember about it.
    #[serde(default)]
    pub note: Option<Note>,
    /// Words to find it by.
    #[serde(default)]
    pub tags: Tags,
    /// From when on it works; before that it does not exist for visitors.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub starts_at: Option<Timestamp>,
    /// From when on it does not work any more. Must be in the future.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
    /// After how many clicks it ends.
    #[serde(default)]
    pub max_clicks: Option<ClickLimit>,
    /// What visitors must know to be led on.
    #[serde(default)]
    pub password: Option<Password>,
}

/// What a client may edit of a link: a merge patch is applied to it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Editable {
    /// Where it leads.
    pub target: Target,
    /// How visitors are sent on.
    #[serde(default)]
    pub redirect_status: RedirectStatus,
    /// What it is called.
    #[serde(default)]
    pub title: Option<Title>,
    /// What to remember about it.
    #[serde(default)]
    pub note: Option<Note>,
    /// Words to find it by, all of them.
    #[serde(default)]
    pub tags: Tags,
    /// Whether it is put away.
    #[serde(default)]
    pub archived: bool,
    /// From when on it works.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub starts_at: Option<Timestamp>,
    /// From when on it does not work any more. Must be in the future when it is set.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
    /// After how many clicks it ends, counted from when a limit was first set.
    #[serde(default)]
    pub max_clicks: Option<ClickLimit>,
    /// A text sets a new password, `null` removes it; `true` leaves the one that there is.
    #[serde(default)]
    pub password: Option<EditedPassword>,
}

/// The password in an [`Editable`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EditedPassword {
    /// The link has one, and it stays. Written `true`, which a patch leaves as it is.
    Kept,
    /// This one is to be set.
    Set(Password),
}

impl PartialSchema for EditedPassword {
    fn schema() -> RefOr<Schema> {
        let kept = ObjectBuilder::new().schema_type(Type::Boolean).enum_values(Some([true]));
        OneOfBuilder::new().item(Password::schema()).item(kept).into()
    }
}

impl ToSchema for EditedPassword {}

impl Serialize for EditedPassword {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // A new password is never written out again.
        serializer.serialize_bool(true)
    }
}

impl<'de> Deserialize<'de> for EditedPassword {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Kept(bool),
            Set(String),
        }
        let invalid = || serde::de::Error::custom("invalid_type: must be a text or null");
        match Written::deserialize(deserializer).map_err(|_| invalid())? {
            Written::Kept(true) => Ok(Self::Kept),
            Written::Kept(false) => Err(invalid()),
            Written::Set(text) => Password::try_from(text).map(Self::Set).map_err(serde::de::Error::custom),
        }
    }
}

/// What is acceptable here and now.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// The time.
    pub now: Timestamp,
    /// The address under which slugs live, such as `https://short.example/l/`: no link may lead there.
    pub base: &'a Url,
    /// Where the tenant's links may not lead.
    pub blocklist: &'a Blocklist,
}

/// A [`NewLink`] that was found acceptable.
#[derive(Clone, Debug)]
pub struct Draft(NewLink);

/// What a link gets from its surroundings when it is made.
#[derive(Clone, Debug)]
pub struct Origin {
    /// Which one.
    pub id: LinkId,
    /// Whose.
    pub tenant_id: TenantId,
    /// Who makes it: the subject of the principal.
    pub created_by: String,
    /// When.
    pub now: Timestamp,
}

impl NewLink {
    /// Checks what the types could not.
    ///
    /// # Errors
    /// One fault for each field that is not acceptable.
    pub fn check(self, rules: &Rules<'_>) -> Result<Draft, Vec<Fault>> {
        let mut faults = Vec::new();
        rules.check_target(&self.target, &mut faults);
        if self.alias.is_some() && self.unguessable {
            faults.push(Refusal::new("conflict", "cannot be combined with an alias").at("/unguessable"));
        }
        check_title(self.title.as_ref(), &mut faults);
        check_tags(&self.tags, &mut faults);
        rules.check_window(self.starts_at, self.expires_at, true, &mut faults);
        if faults.is_empty() { Ok(Draft(self)) } else { Err(faults) }
    }
}

impl Draft {
    /// The password that is to be hashed for [`Draft::into_link`].
    pub const fn password(&self) -> Option<&Password> {
        self.0.password.as_ref()
    }

    /// Whether the slug was chosen: when it is taken, no other can be drawn.
    pub const fn has_alias(&self) -> bool {
        self.0.alias.is_some()
    }

    /// The alias, or a slug drawn anew with each call.
    pub fn slug(&self, random: &Random) -> Slug {
        match &self.0.alias {
            Some(alias) => alias.clone().into_slug(),
            None if self.0.unguessable => Slug::unguessable(random),
            None => Slug::random(random),
        }
    }

    /// The link, with `slug` from [`Draft::slug`] and the hash of [`Draft::password`].
    pub fn into_link(self, origin: Origin, slug: Slug, password_hash: Option<PasswordHash>) -> Link {
        let new = self.0;
        let now = to_millisecond(origin.now);
        Link {
            id: origin.id,
            tenant_id: origin.tenant_id,
            slug,
            target: new.target,
            redirect_status: new.redirect_status,
            title: new.title,
            note: new.note,
            tags: new.tags,
            archived: false,
            starts_at: new.starts_at.map(to_millisecond),
            expires_at: new.expires_at.map(to_millisecond),
            expiry_told: None,
            max_clicks: new.max_clicks,
            clicks_used: 0,
            password_hash,
            created_at: now,
            updated_at: now,
            created_by: origin.created_by,
            revision: 1,
        }
    }
}

/// An edit that was found acceptable.
#[derive(Clone, Debug)]
pub struct Edit {
    link: Link,
    new_password: Option<Password>,
}

impl Link {
    /// What a client may edit, as it is now.
    pub fn editable(&self) -> Editable {
        Editable {
            target: self.target.clone(),
            redirect_status: self.redirect_status,
            title: self.title.clone(),
            note: self.note.clone(),
            tags: self.tags.clone(),
            archived: self.archived,
            starts_at: self.starts_at,
            expires_at: self.expires_at,
            max_clicks: self.max_clicks,
            password: self.password_hash.as_ref().map(|_| EditedPassword::Kept),
        }
    }

    /// Checks `edited` against what the link is now. What stays as it was is not checked again: the title of a link
    /// that has expired, or whose target was blocked since, can still be edited.
    ///
    /// # Errors
    /// One fault for each field that is not acceptable.
    pub fn edit(&self, edited: Editable, rules: &Rules<'_>) -> Result<Edit, Vec<Fault>> {
        let mut faults = Vec::new();
        if edited.target != self.target {
            rules.check_target(&edited.target, &mut faults);
        }
        if edited.title != self.title {
            check_title(edited.title.as_ref(), &mut faults);
        }
        if edited.tags != self.tags {
            check_tags(&edited.tags, &mut faults);
        }
        if (edited.starts_at, edited.expires_at) != (self.starts_at, self.expires_at) {
            let is_new_end = edited.expires_at != self.expires_at;
            rules.check_window(edited.starts_at, edited.expires_at, is_new_end, &mut faults);
        }
        let (password_hash, new_password) = match edited.password {
            None => (None, None),
            Some(EditedPassword::Kept) if self.password_hash.is_some() => (self.password_hash.clone(), None),
            Some(EditedPassword::Kept) => {
                faults.push(Refusal::new("invalid_type", "must be a text or null").at("/password"));
                (None, None)
            }
            Some(EditedPassword::Set(password)) => (self.password_hash.clone(), Some(password)),
        };
        if !faults.is_empty() {
            return Err(faults);
        }
        let link = Link {
            target: edited.target,
            redirect_status: edited.redirect_status,
            title: edited.title,
            note: edited.note,
            tags: edited.tags,
            archived: edited.archived,
            starts_at: edited.starts_at.map(to_millisecond),
            expires_at: edited.expires_at.map(to_millisecond),
            max_clicks: edited.max_clicks,
            password_hash,
            updated_at: to_millisecond(rules.now),
            revision: self.revision + 1,
            ..self.clone()
        };
        Ok(Edit { link, new_password })
    }
}

impl Edit {
    /// The password that is to be hashed for [`Edit::into_link`].
    pub const fn password(&self) -> Option<&Password> {
        self.new_password.as_ref()
    }

    /// The edited link, with the hash of [`Edit::password`].
    pub fn into_link(self, new_hash: Option<PasswordHash>) -> Link {
        Link { password_hash: new_hash.or(self.link.password_hash), ..self.link }
    }
}

fn check_title(title: Option<&Title>, faults: &mut Vec<Fault>) {
    faults.extend(title.and_then(|title| check_printable(title.as_str()).err()).map(|refusal| refusal.at("/title")));
}

fn check_tags(tags: &Tags, faults: &mut Vec<Fault>) {
    faults.extend(tags.iter().find_map(|tag| check_printable(tag.as_str()).err()).map(|refusal| refusal.at("/tags")));
}

impl Rules<'_> {
    fn check_target(&self, target: &Target, faults: &mut Vec<Fault>) {
        if target.is_under(self.base) {
            faults.push(Refusal::new("loop", "must not lead to another short link of this service").at("/target"));
        } else if self.blocklist.blocks(target) {
            faults.push(Refusal::new("blocked", "leads to a blocked domain").at("/target"));
        }
    }

    fn check_window(
        &self,
        starts_at: Option<Timestamp>,
        expires_at: Option<Timestamp>,
        is_new_end: bool,
        faults: &mut Vec<Fault>,
    ) {
        let Some(end) = expires_at else { return };
        if is_new_end && end <= self.now {
            faults.push(Refusal::new("in_the_past", "must be in the future").at("/expires_at"));
        } else if starts_at.is_some_and(|start| end <= start) {
            faults.push(Refusal::new("before_start", "must be later than its beginning").at("/expires_at"));
        }
    }
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
