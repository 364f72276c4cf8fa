"""What GitHub's documentation names and says: menus, buttons, pages and facts, each with its page and the date of the last comparison.

The only place where the program names a menu of GitHub or says what GitHub does: texts of all other modules are put together from here, and
`docs/github-labels.md` is this module as a page. To compare again: read each page, correct the words and the date here, and run
`tests/unit/test_github_labels.py`, which says how to renew that page.
"""

from dataclasses import dataclass
from datetime import date

DOCS = "https://docs.github.com/en/"
COMPARED = date(2026, 11, 27)  # with the documentation of GitHub Enterprise Cloud, and of GitHub Enterprise Server up to 3.22

INSTANCE_OWNER = "an enterprise owner of the instance"
CLOUD_OWNER = "an enterprise owner on GitHub"
BOTH_OWNERS = "an enterprise owner on both sides"
CLOUD_READER = "an enterprise owner or a billing manager on GitHub"
SITE_ADMINISTRATOR = "a site administrator of the instance"
HOLDER = "the owner of the token"
CONSOLE = "an administrator of the Management Console"

_SERVER, _CLOUD = "enterprise-server@latest/", "enterprise-cloud@latest/"
_SYNC = f"{_CLOUD}billing/how-tos/manage-server-licenses/sync-license-usage"
_VIEW = f"{_CLOUD}billing/how-tos/manage-plan-and-licenses/view-enterprise-usage"
_DOWNLOAD = f"{_CLOUD}billing/how-tos/manage-server-licenses/download-your-license"
_RENEW = f"{_CLOUD}billing/how-tos/manage-server-licenses/upload-new-license"
_ABOUT_CONNECT = f"{_SERVER}admin/configuring-settings/configuring-github-connect/about-github-connect"
_TO_GITHUB_COM = f"{_SERVER}admin/configuring-settings/configuring-github-connect/enabling-github-connect-for-githubcom"
_TO_GHE_COM = f"{_SERVER}admin/configuring-settings/configuring-github-connect/enabling-github-connect-for-ghecom"
_ENABLE_SYNC = f"{_SERVER}admin/configuring-settings/configuring-github-connect/enabling-automatic-user-license-sync-for-your-enterprise"
_DISABLE = f"{_SERVER}admin/configuring-settings/configuring-github-connect/disabling-github-connect"
_COMBINED = f"{_CLOUD}billing/concepts/enterprise-billing/combined-enterprise-use"
_MATCHING = f"{_CLOUD}billing/reference/enterprise-license-troubleshooting"
_SSO = f"{_CLOUD}authentication/authenticating-with-single-sign-on/authorizing-a-personal-access-token-for-use-with-single-sign-on"
_POLICIES = f"{_CLOUD}admin/enforcing-policies/enforcing-policies-for-your-enterprise/"
_TOKEN_POLICIES = f"{_POLICIES}enforcing-policies-for-personal-access-tokens-in-your-enterprise"
_SHELL = "admin/administering-your-instance/administering-your-instance-from-the-command-line/"
_APPLICATIONS = f"{_CLOUD}admin/configuring-settings/configuring-user-applications-for-your-enterprise/"
_DOMAINS = f"{_APPLICATIONS}verifying-or-approving-a-domain-for-your-enterprise"


@dataclass(frozen=True, slots=True)
class Label:
    """Where to click.

    Attributes:
        path: The menus as GitHub names them, each in asterisks: for a sentence such as "open PATH".
        where: The heading on that page by which the button is, with the preposition that GitHub uses; "" if there is none.
        button: What to click there, in asterisks; "" for a page without a button to click.
        who: Who may do it.
        page: The documentation, below `DOCS`.
        compared: When all of this was last compared with that page.
    """

    path: str
    where: str
    button: str
    who: str
    page: str
    compared: date = COMPARED

    def __str__(self) -> str:
        """Return the instruction: 'open *A* > *B*, and under "C" click *D*'."""
        if not self.button:
            return f"open {self.path}"
        return f"open {self.path}, and {self.where}{' ' if self.where else ''}click {self.button}"


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that GitHub's documentation says, as a sentence for people, with its page and the date of the last comparison."""

    text: str
    page: str
    compared: date = COMPARED

    def __str__(self) -> str:
        """Return the sentence without its full stop, to go on in a text."""
        return self.text.removesuffix(".")


