//! What a `User-Agent` says about who sends it. The lists name words that programs use of themselves; they need not be
//! complete, because what is not listed is counted as a person, and a crawler that hides cannot be told from one anyway.

use crate::visitor::{Device, Kind};

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

/// What sends `agent`, which is in lower case. An absent one does not say that it is a bot.
pub(crate) fn kind(agent: &str) -> Kind {
    let has = |words: &[&str]| words.iter().any(|word| agent.contains(word));
    if has(PREVIEWS) {
        Kind::Preview
    } else if has(NOT_BOTS) {
        Kind::Human
    } else if has(BOTS) || agent.ends_with("bot") {
        Kind::Bot
    } else {
        Kind::Human
    }
}

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

/// The class of device of `agent`, which is in lower case. An iPad that asks for desktop pages says Macintosh, and no
/// header tells it apart.
pub(crate) fn device(agent: &str) -> Device {
    let has = |words: &[&str]| words.iter().any(|word| agent.contains(word));
    if has(TVS) {
        Device::Tv
    } else if has(TABLETS) || (agent.contains("android") && !agent.contains("mobi")) {
        // Chrome on Android says Mobile on telephones only.
        Device::Tablet
    } else if has(MOBILES) {
        Device::Mobile
    } else if has(DESKTOPS) {
        Device::Desktop
    } else {
        Device::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IPHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1";

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
            assert_eq!(kind(&agent.to_ascii_lowercase()), expected, "{agent}");
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
            assert_eq!(device(&agent.to_ascii_lowercase()), expected, "{agent}");
        }
    }
}
