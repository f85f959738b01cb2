//! What a `User-Agent` says about who sends it. The lists name words that programs use of themselves; they need not be
//! complete, because what is not listed is counted as a person, and a crawler that hides cannot be told from one anyway.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;

use crate::visitor::{Device, Kind};

/// What a word stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Preview,
    NotBot,
    Bot,
    Tv,
    Tablet,
    Mobile,
    /// Of a telephone, where it stands with Android.
    Mobi,
    Android,
    Desktop,
}

/// Each class with its words, in lower case.
const WORDS: &[(Class, &[&str])] = &[
    (Class::Preview, PREVIEWS),
    (Class::NotBot, NOT_BOTS),
    (Class::Bot, BOTS),
    (Class::Tv, TVS),
    (Class::Tablet, TABLETS),
    (Class::Mobile, MOBILES),
    (Class::Mobi, &["mobi"]),
    (Class::Android, &["android"]),
    (Class::Desktop, DESKTOPS),
];

/// All words at once: each for itself would be searched for in each request, which takes longer than all else that a
/// redirect does. None if they made no automaton, which a test excludes.
static AUTOMATON: LazyLock<Option<(AhoCorasick, Vec<Class>)>> = LazyLock::new(|| {
    let words = || WORDS.iter().flat_map(|(class, words)| words.iter().map(|word| (*class, *word)));
    let automaton = AhoCorasick::builder().ascii_case_insensitive(true).build(words().map(|(_, word)| word)).ok()?;
    Some((automaton, words().map(|(class, _)| class).collect()))
});

/// The classes of which a `User-Agent` has words.
struct Classes(u16);

impl Classes {
    fn of(agent: &str) -> Self {
        let Some((automaton, classes)) = AUTOMATON.as_ref() else { return Self(0) };
        let found = automaton.try_find_overlapping_iter(agent).into_iter().flatten();
        let found = found.filter_map(|word| classes.get(word.pattern().as_usize()));
        Self(found.fold(0, |all, class| all | class.bit()))
    }

    const fn has(&self, class: Class) -> bool {
        self.0 & class.bit() != 0
    }
}

