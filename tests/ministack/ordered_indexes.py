"""Whether queries along ordered indexes are answered as MiniStack answers them without: two copies of its DynamoDB get the same
requests, chosen at random from a fixed seed, and each answer is compared. And whether a query costs as much as it reads.

`python ordered_indexes.py FOLDER` with the folder of the module `ordered_indexes`.
"""

import base64
import importlib.util
import json
import random
import sys

TABLES, REQUESTS = 24, 100
PARTITIONS, PLACES = 3, 40
SEED = 20260101


def plain_copy():
    """MiniStack's DynamoDB, once more and as it is."""
    spec = importlib.util.find_spec("ministack.services.dynamodb")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


oracle = plain_copy()
sys.path.insert(0, sys.argv[1])

import ordered_indexes  # noqa: E402
from ministack.services import dynamodb  # noqa: E402

ordered_indexes.install()
chance = random.Random(SEED)


def ask(module, operation, request):
    target = {"x-amz-target": f"DynamoDB_20120810.{operation}"}
    # It never waits.
    answering = module.handle_request("POST", "/", target, json.dumps(request).encode(), {})
    try:
        answering.send(None)
    except StopIteration as end:
        status, _, body = end.value
        return status, json.loads(body)
    raise AssertionError("it waits")


def both(operation, request):
    """The answer of both copies."""
    expected, answer = ask(oracle, operation, request), ask(dynamodb, operation, request)
    assert answer == expected, f"{operation} {json.dumps(request)}\nexpected {expected}\nanswered {answer}"
    return answer


