//! template.yaml and the code say the same, and the template keeps the rules of the house.

use std::collections::{BTreeMap, BTreeSet};

use localstack::template::{DeclaredFunction, Scope, Template, Trigger, workspace_root};
use serde_json::{Value, json};
use shared::config::Environment;
use shared::http::versions::Family;
use tenfold::SERVICES;

mod calls;
mod environment;
mod permissions;

fn template() -> Template {
    Template::of_workspace().unwrap()
}

fn functions() -> Vec<DeclaredFunction> {
    let template = template();
    let scope = Scope::new(&template, "tenfold", &BTreeMap::new()).unwrap();
    template.functions(&scope).unwrap()
}

/// The properties of a resource.
fn properties(template: &Template, logical_id: &str) -> Value {
    let resource = template.section("Resources").get(logical_id);
    resource.unwrap_or_else(|| panic!("there is no resource {logical_id}"))["Properties"].clone()
}

/// The logical ids of a type of resource.
fn of_type(template: &Template, kind: &str) -> BTreeSet<String> {
    let resources = template.section("Resources").iter();
    resources.filter(|(_, resource)| resource["Type"] == kind).map(|(id, _)| id.clone()).collect()
}

/// The resource that `!Ref` or `!GetAtt` names.
fn named(value: &Value) -> Option<&str> {
    // An index of a table and the objects of a bucket are named by a text: `${Table.Arn}/index/name`, `${Bucket.Arn}/*`.
    let part = || value["Fn::Sub"].as_str()?.strip_prefix("${")?.split_once(".Arn}/").map(|(resource, _)| resource);
    value["Ref"].as_str().or_else(|| value["Fn::GetAtt"][0].as_str()).or_else(part)
}

fn service_of(handler: &str) -> &str {
    handler.split('.').next().unwrap_or_default()
}

/// The function that a handler runs: the owner may split one by naming its operations.
fn run_by(handler: &str) -> String {
    let service = SERVICES.iter().find(|service| service.name == service_of(handler));
    let function = service.and_then(|service| service.function(handler));
    function.unwrap_or_else(|| panic!("no function is called {handler}")).0.to_owned()
}

