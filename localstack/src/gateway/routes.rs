//! Which function serves a request: the choice that an HTTP API makes among its routes
//! (<https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-routes.html>).

use std::collections::BTreeMap;

use http::Method;
use percent_encoding::percent_decode_str;

use crate::template::Route;

/// The routes, each with what serves it.
#[derive(Debug)]
pub(crate) struct Routes<T> {
    routes: Vec<(Pattern, T)>,
}

/// What a request was matched to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Matched<'a, T> {
    pub(crate) target: &'a T,
    /// `GET /v1/links/{id}`.
    pub(crate) route_key: &'a str,
    /// The values of the path's variables, decoded.
    pub(crate) path_parameters: BTreeMap<String, String>,
}

#[derive(Debug)]
struct Pattern {
    key: String,
    method: Option<Method>,
    /// `None` is `$default`.
    segments: Option<Vec<Segment>>,
}

#[derive(Debug)]
enum Segment {
    Fixed(String),
    Variable(String),
    Greedy(String),
}

impl Segment {
    /// The smaller goes first.
    fn rank(&self) -> u8 {
        match self {
            Self::Fixed(_) => 0,
            Self::Variable(_) => 1,
            Self::Greedy(_) => 2,
        }
    }
}

impl Pattern {
    fn new(route: &Route) -> Self {
        let segments = route.path.strip_prefix('/').map(|path| path.split('/').map(segment).collect());
        let method = route.method.as_ref().map_or("ANY", Method::as_str);
        let key = if segments.is_some() { format!("{method} {}", route.path) } else { route.path.clone() };
        Self { key, method: route.method.clone(), segments }
    }

    /// The smaller, the more specific: first the path, segment by segment, then the method. `$default` is last.
    fn rank(&self) -> (bool, Vec<u8>, bool) {
        let ranks = self.segments.as_ref().map(|segments| segments.iter().map(Segment::rank).collect());
        (ranks.is_none(), ranks.unwrap_or_default(), self.method.is_none())
    }

    /// The variables' values when `path` is one of this pattern's.
    fn variables(&self, path: &[&str]) -> Option<BTreeMap<String, String>> {
        let mut variables = BTreeMap::new();
        let Some(segments) = &self.segments else { return Some(variables) };
        let mut rest = path;
        for segment in segments {
            if let Segment::Greedy(name) = segment {
                let tail = rest.join("/");
                variables.insert(name.clone(), decoded(&tail));
                return (!tail.is_empty()).then_some(variables);
            }
            let (first, tail) = rest.split_first()?;
            match segment {
                Segment::Fixed(text) if *text == decoded(first) => {}
                Segment::Variable(name) if !first.is_empty() => {
                    variables.insert(name.clone(), decoded(first));
                }
                _ => return None,
            }
            rest = tail;
        }
        rest.is_empty().then_some(variables)
    }
}

fn segment(text: &str) -> Segment {
    match text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
        Some(name) => match name.strip_suffix('+') {
            Some(name) => Segment::Greedy(name.to_owned()),
            None => Segment::Variable(name.to_owned()),
        },
        None => Segment::Fixed(text.to_owned()),
    }
}

pub(super) fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

impl<T> Routes<T> {
    /// The routes, the most specific first.
    pub(crate) fn new(routes: impl IntoIterator<Item = (Route, T)>) -> Self {
        let mut routes: Vec<_> = routes.into_iter().map(|(route, target)| (Pattern::new(&route), target)).collect();
        routes.sort_by_cached_key(|(pattern, _)| pattern.rank());
        Self { routes }
    }

    /// The route for a request with this method and path (as sent, without the query).
    pub(crate) fn find(&self, method: &Method, path: &str) -> Option<Matched<'_, T>> {
        let path: Vec<&str> = path.strip_prefix('/').unwrap_or(path).split('/').collect();
        let of_method = |pattern: &Pattern| pattern.method.as_ref().is_none_or(|only| only == method);
        self.routes.iter().filter(|(pattern, _)| of_method(pattern)).find_map(|(pattern, target)| {
            let path_parameters = pattern.variables(&path)?;
            Some(Matched { target, route_key: &pattern.key, path_parameters })
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn routes() -> Routes<usize> {
        let keys = [
            "ANY /{proxy+}",
            "GET /pets/dog/1",
            "GET /pets/dog/{id}",
            "GET /pets/{proxy+}",
            "ANY /pets/dog/{id}",
            "GET /pets/{kind}/1",
            "GET /",
        ];
        Routes::new(keys.iter().enumerate().map(|(index, key)| {
            let (method, path) = key.split_once(' ').unwrap();
            let method = (method != "ANY").then(|| method.parse().unwrap());
            (Route { method, path: path.to_owned() }, index)
        }))
    }

    fn key(method: &Method, path: &str) -> Option<String> {
        routes().find(method, path).map(|matched| matched.route_key.to_owned())
    }

    #[test]
    fn the_most_specific_route_wins() {
        for (method, path, expected) in [
            (Method::GET, "/pets/dog/1", "GET /pets/dog/1"),
            (Method::GET, "/pets/dog/2", "GET /pets/dog/{id}"),
            (Method::POST, "/pets/dog/1", "ANY /pets/dog/{id}"),
            (Method::GET, "/pets/cat/1", "GET /pets/{kind}/1"),
            (Method::GET, "/pets/cat/2", "GET /pets/{proxy+}"),
            (Method::POST, "/pets/cat/2", "ANY /{proxy+}"),
            (Method::GET, "/", "GET /"),
        ] {
            assert_eq!(key(&method, path).as_deref(), Some(expected), "{path}");
        }
        assert_eq!(key(&Method::POST, "/"), None);
    }

    #[test]
    fn the_default_route_takes_what_is_left() {
        let default = Routes::new([
            (Route { method: None, path: "$default".to_owned() }, 0),
            (Route { method: None, path: "/{proxy+}".to_owned() }, 1),
        ]);
        assert_eq!(default.find(&Method::GET, "/").unwrap().route_key, "$default");
        assert_eq!(*default.find(&Method::GET, "/x").unwrap().target, 1);
    }

    #[test]
    fn variables_are_decoded() {
        let routes = routes();
        let matched = routes.find(&Method::GET, "/pets/dog/a%20b").unwrap();
        assert_eq!(matched.path_parameters, BTreeMap::from([("id".to_owned(), "a b".to_owned())]));
        let matched = routes.find(&Method::GET, "/pets/a/b/%C3%A9").unwrap();
        assert_eq!(matched.path_parameters, BTreeMap::from([("proxy".to_owned(), "a/b/é".to_owned())]));
        assert_eq!(key(&Method::GET, "/pets/").as_deref(), Some("ANY /{proxy+}"));
    }
}
