"""Bounded caches in memory and on disk."""

from __future__ import annotations

import ctypes
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft.config import config
from weft.runtime import cache as cache_module
from weft.runtime import linker, native
from weft.runtime.cache import (
    LRUCache,
    ObjectCache,
    compile_cached,
    object_cache,
    object_key,
)
from weft.runtime.processors import aarch64

IR = "define i64 @answer() {{\n  ret i64 {}\n}}\n"


# ---- memory -------------------------------------------------------------------------------


@given(st.integers(1, 5), st.lists(st.tuples(st.booleans(), st.integers(0, 9))))
def test_lru_keeps_the_most_recently_used(capacity: int, operations: list[tuple[bool, int]]):
    cache: LRUCache[int, str] = LRUCache(capacity)
    model: dict[int, str] = {}
    for is_put, key in operations:
        if is_put:
            model.pop(key, None)
            model[key] = cache.put(key, f"value {key}")
            while len(model) > capacity:
                del model[next(iter(model))]
        else:
            assert cache.get(key) == model.get(key)
            if key in model:
                model[key] = model.pop(key)
        assert len(cache) == len(model)


def test_lru_counts():
    cache: LRUCache[str, int] = LRUCache(1)
    cache.put("a", 1)
    cache.get("a")
    cache.get("b")
    cache.put("b", 2)
    statistics = cache.statistics
    assert (statistics.hits, statistics.misses, statistics.evictions) == (1, 1, 1)
    cache.clear()
    assert len(cache) == 0


def test_lru_needs_room_for_one():
    with pytest.raises(ValueError, match="at least one entry, got capacity 0"):
        LRUCache(0)


# ---- disk ---------------------------------------------------------------------------------


@pytest.fixture
def objects(tmp_path: Path) -> ObjectCache:
    return ObjectCache(tmp_path / "cache" / "weft")


@given(payload=st.binary(max_size=200))
def test_entries_come_back(payload: bytes, tmp_path_factory: pytest.TempPathFactory):
    objects = ObjectCache(tmp_path_factory.getbasetemp() / "entries")
    objects.put("key", payload)
    assert objects.get("key") == payload
    assert objects.get("other") is None


def test_the_folder_is_private(objects: ObjectCache):
    assert stat.S_IMODE(Path(objects.folder).stat().st_mode) == 0o700
    Path(objects.folder).chmod(0o755)
    ObjectCache(objects.folder)
    assert stat.S_IMODE(Path(objects.folder).stat().st_mode) == 0o700


def test_the_folder_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cache_module.os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(PermissionError, match="belongs to another user"):
        ObjectCache(tmp_path)


def damage_truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


def damage_flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def damage_empty(path: Path) -> None:
    path.write_bytes(b"")


def damage_foreign(path: Path) -> None:
    path.write_bytes(b"\x7fELF" + bytes(100))


def damage_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def damage_link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"))


def damage_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


