#!/usr/bin/python3
"""Thousands of kills in one run, outside of CI: of pyro, of supervisors and of guests, at random moments and at named points.

    python3 tests/fault/long_run.py --kills 10000 --real 200 --jobs 2
    python3 tests/fault/long_run.py --kills 500 --real 40 --jobs 2 --campaigns calls call_points write_points

The second one kills write, patch, sync, snapshot and reset.

Most guests are processes of this host below the real supervisor (build/tests/fake); --real says how many kills hit guests of
the real monitor. Each round has a state directory of its own. At its end nothing may be left: no lost command, no process, no
lock that is held. Prints one line a round and a summary. The exit code is 1 if a round failed; its directory stays.
"""

import argparse
import collections
import contextlib
import fcntl
import json
import os
import pathlib
import random
import selectors
import shutil
import subprocess
import sys
import tempfile
import time
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import harness  # noqa: E402

FAKE = harness.BIN.parent / "tests/fake"
# The rest of a summary's line; each must stay 0.
FAULTS = ("commands lost", "orphans", "stuck locks", "rounds failed")


class Round:
    """What a campaign needs of pytest's fixtures, in a state directory of its own."""

    def __init__(self, real):
        self.real = real
        self.scratch = pathlib.Path(tempfile.mkdtemp(prefix="pyro-test-"))
        home = self.scratch / "home"
        home.mkdir()
        self.pyro = harness.Pyro(self.scratch / "state", harness.CACHE, home)
        if not real:
            # Guests of the fake have no disk and no frozen state: a cache of their own keeps the real one clean.
            cache = self.scratch / "cache"
            harness.copy_base(harness.CACHE, cache)
            for size in (1024, 10240):
                (cache / "blank").mkdir(exist_ok=True)
                (cache / f"blank/ext4-1-{size}m.img").write_text("blank")
            self.pyro.cache = cache
            self.pyro.env |= {"PYRO_CACHE_DIR": str(cache), "PYRO_LIBEXEC_DIR": str(FAKE), "PYRO_ACCELERATOR": "tcg",
                              "PYRO_WARM_START": "0"}
        self.ledgers = []

    def create(self, *flags):
        done = self.pyro("task", "create", "-q", *flags, harness.BASE)
        assert done.code == 0, done
        return harness.Task(self.pyro, done.text.strip())

    def ledger(self):
        import siege
        self.ledgers.append(siege.Ledger(self.create()))
        return self.ledgers[-1]

    def clear(self):
        """Deletes what the campaign made; then nothing is left."""
        listed = self.pyro("task", "list", "-q")
        assert listed.code == 0, listed
        for task_id in listed.text.split():
            deleted = self.pyro("task", "delete", task_id)
            assert deleted.code == 0, deleted
        harness.expect_nothing_left(self.pyro)
        harness.expect_task_directories(self.pyro, [])

    def stuck_locks(self):
        """Files that a process holds although no process of this round should be there."""
        held = []
        for path in (*self.pyro.state.rglob("lock"), *self.pyro.state.rglob("*.lock")):
            with contextlib.suppress(OSError), open(path, "rb") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    held.append(str(path))
        return held


def traffic(this, kills, choose):
    import test_task_faults
    done, _ = test_task_faults.kill_below_traffic(this.ledger(), kills, choose, (1, 5))
    return done


def actions(this, kills, choose):
    import test_task_faults
    return test_task_faults.kill_actions(this.pyro, this.ledger(), kills, choose)[0]


def runs(this, kills, choose):
    import test_kill
    test_kill.COMMAND = ("sh", "-c", "head -c 200000 /dev/zero; sleep 0.1")
    counts = test_kill.kill_runs(this.pyro, this.scratch, kills, choose)
    return collections.Counter({name: count for name, count in counts.items() if " exit " in name})


def points(this, kills, choose):
    """Every named point of the stages, in an order of chance, until there are enough."""
    import test_failpoints
    stages = [actions for actions, _ in test_failpoints.STAGES.values()]
    choose.shuffle(stages)
    return reach(this, kills, [action for stage in stages for action in stage])


