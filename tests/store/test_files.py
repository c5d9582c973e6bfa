"""Files that are no store, too new, cut off or damaged, and disks that cannot carry one."""

import re
import struct
from collections.abc import Callable
from pathlib import Path

import lmdb
import pytest
from tallystick.store import (
    FailureReason,
    Lsn,
    Schema,
    StoreCorrupt,
    StoreError,
    StoreFailed,
    StoreLocked,
    StoreMissing,
    StoreNewer,
    StoreUnsuitable,
    open_reader,
    open_store,
    verify,
)
from tallystick.store.environment import FORMAT_KEY
from tallystick.store.files import file_system_of, read_header, verify_pages

from tests.store.kit import TABLES, exchange, filled, make_codec, make_schema, placed

PAGE = 4096


async def fill(directory: Path, count: int = 400) -> None:
    async with open_store(directory, make_schema(), durability="process") as journal:
        for number in range(count):
            journal.append(placed(f"o{number}"), filled(f"o{number}", f"t{number}"), exchange(number), at_ns=number)
            if number % 50 == 0:
                await journal.wait_durable(journal.last_lsn)
        journal.put_snapshot("e", Lsn(1), b"older")
        journal.put_snapshot("e", Lsn(2), b"newer")


def edit(directory: Path, table: str, change: Callable[["lmdb.Transaction[bytes]"], object]) -> None:
    """Change a stopped store behind its back."""
    with lmdb.open(str(directory), max_dbs=40, map_size=1 << 26) as env:
        database = env.open_db(table.encode())
        with env.begin(database, write=True) as txn:
            change(txn)


async def test_a_missing_store_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(StoreMissing, match=r"there is no store at .*/nowhere: data.mdb is missing"):
        open_reader(tmp_path / "nowhere", make_schema())


async def test_a_store_whose_creation_was_cut_short_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "data.mdb").touch()
    with pytest.raises(StoreMissing, match="is empty"):
        open_reader(tmp_path, make_schema())
    async with open_store(tmp_path, make_schema()) as journal:
        assert journal.epoch == 1


async def test_a_file_of_something_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    data = b"The first page of a novel.\n" * 1000
    (tmp_path / "data.mdb").write_bytes(data)
    with pytest.raises(StoreCorrupt, match=r"data\.mdb is no LMDB data file"):
        await open_store(tmp_path, make_schema()).start()
    with pytest.raises(StoreCorrupt, match=r"data\.mdb is no LMDB data file"):
        open_reader(tmp_path, make_schema())
    assert (tmp_path / "data.mdb").read_bytes() == data


@pytest.mark.parametrize("table", [None, b"somebody-elses"])
async def test_an_lmdb_file_that_is_no_store_is_refused(tmp_path: Path, table: bytes | None) -> None:
    with lmdb.open(str(tmp_path), max_dbs=4) as env:
        database = None if table is None else env.open_db(table)
        with env.begin(write=True) as txn:
            txn.put(b"key", b"value", db=database)
    with pytest.raises(StoreCorrupt, match="is an LMDB file, but no store"):
        await open_store(tmp_path, make_schema()).start()
    with pytest.raises(StoreCorrupt, match="is an LMDB file, but no store"):
        open_reader(tmp_path, make_schema())


async def test_a_newer_format_is_refused_by_owner_and_reader(tmp_path: Path) -> None:
    await fill(tmp_path, 1)
    edit(tmp_path, "meta", lambda txn: txn.put(FORMAT_KEY, (2).to_bytes(8, "big")))
    says = "has format 2; this build understands formats up to 1. Start the build that wrote it"
    with pytest.raises(StoreNewer, match=says):
        await open_store(tmp_path, make_schema()).start()
    with pytest.raises(StoreNewer, match=says):
        open_reader(tmp_path, make_schema())


async def test_a_failed_opening_gives_the_lock_back(tmp_path: Path) -> None:
    await fill(tmp_path, 1)
    edit(tmp_path, "meta", lambda txn: txn.put(FORMAT_KEY, (2).to_bytes(8, "big")))
    with pytest.raises(StoreNewer):
        await open_store(tmp_path, make_schema()).start()
    edit(tmp_path, "meta", lambda txn: txn.put(FORMAT_KEY, (1).to_bytes(8, "big")))
    async with open_store(tmp_path, make_schema()) as journal:
        assert journal.epoch == 2


