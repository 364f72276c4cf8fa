"""The practice fleet: a sandbox of GitHub servers on loopback, the demo, and its stories."""