LICENSE_PAGE = Label("*Enterprise settings* > *Settings* > *License*", "", "", INSTANCE_OWNER, _SYNC)
SYNC_NOW = Label(LICENSE_PAGE.path, 'under "License sync"', "*Sync now*", INSTANCE_OWNER, _SYNC)
EXPORT = Label(LICENSE_PAGE.path, 'under "Quick links"', "*Export license usage*", INSTANCE_OWNER, _SYNC)
UPDATE_LICENSE = Label(LICENSE_PAGE.path, 'under "Quick links"', "*Update license*", SITE_ADMINISTRATOR, _RENEW)
CONNECT_PAGE = Label("*Enterprise settings* > *GitHub Connect*", "", "", INSTANCE_OWNER, _ENABLE_SYNC)
CONNECT = Label(
    f"{CONNECT_PAGE.path} > *Enable GitHub Connect*", "to the right of the enterprise account", "*Connect*", BOTH_OWNERS, _TO_GITHUB_COM
)
ENABLE_SYNC = Label(CONNECT_PAGE.path, 'to the right of "License sync"', "*Enable*", INSTANCE_OWNER, _ENABLE_SYNC)
DISCONNECT = Label(CONNECT_PAGE.path, "", "*Disable GitHub Connect*", INSTANCE_OWNER, _DISABLE)
LICENSING = Label("*Billing and licensing* > *Licensing*", "", "", CLOUD_READER, _VIEW)
UPLOAD = Label(LICENSING.path, 'next to "Enterprise Server instances"', "*Add server usage*", CLOUD_OWNER, _SYNC)
CSV_REPORT = Label(LICENSING.path, "", "*Download CSV report*", CLOUD_READER, _VIEW)
DOWNLOAD_LICENSE = Label(LICENSING.path, 'under "Enterprise Server licenses"', "*Download*", CLOUD_OWNER, _DOWNLOAD)
VERIFY_DOMAIN = Label("*Settings* > *Verified & approved domains*", "", "*Add a domain*", CLOUD_OWNER, _DOMAINS)
TOKEN_POLICY = Label("*Policies* > *Personal access tokens* > *Tokens (classic)*", "", "", CLOUD_OWNER, _TOKEN_POLICIES)
CREATE_TOKEN = Label(
    "*Settings* > *Developer settings* > *Personal access tokens* > *Tokens (classic)*",
    "",
    "*Generate new token*",
    HOLDER,
    "authentication/keeping-your-account-and-data-secure/managing-your-personal-access-tokens",
)
AUTHORIZE_TOKEN = Label(
    "*Settings* > *Developer settings* > *Personal access tokens*", "next to the token", "*Configure SSO*", HOLDER, _SSO
)
AUTHORIZE = "*Authorize*"  # in the menu of *Configure SSO*, to the right of each organization
SSH_KEY = Label(
    "*Management Console*", 'under "SSH access"', "*Add key*", CONSOLE, f"{_SERVER}{_SHELL}accessing-the-administrative-shell-ssh"
)
TLS = Label(
    "*Management Console* > *Privacy*",
    "",
    "",
    CONSOLE,
    f"{_SERVER}admin/configuring-settings/hardening-security-for-your-enterprise/configuring-tls",
)

INSTANCES = "Enterprise Server instances"  # the heading on the Licensing page
LAST_SYNC = f'{LICENSING}, and look under "{INSTANCES}"'
UPLOADED, SYNCED, NEVER_SYNCED = "Server usage uploaded", "GitHub Connect server usage synced", "GitHub Connect server usage never synced"