def reach(this, kills, actions):
    """The named points of these, until there are enough."""
    import test_failpoints
    campaign = test_failpoints.Campaign(this.pyro, this.create, this.scratch)
    this.ledgers.append(campaign.ledger)
    for action in actions:
        # Guests of the fake have no second disk to compare with.
        if action is test_failpoints.Campaign.differences and not this.real:
            continue
        campaign.task.stop()
        action(campaign)
        if campaign.killed.total() >= kills:
            break
    campaign.ledger.check_files()
    return campaign.killed


def calls(this, kills, choose):
    """Calls on files and snapshots, and syncs in both directions, at random moments."""
    import test_workspace_faults
    return test_workspace_faults.kill_calls(this.pyro, this.create(), this.scratch, kills, choose)


def call_points(this, kills, choose):
    """The named points of calls on snapshots, and of syncs in both directions."""
    import test_failpoints
    import test_sync_faults

    def syncs(campaign):
        round_of = pathlib.Path(tempfile.mkdtemp(dir=this.scratch))
        task, killed = test_sync_faults.kill_syncs(this.pyro, this.create, round_of)
        campaign.killed.update(killed)
        task.delete()
        campaign.expect_gone(task)

    return reach(this, kills, [test_failpoints.Campaign.snapshots, syncs] * kills)


def write_points(this, kills, choose):
    """The named points of writes, patches and pushed changes: in the client, and in the agent's own program on this host."""
    import failpoints
    import test_file_faults
    import test_patch_faults
    import test_sync_faults
    kills_of = collections.Counter()
    task = this.create()
    number = 0
    while kills_of.total() < kills:
        number += 1
        round_of = this.scratch / f"round-{number}"
        round_of.mkdir()
        assert this.pyro("task", "exec", "-q", task.id, "--", "sh", "-c", "rm -rf /workspace/*").code == 0
        kills_of.update(test_file_faults.kill_clients(this.pyro, task))
        kills_of.update(test_patch_faults.kill_clients(this.pyro, task, round_of))
        if this.real:
            continue
        both = test_patch_faults.both_states(round_of)
        for point in test_patch_faults.POINTS:
            test_patch_faults.kill_patch_in_guest(round_of / f"tree-{point}", round_of / "disk", both, point)
            kills_of[point] += 1
        for passes in range(1, test_sync_faults.FILES + 1):
            test_sync_faults.kill_push_in_guest(round_of / f"push-{passes}", passes)
            kills_of["sync.step"] += 1
        for point in failpoints.FILES_GUEST:
            for there in (True, False):
                path = round_of / f"write-{point}-{there}/f"
                kills_of[point] += test_file_faults.kill_write_in_guest(path, point, there)
        for point in ("files.write.received", "files.write.named"):
            path = round_of / f"batch-{point}"
            kills_of[f"{point} of a batch"] += test_file_faults.kill_batch_in_guest(path, point, choose.randrange(1, 7))
    return kills_of


# Each with the share of rounds that it gets, and its kills in a round.
CAMPAIGNS = {traffic: (6, 40), points: (2, 60), actions: (1, 20), runs: (1, 20), calls: (2, 30), call_points: (1, 20),
             write_points: (1, 35)}
# Those whose kills are all at named points.
NAMED = {"points", "call_points", "write_points"}


def play(real, left, choose, names=()):
    """One round of one of these campaigns, or of any. Its line of the summary."""
    import siege
    among = [(campaign, shares) for campaign, shares in CAMPAIGNS.items() if not names or campaign.__name__ in names]
    campaign, (_, most) = choose.choices(among, [share for _, (share, _) in among])[0]
    begin = time.monotonic()
    line = collections.Counter(dict.fromkeys(FAULTS, 0))
    this = Round(real)
    failed = ""
    try:
        with open(os.devnull, "w", encoding="utf-8") as silent, contextlib.redirect_stdout(silent):
            kills = campaign(this, max(1, min(most, left)), choose)
        line["kills"] = kills.total()
        line["kills at named points"] = kills.total() if campaign.__name__ in NAMED else 0
        this.clear()
    except BaseException as error:  # pylint: disable=broad-exception-caught
        if isinstance(error, KeyboardInterrupt):
            raise
        failed = traceback.format_exc()
        line["rounds failed"] = 1
        line["orphans"] = len(siege.orphans())
        harness.kill_all(harness.descendants())
    line["commands finished"] = sum(len(ledger.finished) for ledger in this.ledgers)
    line["commands lost"] = sum(len(ledger.lost) for ledger in this.ledgers)
    if not failed:
        held = this.stuck_locks()
        line["stuck locks"] = len(held)
        failed = f"locks are held: {held}\n" if held else ""
    if failed:
        failed += f"kept: {this.scratch}\n"
    else:
        shutil.rmtree(this.scratch, ignore_errors=True)
    return {"campaign": campaign.__name__, "real": real, "seconds": round(time.monotonic() - begin, 1), "failed": failed,
            "counts": line}


