"""The textfile collector."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.collectors.textfile import Textfile
from agent.errors import Denied, Gone, Malformed, SourceError
from agent.model import Writer
from agent.sources.host import Host

Make = Callable[..., Host]
Collect = Callable[[Any], Any]


class Directory:
    """Directories of text files, and the collector of some of them."""

    def __init__(self, path: Path, host: Host) -> None:
        self.path, self.host = path, host

    def write(self, name: str, text: str, mtime_s: int = 1_700_000_000) -> str:
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        os.utime(file, ns=(mtime_s * 10**9 + 999_999_999,) * 2)
        return str(file)

    def collector(self, *names: str) -> Textfile:
        return Textfile(self.host, {"directory": tuple(f"{self.path}/{name}" for name in names)})


@pytest.fixture
def files(tmp_path: Path, make_host: Make) -> Directory:
    return Directory(tmp_path / "text", make_host({}))


def test_without_a_directory_there_is_only_the_verdict(make_host: Make, collect: Collect) -> None:
    """Nothing was read, so nothing went wrong."""
    assert collect(Textfile(make_host({}), {"directory": ()})) == {"node_textfile_scrape_error": 0}


def test_files_are_families_with_their_age(files: Directory, collect: Collect) -> None:
    """Only ``*.prom``; the time of writing is in whole seconds."""
    path = files.write("d/a.prom", '# HELP m Of mine.\n# TYPE m gauge\nm{x="1"} 2.5\n')
    files.write("d/a.txt", "not metrics")
    samples = collect(files.collector("d"))
    assert samples == {
        'm{x="1"}': 2.5,
        f'node_textfile_mtime_seconds{{file="{path}"}}': 1_700_000_000,
        "node_textfile_scrape_error": 0,
    }
    assert "# HELP m Of mine.\n# TYPE m gauge\n" in samples.text


def test_a_family_without_help_says_where_it_is_from(files: Directory, collect: Collect) -> None:
    """All files that have it, in order."""
    a, b = files.write("d/a.prom", "m 1\n"), files.write("d/b.prom", 'm{x="1"} 1\n')
    assert f"# HELP m Metric read from {a}, {b}\n# TYPE m untyped\n" in collect(files.collector("d")).text


def test_help_in_any_file_is_the_familys(files: Directory, collect: Collect) -> None:
    """A file that says nothing contradicts nobody."""
    files.write("d/a.prom", 'm{x="1"} 1\n')
    files.write("d/b.prom", '# HELP m Said here.\nm{x="2"} 2\n')
    samples = collect(files.collector("d"))
    assert (samples['m{x="1"}'], samples['m{x="2"}'], samples["node_textfile_scrape_error"]) == (1, 2, 0)
    assert "# HELP m Said here.\n" in samples.text


def test_labels_of_a_family_are_the_union(files: Directory, collect: Collect) -> None:
    """Those that a sample lacks are empty, across files too."""
    files.write("d/a.prom", 'm{b="1"} 1\nm{a="2"} 2\n')
    files.write("d/b.prom", "m 3\n")
    samples = collect(files.collector("d"))
    assert samples['m{a="",b="1"}'] == 1
    assert samples['m{a="2",b=""}'] == 2
    assert samples['m{a="",b=""}'] == 3


def test_histograms_and_summaries_keep_their_shape(files: Directory, collect: Collect) -> None:
    """Bound labels come last, as everywhere in the exposition."""
    files.write("d/a.prom", '# TYPE h histogram\nh_bucket{z="a",le="1.0"} 1\nh_sum{z="a"} 3\nh_count{z="a"} 2\n')
    files.write("d/b.prom", '# TYPE s summary\ns{quantile="0.5"} 7\ns_sum 10\ns_count 3\n')
    samples = collect(files.collector("d"))
    assert samples['h_bucket{z="a",le="1"}'] == 1
    assert samples['h_bucket{z="a",le="+Inf"}'] == 2
    assert (samples['h_sum{z="a"}'], samples['h_count{z="a"}']) == (3, 2)
    assert (samples['s{quantile="0.5"}'], samples["s_sum"], samples["s_count"]) == (7, 10, 3)


@pytest.mark.parametrize(
    "text", ["bad{ 1\n", "bad 1 1700000000000\n", "bad 1", "bad 1\nbad{} x\n", "# TYPE bad what\nbad 1\n"]
)
def test_a_bad_file_does_not_count_and_the_others_do(files: Directory, collect: Collect, text: str) -> None:
    """Neither its families nor its age, at every scrape again; it is said which file."""
    bad = files.write("d/bad.prom", text)
    good = files.write("d/good.prom", "good 1\n")
    collector = files.collector("d")
    for _ in range(2):
        samples = collect(collector)
        assert samples == {
            "good": 1,
            f'node_textfile_mtime_seconds{{file="{good}"}}': 1_700_000_000,
            "node_textfile_scrape_error": 1,
        }
        assert [(type(error), error.path) for error in samples.errors] == [(Malformed, bad)]


@pytest.mark.parametrize("text", ["# HELP m Two.\nm 2\nrest 1\n", "# TYPE m gauge\nm 2\nrest 1\n"])
def test_a_family_that_contradicts_an_earlier_file_is_left_out(files: Directory, collect: Collect, text: str) -> None:
    """About its HELP or type; the rest of that file counts."""
    files.write("d/a.prom", "# HELP m One.\n# TYPE m counter\nm 1\n")
    path = files.write("d/b.prom", text)
    samples = collect(files.collector("d"))
    assert (samples["m"], samples["rest"], samples["node_textfile_scrape_error"]) == (1, 1, 1)
    assert f'node_textfile_mtime_seconds{{file="{path}"}}' in samples
    assert [error.path for error in samples.errors] == [path]


def test_the_same_series_twice_is_there_once(files: Directory, collect: Collect) -> None:
    """The first one counts, and the second is an error: two values for one series are no exposition."""
    files.write("d/a.prom", 'm{x=""} 1\nm 2\n')
    files.write("d/b.prom", "m 3\n")
    samples = collect(files.collector("d"))
    assert samples['m{x=""}'] == 1
    assert samples["node_textfile_scrape_error"] == 1
    assert len(samples.errors) == 2


def test_our_own_names_are_not_for_files(files: Directory, collect: Collect) -> None:
    """A file cannot pass itself off as well read."""
    files.write("d/a.prom", 'node_textfile_scrape_error 0\nnode_textfile_mtime_seconds{file="x"} 1\n')
    samples = collect(files.collector("d"))
    assert samples["node_textfile_scrape_error"] == 1
    assert 'file="x"' not in samples.text


def test_a_file_of_any_name_is_text(files: Directory, collect: Collect) -> None:
    """A file name is any bytes: those that are not UTF-8 are spelled out, or no scrape of the node could be written."""
    files.write("d/a\udcff.prom", "m 1\n")
    samples = collect(files.collector("d"))
    spelled = f"{files.path}/d/a\\xff.prom"
    assert samples["m"] == 1
    assert f'node_textfile_mtime_seconds{{file="{spelled}"}}'.replace("\\", "\\\\") in samples
    assert f"# HELP m Metric read from {spelled}".replace("\\", "\\\\") in samples.text


def test_globs_find_directories(files: Directory, collect: Collect) -> None:
    """Each of them is read; a directory may be given beside them."""
    files.write("one/a.prom", "a 1\n")
    files.write("two/b.prom", "b 2\n")
    files.write("other/c.prom", "c 3\n")
    samples = collect(files.collector("[ot][nw]*", "other"))
    assert (samples["a"], samples["b"], samples["c"]) == (1, 2, 3)


@pytest.mark.parametrize("name", ["missing", "missing*"])
def test_a_directory_that_is_not_there_is_an_error(files: Directory, collect: Collect, name: str) -> None:
    """Also a glob that finds none; what the other directories say counts."""
    files.write("d/a.prom", "a 1\n")
    samples = collect(files.collector(name, "d"))
    assert (samples["a"], samples["node_textfile_scrape_error"]) == (1, 1)
    assert [type(error) for error in samples.errors] == [Gone]


def test_a_file_that_cannot_be_read_is_an_error(files: Directory, collect: Collect) -> None:
    """A directory, a pipe, a link to nowhere: none of them holds up the others."""
    files.write("d/a.prom", "a 1\n")
    (files.path / "d" / "dir.prom").mkdir()
    os.mkfifo(files.path / "d" / "pipe.prom")
    (files.path / "d" / "link.prom").symlink_to("/nonexistent")
    samples = collect(files.collector("d"))
    assert (samples["a"], samples["node_textfile_scrape_error"]) == (1, 1)
    assert len(samples.errors) == 3
    assert all(isinstance(error, SourceError) for error in samples.errors)
    assert not any(isinstance(error, Denied) for error in samples.errors)


def test_files_are_parsed_again_only_when_they_change(files: Directory) -> None:
    """Until then the blocks are the same objects; then the families are, as long as they are called the same."""
    files.write("d/a.prom", "a 1\n")
    files.write("d/b.prom", "b 1\n")
    collector = files.collector("d")

    def blocks() -> dict[str, Any]:
        out = Writer()
        collector.collect(out)
        return {block.family.name: block for block in out.blocks}

    first, second = blocks(), blocks()
    assert all(second[name] is first[name] for name in ("a", "b", "node_textfile_mtime_seconds"))
    files.write("d/b.prom", "b 22\n")
    third = blocks()
    assert list(third["b"].values) == [22]
    assert third["b"].family is first["b"].family
    (files.path / "d" / "b.prom").unlink()
    assert "b" not in blocks()


def test_a_file_that_is_replaced_is_read_again(files: Directory, collect: Collect) -> None:
    """As careful writers do it: by renaming another one over it, of the same size and time."""
    files.write("d/a.prom", "a 1\n")
    collector = files.collector("d")
    collect(collector)
    files.write("d/a.new", "a 2\n")
    (files.path / "d" / "a.new").rename(files.path / "d" / "a.prom")
    assert collect(collector)["a"] == 2
