"""How the tests of a file are split between several ctest entries: each test is in exactly one of them."""


def cost_of(item):
    """What `@pytest.mark.cost(N)` says of a test: about how long it takes, in starts of a guest. 1 without a mark."""
    mark = item.get_closest_marker("cost")
    return mark.args[0] if mark else 1


def split(costs, count):
    """The indices of each of `count` shards, in order. The same costs always give the same shards.

    Beginning with the dearest, each test goes to the shard that is the lightest until then.
    """
    shards = [[] for _ in range(count)]
    weights = [0] * count
    for index in sorted(range(len(costs)), key=lambda index: -costs[index]):
        lightest = weights.index(min(weights))
        shards[lightest].append(index)
        weights[lightest] += costs[index]
    return [sorted(shard) for shard in shards]


def take(items, shard):
    """Leaves in `items` those of a shard such as "2/3", and returns the others. None is "1/1"."""
    number, count = map(int, (shard or "1/1").split("/"))
    if not 1 <= number <= count:
        raise ValueError(f"PYRO_TEST_SHARD={shard} is no shard")
    mine = set(split([cost_of(item) for item in items], count)[number - 1])
    others = [item for index, item in enumerate(items) if index not in mine]
    items[:] = [item for index, item in enumerate(items) if index in mine]
    return others
