//! A function may do what its work needs, and no more.

use super::{
    BTreeSet, DeclaredFunction, Template, Trigger, Value, functions, json, named, of_type, properties, template,
};

pub(super) struct Statement {
    pub(super) actions: Vec<String>,
    pub(super) resources: Vec<Value>,
    /// The partitions of a table to which it is held, `*` being any text; of all without.
    pub(super) partitions: Option<Vec<String>>,
}

impl Statement {
    /// Whether it grants an action on an item in this partition.
    pub(super) fn reaches(&self, partition: &str) -> bool {
        self.partitions.as_ref().is_none_or(|all| all.iter().any(|pattern| is_like(pattern, partition)))
    }
}

/// Whether a text is like a pattern of `StringLike`, of which no partition of ours has more than `*`
/// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html>).
fn is_like(pattern: &str, text: &str) -> bool {
    let Some((head, tail)) = pattern.split_once('*') else { return pattern == text };
    let rest = text.strip_prefix(head);
    rest.is_some_and(|rest| (0..=rest.len()).any(|at| rest.get(at..).is_some_and(|rest| is_like(tail, rest))))
}

/// The one kind of condition that there is: it takes all but some partitions of a table away.
fn partitions(condition: &Value) -> Option<Vec<String>> {
    if condition.is_null() {
        return None;
    }
    let keys = &condition["ForAllValues:StringLike"]["dynamodb:LeadingKeys"];
    assert_eq!(condition, &json!({"ForAllValues:StringLike": {"dynamodb:LeadingKeys": keys}}));
    let patterns: Vec<_> = list(keys).iter().map(|pattern| pattern.as_str().unwrap().to_owned()).collect();
    assert!(!patterns.is_empty() && patterns.iter().all(|pattern| pattern != "*" && !pattern.contains('?')));
    Some(patterns)
}

fn list(value: &Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items.clone(),
        Value::Null => Vec::new(),
        one => vec![one.clone()],
    }
}

pub(super) fn statements(template: &Template, logical_id: &str) -> Vec<Statement> {
    let policies = list(&properties(template, logical_id)["Policies"]);
    policies
        .iter()
        .flat_map(|policy| {
            assert!(
                policy["Statement"].is_array(),
                "{logical_id}: SAM's policy templates are wider than needed: {policy}"
            );
            list(&policy["Statement"])
        })
        .map(|statement| {
            assert_eq!(statement["Effect"], "Allow", "{logical_id}");
            let mut known: BTreeSet<_> = statement.as_object().unwrap().keys().map(String::as_str).collect();
            // A condition takes something away.
            known.remove("Condition");
            assert_eq!(known, BTreeSet::from(["Effect", "Action", "Resource"]), "{logical_id}");
            let actions = list(&statement["Action"]);
            Statement {
                actions: actions.iter().map(|action| action.as_str().unwrap().to_owned()).collect(),
                resources: list(&statement["Resource"]),
                partitions: partitions(&statement["Condition"]),
            }
        })
        .collect()
}

/// All resources that a value names, in whichever case.
fn all_named(value: &Value) -> Vec<String> {
    match value["Fn::If"].as_array() {
        Some(cases) => cases.iter().flat_map(all_named).collect(),
        None => named(value).map(str::to_owned).into_iter().collect(),
    }
}

#[test]
fn no_permission_has_a_wildcard() {
    let template = template();
    for function in functions() {
        for statement in statements(&template, &function.logical_id) {
            for action in &statement.actions {
                assert!(!action.contains('*') && action.contains(':'), "{}: {action}", function.handler);
            }
            for resource in &statement.resources {
                // ListStreams cannot be restricted
                // (https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazondynamodb.html).
                let unrestricted = resource == "*" && statement.actions == ["dynamodb:ListStreams"];
                assert!(unrestricted || named(resource).is_some(), "{}: {resource}", function.handler);
            }
        }
    }
}

