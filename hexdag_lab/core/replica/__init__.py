"""Drafts that several replicas edit without a coordinator, and that merge without losing an intent."""
