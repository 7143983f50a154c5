"""Attacks a `cim` index without its key. Acknowledged writes must not be lost, undone or changed without an error.

    attack.py CIM HOST:PORT FOLDER

Each attack uses a separate index. All but one use the server, and are tried on a running process and on processes that
are started later.
Prints one line per attack, and exits with status 1 if an attack succeeds or could not be tried.
"""

import concurrent.futures
import json
import os
import queue
import shutil
import subprocess
import sys
import threading
import traceback

from nats_raw import BUCKETS, LyingProxy, Nats, Store

CIM, SERVER, FOLDER = sys.argv[1], sys.argv[2], sys.argv[3]
ADDRESS = (SERVER.rsplit(":", 1)[0], int(SERVER.rsplit(":", 1)[1]))
PATIENCE = 50

class Success(Exception):
    """The attack achieved something that must be impossible."""

def ensure(holds, what):
    if not holds:
        raise Success(what)

def must(can_be_tried, why_not):
    if not can_be_tried:
        raise RuntimeError(why_not)

def line(number):
    return json.dumps({"title": f"document {number}", "text": f"shared number{number}"})

class Running:
    """A `cim index` process that is fed one document at a time and keeps running in between."""

    def __init__(self, victim, place=None):
        self.victim, self.sent, self.acknowledged = victim, 0, 0
        self.process = subprocess.Popen(
            [CIM, "index", place or victim.place, "-", "--batch", "1", *victim.key],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1,
            env=victim.environment,
        )
        self.lines = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for text in self.process.stdout:
            self.lines.put(text)
        self.lines.put(None)

    def add(self, number):
        """Returns whether the document was acknowledged.

        A process that closes its output without acknowledging the document must exit with an error.
        """
        try:
            self.process.stdin.write(line(number) + "\n")
        except (BrokenPipeError, OSError):
            return False
        self.sent += 1
        while self.acknowledged < self.sent:
            text = self.lines.get(timeout=PATIENCE)
            if text is None:
                ensure(self.process.wait() != 0, "it ended without an error and without an acknowledgement")
                return False
            self.acknowledged = int(text.split()[1])
        self.victim.has.add(number)
        return True

    def end(self):
        self.process.stdin.close()
        self.process.wait(timeout=PATIENCE)
        return self.process.stderr.read()

class Victim:
    """An index, and what it acknowledged."""

    def __init__(self, name, place=None):
        self.nats = Nats(ADDRESS)
        self.store = Store(self.nats, name)
        self.place = place or f"nats://{SERVER}/{name}"
        self.has = set()
        self.cids = {}
        self.folder = os.path.join(FOLDER, name)
        os.makedirs(self.folder)
        self.environment = {**os.environ, "XDG_STATE_HOME": os.path.join(self.folder, "state"), "HOME": self.folder}
        self.key = ["--key-file", self.new_key("key")]
        self.done("init", self.place, *self.key)

    def new_key(self, name):
        path = os.path.join(self.folder, name)
        self.done("key", "generate", path)
        return path

    def run(self, *arguments):
        return subprocess.run(
            [CIM, *arguments], capture_output=True, text=True, timeout=PATIENCE, env=self.environment
        )

    def done(self, *arguments):
        result = self.run(*arguments)
        if result.returncode != 0:
            raise RuntimeError(f"{arguments}: {result.stderr}")
        return result.stdout

    def index(self, *numbers):
        path = os.path.join(self.folder, "lines.jsonl")
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(line(number) + "\n" for number in numbers)
        self.done("index", self.place, path, *self.key)
        self.has.update(numbers)

    def remove(self, number):
        self.done("rm", self.place, self.found()[1][number], *self.key)
        self.has.discard(number)

    def snapshot(self, name):
        """Creates a snapshot, which also folds the journal."""
        self.done("snapshot", "create", self.place, name, *self.key)

    def found(self, key=None):
        """What a fresh process finds: an error, or the documents' numbers with their CIDs."""
        result = self.run("search", self.place, "", "--limit", "1000", "--json", *(key or self.key))
        if result.returncode != 0:
            return result.stderr, None
        hits = json.loads(result.stdout)["hits"]
        return None, {int(hit["title"].split()[1]): hit["cid"] for hit in hits}

    def check(self, may_fail=False):
        """A fresh process finds all that was acknowledged and nothing else, or says why not."""
        error, found = self.found()
        if error is not None:
            ensure(may_fail, f"a fresh process is stopped: {error.strip()}")
            return error
        ensure(set(found) == self.has, f"{sorted(found)} are found, {sorted(self.has)} expected")
        return None

    def running(self, place=None):
        return Running(self, place)

def has_pin():
    return "--pin" in subprocess.run([CIM, "index", "--help"], capture_output=True, text=True).stdout