#[test]
fn every_function_of_the_code_is_in_the_template_and_the_reverse() {
    let coded: BTreeSet<_> =
        SERVICES.iter().flat_map(|service| service.functions).map(|(name, _)| (*name).to_owned()).collect();
    let declared: Vec<_> = functions().into_iter().map(|function| function.handler).collect();
    assert_eq!(declared.iter().map(|handler| run_by(handler)).collect::<BTreeSet<_>>(), coded);
    // One that several functions run is a consumer of several queues.
    for function in
        functions().iter().filter(|function| declared.iter().filter(|name| **name == function.handler).count() > 1)
    {
        assert!(matches!(function.triggers.as_slice(), [Trigger::Queue(_)]), "{}", function.logical_id);
    }

    let crates = std::fs::read_dir(workspace_root().join("functions")).unwrap();
    let crates: BTreeSet<_> = crates.map(|folder| folder.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(coded.iter().map(|handler| service_of(handler).to_owned()).collect::<BTreeSet<_>>(), crates);
}

#[test]
fn every_documented_operation_is_routed_to_the_function_that_serves_it() {
    let functions = functions();
    let mut served = BTreeSet::new();
    for (handler, document) in tests::openapi::parts() {
        for (path, item) in document["paths"].as_object().unwrap() {
            assert_eq!(routed(&functions, path).as_deref(), Some(handler), "{path}");
            if Family::of_path(path).is_some() {
                let older = path.replacen("/v2/", "/v1/", 1);
                assert_eq!(routed(&functions, &older).as_deref(), Some(handler), "{older}");
            }
            assert!(!item.as_object().unwrap().is_empty());
            served.insert(handler.to_owned());
        }
    }
    // Each function with a route is documented, but the one that teaches.
    let with_routes: BTreeSet<_> = functions
        .iter()
        .filter(|function| routes(function).next().is_some() && function.handler != "sandbox.api")
        .map(|function| run_by(&function.handler))
        .collect();
    assert_eq!(with_routes, served);
}

fn routes(function: &DeclaredFunction) -> impl Iterator<Item = &str> {
    function.triggers.iter().filter_map(|trigger| match trigger {
        Trigger::Http(route) => Some(route.path.as_str()),
        _ => None,
    })
}

/// The function that API Gateway gives a path to: a full match before the longest greedy one
/// (<https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-routes.html>).
fn routed(functions: &[DeclaredFunction], path: &str) -> Option<String> {
    let all = || functions.iter().flat_map(|function| routes(function).map(move |route| (route, &function.handler)));
    let exact = all().find(|(route, _)| *route == path);
    let greedy = all()
        .filter(|(route, _)| {
            let below = route.strip_suffix("{proxy+}").and_then(|base| path.strip_prefix(base));
            below.is_some_and(|below| !below.is_empty())
        })
        .max_by_key(|(route, _)| route.len());
    exact.or(greedy).map(|(_, handler)| run_by(handler))
}

#[test]
fn a_family_has_one_bare_and_one_greedy_route_for_all_methods() {
    let mut all = BTreeSet::new();
    // What is split off has the routes of its operation.
    for function in functions().into_iter().filter(|function| run_by(&function.handler) == function.handler) {
        for trigger in &function.triggers {
            let Trigger::Http(route) = trigger else { continue };
            assert_eq!(route.method, None, "the function answers 405 itself: {route:?}");
            let base = route.path.strip_suffix("/{proxy+}").unwrap_or(&route.path);
            assert!(!base.contains('{') && base.starts_with('/'), "{route:?}");
            assert!(all.insert(route.path.clone()), "{route:?} is declared twice");
        }
        // What a greedy route of the function covers needs no other.
        let greedy: Vec<_> = routes(&function).filter_map(|path| path.strip_suffix("{proxy+}")).collect();
        for path in routes(&function) {
            let covered = greedy.iter().any(|base| path.starts_with(base) && path != format!("{base}{{proxy+}}"));
            assert!(!covered, "{}: {path}", function.handler);
        }
    }
    assert!(all.len() < 300, "an HTTP API has at most 300 routes");
}

#[test]
fn no_time_out_is_longer_than_what_waits_for_it() {
    for function in functions() {
        let is_http = routes(&function).next().is_some();
        // API Gateway gives up after 30 seconds.
        let most = if is_http { 30 } else { 900 };
        assert!(function.timeout.as_secs() <= most, "{}: {:?}", function.handler, function.timeout);
        for trigger in &function.triggers {
            let Trigger::Schedule(schedule) = trigger else { continue };
            let between = if schedule.expression.contains("minute") { 60 } else { 3600 };
            let beside = function.timeout.as_secs() >= between;
            assert!(!beside, "{} would run beside its next tick", function.handler);
        }
    }
}

#[test]
fn every_queue_that_is_consumed_bears_slow_and_failing_consumers() {
    let template = template();
    for function in functions() {
        for trigger in &function.triggers {
            let Trigger::Queue(trigger) = trigger else { continue };
            let queue = properties(&template, &trigger.queue);
            let at = format!("{} of {}", trigger.queue, function.handler);
            assert!(trigger.partial_failures, "{at}");
            let visibility = queue["VisibilityTimeout"].as_u64().unwrap();
            assert!(visibility >= 6 * function.timeout.as_secs() + trigger.window.as_secs(), "{at}: {visibility}");
            assert!(queue["RedrivePolicy"]["maxReceiveCount"].as_u64().unwrap() >= 3, "{at}");
            let dead_letters = named(&queue["RedrivePolicy"]["deadLetterTargetArn"]).unwrap();
            assert_ne!(dead_letters, trigger.queue);

            // Lambda does all of it for a consumer inside a VPC, which reaches no queue.
            if function.variables.contains_key("DATABASE_URL") {
                continue;
            }
            // The consumer knows its queue by the same names.
            let prefix = function.variables.keys().find_map(|name| name.strip_suffix("_DEAD_LETTER_URL")).unwrap();
            let variable = |name: &str| &function.variables[&format!("{prefix}_{name}")];
            assert_eq!(named(variable("QUEUE_URL")), Some(trigger.queue.as_str()), "{at}");
            assert_eq!(named(variable("DEAD_LETTER_URL")), Some(dead_letters), "{at}");
            assert_eq!(variable("VISIBILITY_SECONDS"), &json!(visibility.to_string()), "{at}");
        }
    }
}

#[test]
fn no_stream_has_more_readers_than_a_shard_takes() {
    let mut readers = BTreeMap::<String, usize>::new();
    for trigger in functions().into_iter().flat_map(|function| function.triggers) {
        if let Trigger::Stream(trigger) = trigger {
            *readers.entry(trigger.table).or_default() += 1;
        }
    }
    assert!(!readers.is_empty() && readers.values().all(|readers| *readers <= 2), "{readers:?}");
}

#[test]
fn every_stream_that_is_read_names_its_failures_and_leaves_what_it_gave_up() {
    let template = template();
    for function in functions() {
        for trigger in &function.triggers {
            let Trigger::Stream(trigger) = trigger else { continue };
            assert!(trigger.partial_failures && trigger.bisect && trigger.from_start, "{}", function.handler);
            assert!(trigger.retries.is_some() && trigger.on_failure.is_some(), "{}", function.handler);
            let table = properties(&template, &trigger.table);
            assert_eq!(table["StreamSpecification"]["StreamViewType"], "NEW_AND_OLD_IMAGES");
        }
    }
}

#[test]
fn every_queue_is_consumed_or_holds_dead_letters_for_which_there_is_an_alarm() {
    let template = template();
    let functions = functions();
    let triggers = || functions.iter().flat_map(|function| &function.triggers);
    let consumed: BTreeSet<_> = triggers()
        .filter_map(|trigger| match trigger {
            Trigger::Queue(trigger) => Some(trigger.queue.clone()),
            _ => None,
        })
        .collect();
    let queues = of_type(&template, "AWS::SQS::Queue");
    assert!(consumed.is_subset(&queues));
    let mut targets: BTreeSet<_> = consumed
        .iter()
        .filter_map(|queue| {
            Some(named(&properties(&template, queue)["RedrivePolicy"]["deadLetterTargetArn"])?.to_owned())
        })
        .collect();
    assert_eq!(targets.len(), consumed.len(), "a queue of dead letters for each");
    targets.extend(triggers().filter_map(|trigger| match trigger {
        Trigger::Stream(trigger) => trigger.on_failure.clone(),
        _ => None,
    }));
    let dead_letters: BTreeSet<_> = queues.difference(&consumed).cloned().collect();
    assert_eq!(dead_letters, targets);

    for queue in &queues {
        let kept = properties(&template, queue)["MessageRetentionPeriod"].as_u64();
        assert_eq!(kept, Some(14 * 24 * 60 * 60), "{queue} keeps messages for as long as SQS can");
    }
    let alarms: Vec<_> =
        of_type(&template, "AWS::CloudWatch::Alarm").iter().map(|id| properties(&template, id)).collect();
    for queue in dead_letters {
        let alarm = alarms
            .iter()
            .find(|alarm| alarm["Dimensions"][0]["Value"] == json!({"Fn::GetAtt": [queue, "QueueName"]}))
            .unwrap_or_else(|| panic!("{queue} has no alarm"));
        assert_eq!(alarm["Namespace"], "AWS/SQS");
        assert_eq!(alarm["Dimensions"][0]["Name"], "QueueName");
        assert_eq!(alarm["MetricName"], "ApproximateNumberOfMessagesVisible");
        assert_eq!(
            (&alarm["Threshold"], &alarm["ComparisonOperator"]),
            (&json!(1), &json!("GreaterThanOrEqualToThreshold"))
        );
        assert!(!alarm["AlarmActions"].is_null(), "{queue}");
    }
}

#[test]
fn every_function_logs_with_its_service_and_its_errors_are_told() {
    let template = template();
    let errors: BTreeSet<_> = of_type(&template, "AWS::CloudWatch::Alarm")
        .iter()
        .map(|id| properties(&template, id))
        .flat_map(|alarm| alarm["Metrics"].as_array().cloned().unwrap_or_default())
        .filter(|metric| metric["MetricStat"]["Metric"]["MetricName"] == "Errors")
        .filter_map(|metric| Some(named(&metric["MetricStat"]["Metric"]["Dimensions"][0]["Value"])?.to_owned()))
        .collect();
    for function in functions() {
        let declared = properties(&template, &function.logical_id);
        let service = service_of(&function.handler);
        assert_eq!(declared["CodeUri"], format!("target/lambda/{service}"), "{}", function.handler);
        let group = named(&declared["LoggingConfig"]["LogGroup"]).unwrap();
        assert_eq!(group.to_lowercase(), format!("{service}logs"), "{}", function.handler);
        assert!(properties(&template, group)["RetentionInDays"].as_u64().is_some(), "{group} is kept for ever");
        assert!(errors.contains(&function.logical_id), "{} has no alarm", function.handler);
    }
}

/// What SAM makes of a resource, at most
/// (<https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-specification-generated-resources.html>).
fn expanded(resource: &Value) -> usize {
    match resource["Type"].as_str().unwrap() {
        "AWS::Serverless::Function" => {
            let events = resource["Properties"]["Events"].as_object();
            // The function and its role; a permission, mapping or schedule with its role for each event.
            2 + events
                .into_iter()
                .flatten()
                .map(|(_, event)| 1 + usize::from(event["Type"] == "ScheduleV2"))
                .sum::<usize>()
        }
        // The API and its stage.
        "AWS::Serverless::HttpApi" => 2,
        _ => 1,
    }
}

#[test]
fn the_stack_stays_within_what_cloudformation_takes() {
    let template = template();
    let count: usize = template.section("Resources").values().map(expanded).sum();
    assert!(count < 500, "{count} resources");
    assert!(template.section("Parameters").len() <= 200 && template.section("Outputs").len() <= 200);
}
