"""What the paths of a report are: each file recognized by its columns, each site-admin report with its instance."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from licsync_daemon.insight.values import Instance, Person, ServerAccount, Stated
from licsync_daemon.model import github_labels as github
from licsync_daemon.model.errors import InputError
from licsync_daemon.rules.verdict import bare_host
from licsync_daemon.sources.downloads.accounts import Accounts
from licsync_daemon.sources.downloads.consumed import IDS, ConsumedCsv, ConsumedPages
from licsync_daemon.sources.downloads.table import Table, read_table

SUFFIXES = (".csv", ".tsv", ".txt", ".json")
ACCOUNTS = frozenset({"id", "login", "email", "suspended"})
WANTED = f"name a consumed-licenses report ({github.CSV_REPORT}), or an instance's site-admin report `all_users.csv`"
#: Columns of other reports, which are named for what they are. Sources: GitHub's documentation of each, and headers that people published.
OTHERS = (
    ({"login", "suspension_status"}, "the output of ghe-user-csv, which has no account ids"),
    ({"login", "outside_collaborator"}, "the cloud's report of dormant users"),
    ({"user_login", "last_pushed_date"}, "a report of Advanced Security committers"),
    ({"sku", "quantity"}, "a usage report of billing, which names no licenses"),
    ({"github_com_login"}, "an export of the People page, which does not say who consumes a license"),
    ({"login", "name", "role"}, "an export of the People page, which does not say who consumes a license"),
)


@dataclass(slots=True)
class Found:
    """The recognized files.

    Attributes:
        people: The rows of the consumed licenses; None without that report.
        stated: GitHub's own totals, if the file has them.
        files: (path, what it is, when it was last changed as seconds since 1970) in order, for the report's sources.
        ignored: Files in folders that are no report, with the reason.
    """

    people: Iterable[Person] | None = None
    stated: Stated | None = None
    accounts: list[Accounts] = field(default_factory=list)
    instances: list[Instance] = field(default_factory=list)
    files: list[tuple[Path, str, float]] = field(default_factory=list)
    ignored: list[tuple[Path, str]] = field(default_factory=list)

    def every_account(self) -> Iterator[ServerAccount]:
        """Yield the accounts of all instances. May be called again."""
        for one in self.accounts:
            yield from one


def find(paths: Sequence[Path], servers: Sequence[tuple[str, Path]]) -> Found:
    """Recognize files, and the reports in folders.

    Args:
        paths: Files and folders.
        servers: Host names of instances with their site-admin reports.

    Raises:
        InputError: A named file is no report, two are of one thing, a folder has none, or the instance of a report is unknown.
    """
    found = Found()
    pages = ConsumedPages()
    reports: list[tuple[Table, bool]] = []
    for path, is_named in _files(paths):
        if path.resolve() in {one.resolve() for _, one in servers}:
            continue
        _recognize(path, found, pages, reports, is_named=is_named)
    if not (reports or servers or found.people is not None or pages.people or pages.stated):
        reason = found.ignored[0][1] if found.ignored else "the folder contains no report"
        raise InputError(paths[0], reason, WANTED)
    if pages.people or pages.stated:
        if found.people is not None:
            raise InputError(found.files[0][0], "both a CSV and saved pages of the consumed licenses were given", "name one of them")
        found.people, found.stated = pages, pages.stated
    hosts = {bare_host(host) for person in found.people or () for host, _ in person.server_ids}
    for host, path in servers:
        table = read_table(path)
        if missing := ACCOUNTS - table.columns.keys():
            raise InputError(path, f"the header has no column {_names(missing)}", WANTED, table.header_line)
        _add(found, host, table)
    for table, in_folder in reports:
        _add(found, _host_of(table.path, hosts, in_folder=in_folder), table)
    return found


def _add(found: Found, host: str, table: Table) -> None:
    if any(bare_host(one.hostname) == bare_host(host) for one in found.instances):
        raise InputError(
            table.path, f"another file is already the report of {host}", "name one file for each instance, with --server HOST=FILE"
        )
    if any(one.table.path.resolve() == table.path.resolve() for one in found.accounts):
        raise InputError(
            table.path, "the same file was given for two instances", "name one file for each instance, with --server HOST=FILE"
        )
    name = host.casefold()
    found.instances.append(Instance(name=name, hostname=name))
    found.accounts.append(Accounts(table, name))
    found.files.append((table.path, f"accounts of {name}", table.path.stat().st_mtime))


def _files(paths: Sequence[Path]) -> Iterator[tuple[Path, bool]]:
    """Yield every file, and whether it was named itself."""
    seen: set[Path] = set()
    for path in paths:
        try:
            path.stat()
        except FileNotFoundError as error:
            raise InputError(path, "there is no such file or folder", WANTED) from error
        except OSError as error:
            raise InputError(path, f"cannot be read: {error.strerror}", "name a file that you may read") from error
        if not path.is_dir() and not path.is_file():
            raise InputError(path, "not a regular file: a report is read more than once", "save it to a file, and name that")
        inside = sorted(one for one in path.rglob("*") if one.suffix.lower() in SUFFIXES and one.is_file()) if path.is_dir() else [path]
        if not inside:
            raise InputError(path, "the folder contains no report", WANTED)
        for one in inside:
            if one.resolve() not in seen:
                seen.add(one.resolve())
                yield one, not path.is_dir()


def _recognize(path: Path, found: Found, pages: ConsumedPages, reports: list[tuple[Table, bool]], *, is_named: bool) -> None:
    what = ""
    if _is_json(path):
        if pages.read(path):
            found.files.append((path, "consumed licenses (REST)", path.stat().st_mtime))
            return
        what = "the JSON has no `users`: it is no response of consumed-licenses"
    else:
        table = read_table(path)
        columns = table.columns.keys()
        if columns >= ACCOUNTS:
            reports.append((table, not is_named))
            return
        if "github_com_login" in columns and columns & {IDS, "license_type", "enterprise_server_user"}:
            if found.people is not None:
                raise InputError(path, "this is a second consumed-licenses report", "name one: the newest")
            found.people = ConsumedCsv(table)
            found.files.insert(0, (path, "consumed licenses (CSV)", path.stat().st_mtime))
            return
        what = _what_else(table)
    if is_named:
        raise InputError(path, what, WANTED)
    found.ignored.append((path, what))


def _what_else(table: Table) -> str:
    columns = table.columns.keys()
    for names, what in OTHERS:
        if columns >= names:
            return f"this is {what}"
    if "enterprise_server_user_ids" in columns or "license_type" in columns:
        return "the header has no column `github_com_login`"
    if len(columns & ACCOUNTS) >= 2:
        return f"the header has no column {_names(ACCOUNTS - columns)}"
    return "the columns are those of no report that is known here"


def _names(missing: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(missing))


def _is_json(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in {b"{", b"["}
    except OSError as error:
        raise InputError(path, f"cannot be read: {error.strerror}", "name a file that you may read") from error


def _host_of(path: Path, hosts: Iterable[str], *, in_folder: bool) -> str:
    """Return the host whose report this is, from the name of the file or of its folder."""
    stem = re.sub(r"[-_. ]?(?:all[-_]users|site[-_]admin)(?:[-_]report)?[-_. ]?", "", path.stem, flags=re.IGNORECASE)
    stem = re.sub(r" ?\(\d+\)$", "", stem)
    for name in (stem, path.parent.name):
        if name and (host := _known(name.casefold(), hosts)) is not None:
            return host
    for name in (stem, path.parent.name):
        if re.fullmatch(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+", name) or (in_folder and re.fullmatch(r"[A-Za-z0-9-]+", name)):
            return name
    raise InputError(path, "it is not known which instance this report is of", f"name its host: --server HOST={path}")


def _known(name: str, hosts: Iterable[str]) -> str | None:
    """Return the cloud's one host that has this name, this first label, or this word."""
    for rule in (
        lambda host: host == name,
        lambda host: host.partition(".")[0] == name,
        lambda host: name in re.split(r"[-.]", host),
    ):
        fitting = [host for host in hosts if rule(host)]
        if len(fitting) == 1:
            return fitting[0]
    return None