def replay_of_trimmed_records(victim):
    victim.index(1)
    record = victim.store.records()[-1]
    victim.remove(1)
    victim.snapshot("one")
    victim.index(2)
    victim.snapshot("two")
    victim.index(3)
    victim.snapshot("three")
    must(record[0] not in [key for key, _ in victim.store.records()], "the record was not trimmed")
    process = victim.running()
    process.add(4)
    victim.store.put(*record)
    victim.check()
    ensure(process.add(5), "a running process was stopped")
    process.end()
    victim.check()
    victim.done("verify", victim.place, *victim.key)

def substitution_of_a_record(victim):
    victim.index(1)
    first = victim.store.records()[-1]
    process = victim.running()
    for number in (2, 3, 4):
        process.add(number)
    middle = victim.store.records()[-2]
    victim.store.put(middle[0], first[1])
    process.add(5)
    # Sooner or later, the running process folds the original record, which it has read, into a
    # segment; the journal then no longer needs it. Until then, `verify` and a fresh search may fail, but a search that succeeds finds
    # everything.
    is_sound = victim.run("verify", victim.place, *victim.key).returncode == 0
    error = victim.check(may_fail=True)
    ensure(error is None or not is_sound, f"verify overlooked a substitution that stops a fresh process: {error}")
    ensure(process.add(6), "a running process was stopped")
    process.end()
    victim.check()
    victim.done("verify", victim.place, *victim.key)

def dropped(victim, sequence):
    victim.index(1)
    proxy = LyingProxy(ADDRESS)
    process = victim.running(f"nats://127.0.0.1:{proxy.port}/{victim.store.name}")
    must(process.add(2), "the proxy does not work")
    proxy.lie = lambda: sequence
    acknowledged = process.add(50)
    must(len(proxy.taken) > 0, "nothing was dropped")
    # The running process may have sent the dropped record again.
    error, found = victim.found()
    ensure(error is None and (50 in found or not acknowledged), f"acknowledged and not there: {error}")
    # Now the dropped record reaches the server.
    victim.store.put(*proxy.taken[-1])
    victim.index(60)
    error, found = victim.found()
    ensure(error is None and victim.has <= set(found) <= victim.has | {50}, f"{error} {found}")
    process.process.kill()

def dropped_with_an_old_number(victim):
    dropped(victim, 2)

def dropped_with_a_number_to_come(victim):
    dropped(victim, 1_000_000)

def replay_in_place_of_a_record(victim):
    victim.index(1)
    first = victim.store.records()[-1]
    victim.index(2)
    proxy = LyingProxy(ADDRESS)
    process = victim.running(f"nats://127.0.0.1:{proxy.port}/{victim.store.name}")
    must(process.add(3), "the proxy does not work")
    proxy.lie = lambda: victim.store.put(*first)
    acknowledged = process.add(50)
    # Storing the older record again moved it to a new revision, so a fresh process may report a loss.
    error, found = victim.found()
    ensure(error is not None or 50 in found or not acknowledged, "acknowledged and not there")
    process.process.kill()
    ensure(error is not None or victim.has <= set(found), "a document vanished")

def manifest_again(victim):
    victim.index(1, 2)
    victim.snapshot("one")
    older = victim.store.value("manifest")
    victim.index(3)
    victim.remove(1)
    victim.done("snapshot", "restore", victim.place, "one", *victim.key)
    victim.has = {1, 2}
    newest = victim.store.value("manifest")
    victim.index(4)
    victim.store.put("manifest", newest)
    victim.check()
    process = victim.running()
    process.add(5)
    for manifest in (newest, older, newest, older):
        victim.store.put("manifest", manifest)
        ensure(process.add(max(victim.has) + 1), "a running process was stopped")
    process.end()
    victim.check()
    # The same while no process runs. The older one may be refused: later records attest the newer one.
    victim.store.put("manifest", older)
    victim.check(may_fail=True)

def fork(victim):
    victim.index(1, 2)
    victim.snapshot("one")
    victim.index(3)
    before = victim.store.copy()
    process = victim.running()
    process.add(4)
    one, has_one = victim.store.copy(), set(victim.has)
    # The store goes back to an earlier copy while a process runs on it.
    victim.store.replace_by(before)
    ensure(not process.add(5), "acknowledged on a store that went back")
    # The copy is put back again, and a second machine, with its own pin, works on it.
    victim.store.replace_by(before)
    other = {**victim.environment, "XDG_STATE_HOME": os.path.join(victim.folder, "elsewhere")}
    victim.environment, own = other, victim.environment
    victim.has = {1, 2, 3}
    for number in (20, 21, 22):
        victim.index(number)
        victim.snapshot(f"snapshot {number}")
    victim.index(23)
    two = victim.store.copy()
    victim.environment = own
    if has_pin():
        victim.has = has_one
        ensure(victim.check(may_fail=True) is not None, "the pin does not tell the branches apart")
    # The objects and the manifest of the second branch are put into the first one while a process runs
    # there; then its journal records are put there while none runs.
    victim.store.replace_by(one)
    victim.has = set(has_one)
    process = victim.running()
    process.add(6)
    for bucket in BUCKETS[:4]:
        for _, key, value in two[bucket][1]:
            victim.store.put(key, value, bucket)
    manifest = [value for _, key, value in two["catalog_v1"][1] if key == "manifest"][-1]
    victim.store.put("manifest", manifest)
    ensure(not process.add(7), "a process goes on over a manifest of another branch")
    ensure(victim.check(may_fail=True) is not None, "two branches were joined")
    victim.store.replace_by(one)
    victim.has = set(has_one)
    for _, key, value in two["catalog_v1"][1]:
        if key.startswith("journal."):
            victim.store.put(key, value)
    victim.check(may_fail=True)