PAGE_WORDS = Fact(
    f'On the Licensing page, under "{INSTANCES}", "{UPLOADED}" is a manual upload, "{SYNCED}" is a sync by GitHub Connect, and '
    f'"{NEVER_SYNCED}" means that GitHub Connect is configured, but has never synced license usage successfully.',
    _VIEW,
)
WEEKLY = Fact(
    "GitHub Connect syncs license usage weekly, starting from the day and approximate time at which it was enabled.", _ABOUT_CONNECT
)
WHAT_IS_SENT = Fact(
    "License sync sends the user ID and the email addresses of each user of the instance, and whether the user consumes a license for "
    "Advanced Security, Code Security, or Secret Protection; never repositories, issues, or pull requests.",
    _ABOUT_CONNECT,
)
WHAT_CONNECT_SENDS = Fact(
    "GitHub Connect itself also sends the public key and a hash of the instance's license, the customer name, the version and hostname of "
    "the instance, whether TLS is enabled, the enabled features, the dormancy threshold, and the numbers of dormant users and of consumed "
    "licenses.",
    _ABOUT_CONNECT,
)
MATCHING = Fact(
    "GitHub compares the primary email address of each account on an instance with the SAML or SCIM attributes of the cloud accounts, if "
    "the enterprise or one of its organizations uses SAML or SCIM; otherwise, or if none matches, with the verified email addresses of the "
    "cloud accounts.",
    _MATCHING,
)
CONNECT_NEEDS = Fact(
    "Connecting an instance requires an enterprise owner on both sides, and on github.com an enterprise account that is invoiced: a trial, "
    "or payment by credit card, does not suffice.",
    _TO_GITHUB_COM,
)
HOSTS = Fact("For GitHub Connect, an instance must reach `github.com`, `api.github.com`, and `uploads.github.com`.", _TO_GITHUB_COM)
HOSTS_GHE_COM = Fact(
    "For GitHub Connect with GHE.com, an instance must reach `SUBDOMAIN.ghe.com`, `api.SUBDOMAIN.ghe.com`, and `uploads.SUBDOMAIN.ghe.com` "
    "instead.",
    _TO_GHE_COM,
)
GHE_COM_FROM, USAGE_BASED_FROM, COMMAND_FROM, FLAGS_FROM = (3, 15), (3, 13), (3, 13), (3, 12)  # releases of GHES
GHE_COM_VERSION = Fact("GitHub Connect syncs licenses to GHE.com from GHES 3.15 on.", _ENABLE_SYNC)
FLAGS_VERSION = Fact("License usage includes Advanced Security licenses from GHES 3.12 on.", "enterprise-server@3.12/admin/release-notes")
DISCONNECTED = Fact(
    'Disabling GitHub Connect deletes its GitHub App and its credentials; after connecting again, "License sync" must be enabled again.',
    _DISABLE,
)
USAGE_BASED = Fact("Usage-based billing requires GHES 3.13 or later, and GitHub Connect.", _COMBINED)
BILLABLE = Fact(
    "With usage-based billing, consumed licenses are those in use now, and billable licenses are all that were in use at any time in the "
    "billing month, so that a removal lowers only the next bill.",
    f"{_CLOUD}billing/concepts/enterprise-billing/usage-based-licenses",
)
VERIFIED_DOMAINS = Fact(
    "GitHub recommends verified domains to every enterprise that syncs license usage and has no managed users: the list of consumed "
    "licenses shows an email address only if its domain is verified.",
    _ENABLE_SYNC,
)
SSO_PER_ORGANIZATION = Fact(
    "A classic token is authorized for single sign-on separately for each organization; editing its scopes or regenerating it ends that.",
    _SSO,
)
TOKEN_LIFETIME = Fact(
    "An enterprise or an organization can restrict classic tokens, and can limit their lifetime: existing tokens with a longer lifetime "
    "are then refused, but not revoked.",
    _TOKEN_POLICIES,
)
NO_UPLOAD = Fact("GitHub publishes no upload endpoint for license usage.", f"{_CLOUD}rest/enterprise-admin/license")
CLASSIC_TOKEN = Fact(
    "License usage of an enterprise is read with a classic token of an enterprise owner, with the scope `read:enterprise`.",
    f"{_CLOUD}rest/enterprise-admin/license",
)
NOT_ADMINISTRATOR = Fact(
    "GitHub returns 404 for the license of an instance to everyone except its site administrators.",
    f"{_SERVER}rest/enterprise-admin/license",
)
MORE_THAN_PURCHASED = Fact(
    "More consumed than purchased licenses are possible: GitHub's own example has them.", f"{_CLOUD}rest/enterprise-admin/license"
)
READ_ENTERPRISE = Fact(
    "With the scope `read:enterprise`, whoever holds the token of an enterprise owner can read the names, roles, email addresses, and "
    "two-factor status of the people in the enterprise, as far as the list of consumed licenses shows them.",
    f"{_CLOUD}rest/enterprise-admin/license",
)
NO_STATUS_OF_ORGANIZATIONS = Fact(
    "GitHub offers no sync status for an organization, only for an enterprise.", f"{_CLOUD}rest/enterprise-admin/license"
)
EXPIRED = Fact(
    "An expired license blocks web and Git access to an instance. A license file is valid as long as the contract; with usage-based "
    "billing, for 12 months.",
    f"{_CLOUD}billing/concepts/enterprise-billing/ghes-license-files",
)
COUNTED = Fact(
    "An account of an instance consumes a license from its first successful authentication, also while dormant, until it is suspended.",
    f"{_CLOUD}billing/reference/github-license-users",
)
OWNERS_NOT_COUNTED = Fact(
    "An enterprise owner on GitHub who is a member of no organization consumes no license.",
    f"{_CLOUD}billing/reference/github-license-users",
)
ORGANIZATIONS = Fact(
    "Only older documentation of GitHub says that license usage can be synced to an organization; current documentation names enterprise "
    "accounts only.",
    "enterprise-server@3.1/admin/configuration/configuring-github-connect/managing-github-connect",
)
ENDS, NEXT_VERSION, NEXT_VERSION_FROM = "2028-03-10", "2026-03-10", (3, 21)
API_VERSIONS = Fact(
    f"REST API version 2022-11-28 is supported until {ENDS}; version {NEXT_VERSION} has no end date, and instances accept it from "
    f"GHES {NEXT_VERSION_FROM[0]}.{NEXT_VERSION_FROM[1]} on.",
    "rest/about-the-rest-api/api-versions",
)
GHE_LICENSE = Fact(
    "`ghe-license usage` (up to GHES 3.12 `ghe-license-usage`) prints the license usage of an instance; its options are documented only by "
    "its own `--help`.",
    f"{_SERVER}{_SHELL}command-line-utilities",
)

