"""The demo region: Lanzhou, its sites, devices and price paths."""
