"""Queries of DynamoDB along ordered indexes.

For each query MiniStack sorts a whole partition and tests every item of it, so that what should cost as much as it reads costs as
much as there is. Here the items are kept in order, from the first query of a table or of an index on. MiniStack still checks
each request and makes each answer: it is only shown no more of the partition than what the query reads.

Conditions in another form than `sort_key < :value` and the like, and keys of several attributes, are left to MiniStack with
the whole partition.
"""

import bisect
import threading
import types

from ministack.services import dynamodb

# What is relied on: without one of these the start fails.
from ministack.services.dynamodb import (
    _INDEX_MEMBERS,
    _index_def,
    _index_key_lists,
    _index_order_keys,
    _index_order_value,
    _index_partition,
    _key_condition_clauses,
    _paginate_evaluated_items,
    _query,
    _remove_item,
    _set_item,
    _sort_key_value,
    _tables,
    _tokenize,
)

# Expired items are deleted by a thread of its own.
LOCK = threading.RLock()


class OrderedIndex:
    """The items of a table in the order of one of its indexes, or of its own key if `name` is `None`."""

    def __init__(self, table, name):
        own_key = [table["pk_name"]], [table["sk_name"]] if table["sk_name"] else []
        self.hashes, self.ranges = _index_key_lists(_index_def(table, name)) if name else own_key
        self.order = _index_order_keys(table, self.ranges)
        # The items of each partition: what they are ordered by, and their primary keys.
        self.partitions = {}
        # Where each item is: what it is ordered by may have been changed in place when it is taken out.
        self.places = {}
        for pk, items in list(table["items"].items()):
            for sk, item in list(items.items()):
                self.put((pk, sk), item)

    def position(self, item):
        """What an item is ordered by. It is also what the key has at which a query goes on."""
        return tuple(_index_order_value(item, name, type_) for name, type_ in self.order)

    def put(self, key, item):
        partition = _index_partition(item, self.hashes, self.ranges)
        # It lacks an attribute of the index.
        if partition is None:
            return
        entry = self.position(item), key
        self.places[key] = partition, entry
        bisect.insort(self.partitions.setdefault(partition, []), entry)

    def remove(self, key):
        partition, entry = self.places.pop(key, (None, None))
        if entry is None:
            return
        entries = self.partitions[partition]
        del entries[bisect.bisect_left(entries, entry)]
        if not entries:
            del self.partitions[partition]


def index_of(table, name):
    """One of the ordered indexes of a table, which are kept where MiniStack has its own: it drops them when all items are
    replaced or the indexes are others."""
    indexes = table.setdefault(_INDEX_MEMBERS, {})
    if name not in indexes:
        indexes[name] = OrderedIndex(table, name)
    return indexes[name]


def follow(table, pk, sk, item, add):
    """Takes an item out of the indexes of its table before it is changed or when it is deleted, or puts it in after it was
    written."""
    with LOCK:
        for index in table.get(_INDEX_MEMBERS, {}).values():
            index.remove((pk, sk))
            if add:
                index.put((pk, sk), item)


def span(entries, type_, comparison, values):
    """From where to where the entries have a first sort key of which the comparison is true."""
    first, *last = [_sort_key_value(value, type_) for value in values]

    def before(value):
        return bisect.bisect_left(entries, value, key=lambda entry: entry[0][0])

    def after(value):
        return bisect.bisect_right(entries, value, key=lambda entry: entry[0][0])

    match comparison:
        case "EQ":
            return before(first), after(first)
        case "LT":
            return 0, before(first)
        case "LE":
            return 0, after(first)
        case "GT":
            return after(first), len(entries)
        case "GE":
            return before(first), len(entries)
        case "BETWEEN":
            return before(first), after(last[0])
        case "begins_with":
            return before(first), bisect.bisect_right(entries, first, key=lambda entry: entry[0][0][: len(first)])


def conditions_of(data):
    """The comparison and the references of its values for each attribute of a condition on keys; `None` if it is of another
    form."""
    names = data.get("ExpressionAttributeNames") or {}
    conditions = {}
    for clause in _key_condition_clauses(_tokenize(data.get("KeyConditionExpression") or "")):
        match clause:
            case [("IDENT" | "NAME_REF", name), ("EQ" | "LT" | "LE" | "GT" | "GE" as comparison, _), ("VALUE_REF", value)]:
                values = [value]
            case [("IDENT" | "NAME_REF", name), ("IDENT", "BETWEEN"), ("VALUE_REF", low), _, ("VALUE_REF", high)]:
                comparison, values = "BETWEEN", [low, high]
            case [("IDENT", "begins_with"), _, ("IDENT" | "NAME_REF", name), _, ("VALUE_REF", value), _]:
                comparison, values = "begins_with", [value]
            case _:
                return None
        conditions[names.get(name, name)] = comparison, values
    return conditions


def read(table, name, data, partition):
    """The keys and items that the query `data` can read in a partition, in no certain order: its page, and one more to tell
    that there is more."""
    index = index_of(table, name)
    entries = index.partitions.get(partition, [])
    conditions = conditions_of(data)
    if not entries or not conditions or len(index.hashes) > 1 or len(index.ranges) > 1:
        return list(existing(table, entries))
    low, high = 0, len(entries)
    del conditions[index.hashes[0]]
    for comparison, references in conditions.values():
        values = [data["ExpressionAttributeValues"][reference] for reference in references]
        low, high = span(entries, index.order[0][1], comparison, values)
    forward = data.get("ScanIndexForward", True)
    if start := data.get("ExclusiveStartKey"):
        cursor = index.position(start)
        if forward:
            low = max(low, bisect.bisect_right(entries, cursor, key=lambda entry: entry[0]))
        else:
            high = min(high, bisect.bisect_left(entries, cursor, key=lambda entry: entry[0]))
    places = range(low, high) if forward else range(high - 1, low - 1, -1)
    found = []

    def following():
        for key, item in existing(table, (entries[place] for place in places)):
            found.append((key, item))
            yield item

    _paginate_evaluated_items(following(), data.get("Limit"), table, name)
    # MiniStack refuses some conditions only when it has an item to test.
    return found or list(existing(table, entries[:1]))


def existing(table, entries):
    """The keys and items of entries, without those that are being deleted at this moment."""
    for _, (pk, sk) in entries:
        item = table["items"].get(pk, {}).get(sk)
        if item is not None:
            yield (pk, sk), item


def query(data):
    """MiniStack's `Query`, which sees only what it reads."""
    index_name = data.get("IndexName")

    def reading(table, choose):
        def get(partition, _):
            with LOCK:
                return choose(read(table, index_name, data, partition))

        return types.SimpleNamespace(get=get)

    def table_named(name):
        table = _tables.get(name)
        if not table or index_name:
            return table
        return {**table, "items": reading(table, lambda found: {sk: item for (_, sk), item in found})}

    def index_members(table):
        return {index_name: reading(table, lambda found: [key for key, _ in found])}

    seen = {**vars(dynamodb), "_tables": types.SimpleNamespace(get=table_named), "_index_members": index_members}
    return types.FunctionType(_query.__code__, seen)(data)


def install():
    """Puts the indexes in place, unless MiniStack does not work in the way that they rely on."""
    uses = [(_query, {"_tables", "_index_members"}), (_set_item, {"_index_item"}), (_remove_item, {"_index_item"})]
    for function, names in uses:
        if not names <= set(function.__code__.co_names):
            raise ImportError(f"{function.__name__} of this MiniStack does not use {names}")
    dynamodb._index_item = follow
    dynamodb._query = query
