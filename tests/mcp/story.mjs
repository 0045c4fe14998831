// An agent's day, with the client of the official TypeScript SDK: node story.mjs TOOLS PYRO ENVIRONMENT
// Prints one JSON line a step; the test that runs it looks at them.

import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import path from 'node:path';

const [tools, pyro, environment] = process.argv.slice(2);
const require = createRequire(path.join(tools, 'package.json'));
const load = async (name) => import(pathToFileURL(require.resolve(name)).href);
const { Client } = await load('@modelcontextprotocol/client');
const { StdioClientTransport } = await load('@modelcontextprotocol/client/stdio');

const say = (step, facts) => console.log(JSON.stringify({ step, ...facts }));

async function connect(mode) {
  const client = new Client({ name: 'story', version: '1' }, { versionNegotiation: { mode } });
  const transport = new StdioClientTransport({
    command: pyro,
    args: ['mcp', 'serve', '--profile', 'task', '--answer-seconds', '280', '--spares', '0'],
    env: { ...process.env },
    stderr: 'inherit',
  });
  await client.connect(transport);
  return { client, pid: transport.pid };
}

const call = async (client, name, args, options = {}) => {
  const result = await client.callTool({ name, arguments: args }, { timeout: 280_000, ...options });
  if (result.isError) throw new Error(`${name}: ${result.content[0].text}`);
  return result.structuredContent;
};

let { client, pid } = await connect('legacy');
say('connected', { era: client.getProtocolEra(), instructions: client.getInstructions().length });

const { task_id } = await call(client, 'task_create', { environment });
say('created', { task_id });

const exec = (command, more = {}, options = {}) =>
  call(client, 'task_exec', { task_id, command, timeout_seconds: 270, ...more }, options);

await exec(`cat > primes.c <<'EOF'
#include <stdio.h>
#include <stdlib.h>
int main(int argc, char **argv) {
  int limit = argc > 1 ? atoi(argv[1]) : 50, count = 0;
  for (int n = 2; n < limit; ++n) {
    int d = 2;
    while (d * d <= n && n % d) ++d;
    if (d * d > n) ++count;
  }
  printf("%d primes below %d\\n", count, limit);
  return 0
}
EOF`);
const broken = await exec('cc -Wall -o primes primes.c');
say('broken', { exit_code: broken.exit_code, stderr: broken.stderr });
const built = await exec("sed -i 's/return 0$/return 0;/' primes.c && cc -Wall -O1 -o primes primes.c && ./primes 1000");
say('built', { exit_code: built.exit_code, stdout: built.stdout });

// One that takes long, with progress.
const progress = [];
const long = await exec('for i in 1 2 3 4 5 6; do ./primes $((i * 1000)); sleep 1; done', {},
  { onprogress: (p) => progress.push(p), resetTimeoutOnProgress: true });
say('long', { exit_code: long.exit_code, lines: long.stdout.trim().split('\n').length, progress });

// One that is given up: the signal of the client becomes a cancellation.
const stop = new AbortController();
let begun;
const seen = new Promise((resolve) => { begun = resolve; });
const given_up = exec('echo begun; sleep 10000', { timeout_seconds: 3600 },
  { signal: stop.signal, onprogress: (p) => { if (/output/.test(p.message)) begun(); } })
  .then(() => 'ended', (error) => String(error.name ?? error));
await seen;
stop.abort('enough');
const settled = await given_up;
let entry;
for (let i = 0; i < 100; ++i) {
  entry = (await call(client, 'task_logs', { task_id, sequence: 5, wait_seconds: 20 })).entries[0];
  if (entry.state === 'ended') break;
}
say('cancelled', { settled, outcome: entry.outcome, exit_code: entry.exit_code, stdout: entry.stdout });

// The server is killed in the middle of a command.
const doomed = exec('echo before; until [ -e go ]; do sleep 0.2; done; ./primes 100', { timeout_seconds: 3600 },
  { onprogress: (p) => { if (/output/.test(p.message)) begun(); } }).then(() => 'ended', () => 'lost');
await new Promise((resolve) => { begun = resolve; });
process.kill(pid, 'SIGKILL');
say('killed', { settled: await doomed });
await client.close().catch(() => {});

({ client, pid } = await connect('auto'));
say('reconnected', { era: client.getProtocolEra() });
entry = (await call(client, 'task_logs', { task_id, sequence: 6 })).entries[0];
say('found', { state: entry.state, stdout: entry.stdout });
await exec('touch go');
entry = (await call(client, 'task_logs', { task_id, sequence: 6, wait_seconds: 250 })).entries[0];
say('finished', { state: entry.state, exit_code: entry.exit_code, stdout: entry.stdout });
const journal = await call(client, 'task_logs', { task_id });
say('journal', { total: journal.total, outcomes: journal.entries.map((one) => one.outcome) });
const resource = await client.readResource({ uri: `pyro://tasks/${task_id}/commands/6/stdout` });
say('resource', { text: resource.contents[0].text });
say('deleted', await call(client, 'task_delete', { task_id }));
await client.close();
