"""What the consumed licenses alone say: seats by kind, by instance, by organization, and by cost center."""

from licsync_daemon.insight.results import Consumption
from licsync_daemon.insight.values import Kind, Person
from licsync_daemon.rules.verdict import bare_host


class Counts:
    """Adds up the rows of the consumed licenses as they pass."""

    def __init__(self) -> None:
        self.kinds = dict.fromkeys(Kind, 0)
        self.without_address = self.without_identity = 0
        self.instances: dict[str, int] = {}
        self.organizations: dict[str, int] = {}
        self.cost_centers: dict[str, int] = {}

    def add(self, person: Person) -> None:
        """Count a row, once for each instance and organization that it names."""
        kind = person.kind
        self.kinds[kind] += 1
        if person.is_cloud:
            self.without_address += not person.shows_address
            self.without_identity += not person.saml_name_id
        for host in {bare_host(host) for host, _ in person.server_ids}:
            self.instances[host] = self.instances.get(host, 0) + 1
        for name in {role.partition(":")[0].partition("/")[0] for role in person.member_roles} - {""}:
            self.organizations[name] = self.organizations.get(name, 0) + 1
        if person.cost_center:
            self.cost_centers[person.cost_center] = self.cost_centers.get(person.cost_center, 0) + 1

    def result(self) -> Consumption:
        """Return the sums; the largest instance, organization and cost center first."""
        cloud, both, server, invited = (self.kinds[kind] for kind in (Kind.CLOUD, Kind.BOTH, Kind.SERVER, Kind.INVITED))
        return Consumption(
            people=cloud + both + server,
            seats=cloud + both + server + invited,
            cloud_only=cloud,
            both=both,
            server_only=server,
            invited=invited,
            visual_studio_unmatched=self.kinds[Kind.VISUAL_STUDIO],
            without_address=self.without_address,
            without_identity=self.without_identity,
            by_instance=_largest_first(self.instances),
            by_organization=_largest_first(self.organizations),
            by_cost_center=_largest_first(self.cost_centers),
        )


def _largest_first(counts: dict[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda one: (-one[1], one[0])))
