// A coding session with the client of the official TypeScript SDK and its default limits:
// node session.mjs TOOLS PYRO. Prints one JSON line a call; the test that runs it looks at them.
//
// No call is given a timeout and none asks for progress: the client gives each up after its 60 s.

import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import path from 'node:path';

const [tools, pyro] = process.argv.slice(2);
const require = createRequire(path.join(tools, 'package.json'));
const load = async (name) => import(pathToFileURL(require.resolve(name)).href);
const { Client } = await load('@modelcontextprotocol/client');
const { StdioClientTransport } = await load('@modelcontextprotocol/client/stdio');

const client = new Client({ name: 'session', version: '1' });
await client.connect(new StdioClientTransport({
  command: pyro, args: ['mcp', 'serve', '--profile', 'task', '--spares', '0'], env: { ...process.env }, stderr: 'inherit',
}));

let calls = 0;
async function call(step, name, args = {}) {
  const began = Date.now();
  const result = await client.callTool({ name, arguments: args });
  const seconds = (Date.now() - began) / 1000;
  calls += 1;
  const text = result.content.filter((one) => one.type === 'text').map((one) => one.text).join('');
  console.log(JSON.stringify({
    step, seconds, failed: result.isError ?? false, text, value: result.structuredContent,
    links: result.content.filter((one) => one.type === 'resource_link').length,
  }));
  return result.structuredContent;
}

// 1: a machine, with everything at its default.
const { task_id } = await call('create', 'task_create');
const exec = (step, command, more = {}) => call(step, 'task_exec', { task_id, command, ...more });

// 2 to 5: write a program, commit it, find its fault, mend it.
await exec('write', `mkdir app && cd app && git init -q . && cat > fib.py <<'EOF'
def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 1)
EOF
cat > test_fib.py <<'EOF'
import unittest
from fib import fib

class FibTest(unittest.TestCase):
    def test_ten(self):
        self.assertEqual(fib(10), 55)

unittest.main()
EOF`);
await exec('broken', 'cd app && python3 test_fib.py', { timeout_seconds: 120 });
await exec('mend', "cd app && sed -i 's/fib(n - 1)$/fib(n - 2)/' fib.py && python3 test_fib.py", { timeout_seconds: 120 });
await exec('commit', "cd app && git add -A && git -c user.name=a -c user.email=a@example.org commit -qm fib && git log --oneline | wc -l");

// 6: a server in the background, without a limit.
const server = await exec('serve', 'cd app && exec python3 -u -m http.server 8000', { background: true });

// 7 and 8: longer than the client waits. The call answers, the command goes on, and nothing is lost.
const long = await exec('long', 'for i in $(seq 70); do echo line $i; sleep 1; done; echo done; exit 3', { timeout_seconds: 600 });
for (let state = 'running'; state === 'running';) {
  const logs = await call('long-end', 'task_logs', { task_id, sequence: long.sequence, wait_seconds: 300 });
  state = logs.entries[0].state;
}

// 9 and 10: the server still answers, and its log is kept.
await exec('fetch', 'curl -sf --retry 5 --retry-connrefused http://127.0.0.1:8000/fib.py | head -1', { timeout_seconds: 120 });
await call('server-log', 'task_logs', { task_id, sequence: server.sequence, stream: 'stderr' });

// 11 and 12: what models get wrong, and what they are told.
await exec('too-short', 'echo begun; sleep 100', { timeout_seconds: 2 });
await exec('no-program', ['ls -la']);

// 13 to 15: bash, the end of the server, and what the journal has of it all.
await exec('bash', 'source /etc/os-release; x=(a b); pushd /tmp >/dev/null; echo "$ID ${x[1]} $PWD"');
await call('stop-server', 'task_stop', { task_id, sequence: server.sequence });
await call('journal', 'task_logs', { task_id, limit: 20 });
console.log(JSON.stringify({ step: 'calls', calls }));
await call('delete', 'task_delete', { task_id });
await client.close();
