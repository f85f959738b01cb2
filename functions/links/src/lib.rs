//! The URL shortener: short links that lead to a target, for a time or a number of clicks, openly or behind a password.
//!
//! | module | what it is about |
//! |---|---|
//! | [`link`] | the record of a link |
//! | [`slug`], [`target`], [`redirect_status`], [`click_limit`], [`annotation`], [`password`] | its parts; what exists is valid |
//! | [`rules`] | how links are made and edited |
//! | [`blocklist`] | where a tenant's links may not lead |
//! | [`visitor`], [`visit`], [`click`] | who follows a link, what they get, what is counted |
//! | [`qr`], [`pages`] | what is drawn: QR codes and the redirect's HTML pages |
//! | [`store`] | the table |
//! | [`api`], [`view`] | `links.api`: the endpoints under `/v2/links`, and a link as they show it |
//! | [`redirect`] | `links.redirect`: the public address |
//! | [`clicks`] | `links.clicks`: counts, from a queue |
//! | [`expiries`] | `links.expiries`: tells of ends, from a queue |
//! | [`export`] | `links.export`: what the export of a tenant has of links |

pub mod annotation;
pub mod api;
pub mod app;
pub mod blocklist;
pub mod click;
pub mod click_limit;
pub mod clicks;
pub mod expiries;
pub mod export;
mod guard;
pub mod link;
pub mod pages;
pub mod password;
pub mod qr;
pub mod redirect;
pub mod redirect_status;
pub mod rules;
pub mod slug;
pub mod store;
pub mod target;
mod user_agent;
pub mod view;
pub mod visit;
pub mod visitor;

use shared::lambda::Service;

/// The functions of this service.
pub static SERVICE: Service = Service {
    name: "links",
    functions: &[
        ("links.api", api::function),
        ("links.redirect", redirect::function),
        ("links.clicks", clicks::function),
        ("links.expiries", expiries::function),
        ("links.export", export::function),
    ],
};
