"""Every operation that changes a registry, as the tests of kills run it."""

from registry import lifecycle, publishing, trust

OPERATIONS = {
    "publish": lambda registry, candidate: publishing.publish(registry, **candidate),
    "promote": lambda registry, _: lifecycle.promote(registry, "1", "a test", "because"),
    "rollback": lambda registry, _: lifecycle.rollback(registry, "a test", "because"),
    "prune": lambda registry, _: lifecycle.prune(registry, keep=0),
    "sign": lambda registry, _: trust.sign_version(registry, "champion", "", "a test"),
}