DAMAGES = [
    damage_truncate,
    damage_flip,
    damage_empty,
    damage_foreign,
    damage_link,
    damage_pipe,
    damage_directory,
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_entries_count_as_absent(objects: ObjectCache, damage):
    objects.put("key", b"payload")
    damage(Path(objects.folder) / "key.o")
    assert objects.get("key") is None


@pytest.mark.parametrize("damage", DAMAGES[:-1])
def test_damaged_entries_are_replaced(objects: ObjectCache, damage):
    objects.put("key", b"payload")
    damage(Path(objects.folder) / "key.o")
    objects.put("key", b"new payload")
    assert objects.get("key") == b"new payload"


def test_size_is_bounded_and_the_least_recently_used_go(tmp_path: Path):
    objects = ObjectCache(tmp_path, limit=10_000)
    for i in range(9):
        objects.put(f"key{i}", bytes(1000))
        os.utime(tmp_path / f"key{i}.o", (i, i))
    assert objects.get("key0") is not None  # now the most recently used
    objects.put("key9", bytes(1000))
    assert objects.nbytes() <= 10_000
    assert objects.get("key0") is not None and objects.get("key9") is not None
    assert objects.get("key1") is None
    assert objects.statistics.evictions > 0


def test_clear_removes_entries_and_what_crashes_left(objects: ObjectCache):
    objects.put("key", b"payload")
    (Path(objects.folder) / "writing-abc").write_bytes(b"half")
    (Path(objects.folder) / "readme.txt").write_text("not ours")
    assert objects.clear() > 0
    assert [path.name for path in Path(objects.folder).iterdir()] == ["readme.txt"]


def test_many_writers_of_one_entry(objects: ObjectCache):
    def write(i: int) -> None:
        for _ in range(20):
            objects.put("key", bytes([i]) * 5000)
            payload = ObjectCache(objects.folder).get("key")
            assert payload is not None and len(set(payload)) == 1

    failures: list[BaseException] = []

    def guarded(i: int) -> None:
        try:
            write(i)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert [path.name for path in Path(objects.folder).iterdir()] == ["key.o"]


# ---- compiling through the disk -----------------------------------------------------------


@pytest.fixture
def cache_dir(tmp_path: Path) -> Iterator[Path]:
    before = config.cache_dir
    config.cache_dir = tmp_path / "compiled"
    yield tmp_path / "compiled"
    config.cache_dir = before


def run(code: bytes) -> int:
    library = linker.link(code, ["answer"])
    return ctypes.CFUNCTYPE(ctypes.c_int64)(library.address("answer"))()


def test_code_is_compiled_once(cache_dir: Path, monkeypatch: pytest.MonkeyPatch):
    assert run(compile_cached(IR.format(42))) == 42
    monkeypatch.setattr(native, "compile_module", None)  # must not be needed again
    assert run(compile_cached(IR.format(42))) == 42
    cache = object_cache()
    assert cache is not None and cache.statistics.hits == 1


@pytest.mark.parametrize("damage", DAMAGES[:-1])
def test_damaged_code_is_compiled_again(cache_dir: Path, damage):
    compile_cached(IR.format(7))
    damage(cache_dir / f"{object_key(IR.format(7))}.o")
    assert run(compile_cached(IR.format(7))) == 7
    cache = object_cache()
    assert cache is not None and cache.get(object_key(IR.format(7))) is not None


def test_the_key_depends_on_text_and_toolchain(monkeypatch: pytest.MonkeyPatch):
    host, other = native.host_cpu(), aarch64()
    keys = {object_key(IR.format(n), cpu) for n in (1, 2) for cpu in (None, host, other)}
    assert len(keys) == 6
    for name in ("llvm_identity", "processor_identity"):
        with monkeypatch.context() as patch:
            patch.setattr(cache_module, name, lambda: "another")
            assert object_key(IR.format(1)) not in keys
    assert object_key(IR.format(1)) in keys


def test_no_folder_means_no_cache(cache_dir: Path):
    config.cache_dir = None
    assert object_cache() is None
    assert run(compile_cached(IR.format(3))) == 3
    assert not cache_dir.exists()


def test_an_unusable_folder_warns_once_and_compiles(cache_dir: Path):
    cache_dir.write_text("a file, not a folder")
    with pytest.warns(RuntimeWarning, match="compiled code is not kept.*weft.config.cache_dir"):
        assert run(compile_cached(IR.format(4))) == 4
    assert run(compile_cached(IR.format(4))) == 4


def test_a_full_disk_warns_once_and_does_not_lose_the_code(
    cache_dir: Path, monkeypatch: pytest.MonkeyPatch
):
    def refuse(self: ObjectCache, key: str, payload: bytes) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(ObjectCache, "put", refuse)
    with pytest.warns(RuntimeWarning, match="no space left on device.*that has room") as caught:
        assert run(compile_cached(IR.format(5))) == 5
        assert run(compile_cached(IR.format(6))) == 6
    assert len(caught) == 1