#: What no page of the documentation says, so that no text of the program says it either.
NOT_DOCUMENTED = (
    "a way to remove a server from the Licensing page, or its server ID on that page",
    "a price of GitHub Connect",
    "what an instance refuses when all seats of its license are used",
    "whether `ghost`, the account that keeps the content of deleted users, consumes a license (a report from the field says no)",
    "options of `ghe-license usage` (a report from the field, of one GHES 3.15, used `-o -y`)",
    "whether an upload replaces or merges earlier accounts of an instance; values of a sync's status except `success`",
    "an upload of license usage by an API, or a way other than *Sync now* to start a sync by GitHub Connect",
)

LABELS = {name: one for name, one in list(globals().items()) if isinstance(one, Label)}
FACTS = {name: one for name, one in list(globals().items()) if isinstance(one, Fact)}


def newer_version(release: tuple[int, int] | None = None) -> str:
    """Return the step against an API version that ends; `release` is an instance's GHES release, None for the cloud."""
    setting = f'`api_version = "{NEXT_VERSION}"`'
    if release is None:
        return f"set {setting} in [cloud]"
    needed = "{}.{}".format(*NEXT_VERSION_FROM)
    first = f"upgrade the instance to GHES {needed} or later, then " if release < NEXT_VERSION_FROM else ""
    return f"{first}set {setting} in the source of the instance"