def keyset_rollback(victim):
    victim.index(1)
    older = victim.store.value("keyset")
    new = victim.new_key("new")
    victim.done("key", "rotate", victim.place, *victim.key, "--new-key-file", new)
    old, victim.key = victim.key, ["--key-file", new]
    victim.index(2)
    newest = victim.store.value("keyset")
    process = victim.running()
    process.add(3)
    victim.store.put("keyset", older)
    ensure(process.add(4), "a running process was stopped")
    process.end()
    ensure(victim.store.value("keyset") == newest, "the newest keyset was not put back")
    victim.check()
    victim.store.put("keyset", older)
    error, _ = victim.found(old)
    ensure(error is not None, "the old key opens the index again")
    ensure(victim.check(may_fail=True) is not None, "the new key opens the old keyset")

def junk(victim):
    victim.index(1, 2)
    victim.snapshot("one")
    victim.index(3)
    process = victim.running()
    process.add(4)
    record = victim.store.records()[-1][1]
    keys = ["journal.0000000000000001.1", "journal.x", "journal.00000000000000FF.1", "journal.1.2.3", "snapshot.x",
            "snapshot.a.b.c", "strange", "a.b.c.d", "journal", "manifest.x", "keyset.x"]
    for value in (b"", b"junk", os.urandom(5000), record):
        for key in keys:
            for bucket in BUCKETS:
                victim.store.put(key, value, bucket)
        for place in ("manifest", "keyset"):
            victim.store.put(place, value)
            ensure(process.add(max(victim.has) + 1), "a running process was stopped")
    # A subject that is no key at all.
    for bucket in BUCKETS:
        victim.nats.request(f"$KV.{victim.store.name}_{bucket}.white\u00e9space", b"junk")
    ensure(process.add(max(victim.has) + 1), "a running process was stopped")
    process.end()
    victim.check()
    stats = json.loads(victim.done("stats", victim.place, "--json", *victim.key))
    ensure(stats["documents"] == len(victim.has), f"{stats}")
    ensure(victim.run("verify", victim.place, *victim.key).returncode != 0, "verify says nothing of it")

def purge(victim):
    victim.index(1, 2)
    victim.snapshot("one")
    victim.index(3)
    process = victim.running()
    process.add(4)
    whole = victim.store.copy()
    victim.store.purge()
    ensure(not process.add(5), "acknowledged on a purged catalog")
    error = victim.check(may_fail=True)
    ensure(error is not None, "a purged catalog opens")
    ensure(victim.run("init", victim.place, *victim.key).returncode != 0, "an index is made over what is left")
    victim.store.replace_by(whole)
    victim.check()

def older_copy_of_a_folder(victim):
    folder = victim.place.removeprefix("file:")
    victim.index(1, 2)
    victim.snapshot("one")
    victim.index(3)
    shutil.copytree(folder, folder + ".old")
    victim.index(4)
    victim.remove(1)
    shutil.move(folder, folder + ".new")
    shutil.copytree(folder + ".old", folder)
    if has_pin():
        ensure(victim.check(may_fail=True) is not None, "an older copy opens")
    shutil.rmtree(folder)
    shutil.move(folder + ".new", folder)
    victim.check()

ATTACKS = [
    dropped_with_an_old_number, dropped_with_a_number_to_come, replay_in_place_of_a_record, fork, purge,
    replay_of_trimmed_records, substitution_of_a_record, manifest_again, keyset_rollback, junk, older_copy_of_a_folder,
]

def attempt(attack):
    name = attack.__name__
    place = f"file:{os.path.join(FOLDER, 'folder', 'store')}" if attack is older_copy_of_a_folder else None
    try:
        attack(Victim(name, place))
        return f"withstood: {name}", True
    except Success as success:
        return f"SUCCEEDED: {name}: {success}", False
    except Exception:
        return f"NOT TRIED: {name}: {traceback.format_exc()}", False

def main():
    os.makedirs(os.path.join(FOLDER, "folder"))
    with concurrent.futures.ThreadPoolExecutor(len(ATTACKS)) as pool:
        outcomes = list(pool.map(attempt, ATTACKS))
    for text, _ in outcomes:
        print(text)
    if not has_pin():
        print("this cim has no pins: whether it refuses an older copy was not checked")
    sys.exit(0 if all(withstood for _, withstood in outcomes) else 1)

main()