def value(type_, most):
    """One of not too many values."""
    number = chance.randrange(most)
    if type_ == "S":
        text = ["", "a", "b", "ab", "ä", "\U0001f600", "#", "z"][number % 8] + str(number // 8)
        return {"S": text}
    if type_ == "N":
        return {"N": str(number - most // 2)}
    return {"B": base64.b64encode(bytes([number * 37 % 256, number % 5][: 1 + number % 2])).decode()}


def asked(type_, most):
    """The same in one of its notations. MiniStack stores keys that are written otherwise as others."""
    asked = value(type_, most)
    return {"N": chance.choice(["{}", "{}.0", "{}e0"]).format(asked["N"])} if type_ == "N" else asked


class Table:
    """A table of random keys and indexes."""

    def __init__(self, number):
        self.name = f"table{number}"
        self.types = {name: chance.choice("SNB") for name in ("h", "r", "x", "y", "z")}
        self.most = {"h": PARTITIONS, "r": PLACES, "x": PARTITIONS, "y": PLACES, "z": PLACES}
        self.own = ["h", "r"][: chance.choice([1, 2, 2, 2])]
        if len(self.own) == 1:
            self.most["h"] = PLACES
        # Some tables reach the megabyte at which a page ends.
        self.size = chance.choice([0, 0, 0, 0, 90_000])
        shapes = {"global1": (["x"], []), "global2": (["x"], ["y"]), "global3": (["h"], ["z"]), "global4": (["x"], ["r"]), "global5": (["x"], ["y", "z"])}
        self.globals = {name: shapes[name] for name in chance.sample(sorted(shapes), chance.randrange(4))}
        self.locals = {"local": (["h"], ["y"])} if len(self.own) == 2 and chance.random() < 0.5 else {}
        self.indexes = {None: (self.own[:1], self.own[1:]), **self.globals, **self.locals}
        request = {"TableName": self.name, "BillingMode": "PAY_PER_REQUEST", "KeySchema": schema(self.indexes[None])}
        for kind, indexes in ("GlobalSecondaryIndexes", self.globals), ("LocalSecondaryIndexes", self.locals):
            if indexes:
                request[kind] = [self.definition(name, keys) for name, keys in indexes.items()]
        request["AttributeDefinitions"] = self.definitions()
        for module in oracle, dynamodb:
            status, answer = ask(module, "CreateTable", request)
            assert status == 200, answer

    def definitions(self):
        used = {name for hashes, ranges in self.indexes.values() for name in hashes + ranges}
        return [{"AttributeName": name, "AttributeType": self.types[name]} for name in sorted(used)]

    def definition(self, name, keys):
        kind = chance.choice(["ALL", "KEYS_ONLY", "INCLUDE"])
        projection = {"ProjectionType": kind, **({"NonKeyAttributes": ["v"]} if kind == "INCLUDE" else {})}
        return {"IndexName": name, "KeySchema": schema(keys), "Projection": projection}

    def key(self):
        return {name: value(self.types[name], self.most[name]) for name in self.own}

    def item(self):
        others = {n: value(self.types[n], self.most[n]) for n in ("r", "x", "y", "z") if chance.random() < 0.8}
        more = {"v": {"N": str(chance.randrange(5))}, "big": {"S": "-" * self.size}}
        return {**others, **more, **self.key()}

    def write(self):
        kind = chance.randrange(8)
        put = {"TableName": self.name, "Item": self.item()}
        delete = {"TableName": self.name, "Key": self.key()}
        if kind < 3:
            both("PutItem", put)
        elif kind == 3:
            both("DeleteItem", {**delete, "ReturnValues": "ALL_OLD"})
        elif kind == 4:
            both("UpdateItem", self.update())
        elif kind == 5:
            items = {json.dumps({n: i[n] for n in self.own}): i for i in [self.item() for _ in range(10)]}
            writes = [{"PutRequest": {"Item": item}} for item in items.values()]
            both("BatchWriteItem", {"RequestItems": {self.name: writes}})
        elif kind == 6:
            condition = {"ConditionExpression": chance.choice(["attribute_exists(h)", "attribute_not_exists(h)"])}
            both("TransactWriteItems", {"TransactItems": [{"Put": {**put, **condition}}, {"Delete": delete}]})
        else:
            both("PutItem", {**put, "ConditionExpression": "attribute_not_exists(h)"})

    def update(self):
        name = chance.choice([name for name in ("x", "y", "z") if name not in self.own])
        update = {"TableName": self.name, "Key": self.key(), "ReturnValues": "ALL_NEW"}
        if chance.random() < 0.4:
            return {**update, "UpdateExpression": f"REMOVE {name}"}
        values = {":value": value(self.types[name], self.most[name])}
        return {**update, "UpdateExpression": f"SET {name} = :value", "ExpressionAttributeValues": values}

    def query(self):
        index = chance.choice(list(self.indexes))
        hashes, ranges = self.indexes[index]
        request = {"TableName": self.name, "ReturnConsumedCapacity": "INDEXES", **({"IndexName": index} if index else {})}
        parts, names, values = [], {}, {}
        for number, name in enumerate(hashes + ranges[: chance.randrange(len(ranges) + 1)]):
            written = name
            if chance.random() < 0.5:
                written = f"#n{number}"
                names[written] = name
            parts.append(self.condition(written, name, name in hashes, values))
        if chance.random() < 0.1:
            parts.reverse()
        if chance.random() < 0.02:
            parts.append(chance.choice(["v = :w0", "h < :w0", "size(h) = :w0", parts[0]]))
        request["KeyConditionExpression"] = " AND ".join(parts) + chance.choice([""] * 30 + [" AND", ")", " NOT", " !", " :w0"])
        if chance.random() < 0.3:
            request["FilterExpression"] = "v > :v"
            values[":v"] = {"N": "2"}
        request |= {"ExpressionAttributeNames": names} if names else {}
        request["ExpressionAttributeValues"] = values
        if chance.random() < 0.8:
            request["ScanIndexForward"] = chance.random() < 0.5
        if chance.random() < 0.7:
            request["Limit"] = chance.choice([1, 1, 2, 3, 7, 20, 0] if chance.random() < 0.1 else [1, 2, 3, 7])
        request |= chance.choice([{}, {}, {"ProjectionExpression": "v"}, {"Select": "COUNT"}, {"ConsistentRead": True}])
        self.pages(request, hashes + ranges)

    def condition(self, written, name, is_hash, values):
        type_ = chance.choice("SNB") if chance.random() < 0.02 else self.types[name]
        first, second = f":w{len(values)}", f":w{len(values) + 1}"
        values[first] = asked(type_, self.most[name])
        comparison = "=" if is_hash else chance.choice(["=", "<", "<=", ">", ">=", "BETWEEN", "begins_with"])
        if comparison == "BETWEEN":
            values[second] = asked(type_, self.most[name])
            return f"{written} BETWEEN {first} AND {second}"
        if comparison == "begins_with":
            return f"begins_with({written}, {first})"
        forms = [f"{written} {comparison} {first}"] * 8 + [f"{written}{comparison}{first}", f"({written} {comparison} {first})"]
        return chance.choice([*forms, f"{first} = {written}"] if comparison == "=" else forms)

    def pages(self, request, names):
        """All pages from the beginning on, or one from any key on."""
        if chance.random() < 0.2:
            start = {n: asked(self.types[n], self.most[n]) for n in sorted({*names, *self.own}) if chance.random() < 0.98}
            both("Query", {**request, "ExclusiveStartKey": start})
        for _ in range(6):
            _, answer = both("Query", request)
            if "LastEvaluatedKey" not in answer:
                break
            request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]
            if chance.random() < 0.2:
                self.write()

    def legacy_query(self):
        value_of = {"ComparisonOperator": "EQ", "AttributeValueList": [value(self.types["h"], self.most["h"])]}
        both("Query", {"TableName": self.name, "KeyConditions": {"h": value_of}, "Limit": 2})

    def change_indexes(self):
        """Makes an index, or takes one away."""
        if "global6" in self.indexes:
            del self.indexes["global6"]
            update = {"Delete": {"IndexName": "global6"}}
        else:
            self.indexes["global6"] = ["y"], ["x"]
            update = {"Create": self.definition("global6", self.indexes["global6"])}
        request = {"TableName": self.name, "GlobalSecondaryIndexUpdates": [update]}
        for module in oracle, dynamodb:
            status, answer = ask(module, "UpdateTable", {**request, "AttributeDefinitions": self.definitions()})
            assert status == 200, answer


def schema(keys):
    hashes, ranges = keys
    return [{"AttributeName": n, "KeyType": "HASH"} for n in hashes] + [{"AttributeName": n, "KeyType": "RANGE"} for n in ranges]


def restart():
    """Keeps what is kept over a restart, and no more."""
    for module in oracle, dynamodb:
        state = module.get_state()
        module.reset()
        module.load_persisted_state(state)


def cost():
    """No more items are tested for a page of two of many than its own, and one to tell that there is more."""
    request = {"TableName": "many", "BillingMode": "PAY_PER_REQUEST", "KeySchema": schema((["h"], ["r"]))}
    request["AttributeDefinitions"] = [{"AttributeName": name, "AttributeType": "S"} for name in "hr"]
    ask(dynamodb, "CreateTable", request)
    for number in range(2_000):
        item = {"h": {"S": "one"}, "r": {"S": f"{number:05}"}}
        ask(dynamodb, "PutItem", {"TableName": "many", "Item": item})
    tested = []
    evaluate = dynamodb._evaluate_condition
    dynamodb._evaluate_condition = lambda *arguments, **slot: tested.append(0) or evaluate(*arguments, **slot)
    for start in {}, {"ExclusiveStartKey": {"h": {"S": "one"}, "r": {"S": "01500"}}}:
        values = {":h": {"S": "one"}, ":r": {"S": "01000"}}
        condition = {"KeyConditionExpression": "h = :h AND r > :r", "ExpressionAttributeValues": values}
        _, answer = ask(dynamodb, "Query", {"TableName": "many", "Limit": 2, **condition, **start})
        assert len(answer["Items"]) == 2, answer
    # The key at which the second goes on is tested as well.
    assert len(tested) <= 7, tested


def main():
    queries = 0
    for number in range(TABLES):
        table = Table(number)
        for _ in range(REQUESTS):
            dice = chance.random()
            if dice < 0.45:
                table.write()
            elif dice < 0.98:
                table.query()
                queries += 1
            elif dice < 0.99:
                table.legacy_query()
            else:
                table.change_indexes()
        restart()
        table.query()
    cost()
    print(f"{queries} queries")


main()