#[test]
fn what_asks_strangers_servers_may_touch_its_own_one_time_secrets_alone() {
    let template = template();
    let policies = &properties(&template, "AuthSocial")["Policies"][0]["Statement"];
    let to_accounts: Vec<_> = list(policies)
        .into_iter()
        .filter(|statement| {
            list(&statement["Resource"]).iter().any(|resource| named(resource) == Some("AccountsTable"))
        })
        .collect();
    assert_eq!(to_accounts.len(), 1);
    let condition = json!({"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["ticket#social#*"]}});
    assert_eq!(to_accounts[0]["Condition"], condition);
}

#[test]
fn what_counts_jobs_may_touch_the_numbers_of_queues_alone() {
    let template = template();
    let policies = &properties(&template, "JobsChanges")["Policies"][0]["Statement"];
    let to_items: Vec<_> = list(policies)
        .into_iter()
        .filter(|statement| list(&statement["Action"]).contains(&json!("dynamodb:PutItem")))
        .collect();
    assert_eq!(to_items.len(), 1);
    assert_eq!(to_items[0]["Action"], json!(["dynamodb:GetItem", "dynamodb:PutItem"]));
    let condition = json!({"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["*#statistics"]}});
    assert_eq!(to_items[0]["Condition"], condition);
}

#[test]
fn a_function_may_use_what_its_variables_and_triggers_name_and_nothing_else() {
    let template = template();
    let mut wrong = Vec::new();
    for function in functions() {
        let kinds = [
            "AWS::DynamoDB::Table",
            "AWS::SQS::Queue",
            "AWS::SNS::Topic",
            "AWS::S3::Bucket",
            "AWS::SecretsManager::Secret",
        ];
        let stores: BTreeSet<_> = kinds.into_iter().flat_map(|kind| of_type(&template, kind)).collect();
        // The address of a queue that is written into the due index alone, for the scheduler to send to.
        let reached = function.variables.iter().filter(|(name, _)| !name.ends_with("_DUE_QUEUE_URL"));
        let mut given: BTreeSet<_> = reached.flat_map(|(_, value)| all_named(value)).collect();
        for trigger in &function.triggers {
            match trigger {
                Trigger::Queue(trigger) => given.insert(trigger.queue.clone()),
                Trigger::Stream(trigger) => given.insert(trigger.table.clone()),
                Trigger::Http(_) | Trigger::Schedule(_) => false,
            };
        }
        given.retain(|resource| stores.contains(resource));
        let mut used: BTreeSet<_> = statements(&template, &function.logical_id)
            .iter()
            .flat_map(|statement| &statement.resources)
            .filter_map(named)
            .map(str::to_owned)
            .collect();
        if function.handler == "platform.scheduler" {
            // Which queue it sends to is in each message.
            let queues = of_type(&template, "AWS::SQS::Queue");
            used.retain(|resource| !queues.contains(resource) || given.contains(resource));
        }
        let (lacking, left_over): (Vec<_>, Vec<_>) =
            (given.difference(&used).collect(), used.difference(&given).collect());
        if used != given {
            wrong.push(format!("{} may not use {lacking:?}, and may use {left_over:?}", function.handler));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_scheduler_may_send_to_every_queue_to_which_anything_is_sent_later() {
    let template = template();
    let queues_sent_to = |logical_id: &str| -> BTreeSet<String> {
        statements(&template, logical_id)
            .iter()
            .filter(|statement| statement.actions == ["sqs:SendMessage"])
            .flat_map(|statement| &statement.resources)
            .filter_map(named)
            .map(str::to_owned)
            .collect()
    };
    // What can never be handled is sent at once.
    let dead_letters = |function: &DeclaredFunction| -> BTreeSet<String> {
        let named_so = function.variables.iter().filter(|(name, _)| name.ends_with("_DEAD_LETTER_URL"));
        named_so.filter_map(|(_, value)| named(value).map(str::to_owned)).collect()
    };
    let (schedulers, others): (Vec<_>, Vec<_>) =
        functions().into_iter().partition(|function| function.handler == "platform.scheduler");
    let later: BTreeSet<_> = others
        .iter()
        .filter(|function| function.variables.contains_key("DUE_TABLE"))
        .flat_map(|function| {
            let by_itself = &queues_sent_to(&function.logical_id) - &dead_letters(function);
            // From inside a VPC.
            let by_the_scheduler = function.variables.iter().filter(|(name, _)| name.ends_with("_DUE_QUEUE_URL"));
            let by_the_scheduler = by_the_scheduler.filter_map(|(_, value)| named(value).map(str::to_owned)).collect();
            &by_itself | &by_the_scheduler
        })
        .collect();
    assert!(!later.is_empty());
    assert_eq!(queues_sent_to(&schedulers[0].logical_id), later);
}

#[test]
fn what_a_consumer_needs_to_poll_and_settle_is_granted() {
    let template = template();
    for function in functions() {
        for trigger in &function.triggers {
            let (resource, needed): (Value, &[&str]) = match trigger {
                Trigger::Queue(trigger) => (
                    json!({"Fn::GetAtt": [trigger.queue, "Arn"]}),
                    &[
                        "sqs:ReceiveMessage",
                        "sqs:DeleteMessage",
                        "sqs:GetQueueAttributes",
                        "sqs:ChangeMessageVisibility",
                    ],
                ),
                Trigger::Stream(trigger) => (
                    json!({"Fn::GetAtt": [trigger.table, "StreamArn"]}),
                    &["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator"],
                ),
                Trigger::Http(_) | Trigger::Schedule(_) => continue,
            };
            let granted: BTreeSet<_> = statements(&template, &function.logical_id)
                .into_iter()
                .filter(|statement| statement.resources.contains(&resource))
                .flat_map(|statement| statement.actions)
                .collect();
            for action in needed {
                assert!(granted.contains(*action), "{} lacks {action}", function.handler);
            }
        }
    }
}

#[test]
fn what_uses_postgres_or_redis_is_inside_the_vpc_and_calls_neither_sqs_nor_sns() {
    let template = template();
    for function in functions() {
        let needs_vpc = ["DATABASE_URL", "REDIS_URL"].iter().any(|name| function.variables.contains_key(*name));
        let vpc = &properties(&template, &function.logical_id)["VpcConfig"];
        assert_eq!(vpc.is_object(), needs_vpc, "{}", function.handler);
        if needs_vpc {
            assert_eq!(vpc["Fn::If"][0], "HasVpc", "{}: without subnets there is no VPC", function.handler);
            let outside: BTreeSet<_> =
                ["AWS::SQS::Queue", "AWS::SNS::Topic"].into_iter().flat_map(|kind| of_type(&template, kind)).collect();
            for (name, value) in &function.variables {
                let reaches = all_named(value).iter().any(|resource| outside.contains(resource));
                let left_out = value["Fn::If"][0] == "HasVpc" && value["Fn::If"][1] == "";
                let left_to_the_scheduler = name.ends_with("_DUE_QUEUE_URL");
                assert!(
                    !reaches || left_out || left_to_the_scheduler,
                    "{}: nothing reaches {name} from inside a VPC",
                    function.handler
                );
            }
        }
    }
}

#[test]
fn only_what_signs_tokens_or_exchanges_their_keys_reads_the_secret_that_opens_them() {
    let template = template();
    let readers: BTreeSet<_> = functions()
        .into_iter()
        .filter(|function| {
            let statements = statements(&template, &function.logical_id);
            statements
                .iter()
                .flat_map(|statement| &statement.actions)
                .any(|action| action.starts_with("secretsmanager:"))
        })
        .map(|function| function.handler)
        .collect();
    assert_eq!(readers, ["auth.api", "auth.keys", "auth.oauth"].map(str::to_owned).into());
}

/// What changes items. Nothing else that may be granted does ([`ACTIONS`]).
const WRITES: [&str; 3] = ["dynamodb:DeleteItem", "dynamodb:PutItem", "dynamodb:UpdateItem"];

/// The statements by which a function may change items of the table of identity.
fn writes_of_identity(function: &DeclaredFunction) -> Vec<Statement> {
    let mut all = statements(&template(), &function.logical_id);
    all.retain(|statement| {
        statement.actions.iter().any(|action| WRITES.contains(&action.as_str()))
            && statement.resources.iter().any(|resource| named(resource) == Some("IdentityTable"))
    });
    all
}

#[test]
fn the_keys_that_verify_tokens_are_written_by_what_signs_or_exchanges_them_alone() {
    let may_write = |partition: &str| -> BTreeSet<String> {
        let functions = functions().into_iter();
        functions
            .filter(|function| writes_of_identity(function).iter().any(|statement| statement.reaches(partition)))
            .map(|function| function.handler)
            .collect()
    };
    // Whatever signs makes the first keys, and new ones when the secret that seals them was replaced.
    assert_eq!(may_write("system"), ["auth.api", "auth.keys", "auth.oauth"].map(str::to_owned).into());
    // The secret of cursors is in a partition of its own, which the services write.
    assert!(may_write("secret").contains("links.api") && !may_write("secret").contains("auth.keys"));
    assert!(may_write("a partition that nothing has").is_empty());
}

#[test]
fn whatever_writes_the_table_of_identity_is_held_to_its_partitions() {
    let mut held = 0;
    for function in functions() {
        for statement in writes_of_identity(&function) {
            assert!(statement.partitions.is_some(), "{} may write all of it", function.handler);
            let only_writes = statement.actions.iter().all(|action| WRITES.contains(&action.as_str()));
            assert!(only_writes, "{}: what is read is in other partitions", function.handler);
            held += 1;
        }
    }
    assert!(held > 5);
}

#[test]
fn a_pattern_is_like_what_has_any_text_in_place_of_its_stars() {
    for (pattern, text, is) in [
        ("system", "system", true),
        ("system", "systems", false),
        ("key#*", "key#", true),
        ("key#*", "akey#1", false),
        ("tenant_*#deprecated", "tenant_1#deprecated", true),
        ("tenant_*#deprecated", "tenant_1#deprecated#", false),
        ("*", "system", true),
        ("s*m", "system", true),
    ] {
        assert_eq!(is_like(pattern, text), is, "{pattern} and {text}");
    }
}

/// The actions that a function may be granted, by the names of
/// <https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html>.
/// Nothing scans a table, and nothing changes what the template makes.
const ACTIONS: [&str; 22] = [
    "dynamodb:BatchGetItem",
    "dynamodb:ConditionCheckItem",
    "dynamodb:DeleteItem",
    "dynamodb:DescribeStream",
    "dynamodb:GetItem",
    "dynamodb:GetRecords",
    "dynamodb:GetShardIterator",
    "dynamodb:ListStreams",
    "dynamodb:PutItem",
    "dynamodb:Query",
    "dynamodb:UpdateItem",
    "s3:DeleteObject",
    "s3:GetObject",
    "s3:ListBucket",
    "s3:PutObject",
    "secretsmanager:GetSecretValue",
    "sns:Publish",
    "sqs:ChangeMessageVisibility",
    "sqs:DeleteMessage",
    "sqs:GetQueueAttributes",
    "sqs:ReceiveMessage",
    "sqs:SendMessage",
];

#[test]
fn every_action_that_is_granted_exists_and_fits_its_resource() {
    let template = template();
    let services = [
        ("AWS::DynamoDB::Table", "dynamodb:"),
        ("AWS::SQS::Queue", "sqs:"),
        ("AWS::SNS::Topic", "sns:"),
        ("AWS::S3::Bucket", "s3:"),
        ("AWS::SecretsManager::Secret", "secretsmanager:"),
    ];
    for function in functions() {
        for statement in statements(&template, &function.logical_id) {
            for action in &statement.actions {
                assert!(ACTIONS.contains(&action.as_str()), "{}: {action}", function.handler);
                for resource in statement.resources.iter().filter_map(named) {
                    let kind = &template.section("Resources")[resource]["Type"];
                    let fits = services.iter().any(|(fitting, service)| kind == fitting && action.starts_with(service));
                    assert!(fits, "{}: {action} on {resource}", function.handler);
                }
            }
        }
    }
}