impl Class {
    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// Fetchers of link previews, by what they call themselves. Signal comes as `WhatsApp`, Apple's Messages as Facebook and
/// Twitter, and what embeds Telegram's or Twitter's name to be let in looks ahead just the same.
const PREVIEWS: &[&str] = &[
    "bitlybot",
    "bluesky",
    "bufferbot",
    "cardyb",
    "discordbot",
    "embedly",
    "facebookcatalog",
    "facebookexternalhit",
    "facebot",
    "flipboardproxy",
    "google-pagerenderer",
    "googlemessages",
    "iframely",
    "kakaotalk-scrap",
    "line-poker",
    "link preview",
    "linkedinbot",
    "linkpreview",
    "mastodon/",
    "mattermost-bot",
    "meta-externalfetcher",
    "microsoftpreview",
    "misskey",
    "nuzzel",
    "outbrain",
    "pinterest/0.",
    "pinterestbot",
    "pleroma",
    "quora link preview",
    "redditbot",
    "rocket.chat",
    "skypeuripreview",
    "slack-imgproxy",
    "slackbot",
    "snap url preview",
    "synapse (bot",
    "teams-linkpreview",
    "telegrambot",
    "twitterbot",
    "url preview",
    "urlpreview",
    "viber/",
    "vkshare",
    "whatsapp/",
    "whatsappbot",
    "xing-contenttabreceiver",
    "yahoo link preview",
    "zoombot",
];

/// Words of crawlers, monitors and scanners. `bot` stands for the hundreds that end in it.
const BOTS: &[&str] = &[
    "bot/",
    "bot;",
    "bot ",
    "bot)",
    "bot-",
    "bot,",
    "bot.",
    "bots",
    "crawl",
    "spider",
    "slurp",
    "scrap",
    "archiver",
    "ia_archive",
    "mediapartners-google",
    "adsbot",
    "apis-google",
    "feedfetcher",
    "google-read-aloud",
    "google-inspectiontool",
    "googleother",
    "google-safety",
    "bingpreview",
    "duckduckgo-favicons",
    "lighthouse",
    "pagespeed",
    "pingdom",
    "uptime",
    "statuscake",
    "site24x7",
    "newrelicpinger",
    "datadog/synthetics",
    "monitor",
    "checker",
    "validator",
    "headlesschrome",
    "phantomjs",
    "nmap",
    "nikto",
    "masscan",
    "zgrab",
    "nuclei",
    "sqlmap",
    "censys",
    "expanse",
    "barracuda",
    "proofpoint",
    "mimecast",
    "safelinks",
    "urlscan",
    "virustotal",
    "chatgpt-user",
    "claude-user",
    "perplexity-user",
    "anthropic-ai",
    "cohere-ai",
    "ahrefs",
    "semrush",
    "feedly",
    "feedburner",
    "newsblur",
    "inoreader",
];

/// Names of devices that end in "bot" without being one.
const NOT_BOTS: &[&str] = &["cubot"];

const TVS: &[&str] = &[
    "smart-tv",
    "smarttv",
    "smart tv",
    "googletv",
    "google tv",
    "android tv",
    "appletv",
    "apple tv",
    "hbbtv",
    "netcast",
    "web0s",
    "webos.tv",
    "bravia",
    "roku/",
    "crkey",
    "; aft",
    "viera",
    "philipstv",
    "tv safari",
    "playstation",
    "xbox",
    "nintendo",
];
const TABLETS: &[&str] = &["ipad", "tablet", "kindle", "silk/", "playbook", "kobo"];
const MOBILES: &[&str] = &["mobi", "iphone", "ipod", "opera mini", "windows phone", "blackberry", "fennec", "phone"];
const DESKTOPS: &[&str] = &["windows nt", "macintosh", "x11", "cros ", "linux x86_64", "linux i686"];

/// What sends `agent`, and the class of its device.
pub(crate) fn read(agent: &str) -> (Kind, Device) {
    let classes = Classes::of(agent);
    let ends_in_bot = agent.len().checked_sub(3).and_then(|start| agent.get(start..));
    (classes.kind(ends_in_bot.is_some_and(|end| end.eq_ignore_ascii_case("bot"))), classes.device())
}

impl Classes {
    /// An absent agent does not say that it is a bot.
    const fn kind(&self, ends_in_bot: bool) -> Kind {
        if self.has(Class::Preview) {
            Kind::Preview
        } else if self.has(Class::NotBot) {
            Kind::Human
        } else if self.has(Class::Bot) || ends_in_bot {
            Kind::Bot
        } else {
            Kind::Human
        }
    }

