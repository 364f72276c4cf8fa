"""How long `report` takes on a consumed-licenses CSV, as a whole command: `python -m benchmarks.report`."""

import csv
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COMMAND = str(Path(sys.executable).with_name("licsync-daemon"))
COLUMNS = (
    "github_com_login", "github_com_name", "enterprise_server_user_ids", "github_com_user", "enterprise_server_user", "license_type",
    "github_com_member_roles", "github_com_verified_domain_emails", "github_com_saml_name_id", "enterprise_server_primary_emails",
    "total_user_accounts",
)  # fmt: skip


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        for people, form in ((5_000, "table"), (100_000, "table"), (100_000, "html")):
            path, out = Path(folder) / f"{people}.csv", Path(folder) / "report"
            _write(path, people)
            words = [COMMAND, "report", str(path), "--format", form, "--people", "-o", str(out)]
            times = []
            for _ in range(3):
                began = time.perf_counter()
                subprocess.run(words, check=True)
                times.append(time.perf_counter() - began)
            print(f"report of {people:,} people as {form}: {sorted(times)[1]:.2f} s, {out.stat().st_size / 1024**2:.2f} MiB")
    return 0


def _write(path: Path, people: int) -> None:
    """Write people: seven of ten in the cloud, four of them on an instance too; the others only on an instance, some of them twice."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for number in range(people):
            given, family = f"given{number % 977}", f"family{number // 977}"
            login, address = f"{given}-{family}", f"{given}.{family}@corp.example"
            ids = f"{number}:emea.corp.example:Member"
            if number % 10 < 3:
                writer.writerow(["", "", ids, "false", "true", "Enterprise", "", "", "", f"{given}{family}@old.example", 1])
            else:
                joined = number % 10 < 7
                name = f"{given.title()} {family.title()}"
                row = [login, name, ids if joined else "", "true", str(joined).lower(), "Enterprise", "octo:Member", address, ""]
                writer.writerow([*row, address if joined else "", 1 + joined])


if __name__ == "__main__":
    sys.exit(main())
