"""The validator of tool arguments against Ajv, the one that clients use, on generated schemas and values."""

import json
import random
import subprocess

import npm_tools
from mcp_client import Stdio, call, request

CASES = 3000

ORACLE = """
const Ajv = require('ajv/dist/2020');
const cases = JSON.parse(require('fs').readFileSync(0));
const ajv = new Ajv({strict: false, logger: false, validateSchema: false, addUsedSchema: false, code: {optimize: false}});
const verdicts = cases.map(({schema, value}) => ajv.compile(schema)(value));
console.log(JSON.stringify(verdicts));
"""

SCALARS = [None, True, False, 0, 1, -1, 3, 3.0, 3.5, 600, 1e300, "", "a", "aa", "ä", "abc", "x-y", "\U0001f525"]
TYPES = ["null", "boolean", "object", "array", "number", "integer", "string"]
NAMES = ["a", "b", "c"]
PATTERNS = ["^a+$", "b", "^[a-z_-]*$", "^(aa|b)$", "^.{2}$"]


def value(rng, depth=0):
    kind = rng.randrange(6 if depth < 3 else 4)
    if kind == 4:
        return [value(rng, depth + 1) for _ in range(rng.randrange(4))]
    if kind == 5:
        return {name: value(rng, depth + 1) for name in NAMES if rng.random() < 0.5}
    return rng.choice(SCALARS)


def keyword(rng, depth):
    deeper = depth + 1
    simple = [
        lambda: ("type", rng.choice(TYPES)),
        lambda: ("type", rng.sample(TYPES, 2)),
        lambda: ("enum", rng.sample(SCALARS, 3)),
        lambda: ("const", value(rng, 2)),
        lambda: (rng.choice(["minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"]), rng.randrange(4)),
        lambda: (rng.choice(["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"]), rng.choice([0, 1, 3, 3.5, -1])),
        lambda: ("pattern", rng.choice(PATTERNS)),
        lambda: ("uniqueItems", rng.random() < 0.5),
        lambda: ("required", rng.sample(NAMES, rng.randrange(3))),
    ]
    nested = [
        lambda: ("properties", {name: schema(rng, deeper) for name in rng.sample(NAMES, 2)}),
        lambda: ("additionalProperties", schema(rng, deeper)),
        lambda: ("items", schema(rng, deeper)),
        lambda: (rng.choice(["anyOf", "oneOf", "allOf"]), [schema(rng, deeper) for _ in range(2)]),
        lambda: (rng.choice(["not", "if", "then", "else"]), schema(rng, deeper)),
        lambda: ("$ref", "#/$defs/x"),
    ]
    return rng.choice(simple + nested if depth < 3 else simple)()


def schema(rng, depth=0):
    if depth > 0 and rng.random() < 0.1:
        return rng.random() < 0.7
    return dict(keyword(rng, depth) for _ in range(rng.randint(1, 4)))


def case(rng):
    made = schema(rng)
    made["$defs"] = {"x": dict([("type", rng.choice(TYPES))])}
    return {"schema": made, "value": value(rng)}


def test_the_validator_agrees_with_ajv():
    npm_tools.require()
    seed = random.randrange(1 << 32)
    rng = random.Random(seed)
    cases = [case(rng) for _ in range(CASES)]
    run = subprocess.run(
        [npm_tools.NODE, "-e", ORACLE],
        input=json.dumps(cases),
        cwd=npm_tools.DIRECTORY,
        capture_output=True,
        text=True,
        timeout=500,
        check=True,
    )
    expected = json.loads(run.stdout)
    fitting = 0
    with Stdio("--limit", "calls_per_second=1000000") as server:
        server.initialize()
        for each, fits in zip(cases, expected):
            # Text of the value as Python writes it: 3.0 stays 3.0.
            verdict = server.ask(request("tools/call", call("probe_judge", each)))["result"]["structuredContent"]
            assert verdict == {"fits": fits, "known": True}, f"seed {seed}: {json.dumps(each)}"
            fitting += fits
    print(f"\n{CASES} cases, {fitting} of them fitting, seed {seed}")
    assert CASES / 20 < fitting < CASES * 19 / 20
