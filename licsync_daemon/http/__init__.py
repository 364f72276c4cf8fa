"""Every HTTP exchange: limits, redirects, proxies, TLS trust, retries, and what a refusal means."""