def bury():
    """Collects the orphans that ended below this process: a scan of all processes passes each one."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0] > 0:
            pass


def lane(real, kills, seed, names):
    """Rounds until there are enough kills: a JSON line each, for the process that started this one."""
    harness.adopt_orphans()
    harness.patience = 10
    if not real:
        harness.MACHINE = "pyro-guest-on-host"
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
    choose = random.Random(seed)
    done = failed = 0
    while done < kills and failed < 10:
        told = play(real, kills - done, choose, names)
        bury()
        done += told["counts"]["kills"]
        failed += bool(told["failed"])
        print(json.dumps(told), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10_000, help="in all")
    parser.add_argument("--real", type=int, default=200, help="how many of them hit guests of the real monitor")
    parser.add_argument("--jobs", type=int, default=2, help="how many rounds on the fake run at once")
    parser.add_argument("--campaigns", nargs="+", choices=[campaign.__name__ for campaign in CAMPAIGNS], default=[],
                        help="which of them; all without this")
    parser.add_argument("--seed", default=str(random.SystemRandom().randrange(1 << 32)), help="which kills")
    parser.add_argument("--lane", choices=("real", "fake"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.lane:
        lane(options.lane == "real", options.kills, options.seed, options.campaigns)
        return 0

    print(f"seed {options.seed}: {options.kills} kills, {options.real} of them of real guests", flush=True)
    begin = time.monotonic()
    share, rest = divmod(options.kills - options.real, options.jobs)
    # Beside so many others a guest that has a kernel to boot might not come up in time.
    groups = [[("fake", share + (number < rest)) for number in range(options.jobs)], [("real", options.real)]]
    total = collections.Counter(dict.fromkeys((*FAULTS, "kills", "kills at named points", "kills of real guests",
                                               "commands finished"), 0))
    by_campaign = collections.Counter()
    which = ["--campaigns", *options.campaigns] if options.campaigns else []
    codes = []
    for group in groups:
        processes = [subprocess.Popen([sys.executable, "-B", __file__, "--lane", kind, "--kills", str(kills), "--seed",
                                       f"{options.seed}-{kind}-{number}", *which], stdout=subprocess.PIPE, text=True)
                     for number, (kind, kills) in enumerate(group) if kills > 0]
        for text in lines_of(processes):
            told = json.loads(text)
            total.update(told["counts"])
            kills = told["counts"].get("kills", 0)
            total["kills of real guests"] += kills if told["real"] else 0
            by_campaign[("real " if told["real"] else "fake ") + told["campaign"]] += kills
            print(f"[{time.monotonic() - begin:7.0f} s] {'real' if told['real'] else 'fake'} {told['campaign']:12} "
                  f"{kills:3} kills in {told['seconds']:6.1f} s; so far {summary(total)}", flush=True)
            if told["failed"]:
                print(told["failed"], flush=True)
        codes += [process.wait() for process in processes]
    print(f"{summary(total)}\nby campaign: {dict(sorted(by_campaign.items()))}\n"
          f"{time.monotonic() - begin:.0f} s, seed {options.seed}", flush=True)
    return 1 if any(codes) else verdict(total, options.kills)


def verdict(total, wanted):
    """The exit code."""
    return 1 if total["kills"] < wanted or any(total[fault] for fault in FAULTS) else 0


def summary(total):
    return ", ".join(f"{count} {name}" for name, count in sorted(total.items()))


def lines_of(processes):
    """Lines of several processes, as they come."""
    with selectors.DefaultSelector() as selector:
        for process in processes:
            selector.register(process.stdout, selectors.EVENT_READ)
        while selector.get_map():
            for key, _ in selector.select():
                line = key.fileobj.readline()
                if line:
                    yield line
                else:
                    selector.unregister(key.fileobj)


if __name__ == "__main__":
    sys.exit(main())