async def test_a_cut_off_file_is_refused_before_it_is_mapped(tmp_path: Path) -> None:
    await fill(tmp_path)
    data_path = tmp_path / "data.mdb"
    size = data_path.stat().st_size
    with data_path.open("r+b") as file:
        file.truncate(size - 3 * PAGE)
    with pytest.raises(StoreCorrupt, match=rf"data.mdb of {size - 3 * PAGE} bytes is damaged: .*page \d+"):
        await open_store(tmp_path, make_schema()).start()
    with pytest.raises(StoreCorrupt, match=rf"ends at byte {size - 3 * PAGE}, but its header speaks of {size} bytes"):
        open_reader(tmp_path, make_schema())


async def test_a_page_of_zeros_is_found_and_named(tmp_path: Path) -> None:
    await fill(tmp_path)
    data_path = tmp_path / "data.mdb"
    found = 0
    original = data_path.read_bytes()
    for page in range(2, len(original) // PAGE):
        data_path.write_bytes(original[: page * PAGE] + bytes(PAGE) + original[(page + 1) * PAGE :])
        if verify_pages(data_path):  # a free page may hold anything
            found += 1
            with pytest.raises(StoreCorrupt, match=rf"is damaged: .*page {page}\b"):
                await open_store(tmp_path, make_schema()).start()
    assert found > 10


async def test_a_flipped_byte_in_a_record_is_found_by_its_checksum(tmp_path: Path) -> None:
    await fill(tmp_path)
    data_path = tmp_path / "data.mdb"
    data = bytearray(data_path.read_bytes())
    for found in re.finditer(rb"\xa5order\xa4o200", data):  # a free page may hold an older copy
        data[found.end() - 1] ^= 1
    data_path.write_bytes(data)
    says = r"the journal block at LSN \d+ \(\d+ bytes\) does not match its checksum; entries from \d+ on"
    with open_reader(tmp_path, make_schema()) as reader, pytest.raises(StoreCorrupt, match=says):
        list(reader.read())
    async with open_store(tmp_path, make_schema()) as journal:
        with pytest.raises(StoreCorrupt, match=says):
            list(journal.read())
        intact = [entry.lsn for entry in journal.read(until=Lsn(500))]
        assert intact == list(range(1, 501))


async def test_a_missing_block_of_the_journal_is_found(tmp_path: Path) -> None:
    await fill(tmp_path)
    keys: list[bytes] = []
    edit(tmp_path, "journal", lambda txn: keys.extend(txn.cursor().iternext(values=False)))
    edit(tmp_path, "journal", lambda txn: txn.delete(keys[3]))
    missing = struct.unpack(">Q", keys[3])[0]
    with open_reader(tmp_path, make_schema()) as reader:
        with pytest.raises(StoreCorrupt, match=f"the journal has no entry {missing}, though it goes on"):
            list(reader.read())
        with pytest.raises(StoreCorrupt, match=f"no entry {missing}"):
            list(reader.read(Lsn(missing)))


async def test_a_record_in_the_wrong_place_is_found(tmp_path: Path) -> None:
    await fill(tmp_path, 1)
    blocks: list[tuple[bytes, bytes]] = []
    edit(tmp_path, "journal", lambda txn: blocks.extend(txn.cursor()))
    edit(tmp_path, "journal", lambda txn: txn.put((4).to_bytes(8, "big"), blocks[0][1]))
    with (
        open_reader(tmp_path, make_schema()) as reader,
        pytest.raises(StoreCorrupt, match="at LSN 4 of the journal lies a record that says LSN 1"),
    ):
        list(reader.read())


async def test_a_damaged_snapshot_falls_back_to_the_older(tmp_path: Path) -> None:
    await fill(tmp_path, 1)
    keys: list[bytes] = []
    edit(tmp_path, "snapshots", lambda txn: keys.extend(txn.cursor().iternext(values=False)))
    edit(tmp_path, "snapshots", lambda txn: txn.put(keys[1], b"\0\0\0\0" + bytes(8) + b"newer"))
    async with open_store(tmp_path, make_schema()) as journal:
        assert journal.snapshot("e") == (1, b"older")
    edit(tmp_path, "snapshots", lambda txn: txn.put(keys[0], b"\0"))
    with open_reader(tmp_path, make_schema()) as reader:
        assert reader.snapshot("e") is None


async def test_the_map_grows_by_itself(tmp_path: Path) -> None:
    async with open_store(tmp_path, make_schema(), durability="process", map_size_bytes=1 << 16) as journal:
        for number in range(300):
            journal.append(*(exchange(number) for _ in range(20)), placed("o" * 400 + str(number)), at_ns=number)
            await journal.wait_durable(journal.last_lsn)
            if number % 50 == 0:
                assert journal.get("open_orders", "o" * 400 + "0") == b"1"
        assert (tmp_path / "data.mdb").stat().st_size > 1 << 20
    header = read_header(tmp_path / "data.mdb")
    assert header is not None
    assert header.map_size >= header.used_size


async def test_a_ceiling_below_what_is_used_is_refused(tmp_path: Path) -> None:
    await fill(tmp_path)
    with pytest.raises(StoreUnsuitable, match="more than the ceiling of 65536; raise the ceiling"):
        await open_store(tmp_path, make_schema(), map_size_bytes_max=1 << 16).start()


async def test_a_damaged_audit_head_is_refused_and_the_lock_given_back(tmp_path: Path) -> None:
    await fill(tmp_path, 1)
    head: list[bytes | None] = []
    edit(tmp_path, "meta", lambda txn: head.append(txn.get(b"audit_head")))
    edit(tmp_path, "meta", lambda txn: txn.put(b"audit_head", b"short"))
    with pytest.raises(StoreCorrupt, match="the head of the audit chain is damaged"):
        await open_store(tmp_path, make_schema()).start()
    edit(tmp_path, "meta", lambda txn: txn.put(b"audit_head", head[0] or b""))
    async with open_store(tmp_path, make_schema()) as journal:
        assert verify(journal).intact


async def test_an_error_nobody_thought_of_stops_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(tmp_path, make_schema(), durability="process")
    await store.start()

    def fail(*arguments: object) -> None:
        raise KeyError("surprise")

    monkeypatch.setattr("tallystick.store.writer.Writer._put_rows", fail)
    with pytest.raises(StoreFailed, match=r"an error it does not know: writing .* failed: KeyError: 'surprise'"):
        await store.wait_durable(store.append(placed("a"), at_ns=0))
    assert list(store.read(until=store.durable_lsn)) == []
    await store.close()


async def test_a_journal_that_lost_the_list_of_its_files_says_which_entry_is_nowhere(tmp_path: Path) -> None:
    await fill(tmp_path, 2)
    edit(tmp_path, "meta", lambda txn: txn.put(b"first_lsn", (4).to_bytes(8, "big")))
    says = "entry 1 is neither in the journal, which starts at 4, nor in a file"
    async with open_store(tmp_path, make_schema()) as journal:
        with pytest.raises(StoreCorrupt, match=says):
            list(journal.read())
        assert [entry.lsn for entry in journal.read(journal.first_lsn)] == [4, 5, 6]
    with open_reader(tmp_path, make_schema()) as reader, pytest.raises(StoreCorrupt, match=says):
        list(reader.read())
    changed = Schema(make_codec(), tables=TABLES, index_version=2)
    with pytest.raises(StoreUnsuitable, match=f"must be made anew .* but: {says}"):
        await open_store(tmp_path, changed).start()


async def test_an_owner_that_was_fenced_out_writes_nothing(tmp_path: Path) -> None:
    failures: list[StoreFailed] = []
    store = open_store(tmp_path, make_schema(), durability="process", on_failure=failures.append)
    await store.start()
    environment = store._disk._environment  # type: ignore[attr-defined]  # a newer owner, without a second process
    with environment.env.begin(environment.database("meta"), write=True) as txn:
        txn.put(b"epoch", (9).to_bytes(8, "big"))
    lsn = store.append(placed("a"), at_ns=0)
    with pytest.raises(StoreFailed, match="is at epoch 9, this owner is 1"):
        await store.wait_durable(lsn)
    assert [failure.reason for failure in failures] == [FailureReason.FENCED]
    await store.close()
    with open_reader(tmp_path, make_schema()) as reader:
        assert (reader.epoch, reader.last_lsn) == (9, 0)


async def test_a_process_reads_its_own_store_through_its_journal(tmp_path: Path) -> None:
    async with open_store(tmp_path, make_schema()):
        with pytest.raises(StoreLocked, match="is already open in this process; read through the journal"):
            open_reader(tmp_path, make_schema())


async def test_a_reader_reads_a_stopped_store_like_its_owner(tmp_path: Path) -> None:
    await fill(tmp_path)
    async with open_store(tmp_path, make_schema()) as journal:
        by_owner = [
            list(journal.read()),
            list(journal.scan("open_orders", "o1", limit=7)),
            journal.get("fills", "t7"),
            journal.snapshot("e"),
            list(journal.snapshots()),
            (journal.epoch, journal.first_lsn, journal.last_lsn),
        ]
    with open_reader(tmp_path, make_schema()) as reader:
        assert by_owner == [
            list(reader.read()),
            list(reader.scan("open_orders", "o1", limit=7)),
            reader.get("fills", b"t7"),
            reader.snapshot("e"),
            list(reader.snapshots()),
            (reader.epoch, reader.first_lsn, reader.last_lsn),
        ]
        assert reader.owner is None
    with pytest.raises(StoreError, match="was closed"):
        list(reader.read())


async def test_no_read_transaction_stays_open(tmp_path: Path) -> None:
    async with open_store(tmp_path, make_schema(), durability="process") as journal:
        for number in range(5000):
            journal.append(placed(f"o{number}", "1"), at_ns=0)
        await journal.wait_durable(journal.last_lsn)
        half_read = journal.read()
        scan = journal.scan("open_orders")
        for _ in range(10):
            next(half_read), next(scan)
        readers = journal._disk._environment.env.readers()  # type: ignore[attr-defined]  # LMDB's own table
        assert all(line.split()[-1] == "-" for line in readers.splitlines()[1:] if line.strip())


async def test_a_read_only_directory_cannot_carry_a_store(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a directory")
    with pytest.raises(StoreUnsuitable, match="cannot hold a store"):
        await open_store(tmp_path / "file" / "store", make_schema()).start()


MOUNTS = r"""
22 1 253:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
30 22 0:30 / /srv rw,relatime shared:9 - nfs4 server:/export rw,vers=4.2
31 22 0:31 / /srv/local rw,relatime - xfs /dev/vdb rw
32 22 0:32 / /mnt/two\040words rw - cifs //server/share rw
33 22 0:33 / /over rw - ext4 /dev/vdc rw
34 33 0:34 / /over rw - fuse.sshfs host: rw
broken line
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/home/trader/store", "ext4"),
        ("/srv/store", "nfs4"),
        ("/srv/local/store", "xfs"),
        ("/srv/localised", "nfs4"),
        ("/mnt/two words/store", "cifs"),
        ("/over", "fuse.sshfs"),
    ],
)
def test_the_file_system_of_a_path_is_that_of_its_nearest_mount(path: str, kind: str) -> None:
    assert file_system_of(Path(path), MOUNTS) == kind


async def test_a_network_file_system_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tallystick.store.files.file_system_of", lambda path, mount_info: "nfs4")
    with pytest.raises(StoreUnsuitable, match=r"network file system \(nfs4\), .* Use a local disk"):
        await open_store(tmp_path, make_schema()).start()


async def test_a_byte_that_the_disk_changed_in_a_snapshot_is_found_though_lmdb_sees_nothing(tmp_path: Path) -> None:
    older, newer = b"older state " * 1_000, b"newer state " * 1_000
    async with open_store(tmp_path, make_schema()) as journal:
        journal.append(placed("a"), placed("b"), at_ns=0)
        journal.put_snapshot("e", Lsn(1), older)
        journal.put_snapshot("e", Lsn(2), newer)
    data_path = tmp_path / "data.mdb"
    data = bytearray(data_path.read_bytes())
    data[data.rindex(b"newer state ") - 5_000] ^= 1
    data_path.write_bytes(data)
    assert verify_pages(data_path) == []
    async with open_store(tmp_path, make_schema()) as journal:
        assert journal.snapshot("e") == (1, older)
        assert "do not match their hash" in journal.read_snapshots("e").damaged[0]
        journal.put_snapshot("e", Lsn(2), newer)
        await journal.wait_written()
        assert journal.read_snapshots("e").damaged == ()