    /// An iPad that asks for desktop pages says Macintosh, and no header tells it apart.
    const fn device(&self) -> Device {
        if self.has(Class::Tv) {
            Device::Tv
        } else if self.has(Class::Tablet) || (self.has(Class::Android) && !self.has(Class::Mobi)) {
            // Chrome on Android says Mobile on telephones only.
            Device::Tablet
        } else if self.has(Class::Mobile) {
            Device::Mobile
        } else if self.has(Class::Desktop) {
            Device::Desktop
        } else {
            Device::Other
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IPHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1";

    #[test]
    fn each_word_is_found_in_any_case_also_inside_of_another() {
        assert!(AUTOMATON.is_some());
        for (class, words) in WORDS {
            for word in *words {
                assert_eq!(*word, word.to_ascii_lowercase());
                for agent in [format!("Mozilla/5.0 ({word}; ü) x"), word.to_ascii_uppercase()] {
                    assert!(Classes::of(&agent).has(*class), "{agent}");
                }
            }
        }
    }

    #[test]
    fn previews_bots_and_people_are_told_apart() {
        for (agent, expected) in [
            ("Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)", Kind::Preview),
            ("Slack-ImgProxy (+https://api.slack.com/robots)", Kind::Preview),
            ("Twitterbot/1.0", Kind::Preview),
            ("facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)", Kind::Preview),
            ("WhatsApp/2.23.20.0 A", Kind::Preview),
            ("TelegramBot (like TwitterBot)", Kind::Preview),
            ("Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)", Kind::Preview),
            ("LinkedInBot/1.0 (compatible; Mozilla/5.0; Apache-HttpClient +http://www.linkedin.com)", Kind::Preview),
            (
                "Mozilla/5.0 (Windows NT 6.1; WOW64) SkypeUriPreview Preview/0.5 skype-url-preview@microsoft.com",
                Kind::Preview,
            ),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_11_1) AppleWebKit/601.2.4 (KHTML, like Gecko) Version/9.0.1 Safari/601.2.4 facebookexternalhit/1.1 Facebot Twitterbot/1.0",
                Kind::Preview,
            ),
            ("http.rb/5.1.1 (Mastodon/4.2.0; +https://mastodon.example/)", Kind::Preview),
            ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", Kind::Bot),
            (
                "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm) Chrome/116.0 Safari/537.36",
                Kind::Bot,
            ),
            ("Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)", Kind::Bot),
            ("Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)", Kind::Bot),
            (
                "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)",
                Kind::Bot,
            ),
            ("Baiduspider+(+http://www.baidu.com/search/spider.htm)", Kind::Bot),
            (
                "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/120.0 Safari/537.36",
                Kind::Bot,
            ),
            ("Pingdom.com_bot_version_1.4_(http://www.pingdom.com/)", Kind::Bot),
            ("examplebot", Kind::Bot),
            (IPHONE, Kind::Human),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 Edg/142.0",
                Kind::Human,
            ),
            (
                "Mozilla/5.0 (Linux; Android 11; CUBOT NOTE 20) AppleWebKit/537.36 Chrome/91.0 Mobile Safari/537.36",
                Kind::Human,
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 [FBAN/FBIOS;FBAV/440.0]",
                Kind::Human,
            ),
            ("curl/8.5.0", Kind::Human),
            ("python-requests/2.32.0", Kind::Human),
            ("", Kind::Human),
        ] {
            assert_eq!(read(agent).0, expected, "{agent}");
        }
    }

    #[test]
    fn devices_are_told_apart() {
        for (agent, expected) in [
            (IPHONE, Device::Mobile),
            (
                "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 Chrome/142.0 Mobile Safari/537.36",
                Device::Mobile,
            ),
            ("Mozilla/5.0 (Android 14; Mobile; rv:145.0) Gecko/145.0 Firefox/145.0", Device::Mobile),
            (
                "Mozilla/5.0 (iPad; CPU OS 18_1 like Mac OS X) AppleWebKit/605.1.15 Version/18.1 Mobile/15E148 Safari/604.1",
                Device::Tablet,
            ),
            ("Mozilla/5.0 (Linux; Android 13; SM-X710) AppleWebKit/537.36 Chrome/142.0 Safari/537.36", Device::Tablet),
            ("Mozilla/5.0 (Android 14; Tablet; rv:145.0) Gecko/145.0 Firefox/145.0", Device::Tablet),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/142.0 Safari/537.36",
                Device::Desktop,
            ),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/18.1 Safari/605.1.15",
                Device::Desktop,
            ),
            ("Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0", Device::Desktop),
            ("Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 Chrome/142.0 Safari/537.36", Device::Desktop),
            ("Mozilla/5.0 (SMART-TV; Linux; Tizen 7.0) AppleWebKit/537.36 Version/7.0 TV Safari/537.36", Device::Tv),
            ("Mozilla/5.0 (Web0S; Linux/SmartTV) AppleWebKit/537.36 Chrome/94.0 Safari/537.36", Device::Tv),
            (
                "Mozilla/5.0 (Linux; Android 9; AFTS Build/PS7233) AppleWebKit/537.36 Chrome/118.0 Safari/537.36",
                Device::Tv,
            ),
            ("AppleTV11,1/11.1", Device::Tv),
            ("curl/8.5.0", Device::Other),
            ("", Device::Other),
        ] {
            assert_eq!(read(agent).1, expected, "{agent}");
        }
    }
}
